"""Breaks functions, and restores what was deployed before: shared by the scenarios that deploy
functions.
"""

from __future__ import annotations

import io
import urllib.request
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rollback.aws.account import Account, explained
from rollback.aws.functions import observe_alias
from rollback.config.naming import DEPLOYER, ROLLBACK
from rollback.model.drill import FAILING, Drill
from rollback.rehearsal.scenario import DrillContext, StateBefore
from rollback.util.errors import (
    Code,
    Refused,
    RollbackError,
    UsageError,
)

# The largest package, in bytes, that can be uploaded in a request
# (https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html).
_UPLOADED = 50 * 1024 * 1024
_SETTLED_SECONDS, _LOOK = 120.0, 0.2
_MARK = "drill.txt"
_NO_HANDLER = "drill.no_such_handler"


@dataclass(frozen=True, kw_only=True)
class Functions:
    """The functions of one service: the given one, or the smallest."""

    stage: DrillContext

    @property
    def _account(self) -> Account:
        return self.stage.session.account

    @property
    def _deployer(self) -> Any:
        return self.stage.roles.account(DEPLOYER).lambda_

    # -- what is deployed -------------------------------------------------------------------------------------

    def look(self) -> dict[str, Any]:
        """What is deployed: `{"service": name, "release": version, "functions": {name: {"version", "code",
        "from", "handler", "description", "answers": bool}}}`. `version` is the alias's; `code` the SHA-256 of
        $LATEST, `from` a version with that code.

        Raises `Refused` where the services are at several releases, or a function could not be restored;
        `UsageError` for more than one service.
        """
        session, services = self.stage.session, self.stage.services
        settings = session.settings
        if len(services) > 1:
            raise UsageError(
                "A drill needs exactly one service.", code=Code.OPTION_INVALID, next="--services SERVICE"
            )
        service = (
            settings.service(services[0])
            if services
            else min(settings.services, key=lambda name: len(settings.services[name]))
        )
        deployed = {name: session.ledger.timeline().all_deployed.get(name) for name in settings.services}
        release = next(iter(deployed.values()))
        if release is None or set(deployed.values()) != {release}:
            raise Refused(
                f"{session.environment} is mixed: its services must be at one release for a drill.",
                code=Code.DRILL_REFUSED,
                next=f"rollback release record --env {session.environment} --version V --commit SHA",
            )
        functions = settings.functions(service)
        return {
            "service": service,
            "release": release,
            "functions": dict(zip(functions, self._account.each(self._one, functions), strict=True)),
        }

    def _one(self, name: str) -> dict[str, Any]:
        pointer = observe_alias(self._account, name, self.stage.session.settings.alias)
        if pointer is None:
            raise Refused(f"{name} has no alias.", code=Code.NOT_DECLARED)
        if pointer.weights:
            raise Refused(
                f"A canary is running: the alias of {name} has weights.", code=Code.CHANGED_BY_OTHERS
            )
        latest = self._latest(name)
        if latest.get("PackageType", "Zip") != "Zip" or latest["CodeSize"] > _UPLOADED:
            raise Refused(
                f"{name} is a container image, or too large to be uploaded in one request, and cannot be used in a drill.",
                code=Code.DRILL_REFUSED,
                next="Use --services with another service.",
            )
        with explained(f"listing the versions of {name}"):
            pages = self._account.lambda_.get_paginator("list_versions_by_function").paginate(
                FunctionName=name
            )
            same = [
                found["Version"]
                for page in pages
                for found in page["Versions"]
                if found["Version"] != "$LATEST" and found["CodeSha256"] == latest["CodeSha256"]
            ]
        if not same:
            raise Refused(
                f"The code of {name} in $LATEST was never published, so it could not be restored.",
                code=Code.DRILL_REFUSED,
                next="Publish it, or deploy published code; or use --services with another service.",
            )
        return {
            "version": pointer.version,
            "code": latest["CodeSha256"],
            "from": same[-1],
            "handler": latest["Handler"],
            "description": latest["Description"],
            "answers": self._answers(name),
        }

    def _latest(self, name: str) -> Any:
        with explained(f"reading {name}"):
            return self._account.lambda_.get_function(FunctionName=name)["Configuration"]

    def _answers(self, name: str) -> bool:
        """Whether an invocation through the alias, like that of a smoke test, succeeds."""
        alias = self.stage.session.settings.alias
        with explained(f"invoking {name}"):
            answer = self._account.lambda_.invoke(FunctionName=name, Qualifier=alias, Payload=b"{}")
        return "FunctionError" not in answer

    # -- breaking ---------------------------------------------------------------------------------------

    def bad_code(self, state_before: StateBefore) -> None:
        """Uploads code without a handler, for any language; or only adds a file, if nothing should
        fail.
        """

        def one(name: str, before: Mapping[str, Any]) -> None:
            package = b"" if self.stage.fault == FAILING else self._code(name, before["from"])
            self._upload(name, marked(package))

        self._each(state_before, one)

    def bad_configuration(self, drill: Drill, before: StateBefore) -> None:
        """Sets a handler that does not exist; or only a description, if nothing should
        fail.
        """
        wrong = {"Handler": _NO_HANDLER} if self.stage.fault == FAILING else {"Description": drill.release}
        self._each(before, lambda name, _: self._configure(name, wrong))

    def promote(
        self, drill: Drill, state_before: StateBefore, commit: str, *more: str, called: bool = True
    ) -> Any:
        """Publishes $LATEST, updates the aliases and records a release, like a deployment; returns the output of the
        recording. With `called` it first checks that the functions fail. Raises `RollbackError` where
        somebody else deploys in the meantime, or where a function does not fail.
        """
        alias, fails = self.stage.session.settings.alias, called and self.stage.fault == FAILING

        def one(name: str, before: Mapping[str, Any]) -> None:
            with explained(f"deploying {name}"):
                made = self._deployer.publish_version(FunctionName=name, Description=drill.release)
                now = self._deployer.get_alias(FunctionName=name, Name=alias)
                if now["FunctionVersion"] != before["version"]:
                    raise RollbackError(
                        f"Somebody else has deployed {name} in the meantime.", code=Code.CHANGED_BY_OTHERS
                    )
                self._deployer.update_alias(
                    FunctionName=name,
                    Name=alias,
                    FunctionVersion=made["Version"],
                    RevisionId=now["RevisionId"],
                )
            if fails and self._answers(name):
                raise RollbackError(
                    f"{name} still responds: the fault has no effect on it.", code=Code.DRILL_FAILED
                )

        self._each(state_before, one)
        return self.stage.driver.must(
            DEPLOYER, "release", "record", "--version", drill.release, "--commit", commit, *more
        )

    def call(self, before: StateBefore, times: int) -> int:
        """Invokes every function `times` times through the alias, like users; returns how many invocations failed."""

        def one(name: str) -> int:
            return sum(not self._answers(name) for _ in range(times))

        return sum(self._account.each(one, before["functions"]))

    # -- checking and restoring --------------------------------------------------------------------------------

    def gone(self, drill: Drill, state_before: StateBefore) -> None:
        """Checks that every alias is at its earlier version, and every function responds as before. Raises
        `RollbackError` otherwise.
        """

        def one(name: str, before: Mapping[str, Any]) -> None:
            pointer = observe_alias(self._account, name, self.stage.session.settings.alias)
            if pointer is None or pointer.version != before["version"] or pointer.weights:
                raise RollbackError(
                    f"{name} is not at version {before['version']}, as before {drill.drill_id}.",
                    code=Code.DRILL_NOT_RESTORED,
                )
            if before["answers"] and not self._answers(name):
                raise RollbackError(f"{name} fails when it is invoked.", code=Code.DRILL_NOT_RESTORED)

        self._each(state_before, one)
        self.stage.driver.must(ROLLBACK, "verify")

    def restore(self, drill: Drill, state_before: StateBefore) -> None:
        """Restores aliases with a rollback if the release was recorded, otherwise directly; then
        $LATEST.

        The drill's release stays quarantined, so that it is never the previous release.
        """
        session = self.stage.session
        timeline = session.ledger.timeline()
        if timeline.release_of(drill.release) is not None:
            if drill.release in timeline.all_deployed.values():
                self.stage.driver.settle(
                    ROLLBACK, "aliases", "lambda", "--to", state_before["release"], "--reason", drill.reason
                )
            if not any(quarantine.version == drill.release for quarantine in session.ledger.quarantines()):
                self.stage.driver.must(
                    ROLLBACK, "release", "quarantine", drill.release, "--reason", drill.reason
                )
        self._each(state_before, lambda name, before: self._restore(drill, name, before))

    def _restore(self, drill: Drill, name: str, before: Mapping[str, Any]) -> None:
        alias = self.stage.session.settings.alias
        with explained(f"restoring {name}"):
            now = self._deployer.get_alias(FunctionName=name, Name=alias)
            if now["FunctionVersion"] != before["version"]:
                configuration = self._account.lambda_.get_function(FunctionName=name, Qualifier=alias)
                if configuration["Configuration"]["Description"] != drill.release:
                    raise RollbackError(
                        f"Somebody else has deployed {name} in the meantime; it was not restored.",
                        code=Code.CHANGED_BY_OTHERS,
                    )
                self._deployer.update_alias(
                    FunctionName=name,
                    Name=alias,
                    FunctionVersion=before["version"],
                    RevisionId=now["RevisionId"],
                )
        latest = self._latest(name)
        if latest["CodeSha256"] != before["code"]:
            self._upload(name, self._code(name, before["from"]))
        wrong = {
            key: before[key.lower()]
            for key in ("Handler", "Description")
            if latest[key] != before[key.lower()]
        }
        if wrong:
            self._configure(name, wrong)
        if self._latest(name)["CodeSha256"] != before["code"]:
            raise RollbackError(
                f"The code of {name} in $LATEST was not restored.", code=Code.DRILL_NOT_RESTORED
            )

    # -- calls -------------------------------------------------------------------------------------------

    def _each(self, before: StateBefore, do: Callable[[str, Mapping[str, Any]], None]) -> None:
        self._account.each(lambda item: do(*item), before["functions"].items())

    def _code(self, name: str, version: str) -> bytes:
        """The package of a published version."""
        with explained(f"reading the code of {name}"):
            place = self._account.lambda_.get_function(FunctionName=name, Qualifier=version)["Code"][
                "Location"
            ]
        try:
            with urllib.request.urlopen(place, timeout=60) as answer:  # noqa: S310 - where Lambda says that it is
                found: bytes = answer.read()
        except OSError as error:
            raise RollbackError(
                f"The code of {name} cannot be read: {error}", code=Code.DRILL_FAILED
            ) from None
        return found

    def _upload(self, name: str, package: bytes) -> None:
        with explained(f"uploading the code of {name}"):
            self._deployer.update_function_code(FunctionName=name, ZipFile=package)
        self._settled(name)

    def _configure(self, name: str, values: Mapping[str, str]) -> None:
        own: Any = self.stage.roles.own.lambda_
        with explained(f"configuring {name}"):
            own.update_function_configuration(FunctionName=name, **values)
        self._settled(name)

    def _settled(self, name: str) -> None:
        clocks = self.stage.session.clocks
        began = clocks.monotonic()
        while self._latest(name).get("LastUpdateStatus", "Successful") != "Successful":
            if clocks.monotonic() - began > _SETTLED_SECONDS:
                raise RollbackError(
                    f"The update of {name} did not finish within {_SETTLED_SECONDS:.0f} s.",
                    code=Code.DRILL_FAILED,
                )
            clocks.sleep(_LOOK)


def marked(package: bytes) -> bytes:
    """A package with the drill's marker file added."""
    buffer = io.BytesIO(package)
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr(_MARK, "This code is bad on purpose: a drill.\n")
    return buffer.getvalue()
