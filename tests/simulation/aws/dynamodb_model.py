"""DynamoDB in memory, as far as this project uses it: tables with two string keys, under boto3's names.

Consistent reads see every write at once. Reads that are not consistent, and all reads of an index, see the
table as it was `base_lag` and `index_lag` writes of single items ago; a transaction may be seen by halves
there, as on a real table. One caller at a time; nothing waits, and no fault happens by itself.

Sources: the API reference of the operations below,
https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/.
"""

# ruff: noqa: N803 - boto3's names

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from tests.simulation.aws.answers import Answer, Unmodelled, answered, refused
from tests.simulation.aws.dynamodb_storage import TOO_LARGE, TOO_LARGE_AFTER, Key, Mismatch, Table, page
from tests.simulation.aws.expressions import Invalid, Item, Terms, Value, condition, key_condition, update

_LARGEST_TRANSACTION = 4 * 1024 * 1024
_MEMBERS = 100
# "A client request token is valid for 10 minutes after the first request that uses it completes."
_TOKEN_SECONDS = 600.0
_EXPRESSIONS = {"ConditionExpression", "ExpressionAttributeNames", "ExpressionAttributeValues"}
_PUT = {"TableName", "Item", *_EXPRESSIONS}
_UPDATE = {"TableName", "Key", "UpdateExpression", *_EXPRESSIONS}
_CHECK = {"TableName", "Key", *_EXPRESSIONS}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Wish:
    """A write that is well formed: a put where there is an `item`, an update, or a mere check."""

    table: Table
    key: Key
    bare: Item
    terms: Terms
    condition: str | None
    update: str | None
    item: Item | None
    size: int

    def holds(self) -> bool:
        if self.condition is None:
            return True
        return condition(self.condition).holds(self.table.item(self.key) or {}, self.terms)

    def made(self) -> tuple[Item | None, int]:
        """What it comes to, with its size; None for a check. Raises `Invalid` where it must not be."""
        if self.update is None:
            return self.item, self.size
        item = update(self.update).apply(self.table.item(self.key) or self.bare, self.terms)
        return item, self.table.checked(item, TOO_LARGE_AFTER)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Outcome:
    """What a transaction's member comes to, or why it does not; no item for a mere check."""

    wish: _Wish
    reason: Mapping[str, str]
    item: Item | None = None
    size: int = 0


class DynamoDB:
    """Tables of one account. `now` is a time in seconds, for the ten minutes that a token lives."""

    def __init__(self, *, now: Callable[[], float] = lambda: 0.0) -> None:
        self.index_lag = 0
        self.base_lag = 0
        self._tables: dict[str, Table] = {}
        self._now = now
        self._tokens: dict[str, tuple[float, Sequence[Mapping[str, Any]]]] = {}

    # -- what a test arranges and sees -----------------------------------------------------------------

    def items(self, table: str) -> list[Item]:
        """All items, in the order of their keys."""
        partitions = sorted(self._tables[table].now.items())
        return [
            stored.item
            for _, partition in partitions
            for _, stored in sorted(partition.items())
            if stored.item is not None
        ]

    def force(self, table: str, item: Item) -> None:
        """Puts an item as somebody may who is allowed everything."""
        found = self._tables[table]
        found.write(found.key(item, alone=False), dict(item), found.checked(item, TOO_LARGE))

    def remove(self, table: str, hash_value: str, range_value: str) -> None:
        """Deletes an item as somebody may who is allowed everything."""
        self._tables[table].write((hash_value, range_value), None, 0)

    # -- boto3's names -----------------------------------------------------------------------------------

    def create_table(
        self,
        *,
        TableName: str,
        KeySchema: Sequence[Mapping[str, str]],
        AttributeDefinitions: Sequence[Mapping[str, str]],
        BillingMode: str,
        GlobalSecondaryIndexes: Sequence[Mapping[str, Any]] = (),
    ) -> Answer:
        """A table on demand, all of whose keys are strings and whose indexes hold whole items."""
        types = {item["AttributeType"] for item in AttributeDefinitions}
        projections = {str(index["Projection"]) for index in GlobalSecondaryIndexes}
        if (BillingMode, types) != ("PAY_PER_REQUEST", {"S"}) or projections > {"{'ProjectionType': 'ALL'}"}:
            raise Unmodelled("a table that is not on demand, keys that are no strings, or partial indexes")
        hash_key, range_key = _schema(KeySchema)
        self._tables[TableName] = Table(
            hash_key=hash_key,
            range_key=range_key,
            indexes={index["IndexName"]: _schema(index["KeySchema"]) for index in GlobalSecondaryIndexes},
        )
        return answered(TableDescription={"TableName": TableName, "TableStatus": "ACTIVE"})

    def describe_table(self, *, TableName: str) -> Answer:
        table = self._table("DescribeTable", TableName)
        indexes = [{"IndexName": name, "IndexStatus": "ACTIVE"} for name in table.indexes]
        return answered(
            Table={
                "TableName": TableName,
                "TableStatus": "ACTIVE",
                "GlobalSecondaryIndexes": indexes,
                "DeletionProtectionEnabled": False,
            }
        )

    def describe_continuous_backups(self, *, TableName: str) -> Answer:
        if TableName not in self._tables:
            raise refused(
                "DescribeContinuousBackups", "TableNotFoundException", f"Table not found: {TableName}"
            )
        recovery = {"PointInTimeRecoveryStatus": "DISABLED"}
        description = {"ContinuousBackupsStatus": "ENABLED", "PointInTimeRecoveryDescription": recovery}
        return answered(ContinuousBackupsDescription=description)

    def delete_table(self, *, TableName: str) -> Answer:
        self._table("DeleteTable", TableName)
        del self._tables[TableName]
        return answered(TableDescription={"TableName": TableName, "TableStatus": "DELETING"})

    def get_item(self, *, TableName: str, Key: Item, ConsistentRead: bool = False) -> Answer:
        table = self._table("GetItem", TableName)
        try:
            key = table.key(Key, alone=True)
        except Invalid as invalid:
            raise _validation("GetItem", invalid) from None
        if ConsistentRead or not self.base_lag:
            item = table.item(key)
        else:
            stored = table.then(key, table.position - self.base_lag)
            item = stored.item if stored else None
        return answered() if item is None else answered(Item=dict(item))

    def put_item(self, **request: Any) -> Answer:
        self._write("PutItem", request, _PUT)
        return answered()

    def update_item(self, *, ReturnValues: str = "NONE", **request: Any) -> Answer:
        """An item that is not there is made."""
        if ReturnValues not in ("NONE", "ALL_NEW"):
            raise Unmodelled(f"ReturnValues {ReturnValues}")
        item = self._write("UpdateItem", request, _UPDATE)
        return answered(Attributes=dict(item)) if ReturnValues == "ALL_NEW" else answered()

    def delete_item(self, *, TableName: str, Key: Item) -> Answer:
        """What is not there is deleted as well. The product deletes nothing of a ledger; its tests do."""
        table = self._table("DeleteItem", TableName)
        try:
            key = table.key(Key, alone=True)
        except Invalid as invalid:
            raise _validation("DeleteItem", invalid) from None
        if table.item(key) is not None:
            table.write(key, None, 0)
        return answered()

    def transact_write_items(
        self, *, TransactItems: Sequence[Mapping[str, Any]], ClientRequestToken: str | None = None
    ) -> Answer:
        """All members or none; a failure tells the reason of each member, in order.

        Within ten minutes the same members with the same token are answered again and not done again.
        botocore makes a token for each call and keeps it for the call's retries: whoever plays these hands
        the same one in.
        """
        operation = "TransactWriteItems"
        if ClientRequestToken is not None and self._known(ClientRequestToken, TransactItems):
            return answered()
        try:
            outcomes = [_outcome(wish) for wish in self._wishes(TransactItems)]
            if sum(one.size for one in outcomes) > _LARGEST_TRANSACTION:
                raise Invalid("The items of the transaction are larger than 4 MB")  # noqa: TRY301 - as all others
        except Mismatch as mismatch:
            raise Unmodelled(f"a transaction with {mismatch}") from mismatch
        except Invalid as invalid:
            raise _validation(operation, invalid) from None
        reasons = [one.reason for one in outcomes]
        codes = [reason["Code"] for reason in reasons]
        if set(codes) != {"None"}:
            raise refused(
                operation,
                "TransactionCanceledException",
                "Transaction cancelled, please refer cancellation reasons for specific reasons "
                f"[{', '.join(codes)}]",
                CancellationReasons=reasons,
            )
        for one in outcomes:
            if one.item is not None:
                one.wish.table.write(one.wish.key, one.item, one.size)
        if ClientRequestToken is not None:
            self._tokens[ClientRequestToken] = (self._now(), TransactItems)
        return answered()

    def query(
        self,
        *,
        TableName: str,
        KeyConditionExpression: str,
        ExpressionAttributeValues: Mapping[str, Value],
        ExpressionAttributeNames: Mapping[str, str] | None = None,
        IndexName: str | None = None,
        ConsistentRead: bool = False,
        ScanIndexForward: bool = True,
        Limit: int | None = None,
        ExclusiveStartKey: Item | None = None,
        ProjectionExpression: str | None = None,
    ) -> Answer:
        """One page: at most `Limit` items and 1 MB, or of them the attributes that are named, at the top only.

        It tells a LastEvaluatedKey wherever it stopped for that, also where nothing follows.
        """
        table = self._table("Query", TableName)
        try:
            keys = table.keys(IndexName, consistent=ConsistentRead)
            asked = key_condition(KeyConditionExpression)
            terms = _terms(ExpressionAttributeNames, ExpressionAttributeValues, asked.uses)
            hash_value, prefix = asked.asked(*keys, terms)
            if Limit is not None and Limit < 1:
                raise Invalid("Limit: Member must have value greater than or equal to 1")  # noqa: TRY301 - as all others
            after = None if ExclusiveStartKey is None else table.start(keys, ExclusiveStartKey)
        except Invalid as invalid:
            raise _validation("Query", invalid) from None
        if IndexName is not None:
            found = table.index(IndexName, hash_value, self.index_lag)
        else:
            found = table.partition(hash_value, 0 if ConsistentRead else self.base_lag)
        ordered = sorted(
            (
                (table.order(keys, item), item, size)
                for item, size in found
                if item[keys[1]]["S"].startswith(prefix)
            ),
            key=lambda one: one[0],
            reverse=not ScanIndexForward,
        )
        if after is not None:
            ordered = [one for one in ordered if (one[0] > after if ScanIndexForward else one[0] < after)]
        items, stopped = page([(item, size) for _, item, size in ordered], Limit)
        if ProjectionExpression is not None:
            names = ProjectionExpression.replace(" ", "").split(",")
            items = [{name: item[name] for name in names if name in item} for item in items]
        answer = answered(Items=items, Count=len(items), ScannedCount=len(items))
        if stopped:
            names = {table.hash_key, table.range_key, *keys}
            answer["LastEvaluatedKey"] = {name: items[-1][name] for name in names}
        return answer

    # -- helpers -------------------------------------------------------------------------------------------

    def _table(self, operation: str, name: str) -> Table:
        if name not in self._tables:
            raise refused(operation, "ResourceNotFoundException", "Requested resource not found")
        return self._tables[name]

    def _write(self, operation: str, request: Mapping[str, Any], known: set[str]) -> Item:
        """One put or update. Nothing is written where it is refused."""
        try:
            wish = self._wish(operation, request, known)
            if not wish.holds():
                raise refused(operation, "ConditionalCheckFailedException", "The conditional request failed")
            item, size = wish.made()
        except Invalid as invalid:
            raise _validation(operation, invalid) from None
        assert item is not None
        wish.table.write(wish.key, item, size)
        return item

    def _wish(self, operation: str, request: Mapping[str, Any], known: set[str]) -> _Wish:
        """A write as it was sent. Raises `Invalid` for all that is wrong with it whatever is there now."""
        if unknown := set(request) - known:
            raise Unmodelled(f"{operation} with {sorted(unknown)}")
        table = self._table(operation, request["TableName"])
        when, how = request.get("ConditionExpression"), request.get("UpdateExpression")
        uses = condition(when).uses if when is not None else frozenset[str]()
        if how is not None:
            uses |= update(how).uses
        terms = _terms(
            request.get("ExpressionAttributeNames"), request.get("ExpressionAttributeValues"), uses
        )
        item: Item | None = request.get("Item")
        bare: Item = request["Key"] if item is None else {}
        if how is not None:
            for name in update(how).targets(terms):
                if name in (table.hash_key, table.range_key):
                    raise Invalid(
                        "One or more parameter values were invalid: Cannot update attribute "
                        f"{name}. This attribute is part of the key"
                    )
        return _Wish(
            table=table,
            key=table.key(bare, alone=True) if item is None else table.key(item, alone=False),
            bare=bare,
            terms=terms,
            condition=when,
            update=how,
            item=None if item is None else dict(item),
            size=0 if item is None else table.checked(item, TOO_LARGE),
        )

    def _wishes(self, members: Sequence[Mapping[str, Any]]) -> list[_Wish]:
        """A transaction's members. Raises `Invalid` where it is none, whatever is there now."""
        if not 1 <= len(members) <= _MEMBERS:
            raise Invalid(
                f"1 validation error detected: {len(members)} members at 'transactItems' failed to satisfy "
                f"constraint: Member must have length from 1 to {_MEMBERS}"
            )
        known = {"Put": _PUT, "Update": _UPDATE, "ConditionCheck": _CHECK}
        wishes = []
        for member in members:
            if len(member) != 1 or not known.keys() >= member.keys():
                raise Unmodelled(f"a transaction's member with {sorted(member)}")
            ((kind, request),) = member.items()
            if kind == "ConditionCheck" and "ConditionExpression" not in request:
                raise Unmodelled("a check of nothing")
            wishes.append(self._wish("TransactWriteItems", request, known[kind]))
        if len({(id(wish.table), wish.key) for wish in wishes}) < len(wishes):
            raise Invalid("Transaction request cannot include multiple operations on one item")
        return wishes

    def _known(self, token: str, members: Sequence[Mapping[str, Any]]) -> bool:
        """Whether that transaction is done already. A token is for one transaction only."""
        self._tokens = {
            name: kept for name, kept in self._tokens.items() if self._now() < kept[0] + _TOKEN_SECONDS
        }
        if token not in self._tokens:
            return False
        if self._tokens[token][1] != members:
            raise refused(
                "TransactWriteItems",
                "IdempotentParameterMismatchException",
                "Request token already in use for another request with a different payload",
            )
        return True


def _outcome(wish: _Wish) -> _Outcome:
    """A condition that does not hold counts more than a wrong operand."""
    if not wish.holds():
        message = "The conditional request failed"
        return _Outcome(wish=wish, reason={"Code": "ConditionalCheckFailed", "Message": message})
    try:
        item, size = wish.made()
    except Mismatch:
        raise
    except Invalid as invalid:
        return _Outcome(wish=wish, reason={"Code": "ValidationError", "Message": str(invalid)})
    return _Outcome(wish=wish, reason={"Code": "None"}, item=item, size=size)


def _validation(operation: str, invalid: Invalid) -> ClientError:
    return refused(operation, "ValidationException", str(invalid))


def _schema(keys: Iterable[Mapping[str, str]]) -> tuple[str, str]:
    named = {key["KeyType"]: key["AttributeName"] for key in keys}
    return named["HASH"], named["RANGE"]


def _terms(
    names: Mapping[str, str] | None, values: Mapping[str, Value] | None, uses: frozenset[str]
) -> Terms:
    """Raises `Invalid` where the request gives other `#name`s and `:value`s than its expressions use."""
    if names == {} or values == {}:
        raise Invalid("ExpressionAttributeNames and ExpressionAttributeValues must not be empty")
    given = {*(names or ()), *(values or ())}
    if unused := given - uses:
        raise Invalid(
            f"Value provided in ExpressionAttributeNames or -Values unused in expressions: {unused}"
        )
    if undefined := uses - given:
        raise Invalid(
            f"An expression attribute name or value used in an expression is not defined: {undefined}"
        )
    return Terms(names=names or {}, values=values or {})
