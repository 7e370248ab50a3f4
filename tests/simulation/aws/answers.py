"""What all models have in common: how AWS says no, how it pages, and what a model says of what it is not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from botocore.exceptions import ClientError

Answer = dict[str, Any]


class Unmodelled(BaseException):
    """A request that AWS may understand and the model does not: it must be taught first.

    No error that anybody handles, so that a simulation never goes on with a guess.
    """


def answered(**fields: Any) -> Answer:
    """An answer as a client gives it, with what it says of the request."""
    fields["ResponseMetadata"] = {"HTTPStatusCode": 200, "RetryAttempts": 0}
    return fields


def refused(operation: str, code: str, message: str, status: int = 400, **more: Any) -> ClientError:
    """The error that a client raises for an answer of that HTTP status."""
    response: Any = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": int(status), "RetryAttempts": 0},
        **more,
    }
    return ClientError(response, operation)


def missing(operation: str, message: str) -> ClientError:
    """Lambda's answer where something is not there."""
    return refused(operation, "ResourceNotFoundException", message, HTTPStatus.NOT_FOUND, Type="User")


@dataclass(frozen=True, kw_only=True, slots=True)
class Pages:
    """What `get_paginator` gives: `call` is asked page by page, each time with the token of the last one.

    `tokens` maps members of a request to those of the answer before.
    """

    call: Callable[..., Answer]
    tokens: dict[str, str]

    def paginate(self, **request: Any) -> Iterator[Answer]:
        """The pages, read as far as one goes."""
        while True:
            page = self.call(**request)
            yield page
            if not page.get(next(iter(self.tokens.values()))):
                return
            request.update(
                {
                    asked: page[output_name]
                    for asked, output_name in self.tokens.items()
                    if output_name in page
                }
            )
