"""AWS Lambda in memory, as far as functions, versions and aliases go: one account, under boto3's names.

What it promises is what the service promises, and `tests/integration/aws/test_models_keep_the_contract.py`
asks the emulator for the same. Sources: the API reference of UpdateAlias, DeleteFunction, GetFunction and
ListFunctions, https://docs.aws.amazon.com/lambda/latest/api/.

Every request is done at once or refused; nothing waits, and no fault happens by itself.
"""

# ruff: noqa: N803 - boto3's names

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, NamedTuple

from tests.simulation.aws.answers import Answer, Pages, Unmodelled, answered, missing, refused

LATEST = "$LATEST"
_ARN = "arn:aws:lambda:eu-west-1:111122223333:function"
# What one page holds unless less is asked for (ListFunctions; ListVersionsByFunction).
_PAGE = 50
_LONGEST_DESCRIPTION = 256
# Looks at a version that wakes, until it is Active.
_LOOKS = 3


class AliasSeen(NamedTuple):
    """All that there is to know of an alias. `weights` are sorted pairs of version and share."""

    version: str
    weights: tuple[tuple[str, float], ...]
    description: str
    revision: str


@dataclass(frozen=True, kw_only=True, slots=True)
class _Version:
    number: str
    sha: str
    description: str
    state: str


@dataclass(frozen=True, kw_only=True, slots=True)
class _Alias:
    version: str
    weights: Mapping[str, float]
    description: str
    revision: str


@dataclass(kw_only=True, slots=True)
class _Function:
    latest: _Version
    versions: dict[str, _Version] = field(default_factory=dict)
    aliases: dict[str, _Alias] = field(default_factory=dict)
    provisioned: dict[str, list[str]] = field(default_factory=dict)
    published: int = 0


class Lambda:
    """Functions of one account.

    `noop_keeps_revision` makes the variant in which an UpdateAlias that changes nothing gives no new
    RevisionId: that it does is not documented. `page` is how many a list's page holds at most.
    """

    def __init__(self, *, noop_keeps_revision: bool = False, page: int = _PAGE) -> None:
        self._functions: dict[str, _Function] = {}
        self._keeps = noop_keeps_revision
        self._page = page
        self._revisions = itertools.count(1)
        # Looks at a version since it was woken.
        self._wakes: dict[tuple[str, str], int] = {}

    # -- what a test arranges and sees -----------------------------------------------------------------

    def make_function(self, name: str) -> None:
        """A function without versions and aliases."""
        if name in self._functions:
            raise Unmodelled(f"{name} is there already")
        latest = _Version(number=LATEST, sha=f"sha-{name}-0", description="", state="Active")
        self._functions[name] = _Function(latest=latest)

    def publish(self, name: str, description: str = "", *, state: str = "Active", sha: str = "") -> str:
        """Uploads other code and publishes it; the new version's number. Numbers are never used again."""
        function = self._functions[name]
        function.published += 1
        number = str(function.published)
        version = _Version(
            number=number, sha=sha or f"sha-{name}-{number}", description=description, state=state
        )
        function.versions[number] = version
        function.latest = _Version(number=LATEST, sha=version.sha, description="", state="Active")
        return number

    def point(
        self,
        name: str,
        alias: str,
        version: str,
        weights: Mapping[str, float] | None = None,
        description: str = "",
    ) -> str:
        """Makes or moves an alias as anybody may who does not care where it stood; its new RevisionId."""
        known = self._functions[name].aliases
        request: dict[str, Any] = {
            "FunctionName": name,
            "Name": alias,
            "FunctionVersion": version,
            "RoutingConfig": {"AdditionalVersionWeights": dict(weights or {})},
            "Description": description,
        }
        answer = self.update_alias(**request) if alias in known else self.create_alias(**request)
        return str(answer["RevisionId"])

    def provision(self, name: str, alias: str, statuses: Sequence[str]) -> None:
        """Gives an alias provisioned concurrency; each look tells the next of `statuses`, the last for good."""
        self._functions[name].provisioned[alias] = list(statuses)

    def set_state(self, name: str, version: str, state: str) -> None:
        """Makes a version `Active`, `Inactive`, `Pending` or `Failed`."""
        function = self._functions[name]
        old = function.versions[version]
        function.versions[version] = _Version(
            number=version, sha=old.sha, description=old.description, state=state
        )

    def snapshot(self) -> dict[str, dict[str, AliasSeen]]:
        """Function → alias → how it stands, as plain values that can be compared."""
        return {
            name: {
                alias: AliasSeen(
                    version=held.version,
                    weights=tuple(sorted(held.weights.items())),
                    description=held.description,
                    revision=held.revision,
                )
                for alias, held in sorted(function.aliases.items())
            }
            for name, function in sorted(self._functions.items())
        }

    # -- boto3's names -----------------------------------------------------------------------------------

    def get_function(self, *, FunctionName: str, Qualifier: str = LATEST) -> Answer:
        function = self._function("GetFunction", FunctionName)
        number = Qualifier
        if not Qualifier.isdigit() and Qualifier != LATEST:
            if Qualifier not in function.aliases:
                raise missing("GetFunction", f"Function not found: {_ARN}:{FunctionName}:{Qualifier}")
            number = function.aliases[Qualifier].version
        version = self._version("GetFunction", FunctionName, number)
        if version.state == "Pending":
            self._wakes[FunctionName, number] = looks = self._wakes.get((FunctionName, number), 0) + 1
            if looks >= _LOOKS:
                self.set_state(FunctionName, number, "Active")
        return answered(Configuration=_configuration(FunctionName, version))

    def invoke(self, *, FunctionName: str, Qualifier: str, Payload: bytes) -> Answer:  # noqa: ARG002 - boto3's
        """One that is Inactive is Pending from now on, for some looks; no other may be invoked in a simulation."""
        version = self._version("Invoke", FunctionName, Qualifier)
        if version.state == "Active":
            raise Unmodelled(f"the code of {FunctionName}:{Qualifier} was run")
        refusals = {
            "Inactive": ("ResourceNotReadyException", HTTPStatus.BAD_GATEWAY),
            "Pending": ("ResourceConflictException", HTTPStatus.CONFLICT),
        }
        name, status = refusals[version.state]
        if version.state == "Inactive":
            self.set_state(FunctionName, Qualifier, "Pending")
            self._wakes[FunctionName, Qualifier] = 0
        raise refused("Invoke", name, "it is being set up again", status)

    def get_alias(self, *, FunctionName: str, Name: str) -> Answer:
        return answered(**_described(FunctionName, Name, self._alias("GetAlias", FunctionName, Name)))

    def create_alias(
        self,
        *,
        FunctionName: str,
        Name: str,
        FunctionVersion: str,
        Description: str = "",
        RoutingConfig: Mapping[str, Mapping[str, float]] | None = None,
    ) -> Answer:
        function = self._function("CreateAlias", FunctionName)
        if Name in function.aliases:
            raise refused(
                "CreateAlias",
                "ResourceConflictException",
                f"Alias already exists: {_ARN}:{FunctionName}:{Name}",
                HTTPStatus.CONFLICT,
                Type="User",
            )
        self._version("CreateAlias", FunctionName, FunctionVersion)
        weights = self._weights("CreateAlias", FunctionName, FunctionVersion, RoutingConfig or {})
        made = _Alias(
            version=FunctionVersion, weights=weights, description=Description, revision=self._revision()
        )
        function.aliases[Name] = made
        return answered(**_described(FunctionName, Name, made))

    def update_alias(
        self,
        *,
        FunctionName: str,
        Name: str,
        FunctionVersion: str | None = None,
        Description: str | None = None,
        RoutingConfig: Mapping[str, Mapping[str, float]] | None = None,
        RevisionId: str | None = None,
    ) -> Answer:
        """What is not named stays. Nothing is changed where `RevisionId` is not the alias's."""
        alias = self._alias("UpdateAlias", FunctionName, Name)
        if RevisionId is not None and RevisionId != alias.revision:
            raise refused(
                "UpdateAlias",
                "PreconditionFailedException",
                "The RevisionId provided does not match the latest RevisionId for the Lambda function or "
                "alias. Call the GetFunction or the GetAlias API to retrieve the latest RevisionId for your "
                "resource.",
                HTTPStatus.PRECONDITION_FAILED,
                Type="User",
            )
        version = alias.version if FunctionVersion is None else FunctionVersion
        self._version("UpdateAlias", FunctionName, version)
        weights = alias.weights
        if RoutingConfig is not None:
            weights = self._weights("UpdateAlias", FunctionName, version, RoutingConfig)
        elif version in weights:
            raise Unmodelled(f"a move of {FunctionName} to version {version}, where it has a weight already")
        description = alias.description if Description is None else Description
        if len(description) > _LONGEST_DESCRIPTION:
            raise refused("UpdateAlias", "ValidationException", "The description is too long.")
        same = (version, weights, description) == (alias.version, alias.weights, alias.description)
        after = _Alias(
            version=version,
            weights=weights,
            description=description,
            revision=alias.revision if same and self._keeps else self._revision(),
        )
        self._functions[FunctionName].aliases[Name] = after
        return answered(**_described(FunctionName, Name, after))

    def delete_alias(self, *, FunctionName: str, Name: str) -> Answer:
        self._alias("DeleteAlias", FunctionName, Name)
        del self._functions[FunctionName].aliases[Name]
        return answered()

    def delete_function(self, *, FunctionName: str, Qualifier: str | None = None) -> Answer:
        """The function with all that it has, or one version that no alias refers to."""
        function = self._function("DeleteFunction", FunctionName)
        if Qualifier is None:
            del self._functions[FunctionName]
            return answered()
        self._version("DeleteFunction", FunctionName, Qualifier)
        if any(Qualifier in (held.version, *held.weights) for held in function.aliases.values()):
            raise refused(
                "DeleteFunction",
                "ResourceConflictException",
                f"Version {Qualifier} of {FunctionName} is referenced by an alias.",
                HTTPStatus.CONFLICT,
                Type="User",
            )
        del function.versions[Qualifier]
        return answered()

    def list_functions(self, *, Marker: str = "", MaxItems: int = _PAGE) -> Answer:
        names = sorted(self._functions)
        start = bisect_right(names, Marker)
        end = start + min(MaxItems, self._page)
        page = [_configuration(name, self._functions[name].latest) for name in names[start:end]]
        more = {"NextMarker": names[end - 1]} if end < len(names) else {}
        return answered(Functions=page, **more)

    def list_versions_by_function(
        self, *, FunctionName: str, Marker: str = "", MaxItems: int = _PAGE
    ) -> Answer:
        """The unpublished version first, then the published ones by number."""
        function = self._function("ListVersionsByFunction", FunctionName)
        versions = [function.latest, *function.versions.values()]
        after = -1 if not Marker else 0 if Marker == LATEST else int(Marker)
        left = [item for item in versions if (0 if item.number == LATEST else int(item.number)) > after]
        page = left[: min(MaxItems, self._page)]
        more = {"NextMarker": page[-1].number} if len(page) < len(left) else {}
        return answered(Versions=[_configuration(FunctionName, item) for item in page], **more)

    def get_provisioned_concurrency_config(self, *, FunctionName: str, Qualifier: str) -> Answer:
        operation = "GetProvisionedConcurrencyConfig"
        self._alias(operation, FunctionName, Qualifier)
        statuses = self._functions[FunctionName].provisioned.get(Qualifier)
        if not statuses:
            raise refused(
                operation,
                "ProvisionedConcurrencyConfigNotFoundException",
                f"No Provisioned Concurrency Config found for function: {_ARN}:{FunctionName}",
                HTTPStatus.NOT_FOUND,
                Type="User",
            )
        status = statuses.pop(0) if len(statuses) > 1 else statuses[0]
        return answered(Status=status, RequestedProvisionedConcurrentExecutions=5)

    def get_paginator(self, operation_name: str) -> Pages:
        listed: dict[str, Callable[..., Answer]] = {
            "list_functions": self.list_functions,
            "list_versions_by_function": self.list_versions_by_function,
        }
        if operation_name not in listed:
            raise Unmodelled(f"pages of {operation_name}")
        return Pages(call=listed[operation_name], tokens={"Marker": "NextMarker"})

    # -- helpers -------------------------------------------------------------------------------------------

    def _revision(self) -> str:
        return f"00000000-0000-4000-8000-{next(self._revisions):012d}"

    def _function(self, operation: str, name: str) -> _Function:
        if name not in self._functions:
            raise missing(operation, f"Function not found: {_ARN}:{name}")
        return self._functions[name]

    def _version(self, operation: str, name: str, number: str) -> _Version:
        function = self._function(operation, name)
        if number == LATEST:
            return function.latest
        if number not in function.versions:
            raise missing(operation, f"Function not found: {_ARN}:{name}:{number}")
        return function.versions[number]

    def _alias(self, operation: str, name: str, alias: str) -> _Alias:
        function = self._function(operation, name)
        if alias not in function.aliases:
            raise missing(operation, f"Cannot find alias arn: {_ARN}:{name}:{alias}")
        return function.aliases[alias]

    def _weights(
        self, operation: str, name: str, version: str, routing: Mapping[str, Mapping[str, float]]
    ) -> dict[str, float]:
        """At most one other published version, and a share between 0 and 1 (AliasRoutingConfiguration)."""
        weights = dict(routing.get("AdditionalVersionWeights", {}))
        for number, share in weights.items():
            if LATEST in (number, version) or number == version or len(weights) > 1:
                raise _invalid(operation, f"Invalid routing of {name}: {version} and {sorted(weights)}")
            if not 0 <= share <= 1:
                raise _invalid(operation, f"The weight {share} of version {number} is not between 0 and 1")
            self._version(operation, name, number)
        return weights


def _configuration(name: str, version: _Version) -> dict[str, str]:
    qualifier = "" if version.number == LATEST else f":{version.number}"
    return {
        "FunctionName": name,
        "FunctionArn": f"{_ARN}:{name}{qualifier}",
        "Version": version.number,
        "CodeSha256": version.sha,
        "State": version.state,
        "Description": version.description,
    }


def _described(function: str, name: str, alias: _Alias) -> Answer:
    """An alias as it is told; without weights there is no RoutingConfig."""
    description: Answer = {
        "AliasArn": f"{_ARN}:{function}:{name}",
        "Name": name,
        "FunctionVersion": alias.version,
        "Description": alias.description,
        "RevisionId": alias.revision,
    }
    if alias.weights:
        description["RoutingConfig"] = {"AdditionalVersionWeights": dict(alias.weights)}
    return description


def _invalid(operation: str, message: str) -> Exception:
    return refused(operation, "InvalidParameterValueException", message, Type="User")
