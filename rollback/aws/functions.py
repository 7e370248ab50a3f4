"""Reads Lambda functions, versions and aliases, and compares them with what was recorded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError, HTTPClientError

from rollback.aws.account import Account, code, denied, explained
from rollback.aws.pacing import THROTTLES
from rollback.config.naming import is_like
from rollback.config.settings import Settings
from rollback.model.alias_moves import shares
from rollback.model.grouping import together
from rollback.model.record import Check

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

# States in which a version cannot be invoked yet, but soon will be.
ASLEEP = frozenset({"Inactive", "Pending"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """A GetFunction response about a version, or about the version of an alias."""

    version: str
    code_sha256: str
    state: str
    description: str


@dataclass(frozen=True, kw_only=True, slots=True)
class AliasSeen:
    """A GetAlias response. `weights` maps other versions to their share of the traffic, 0 to 1."""

    version: str
    revision_id: str
    weights: Mapping[str, float]


def observe(account: Account, function: str, qualifier: str) -> Seen | None:
    """A version of a function, by number or alias; None if function, alias or version does not exist."""
    with explained(f"reading {function}"):
        try:
            found = account.lambda_.get_function(FunctionName=function, Qualifier=qualifier)["Configuration"]
        except ClientError as error:
            if code(error) == "ResourceNotFoundException":
                return None
            raise
    return Seen(
        version=found["Version"],
        code_sha256=found["CodeSha256"],
        state=found.get("State", "Active"),
        description=found.get("Description", ""),
    )


def differs(seen: Seen | None, version: str, code_sha256: str | None, *, gone: str, otherwise: str) -> str:
    """How a function differs from `version` with that code (None: unknown), in words; empty if it does not. Pure.

    `gone` is the text for a missing function; `otherwise` precedes the version that it should be at.
    """
    if seen is None:
        return gone
    if seen.version != version:
        return f"is at version {seen.version}, {otherwise} {version}"
    if code_sha256 is not None and seen.code_sha256 != code_sha256:
        return f"version {seen.version} has different code than was recorded"
    return ""


def alias_differs(
    account: Account,
    function: str,
    version: str,
    code_sha256: str | None,
    weights: Mapping[str, float],
    *,
    gone: str,
    otherwise: str,
) -> str:
    """Reads a function's alias; returns how it differs, in the words of `differs`.

    Version and code use GetFunction's quota; only GetAlias shows weights, and is limited to 15 calls a second.
    """
    alias = account.settings.alias
    if why := differs(
        observe(account, function, alias), version, code_sha256, gone=gone, otherwise=otherwise
    ):
        return why
    seen = observe_alias(account, function, alias)
    if seen is None:
        return gone
    if seen.version != version:
        return f"is at version {seen.version}, {otherwise} {version}"
    return "" if dict(seen.weights) == dict(weights) else f"it sends traffic {shares(seen.weights)}"


def all_at(found: Iterable[tuple[str, str]], what: str) -> Check:
    """The check of all aliases, from pairs of function and problem; equal problems are grouped. Pure."""
    every = list(found)
    wrong = [(function, why) for function, why in every if why]
    detail = f"{len(every) - len(wrong)} of {len(every)} aliases {what}"
    return Check(check="aliases", ok=not wrong, detail="; ".join([detail, *together(wrong)[:10]]))


def observe_alias(account: Account, function: str, alias: str) -> AliasSeen | None:
    """An alias with its RevisionId and weights; None if it does not exist."""
    with explained(f"reading alias {alias} of {function}"):
        try:
            found = account.lambda_.get_alias(FunctionName=function, Name=alias)
        except ClientError as error:
            if code(error) == "ResourceNotFoundException":
                return None
            raise
    return AliasSeen(
        version=found["FunctionVersion"],
        revision_id=found["RevisionId"],
        weights=weights_of(found),
    )


def wake(lambda_: LambdaClient, function: str, version: str) -> bool:
    """Invokes an Inactive version once to activate it; whether Lambda accepted that. `lambda_` is a client without retries.

    That fails, as documented: "When you try to invoke a function that is inactive, the invocation fails and Lambda sets
    the function to pending state until the function resources are recreated"
    (https://docs.aws.amazon.com/lambda/latest/dg/functions-states.html). Raises `RollbackError` where it is not allowed,
    or there is no such version.
    """
    with explained(f"activating version {version} of {function}"):
        try:
            lambda_.invoke(FunctionName=function, Qualifier=version, Payload=b"{}")
        except ClientError as error:
            if code(error) == "ResourceNotFoundException" or denied(error):
                raise
            return code(error) not in THROTTLES
        except HTTPClientError:
            return False
    return True


def provisioned_status(account: Account, function: str, alias: str) -> str:
    """READY, IN_PROGRESS, FAILED, or NONE if the alias has no provisioned concurrency."""
    try:
        answer = account.lambda_.get_provisioned_concurrency_config(FunctionName=function, Qualifier=alias)
    except ClientError as error:
        if code(error) == "ProvisionedConcurrencyConfigNotFoundException":
            return "NONE"
        raise
    return str(answer["Status"])


def strangers(account: Account, settings: Settings) -> list[str]:
    """Functions with the environment's prefix that are not in the catalogue: only listed, never changed."""
    known, alike = settings.catalogue(), settings.alike
    with explained("listing the account's functions"):
        pages = account.lambda_.get_paginator("list_functions").paginate()
        names = [item["FunctionName"] for page in pages for item in page["Functions"]]
    return sorted(name for name in names if name not in known and is_like(name, alike))


def weights_of(alias: Mapping[str, Any]) -> dict[str, float]:
    """Version → share of the traffic (0 to 1) that an alias gives to versions other than its own. `alias` is
    a response of GetAlias or UpdateAlias, `{"RoutingConfig": {"AdditionalVersionWeights": {"7": 0.1}}, …}`
    (https://docs.aws.amazon.com/lambda/latest/api/API_AliasRoutingConfiguration.html).
    """
    return dict(alias.get("RoutingConfig", {}).get("AdditionalVersionWeights", {}))
