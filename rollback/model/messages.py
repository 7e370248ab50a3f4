"""The texts of reasons, refusals, results and "what to type next", shared by all verbs. Pure."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from rollback.model.advice import next_for
from rollback.model.alias_moves import Move, shares
from rollback.model.commands import Commands
from rollback.model.grouping import together
from rollback.model.kind import Kind
from rollback.model.plan import Plan, Refusal
from rollback.model.record import COUNTS, Check, Record, Status
from rollback.model.release import PREVIOUS, TERRAFORM, Entry, is_of_drill
from rollback.model.resource_changes import SAME
from rollback.util.canonical import canonical
from rollback.util.errors import (
    Code,
    Refused,
    UsageError,
    VerificationFailed,
)
from rollback.util.times import shown_time

MAX_REASON = 500
_SHOWN, _NAMED = 20, 5
# The names of a record's counts: for aliases and resources, and for versions deleted by `prune`.
_CHANGED, _PRUNED = {"moved": "changed", "confirmed": "unchanged"}, {"moved": "deleted", "confirmed": "kept"}


def checked_reason(reason: str) -> str:
    """A reason on one line, neither empty nor too long. Raises `UsageError` otherwise."""
    text = reason.strip()
    if not text:
        raise UsageError("--reason is required.", code=Code.OPTION_INVALID, next='--reason "what went wrong"')
    if len(text) > MAX_REASON:
        raise UsageError(
            f"The reason has {len(text):,} characters; the maximum is {MAX_REASON}.", code=Code.OPTION_INVALID
        )
    if not text.isprintable():
        raise UsageError("The reason must be one line of printable characters.", code=Code.OPTION_INVALID)
    return text


def adopting(plan: Plan[Any], do: Commands) -> str:
    """The command that rolls back the same aliases from their unrecorded versions."""
    command = do.another
    if do.ledger:  # an emergency always starts from the current aliases
        command = f'rollback lambda --env {plan.environment} --adopt-current --reason "…"'
    request = plan.request
    release, services = getattr(request, "release", PREVIOUS), getattr(request, "services", ())
    options = [
        *([f"--to {release}"] if release != PREVIOUS else []),
        *(f"--except {name}" for name in request.without),
    ]
    if services:
        options.append(f"--services {','.join(services)}")
    return f"{' '.join([command, *options])}  # to start from the current aliases"


def without_drills(versions: Sequence[str]) -> str:
    """Releases as text; of those of drills only how many: `v1.2.0, 5 of drills`."""
    shown = [version for version in versions if not is_of_drill(version)]
    drills = len(versions) - len(shown)
    return ", ".join([*shown, *([f"{drills} of drills"] if drills else [])])


def only(record: Record, allowed: Sequence[Status], why: str) -> None:
    """Raises `Refused` where a record does not have a status that a verb needs."""
    if record.status not in allowed:
        raise Refused(
            f"{record.rollback_id} is {record.status}: {why}.", code=Code.WRONG_STATUS, next=next_for(record)
        )


def outdated(record: Record, plan: Plan[Any], today: Plan[Any]) -> Refused:
    """The error for a plan that has changed since it was made: the differences, and what to type next."""
    env, name = record.environment, record.rollback_id
    moved = _differing(plan, today) if plan.targets == today.targets else ()
    what = f"The plan is out of date: {changed(plan, today)}."
    if record.status is not Status.STANDBY:
        return Refused(
            what, code=Code.PLAN_OUTDATED, next=f"rollback abort {name} --env {env}  # then plan again"
        )
    stays = f"{name} stays on standby until {shown_time(record.standby_until)}"
    look = f"rollback status --env {env}  # shows what is deployed, and what it can be rolled back to"
    if not moved:
        return Refused(what, code=Code.PLAN_OUTDATED, changed=f"Nothing was changed. {stays}.", next=look)
    return Refused(
        what,
        code=Code.PLAN_OUTDATED,
        changed=f"Nothing was changed. {stays}: it can be taken when they are as planned again.",
        next=f"{look}\n{adopting(plan, Commands.in_ledger(name, env))}",
    )


def not_overtaken(record: Record, since: Entry | None) -> None:
    """Raises `Refused` where an entry `since` a record was planned has changed what its plan would change."""
    if since is not None:
        raise Refused(
            f"The plan is out of date: {since.kind} {since.version or since.id} is newer.",
            code=Code.PLAN_OUTDATED,
            next=f"rollback abort {record.rollback_id} --env {record.environment}  # then plan again",
        )


def changed(plan: Plan[Any], today: Plan[Any]) -> str:
    """How `today` differs from `plan`, in words: the first functions or resources, with their versions."""
    moved = _differing(plan, today) if plan.targets == today.targets else ()
    if moved:
        more = f"; and {len(moved) - _NAMED} more" if len(moved) > _NAMED else ""
        return f"{'; '.join(moved[:_NAMED])}{more}"
    if plan.to_version != today.to_version:
        return f"its target is now {today.to_version}, not {plan.to_version}"
    return f"its digest is now {today.digest()[:16]}, not {plan.digest()[:16]}"


def _differing(plan: Plan[Any], today: Plan[Any]) -> tuple[str, ...]:
    """The steps that differ between two plans, in order: one line per subject."""
    then, now = ({canonical(step): step for step in one.steps} for one in (plan, today))
    before, after = (
        {step.subject: step for text, step in one.items() if text not in other}
        for one, other in ((then, now), (now, then))
    )
    return tuple(_compared(name, before.get(name), after.get(name)) for name in sorted({**before, **after}))


def _compared(name: str, then: Any, now: Any) -> str:
    """How one subject's step has changed since it was planned (None: not planned)."""
    planned, would_be = (_movement(step) for step in (then, now))
    if then is None or now is None:
        return (
            f"{name} is now {would_be or 'in the plan'}, but was not planned"
            if now
            else f"{name} is no longer in the plan"
        )
    if planned == would_be:
        return f"{name} has changed since it was planned"
    return f"{name} was planned as {planned}, but is now {would_be}"


def _movement(step: Any) -> str:
    """`4 → 3` for an alias, with its weights; empty for other steps."""
    if not isinstance(step, Move):
        return ""
    return f"{step.from_version}{f' ({shares(step.weights)})' if step.weights else ''} → {step.to_version}"


def refuse(refusals: Sequence[Refusal], then: str = "") -> None:
    """Raises `Refused` with a plan's refusals, if there are any, and what to type `then`."""
    if refusals:
        remedies: dict[str, set[str]] = defaultdict(set)
        for item in refusals:
            remedies[item.reason].add(item.remedy)
        lines = together((item.subject, _reason(item, len(remedies[item.reason]))) for item in refusals)
        more = [f"… and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else []
        raise Refused(
            "\n".join(["The plan is refused:", *lines[:_SHOWN], *more]), code=Code.PLAN_REFUSED, next=then
        )


def _reason(item: Refusal, remedies: int) -> str:
    """The reason and the remedy: without names if many subjects have one, because the line to type next has them."""
    if not item.remedy:
        return item.reason
    remedy = item.remedy.replace(item.subject, "each of them") if remedies > 1 else item.remedy
    return f"{item.reason}  ({remedy})"


def several(failures: Sequence[Any]) -> str:
    """The first failures as text, without a full stop."""
    return "; ".join(map(_failure, failures[:5]))


def _failure(failure: Any) -> str:
    reason = str(failure.reason).rstrip(".")
    named_there = re.search(rf"(?<![\w-]){re.escape(failure.subject)}(?![\w-])", reason)
    return reason if named_there else f"{failure.subject}: {reason}"


def named(subjects: Sequence[str]) -> str:
    """A plan's subjects as text: services, and infrastructure without its prefix."""
    return ", ".join(subject.removeprefix("@") for subject in subjects)


def counted(record: Record) -> str:
    """A record's counts as text, in the order of `COUNTS`; zeros are left out, except for planned. Before anything is
    done and before it has ended, that all are untouched is no news.
    """
    counts = {name: record.counts.get(name, 0) for name in COUNTS}
    if record.completed_at is None and counts["untouched"] == counts["planned"]:
        counts["untouched"] = 0
    parts = _PRUNED if record.kind == Kind.PRUNE else _CHANGED
    return ", ".join(
        f"{count} {parts.get(name, name)}" for name, count in counts.items() if count or name == "planned"
    )


def resources(record: Record) -> str:
    """A record's counts of resources as text; empty without resources."""
    called = {SAME: "unchanged"}
    return ", ".join(f"{count} {called.get(op, op)}" for op, count in record.infrastructure.items() if count)


def unhealthy(checks: Sequence[Check]) -> str:
    """The failed checks, with details."""
    return "; ".join(f"{check.check}: {check.detail}" for check in checks if not check.ok)


def not_verified(
    plan: Plan[Any], record: Record, checks: Sequence[Check], do: Commands
) -> VerificationFailed:
    """The error for a plan that was applied, but whose verification failed."""
    then = next_for(record, do, way_back=way_back(plan))
    services = getattr(plan.request, "services", ())
    older = " ".join([do.another, *([f"--services {','.join(services)}"] if services else [])])
    if not plan.targets:  # a prune
        return VerificationFailed(
            f"Done, but verification failed: {unhealthy(checks)}.",
            code=Code.VERIFICATION_FAILED,
            next=then,
        )
    return VerificationFailed(
        f"Rolled back to {plan.to_version}, but verification failed: {unhealthy(checks)}.",
        code=Code.VERIFICATION_FAILED,
        changed=f"{plan.from_version} is quarantined anyway." if plan.quarantines and do.ledger else "",
        # Below a floor there is no older target.
        next=then if record.below else f"{then}\n{older}  # to an older one",
    )


def way_back(plan: Plan[Any]) -> bool:
    """Whether a plan's initial state is known: Terraform needs the earlier commit."""
    return TERRAFORM not in plan.targets or TERRAFORM in plan.leaves


def not_reverted(why: str, failures: Sequence[Any]) -> str:
    """The message for a failed undo; `why` is why it was started, empty if a person asked for it."""
    return f"{why + '. ' if why else ''}Reverting failed{' as well' if why else ''}: {several(failures)}."


def reverted(others: Sequence[Any]) -> str:
    """The message for an undo that reverted everything except `others`, which somebody else has changed."""
    return f"All changes were reverted. {left_to_others(others)}".rstrip()


def left_to_others(others: Sequence[Any]) -> str:
    """What an undo did not revert, because somebody else has changed it; may be empty."""
    drifted = ", ".join(failure.subject for failure in others)
    return f"Not reverted, because somebody else has changed it: {drifted}." if drifted else ""


def so_far(counts: Mapping[str, int], *, taken_over: bool) -> str:
    """The progress of an interrupted run; of one that was `taken_over`, more may be applied than is in its journal."""
    done = counts["moved"] + counts["confirmed"]
    return f"{'At least ' if taken_over else ''}{done} of {counts['planned']} applied, {counts['reverted']} reverted."
