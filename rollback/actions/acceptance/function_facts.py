"""Facts about Lambda's functions, versions and aliases, on which moving an alias relies."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from rollback.actions.acceptance.fact import Differs, Fact, Skipped
from rollback.actions.acceptance.sandbox import MISSING_VERSION, Sandbox, ScratchFunction
from rollback.aws.account import code
from rollback.aws.functions import ASLEEP, weights_of

# Seconds that a version may take to wake.
_WAKES = 300.0


def refusal(call: Callable[[], Any]) -> tuple[str, str]:
    """The code and the message of the error that a call was answered with; two empty texts where there was none."""
    try:
        call()
    except ClientError as error:
        return code(error), str(error.response.get("Error", {}).get("Message", ""))
    return "", ""


def _unmoved(function: ScratchFunction, before: dict[str, Any], what: str) -> None:
    """Raises `Differs` where the alias is not as UpdateAlias has answered `before`."""
    now = function.read()
    if (now["FunctionVersion"], now["RevisionId"]) != (before["FunctionVersion"], before["RevisionId"]):
        raise Differs(f"{what}, but the alias was written")


def _stale_revision(sandbox: Sandbox) -> str:
    function = sandbox.function
    first = function.point("1")
    second = function.update(FunctionVersion="2", RevisionId=first["RevisionId"])
    answered, _ = refusal(lambda: function.update(FunctionVersion="1", RevisionId=first["RevisionId"]))
    if not answered:
        raise Differs("UpdateAlias with a stale RevisionId was carried out")
    if answered != "PreconditionFailedException":
        raise Differs(f"UpdateAlias with a stale RevisionId was answered with {answered}")
    _unmoved(function, second, "UpdateAlias with a stale RevisionId was refused")
    return "the current RevisionId was accepted, the one before answered with PreconditionFailedException"


def _revision_changes(sandbox: Sandbox) -> str:
    function = sandbox.function
    first = function.point("1")
    second = function.update(Description="one", RevisionId=first["RevisionId"])
    third = function.update(Description="two", RevisionId=second["RevisionId"])
    moved = function.update(FunctionVersion="2", RevisionId=third["RevisionId"])
    revisions = [one["RevisionId"] for one in (first, second, third, moved)]
    if len(set(revisions)) != len(revisions):
        raise Differs("an update left the RevisionId as it was")
    if (read := function.read()["RevisionId"]) != revisions[-1]:
        raise Differs(f"UpdateAlias answered RevisionId {revisions[-1]}, and GetAlias {read}")
    return "4 updates, two of them of the description alone: 4 RevisionIds; GetAlias has the last one"


def _weights_cleared(sandbox: Sandbox) -> str:
    function = sandbox.function
    function.point("2", v1=0.5)
    if (found := weights_of(function.read())) != {"1": 0.5}:
        raise Differs(f"weights of 0.5 for version 1 were set, and GetAlias has {found or 'none'}")
    answered = weights_of(function.update(RoutingConfig={"AdditionalVersionWeights": {}}))
    found = weights_of(function.read())
    if answered or found:
        raise Differs(f"they are still there: UpdateAlias answered {answered}, GetAlias {found}")
    return "half of the traffic went to version 1, then none"


def _missing_version(sandbox: Sandbox) -> str:
    function = sandbox.function
    before = function.point("1")
    answered, _ = refusal(lambda: function.update(FunctionVersion=MISSING_VERSION))
    if not answered:
        raise Differs(f"UpdateAlias to version {MISSING_VERSION}, which does not exist, was carried out")
    _unmoved(function, before, f"UpdateAlias to version {MISSING_VERSION} was answered with {answered}")
    if answered != "ResourceNotFoundException":
        raise Differs(f"it was refused, but with {answered}")
    return "refused with ResourceNotFoundException; the alias is as it was"


def _function_of_alias(sandbox: Sandbox) -> str:
    function, expected = sandbox.function, sandbox.function.versions[1]
    revision = function.point("2")["RevisionId"]
    found = function.lambda_.get_function(FunctionName=function.name, Qualifier=function.alias)[
        "Configuration"
    ]
    if missing := [name for name in ("Version", "CodeSha256", "State") if not found.get(name)]:
        raise Differs(f"the answer lacks {', '.join(missing)}")
    if (found["Version"], found["CodeSha256"]) != (expected.number, expected.code_sha256):
        raise Differs(f"it answered version {found['Version']} with another version's number or code")
    if found.get("RevisionId") == revision:
        raise Differs("its RevisionId is the alias's")
    return f"version {found['Version']}, {found['State']}, its code; a RevisionId that is not the alias's"


def _invoked(sandbox: Sandbox) -> str:
    function = sandbox.function
    before = function.point("1")
    _answers(sandbox, function, "1")
    after = function.point("2")
    for name in ("AliasArn", "Name"):
        if before.get(name) != after.get(name):
            raise Differs(
                f"{name} was {before.get(name)} before the alias was moved, and {after.get(name)} after"
            )
    return f"version 2 answered {_answers(sandbox, function, '2'):.1f} s after the alias was moved; its ARN stayed"


def _answers(sandbox: Sandbox, function: ScratchFunction, version: str) -> float:
    """Seconds until an invocation through the alias runs a version."""
    began = time.monotonic()
    while True:
        answer = function.lambda_.invoke(FunctionName=function.name, Qualifier=function.alias, Payload=b"{}")
        content = answer["Payload"].read()
        if "FunctionError" in answer:
            raise Differs(f"version {version} failed: {content[:200]!r}")
        found = json.loads(content or b"null")
        ran = str(found.get("code")) if isinstance(found, dict) else str(found)
        seconds = time.monotonic() - began
        if ran == version and answer.get("ExecutedVersion", version) == version:
            return seconds
        if seconds > sandbox.follows:
            raise Differs(f"the alias is at version {version}, and an invocation still runs version {ran}")
        sandbox.pause(0.2)


def _published(sandbox: Sandbox) -> str:
    function = sandbox.function
    for version in function.versions:
        found = function.lambda_.get_function(FunctionName=function.name, Qualifier=version.number)[
            "Configuration"
        ]
        if found.get("State") != "Active":
            raise Differs(f"version {version.number} was Active, and is {found.get('State')} now")
        if found["CodeSha256"] != version.code_sha256:
            raise Differs(f"version {version.number} has other code than when it was published")
    slowest = max(version.seconds for version in function.versions)
    return (
        f"{len(function.versions)} versions, Active {slowest:.1f} s after they were published at the latest"
    )


def _inactive(sandbox: Sandbox) -> str:
    if sandbox.idle is None:
        raise Skipped(
            "it takes weeks until Lambda sets a version Inactive; --idle-version FUNCTION:VERSION names one"
        )
    name, version = sandbox.idle
    # Its next attempt might be answered by the function itself: there is none.
    once = sandbox.account.client("lambda", retries={"total_max_attempts": 1, "mode": "standard"})

    def state() -> str:
        found = once.get_function(FunctionName=name, Qualifier=version)["Configuration"]
        return str(found.get("State", "Active"))

    if (before := state()) != "Inactive":
        raise Skipped(f"version {version} of {name} is {before}, not Inactive")
    answered, _ = refusal(lambda: once.invoke(FunctionName=name, Qualifier=version, Payload=b"{}"))
    if not answered:
        raise Differs("an invocation of an Inactive version was carried out")
    began = time.monotonic()
    while (now := state()) in ASLEEP:
        if time.monotonic() - began > _WAKES:
            raise Differs(f"it is still {now} after {_WAKES:.0f} s")
        sandbox.pause(1.0)
    if now != "Active":
        raise Differs(f"it is {now} after an invocation")
    return f"the invocation was answered with {answered}; Active {time.monotonic() - began:.1f} s later"


_API = "https://docs.aws.amazon.com/lambda/latest/api"
_GUIDE = "https://docs.aws.amazon.com/lambda/latest/dg"
FACTS = (
    Fact(
        name="stale-revision",
        says="UpdateAlias with a RevisionId that is not the alias's newest is refused, and changes nothing.",
        why="An alias that somebody else has moved since the plan is never overwritten.",
        source=f"{_API}/API_UpdateAlias.html",
        tried=_stale_revision,
    ),
    Fact(
        name="revision-changes",
        says="Every update of an alias gives it a new RevisionId, one of its description alone as well.",
        why="The tag in the description is a fencing token: a process that was stopped can move nothing once it wakes.",
        source=f"{_API}/API_UpdateAlias.html",
        tried=_revision_changes,
    ),
    Fact(
        name="weights-cleared",
        says="An empty map of weights ends a canary.",
        why="A rollback takes the bad version out of all traffic, also where only a share went to it.",
        source=f"{_API}/API_AliasRoutingConfiguration.html",
        tried=_weights_cleared,
    ),
    Fact(
        name="missing-version",
        says="UpdateAlias to a version that does not exist is refused with ResourceNotFoundException.",
        why="A version that was deleted after the plan ends the rollback, which is reverted; no alias points at nothing.",
        source=f"{_API}/API_UpdateAlias.html",
        tried=_missing_version,
    ),
    Fact(
        name="function-of-alias",
        says="GetFunction with an alias gives version, code hash and state of its version, not the alias's RevisionId.",
        why="A plan reads all functions with GetFunction, whose quota is higher, and the RevisionId elsewhere.",
        source=f"{_API}/API_GetFunction.html",
        tried=_function_of_alias,
    ),
    Fact(
        name="invoked-by-alias",
        says="An alias keeps its ARN when it is moved, and invoking it runs the version that it was moved to.",
        why="Callers change nothing at a rollback, and the smoke command tries what they will get.",
        source=f"{_GUIDE}/configuration-aliases.html",
        tried=_invoked,
    ),
    Fact(
        name="published-version",
        says="A published version becomes Active, GetFunction says so, and its code stays as it is.",
        why="A rollback moves aliases to versions that are Active and have the code that was recorded.",
        source=f"{_GUIDE}/functions-states.html",
        tried=_published,
    ),
    Fact(
        name="inactive-version",
        says="Invoking an Inactive version fails, and sets it Active again.",
        why="The version to go back to is one that nobody has invoked for long; it is woken before its alias moves.",
        source=f"{_GUIDE}/functions-states.html",
        tried=_inactive,
    ),
)
