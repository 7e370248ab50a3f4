"""The partition keys that a DynamoDB request names, as the policy evaluation is told them."""

import pytest

from localaws.emulator.leading_keys import request_keys, transaction_keys


def _schema(table: str, index: str | None) -> str | None:
    return {("t", None): "PK", ("t", "GSI1"): "GSI1PK", ("other", None): "id"}.get((table, index))


@pytest.mark.parametrize(
    ("request_", "keys"),
    [
        ({"TableName": "t", "Key": {"PK": {"S": "A#1"}, "SK": {"S": "x"}}}, ["A#1"]),
        ({"TableName": "other", "Item": {"PK": {"S": "no key here"}, "id": {"N": "7"}}}, ["7"]),
        (
            {
                "TableName": "t",
                "KeyConditionExpression": "#p = :p AND begins_with(SK, :s)",
                "ExpressionAttributeNames": {"#p": "PK"},
                "ExpressionAttributeValues": {":p": {"S": "A#1"}, ":s": {"S": "EVENT#"}},
            },
            ["A#1"],
        ),
        (
            {
                "TableName": "t",
                "IndexName": "GSI1",
                "KeyConditionExpression": "GSI1PK=:e",
                "ExpressionAttributeValues": {":e": {"S": "ENV#dev"}},
            },
            ["ENV#dev"],
        ),
        (
            {
                "TableName": "t",
                "KeyConditionExpression": "SK = :s and PK = :p",
                "ExpressionAttributeValues": {":p": {"S": "A#1"}, ":s": {"S": "not this"}},
            },
            ["A#1"],
        ),
        (
            {"TableName": "t", "KeyConditions": {"PK": {"AttributeValueList": [{"S": "A#1"}]}}},
            ["A#1"],
        ),
        (
            {"RequestItems": {"t": {"Keys": [{"PK": {"S": "A"}}, {"PK": {"S": "B"}}]}}},
            ["A", "B"],
        ),
        (
            {
                "RequestItems": {
                    "t": [
                        {"PutRequest": {"Item": {"PK": {"S": "A"}}}},
                        {"DeleteRequest": {"Key": {"PK": {"S": "B"}}}},
                    ]
                }
            },
            ["A", "B"],
        ),
        ({"TableName": "t", "FilterExpression": "PK = :p"}, []),
        ({"TableName": "unknown", "Key": {"PK": {"S": "A"}}}, []),
    ],
)
def test_a_request_names_its_partition_keys(request_: dict[str, object], keys: list[str]) -> None:
    assert request_keys(request_, _schema) == keys


def test_each_item_of_a_transaction_has_its_own_action_and_key() -> None:
    items = [
        {"Put": {"TableName": "t", "Item": {"PK": {"S": "ROLLBACK#1"}}}},
        {"ConditionCheck": {"TableName": "t", "Key": {"PK": {"S": "LOCK#dev"}}}},
        {"Update": {"TableName": "other", "Key": {"id": {"S": "x"}}}},
    ]

    assert list(transaction_keys({"TransactItems": items}, _schema)) == [
        ("dynamodb:PutItem", ("ROLLBACK#1",)),
        ("dynamodb:ConditionCheckItem", ("LOCK#dev",)),
        ("dynamodb:UpdateItem", ("x",)),
    ]
