"""The deployments table: consistent reads, and conditional writes.

Items are plain Python values. Every write is a single put or a transaction whose members
each have a condition; a failed one raises a `Conflict` with its name.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeVar

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as NoConnection

from rollback.aws.account import code, denied, explained
from rollback.util.canonical import plain
from rollback.util.errors import Code, RollbackError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

# Attribute name → plain Python value (text, int, bool, None, list or dict); "PK" and "SK" are among them.
Item = dict[str, Any]
T = TypeVar("T")


class _Reader(TypeDeserializer):
    """Accepts everything in DynamoDB: boto3's deserializer raises for a number with zeros beyond the 38th digit, and
    returns unprintable objects for bytes.
    """

    def _deserialize_n(self, value: str) -> Decimal:
        return Decimal(value)

    def _deserialize_b(self, value: bytes) -> bytes:
        return value


_SERIALIZER, _DESERIALIZER = TypeSerializer(), _Reader()
# botocore does not retry conflicting or throttled transactions: this module does.
_TRIES = 8
_TRANSIENT = {"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"}
ABSENT = "attribute_not_exists(PK)"


# Reasons why a table is not available.
GONE, THROTTLED, UNREACHABLE = "gone", "throttled", "unreachable"
_CODES = {
    GONE: Code.LEDGER_MISSING,
    THROTTLED: Code.THROTTLED,
    UNREACHABLE: Code.LEDGER_UNREACHABLE,
}
_GONE = {"ResourceNotFoundException", "TableNotFoundException"}
_THROTTLED = {
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "Throttling",
    "ThrottlingException",
}
_HTTP_SERVER_ERROR = 500


class Unanswered(RollbackError):
    """The table is not available: `how` is the reason. As with any lost response, it is unknown whether a write was
    done. What to type next depends on what was running, and on the archive (`situation.without`).
    """

    def __init__(self, what: str, how: str) -> None:
        super().__init__(what, code=_CODES[how])
        self.how = how


class Conflict(Exception):
    """A condition failed. `what` is the name of the failed write."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


@dataclass(frozen=True, kw_only=True, slots=True)
class Write:
    """One member of a transaction: a put of `item`, an update of `key`, or a check of `key`.

    `name` identifies it in errors; a failed condition raises `Conflict(name)`. `key` is (PK, SK); `update` and
    `condition` are DynamoDB expressions, `names` and `values` their placeholders (`{"#status": "status"}`,
    `{":status": "COMPLETE"}`), values in plain Python.
    """

    name: str
    item: Item | None = None
    key: tuple[str, str] | None = None
    update: str | None = None
    condition: str | None = None
    names: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)


class LedgerTable:
    """One DynamoDB table with the keys PK and SK and the index GSI1."""

    def __init__(
        self, client: DynamoDBClient, name: str, *, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self.name = name
        self._client = client
        self._sleep = sleep

    def get(self, pk: str, sk: str) -> Item | None:
        """One item, read consistently; None if it does not exist. Raises `RollbackError`, like all reads here,
        `Unanswered` where the table is not available.
        """
        with self._asked(f"reading {pk} from {self.name}"):
            answer = self._client.get_item(TableName=self.name, Key=_key(pk, sk), ConsistentRead=True)
        item = answer.get("Item")
        return None if item is None else _read(item)

    def query(
        self, pk: str, prefix: str = "", *, newest_first: bool = False, page: int = 0
    ) -> Iterator[Item]:
        """The items of a partition whose SK begins with `prefix`, in order, read consistently page by page."""
        request: dict[str, Any] = {
            "TableName": self.name,
            "ConsistentRead": True,
            "ScanIndexForward": not newest_first,
            "KeyConditionExpression": "PK = :pk",
            "ExpressionAttributeValues": {":pk": {"S": pk}},
        }
        if prefix:
            request["KeyConditionExpression"] += " AND begins_with(SK, :sk)"
            request["ExpressionAttributeValues"][":sk"] = {"S": prefix}
        yield from self._pages(request, page)

    def index(
        self, pk: str, *, page: int = 50, only: Sequence[str] = (), ahead: bool = False
    ) -> Iterator[Item]:
        """The items of GSI1 under `pk`, newest first, or `only` these attributes of them; `ahead` is as in `_pages`.

        Eventually consistent: for display only.
        """
        request: dict[str, Any] = {
            "TableName": self.name,
            "IndexName": "GSI1",
            "ScanIndexForward": False,
            "KeyConditionExpression": "GSI1PK = :pk",
            "ExpressionAttributeValues": {":pk": {"S": pk}},
        }
        if only:
            request["ProjectionExpression"] = ", ".join(only)
        yield from self._pages(request, page, ahead=ahead)

    def update(self, write: Write) -> Item:
        """One conditional update; returns the whole new item. Raises `Conflict` where its condition
        failed.
        """
        member = self._member(write)

        def passes(error: ClientError) -> bool:
            if code(error) == "ConditionalCheckFailedException":
                raise Conflict(write.name) from None
            return code(error) == "TransactionConflictException"

        answer = self._retried(
            write.name, lambda: self._client.update_item(**member, ReturnValues="ALL_NEW"), passes
        )
        return _read(answer["Attributes"])

    def transact(self, writes: Sequence[Write]) -> None:
        """Executes all of `writes` or none. Raises `Conflict` with the name of the first failed condition.

        botocore sends a client token, so that a retry after a lost response is applied once.
        """
        members = [{_kind(write): self._member(write)} for write in writes]

        def passes(error: ClientError) -> bool:
            if code(error) != "TransactionCanceledException":
                return False
            reasons = [reason.get("Code", "") for reason in error.response.get("CancellationReasons", [])]
            for write, reason in zip(writes, reasons, strict=False):
                if reason == "ConditionalCheckFailed":
                    raise Conflict(write.name) from None
            return bool(_TRANSIENT & set(reasons))

        self._retried(
            writes[0].name,
            lambda: self._client.transact_write_items(TransactItems=members),  # type: ignore[arg-type] # built above
            passes,
        )

    def _retried(self, what: str, write: Callable[[], T], passes: Callable[[ClientError], bool]) -> T:
        """Calls `write`, and retries while `passes` says that the error is temporary."""
        attempt = 0
        while True:
            with self._asked(f"writing {what} to {self.name}"):
                try:
                    return write()
                except ClientError as error:
                    attempt += 1
                    if not passes(error) or attempt == _TRIES:
                        raise
            self._sleep(min(2.0, 0.05 * 2 ** (attempt - 1)))

    @contextmanager
    def _asked(self, doing: str) -> Iterator[None]:
        """Like `explained`, but raises `Unanswered` if the table is not available."""
        try:
            with explained(doing):
                yield
        except RollbackError as error:
            how = unanswered(error.__cause__)
            # A role with a LeadingKeys condition gets AccessDenied if the table does not exist.
            if how is None and denied(error.__cause__) and self._is_gone():
                how = GONE
            if how is None:
                raise
            if how == GONE:
                # AWS's words, that access is denied, or that a resource was not found, would mislead.
                what = f"The table {self.name} does not exist."
            else:
                why = "is throttled" if how == THROTTLED else "cannot be reached"
                what = f"The table {why}. {error.what}"
            raise Unanswered(what, how) from error.__cause__

    def _is_gone(self) -> bool:
        try:
            self._client.describe_table(TableName=self.name)
        except ClientError as error:
            return code(error) in _GONE
        except BotoCoreError:
            return False
        return False

    def _member(self, write: Write) -> Item:
        member: Item = {"TableName": self.name}
        if write.item is not None:
            member["Item"] = _written(write.item)
        else:
            assert write.key is not None  # noqa: S101 - a Write has an item or a key
            member["Key"] = _key(*write.key)
        if write.update:
            member["UpdateExpression"] = write.update
        if write.condition:
            member["ConditionExpression"] = write.condition
        if write.names:
            member["ExpressionAttributeNames"] = dict(write.names)
        if write.values:
            member["ExpressionAttributeValues"] = _written(write.values)
        return member

    def _pages(self, request: Item, page: int, *, ahead: bool = False) -> Iterator[Item]:
        """The items, page by page; `ahead`: the next page is read while the current one is used."""
        if page:
            request["Limit"] = page

        def ask(start: Item | None) -> Mapping[str, Any]:
            with self._asked(f"querying {self.name}"):
                return self._client.query(**(request | ({"ExclusiveStartKey": start} if start else {})))

        with ThreadPoolExecutor(1) if ahead else nullcontext() as reader:
            answer = ask(None)
            while True:
                start = answer.get("LastEvaluatedKey")
                following = reader.submit(ask, start) if reader and start else None
                yield from map(_read, answer["Items"])
                if not start:
                    return
                answer = following.result() if following else ask(start)


def unanswered(cause: BaseException | None) -> str | None:
    """Why a table is not available, from botocore's error; None for any response of the table, also a refusal. Pure."""
    if isinstance(cause, (HTTPClientError, NoConnection)):
        return UNREACHABLE
    if not isinstance(cause, ClientError):
        return None
    if code(cause) in _GONE:
        return GONE
    if code(cause) in _THROTTLED:
        return THROTTLED
    status = cause.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return UNREACHABLE if status >= _HTTP_SERVER_ERROR else None


def _kind(write: Write) -> str:
    if write.item is not None:
        return "Put"
    return "Update" if write.update else "ConditionCheck"


def _key(pk: str, sk: str) -> Item:
    return {"PK": {"S": pk}, "SK": {"S": sk}}


def _written(values: Mapping[str, Any]) -> Item:
    return {name: _SERIALIZER.serialize(_to_decimal(plain(value))) for name, value in values.items()}


def _read(item: Mapping[str, Any]) -> Item:
    return {name: _from_decimal(_DESERIALIZER.deserialize(value)) for name, value in item.items()}


def _to_decimal(value: Any) -> Any:
    """DynamoDB has no floats: they become decimals, in their shortest form."""
    if isinstance(value, float):
        return Decimal(repr(value))
    if isinstance(value, dict):
        return {key: _to_decimal(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_to_decimal(item) for item in value]
    return value


def _from_decimal(value: Any) -> Any:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, dict):
        return {key: _from_decimal(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_from_decimal(item) for item in value]
    return value
