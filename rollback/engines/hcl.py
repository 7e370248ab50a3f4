"""Reads the resources and the backend in a Terraform file, with python-hcl2
(https://github.com/amplify-education/python-hcl2).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rollback.util.extras import extra

# In characters: the parser takes about two seconds for 100,000, and longer for unclosed blocks.
_LARGEST = 500_000


class UnreadableHcl(Exception):
    """A text that is not HCL, or that the parser does not support; the message has the line or the reason."""


def resources(text: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The address and the body of each `resource` block, as in `("aws_x.y", {"name": "z", "lifecycle":
    [{…}]})`.

    A body maps attribute and block names to JSON values: a nested block is a list of mappings, an
    expression the text `${…}`. Raises `UnreadableHcl`.
    """
    for block in _parsed(text).get("resource", ()):
        for type_, named in block.items():
            for name, body in named.items() if isinstance(named, dict) else ():
                if isinstance(body, dict):
                    yield f"{type_}.{name}", body


def backend(text: str) -> Mapping[str, Mapping[str, Any]] | None:
    """The type and the body of the `backend` block, as in `{"s3": {"key": "a/b", …}}`, or `{"cloud": {…}}` for the backend
    of HCP Terraform; None where the file declares neither. Raises `UnreadableHcl`.
    """
    for block in _parsed(text).get("terraform", ()):
        for type_, body in (one for named in block.get("backend", ()) for one in named.items()):
            if isinstance(body, dict):
                return {type_: body}
        for body in block.get("cloud", ()):
            return {"cloud": body}
    return None


def _parsed(text: str) -> Mapping[str, Any]:
    if len(text) > _LARGEST:
        raise UnreadableHcl(f"it has more than {_LARGEST:,} characters")
    with extra("terraform"):
        import hcl2  # noqa: PLC0415 - an extra: for who has Terraform files
        from hcl2.utils import SerializationOptions  # noqa: PLC0415 - as above
        from lark.exceptions import LarkError, UnexpectedInput  # noqa: PLC0415 - as above

    bare = SerializationOptions(with_comments=False, strip_string_quotes=True)
    try:
        found: Mapping[str, Any] = hcl2.loads(text.removeprefix("\ufeff"), serialization_options=bare)
    except UnexpectedInput as error:
        raise UnreadableHcl(f"line {error.line} cannot be parsed") from None
    except (LarkError, RecursionError):
        raise UnreadableHcl("it cannot be parsed") from None
    return found
