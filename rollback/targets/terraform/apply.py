"""Applies a saved plan with a record's journal, and cleans up after a killed apply."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rollback.engines import ci
from rollback.engines.terraform import Diagnostic, Line
from rollback.ledger.lease import TERRAFORM as DOMAIN
from rollback.model.events import happened, typed
from rollback.model.plan import Plan
from rollback.model.record import Event
from rollback.model.resource_changes import ResourceChange
from rollback.targets.base import Failure, Journal, Outcome
from rollback.targets.progress import Batch
from rollback.targets.proof_of_death import proof
from rollback.targets.terraform import plan_json
from rollback.targets.terraform.events import (
    ApplyEnded,
    Applying,
    StateLocked,
    StateUnlocked,
    TerraformAdopted,
    TerraformChanged,
    TerraformPutBack,
    TerraformResource,
)
from rollback.targets.terraform.plan_json import CHANGED
from rollback.targets.terraform.state_bucket import StateBucket, StateLock, position
from rollback.targets.terraform.workspace import Work
from rollback.util.errors import Code, Refused
from rollback.util.process_identity import Process

_WROTE: Mapping[str, type[TerraformChanged | TerraformPutBack]] = {
    one.kind: one for one in (TerraformChanged, TerraformPutBack)
}
_SINCE = (Applying.kind, ApplyEnded.kind, TerraformAdopted.kind)


@dataclass(kw_only=True)
class _ApplyJournal:
    """Journals an apply's output: its process, its lock, and in batches its changes."""

    journal: Journal
    kind: str
    bucket: StateBucket
    sha256: str
    done: set[str]
    touched: bool = False
    _batch: Batch[TerraformResource] = field(init=False)

    def __post_init__(self) -> None:
        wrote = _WROTE[self.kind]
        self._batch = Batch(write=lambda batch: self.journal.append(wrote(resources=tuple(batch))))

    def started(self, process: Process) -> None:
        run = ci.current().attempt
        self.journal.append(Applying(process=process, sha256=self.sha256, towards=self.kind, run=run))

    def lines(self, lines: Sequence[Line]) -> None:
        self.journal.check()
        for line in lines:
            if line.get("type") == "apply_start" and not self.touched:
                self.touched = True
                if (held := self.bucket.held()) is not None:
                    self.journal.append(StateLocked(id=held.id, who=held.who))
            elif line.get("type") == "apply_complete":
                self._add(line["hook"])
        # Until Terraform writes its state, possibly minutes later, only this has the id of a created object.
        if any(item.action == "create" for item in self._batch.waiting):
            self.flush()
        self._batch.flush_if_due()

    def flush(self) -> None:
        self._batch.flush()

    def _add(self, hook: Mapping[str, Any]) -> None:
        identifier = str(hook.get("id_value", "")) if hook.get("id_key") == "id" else ""
        item = TerraformResource(address=hook["resource"]["addr"], action=hook["action"], id=identifier)
        self.done.add(item.address)
        self.journal.progress(len(self.done))
        self._batch.add(item)


def apply(
    work: Work, bucket: StateBucket, plan: Plan[ResourceChange], journal: Journal, kind: str
) -> Outcome:
    """Applies the folder's saved plan; `kind` says whether this is the execution of `plan` or its undo."""
    done = plan_json.moved(plan, journal.events) if kind == CHANGED else set()
    reporter = _ApplyJournal(
        journal=journal, kind=kind, bucket=bucket, sha256=work.sha256(work.saved), done=done
    )
    ended, asked = work.apply(started=reporter.started, on_lines=reporter.lines, stopping=journal.stopping)
    reporter.flush()
    passed = ended.code == 0
    every = passed and kind == CHANGED
    journal.append(
        ApplyEnded(code=ended.code, touched=reporter.touched, all=every, **position(bucket.state()))
    )
    if passed:
        return Outcome()
    if asked and journal.stopping():
        return Outcome(interrupted=True)
    if asked:
        reason = f"it did not finish within {work.seconds / 60:.0f} minutes and was stopped"
        return Outcome(failures=(Failure(subject=DOMAIN, reason=reason),))
    return Outcome(failures=tuple(_failure(one, reporter.touched) for one in ended.diagnostics))


def begun(events: Sequence[Event]) -> Process | None:
    """The process of the last apply, if there was one."""
    return next((one.process for one in happened(reversed(events), Applying)), None)


def touched(events: Sequence[Event]) -> bool:
    """Whether an apply may have changed anything: it reported a change, or was killed before it could."""
    last = next((event for event in reversed(events) if event.kind in (Applying.kind, ApplyEnded.kind)), None)
    if last is not None and last.kind == Applying.kind:
        return True
    return any(ended.touched for ended in happened(events, ApplyEnded))


def overtaken(events: Sequence[Event], state: Mapping[str, Any]) -> bool:
    """Whether somebody else has written the `state` (its JSON) since this record's last apply, if
    known.
    """
    last = next((e for e in reversed(events) if e.kind in _SINCE), None)
    if last is None or last.kind != ApplyEnded.kind:
        return False
    ended = typed(last, ApplyEnded)
    return {"serial": ended.serial, "lineage": ended.lineage} != position(state)


def unlock(work: Work, held: StateLock | None, journal: Journal, confirmed: str) -> None:
    """Removes the state's lock, if it is in this record's journal and the apply that took it has ended.

    That is known for this machine, and for a CI run that has ended; for a process on another machine a person
    must confirm it (`confirmed`, HOST:PID), and so for a lock that is not in the journal (`confirmed`, the
    lock's id): somebody may be working by hand, under the same name and on the same machine. Raises `Refused` for any
    other lock.
    """
    if (process := begun(journal.events)) is not None and process.is_here:
        process.end_group()
    if held is None:
        return
    took = _took(held, journal.events)
    names = {held.id, *([str(took.process)] if took else ())}
    why = proof([took.process] if took else (), (took and took.run) or "", names=names, confirmed=confirmed)
    if not why:
        raise _locked(held, took)
    owner = str(took.process) if took else ""
    journal.append(StateUnlocked(id=held.id, who=held.who, process=owner, confirmed=confirmed, proof=why))
    work.unlock(held.id)


def _took(held: StateLock, events: Sequence[Event]) -> Applying | None:
    """The apply of this record that took a lock, if the journal has it."""
    took: Applying | None = None
    for event in events:
        if event.kind == Applying.kind:
            took = typed(event, Applying)
        elif event.kind == StateLocked.kind and typed(event, StateLocked).id == held.id:
            return took
    return None


def _locked(held: StateLock, took: Applying | None) -> Refused:
    if took is None:
        what, name = f"{held}, which is not in this record's journal", held.id
    else:
        what, name = (
            f"this record's apply, process {took.process}, which may still be running",
            str(took.process),
        )
    return Refused(
        f"The Terraform state is locked by {what}.",
        code=Code.STATE_LOCKED,
        changed="This command changed nothing.",
        next=f"Make sure that this process has ended, then run the same command with --confirm-dead {name}",
    )


def adopt(work: Work, state: Mapping[str, Any], lost: Mapping[str, str], journal: Journal) -> None:
    """Imports into the state what a killed apply created and could not write to it.

    `state` is its JSON; `lost` maps addresses to ids. What cannot be imported is journalled, too: the next plan
    shows the consequences.
    """
    known = plan_json.addresses(state)
    for address, identifier in lost.items():
        why_not = work.adopt(address, identifier, instead=address in known)
        journal.append(TerraformAdopted(address=address, id=identifier, failed=why_not))


def _failure(diagnostic: Diagnostic, touched_any: bool) -> Failure:  # noqa: FBT001 - private
    if diagnostic.summary == "Saved plan is stale":
        reason = "the saved plan is stale: the Terraform state was changed since it was made"
        return Failure(subject=DOMAIN, reason=reason, refused=True)
    if diagnostic.summary == "Error acquiring the state lock":
        holder_name = re.search(r"Who:\s+(\S+)", diagnostic.detail)
        reason = f"the Terraform state is locked by {holder_name[1] if holder_name else 'an unknown holder'}"
        return Failure(subject=DOMAIN, reason=reason, refused=True)
    return Failure(subject=diagnostic.address or DOMAIN, reason=str(diagnostic), refused=not touched_any)
