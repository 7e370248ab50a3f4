"""Restores a table to a point in time as a new table; the live table is not changed.

The restored table gets the settings that a restore does not copy, and is compared with the live one item by
item: the loss report shows what would be lost. The cutover is a second rollback with
its own approval (`cutover`).

The caller's role writes the record; the restore role, which may not write the record, changes tables
and writes to the state bucket.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from rollback.aws import point_in_time
from rollback.aws.account import code, explained
from rollback.model.events import has
from rollback.model.kind import Kind
from rollback.model.plan import Plan, Refusal
from rollback.model.record import Check
from rollback.model.release import checked_version
from rollback.model.request import BEFORE, TableRequest
from rollback.targets.base import Failure, Journal, Outcome
from rollback.targets.table import restore_time, steps, table_settings
from rollback.targets.table.base import TableTarget
from rollback.targets.table.comparison import EXPIRED, Stopped
from rollback.targets.table.events import Restored, RestoreUndone, Restoring
from rollback.targets.table.restore_time import RELEASE, RESTORED
from rollback.targets.table.steps import TableStep, Unheld, Waiting, until
from rollback.targets.table.table_settings import OWNER_TAG
from rollback.util.errors import Code, RollbackError, UsageError
from rollback.util.times import shown_time

_RESTORE, _SETTINGS, _COMPARE = "restore", "equip", "compare"
_EXISTS = ("TableAlreadyExistsException", "ResourceInUseException")


class TableRestore(TableTarget):
    """The target `table`."""

    kind = Kind.TABLE
    doing = "Restoring"
    smoked = False

    @property
    def _dynamodb(self) -> Any:
        return self._tables.dynamodb

    def plan(self, request: TableRequest) -> Plan[TableStep]:
        """Raises `UsageError` for an unknown table, time or record."""
        table = steps.known(self._settings, request.table)
        at, notices = self._time(request.at)
        live = steps.described(self._dynamodb, table)
        if live is None:
            raise UsageError(
                f"There is no table {table} in {self._settings.environment}.", code=Code.UNKNOWN_TABLE
            )
        copy = restore_time.copy_name(table, at)
        refusals = self._refusals(table, copy, at)
        lacking = table_settings.named(table_settings.read(self._dynamodb, table))
        subject = steps.subject(table)
        deployed = {subject: self._ledger.timeline().all_deployed.get(subject, table)}
        if deployed[subject] != table:
            notices.append(f"The last restored table is {deployed[subject]}; this restores {table} itself.")
        return Plan(
            kind=self.kind,
            environment=self._settings.environment,
            account=self._settings.account,
            region=self._settings.region,
            request=request,
            from_version=table,
            to_version=copy,
            leaves=deployed,
            targets=deployed,
            quarantines={},
            steps=(
                TableStep(do=_RESTORE, on=copy, detail=f"{table} as of {shown_time(at)}"),
                TableStep(do=_SETTINGS, on=copy, detail=", ".join(lacking) or "nothing is lacking"),
                TableStep(do=_COMPARE, on=copy, detail=f"with {table}, item by item: the loss report"),
            ),
            facts={"made_at": steps.creation_time(live), "copy": copy, "at": shown_time(at)},
            notices=(
                *notices,
                restore_time.estimate(live.get("TableSizeBytes", 0), self._settings.pace.read_units),
                f"Settings that a restore does not copy, and that are added afterwards: {', '.join(lacking) or 'nothing'}.",
                *table_settings.notices(self._dynamodb, table, live),
                f"{table} and its callers are not changed.",
            ),
            refusals=tuple(refusals),
        )

    def execute(self, plan: Plan[TableStep], journal: Journal) -> Outcome:
        doing = {
            _RESTORE: lambda _, journal: self._restore(plan, journal),
            _SETTINGS: lambda _, journal: self._equip(plan, journal),
            _COMPARE: lambda _, journal: self._compare(plan, journal),
        }
        return self._run(plan, journal, doing)

    def undo(self, plan: Plan[TableStep], journal: Journal) -> Outcome:
        """Deletes the restored table if this record created it; callers never used it."""
        copy = plan.facts["copy"]
        if not has(journal.events, Restoring):
            return Outcome()
        try:
            self._delete(plan, copy, journal)
        except Stopped:
            return Outcome(interrupted=True)
        except RollbackError as error:
            return Outcome(failures=(Failure(subject=copy, reason=error.what),))
        journal.append(RestoreUndone(deleted=copy))
        return Outcome()

    def verify(self, plan: Plan[TableStep]) -> Sequence[Check]:
        """Checks that the restored table is ACTIVE, has the live one's settings, and as many items as the report says."""
        table, copy = plan.from_version, plan.facts["copy"]
        description = steps.described(self._dynamodb, copy)
        status = description["TableStatus"] if description else "gone"
        checks = [Check(check="table", ok=status == "ACTIVE", detail=f"{copy} is {status}")]
        if description is None or status != "ACTIVE":
            return checks
        has = table_settings.read(self._dynamodb, copy)
        lacking = table_settings.named(
            table_settings.missing(table_settings.read(self._dynamodb, table), has)
        )
        checks.append(
            Check(check="settings", ok=not lacking, detail=", ".join(lacking) or "same as the live table's")
        )
        return [*checks, self._counted(has.tags.get(OWNER_TAG, ""), copy)]

    # -- planning ------------------------------------------------------------------------------------

    def _time(self, to: str) -> tuple[datetime, list[str]]:
        """The time of `to`, in whole seconds, and notices about it."""
        if to.startswith(BEFORE):
            record = self._ledger.load(to.removeprefix(BEFORE)).record
            at, _ = restore_time.parsed(record.initiated_at)
            return at, [f"{shown_time(at)} is when {record.rollback_id} ({record.kind}) started."]
        if to.startswith(RELEASE):
            version = checked_version(to.removeprefix(RELEASE))
            entry = self._ledger.timeline(verified=True).release_of(version)
            if entry is None:
                raise UsageError(
                    f"No release {version!r} is recorded.",
                    code=Code.UNKNOWN_RELEASE,
                    next=f"rollback release list --env {self._settings.environment}",
                )
            at, _ = restore_time.parsed(entry.at)
            return at, [f"{shown_time(at)} is when {version} was recorded, after it was deployed."]
        if to.startswith(RESTORED):
            raise UsageError(
                f"{to[:80]!a} needs --cutover copy-back or --cutover parameter.", code=Code.OPTION_INVALID
            )
        at, notice = restore_time.parsed(to)
        return at, [notice] if notice else []

    def _refusals(self, table: str, copy: str, at: datetime) -> list[Refusal]:
        found = restore_time.refusal(table, at, point_in_time.read(self._dynamodb, table), self._now())
        refusals = [found] if found else []
        if steps.described(self._dynamodb, copy) is not None:
            refusals.append(
                Refusal(
                    subject=copy,
                    reason="it already exists, and may have been written to since it was restored",
                    remedy="use it with --to restored:ID, delete it, or select another second",
                )
            )
        return refusals

    # -- doing ---------------------------------------------------------------------------------------

    def _restore(self, plan: Plan[TableStep], journal: Journal) -> Mapping[str, Any]:
        """Starts the restore, or finds the one that this record started, and waits for its end."""
        table, copy = plan.from_version, plan.facts["copy"]
        at, _ = restore_time.parsed(plan.facts["at"])
        begun = has(journal.events, Restoring)
        description = steps.described(self._dynamodb, copy)
        if description is None:
            if not begun:
                journal.append(Restoring(table=table, copy=copy, at=plan.facts["at"]))
                begun = True
            self._late.append(lambda: self._delete(plan, copy, Unheld(journal)))
            with explained(f"restoring {table} as of {plan.facts['at']}"):
                try:
                    self._dynamodb.restore_table_to_point_in_time(
                        SourceTableName=table, TargetTableName=copy, RestoreDateTime=at
                    )
                except ClientError as error:
                    # A retry after a lost response.
                    if code(error) not in _EXISTS:
                        raise
            description = steps.described(self._dynamodb, copy)
        if not begun or not self._made_from(description or {}, table, at):
            raise RollbackError(f"{copy} was created by somebody else.", code=Code.CHANGED_BY_OTHERS)
        if self._late:
            journal.append(Restored(copy=copy))
            self._late.clear()
        until(lambda: table_settings.active(self._dynamodb, copy), journal, self._sleep)
        return {"copy": copy}

    def _made_from(self, description: Mapping[str, Any], table: str, at: datetime) -> bool:
        """Whether a restored table is the one of this plan; true if its description does not say."""
        summary = description.get("RestoreSummary")
        if not summary:
            return True
        source, when = str(summary.get("SourceTableArn", "")), summary.get("RestoreDateTime")
        return source.endswith(f":table/{table}") and (when is None or abs((when - at).total_seconds()) < 1)

    def _equip(self, plan: Plan[TableStep], journal: Journal) -> Mapping[str, Any]:
        table, copy = plan.from_version, plan.facts["copy"]

        def lacking() -> table_settings.TableSettings:
            live, has = (table_settings.read(self._dynamodb, name) for name in (table, copy))
            own = {**live.tags, OWNER_TAG: journal.rollback_id}
            return table_settings.missing(replace(live, tags=own), has)

        given = lacking()
        table_settings.give(self._dynamodb, copy, given, journal, self._sleep)
        # Tags and other settings appear with a delay.
        until(lambda: not table_settings.named(lacking()), journal, self._sleep)
        return {"given": ", ".join(table_settings.named(given))}

    def _compare(self, plan: Plan[TableStep], journal: Journal) -> Mapping[str, Any]:
        report = self._tables.reported(plan.from_version, plan.facts["copy"], journal)
        cutover = (
            f"rollback table --env {plan.environment} --table {plan.from_version} "
            f"--to restored:{journal.rollback_id} --cutover"
        )
        then = (
            f'{cutover} copy-back --reason "…"  # copies what differs into the live table',
            f'{cutover} parameter --reason "…"  # callers that read a parameter use the restored table',
        )
        return {**report, "next": "\n".join(then)}

    def _delete(self, plan: Plan[TableStep], copy: str, journal: Waiting) -> None:
        description = steps.described(self._dynamodb, copy)
        if description is None:
            return
        at, _ = restore_time.parsed(plan.facts["at"])
        if not self._made_from(description, plan.from_version, at):
            raise RollbackError(
                f"{copy} was created by somebody else and was not deleted.", code=Code.CHANGED_BY_OTHERS
            )
        if description["TableStatus"] != "DELETING":
            # A table that is being created or updated cannot be deleted.
            until(lambda: table_settings.active(self._dynamodb, copy), journal, self._sleep)
            with explained(f"deleting {copy}"):
                if description.get("DeletionProtectionEnabled"):
                    self._dynamodb.update_table(TableName=copy, DeletionProtectionEnabled=False)
                    until(lambda: table_settings.active(self._dynamodb, copy), journal, self._sleep)
                self._dynamodb.delete_table(TableName=copy)
        until(lambda: steps.described(self._dynamodb, copy) is None, journal, self._sleep)

    def _counted(self, rollback_id: str, copy: str) -> Check:
        """Checks the copy's number of items against the loss report of the record that created it."""
        if not rollback_id:
            return Check(check="items", ok=False, detail=f"{copy} has no tag of the record that created it")
        found = steps.report_in(self._ledger.load(rollback_id).events)
        if found is None:
            return Check(check="items", ok=False, detail=f"{rollback_id} has no loss report")
        counts = found[1].counts
        items, expected = self._tables.comparison(copy, copy).count(copy), counts["restored_items"]
        # DynamoDB deletes expired items at any time.
        passed = expected - counts[EXPIRED] <= items <= expected
        return Check(check="items", ok=passed, detail=f"{items:,} of {expected:,} items")
