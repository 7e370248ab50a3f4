"""Facts about Lambda's functions, versions and aliases, which updating an alias relies on."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from rollback.aws.account import code
from rollback.aws.functions import ASLEEP, weights_of
from rollback.rehearsal.acceptance.fact import Differs, Fact, Skipped
from rollback.rehearsal.acceptance.sandbox import MISSING_VERSION, Sandbox, ScratchFunction

# Seconds that an Inactive version may take to become Active.
_WAKES = 300.0


def refusal(call: Callable[[], Any]) -> tuple[str, str]:
    """The code and the message of a call's error; two empty texts if it succeeded."""
    try:
        call()
    except ClientError as error:
        return code(error), str(error.response.get("Error", {}).get("Message", ""))
    return "", ""


def _unmoved(function: ScratchFunction, before: dict[str, Any], what: str) -> None:
    """Raises `Differs` if the alias differs from `before`, an UpdateAlias response."""
    now = function.read()
    if (now["FunctionVersion"], now["RevisionId"]) != (before["FunctionVersion"], before["RevisionId"]):
        raise Differs(f"{what}, but the alias was written")


def _stale_revision(sandbox: Sandbox) -> str:
    function = sandbox.function
    first = function.point("1")
    second = function.update(FunctionVersion="2", RevisionId=first["RevisionId"])
    answered, _ = refusal(lambda: function.update(FunctionVersion="1", RevisionId=first["RevisionId"]))
    if not answered:
        raise Differs("UpdateAlias with a stale RevisionId succeeded")
    if answered != "PreconditionFailedException":
        raise Differs(f"UpdateAlias with a stale RevisionId failed with {answered}")
    _unmoved(function, second, "UpdateAlias with a stale RevisionId was refused")
    return "the current RevisionId was accepted, the previous one failed with PreconditionFailedException"


def _revision_changes(sandbox: Sandbox) -> str:
    function = sandbox.function
    first = function.point("1")
    second = function.update(Description="one", RevisionId=first["RevisionId"])
    third = function.update(Description="two", RevisionId=second["RevisionId"])
    moved = function.update(FunctionVersion="2", RevisionId=third["RevisionId"])
    revisions = [one["RevisionId"] for one in (first, second, third, moved)]
    if len(set(revisions)) != len(revisions):
        raise Differs("an update did not change the RevisionId")
    if (read := function.read()["RevisionId"]) != revisions[-1]:
        raise Differs(f"UpdateAlias returned RevisionId {revisions[-1]}, but GetAlias {read}")
    return "4 updates, two of them of the description only: 4 RevisionIds; GetAlias returns the last one"


def _weights_cleared(sandbox: Sandbox) -> str:
    function = sandbox.function
    function.point("2", v1=0.5)
    if (found := weights_of(function.read())) != {"1": 0.5}:
        raise Differs(f"a weight of 0.5 for version 1 was set, but GetAlias returned {found or 'none'}")
    answered = weights_of(function.update(RoutingConfig={"AdditionalVersionWeights": {}}))
    found = weights_of(function.read())
    if answered or found:
        raise Differs(f"the weights were not removed: UpdateAlias returned {answered}, GetAlias {found}")
    return "half of the traffic went to version 1, then none"


def _missing_version(sandbox: Sandbox) -> str:
    function = sandbox.function
    before = function.point("1")
    answered, _ = refusal(lambda: function.update(FunctionVersion=MISSING_VERSION))
    if not answered:
        raise Differs(f"UpdateAlias to version {MISSING_VERSION}, which does not exist, succeeded")
    _unmoved(function, before, f"UpdateAlias to version {MISSING_VERSION} failed with {answered}")
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
        raise Differs(f"the response lacks {', '.join(missing)}")
    if (found["Version"], found["CodeSha256"]) != (expected.number, expected.code_sha256):
        raise Differs(f"it returned version {found['Version']} with the number or code of another version")
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
    return f"version 2 ran {_answers(sandbox, function, '2'):.1f} s after the alias was updated; its ARN did not change"


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
            raise Differs(f"the alias is at version {version}, but an invocation still runs version {ran}")
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
            raise Differs(f"version {version.number} has different code than when it was published")
    slowest = max(version.seconds for version in function.versions)
    return f"{len(function.versions)} versions, all Active within {slowest:.1f} s of being published"


def _inactive(sandbox: Sandbox) -> str:
    if sandbox.idle is None:
        raise Skipped(
            "Lambda sets a version Inactive only after weeks; use --idle-version FUNCTION:VERSION to name one"
        )
    name, version = sandbox.idle
    # No retries: the next attempt might already reach the function.
    once = sandbox.account.client("lambda", retries={"total_max_attempts": 1, "mode": "standard"})

    def state() -> str:
        found = once.get_function(FunctionName=name, Qualifier=version)["Configuration"]
        return str(found.get("State", "Active"))

    if (before := state()) != "Inactive":
        raise Skipped(f"version {version} of {name} is {before}, not Inactive")
    answered, _ = refusal(lambda: once.invoke(FunctionName=name, Qualifier=version, Payload=b"{}"))
    if not answered:
        raise Differs("an invocation of an Inactive version succeeded")
    began = time.monotonic()
    while (now := state()) in ASLEEP:
        if time.monotonic() - began > _WAKES:
            raise Differs(f"the version is still {now} after {_WAKES:.0f} s")
        sandbox.pause(1.0)
    if now != "Active":
        raise Differs(f"the version is {now} after an invocation")
    return f"the invocation failed with {answered}; Active {time.monotonic() - began:.1f} s later"


_API = "https://docs.aws.amazon.com/lambda/latest/api"
_GUIDE = "https://docs.aws.amazon.com/lambda/latest/dg"
FACTS = (
    Fact(
        name="stale-revision",
        says="UpdateAlias with a RevisionId that is not the alias's newest is refused, and changes nothing.",
        why="An alias that somebody else changed after the plan is never overwritten.",
        source=f"{_API}/API_UpdateAlias.html",
        tried=_stale_revision,
    ),
    Fact(
        name="revision-changes",
        says="Every update of an alias gives it a new RevisionId, even if only its description changes.",
        why="The tag in the description is a fencing token: a paused process that wakes up can change nothing.",
        source=f"{_API}/API_UpdateAlias.html",
        tried=_revision_changes,
    ),
    Fact(
        name="weights-cleared",
        says="An empty map of weights ends a canary.",
        why="A rollback removes the bad version from all traffic, also where it only got a share.",
        source=f"{_API}/API_AliasRoutingConfiguration.html",
        tried=_weights_cleared,
    ),
    Fact(
        name="missing-version",
        says="UpdateAlias to a version that does not exist is refused with ResourceNotFoundException.",
        why="If a version was deleted after the plan, the rollback fails and is reverted; no alias points to a missing version.",
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
        why="Callers need no change for a rollback, and the smoke command tests what they will get.",
        source=f"{_GUIDE}/configuration-aliases.html",
        tried=_invoked,
    ),
    Fact(
        name="published-version",
        says="A published version becomes Active, GetFunction reports it, and its code never changes.",
        why="A rollback moves aliases to versions that are Active and have the code that was recorded.",
        source=f"{_GUIDE}/functions-states.html",
        tried=_published,
    ),
    Fact(
        name="inactive-version",
        says="Invoking an Inactive version fails, and sets it Active again.",
        why="The target version may not have been invoked for a long time; it is activated before the alias is updated.",
        source=f"{_GUIDE}/functions-states.html",
        tried=_inactive,
    ),
)
