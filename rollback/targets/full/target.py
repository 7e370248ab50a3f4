"""Rolls back a whole release: its aliases, then its stack and its Terraform configuration.

Aliases first, because they bring relief in seconds; the failure of a later part does not undo them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from rollback.model import floors
from rollback.model.composite_plan import PARTS, Piece, events_of, parts, pieces
from rollback.model.deployed import Deployed
from rollback.model.events import Happened, PartDone, happened
from rollback.model.kind import Kind
from rollback.model.plan import Plan, Refusal
from rollback.model.record import COUNTS, INFRASTRUCTURE, Check, Event
from rollback.model.release import PREVIOUS, previous
from rollback.model.request import FullRequest, Request, part_of
from rollback.targets.base import Context, Journal, Outcome, Target
from rollback.util.errors import Code, Refused


class Full:
    """The target `full`: the parts in `PARTS`, each with its own target."""

    kind = Kind.FULL
    verb = "full"
    doing = "Rolling back"
    smoked = True
    step = Piece

    def __init__(self, context: Context) -> None:
        self._context = context
        self._settings = context.account.settings

    @cached_property
    def _targets(self) -> dict[str, Target]:
        from rollback.targets import make  # noqa: PLC0415 - which knows this one, too

        return {kind: make(kind, self._context) for kind in PARTS}

    @property
    def minutes(self) -> int:
        return self._settings.rto.full

    def domains(self, request: FullRequest) -> tuple[str, ...]:
        return tuple(domain for target in self._targets.values() for domain in target.domains(request))

    def plan(self, request: FullRequest) -> Plan[Piece]:
        """One plan of all parts of the release. Raises as the parts' plans do."""
        version = self._version(request)
        entry = self._context.ledger.timeline(verified=True).release_of(version)
        if entry is None:
            # The aliases' plan has the best error message.
            return self._joined(
                request, [self._targets[Kind.ALIASES].plan(part_of(request, Kind.ALIASES, version))]
            )
        release = self._context.ledger.recorded_release(entry)
        wanted = {
            Kind.ALIASES: version,
            Kind.STACK: release.stack_commit,
            Kind.TERRAFORM: release.terraform_commit,
        }
        made, notices = [], []
        for kind, to in wanted.items():
            if to and kind == Kind.TERRAFORM and self._settings.terraform is None:
                notices.append(f"{kind} is not changed: the settings have no Terraform configuration.")
            elif to:
                made.append(self._targets[kind].plan(part_of(request, kind, to)))
            else:
                notices.append(f"{kind} is not changed: release {version} has no commit for it.")
        joined = self._joined(request, made)
        return replace(joined, notices=(*joined.notices, *notices))

    def again(self, plan: Plan[Piece], rollback_id: str) -> Plan[Piece]:
        today = [self._targets[kind].again(part, rollback_id) for kind, part in parts(plan).items()]
        return self._joined(plan.request, today)

    def refusals(self, plan: Plan[Piece]) -> Sequence[Refusal]:
        return plan.refusals

    def keep(self, plan: Plan[Piece], rollback_id: str) -> None:
        for kind, part in parts(plan).items():
            self._targets[kind].keep(part, rollback_id)

    def forget(self, plan: Plan[Piece], rollback_id: str, events: Sequence[Event], *, ended: bool) -> None:
        for kind, part in parts(plan).items():
            self._targets[kind].forget(part, rollback_id, events_of(part, events), ended=ended)

    def execute(self, plan: Plan[Piece], journal: Journal) -> Outcome:
        """Executes part by part. Aliases that fail are reverted; a failure of a later part reverts nothing."""
        finished = {done.part for done in happened(journal.events, PartDone)}
        done: list[str] = []
        before = 0
        for kind, part in parts(plan).items():
            if kind not in finished and part.changing:
                part_journal = PartJournal(journal=journal, plan=part, before=before)
                outcome = self._targets[kind].execute(part, part_journal)
                if not outcome.ok:
                    return replace(
                        outcome,
                        revert=outcome.revert and not done,
                        done=(*done, *outcome.done),
                    )
                # In this order: after the journal is written, publishing needs no lease.
                journal.append(PartDone(part=kind))
                self._targets[kind].publish(part, part.left(undone=False), events_of(part, journal.events))
            done.extend(part.subjects)
            # What is unchanged counts for aliases, which confirm it, and not for resources.
            before += self._targets[kind].counts(part, ())["planned"]
            journal.progress(before)
        return Outcome()

    def undo(self, plan: Plan[Piece], journal: Journal) -> Outcome:
        """Undoes the last part first; parts that were not started are skipped."""
        failures: list[Any] = []
        for kind, part in reversed(parts(plan).items()):
            part_journal = PartJournal(journal=journal, plan=part, before=0)
            if not part_journal.events and not journal.taken_over:
                continue
            if not part.changing:
                continue
            outcome = self._targets[kind].undo(part, part_journal)
            failures.extend(outcome.failures)
            if outcome.interrupted:
                return Outcome(failures=tuple(failures), interrupted=True)
        return Outcome(failures=tuple(failures))

    def verify(self, plan: Plan[Piece]) -> Sequence[Check]:
        return [
            check
            for kind, part in parts(plan).items()
            if part.changing
            for check in self._targets[kind].verify(part)
        ]

    def publish(self, plan: Plan[Piece], deployed: Mapping[str, Deployed], events: Sequence[Event]) -> None:
        for kind, part in parts(plan).items():
            if part.changing:
                there = {subject: deployed[subject] for subject in part.subjects}
                self._targets[kind].publish(part, there, events_of(part, events))

    def counts(self, plan: Plan[Piece], events: Sequence[Event]) -> Mapping[str, int]:
        each = [
            self._targets[kind].counts(part, events_of(part, events)) for kind, part in parts(plan).items()
        ]
        return {name: sum(counted.get(name, 0) for counted in each) for name in COUNTS}

    def outcomes(self, plan: Plan[Piece], events: Sequence[Event]) -> Sequence[Mapping[str, Any]]:
        """The outcomes of all parts, each with its part's kind: `{"part": "aliases", "name": …, "outcome":
        …}`.
        """
        return [
            {"part": kind, **outcome}
            for kind, part in parts(plan).items()
            for outcome in self._targets[kind].outcomes(part, events_of(part, events))
        ]

    def _version(self, request: FullRequest) -> str:
        """The target release. Raises `Refused` where the services have no previous one in common."""
        if request.release != PREVIOUS:
            return request.release
        ledger = self._context.ledger
        found = previous(
            ledger.timeline(verified=True),
            tuple(self._settings.services),
            ledger.quarantines(),
            allow_below=request.allow_below,
        )
        if len(set(found.values())) > 1:
            each = ", ".join(f"{service} {version}" for service, version in sorted(found.items()))
            raise Refused(
                f"The services have no previous release in common: {each}.",
                code=Code.NO_PREVIOUS,
                next=f"rollback release list --env {self._settings.environment}  # then use --to V\n"
                f'rollback lambda --env {self._settings.environment} --reason "…"  # only aliases',
            )
        return next(iter(found.values()))

    def _joined(self, request: Request, made: Sequence[Plan[Any]]) -> Plan[Piece]:
        first = made[0]
        return Plan(
            kind=Kind.FULL,
            environment=first.environment,
            account=first.account,
            region=first.region,
            request=request,
            from_version=first.from_version,
            to_version=first.to_version,
            leaves={subject: left for part in made for subject, left in part.leaves.items()},
            targets={subject: to for part in made for subject, to in part.targets.items()},
            quarantines={subject: left for part in made for subject, left in part.quarantines.items()},
            steps=tuple(piece for part in made for piece in pieces(part)),
            # The parts have their other facts.
            facts=floors.only({name: text for part in made for name, text in part.facts.items()}),
            infrastructure={
                op: sum(part.infrastructure.get(op, 0) for part in made) for op in INFRASTRUCTURE
            },
            notices=tuple(f"{part.kind}: {notice}" for part in made for notice in part.notices),
            refusals=tuple(refusal for part in made for refusal in self._targets[part.kind].refusals(part)),
        )


@dataclass(frozen=True, kw_only=True)
class PartJournal:
    """The record's journal as one part sees it (`targets.base.Journal`). `before` is the number of steps of
    earlier parts, for progress.
    """

    journal: Journal
    plan: Plan[Any]
    before: int

    @property
    def rollback_id(self) -> str:
        return self.journal.rollback_id

    @property
    def events(self) -> Sequence[Event]:
        return events_of(self.plan, self.journal.events)

    @property
    def tag(self) -> str:
        return self.journal.tag

    @property
    def taken_over(self) -> bool:
        return self.journal.taken_over

    def append(self, data: Happened) -> None:
        """Like `Journal.append`; the event also names the part (`"part": "aliases"`)."""
        self.journal.append(replace(data, part=self.plan.kind))

    def check(self) -> None:
        self.journal.check()

    def stopping(self) -> bool:
        return self.journal.stopping()

    def progress(self, done: int) -> None:
        self.journal.progress(self.before + done)
