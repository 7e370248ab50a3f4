"""What the targets `table` and `cutover` share: their steps, the order of these, and waiting for DynamoDB."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC
from functools import cached_property
from typing import Any, Protocol

from botocore.exceptions import ClientError

from rollback.aws.account import code, explained, was_refused
from rollback.aws.assume_role import Clients
from rollback.aws.rate_limit import Budget
from rollback.config.settings import Settings
from rollback.ledger.lease import LeaseLost
from rollback.model.events import failed_subjects, happened, has, typed
from rollback.model.plan import Plan
from rollback.model.record import Event
from rollback.targets.base import Failure, Journal, Outcome
from rollback.targets.table.comparison import (
    DIFFERENT,
    EXPIRED,
    ONLY_LIVE,
    ONLY_RESTORED,
    Comparison,
    Stopped,
)
from rollback.targets.table.events import CutoverUndone, RestoreUndone, StepDone
from rollback.targets.table.loss_report import LossReport, Reports
from rollback.util.errors import Code, RollbackError, UsageError

# Seconds between two checks of a service operation: short at first, then longer.
_FIRST_LOOKS, _LOOK = (1, 1, 2, 3), 5
# The share of a provisioned table's capacity that is left for its callers.
_SHARE = 0.5


@dataclass(frozen=True, kw_only=True, slots=True)
class TableStep:
    """One step for a table: the action (`do`), its object (`on`), and details."""

    do: str
    on: str
    detail: str

    @property
    def subject(self) -> str:
        return f"{self.do} {self.on}"

    @property
    def changes(self) -> bool:
        return True

    @property
    def lines(self) -> tuple[str, ...]:
        """The lines shown in a plan."""
        return (f"{self.subject}: {self.detail}",)


@dataclass(frozen=True, kw_only=True)
class Tables:
    """The tables and the state bucket of one environment, as the restore role may use them."""

    clients: Clients
    settings: Settings

    @cached_property
    def dynamodb(self) -> Any:
        return self.clients("dynamodb")

    @cached_property
    def reports(self) -> Reports:
        names = self.settings.names
        return Reports(client=self.clients("s3"), bucket=names.state_bucket, account=self.settings.account)

    def description(self, table: str) -> Mapping[str, Any]:
        """The `Table` of a DescribeTable response, as in `described`. Raises `RollbackError` where there
        is no such table.
        """
        found = described(self.dynamodb, table)
        if found is None:
            raise RollbackError(f"Table {table} no longer exists.", code=Code.UNKNOWN_TABLE)
        return found

    def comparison(self, live: str, restored: str, journal: Journal | None = None) -> Comparison:
        """A comparison of a live table with a restored one, at the read budget.

        It raises `LeaseLost`, or `Stopped` on Ctrl-C.
        """

        def pause() -> None:
            if journal is not None:
                journal.check()
                if journal.stopping():
                    raise Stopped

        description = self.description(live)
        return Comparison(
            client=self.dynamodb,
            live=live,
            restored=restored,
            keys=[entry["AttributeName"] for entry in description["KeySchema"]],
            ttl=time_to_live(self.dynamodb, live),
            budget=Budget(rate=within(self.settings.pace.read_units, description, "ReadCapacityUnits")),
            pause=pause,
        )

    def reported(self, live: str, restored: str, journal: Journal) -> dict[str, Any]:
        """Compares and writes the loss report; returns what the journal records: `{"report": Report, "counts":
        {kind: number}, "loss": <in words>, "kept": "s3://…"}`.
        """
        compared = self.comparison(live, restored, journal)
        # A process that lost its lease must not overwrite the report of its successor.
        name = f"loss-{journal.tag.rpartition('/')[2]}" if journal.taken_over else "loss"
        report = self.reports.write(journal.rollback_id, compared.differences(), compared.counted, name)
        counts = compared.counted()
        place = f"s3://{self.settings.names.state_bucket}/{report.key}"
        return {"report": asdict(report), "counts": counts, "loss": counted(counts), "kept": place}


@dataclass(frozen=True, kw_only=True, slots=True)
class Compared:
    """How two tables differed: kind (`comparison.ONLY_LIVE`, …) → number, and when that was, ISO 8601 in UTC."""

    counts: Mapping[str, int]
    at: str


# `TableStep.do` → the function of the step; returns JSON values for its `done` event, beside `step`.
Doing = Mapping[str, Callable[[TableStep, Journal], Mapping[str, Any]]]


def known(settings: Settings, table: str) -> str:
    """The full name of `table`, given so or as an entry of the settings, if it may be restored. Raises `UsageError`
    otherwise.
    """
    if not settings.tables:
        raise UsageError(
            f"{settings.environment} has no table that can be restored (setting `tables`).",
            code=Code.NOT_CONFIGURED,
        )
    table = settings.tables.get(table, table)
    if table not in settings.restorable:
        raise UsageError(
            f"{table[:80]!a} is not in the setting `tables`, so it cannot be restored.",
            code=Code.UNKNOWN_TABLE,
            next=f"--table {' or '.join(settings.restorable)}",
        )
    return table


def subject(table: str) -> str:
    """A table's name in the timeline."""
    return f"@table/{table}"


def domain(table: str) -> str:
    """The lease's domain for a table."""
    return f"table#{table}"


def run(plan: Plan[TableStep], journal: Journal, doing: Doing) -> Outcome:
    """Executes the steps in order and journals each with its result, so that it is not repeated."""
    done = finished(journal.events)
    for number, step in enumerate(plan.steps, start=1):
        if step.subject not in done:
            if journal.stopping():
                return Outcome(interrupted=True)
            try:
                journal.check()
                outcome = doing[step.do](step, journal)
            except LeaseLost:
                raise
            except Stopped:
                return Outcome(interrupted=True)
            except RollbackError as error:
                failure = Failure(subject=step.subject, reason=error.what, refused=was_refused(error))
                return Outcome(failures=(failure,))
            journal.append(StepDone(step=step.subject, **outcome))
        journal.progress(number)
    return Outcome()


def finished(events: Sequence[Event]) -> set[str]:
    """The subjects of the steps that are done."""
    return {done.step for done in happened(events, StepDone)}


def report_in(events: Sequence[Event]) -> tuple[LossReport, Compared] | None:
    """The last loss report in a journal, with what the comparison had found; None where there is none."""
    for event in reversed(events):
        if event.kind == StepDone.kind and (done := typed(event, StepDone)).report is not None:
            return LossReport(**done.report), Compared(counts=done.counts or {}, at=event.at)
    return None


def outcomes(plan: Plan[TableStep], events: Sequence[Event]) -> list[dict[str, Any]]:
    """One mapping a step, `{"name", "from", "to", "outcome"}`; `outcome` is moved, reverted, failed or
    untouched.
    """
    done = finished(events)
    undone = has(events, RestoreUndone) or has(events, CutoverUndone)
    failed = failed_subjects(events)

    def outcome(step: TableStep) -> str:
        if step.subject in done:
            return "reverted" if undone else "moved"
        return "failed" if step.subject in failed else "untouched"

    return [
        {"name": step.subject, "from": plan.from_version, "to": plan.to_version, "outcome": outcome(step)}
        for step in plan.steps
    ]


class Waiting(Protocol):
    """The part of a journal that waiting needs."""

    def check(self) -> None: ...
    def stopping(self) -> bool: ...


@dataclass(frozen=True)
class Unheld:
    """For an undo after the lease was lost: `check` does not raise."""

    journal: Journal

    def check(self) -> None:
        """Does nothing."""

    def stopping(self) -> bool:
        return self.journal.stopping()


def until(ready: Callable[[], bool], journal: Waiting, sleep: Callable[[float], None]) -> None:
    """Waits until `ready`. Raises `Stopped` on Ctrl-C."""
    waits = itertools.chain(_FIRST_LOOKS, itertools.repeat(_LOOK))
    while not ready():
        for _ in range(next(waits)):
            if journal.stopping():
                raise Stopped
            journal.check()
            sleep(1.0)


def described(client: Any, table: str) -> Mapping[str, Any] | None:
    """The `Table` of a DescribeTable response, `{"TableName", "KeySchema", "CreationDateTime", …}`
    (https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TableDescription.html); None where
    there is no such table.
    """
    with explained(f"describing {table}"):
        try:
            found: Mapping[str, Any] = client.describe_table(TableName=table)["Table"]
        except ClientError as error:
            if code(error) == "ResourceNotFoundException":
                return None
            raise
    return found


def creation_time(description: Mapping[str, Any]) -> str:
    """The creation time, which distinguishes a recreated table of the same name. `description` is of `described`."""
    return str(description["CreationDateTime"].astimezone(UTC).isoformat())


def counted(counts: Mapping[str, int]) -> str:
    """The counts of a comparison as text."""
    return (
        f"{counts[DIFFERENT]:,} different, {counts[ONLY_LIVE]:,} only live, {counts[ONLY_RESTORED]:,} only "
        f"restored (and {counts[EXPIRED]:,} expired) of {counts['live_items']:,} and {counts['restored_items']:,}"
    )


def within(units: float, table: Mapping[str, Any], what: str) -> float:
    """A budget in capacity units per second that leaves a provisioned table at least half of its capacity.

    `table` is of `described`, `what` is ReadCapacityUnits or WriteCapacityUnits; on-demand tables have no such
    limit.
    """
    provisioned = table.get("ProvisionedThroughput", {}).get(what, 0)
    return min(units, provisioned * _SHARE) if provisioned else units


def time_to_live(client: Any, table: str) -> str:
    """The attribute of a table's time to live; empty where it has none."""
    with explained(f"reading the time to live of {table}"):
        description = client.describe_time_to_live(TableName=table)["TimeToLiveDescription"]
    on = description.get("TimeToLiveStatus") in ("ENABLED", "ENABLING")
    return str(description.get("AttributeName", "")) if on else ""
