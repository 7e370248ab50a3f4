"""Cuts over to a restored table: by copying items back, or with a parameter that has the table's name.

It is a separate rollback with its own approval, after a restore that is COMPLETE. It is bound to that
restore's loss report by the report's SHA-256: what is written back is exactly what was reported, into items
that are still as in the report. `copy-back` starts with a backup of the live table; items that only the
live table has are kept, unless `--delete-new`. `parameter` sets the parameter that functions read to the
restored table, and reports what only the live table has.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

from botocore.exceptions import ClientError

from rollback.aws.account import code, explained
from rollback.aws.rate_limit import Budget
from rollback.model.events import has
from rollback.model.kind import Kind
from rollback.model.plan import Plan, Refusal
from rollback.model.record import Check, Status
from rollback.model.request import CutoverRequest, TableRequest
from rollback.targets.base import Failure, Journal, Outcome
from rollback.targets.table import attribute_json, steps, table_settings
from rollback.targets.table.base import TableTarget
from rollback.targets.table.comparison import DIFFERENT, ONLY_LIVE, ONLY_RESTORED, Stopped
from rollback.targets.table.copy_back import (
    ALREADY,
    CHANGED,
    LEFT,
    UNDONE,
    WANTED,
    WRITTEN,
    Writer,
    batches,
    untouched,
    wrote,
)
from rollback.targets.table.events import CutoverUndone, Pointed, Pointing, Writing, Wrote
from rollback.targets.table.loss_report import LossReport
from rollback.targets.table.restore_time import HOW
from rollback.targets.table.steps import Compared, TableStep, until
from rollback.util.errors import (
    Code,
    Refused,
    RollbackError,
    UsageError,
)

COPY_BACK, PARAMETER = "copy-back", "parameter"
_BACKUP, _WRITE, _POINT, _COMPARE = "back up", "write into", "point", "compare"


class Cutover(TableTarget):
    """The target `cutover`."""

    kind = Kind.CUTOVER
    doing = "Cutting over"
    smoked = True

    @cached_property
    def _ssm(self) -> Any:
        return self._tables.clients("ssm")

    def plan(self, request: CutoverRequest) -> Plan[TableStep]:
        """Raises `UsageError` if the record is not a restore, `Refused` if it is not COMPLETE."""
        table = steps.known(self._settings, request.table)
        if request.cutover not in (COPY_BACK, PARAMETER):
            raise UsageError(
                "A cutover needs the restore that it follows.", code=Code.OPTION_INVALID, next=HOW
            )
        restore, report, compared = self._restored(table, request.restore)
        copy, at = restore.facts["copy"], restore.facts["at"]
        live, description = self._tables.description(table), self._tables.description(copy)
        parameter = self._settings.names.table_parameter(table)
        pointed = self._pointed(parameter) if request.cutover == PARAMETER else table
        goes = f"{table}@{at}" if request.cutover == COPY_BACK else copy
        subject = steps.subject(table)
        if request.cutover == PARAMETER:
            compared = self._compared_last(subject, copy, compared)
        deployed = self._ledger.timeline().all_deployed.get(subject, table)
        return Plan(
            kind=self.kind,
            environment=self._settings.environment,
            account=self._settings.account,
            region=self._settings.region,
            request=request,
            from_version=deployed,
            to_version=goes,
            leaves={subject: deployed},
            targets={subject: goes},
            quarantines={},
            steps=tuple(_steps(request, table, copy, parameter, compared.counts)),
            facts={
                "table": table,
                "table_made_at": steps.creation_time(live),
                "copy": copy,
                "copy_made_at": steps.creation_time(description),
                "report": report.key,
                "sha256": report.sha256,
                "lines": str(report.lines),
                "stood": pointed,
            },
            notices=tuple(_notices(request, table, compared)),
            refusals=tuple(_refusals(table, copy, description, parameter, pointed)),
        )

    def execute(self, plan: Plan[TableStep], journal: Journal) -> Outcome:
        doing = {
            _BACKUP: lambda _, journal: self._back_up(plan, journal),
            _WRITE: lambda _, journal: self._write_back(plan, journal),
            _POINT: lambda _, journal: self._point(plan, journal),
            _COMPARE: lambda _, journal: self._tables.reported(
                plan.facts["table"], plan.facts["copy"], journal
            ),
        }
        return self._run(plan, journal, doing)

    def undo(self, plan: Plan[TableStep], journal: Journal) -> Outcome:
        """Reverts the written items that nobody has changed since, or the parameter."""
        try:
            if plan.request.expected(CutoverRequest).cutover == COPY_BACK:
                outcome = self._unwrite(plan, journal)
            else:
                outcome = self._point_back(plan, journal)
        except Stopped:
            return Outcome(interrupted=True)
        except RollbackError as error:
            return Outcome(failures=(Failure(subject=plan.facts["table"], reason=error.what),))
        journal.append(CutoverUndone(left=tuple(failure.reason for failure in outcome.failures)))
        return outcome

    def verify(self, plan: Plan[TableStep]) -> Sequence[Check]:
        """Compares every item of the report again; or checks the parameter and its table."""
        table, copy = plan.facts["table"], plan.facts["copy"]
        if plan.request.expected(CutoverRequest).cutover == COPY_BACK:
            return [self._compared(plan)]
        value = self._pointed(self._settings.names.table_parameter(table))
        live, has = (table_settings.read(self._tables.dynamodb, name) for name in (table, copy))
        lacking = table_settings.named(table_settings.missing(live, has))
        return [
            Check(check="parameter", ok=value == copy, detail=f"it is {value}"),
            Check(check="table", ok=table_settings.active(self._tables.dynamodb, copy), detail=copy),
            Check(check="settings", ok=not lacking, detail=", ".join(lacking) or "same as the live table's"),
        ]

    # -- planning ------------------------------------------------------------------------------------

    def _restored(self, table: str, rollback_id: str) -> tuple[Plan[TableStep], LossReport, Compared]:
        """The plan, the loss report and its counts of a restore that is COMPLETE."""
        opened = self._ledger.load(rollback_id)
        if opened.record.kind != Kind.TABLE:
            raise UsageError(
                f"{rollback_id} is not the restore of a table.",
                code=Code.OPTION_INVALID,
                next=f"rollback history --env {self._settings.environment} --kind table",
            )
        plan = opened.plan(TableStep)
        if (restored := plan.request.expected(TableRequest).table) != table:
            raise UsageError(f"{rollback_id} restored {restored}, not {table}.", code=Code.OPTION_INVALID)
        found = steps.report_in(opened.events)
        if opened.record.status is not Status.COMPLETE or found is None:
            raise Refused(
                f"{rollback_id} is {opened.record.status}: a cutover needs a restore that is COMPLETE.",
                code=Code.WRONG_STATUS,
                next=f"rollback show {rollback_id} --env {self._settings.environment}",
            )
        return plan, *found

    def _compared_last(self, subject: str, copy: str, restored: Compared) -> Compared:
        """The newest comparison of the table with `copy`: that of the restore, or of a later cutover.

        A new one would read both tables completely, before an approval and again after it.
        """
        for entry in self._ledger.timeline(verified=True):
            if entry.kind == "rollback" and subject in entry.services:
                opened = self._ledger.load(entry.id)
                there = opened.plan(TableStep).facts.get("copy") == copy
                if there and (found := steps.report_in(opened.events)) is not None:
                    return found[1]
        return restored

    def _pointed(self, parameter: str) -> str:
        """The value of a parameter; empty where it does not exist."""
        with explained(f"reading {parameter}"):
            try:
                return str(self._ssm.get_parameter(Name=parameter)["Parameter"]["Value"])
            except ClientError as error:
                if code(error) == "ParameterNotFound":
                    return ""
                raise

    # -- copying back --------------------------------------------------------------------------------

    def _report(self, plan: Plan[TableStep]) -> LossReport:
        facts = plan.facts
        return LossReport(key=facts["report"], sha256=facts["sha256"], lines=int(facts["lines"]))

    def _back_up(self, plan: Plan[TableStep], journal: Journal) -> Mapping[str, Any]:
        table, client = plan.facts["table"], self._tables.dynamodb
        with explained(f"backing up {table}"):
            made = client.create_backup(TableName=table, BackupName=f"before-{journal.rollback_id}")
        arn = made["BackupDetails"]["BackupArn"]

        def available() -> bool:
            with explained(f"reading the backup of {table}"):
                description = client.describe_backup(BackupArn=arn)["BackupDescription"]
            return bool(description["BackupDetails"]["BackupStatus"] == "AVAILABLE")

        until(available, journal, self._sleep)
        return {"backup": arn}

    def _write_back(self, plan: Plan[TableStep], journal: Journal) -> Mapping[str, Any]:
        """Writes batch by batch. What is already done in the first batch after a takeover was done by this record."""
        # Before any write: the report must be the approved one.
        self._tables.reports.check(self._report(plan))
        through, _ = wrote(journal.events)
        ours = has(journal.events, Writing)
        if not ours:
            journal.append(Writing(report=plan.facts["report"]))
        writer = self._writer(plan, journal)
        again = replace(writer, check=lambda: None)
        writer.wrote = lambda change: self._late.append(lambda: again.write(change.reversed()))
        lines = self._tables.reports.lines(self._report(plan))
        for batch in batches(lines, through, delete_new=plan.request.expected(CutoverRequest).delete_new):
            if journal.stopping():
                raise Stopped
            todo = [line for line in batch if line.change is not None]
            results = writer.all([line.change for line in todo if line.change is not None])
            found = dict(zip((line.number for line in todo), results, strict=True))
            journal.append(
                Wrote(
                    through=batch[-1].number + 1,
                    written=results.count(WRITTEN) + (results.count(ALREADY) if ours else 0),
                    left=tuple(number for number, result in found.items() if result == LEFT),
                    already=tuple(n for n, result in found.items() if result == ALREADY and not ours),
                )
            )
            self._late.clear()
            self._notice_left(
                journal, batch[-1].number, [line for line in todo if found[line.number] == LEFT]
            )
            ours = False
        _, counted = wrote(journal.events)
        return {"items": ", ".join(f"{count:,} {what}" for what, count in counted.items())}

    def _notice_left(self, journal: Journal, number: int, lines: Sequence[Any]) -> None:
        """Stores the keys of unchanged items beside the report, because they may be personal data."""
        if lines:
            keys = "".join(f"{attribute_json.text(line.change.key)}\n" for line in lines)
            self._tables.reports.put(journal.rollback_id, f"left-{number:09d}.jsonl", keys)

    def _unwrite(self, plan: Plan[TableStep], journal: Journal) -> Outcome:
        """Undoes every line that was, or may have been, written."""
        if not has(journal.events, Writing):
            return Outcome()
        through, _ = wrote(journal.events)
        kept = untouched(journal.events)
        writer, left = self._writer(plan, journal), 0
        lines = self._tables.reports.lines(self._report(plan))
        for batch in batches(lines, 0, delete_new=plan.request.expected(CutoverRequest).delete_new):
            if journal.stopping():
                raise Stopped
            todo = [
                line.change.reversed()
                for line in batch
                if line.change is not None and line.number not in kept
            ]
            left += writer.all(todo).count(LEFT)
            if batch[0].number >= through:
                # Only the last started batch may lack its journal entry.
                break
        if not left:
            return Outcome()
        why = f"{left} items were changed by somebody else since and were not reverted"
        return Outcome(failures=(Failure(subject=plan.facts["table"], reason=why, foreign=True),))

    def _writer(self, plan: Plan[TableStep], journal: Journal) -> Writer:
        table, pace = plan.facts["table"], self._settings.pace
        description = self._tables.description(table)
        return Writer(
            client=self._tables.dynamodb,
            table=table,
            reads=Budget(rate=steps.within(pace.read_units, description, "ReadCapacityUnits")),
            writes=Budget(rate=steps.within(pace.write_units, description, "WriteCapacityUnits")),
            check=journal.check,
        )

    def _compared(self, plan: Plan[TableStep]) -> Check:
        """Counts the report's items now: as wanted, changed by somebody else since, or not done."""
        table, counted = plan.facts["table"], Counter[str]()
        compared = self._tables.comparison(table, plan.facts["copy"])
        lines = self._tables.reports.lines(self._report(plan))
        for batch in batches(lines, 0, delete_new=plan.request.expected(CutoverRequest).delete_new):
            wishes = [line.change for line in batch if line.change is not None]
            for start in range(0, len(wishes), 100):
                part = wishes[start : start + 100]
                now = compared.fetch(table, [wish.key for wish in part])
                counted.update(wish.state_of(now.get(attribute_json.text(wish.key))) for wish in part)
        detail = (
            f"{counted[WANTED]} of {sum(counted.values())} items are as restored, "
            f"{counted[CHANGED]} were changed by somebody else, {counted[UNDONE]} are not done"
        )
        return Check(check="items", ok=not counted[UNDONE], detail=detail)

    # -- the parameter -------------------------------------------------------------------------------

    def _point(self, plan: Plan[TableStep], journal: Journal) -> Mapping[str, Any]:
        parameter = self._settings.names.table_parameter(plan.facts["table"])
        value = self._pointed(parameter)
        if value not in (plan.facts["stood"], plan.facts["copy"]):
            raise RollbackError(f"Somebody else has set {parameter} to {value}.", code=Code.CHANGED_BY_OTHERS)
        journal.append(Pointing(from_=plan.facts["stood"], to=plan.facts["copy"]))
        self._late.append(lambda: self._point_back(plan, journal))
        self._write_item(parameter, plan.facts["copy"])
        journal.append(Pointed(to=plan.facts["copy"]))
        self._late.clear()
        return {"parameter": parameter}

    def _point_back(self, plan: Plan[TableStep], journal: Journal) -> Outcome:
        parameter = self._settings.names.table_parameter(plan.facts["table"])
        value = self._pointed(parameter)
        begun = any(event.kind == "pointing" for event in journal.events)
        if not begun or value == plan.facts["stood"]:
            return Outcome()
        if value != plan.facts["copy"]:
            why = f"somebody else has set it to {value}"
            return Outcome(failures=(Failure(subject=parameter, reason=why, foreign=True),))
        self._write_item(parameter, plan.facts["stood"])
        return Outcome()

    def _write_item(self, parameter: str, value: str) -> None:
        with explained(f"writing {parameter}"):
            self._ssm.put_parameter(Name=parameter, Value=value, Type="String", Overwrite=True)


def _steps(
    request: CutoverRequest, table: str, copy: str, parameter: str, counts: Mapping[str, int]
) -> list[TableStep]:
    compare = TableStep(do=_COMPARE, on=table, detail=f"with {copy} again, item by item")
    if request.cutover == PARAMETER:
        return [TableStep(do=_POINT, on=parameter, detail=f"to {copy}"), compare]
    back = counts[DIFFERENT] + counts[ONLY_RESTORED]
    gone = f", delete {counts[ONLY_LIVE]:,}" if request.delete_new else ""
    return [
        TableStep(do=_BACKUP, on=table, detail="an on-demand backup, kept"),
        TableStep(do=_WRITE, on=table, detail=f"put {back:,} items from {copy}{gone}"),
        compare,
    ]


def _notices(request: CutoverRequest, table: str, compared: Compared) -> list[str]:
    kept = "deleted" if request.delete_new else "kept"
    counts, known = compared.counts, f"as of {compared.at}, when the tables were compared"
    if request.cutover == PARAMETER:
        return [
            f"Callers lose {counts[ONLY_LIVE]:,} items that only {table} has ({known}).",
            f"They see {counts[DIFFERENT]:,} items in their old state ({known}).",
            f"They also lose what is written to {table} until every function has read the parameter again.",
        ]
    return [
        f"Items that only {table} has ({counts[ONLY_LIVE]:,} {known}) are {kept}.",
        "Items that somebody has changed since the loss report are not overwritten, but reported.",
    ]


def _refusals(
    table: str, copy: str, description: Mapping[str, Any], parameter: str, pointed: str
) -> list[Refusal]:
    found = []
    if description["TableStatus"] != "ACTIVE":
        found.append(Refusal(subject=copy, reason=f"it is {description['TableStatus']}"))
    if not pointed:
        found.append(
            Refusal(
                subject=parameter,
                reason="the parameter does not exist, so no function reads it",
                remedy=f"--cutover {COPY_BACK}, or create the parameter and let the functions that use {table} read it",
            )
        )
    if pointed == copy:
        found.append(Refusal(subject=parameter, reason=f"it is already {copy}"))
    return found
