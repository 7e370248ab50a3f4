"""The wording of reasons, refusals, outcomes and "what to type next", shared by all verbs. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rollback.core.errors import Code, Refused, UsageError, VerificationFailed
from rollback.model.kind import Kind
from rollback.model.plan import Plan, Refusal
from rollback.model.record import Check, Record, Status
from rollback.model.release import PREVIOUS

MAX_REASON = 500
_SHOWN = 20
# What is called so of the aliases that a record moves is called otherwise of the versions that one deletes.
_PRUNED = {"moved": "deleted", "confirmed": "spared"}


def checked_reason(reason: str) -> str:
    """A reason on one line, neither empty nor endless. Raises `UsageError` otherwise."""
    text = reason.strip()
    if not text:
        raise UsageError(
            "A reason is needed.", code=Code.OPTION_INVALID, next='--reason "what went wrong, in your words"'
        )
    if len(text) > MAX_REASON:
        raise UsageError(
            f"The reason has {len(text):,} characters; {MAX_REASON} are allowed.", code=Code.OPTION_INVALID
        )
    if not text.isprintable():
        raise UsageError("The reason must be one line of printable characters.", code=Code.OPTION_INVALID)
    return text


@dataclass(frozen=True, kw_only=True, slots=True)
class Commands:
    """What to type for one record, and where it is written: in the ledger, or in an emergency's file.

    `another` makes another rollback of its kind; `place` is where what was done can be read.
    """

    resume: str
    undo: str
    verify: str
    another: str
    show: str
    place: str
    ledger: bool

    @classmethod
    def in_ledger(cls, rollback_id: str, environment: str, verb: str = "") -> Commands:
        name = f"{rollback_id} --env {environment}"
        return cls(
            resume=f"rollback resume {name}",
            undo=f"rollback abort {name}",
            verify=f"rollback verify {name}",
            another=f"rollback {verb} --env {environment} --reason …",
            show=f"rollback show {name}",
            place="the record",
            ledger=True,
        )

    @classmethod
    def in_file(cls, path: Path, environment: str) -> Commands:
        verb = f"rollback lambda --emergency --env {environment} --reason …"
        return cls(
            resume=f"{verb} --resume {path}",
            undo=f"{verb} --undo {path}",
            verify=f"{verb} --resume {path}",
            another=verb,
            show=f"{verb}, with --except for what does not go, or --to another release.",
            place=str(path),
            ledger=False,
        )


def adopting(plan: Plan[Any], do: Commands) -> str:
    """What moves the same aliases from where somebody else has put them, by the plan that met this."""
    command = do.another
    if do.ledger:  # an emergency starts from there anyway
        command = f"rollback lambda --env {plan.environment} --adopt-current --reason …"
    request = plan.request
    release, services = getattr(request, "release", PREVIOUS), getattr(request, "services", ())
    options = [
        *([f"--to {release}"] if release != PREVIOUS else []),
        *(f"--except {name}" for name in request.without),
    ]
    if services:
        options.append(f"--services {','.join(services)}")
    return f"{' '.join([command, *options])}, to start from where the aliases are now"


def next_for(record: Record, commands: Commands | None = None) -> str:
    """What to type next for a record in this state; `commands` where it is not in the ledger."""
    do = commands or Commands.in_ledger(record.rollback_id, record.environment)
    if record.kind == Kind.PRUNE and record.status in (Status.IN_PROGRESS, Status.FAILED):
        return f"{do.resume}, to go on; {do.undo}, to leave it at that"
    return {
        Status.AWAITING_APPROVAL: f"rollback apply {record.rollback_id} --env {record.environment}, once another "
        "person has approved it",
        Status.IN_PROGRESS: f"{do.resume}, to finish it; {do.undo}, to undo it",
        Status.FAILED: f"{do.verify}, once it is mended; {do.undo}, to undo it"
        if record.verification
        else f"{do.resume}, to go on; {do.undo}, to put it back",
    }.get(record.status, do.show)


def only(record: Record, allowed: Sequence[Status], why: str) -> None:
    """Raises `Refused` where a record does not have a status that a verb needs."""
    if record.status not in allowed:
        raise Refused(
            f"{record.rollback_id} is {record.status}: {why}.", code=Code.WRONG_STATUS, next=next_for(record)
        )


def refuse(refusals: Sequence[Refusal]) -> None:
    """Raises `Refused` with all that speaks against a plan, if anything does."""
    if refusals:
        lines = [
            f"{item.subject}: {item.reason}" + (f"  ({item.remedy})" if item.remedy else "")
            for item in refusals
        ]
        more = [f"… and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else []
        raise Refused("\n".join(["The plan is refused:", *lines[:_SHOWN], *more]), code=Code.PLAN_REFUSED)


def several(failures: Sequence[Any]) -> str:
    """The first failures in words, each with its subject once, and no full stop at the end."""
    return "; ".join(map(_failure, failures[:5]))


def _failure(failure: Any) -> str:
    reason = str(failure.reason).rstrip(".")
    named_there = re.search(rf"(?<![\w-]){re.escape(failure.subject)}(?![\w-])", reason)
    return reason if named_there else f"{failure.subject}: {reason}"


def named(subjects: Sequence[str]) -> str:
    """What a plan writes, in words: services by their names, infrastructure without its mark."""
    return ", ".join(subject.removeprefix("@") for subject in subjects)


def counted(record: Record) -> str:
    """How far a record's steps came; what is none is left out, but not how many were planned."""
    counts = record.counts.items()
    parts = _PRUNED if record.kind == Kind.PRUNE else {}
    return ", ".join(
        f"{count} {parts.get(name, name)}" for name, count in counts if count or name == "planned"
    )


def resources(record: Record) -> str:
    """How many resources a record creates, updates and so on; empty where it has none."""
    return ", ".join(f"{count} {op}" for op, count in record.infrastructure.items() if count)


def unhealthy(checks: Sequence[Check]) -> str:
    """The checks that failed, and what was seen."""
    return "; ".join(f"{check.check}: {check.detail}" for check in checks if not check.ok)


def not_verified(
    plan: Plan[Any], record: Record, checks: Sequence[Check], do: Commands
) -> VerificationFailed:
    """That a plan was carried out, and what is deployed is not healthy."""
    if not plan.targets:  # nothing has moved, so there is nothing to go back to
        return VerificationFailed(
            f"It was done, but verification failed: {unhealthy(checks)}.",
            code=Code.VERIFICATION_FAILED,
            next=next_for(record, do),
        )
    return VerificationFailed(
        f"Everything was moved to {plan.to_version}, but verification failed: {unhealthy(checks)}.",
        code=Code.VERIFICATION_FAILED,
        changed=f"{plan.from_version} is quarantined all the same." if plan.quarantines and do.ledger else "",
        next=f"{do.verify}, once it is mended; {do.undo}, to go back to {plan.from_version}; or an older one: "
        f"{do.another} --to …",
    )


def not_reverted(why: str, failures: Sequence[Any]) -> str:
    """That an undo failed as well; `why` is why the undo began, empty where a person asked for it."""
    return f"{why + '. ' if why else ''}Putting it back failed as well: {several(failures)}."


def reverted(others: Sequence[Any]) -> str:
    """That an undo reverted everything except what `others` name: somebody else has changed those."""
    return f"Everything that had been moved was put back as it was. {left_to_others(others)}".rstrip()


def left_to_others(others: Sequence[Any]) -> str:
    """What an undo has left alone, because somebody else has changed it; empty where it has left nothing."""
    drifted = ", ".join(failure.subject for failure in others)
    return f"Left as somebody else has it: {drifted}." if drifted else ""


def so_far(counts: Mapping[str, int]) -> str:
    """How far an interrupted run came."""
    done = counts["moved"] + counts["confirmed"]
    return f"Of {counts['planned']}, {done} are done and {counts['reverted']} put back."
