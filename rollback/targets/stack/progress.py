"""Journals the progress of a stack update, and reads it back. Pure, except `UpdateProgress`, which writes.

began      the engine was started: its process and CI run
lock       the engine holds the stack's lock: the lock's uuid
changed    resources that are done (`restored` for an undo): urn, op, ok
ended      the engine has ended: its exit code, and whether it was locked out and did nothing
adopted    what an earlier engine had started was found and imported
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from rollback.engines import ci
from rollback.engines.pulumi import preview_events
from rollback.engines.pulumi.backend import BackendLock
from rollback.engines.pulumi.engine import CommandResult, CommandWatch
from rollback.model.events import failed_subjects, happened, typed
from rollback.model.plan import Plan
from rollback.model.record import Event
from rollback.model.resource_changes import (
    CREATE,
    DELETE,
    REPLACE,
    SAME,
    UPDATE,
    ResourceChange,
    change_document,
)
from rollback.targets.base import Failure, Journal
from rollback.targets.progress import Batch
from rollback.targets.stack.events import (
    EngineBegan,
    EngineEnded,
    EngineLocked,
    StackChanged,
    StackResource,
    StackRestored,
)
from rollback.util.errors import RollbackError
from rollback.util.process_identity import Process, here

_NEVER_REACHED = "expected resource operations for"
_MOVED = {CREATE: "created", UPDATE: "updated", REPLACE: "replaced", DELETE: "deleted", SAME: "unprotected"}


@dataclass(kw_only=True)
class UpdateProgress:
    """Journals what the engine reports during an update, or an undo (`back`).

    `changing` are the URNs of the plan's resources, `before` those that an earlier engine finished.
    `locks` lists the stack's locks, to find the engine's own. `failures` maps URNs to
    reasons.
    """

    journal: Journal
    locks: Callable[[], Sequence[BackendLock]]
    changing: AbstractSet[str] = frozenset()
    before: AbstractSet[str] = frozenset()
    back: bool = False
    failures: dict[str, str] = field(default_factory=dict)
    _process: Process | None = None
    _locked: bool = False
    _done: dict[str, bool] = field(default_factory=dict)
    _batch: Batch[StackResource] = field(init=False)

    def __post_init__(self) -> None:
        wrote = StackRestored if self.back else StackChanged
        self._batch = Batch(write=lambda batch: self.journal.append(wrote(resources=tuple(batch))))

    def watch(self, seconds: float) -> CommandWatch:
        """The callbacks for the engine; `seconds` is its time limit."""
        return CommandWatch(
            seconds=seconds, began=self.began, event=self.event, stopping=stopping(self.journal)
        )

    def began(self, process: Process) -> None:
        self._process = process
        self.journal.append(EngineBegan(process=process, run=ci.current().attempt, back=self.back))

    def event(self, kind: str, data: Mapping[str, Any]) -> None:
        """Handles an event of the engine: its kind (`resOutputsEvent`) and its JSON (`{"metadata": {"urn",
        "op", …}}`).
        """
        if not self._locked:
            self._find_lock()
        if kind == "diagnosticEvent" and data.get("severity") == "error":
            self._failed(data.get("urn", ""), data["message"])
        if kind in ("resOutputsEvent", "resOpFailedEvent"):
            metadata = data["metadata"]
            op = preview_events.operation(metadata)
            if op not in (None, SAME) and metadata["type"] != preview_events.STACK_TYPE:
                self.through(metadata["urn"], op or "", ok=kind == "resOutputsEvent")
        self._batch.flush_if_due()

    def through(self, urn: str, op: str, *, ok: bool = True) -> None:
        """The engine has finished a resource, or one part of its replacement."""
        self._done[urn] = ok
        self.journal.progress(len((self._done.keys() | self.before) & self.changing))
        self._batch.add(StackResource(urn=urn, op=op, ok=ok))

    def ended(self, ended: CommandResult) -> None:
        self._batch.flush()
        self.journal.append(EngineEnded(code=ended.code, locked_out=ended.locked))

    def all_through(self, changes: Iterable[ResourceChange]) -> None:
        """Marks every resource as done: the update succeeded, even if not every resource was reported."""
        for change in changes:
            if not self._done.get(change.urn):
                self.through(change.urn, change.op)
        self._batch.flush()

    def _failed(self, urn: str, message: str) -> None:
        # After a failure the engine also reports every planned step that it did not reach.
        if urn and not message.startswith(_NEVER_REACHED):
            self.failures.setdefault(urn, _last(message))

    def _find_lock(self) -> None:
        """Finds the engine's lock; the engine reports nothing before it has the lock."""
        self._locked = True
        pid = self._process.pid if self._process else 0
        # Before the uuid is known, host and pid identify our lock.
        held: Sequence[BackendLock] = ()
        with suppress(RollbackError):
            held = self.locks()
        for lock in held:
            if (lock.host, lock.pid) == (here(), pid):
                self.journal.append(EngineLocked(uuid=lock.uuid))


def stopping(journal: Journal) -> Callable[[], bool]:
    """Returns a function that says whether to stop; it raises `LeaseLost` where the lease is no longer ours."""

    def asked() -> bool:
        journal.check()
        return journal.stopping()

    return asked


def processes(events: Iterable[Event]) -> list[Process]:
    """The engine processes that this record started."""
    return [began.process for began in happened(events, EngineBegan)]


def locks(events: Iterable[Event]) -> dict[str, str]:
    """The uuid of each of their locks → the engine's CI run, empty outside CI."""
    found, run = {}, ""
    for event in events:
        if event.kind == EngineBegan.kind:
            run = typed(event, EngineBegan).run
        elif event.kind == EngineLocked.kind:
            found[typed(event, EngineLocked).uuid] = run
    return found


def acted(events: Iterable[Event]) -> bool:
    """Whether an engine may have changed anything: one that was locked out has not."""
    found = False
    for event in events:
        if event.kind == EngineBegan.kind:
            before, found = found, True
        elif event.kind == EngineEnded.kind and typed(event, EngineEnded).locked_out:
            found = before
    return found


def touched(events: Iterable[Event], *, back: bool = False) -> set[str]:
    """The resources that an engine finished, successfully or not, in execution or in undo (`back`)."""
    return set(_through(events, StackRestored if back else StackChanged))


def outcomes(plan: Plan[ResourceChange], events: Sequence[Event]) -> list[dict[str, Any]]:
    """One mapping per changing resource, as `resource_changes.change_document` makes it."""
    forward, back = _through(events, StackChanged), _through(events, StackRestored)
    failed = failed_subjects(events)

    def outcome(change: ResourceChange) -> str:
        if back.get(change.urn):
            return "reverted"
        if forward.get(change.urn):
            return _MOVED[change.op]
        return "failed" if change.urn in failed or forward.get(change.urn) is False else "untouched"

    return [
        change_document(plan, change, change.urn.rpartition("::")[2], outcome(change))
        for change in plan.changing
    ]


def failures(subject: str, ended: CommandResult, progress: UpdateProgress) -> tuple[Failure, ...]:
    """The failures of an engine that did not succeed."""
    if progress.failures:
        return tuple(Failure(subject=urn, reason=why) for urn, why in sorted(progress.failures.items()))
    return (Failure(subject=subject, reason=ended.why),)


def _through(events: Iterable[Event], kind: type[StackChanged | StackRestored]) -> dict[str, bool]:
    """URN → whether its last event was a success."""
    return {item.urn: item.ok for changed in happened(events, kind) for item in changed.resources}


def _last(message: str) -> str:
    lines = [line for line in message.strip().splitlines() if line.strip()]
    return lines[-1].strip() if lines else "it failed"
