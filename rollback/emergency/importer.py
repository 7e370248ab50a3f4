"""Imports the journal of an emergency into the ledger, once it is available again.

The record gets all events of the journal, chained again after the current timeline; the last event
names the file and the last hash of its chain. From then on the timeline has what is deployed and what
was replaced. An interrupted import is finished by importing again.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from rollback.aws.functions import AliasSeen, observe_alias
from rollback.emergency.journal import (
    IMPORTED,
    JournalFile,
    read,
    wherever,
)
from rollback.ledger.lease import ALIASES, HeldLeases
from rollback.ledger.stored_record import Opened
from rollback.lifecycle.context import Session
from rollback.lifecycle.ledger_store import end_entry, new_quarantines
from rollback.lifecycle.ports import Ui
from rollback.lifecycle.record_lease import RecordLeases
from rollback.model.advice import next_for
from rollback.model.alias_moves import Move, deployed_versions, states
from rollback.model.deployed import UNKNOWN, Deployed, stored
from rollback.model.events import Imported, typed
from rollback.model.kind import Kind
from rollback.model.plan import Plan
from rollback.model.record import DeployedVersion, Entered, Event, Record, Status
from rollback.targets.aliases.recorded import deployed_label
from rollback.util.errors import (
    Code,
    Refused,
    RollbackError,
    UsageError,
)

_NAMED = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Adopted:
    """An imported journal. `new`: this call imported it; `deployed`: what is deployed now."""

    record: Record
    plan: Plan[Move]
    events: tuple[Event, ...]
    deployed: str
    new: bool = True


@dataclass(frozen=True, kw_only=True)
class JournalImport:
    """Imports journals, as one caller. `stop` is set on Ctrl-C."""

    session: Session
    ui: Ui
    stop: threading.Event = field(default_factory=threading.Event)

    def adopt(self, path: Path, *, although_moved: bool = False) -> Adopted:
        """Imports the journal in `path` as a record. Idempotent.

        Raises `Refused` where the journal was changed, belongs to another environment, was written to after
        it was imported, or where aliases differ from it, unless `although_moved`.
        """
        path = wherever(path)
        journal = read(path)
        journal.check_environment(self.session.settings)
        known = self._known(journal)
        if known is not None and (end := _end(known)) is not None:
            if typed(end, Imported).head != journal.head:
                raise Refused(
                    f"{journal.record.rollback_id} is already imported, but {path} has newer entries.",
                    code=Code.WRONG_STATUS,
                    next=next_for(known.record),
                )
            return self._done(path, known.record, journal, known.events, new=False)
        moved = self._moved_since(journal)
        if moved and not although_moved:
            raise Refused(
                "\n".join(["Aliases were changed after the emergency:", *moved[:_NAMED]]),
                code=Code.CHANGED_BY_OTHERS,
                next="Find out who changed them. --although-moved imports the journal anyway; the deployed version of their "
                "services is then recorded as unknown.",
            )
        # An earlier import that crashed may have left the lease, before or after it wrote the record.
        records = RecordLeases(session=self.session, ui=self.ui, stop=self.stop)
        with records.taken((ALIASES,), journal.record.rollback_id) as lease:
            lease.in_flight = known is not None
            record = self._opened_anew(journal, known, lease)
            for event in journal.events[record.events :]:
                record, _ = self.session.ledger.journal(record, _entered(event), lease)
            record, _ = self._closed(journal, record, lease, [line.partition(":")[0] for line in moved])
        opened = self.session.ledger.load(record.rollback_id)
        return self._done(path, opened.record, journal, opened.events, new=True)

    # -- the steps -------------------------------------------------------------------------------------

    def _known(self, journal: JournalFile) -> Opened | None:
        try:
            return self.session.ledger.load(journal.record.rollback_id)
        except UsageError:
            return None

    def _moved_since(self, journal: JournalFile) -> list[str]:
        """The aliases that differ from the journal's end, in words."""
        alias = self.session.settings.alias

        def differs(item: tuple[str, DeployedVersion]) -> str:
            return difference(*item, observe_alias(self.session.account, item[0], alias))

        left = deployed_versions(journal.plan, journal.events)
        return [line for line in self.session.account.each(differs, left.items()) if line]

    def _opened_anew(self, journal: JournalFile, known: Opened | None, lease: HeldLeases) -> Record:
        """The record with those of the journal's events that the ledger has."""
        lease.in_flight = True
        if known is not None:
            return known.record
        first = _entered(journal.events[0])
        record, _ = self.session.ledger.open(journal.began, Status.IN_PROGRESS, journal.plan, first, lease)
        return record

    def _closed(
        self, journal: JournalFile, record: Record, lease: HeldLeases, moved: Collection[str]
    ) -> tuple[Record, Event]:
        now, ledger = self.session.clocks.now(), self.session.ledger
        deployed = deployed_after(journal.plan, journal.events, moved)
        ended = journal.record
        status = Status.FAILED if ended.status is Status.IN_PROGRESS else ended.status
        counts = self.session.target(Kind.ALIASES).counts(journal.plan, journal.events)
        imported = Imported(
            file=journal.path.name,
            events=len(journal.events),
            head=journal.head,
            moved_since=tuple(sorted(moved)),
            stands=stored(deployed),
        )
        left = {
            service: version
            for service, version in journal.plan.quarantines.items()
            if deployed[service] == journal.plan.targets[service]
        }
        closed = ledger.close(
            record,
            imported.entered(at=now, by=self.session.caller),
            lease,
            {
                "status": status,
                "completed_at": ended.completed_at or now,
                "counts": counts,
                "verification": ended.verification,
                "elapsed_seconds": ended.elapsed_seconds,
                **({} if ended.relieved_seconds is None else {"relieved_seconds": ended.relieved_seconds}),
            },
            entry=end_entry(
                self.session, record, status, now, services=journal.plan.subjects, deployed=deployed
            ),
            quarantines=new_quarantines(self.session, record, left, now),
        )
        lease.in_flight = False
        return closed

    def _done(
        self, path: Path, record: Record, journal: JournalFile, events: tuple[Event, ...], *, new: bool
    ) -> Adopted:
        """Publishes what is deployed to the SSM parameter, and renames the file."""
        ledger, catalogue = self.session.ledger, self.session.settings.catalogue()
        deployed = deployed_label(ledger, ledger.timeline(), catalogue)
        try:
            self.session.account.publish(self.session.settings.names.deployed_version, deployed)
        except RollbackError as error:
            error.changed = "The journal is in the ledger."
            error.next = f"rollback ledger import {path} --env {record.environment}  # to try again"
            raise
        if path.suffix != IMPORTED:
            with suppress(OSError):  # a copy, or another person's file: `status` asks the ledger
                path.rename(path.with_name(path.name + IMPORTED))
        return Adopted(record=record, plan=journal.plan, events=events, deployed=deployed, new=new)


def difference(name: str, left: DeployedVersion, seen: AliasSeen | None) -> str:
    """How an alias differs from the journal's end, in words; empty if it does not. Pure."""
    if seen is None:
        return f"{name}: its alias no longer exists"
    if (seen.version, dict(seen.weights)) == (left.version, dict(left.weights)):
        return ""
    return (
        f"{name}: the journal left it at version {left.version}, weights {dict(left.weights) or 'none'}; it is "
        f"at version {seen.version}, weights {dict(seen.weights) or 'none'}"
    )


def deployed_after(
    plan: Plan[Move], events: Collection[Event], moved: Collection[str]
) -> dict[str, Deployed]:
    """Service → its deployed release according to a journal. Pure.

    `moved` are the functions that were changed since.
    """
    known, left = states(plan, events), plan.left(undone=True)
    functions: dict[str, list[str]] = defaultdict(list)
    for step in plan.steps:
        functions[step.service].append(step.function)

    def one(service: str) -> Deployed:
        there = [known[name] for name in functions[service]]
        if set(moved) & set(functions[service]):
            return UNKNOWN
        if all(state.moved for state in there):
            return plan.targets[service]
        back = all(not state.moved and not state.doubtful for state in there)
        return left[service] if back else UNKNOWN

    return {service: one(service) for service in plan.subjects}


def _end(opened: Opened) -> Event | None:
    """The last event of a record's import, if the import was finished."""
    return next((event for event in opened.events if event.kind == Imported.kind), None)


def _entered(event: Event) -> Entered:
    data: Mapping[str, object] = event.data
    return Entered(kind=event.kind, at=event.at, by=event.by, data=data)
