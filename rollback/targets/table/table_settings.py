"""The settings that a restored table lacks, and how they are copied from the live one.

A restore copies items, indexes, capacity and encryption, but not tags, time to live, streams,
point-in-time recovery, deletion protection, autoscaling, alarms and policies
(https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_RestoreTableToPointInTime.html). The last
three are only reported: an alarm and a policy refer to their table by name, and IAM cannot tell one table's
autoscaling from another's, so that a role that may set it could rescale every table of the account.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from botocore.exceptions import ClientError

from rollback.aws import point_in_time
from rollback.aws.account import code, explained
from rollback.targets.base import Journal
from rollback.targets.table.steps import described, time_to_live, until
from rollback.util.errors import Code, RollbackError

# The tag that marks a restored table as a record's.
OWNER_TAG = "rollback-id"
_RESERVED = "aws:"


@dataclass(frozen=True, kw_only=True, slots=True)
class TableSettings:
    """The settings of a table that can be copied to another. `tags` maps tag keys to values; `stream` is the
    view type, or empty; `recovery` is how many days point-in-time recovery reaches back, 0 where it is off.
    """

    tags: Mapping[str, str] = field(default_factory=dict)
    time_to_live: str = ""
    stream: str = ""
    recovery: int = 0
    deletion_protection: bool = False


def read(client: Any, table: str) -> TableSettings:
    """Reads a table's settings. Raises `RollbackError` if it no longer exists."""
    description = described(client, table)
    if description is None:
        raise RollbackError(f"Table {table} no longer exists.", code=Code.UNKNOWN_TABLE)
    with explained(f"reading the tags of {table}"):
        every = client.get_paginator(operation_name="list_tags_of_resource")
        pages = every.paginate(ResourceArn=description["TableArn"])
        tags = {tag["Key"]: tag["Value"] for page in pages for tag in page["Tags"]}
    stream = description.get("StreamSpecification") or {}
    return TableSettings(
        tags={name: value for name, value in tags.items() if not name.startswith(_RESERVED)},
        time_to_live=time_to_live(client, table),
        stream=stream.get("StreamViewType", "") if stream.get("StreamEnabled") else "",
        recovery=point_in_time.read(client, table).days,
        deletion_protection=bool(description.get("DeletionProtectionEnabled")),
    )


def missing(live: TableSettings, copy: TableSettings) -> TableSettings:
    """The settings of `live` that `copy` lacks or has with other values. Pure."""
    return TableSettings(
        tags={name: value for name, value in live.tags.items() if copy.tags.get(name) != value},
        time_to_live=live.time_to_live if live.time_to_live != copy.time_to_live else "",
        stream=live.stream if live.stream != copy.stream else "",
        recovery=live.recovery if live.recovery != copy.recovery else 0,
        deletion_protection=live.deletion_protection and not copy.deletion_protection,
    )


def named(settings: TableSettings) -> list[str]:
    """The settings that are present, in words."""
    return [
        f"{entry.name.replace('_', ' ')}{f' ({value})' if type(value) in (str, int) else ''}"
        for entry in fields(settings)
        if (value := getattr(settings, entry.name))
    ]


def notices(client: Any, table: str, description: Mapping[str, Any]) -> list[str]:
    """Notices about what a copy will not have. `description` is of `steps.described`. Raises
    `RollbackError` where it cannot be read.
    """
    found = [f"Alarms and triggers of {table} are not copied to the restored table."]
    with explained(f"reading the resource policy of {table}"):
        try:
            client.get_resource_policy(ResourceArn=description["TableArn"])
            found.append(f"The resource policy of {table} is not copied to the restored table.")
        except ClientError as error:
            if code(error) not in ("PolicyNotFoundException", "ResourceNotFoundException"):
                raise
    if description.get("ProvisionedThroughput", {}).get("ReadCapacityUnits"):
        found.append(f"Autoscaling of {table} is not copied: the restored table keeps the current capacity.")
    return found


def give(
    client: Any, copy: str, lacking: TableSettings, journal: Journal, sleep: Callable[[float], None]
) -> None:
    """Adds missing settings to `copy`, one at a time: a table that is being updated accepts no other update. Raises
    `RollbackError` where one cannot be set.
    """
    description = described(client, copy)
    if description is None:
        raise RollbackError(f"Table {copy} no longer exists.", code=Code.UNKNOWN_TABLE)

    def updated(**change: Any) -> None:
        with explained(f"updating {copy}"):
            client.update_table(TableName=copy, **change)
        until(lambda: active(client, copy), journal, sleep)

    with explained(f"copying the settings to {copy}"):
        if lacking.tags:
            tags = [{"Key": name, "Value": value} for name, value in lacking.tags.items()]
            client.tag_resource(ResourceArn=description["TableArn"], Tags=tags)
        if lacking.time_to_live:
            client.update_time_to_live(
                TableName=copy,
                TimeToLiveSpecification={"Enabled": True, "AttributeName": lacking.time_to_live},
            )
    if lacking.recovery:
        until(lambda: _recoverable(client, copy, lacking.recovery), journal, sleep)
    if lacking.stream:
        updated(StreamSpecification={"StreamEnabled": True, "StreamViewType": lacking.stream})
    if lacking.deletion_protection:
        updated(DeletionProtectionEnabled=True)


def _recoverable(client: Any, table: str, days: int) -> bool:
    """Enables point-in-time recovery; False if the table is too new for it."""
    wanted = {"PointInTimeRecoveryEnabled": True, "RecoveryPeriodInDays": days}
    with explained(f"enabling point-in-time recovery of {table}"):
        try:
            client.update_continuous_backups(TableName=table, PointInTimeRecoverySpecification=wanted)
        except ClientError as error:
            if code(error) != "ContinuousBackupsUnavailableException":
                raise
            return False
    return True


def active(client: Any, table: str) -> bool:
    """Whether a table is ACTIVE; a restored one is when all its items are restored. Raises `RollbackError` if
    it no longer exists.
    """
    description = described(client, table)
    if description is None:
        raise RollbackError(f"Table {table} no longer exists.", code=Code.UNKNOWN_TABLE)
    restoring = description.get("RestoreSummary", {}).get("RestoreInProgress", False)
    return description["TableStatus"] == "ACTIVE" and not restoring
