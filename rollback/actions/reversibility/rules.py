"""Judges whether a change could be rolled back, from what was gathered (`collect`). Pure.

Each check stands for itself. What could not be asked is no yes: it counts as a no, unless it is said not to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from rollback.actions.approval import policy
from rollback.actions.quarantine import lifting, why
from rollback.actions.traffic import Traffic, remedy
from rollback.aws.point_in_time import Window
from rollback.aws.stacks import Looked
from rollback.config.settings import Settings
from rollback.model.advice import next_for
from rollback.model.kind import Kind
from rollback.model.plan import Plan
from rollback.model.record import Record, Status
from rollback.model.release import Quarantine
from rollback.targets.table.restore_time import iso

_LONG, _SOME = 400, 10
_KINDS = {Kind.ALIASES: "functions", Kind.STACK: "infrastructure", Kind.TABLE: "tables"}


class CheckAnswer(StrEnum):
    """`UNNEEDED`: the check does not apply; `NOTE`: worth knowing, and no answer."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "not known"
    UNNEEDED = "does not apply"
    NOTE = "note"


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """One line: what was checked, on what, the answer, why, and what to type next.

    `counts` is false for what could not be asked and nobody insisted on.
    """

    check: str
    answer: CheckAnswer
    why: str
    subject: str = ""
    next: str = ""
    counts: bool = True

    @property
    def against(self) -> bool:
        """Whether it speaks against the change."""
        return self.answer is CheckAnswer.NO or (self.answer is CheckAnswer.UNKNOWN and self.counts)

    @property
    def mark(self) -> str:
        if self.against:
            return "✗"
        return {CheckAnswer.YES: "✓", CheckAnswer.NOTE: "!"}.get(self.answer, "–")

    @property
    def explanation(self) -> str:
        """Why, with what cannot be seen from the mark."""
        plain = self.answer in (CheckAnswer.YES, CheckAnswer.NO, CheckAnswer.NOTE)
        return self.why if plain else f"{self.answer}: {self.why}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """All findings on one commit of one environment."""

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
        """The findings, those together that are the same of several subjects, in the order of the first of each."""
        groups: dict[tuple[str, str, str], list[Judgement]] = {}
        for one in self.findings:
            groups.setdefault((one.check, one.mark, one.explanation), []).append(one)
        return tuple(map(tuple, groups.values()))

    @property
    def sentence(self) -> str:
        """The answer in one sentence."""
        count = sum(group[0].against for group in self.lines)
        if not count:
            return f"A change of {self.environment} to {self.commit[:12]} can be rolled back."
        reasons = "1 reason" if count == 1 else f"{count} reasons"
        return (
            f"A change of {self.environment} to {self.commit[:12]} cannot be rolled back as it is: {reasons}."
        )


def functions(
    environment: str, catalogue: Mapping[str, str], without: Mapping[str, str], plan: Plan[Any] | None
) -> list[Judgement]:
    """Whether every function has a version to go back to.

    `catalogue` maps functions to services, `without` the services that have no previous release to the
    reason; `plan` is that of the others to their previous releases.
    """
    found = [
        Judgement(
            check="functions",
            subject=name,
            answer=CheckAnswer.NO,
            why=without[service],
            next=f"rollback release list --env {environment}  # what is recorded\n"
            f"rollback release adopt --version V --env {environment}  # one of a time before the ledger",
        )
        for name, service in catalogue.items()
        if service in without
    ]
    found += [
        Judgement(
            check="functions",
            subject=refusal.subject,
            answer=CheckAnswer.NO,
            why=f"it cannot go back to {_target(plan, catalogue, refusal.subject)}: {refusal.reason}",
            next=f"rollback lambda --env {environment} --dry-run  # which shows it; {refusal.remedy}",
        )
        for refusal in (plan.refusals if plan is not None else ())
    ]
    if not found and plan is not None:
        why = (
            f"{len(plan.steps)} of {len(catalogue)} have a recorded version before: {plan.from_version} → "
            f"{plan.to_version}"
        )
        found.append(Judgement(check="functions", answer=CheckAnswer.YES, why=why))
    return found


def _target(plan: Plan[Any] | None, catalogue: Mapping[str, str], subject: str) -> str:
    targets = plan.targets if plan is not None else {}
    return targets.get(catalogue.get(subject, subject), "its previous release")


def recovery(table: str, window: Window, now: datetime, minutes: int) -> Judgement:
    """Whether a table's point-in-time recovery reaches back for as long as its RTO, in `minutes`."""
    if window.earliest is None:
        return Judgement(
            check="tables",
            subject=table,
            answer=CheckAnswer.NO,
            why="point-in-time recovery is off: no second of it could be restored",
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
            why=f"it can be restored from {iso(window.earliest)} on only, not yet for the {minutes} minutes of its "
            "RTO",
            next=f"wait until {iso(covers)}",
        )
    why = f"it can be restored to any second since {iso(window.earliest)}"
    return Judgement(check="tables", subject=table, answer=CheckAnswer.YES, why=why)


def approver(settings: Settings) -> Judgement:
    """Whether there is a configured approver, where the environment asks for another identity."""
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
            why=f"{what} need another person's approval here, and the settings name nobody who may give it",
            next="name one in rollback:people (approvers), rollback:reviewers or rollback:gitlab (approvals), then pulumi up of "
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
    """Whether a commit may be deployed at all; `found` are the quarantines that cover it."""
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
    """Whether a rollback or a recording is under way or was interrupted; `holders` maps domains to lease
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
            next=f"rollback status --env {environment}  # once it has ended",
        )
        for domain, item in sorted(holders.items())
        if item["owner"] not in known
    ]
    found += [
        Judgement(
            check="in flight",
            subject=record.rollback_id,
            answer=CheckAnswer.NOTE,
            why=f"a rollback of {record.kind} waits for approval since {record.initiated_at}",
            next=next_for(record),
        )
        for record in records
        if record.status is Status.AWAITING_APPROVAL
    ]
    if not any(finding.against for finding in found):
        found.insert(0, Judgement(check="in flight", answer=CheckAnswer.YES, why="nothing"))
    return found


def traffic(found: Traffic, alias: str) -> list[Judgement]:
    """Whether all that invokes the functions goes through their alias: only that traffic a rollback moves."""
    judged = [
        Judgement(
            check="traffic",
            subject=one.function,
            answer=CheckAnswer.NO,
            why=f"a rollback would not move what comes by {one.kind} {one.source}: it invokes "
            + (f"{one.function}:{one.qualifier}" if one.qualifier else f"{one.function} without an alias"),
            next=remedy(one, alias),
        )
        for one in found.bypasses
    ]
    then = (
        "ask under a role that may read it; pulumi up of the foundation gives it to those of this environment"
    )
    judged += [unasked("traffic", f"not looked at: {why}", then) for why in found.unlooked]
    if not judged:
        judged = [
            Judgement(check="traffic", answer=CheckAnswer.YES, why=f"all of it goes through alias {alias}")
        ]
    return judged


def versions(looked: Looked) -> list[Judgement]:
    """Whether the stacks that deploy functions leave the version before, to which a rollback would go."""
    judged = [
        Judgement(check="versions", subject=one.stack, answer=CheckAnswer.NO, why=str(one), next=one.remedy)
        for one in looked.deletes
    ]
    then = "name the stack in the setting cloudformationStacks, then pulumi up of the foundation"
    # A reader's missing right is nothing against a change.
    judged += [unasked("versions", f"not looked at: {why}", then, counts=False) for why in looked.unlooked]
    if judged:
        return judged
    if not looked.stacks:
        why = "neither the settings nor tags that may be read name a CloudFormation stack"
        return [Judgement(check="versions", answer=CheckAnswer.UNNEEDED, why=why)]
    why = f"deployments of {', '.join(looked.stacks[:_SOME])} leave the version before"
    return [Judgement(check="versions", answer=CheckAnswer.YES, why=why)]


def unasked(check: str, why: str, next: str = "", *, subject: str = "", counts: bool = True) -> Judgement:  # noqa: A002 - the word of the contract
    """What could not be asked, and why not."""
    return Judgement(
        check=check,
        subject=subject,
        answer=CheckAnswer.UNKNOWN,
        why=_short(why),
        next=next,
        counts=counts,
    )


def _short(text: str) -> str:
    """An engine's words on one line, and not all of them."""
    line = " ".join(text.split())
    return line if len(line) <= _LONG else f"{line[:_LONG]} …"
