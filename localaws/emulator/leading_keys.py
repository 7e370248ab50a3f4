"""Teaches the emulator's policy evaluation `dynamodb:LeadingKeys`, as AWS fills it.

The evaluator knows the condition operators but is never told the key, so that a statement with a
LeadingKeys condition cannot match. Here each request's partition-key values are put into its
context. A transaction is authorised item by item, each with its own key: an allowed item must not
carry another one in. Runs inside the emulator's process; imports nothing of this project.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/specifying-conditions.html
"""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

KEY = "dynamodb:LeadingKeys"
_MEMBERS = {
    "ConditionCheck": "dynamodb:ConditionCheckItem",
    "Put": "dynamodb:PutItem",
    "Update": "dynamodb:UpdateItem",
    "Delete": "dynamodb:DeleteItem",
    "Get": "dynamodb:GetItem",
}


class ItemAction(str):
    """An IAM action that remembers the partition keys of its own transaction item."""

    __slots__ = ("keys",)
    keys: tuple[str, ...]


def install() -> None:
    """Put the functions of this module in the place of the emulator's own.

    The emulator looks them up at each request. Raises AttributeError where a newer emulator has
    moved them: better no emulator than one that judges otherwise than it says.
    """
    actions: Any = importlib.import_module("ministack.core.iam_actions")
    evaluator: Any = importlib.import_module("ministack.core.iam_evaluator")
    context, transaction, enforce = (
        actions.dynamodb_service_context,
        actions.dynamodb_transaction_checks,
        evaluator.enforce,
    )

    def with_keys(body: bytes) -> dict[str, Any]:
        keys = request_keys(_document(body), schema)
        return {**context(body), **({KEY: keys} if keys else {})}

    def per_item(action: str, body: bytes, region: str, account: str) -> list[tuple[str, str]]:
        checks: list[tuple[str, str]] = transaction(action, body, region, account)
        if not checks:
            return checks
        keys = list(transaction_keys(_document(body), schema))
        if [action for action, _ in checks] != [action for action, _ in keys]:
            raise RuntimeError("the emulator splits a transaction otherwise than expected")
        return [
            (_item_action(action, values), table)
            for (action, table), (_, values) in zip(checks, keys, strict=True)
        ]

    def with_item(access_key: str, action: str, *rest: Any, **named: Any) -> Any:
        if isinstance(action, ItemAction):
            named["service_context"] = {**(named.get("service_context") or {}), KEY: list(action.keys)}
        return enforce(access_key, action, *rest, **named)

    actions.dynamodb_service_context = with_keys
    actions.dynamodb_transaction_checks = per_item
    evaluator.enforce = with_item


def schema(table: str, index: str | None) -> str | None:
    """The name of the partition key of a table or of one of its indexes; None if unknown."""
    known = importlib.import_module("ministack.services.dynamodb")._tables.get(  # noqa: SLF001 - no other way in
        table.rpartition("/")[2]
    )
    if known is None:
        return None
    if index is None:
        return str(known["pk_name"])
    for kind in ("GlobalSecondaryIndexes", "LocalSecondaryIndexes"):
        for entry in known.get(kind) or ():
            if entry.get("IndexName") == index:
                return str(next(k["AttributeName"] for k in entry["KeySchema"] if k["KeyType"] == "HASH"))
    return None


def request_keys(data: Mapping[str, Any], partition: Any = schema) -> list[str]:
    """The partition-key values of a single, batch or Query request, in the order they stand.

    `partition(table, index)` names the key's attribute. A Scan has none, as on AWS.
    """
    keys: list[str] = []
    table = data.get("TableName")
    if isinstance(table, str):
        name = partition(table, data.get("IndexName"))
        for member in ("Key", "Item"):
            keys += _value(data.get(member), name)
        keys += _queried(data, name)
    requests = data.get("RequestItems")
    for table, entries in requests.items() if isinstance(requests, dict) else ():
        name = partition(table, None)
        if isinstance(entries, dict):  # BatchGetItem
            for key in entries.get("Keys") or ():
                keys += _value(key, name)
        for entry in entries if isinstance(entries, list) else ():  # BatchWriteItem
            keys += _value((entry.get("PutRequest") or {}).get("Item"), name)
            keys += _value((entry.get("DeleteRequest") or {}).get("Key"), name)
    return keys


def transaction_keys(
    data: Mapping[str, Any], partition: Any = schema
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """(IAM action, partition keys) of each item of a transaction, in the order they are checked."""
    items = data.get("TransactItems")
    for item in items if isinstance(items, list) else ():
        for member, action in _MEMBERS.items() if isinstance(item, dict) else ():
            detail = item.get(member)
            table = detail.get("TableName") if isinstance(detail, dict) else None
            if isinstance(table, str) and table:
                name = partition(table, None)
                yield action, tuple(_value(detail.get("Key"), name) + _value(detail.get("Item"), name))


def _item_action(action: str, keys: tuple[str, ...]) -> ItemAction:
    made = ItemAction(action)
    made.keys = keys
    return made


def _document(body: bytes) -> dict[str, Any]:
    try:
        data = json.loads(body or b"{}")
    except (ValueError, TypeError):
        return {}
    return data if isinstance(data, dict) else {}


def _value(attributes: Any, name: str | None) -> list[str]:
    value = attributes.get(name) if isinstance(attributes, dict) else None
    return [str(next(iter(value.values())))] if isinstance(value, dict) and value else []


def _queried(data: Mapping[str, Any], name: str | None) -> list[str]:
    """The value that a Query compares the partition key with."""
    if name is None:
        return []
    legacy = (data.get("KeyConditions") or {}).get(name) or {}
    found = [str(next(iter(v.values()))) for v in legacy.get("AttributeValueList") or () if v]
    expression = data.get("KeyConditionExpression")
    if isinstance(expression, str):
        names = data.get("ExpressionAttributeNames") or {}
        values = data.get("ExpressionAttributeValues") or {}
        for left, right in re.findall(r"([#:\w.-]+)\s*=\s*([#:\w.-]+)", expression):
            for attribute, value in ((left, right), (right, left)):
                if names.get(attribute, attribute) == name and value in values:
                    found.append(str(next(iter(values[value].values()))))
    return found
