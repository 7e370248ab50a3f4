"""The scenario `table`: an item that is overwritten, and `rollback table` with its cutover, each approved.

The item belongs to the drill and is deleted afterwards; nothing else in the table
is written. If anybody else has written to it since the restored time, the drill does not copy
back, because that would revert their change.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from botocore.exceptions import ClientError

from rollback.aws import assume_role, point_in_time
from rollback.aws.account import code, explained
from rollback.config.naming import RESTORE, ROLLBACK
from rollback.model.drill import Drill
from rollback.rehearsal.scenario import DrillContext, StateBefore
from rollback.targets.table import steps, table_settings
from rollback.targets.table.comparison import DIFFERENT, ONLY_LIVE, ONLY_RESTORED
from rollback.util.errors import Code, Refused, RollbackError
from rollback.util.times import shown_time

_MARK, _GOOD, _DAMAGED = "drill", "as it was", "written over"
# "Point-in-time recovery": the latest restorable time is typically five minutes before now.
_WINDOW_SECONDS, _LOOK = 900.0, 5.0
_DELETION_SECONDS = 600.0
# A number has at most 38 decimal digits.
_DIGITS = 20


@dataclass(frozen=True, kw_only=True)
class TableScenario:
    """The scenario `table`."""

    stage: DrillContext

    # -- the scenario ------------------------------------------------------------------------------------

    def look(self) -> StateBefore:
        """`{"table": name, "keys": [[attribute, type], …]}`, types as S, N or B. Raises `Refused` where the
        table's recovery is disabled.
        """
        settings = self.stage.session.settings
        name = steps.known(settings, self.stage.table or next(iter(settings.restorable), ""))
        with explained(f"reading {name}"):
            description = self._dynamodb.describe_table(TableName=name)["Table"]
        if self._latest(name) is None:
            raise Refused(
                f"Point-in-time recovery of {name} is disabled, so it cannot be restored.",
                code=Code.DRILL_REFUSED,
                next="Enable it, for example with terraform apply.",
            )
        types = {
            entry["AttributeName"]: entry["AttributeType"] for entry in description["AttributeDefinitions"]
        }
        return {
            "table": name,
            "keys": [
                [entry["AttributeName"], types[entry["AttributeName"]]] for entry in description["KeySchema"]
            ],
        }

    def go_bad(self, drill: Drill, before: StateBefore) -> None:
        """Writes the item, waits until that time is restorable, then overwrites it. Raises
        `RollbackError` where it does not become restorable.
        """
        name, key = before["table"], keyed(before, drill.drill_id)
        self._put(name, key, _GOOD, "attribute_not_exists(#mark)")
        at = datetime.fromtimestamp(math.ceil(self._clock()), tz=UTC)
        began, clocks = self._clock(), self.stage.session.clocks
        while self._clock() < at.timestamp() + 1 or (latest := self._latest(name)) is None or latest < at:
            if self._clock() - began > _WINDOW_SECONDS:
                raise RollbackError(
                    f"{shown_time(at)} of {name} cannot be restored yet.", code=Code.DRILL_FAILED
                )
            clocks.sleep(min(_LOOK, max(0.2, at.timestamp() + 1 - self._clock())))
        self._put(name, {**key, "restorable": {"S": shown_time(at)}}, _DAMAGED, "attribute_exists(#mark)")

    def roll_back(self, drill: Drill, before: StateBefore) -> None:
        name = before["table"]
        at = self._item(name, keyed(before, drill.drill_id))["restorable"]["S"]
        arguments = ("table", "--table", name, "--reason", drill.reason)
        restored = self.stage.driver.roll_back(ROLLBACK, "table", *arguments, "--to", at)["rollback_id"]
        found = steps.report_in(self.stage.session.ledger.load(restored).events)
        counts = found[1].counts if found else {}
        differing = {kind: counts.get(kind, 0) for kind in (DIFFERENT, ONLY_LIVE, ONLY_RESTORED)}
        if differing != {DIFFERENT: 1, ONLY_LIVE: 0, ONLY_RESTORED: 0}:
            raise RollbackError(
                f"Somebody else has written to {name} since {at} ({differing}): copying back would revert that.",
                code=Code.CHANGED_BY_OTHERS,
            )
        self.stage.driver.roll_back(
            ROLLBACK, "cutover", *arguments, "--to", f"restored:{restored}", "--cutover", "copy-back"
        )

    def gone(self, drill: Drill, before: StateBefore) -> None:
        item = self._item(before["table"], keyed(before, drill.drill_id))
        if item.get(_MARK, {}).get("S") != _GOOD:
            raise RollbackError(
                f"The item in {before['table']} was not restored.", code=Code.DRILL_NOT_RESTORED
            )

    def restore(self, drill: Drill, before: StateBefore) -> None:
        """Deletes the item and the restored tables. A backup is kept."""
        with explained(f"deleting the drill's item from {before['table']}"):
            self._dynamodb.delete_item(TableName=before["table"], Key=keyed(before, drill.drill_id))
        for entry in self.stage.session.ledger.timeline():
            if entry.seq <= drill.seq:
                return
            if entry.kind == "opened":
                opened = self.stage.session.ledger.load(entry.id)
                if opened.record.reason == drill.reason and opened.record.kind == "table":
                    self._drop(opened.record.to_version)

    def plan(self) -> None:
        name = str(self.look()["table"])
        latest = self._latest(name)
        assert latest is not None  # noqa: S101 - `look` has asked
        arguments = ("table", "--table", name, "--to", shown_time(latest), "--dry-run")
        self.stage.driver.must(ROLLBACK, *arguments)

    # -- calls -------------------------------------------------------------------------------------------

    @cached_property
    def _dynamodb(self) -> Any:
        """The client of the restore role, which the rollback role assumes."""
        return assume_role.clients(self.stage.roles.account(ROLLBACK), RESTORE)("dynamodb")

    def _clock(self) -> float:
        return self.stage.session.now().timestamp()

    def _latest(self, name: str) -> datetime | None:
        return point_in_time.read(self._dynamodb, name).latest

    def _put(self, name: str, item: Mapping[str, Any], value: str, condition: str) -> None:
        with explained(f"writing the drill's item into {name}"):
            self._dynamodb.put_item(
                TableName=name,
                Item={**item, _MARK: {"S": value}},
                ConditionExpression=condition,
                ExpressionAttributeNames={"#mark": _MARK},
            )

    def _item(self, name: str, key: Mapping[str, Any]) -> Mapping[str, Any]:
        with explained(f"reading the drill's item from {name}"):
            found = self._dynamodb.get_item(TableName=name, Key=key, ConsistentRead=True)
        item: Mapping[str, Any] = found.get("Item", {})
        return item

    def _drop(self, copy: str) -> None:
        """Deletes a restored table; does nothing if it does not exist."""
        clocks = self.stage.session.clocks
        began = clocks.monotonic()
        while (description := steps.described(self._dynamodb, copy)) is not None:
            if clocks.monotonic() - began > _DELETION_SECONDS:
                raise RollbackError(
                    f"{copy} was not deleted within {_DELETION_SECONDS / 60:.0f} minutes.",
                    code=Code.DRILL_NOT_RESTORED,
                )
            with explained(f"deleting {copy}"):
                try:
                    if description.get("DeletionProtectionEnabled"):
                        self._dynamodb.update_table(TableName=copy, DeletionProtectionEnabled=False)
                    elif table_settings.active(self._dynamodb, copy):
                        self._dynamodb.delete_table(TableName=copy)
                except ClientError as error:
                    if code(error) not in ("ResourceInUseException", "ResourceNotFoundException"):
                        raise
            clocks.sleep(0.2)


def keyed(before: StateBefore, name: str) -> dict[str, Any]:
    """The key of a drill's item, `{"PK": {"S": "drill#…"}}`, with the types of the table's key."""
    values = {"S": f"drill#{name}", "N": str(int(name[-_DIGITS:], 36)), "B": name.encode()}
    return {attribute: {kind: values[kind]} for attribute, kind in before["keys"]}
