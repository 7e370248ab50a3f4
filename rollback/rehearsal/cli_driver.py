"""Runs the commands that an on-call person would type, each in its own process, and measures them."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from rollback.aws.account import code
from rollback.config.naming import APPROVER, DEPLOYER, ROLLBACK
from rollback.lifecycle.context import Session
from rollback.model.drill import KILLED, THROTTLED, Drill
from rollback.model.kind import Kind
from rollback.model.record import UNFINISHED, WAITING, Record, Status
from rollback.model.release import OPENED
from rollback.rehearsal.roles import Roles
from rollback.util.errors import (
    AwaitingApproval,
    Code,
    Refused,
    RollbackError,
)
from rollback.util.sanitize import clean

# The entry point of this installation's console script, independent of the PATH.
_SCRIPT = "import sys; sys.path[0] = sys.argv.pop(1); from rollback.cli.entry import main; main()"
_HERE = str(Path(__file__).resolve().parents[2])
_SHOWN = 6
_LOOK = 0.02
_APPROVAL_LOOK = 5.0
# Control-plane calls per second that the fault `throttled` takes from the quota of 15.
_TAKEN = 12


@dataclass(frozen=True, kw_only=True, slots=True)
class CommandOutcome:
    """A command's result: exit code, JSON document (or None), and standard error."""

    code: int
    document: Any
    output: str

    @property
    def why(self) -> str:
        """The last lines of its standard error."""
        *before, last = self.output.strip().splitlines() or [""]
        try:
            error = json.loads(last)
            parts = [*error["message"].splitlines(), error["changed"], *error["hint"].splitlines()]
        except (ValueError, TypeError, KeyError):
            parts = [*before, last]
        return "; ".join(argument.strip() for argument in parts[-_SHOWN:] if argument)


@dataclass(kw_only=True)
class Stopwatch:
    """Measures from the decision to verified COMPLETE: `seconds`, without the `waited` seconds for approvals, and the
    records' ids.
    """

    seconds: float = 0.0
    waited: float = 0.0
    rollbacks: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class CliDriver:
    """Runs commands in `root`, the temporary clone. `patience` is how many seconds it waits for an approval."""

    session: Session
    roles: Roles
    root: Path
    fault: str
    patience: float
    # Set on Ctrl-C.
    stop: threading.Event = field(default_factory=threading.Event)
    watch: Stopwatch = field(default_factory=Stopwatch)
    notice: Callable[[str], None] = lambda _: None

    # -- the rollback itself -----------------------------------------------------------------------------

    def roll_back(self, role: str, kind: str, *arguments: str) -> Any:
        """Runs `rollback WORDS` to COMPLETE, approved and confirmed as the environment requires; returns its
        record's JSON.

        Measured, with the fault. Raises `RollbackError` for any other result.
        """
        begun, waited = time.monotonic(), 0.0
        with self._scarce():
            done, waited = self._through(role, kind, arguments, self._disturbed)
        document = done.document or {}
        if name := document.get("rollback_id"):
            self.watch.rollbacks.append(name)
        self.watch.seconds += time.monotonic() - begun - waited
        self.watch.waited += waited
        if done.code or document.get("status") != Status.COMPLETE:
            raise RollbackError(
                f"rollback {arguments[0]} ended with exit code {done.code}: {done.why}",
                code=Code.DRILL_FAILED,
            )
        return document

    def settle(self, role: str, kind: str, *arguments: str) -> None:
        """Like `roll_back`, without fault and measurement; having nothing to do is a success. Raises `RollbackError` where
        it fails.
        """
        done, _ = self._through(role, kind, arguments, self.type)
        if done.code:
            raise RollbackError(
                f"rollback {arguments[0]} ended with exit code {done.code}: {done.why}",
                code=Code.DRILL_FAILED,
            )

    def approve(self, kind: str, name: str, digest: str) -> None:
        """Lets another person approve a plan, if the environment requires that, and counts the seconds as waited."""
        if self.session.policy(kind) == "identity":
            self.watch.waited += self._approved(name, digest)

    def _through(
        self, role: str, kind: str, arguments: Sequence[str], act: Callable[..., CommandOutcome]
    ) -> tuple[CommandOutcome, float]:
        """A rollback with the required approval, and the seconds waited for it.

        `act` runs the command.
        """
        policy = self.session.policy(kind)
        if policy == "none":
            return act(role, *arguments), 0.0
        if policy == "confirm" and self.session.settings.confirmed_unseen:
            return act(role, *arguments, "--yes"), 0.0
        done, waited = self.type(role, *arguments), 0.0
        if done.code != AwaitingApproval.exit_code:
            return done, waited
        name, digest = done.document["rollback_id"], done.document["digest"]
        if policy == "identity":
            waited = self._approved(name, digest)
        return act(role, "apply", name, *(["--digest", digest] if policy == "confirm" else [])), waited

    def _disturbed(self, role: str, *arguments: str) -> CommandOutcome:
        """Runs the command; with the fault `killed` it is killed half-way, and resumed."""
        if self.fault != KILLED:
            return self.type(role, *arguments)
        process = self._start(role, *arguments)
        name = None
        while name is None and process.poll() is None:
            name = self._in_flight()
            time.sleep(_LOOK)
        process.kill()
        process.communicate()
        if name is None:
            raise RollbackError("The rollback ended before it could be killed.", code=Code.DRILL_FAILED)
        self.notice(f"killed process {process.pid} while {name} was running")
        return self.type(role, "resume", name)

    def _in_flight(self) -> str | None:
        """The running record."""
        for held in self.session.leases.holders().values():
            if len(owner := str(held["owner"])) == _ULID:
                try:
                    if self.session.ledger.load(owner).record.status is Status.IN_PROGRESS:
                        return owner
                except RollbackError:
                    continue
        return None

    def _approved(self, name: str, digest: str) -> float:
        """Lets another person approve a plan; returns the seconds that it took."""
        begun, env = time.monotonic(), self.session.environment
        if self.roles.approver:
            arguments = ("approve", name, "--digest", digest)
            done = self._finish(self._run(self.roles.approvers(), *arguments), arguments)
            if done.code:
                raise RollbackError(
                    f"The profile {self.roles.approver!r} could not approve: {done.why}",
                    code=Code.DRILL_FAILED,
                )
            return time.monotonic() - begun
        self.notice(f"waiting for another person, under {self.session.settings.called(APPROVER)}, to run:")
        self.notice(f"rollback approve {name} --digest {digest} --env {env}")
        while not self.session.ledger.approvals(name):
            if time.monotonic() - begun > self.patience:
                raise RollbackError(
                    f"Nobody approved {name} within {self.patience / 60:.0f} minutes.",
                    code=Code.APPROVAL_MISSING,
                )
            if self.stop.is_set():
                raise RollbackError(
                    f"Interrupted while {name} was waiting for approval.", code=Code.INTERRUPTED
                )
            self.session.clocks.sleep(_APPROVAL_LOOK)
        return time.monotonic() - begun

    @contextmanager
    def _scarce(self) -> Iterator[None]:
        """With the fault `throttled`, uses most of Lambda's quota in the background."""
        if self.fault != THROTTLED:
            yield
            return
        settings, over = self.session.settings, threading.Event()
        client = self.roles.account(DEPLOYER).client("lambda", retries={"total_max_attempts": 1})
        function = next(iter(settings.catalogue()))
        refused = 0

        def take() -> None:
            nonlocal refused
            while not over.wait(1 / _TAKEN):
                try:
                    client.get_alias(FunctionName=function, Name=settings.alias)
                except ClientError as error:
                    refused += code(error) == "TooManyRequestsException"

        thread = threading.Thread(target=take, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
            self.notice(
                f"{_TAKEN} calls per second were taken from the quota; {refused} of them were throttled"
            )

    # -- an earlier drill ---------------------------------------------------------------------

    def clean_up(self, drill: Drill) -> None:
        """Ends what a drill left running: rollbacks with its reason, and standbys for its release.
        Raises `RollbackError` where one cannot be ended.
        """
        for record in self.opened(drill):
            if record.status not in UNFINISHED:
                continue
            role = ROLLBACK if record.kind in (Kind.ALIASES, Kind.TABLE, Kind.CUTOVER) else DEPLOYER
            name = record.rollback_id
            if record.status not in WAITING and self.type(role, "resume", name).code == 0:
                continue
            done = self.type(role, "abort", name)
            if done.code:
                raise RollbackError(f"{name} could not be ended: {done.why}", code=Code.DRILL_NOT_RESTORED)

    def opened(self, drill: Drill) -> Iterator[Record]:
        """The records of a drill, newest first: those with its reason, and standbys for its release."""
        for entry in self.session.ledger.timeline():
            if entry.seq <= drill.seq:
                return
            if entry.kind == OPENED:
                record = self.session.ledger.load(entry.id).record
                ready = bool(record.standby_until) and record.from_version == drill.release
                if ready or record.reason == drill.reason:
                    yield record

    # -- commands ----------------------------------------------------------------------------------------

    def must(self, role: str, *arguments: str) -> Any:
        """Runs a command that must succeed; returns its JSON. Raises `RollbackError` with its last lines
        otherwise.
        """
        done = self.type(role, *arguments)
        if done.code:
            kind = Refused if done.code == Refused.exit_code else RollbackError
            raise kind(
                f"rollback {arguments[0]} ended with exit code {done.code}: {done.why}",
                code=Code.DRILL_FAILED,
            )
        return done.document

    def type(self, role: str, *arguments: str) -> CommandOutcome:
        """Runs a command under a role."""
        return self._finish(self._start(role, *arguments), arguments)

    def _start(self, role: str, *arguments: str) -> subprocess.Popen[str]:
        return self._run(self.roles.variables(role), *arguments)

    def _run(self, variables: dict[str, str], *arguments: str) -> subprocess.Popen[str]:
        typed = [*arguments, "--env", self.session.environment]
        self.notice(f"$ rollback {' '.join(_quoted(typed))}")
        return subprocess.Popen(
            [sys.executable, "-c", _SCRIPT, _HERE, *typed, "--json"],
            cwd=self.root,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            # Ctrl-C must only reach the drill, which then restores what was deployed before.
            start_new_session=True,
        )

    def _finish(self, process: subprocess.Popen[str], arguments: Sequence[str]) -> CommandOutcome:
        out, output = process.communicate()
        try:
            document = json.loads(out) if out.strip() else None
        except ValueError:
            raise RollbackError(
                f"rollback {arguments[0]} did not write JSON:  {clean(out)[:200]}",
                code=Code.DRILL_FAILED,
            ) from None
        return CommandOutcome(code=process.returncode, document=document, output=clean(output))


_ULID = 26


def _quoted(arguments: Sequence[str]) -> list[str]:
    return [f'"{argument}"' if " " in argument else argument for argument in arguments]
