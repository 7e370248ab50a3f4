"""Judges whether a change could be rolled back, from what was gathered (`collect`). Pure.

The checks are independent. An unknown result counts as a no, unless `counts` is false.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from rollback.aws.point_in_time import Window
from rollback.aws.stacks import Looked
from rollback.config.settings import Settings
from rollback.lifecycle.approval import policy
from rollback.lifecycle.quarantine import lifting, why
from rollback.model.advice import next_for
from rollback.model.kind import Kind
from rollback.model.plan import Plan
from rollback.model.record import Record, Status
from rollback.model.release import Quarantine
from rollback.queries.traffic import Traffic, remedy
from rollback.util.times import shown_time

_LONG, _SOME = 400, 10
_KINDS = {Kind.ALIASES: "functions", Kind.STACK: "infrastructure", Kind.TABLE: "tables"}


class CheckAnswer(StrEnum):
    """`UNNEEDED`: the check does not apply; `NOTE`: information only."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "not known"
    UNNEEDED = "does not apply"
    NOTE = "note"


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """One line: the check, its subject, the result, the reason, and what to type next.

    `counts` is false for an optional check that could not be made.
    """

    check: str
    answer: CheckAnswer
    why: str
    subject: str = ""
    next: str = ""
    counts: bool = True

    @property
    def against(self) -> bool:
        """Whether it counts against the change."""
        return self.answer is CheckAnswer.NO or (self.answer is CheckAnswer.UNKNOWN and self.counts)

    @property
    def mark(self) -> str:
        if self.against:
            return "✗"
        return {CheckAnswer.YES: "✓", CheckAnswer.NOTE: "!"}.get(self.answer, "–")

    @property
    def explanation(self) -> str:
        """The reason, with the result if the mark does not show it."""
        plain = self.answer in (CheckAnswer.YES, CheckAnswer.NO, CheckAnswer.NOTE)
        return self.why if plain else f"{self.answer}: {self.why}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """All findings about one commit in one environment."""

    environment: str
    commit: str
    subject: str
    findings: tuple[Judgement, ...]

    @property
    def against(self) -> tuple[Judgement, ...]:
        return tuple(finding for finding in self.findings if finding.against)

    @property
    def reversible(self) -> bool:
        return not self.against

    @property
    def lines(self) -> tuple[tuple[Judgement, ...], ...]:
        """The findings, grouped where they are the same for several subjects, in order of first appearance."""
        groups: dict[tuple[str, str, str], list[Judgement]] = {}
        for one in self.findings:
            groups.setdefault((one.check, one.mark, one.explanation), []).append(one)
        return tuple(map(tuple, groups.values()))

    @property
    def sentence(self) -> str:
        """The result in one sentence."""
        count = sum(group[0].against for group in self.lines)
        if not count:
            return f"{self.commit[:12]} can be rolled back after it is deployed to {self.environment}."
        reasons = "1 reason" if count == 1 else f"{count} reasons"
        return f"{self.commit[:12]} could not be rolled back after it is deployed to {self.environment}: {reasons}."


def functions(
    environment: str, catalogue: Mapping[str, str], without: Mapping[str, str], plan: Plan[Any] | None
) -> list[Judgement]:
    """Whether every function has a previous version.

    `catalogue` maps functions to services; `without` maps services without a previous release to the
    reason; `plan` rolls the other services back to their previous releases.
    """
    found = [
        Judgement(
            check="functions",
            subject=name,
            answer=CheckAnswer.NO,
            why=without[service],
            next=f"rollback release list --env {environment}  # lists the recorded releases\n"
            f"rollback release adopt --version V --env {environment}  # records an older one",
        )
        for name, service in catalogue.items()
        if service in without
    ]
    found += [
        Judgement(
            check="functions",
            subject=refusal.subject,
            answer=CheckAnswer.NO,
            why=f"it cannot be rolled back to {_target(plan, catalogue, refusal.subject)}: {refusal.reason}",
            next=f"rollback lambda --env {environment} --dry-run  # shows it; {refusal.remedy}",
        )
        for refusal in (plan.refusals if plan is not None else ())
    ]
    if not found and plan is not None:
        why = (
            f"{len(plan.steps)} of {len(catalogue)} have a recorded previous version: {plan.from_version} → "
            f"{plan.to_version}"
        )
        found.append(Judgement(check="functions", answer=CheckAnswer.YES, why=why))
    return found


def _target(plan: Plan[Any] | None, catalogue: Mapping[str, str], subject: str) -> str:
    targets = plan.targets if plan is not None else {}
    return targets.get(catalogue.get(subject, subject), "its previous release")


def recovery(table: str, window: Window, now: datetime, minutes: int) -> Judgement:
    """Whether a table's point-in-time recovery covers its RTO, in `minutes`."""
    if window.earliest is None:
        return Judgement(
            check="tables",
            subject=table,
            answer=CheckAnswer.NO,
            why="point-in-time recovery is disabled: it could not be restored",
            next="aws dynamodb update-continuous-backups --table-name "
            f"{table} --point-in-time-recovery-specification PointInTimeRecoveryEnabled=true",
        )
    enough = now - timedelta(minutes=minutes)
    if window.earliest > enough:
        covers = window.earliest + timedelta(minutes=minutes)
        return Judgement(
            check="tables",
            subject=table,
            answer=CheckAnswer.NO,
            why=f"it can only be restored to times since {shown_time(window.earliest)}, less than the {minutes} minutes of its "
            "RTO",
            next=f"wait until {shown_time(covers)}",
        )
    why = f"it can be restored to any second since {shown_time(window.earliest)}"
    return Judgement(check="tables", subject=table, answer=CheckAnswer.YES, why=why)


def approver(settings: Settings) -> Judgement:
    """Whether an approver is configured, if the environment requires another identity."""
    asked = sorted(kind_name for kind, kind_name in _KINDS.items() if policy(settings, kind) == "identity")
    what = " and ".join(asked)
    if not asked:
        return Judgement(
            check="approver", answer=CheckAnswer.UNNEEDED, why="no rollback needs another person's approval"
        )
    people, reviewers = settings.people.approvers, settings.reviewers
    by_set = int(bool(settings.permission_sets.approvers))
    on_gitlab = int(bool(settings.gitlab and settings.gitlab.approvals))
    count = len(people), len(reviewers.users) + len(reviewers.teams), by_set, on_gitlab
    if not any(count):
        return Judgement(
            check="approver",
            answer=CheckAnswer.NO,
            why=f"{what} need another person's approval here, but the settings name no approver",
            next="add one to rollback:people (approvers), rollback:reviewers or rollback:gitlab (approvals), then run pulumi up of "
            "the foundation",
        )
    kinds = zip(
        count,
        ("named by the settings", "reviewing on GitHub", "permission set", "project on GitLab"),
        strict=True,
    )
    approvers = " and ".join(f"{number} {kind}" for number, kind in kinds if number)
    why = f"{what} are approved by {approvers}"
    return Judgement(check="approver", answer=CheckAnswer.YES, why=why)


def quarantine(environment: str, commit: str, found: Sequence[Quarantine]) -> Judgement:
    """Whether a commit is not quarantined; `found` are the quarantines that cover it."""
    if not found:
        return Judgement(check="quarantine", answer=CheckAnswer.YES, why=f"{commit[:12]} is not quarantined")
    return Judgement(
        check="quarantine",
        answer=CheckAnswer.NO,
        why=f"{commit[:12]} is quarantined: {why(found)}",
        next="\n".join(lifting(found, environment)),
    )


def flight(
    environment: str, records: Sequence[Record], holders: Mapping[str, Mapping[str, Any]]
) -> list[Judgement]:
    """Whether a rollback or recording is running or was interrupted; `holders` maps domains to lease
    items (`ledger.lease`).
    """
    running = [record for record in records if record.status is Status.IN_PROGRESS]
    found = [
        Judgement(
            check="in flight",
            subject=record.rollback_id,
            answer=CheckAnswer.NO,
            why=f"a rollback of {record.kind} is in progress, by {record.initiated_by}",
            next=next_for(record),
        )
        for record in running
    ]
    known = {record.rollback_id for record in running}
    found += [
        Judgement(
            check="in flight",
            subject=str(item["owner"]),
            answer=CheckAnswer.NO,
            why=f"it holds the lease on {domain}",
            next=f"rollback status --env {environment}  # run this again after it has ended",
        )
        for domain, item in sorted(holders.items())
        if item["owner"] not in known
    ]
    found += [
        Judgement(
            check="in flight",
            subject=record.rollback_id,
            answer=CheckAnswer.NOTE,
            why=f"a rollback of {record.kind} is waiting for approval since {shown_time(record.initiated_at)}",
            next=next_for(record),
        )
        for record in records
        if record.status is Status.AWAITING_APPROVAL
    ]
    if not any(finding.against for finding in found):
        found.insert(0, Judgement(check="in flight", answer=CheckAnswer.YES, why="nothing is running"))
    return found


def traffic(found: Traffic, alias: str) -> list[Judgement]:
    """Whether all callers use the functions' alias: a rollback only affects traffic through it."""
    judged = [
        Judgement(
            check="traffic",
            subject=one.function,
            answer=CheckAnswer.NO,
            why=f"a rollback does not affect {one.kind} {one.source}: it invokes "
            + (f"{one.function}:{one.qualifier}" if one.qualifier else f"{one.function} without an alias"),
            next=remedy(one, alias),
        )
        for one in found.bypasses
    ]
    then = "run it under a role that may read it; pulumi up of the foundation grants that to this environment's roles"
    judged += [unasked("traffic", f"not checked: {why}", then) for why in found.unlooked]
    if not judged:
        judged = [
            Judgement(check="traffic", answer=CheckAnswer.YES, why=f"all traffic goes through alias {alias}")
        ]
    return judged


def versions(looked: Looked) -> list[Judgement]:
    """Whether the stacks that deploy functions keep the previous version, the target of a rollback."""
    judged = [
        Judgement(check="versions", subject=one.stack, answer=CheckAnswer.NO, why=str(one), next=one.remedy)
        for one in looked.deletes
    ]
    then = "add the stack to the setting cloudformationStacks, then run pulumi up of the foundation"
    # A missing permission to read does not count against a change.
    judged += [unasked("versions", f"not checked: {why}", then, counts=False) for why in looked.unlooked]
    if judged:
        return judged
    if not looked.stacks:
        why = "neither the settings nor readable tags name a CloudFormation stack"
        return [Judgement(check="versions", answer=CheckAnswer.UNNEEDED, why=why)]
    why = f"deployments of {', '.join(looked.stacks[:_SOME])} keep the previous version"
    return [Judgement(check="versions", answer=CheckAnswer.YES, why=why)]


def unasked(check: str, why: str, next: str = "", *, subject: str = "", counts: bool = True) -> Judgement:  # noqa: A002 - the word of the contract
    """A check that could not be made, and why."""
    return Judgement(
        check=check,
        subject=subject,
        answer=CheckAnswer.UNKNOWN,
        why=_short(why),
        next=next,
        counts=counts,
    )


def _short(text: str) -> str:
    """An engine's message on one line, shortened."""
    line = " ".join(text.split())
    return line if len(line) <= _LONG else f"{line[:_LONG]} …"
