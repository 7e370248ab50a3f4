"""AWS Lambda in memory, as far as an alias goes: under boto3's names, with the faults handed in.

It honours an alias's RevisionId, gives 404 for what is not there, and takes aliases to existing versions
only, as the service does. `before` and `after` are called around every request with its operation and
function, in any thread: they may raise, block, or move something meanwhile. An error from `after` is an
answer that got lost: the request was carried out.
"""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import SimpleNamespace, TracebackType
from typing import Any

from botocore.exceptions import ClientError, ReadTimeoutError

Hook = Callable[[str, str], None]


def nothing(operation: str, function: str) -> None:
    """The hook that does nothing."""


def client_error(operation: str, code: str, message: str = "") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message or code}}, operation)


def no_answer() -> ReadTimeoutError:
    return ReadTimeoutError(endpoint_url="http://127.0.0.1")


@dataclass(frozen=True)
class Written:
    """One UpdateAlias that was carried out."""

    function: str
    version: str
    weights: Mapping[str, float]
    description: str


@dataclass
class Alias:
    version: str
    revision: str
    weights: dict[str, float] = field(default_factory=dict)
    description: str = ""
    provisioned: list[str] = field(default_factory=list)


@dataclass
class Version:
    sha: str
    description: str = ""
    state: str = "Active"
    size: int = 1000
    provisioned: bool = False
    # What it is at each look once it was invoked while Inactive; the last for good.
    wakes: list[str] = field(default_factory=lambda: ["Active"])
    # Who uses it by its own ARN.
    permitted: bool = False
    mapped: bool = False
    configured: bool = False


class Metrics:
    """CloudWatch's list of the invocations that it has metrics of, each with its dimensions; and its alarms.

    `alarms` maps an alarm's name to its changes, oldest first: (when, state). `fail` is raised by the next reads.
    """

    def __init__(self) -> None:
        self.invocations: list[dict[str, str]] = []
        self.alarms: dict[str, list[tuple[datetime, str]]] = {}
        self.fail: Exception | None = None

    def get_paginator(self, name: str) -> Any:
        pages = {
            "list_metrics": self._pages,
            "describe_alarms": self._alarms,
            "describe_alarm_history": self._history,
        }
        return SimpleNamespace(paginate=pages[name])

    def _alarms(self, *, AlarmNames: list[str], AlarmTypes: list[str]) -> Iterator[dict[str, Any]]:
        assert AlarmTypes == ["MetricAlarm", "CompositeAlarm"]
        if self.fail is not None:
            raise self.fail
        found = [
            {"AlarmName": name, "StateValue": state, "StateUpdatedTimestamp": at, "StateReason": "so"}
            for name in AlarmNames
            if name in self.alarms
            for at, state in self.alarms[name][-1:]
        ]
        yield {"MetricAlarms": found[:1], "CompositeAlarms": []}
        yield {"MetricAlarms": [], "CompositeAlarms": found[1:]}

    def _history(self, *, AlarmName: str, StartDate: datetime, **_: Any) -> Iterator[dict[str, Any]]:
        changes = self.alarms[AlarmName]
        pairs = itertools.pairwise(changes)
        yield {"AlarmHistoryItems": [{"Timestamp": StartDate, "HistoryData": "{}"}]}
        yield {
            "AlarmHistoryItems": [
                {
                    "Timestamp": at,
                    "HistoryData": json.dumps(
                        {"oldState": {"stateValue": before}, "newState": {"stateValue": state}}
                    ),
                }
                for (_at, before), (at, state) in pairs
                if at >= StartDate
            ]
        }

    def _pages(self, **asked: Any) -> Iterator[dict[str, Any]]:
        assert (asked["Namespace"], asked["MetricName"]) == ("AWS/Lambda", "Invocations")
        if self.fail is not None:
            raise self.fail
        for one in self.invocations:
            yield {
                "Metrics": [{"Dimensions": [{"Name": name, "Value": value} for name, value in one.items()]}]
            }


class Functions:
    """`revision_ignores_no_change`: an update that changes nothing keeps the RevisionId."""

    def __init__(self, *, revision_ignores_no_change: bool = False) -> None:
        self.versions: dict[str, dict[str, Version]] = {}
        self.aliases: dict[str, Alias] = {}
        # Aliases beside the one that a rollback moves: function → name → alias.
        self.others: dict[str, dict[str, Alias]] = {}
        self.mappings: list[dict[str, Any]] = []
        self.deleted: list[tuple[str, str]] = []
        self.writes: list[Written] = []
        self.calls: list[tuple[str, str]] = []
        self.before: Hook = nothing
        self.after: Hook = nothing
        self._lock = threading.RLock()
        self._revisions = itertools.count(1)
        self._keeps = revision_ignores_no_change

    # -- what a test arranges ------------------------------------------------------------------------

    def publish(self, function: str, description: str = "", **more: Any) -> str:
        """One more version of a function; returns its number."""
        versions = self.versions.setdefault(function, {})
        number = str(max(map(int, versions), default=0) + 1)
        versions[number] = Version(sha=f"sha-{function}-{number}", description=description, **more)
        return number

    def point(
        self, function: str, version: str, weights: Mapping[str, float] | None = None, description: str = ""
    ) -> str:
        """Moves the alias as anybody might; returns its new RevisionId."""
        with self._lock:
            alias = self.aliases.setdefault(function, Alias(version=version, revision=""))
            alias.version, alias.weights = version, dict(weights or {})
            alias.description, alias.revision = description, self._revision()
            return alias.revision

    def deployed(self) -> dict[str, tuple[str, dict[str, float]]]:
        """Function → (version, weights)."""
        return {name: (alias.version, dict(alias.weights)) for name, alias in self.aliases.items()}

    def called(self, operation: str) -> list[str]:
        return [function for name, function in self.calls if name == operation]

    # -- boto3's names -------------------------------------------------------------------------------

    def get_function(self, *, FunctionName: str, Qualifier: str) -> dict[str, Any]:
        with self._request("GetFunction", FunctionName):
            number = Qualifier
            if not Qualifier.isdigit() and Qualifier != "$LATEST":
                number = self._alias("GetFunction", FunctionName).version
            if Qualifier == "$LATEST":
                number = max(self._versions("GetFunction", FunctionName), key=int)
            version = self._version("GetFunction", FunctionName, number)
            if version.state == "Pending":
                version.state = version.wakes.pop(0) if len(version.wakes) > 1 else version.wakes[0]
            configuration = {
                "FunctionName": FunctionName,
                "Version": number,
                "CodeSha256": version.sha,
                "State": version.state,
                "Description": version.description,
                "RevisionId": f"of-version-{number}",
            }
            return {"Configuration": configuration}

    def invoke(self, *, FunctionName: str, Qualifier: str, Payload: bytes) -> None:
        """It is Inactive or Pending: what can be invoked no test here invokes."""
        with self._request("Invoke", FunctionName):
            version = self._version("Invoke", FunctionName, Qualifier)
            assert version.state in ("Inactive", "Pending")
            refused = {"Inactive": "ResourceNotReadyException", "Pending": "ResourceConflictException"}
            version.state, state = "Pending", version.state
            raise client_error("Invoke", refused[state])

    def get_alias(self, *, FunctionName: str, Name: str) -> dict[str, Any]:
        with self._request("GetAlias", FunctionName):
            return self._described(self._alias("GetAlias", FunctionName))

    def update_alias(
        self,
        *,
        FunctionName: str,
        Name: str,
        FunctionVersion: str,
        RoutingConfig: Mapping[str, Mapping[str, float]],
        Description: str,
        RevisionId: str | None = None,
    ) -> dict[str, Any]:
        with self._request("UpdateAlias", FunctionName):
            alias = self._alias("UpdateAlias", FunctionName)
            self._version("UpdateAlias", FunctionName, FunctionVersion)
            if RevisionId is not None and RevisionId != alias.revision:
                raise client_error("UpdateAlias", "PreconditionFailedException")
            wished = (FunctionVersion, dict(RoutingConfig["AdditionalVersionWeights"]), Description)
            changed = wished != (alias.version, alias.weights, alias.description)
            alias.version, alias.weights, alias.description = wished
            if changed or not self._keeps:
                alias.revision = self._revision()
            self.writes.append(Written(FunctionName, *wished))
            return self._described(alias)

    def get_provisioned_concurrency_config(self, *, FunctionName: str, Qualifier: str) -> dict[str, Any]:
        with self._request("GetProvisionedConcurrencyConfig", FunctionName):
            states = (
                ["READY"]
                * self._version("GetProvisionedConcurrencyConfig", FunctionName, Qualifier).provisioned
                if Qualifier.isdigit()
                else self._alias("GetProvisionedConcurrencyConfig", FunctionName).provisioned
            )
            if not states:
                raise client_error(
                    "GetProvisionedConcurrencyConfig", "ProvisionedConcurrencyConfigNotFoundException"
                )
            status = states.pop(0) if len(states) > 1 else states[0]
            return {"Status": status, "RequestedProvisionedConcurrentExecutions": 5}

    def get_policy(self, *, FunctionName: str, Qualifier: str) -> dict[str, Any]:
        with self._request("GetPolicy", FunctionName):
            if not self._version("GetPolicy", FunctionName, Qualifier).permitted:
                raise client_error("GetPolicy", "ResourceNotFoundException")
            return {"Policy": '{"Statement": [{"Effect": "Allow"}]}', "RevisionId": "r"}

    def get_function_url_config(self, *, FunctionName: str) -> dict[str, Any]:
        with self._request("GetFunctionUrlConfig", FunctionName):
            raise client_error("GetFunctionUrlConfig", "ResourceNotFoundException")

    def delete_function(self, *, FunctionName: str, Qualifier: str | None = None) -> None:
        """One version that no alias refers to; without a version it takes the whole function, as the service."""
        with self._request("DeleteFunction", FunctionName):
            versions = self._versions("DeleteFunction", FunctionName)
            if Qualifier is None:
                del self.versions[FunctionName]
                return
            self._version("DeleteFunction", FunctionName, Qualifier)
            held = [*self.others.get(FunctionName, {}).values()]
            held += [self.aliases[FunctionName]] if FunctionName in self.aliases else []
            if any(Qualifier in (alias.version, *alias.weights) for alias in held):
                raise client_error("DeleteFunction", "ResourceConflictException")
            del versions[Qualifier]
            self.deleted.append((FunctionName, Qualifier))

    def get_paginator(self, name: str) -> Any:
        return SimpleNamespace(paginate=getattr(self, f"_{name}"))

    # -- helpers -------------------------------------------------------------------------------------

    def _list_functions(self) -> Iterator[dict[str, Any]]:
        yield {"Functions": [{"FunctionName": name} for name in sorted(self.versions)]}

    def _list_versions_by_function(self, *, FunctionName: str) -> Iterator[dict[str, Any]]:
        with self._request("ListVersionsByFunction", FunctionName):
            versions = dict(self._versions("ListVersionsByFunction", FunctionName))
        yield {"Versions": [{"Version": "$LATEST", "CodeSha256": "latest", "Description": ""}]}
        yield {
            "Versions": [
                {
                    "Version": number,
                    "CodeSha256": version.sha,
                    "Description": version.description,
                    "CodeSize": version.size,
                }
                for number, version in versions.items()
            ]
        }

    def _list_event_source_mappings(self, *, FunctionName: str = "") -> Iterator[dict[str, Any]]:
        """Those of a version, by its ARN; and one of the function itself, which emulators give as well. Of none, all
        that a test has arranged.
        """
        if not FunctionName:
            yield {"EventSourceMappings": list(self.mappings)}
            return
        arn, _, number = FunctionName.rpartition(":")
        name = arn.rpartition(":")[2]
        with self._request("ListEventSourceMappings", name):
            mapped = number in self.versions[name] and self.versions[name][number].mapped
        yield {"EventSourceMappings": [{"FunctionArn": arn}, *([{"FunctionArn": FunctionName}] * mapped)]}

    def _list_function_event_invoke_configs(self, *, FunctionName: str) -> Iterator[dict[str, Any]]:
        with self._request("ListFunctionEventInvokeConfigs", FunctionName):
            found = dict(self._versions("ListFunctionEventInvokeConfigs", FunctionName))
        for number in ("$LATEST", *(number for number, version in found.items() if version.configured)):
            arn = f"arn:aws:lambda:eu-west-1:111122223333:function:{FunctionName}:{number}"
            yield {"FunctionEventInvokeConfigs": [{"FunctionArn": arn, "MaximumRetryAttempts": 0}]}

    def _list_aliases(self, *, FunctionName: str) -> Iterator[dict[str, Any]]:
        with self._request("ListAliases", FunctionName):
            self._versions("ListAliases", FunctionName)
            named = dict(self.others.get(FunctionName, {}))
            if FunctionName in self.aliases:
                named["live"] = self.aliases[FunctionName]
            described = [{"Name": name, **self._described(alias)} for name, alias in named.items()]
        for one in described:
            yield {"Aliases": [one]}

    def _request(self, operation: str, function: str) -> _Request:
        return _Request(self, operation, function)

    def _revision(self) -> str:
        return f"revision-{next(self._revisions)}"

    def _described(self, alias: Alias) -> dict[str, Any]:
        described: dict[str, Any] = {
            "FunctionVersion": alias.version,
            "RevisionId": alias.revision,
            "Description": alias.description,
        }
        if alias.weights:
            described["RoutingConfig"] = {"AdditionalVersionWeights": dict(alias.weights)}
        return described

    def _versions(self, operation: str, function: str) -> dict[str, Version]:
        if function not in self.versions:
            raise client_error(operation, "ResourceNotFoundException", f"Function not found: {function}")
        return self.versions[function]

    def _version(self, operation: str, function: str, number: str) -> Version:
        versions = self._versions(operation, function)
        if number not in versions:
            raise client_error(
                operation, "ResourceNotFoundException", f"Function not found: {function}:{number}"
            )
        return versions[number]

    def _alias(self, operation: str, function: str) -> Alias:
        self._versions(operation, function)
        if function not in self.aliases:
            raise client_error(operation, "ResourceNotFoundException", "Cannot find alias arn")
        return self.aliases[function]


class _Request:
    """One request: its hooks outside the service's lock, what it does inside."""

    def __init__(self, service: Functions, operation: str, function: str) -> None:
        self._service, self._named = service, (operation, function)

    def __enter__(self) -> None:
        self._service.before(*self._named)
        self._service._lock.acquire()
        self._service.calls.append(self._named)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._service._lock.release()
        if error is None:
            self._service.after(*self._named)
