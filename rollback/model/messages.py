"""What the flow says and asks in words: reasons, refusals, and what to type next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rollback.core.errors import Refused, UsageError, VerificationFailed
from rollback.model.plan import Plan, Refusal
from rollback.model.record import Check, Record, Status
from rollback.model.retention import KIND as PRUNE

MAX_REASON = 500
_SHOWN = 20
# What is called so of the aliases that a record moves is called otherwise of the versions that one deletes.
_PRUNED = {"moved": "deleted", "confirmed": "spared"}


def checked_reason(reason: str) -> str:
    """A reason on one line, neither empty nor endless. Raises `UsageError` otherwise."""
    text = reason.strip()
    if not text:
        raise UsageError("A reason is needed.", next='--reason "what went wrong, in your words"')
    if len(text) > MAX_REASON:
        raise UsageError(f"The reason has {len(text):,} characters; {MAX_REASON} are allowed.")
    if not text.isprintable():
        raise UsageError("The reason must be one line of printable characters.")
    return text


def next_for(record: Record) -> str:
    """What to type next for a record in this state."""
    name = f"{record.rollback_id} --env {record.environment}"
    if record.kind == PRUNE and record.status in (Status.IN_PROGRESS, Status.FAILED):
        return f"rollback resume {name}, to go on; rollback abort {name}, to leave it at that"
    return {
        Status.AWAITING_APPROVAL: f"rollback apply {name}, once another person has approved it",
        Status.IN_PROGRESS: f"rollback resume {name}, to finish it; rollback abort {name}, to undo it",
        Status.FAILED: f"rollback verify {name}, once it is mended; rollback abort {name}, to undo it"
        if record.verification
        else f"rollback resume {name}, to go on; rollback abort {name}, to put it back",
    }.get(record.status, f"rollback show {name}")


def only(record: Record, allowed: Sequence[Status], why: str) -> None:
    """Raises `Refused` where a record does not stand as a verb needs it."""
    if record.status not in allowed:
        raise Refused(f"{record.rollback_id} is {record.status}: {why}.", next=next_for(record))


def refuse(refusals: Sequence[Refusal]) -> None:
    """Raises `Refused` with all that speaks against a plan, if anything does."""
    if refusals:
        lines = [
            f"{item.subject}: {item.reason}" + (f"  ({item.remedy})" if item.remedy else "")
            for item in refusals
        ]
        more = [f"… and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else []
        raise Refused("\n".join(["The plan is refused:", *lines[:_SHOWN], *more]))


def several(failures: Sequence[Any]) -> str:
    """The first failures in words."""
    return "; ".join(f"{failure.subject}: {failure.reason}" for failure in failures[:5])


def named(subjects: Sequence[str]) -> str:
    """What a plan writes, in words: services by their names, infrastructure without its mark."""
    return ", ".join(subject.removeprefix("@") for subject in subjects)


def counted(record: Record) -> str:
    """How far a record's steps came; what is none is left out, but not how many were planned."""
    counts = record.counts.items()
    words = _PRUNED if record.kind == PRUNE else {}
    return ", ".join(
        f"{count} {words.get(name, name)}" for name, count in counts if count or name == "planned"
    )


def resources(record: Record) -> str:
    """How many resources a record creates, updates and so on; empty where it has none."""
    return ", ".join(f"{count} {op}" for op, count in record.infrastructure.items() if count)


def unwell(checks: Sequence[Check]) -> str:
    """The checks that failed, and what was seen."""
    return "; ".join(f"{check.check}: {check.detail}" for check in checks if not check.ok)


def not_verified(verb: str, plan: Plan[Any], record: Record, checks: Sequence[Check]) -> VerificationFailed:
    """That a plan was carried out, and what stands is not well; `verb` makes another one of its kind."""
    name, env = record.rollback_id, record.environment
    if not plan.targets:  # nothing has moved, so there is nothing to go back to
        return VerificationFailed(
            f"It was done, but verification failed: {unwell(checks)}.", next=next_for(record)
        )
    return VerificationFailed(
        f"Everything was moved to {plan.to_version}, but verification failed: {unwell(checks)}.",
        changed=f"{plan.from_version} is quarantined all the same." if plan.quarantines else "",
        next=f"rollback verify {name} --env {env}, once it is mended; "
        f"rollback abort {name} --env {env}, to go back to {plan.from_version}; or an "
        f"older one: rollback {verb} --env {env} --to … --reason …",
    )


def not_put_back(why: str, failures: Sequence[Any]) -> str:
    """That an undo failed as well; `why` is what it was begun for, empty where a person asked for it."""
    return f"{why + '. ' if why else ''}Putting it back failed as well: {several(failures)}."


def put_back(others: Sequence[Any]) -> str:
    """That an undo has put back everything but what `others` tell of: somebody else has it."""
    theirs = ", ".join(failure.subject for failure in others)
    left = f" Left as somebody else has it: {theirs}." if theirs else ""
    return f"Everything that had been moved was put back as it was.{left}"


def so_far(counts: Mapping[str, int]) -> str:
    """How far an interrupted run came."""
    done = counts["moved"] + counts["confirmed"]
    return f"Of {counts['planned']}, {done} are done and {counts['reverted']} put back."
