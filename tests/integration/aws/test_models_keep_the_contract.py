"""What the product takes for granted of AWS, asked of the models in memory and of the emulator alike.

A simulation on the models is evidence only as far as they behave as the services do. Where the emulator
does not do what AWS documents, the model follows AWS, and the test says which page it follows.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import hypothesis
import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from rollback.aws.account import explained, was_refused
from rollback.util.errors import RollbackError
from tests.doubles.world import TABLE
from tests.integration.services_under_test import ABSENT, ACCOUNT, ALIAS, BUCKET, Side, emulated, modelled
from tests.simulation.aws.answers import Unmodelled
from tests.simulation.aws.lambda_model import AliasSeen, Lambda

GONE = ("ResourceNotFoundException", 404)
STALE = ("PreconditionFailedException", 412)
INVALID = ("ValidationException", 400)
FAILED = ("ConditionalCheckFailedException", 400)
ONE, TWO = {":n": {"N": "1"}}, {":n": {"N": "2"}}


@pytest.fixture(scope="module")
def emulator() -> Iterator[Side]:
    with emulated() as side:
        yield side


@pytest.fixture
def model() -> Side:
    return modelled()


@pytest.fixture(params=["model", "emulator"])
def side(request: pytest.FixtureRequest) -> Side:
    """One of the two, with a name of the test's own."""
    found: Side = request.getfixturevalue(request.param)
    found.name = request.node.originalname[-60:]
    return found


def answer(do: Callable[[], object]) -> dict[str, Any]:
    """The error that a request is answered with."""
    with pytest.raises(ClientError) as caught:
        do()
    response: dict[str, Any] = dict(caught.value.response)
    return response


def refusal(do: Callable[[], object]) -> tuple[str, int]:
    """Code and HTTP status of it."""
    response = answer(do)
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


def reasons(do: Callable[[], object]) -> list[str]:
    """Why each member of a transaction was not done."""
    response = answer(do)
    assert response["Error"]["Code"] == "TransactionCanceledException"
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 400
    return [reason["Code"] for reason in response["CancellationReasons"]]


def keys(page: dict[str, Any]) -> list[str]:
    return [item["SK"]["S"] for item in page["Items"]]


# -- Lambda: what an alias is ----------------------------------------------------------------------------


def test_an_update_with_the_alias_s_revision_is_done_and_gives_it_another(side: Side) -> None:
    revision = side.versions()

    response = side.update(FunctionVersion="2", Description="tag", RevisionId=revision)

    seen = side.alias()
    assert (response["FunctionVersion"], response["Description"], response["Name"]) == ("2", "tag", ALIAS)
    assert response["RevisionId"] == seen["RevisionId"] != revision
    assert (seen["FunctionVersion"], seen["Description"]) == ("2", "tag")


def test_an_update_with_an_older_revision_is_refused_and_changes_nothing(side: Side) -> None:
    old = side.versions()
    side.update(FunctionVersion="2")
    before = side.alias()

    refused = refusal(lambda: side.update(FunctionVersion="1", Description="late", RevisionId=old))

    after = side.alias()
    assert refused == STALE
    assert {**after, "ResponseMetadata": None} == {**before, "ResponseMetadata": None}


def test_an_update_without_revision_asks_for_nobody_s_leave(side: Side) -> None:
    revision = side.versions()

    response = side.update(FunctionVersion="1")

    assert response["FunctionVersion"] == "1"
    assert response["RevisionId"] != revision


def test_going_there_and_back_does_not_bring_a_revision_back(side: Side) -> None:
    first = side.versions()

    second = side.update(FunctionVersion="2")["RevisionId"]
    third = side.update(FunctionVersion="3")["RevisionId"]

    assert len({first, second, third}) == 3
    assert refusal(lambda: side.update(FunctionVersion="1", RevisionId=first)) == STALE


def test_an_update_that_changes_nothing_gives_another_revision_all_the_same(side: Side) -> None:
    revision = side.versions()

    response = side.update(FunctionVersion="3", Description="", RevisionId=revision)

    assert response["RevisionId"] != revision


def test_or_it_keeps_the_revision_in_the_variant_that_no_page_excludes() -> None:
    """AliasConfiguration says of RevisionId: "A unique identifier that changes when you update the alias"."""
    side = modelled(Lambda(noop_keeps_revision=True))
    revision = side.versions()

    same = side.update(FunctionVersion="3", Description="", RoutingConfig={}, RevisionId=revision)
    other = side.update(FunctionVersion="3", Description="tag", RevisionId=revision)

    assert same["RevisionId"] == revision
    assert other["RevisionId"] != revision


def test_weights_are_reported_and_stay_until_they_are_named(side: Side) -> None:
    side.versions()
    weights = {"AdditionalVersionWeights": {"1": 0.1}}

    response = side.update(RoutingConfig=weights)
    moved = side.update(FunctionVersion="2")
    cleared = side.update(RoutingConfig={"AdditionalVersionWeights": {}})

    assert response["RoutingConfig"] == moved["RoutingConfig"] == weights
    assert (moved["FunctionVersion"], cleared["FunctionVersion"]) == ("2", "2")
    assert "RoutingConfig" not in cleared
    assert "RoutingConfig" not in side.alias()


def test_a_description_stays_until_it_is_named(side: Side) -> None:
    side.versions()
    side.update(Description="tag")

    kept = side.update(FunctionVersion="1")
    cleared = side.update(Description="")

    assert (kept["Description"], cleared["Description"]) == ("tag", "")


def test_an_alias_is_made_once(side: Side) -> None:
    side.versions()

    again = refusal(
        lambda: side.lambda_.create_alias(FunctionName=side.name, Name=ALIAS, FunctionVersion="1")
    )

    assert again == ("ResourceConflictException", 409)
    assert side.alias()["FunctionVersion"] == "3"


def test_what_is_not_there_is_not_found(side: Side) -> None:
    side.publish()
    functions, nowhere = side.lambda_, {"FunctionName": f"{side.name}-not"}
    here = {"FunctionName": side.name}

    refused = {
        refusal(do)
        for do in (
            lambda: functions.get_function(**nowhere, Qualifier=ALIAS),
            lambda: functions.get_function(**here, Qualifier=ALIAS),
            lambda: functions.get_function(**here, Qualifier="7"),
            lambda: functions.get_alias(**nowhere, Name=ALIAS),
            lambda: functions.get_alias(**here, Name=ALIAS),
            lambda: functions.update_alias(**nowhere, Name=ALIAS, FunctionVersion="1"),
            lambda: functions.update_alias(**here, Name=ALIAS, FunctionVersion="1"),
            lambda: functions.list_versions_by_function(**nowhere),
            lambda: functions.get_provisioned_concurrency_config(**nowhere, Qualifier=ALIAS),
            lambda: functions.get_provisioned_concurrency_config(**here, Qualifier=ALIAS),
        )
    }

    assert refused == {GONE}


def test_an_alias_goes_to_versions_that_are_there_only(model: Side) -> None:
    """The emulator takes it. On AWS it is "ResourceNotFoundException: Function not found: …:function:NAME:2",
    status 404: hashicorp/terraform-provider-aws#5049 (a weight), aws-cloudformation/rain#175 (a version).
    """
    model.versions()
    before = model.lambda_.snapshot()

    assert refusal(lambda: model.update(FunctionVersion="7")) == GONE
    assert refusal(lambda: model.update(RoutingConfig={"AdditionalVersionWeights": {"7": 0.1}})) == GONE
    assert model.lambda_.snapshot() == before


def test_weights_are_of_one_other_published_version(model: Side) -> None:
    """The emulator takes anything. "Implement Lambda canary deployments using a weighted alias", Lambda's
    developer guide: two versions at most, both published; AliasRoutingConfiguration: from 0.0 to 1.0.
    """
    model.versions()

    for weights in ({"3": 0.5}, {"1": 0.1, "2": 0.1}, {"$LATEST": 0.1}, {"1": 1.5}):
        update = {"RoutingConfig": {"AdditionalVersionWeights": weights}}
        assert refusal(lambda update=update: model.update(**update)) == (
            "InvalidParameterValueException",
            400,
        )


def test_a_version_is_not_deleted_while_an_alias_refers_to_it(side: Side) -> None:
    side.versions()
    side.update(FunctionVersion="2", RoutingConfig={"AdditionalVersionWeights": {"1": 0.1}})

    def delete(version: str) -> None:
        side.lambda_.delete_function(FunctionName=side.name, Qualifier=version)

    assert refusal(lambda: delete("2")) == ("ResourceConflictException", 409)
    assert refusal(lambda: delete("1")) == ("ResourceConflictException", 409)
    delete("3")
    assert refusal(lambda: side.lambda_.get_function(FunctionName=side.name, Qualifier="3")) == GONE
    assert side.publish() == "4", "a number is never used again"


def test_a_deleted_function_takes_versions_and_aliases_along(side: Side) -> None:
    side.versions()

    side.lambda_.delete_function(FunctionName=side.name)

    assert refusal(side.alias) == GONE
    assert refusal(lambda: side.lambda_.get_function(FunctionName=side.name, Qualifier="1")) == GONE


def test_get_function_shows_the_version_that_an_alias_points_at_whatever_its_weights(side: Side) -> None:
    side.versions()
    side.update(FunctionVersion="2", RoutingConfig={"AdditionalVersionWeights": {"1": 0.5}})

    def seen(qualifier: str) -> dict[str, Any]:
        response = side.lambda_.get_function(FunctionName=side.name, Qualifier=qualifier)["Configuration"]
        return {name: response[name] for name in ("FunctionName", "Version", "CodeSha256", "Description")}

    assert seen(ALIAS) == seen("2")
    assert (seen("2")["Version"], seen("2")["Description"]) == ("2", "v2")
    assert len({seen(version)["CodeSha256"] for version in "123"}) == 3
    assert seen("$LATEST")["CodeSha256"] == seen("3")["CodeSha256"]


def test_versions_are_listed_page_by_page_the_unpublished_one_first(side: Side) -> None:
    side.versions()

    pages, marker = [], {}
    for _ in range(3):
        page = side.lambda_.list_versions_by_function(FunctionName=side.name, MaxItems=2, **marker)
        pages.append([(one["Version"], one.get("Description", "")) for one in page["Versions"]])
        marker = {"Marker": page.get("NextMarker")}
        if not page.get("NextMarker"):
            break
    through = side.lambda_.get_paginator("list_versions_by_function").paginate(FunctionName=side.name)

    assert [[version for version, _ in page] for page in pages] == [["$LATEST", "1"], ["2", "3"]]
    assert [text for _, text in (pages[0][1:] + pages[1])] == ["v1", "v2", "v3"]
    assert [one["Version"] for page in through for one in page["Versions"]] == ["$LATEST", "1", "2", "3"]


def test_functions_are_listed_page_by_page_each_once(side: Side) -> None:
    names = {f"{side.name}-{number}" for number in range(3)}
    for name in names:
        side.publish(function=name)

    found, marker, pages = [], {}, 0
    while marker is not None:
        page = side.lambda_.list_functions(MaxItems=2, **marker)
        found += [one["FunctionName"] for one in page["Functions"]]
        marker = {"Marker": page["NextMarker"]} if page.get("NextMarker") else None
        pages += 1
    through = side.lambda_.get_paginator("list_functions").paginate()

    assert pages > 1
    assert len(found) == len(set(found))
    assert names <= set(found)
    assert [one["FunctionName"] for page in through for one in page["Functions"]] == found


def test_a_paginator_of_a_model_reads_all_pages_and_what_vanishes_meanwhile_takes_nothing_along() -> None:
    model = modelled(Lambda(page=2))
    model.versions(4)
    for number in range(4):
        model.publish(function=f"more-{number}")

    pages = model.lambda_.get_paginator("list_versions_by_function").paginate(FunctionName=model.name)
    functions = model.lambda_.get_paginator("list_functions").paginate()
    first = next(functions)
    model.lambda_.delete_function(FunctionName=first["Functions"][-1]["FunctionName"])

    assert [len(page["Versions"]) for page in pages] == [2, 2, 1]
    assert [one["FunctionName"] for one in first["Functions"]] == ["model", "more-0"]
    assert [[one["FunctionName"] for one in page["Functions"]] for page in functions] == [
        ["more-1", "more-2"],
        ["more-3"],
    ]


def test_provisioned_concurrency_is_reported_or_is_not_there(side: Side) -> None:
    side.versions()
    asked = {"FunctionName": side.name, "Qualifier": ALIAS}

    without = refusal(lambda: side.lambda_.get_provisioned_concurrency_config(**asked))
    side.provision(side.name)
    response = side.lambda_.get_provisioned_concurrency_config(**asked)

    assert without == ("ProvisionedConcurrencyConfigNotFoundException", 404)
    assert (response["Status"], response["RequestedProvisionedConcurrentExecutions"]) == ("READY", 5)


def test_a_refusal_is_known_to_have_changed_nothing(side: Side) -> None:
    side.versions()

    with pytest.raises(RollbackError) as caught, explained("moving it"):
        side.update(FunctionVersion="1", RevisionId="another")

    assert was_refused(caught.value)


def test_a_snapshot_shows_all_that_there_is_of_an_alias(model: Side) -> None:
    revision = model.versions()
    model.lambda_.create_alias(FunctionName=model.name, Name="other", FunctionVersion="1")
    before = model.lambda_.snapshot()

    moved = model.lambda_.point(model.name, ALIAS, "2", {"1": 0.25}, "tag")

    after = model.lambda_.snapshot()
    assert before[model.name][ALIAS] == AliasSeen("3", (), "", revision)
    assert after[model.name][ALIAS] == AliasSeen("2", (("1", 0.25),), "tag", moved)
    assert after[model.name]["other"] == before[model.name]["other"]


# -- DynamoDB: single writes -------------------------------------------------------------------------------


def test_an_item_comes_back_as_it_was_put(side: Side) -> None:
    attributes = {
        "note": {"S": "ü → 🜚"},
        "none": {"NULL": True},
        "yes": {"BOOL": True},
        "bytes": {"B": b"\x00\xff"},
        "number": {"N": "-12.5"},
        "list": {"L": [{"S": ""}, {"N": "1"}, {"L": []}]},
        "map": {"M": {"inner": {"M": {"deep": {"S": "x"}}}, "empty": {"M": {}}}},
    }

    side.put(**attributes)

    assert side.item() == side.key() | attributes
    assert side.item("other") is None


def test_a_put_that_must_be_the_first_is_done_once(side: Side) -> None:
    side.put(condition=ABSENT, note={"S": "first"})

    refused = refusal(lambda: side.put(condition=ABSENT, note={"S": "second"}))

    assert refused == FAILED
    assert side.item() == side.key() | {"note": {"S": "first"}}
    side.put("another", condition=ABSENT)


def test_a_put_without_condition_replaces_the_whole_item(side: Side) -> None:
    side.put(one={"S": "1"}, two={"S": "2"})

    side.put(two={"S": "3"})

    assert side.item() == side.key() | {"two": {"S": "3"}}


def test_an_item_that_is_deleted_is_gone_and_may_be_the_first_again(side: Side) -> None:
    side.indexed("a", "1")

    for _ in range(2):
        side.dynamodb.delete_item(TableName=TABLE, Key=side.key())

    assert side.item() is None
    assert side.query()["Items"] == side.index()["Items"] == []
    side.put(condition=ABSENT)


def test_an_update_changes_what_it_names_and_shows_the_whole_item(side: Side) -> None:
    side.put(kept={"S": "as it was"}, changed={"S": "old"}, removed={"S": "old"})

    response = side.change(
        "SET changed = :new, added = :new REMOVE removed, absent", values={":new": {"S": "new"}}
    )

    assert response == side.key() | {
        "kept": {"S": "as it was"},
        "changed": {"S": "new"},
        "added": {"S": "new"},
    }
    assert side.item() == response


def test_an_update_makes_an_item_that_is_not_there_unless_it_must_be(side: Side) -> None:
    assert refusal(lambda: side.change("SET n = :n", "attribute_exists(PK)", values=ONE)) == FAILED
    assert side.item() is None

    response = side.change("SET n = :n", values=ONE)

    assert response == side.key() | {"n": {"N": "1"}}


def test_an_update_is_done_only_while_all_of_its_condition_holds(side: Side) -> None:
    side.put(nonce={"S": "mine"}, fence={"N": "3"})
    condition = "nonce = :nonce AND (fence = :fence AND attribute_not_exists(#gone))"

    def write(nonce: str, fence: str) -> None:
        values = {":nonce": {"S": nonce}, ":fence": {"N": fence}, ":new": {"S": f"by {nonce} {fence}"}}
        side.change("SET written = :new", condition, values=values, names={"#gone": "parked"})

    write("mine", "3")
    assert refusal(lambda: write("theirs", "3")) == FAILED
    assert refusal(lambda: write("mine", "4")) == FAILED
    side.change("SET parked = :n", values=ONE)
    assert refusal(lambda: write("mine", "3")) == FAILED
    assert (side.item() or {})["written"] == {"S": "by mine 3"}


def test_a_condition_on_what_is_not_there_does_not_hold(side: Side) -> None:
    side.put()

    assert refusal(lambda: side.change("SET x = :n", "absent = :n", values=ONE)) == FAILED
    assert refusal(lambda: side.change("SET x = :n", "absent = :n", sk="nothing", values=ONE)) == FAILED


def test_numbers_are_compared_by_what_they_are_worth_and_never_with_text(side: Side) -> None:
    side.put(n={"N": "1"}, inside={"M": {"n": {"N": "10"}}})

    side.change("SET x = :n", "n = :n", values={":n": {"N": "1.0"}})
    side.change("SET x = :n", "inside = :m", values={**ONE, ":m": {"M": {"n": {"N": "1E1"}}}})

    assert refusal(lambda: side.change("SET x = :t", "n = :t", values={":t": {"S": "1"}})) == FAILED


def test_all_that_an_update_reads_is_the_item_as_it_was(side: Side) -> None:
    side.put(one={"S": "1"}, two={"S": "2"}, gone={"S": "3"})

    response = side.change("SET one = two, two = one, three = gone REMOVE gone")

    assert response == side.key() | {"one": {"S": "2"}, "two": {"S": "1"}, "three": {"S": "3"}}


def test_a_counter_begins_where_there_is_none_and_goes_on_from_there(side: Side) -> None:
    values = {":zero": {"N": "0"}, ":one": {"N": "1"}}

    fences = [
        side.change("SET fence = if_not_exists(fence, :zero) + :one", values=values)["fence"]
        for _ in range(3)
    ]

    assert fences == [{"N": "1"}, {"N": "2"}, {"N": "3"}]
    assert side.change("SET fence = fence - :x", values={":x": {"N": "0.5"}})["fence"] == {"N": "2.5"}


def test_counting_on_from_nothing_is_refused(side: Side) -> None:
    side.put()

    assert refusal(lambda: side.change("SET beat = beat + :n", values=ONE)) == INVALID
    assert refusal(lambda: side.change("SET x = y")) == INVALID
    assert side.item() == side.key()


def test_counting_on_from_what_is_no_number_is_refused(model: Side) -> None:
    """The emulator leaves it as it is. "An operand in the update expression has an incorrect data type":
    TransactWriteItems, CancellationReasons, in DynamoDB's API reference.
    """
    model.put(note={"S": "1"})

    assert refusal(lambda: model.change("SET note = note + :n", values=ONE)) == INVALID
    update = {"Update": model.changing("SET note = note + :n", values=ONE)}
    assert reasons(lambda: model.transact(update)) == ["ValidationError"]
    assert model.item() == model.key() | {"note": {"S": "1"}}


def test_a_condition_that_fails_counts_more_than_a_wrong_operand(side: Side) -> None:
    assert refusal(lambda: side.change("SET beat = beat + :n", "fence = :n", values=ONE)) == FAILED


def test_a_key_is_not_updated(side: Side) -> None:
    side.put()

    assert refusal(lambda: side.change("SET SK = :s", values={":s": {"S": "b"}})) == INVALID
    assert refusal(lambda: side.change("REMOVE PK", sk="new")) == INVALID
    assert keys(side.query()) == ["a"]


def test_nothing_is_written_twice_by_one_update(model: Side) -> None:
    """The emulator takes it. On AWS: "Two document paths overlap with each other; must remove or rewrite one
    of these paths" (aws/aws-sdk-java-v2#6471).
    """
    model.put()

    assert refusal(lambda: model.change("SET x = :n REMOVE #x", values=ONE, names={"#x": "x"})) == INVALID
    assert refusal(lambda: model.change("SET x = :n, x = :n", values=ONE)) == INVALID


def test_a_reserved_word_is_refused_as_a_name(side: Side) -> None:
    side.put()

    assert refusal(lambda: side.change("SET owner = :n", values=ONE)) == INVALID
    assert refusal(lambda: side.change("SET x = :n", "attribute_not_exists(owner)", values=ONE)) == INVALID
    assert side.change("SET #o = :n", values=ONE, names={"#o": "owner"})["owner"] == {"N": "1"}


def test_a_request_gives_exactly_the_names_and_values_that_it_uses(side: Side) -> None:
    side.put()

    assert refusal(lambda: side.change("SET x = :n", values={**ONE, ":m": {"N": "1"}})) == INVALID
    assert refusal(lambda: side.change("SET x = :m")) == INVALID
    assert refusal(lambda: side.change("SET x = :n", values=ONE, names={"#y": "y"})) == INVALID
    assert refusal(lambda: side.change("SET #x = :n", values=ONE)) == INVALID
    for empty in ("ExpressionAttributeNames", "ExpressionAttributeValues"):
        update = {**side.changing("REMOVE x"), empty: {}}
        assert refusal(lambda update=update: side.dynamodb.update_item(**update)) == INVALID


def test_a_key_is_two_texts_that_are_not_empty_and_nothing_else(side: Side) -> None:
    def put(**item: Any) -> Callable[[], object]:
        return lambda: side.dynamodb.put_item(TableName=TABLE, Item=item)

    def get(**key: Any) -> Callable[[], object]:
        return lambda: side.dynamodb.get_item(TableName=TABLE, Key=key, ConsistentRead=True)

    text, number, empty = {"S": "x"}, {"N": "1"}, {"S": ""}
    wrong = ({"PK": text}, {"PK": text, "SK": number}, {"PK": text, "SK": empty}, {"PK": empty, "SK": text})
    for key in wrong:
        assert refusal(put(**key)) == INVALID
        assert refusal(get(**key)) == INVALID
    assert refusal(get(PK=text, SK=text, more=text)) == INVALID


def test_an_index_s_keys_are_texts_that_are_not_empty_wherever_they_are(side: Side) -> None:
    for value in ({"N": "1"}, {"S": ""}):
        assert refusal(lambda value=value: side.put(GSI1PK=value)) == INVALID
        assert refusal(lambda value=value: side.change("SET GSI1SK = :v", values={":v": value})) == INVALID


def test_a_table_that_is_not_there_is_not_found(side: Side) -> None:
    where = {"TableName": "nowhere"}
    condition = {"KeyConditionExpression": "PK = :p", "ExpressionAttributeValues": {":p": {"S": "x"}}}
    check = {**where, "Key": side.key(), "ConditionExpression": ABSENT}

    refused = {
        refusal(do)
        for do in (
            lambda: side.dynamodb.get_item(**where, Key=side.key()),
            lambda: side.dynamodb.put_item(**where, Item=side.key()),
            lambda: side.dynamodb.update_item(**where, Key=side.key(), UpdateExpression="REMOVE x"),
            lambda: side.dynamodb.query(**where, **condition),
            lambda: side.dynamodb.describe_table(**where),
            lambda: side.dynamodb.delete_table(**where),
            lambda: side.transact({"ConditionCheck": check}),
        )
    }

    assert refused == {("ResourceNotFoundException", 400)}


def test_a_table_shows_its_indexes_and_what_protects_it(side: Side) -> None:
    response = side.dynamodb.describe_table(TableName=TABLE)["Table"]
    backups = side.dynamodb.describe_continuous_backups(TableName=TABLE)["ContinuousBackupsDescription"]

    assert response["TableStatus"] == "ACTIVE"
    assert [index["IndexName"] for index in response["GlobalSecondaryIndexes"]] == ["GSI1"]
    assert not response.get("DeletionProtectionEnabled")
    assert backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "DISABLED"
    # TableNotFoundException in DynamoDB's API reference; the emulator names it as all others.
    gone = refusal(lambda: side.dynamodb.describe_continuous_backups(TableName="nowhere"))
    assert gone in (("TableNotFoundException", 400), ("ResourceNotFoundException", 400))


def test_an_item_holds_400_kilobytes_and_not_a_byte_more(side: Side) -> None:
    most = 400 * 1024 - len("PK" + side.name + "SK" + "a" + "note")

    side.put(note={"S": "x" * most})

    assert refusal(lambda: side.put(note={"S": "x" * (most + 1)})) == INVALID
    assert refusal(lambda: side.change("SET n = :n", values=ONE)) == INVALID
    assert refusal(lambda: side.transact(side.putting("b", note={"S": "x" * (most + 1)}))) == INVALID
    update = {"Update": side.changing("SET n = :n", values=ONE)}
    assert reasons(lambda: side.transact(side.putting("c"), update)) == ["None", "ValidationError"]
    assert side.item("c") is None


# -- DynamoDB: transactions --------------------------------------------------------------------------------


def test_a_transaction_is_done_as_a_whole(side: Side) -> None:
    side.put("counted", n={"N": "1"})
    side.put("checked")

    side.transact(
        side.putting("made", n={"N": "7"}),
        {"Update": side.changing("SET n = n + :n", "n = :n", sk="counted", values=ONE)},
        {"Update": side.changing("SET n = :n", sk="new", values=ONE)},
        {"ConditionCheck": side.changing(condition="attribute_exists(PK)", sk="checked")},
    )

    assert side.item("made") == side.key("made") | {"n": {"N": "7"}}
    assert side.item("counted") == side.key("counted") | {"n": {"N": "2"}}
    assert side.item("new") == side.key("new") | {"n": {"N": "1"}}
    assert side.item("checked") == side.key("checked")


def test_a_transaction_is_not_done_at_all_and_gives_the_reason_of_each_member(side: Side) -> None:
    side.put("there", n={"N": "1"})
    before = side.query()["Items"]

    response = reasons(
        lambda: side.transact(
            side.putting("a"),
            side.putting("there"),
            {"Update": side.changing("SET n = :n", "n = :n", sk="there2", values=TWO)},
            {"ConditionCheck": side.changing(condition="attribute_exists(PK)", sk="absent")},
            side.putting("b", condition=""),
        )
    )

    failed = "ConditionalCheckFailed"
    assert response == ["None", failed, failed, failed, "None"]
    assert side.query()["Items"] == before


def test_a_wrong_operand_cancels_a_transaction_unless_a_condition_did(side: Side) -> None:
    def counting(condition: str) -> dict[str, Any]:
        return {"Update": side.changing("SET beat = beat + :n", condition, sk="b", values=ONE)}

    assert reasons(lambda: side.transact(side.putting(), counting(""))) == ["None", "ValidationError"]
    response = reasons(lambda: side.transact(side.putting(), counting("fence = :n")))
    assert response == ["None", "ConditionalCheckFailed"]
    assert side.query()["Items"] == []


def test_all_conditions_of_a_transaction_are_about_what_was_before_it(side: Side) -> None:
    response = reasons(
        lambda: side.transact(
            side.putting("a", condition=""),
            {"ConditionCheck": side.changing(condition="attribute_exists(PK)", sk="b")},
            side.putting("c", condition=""),
        )
    )

    assert response == ["None", "ConditionalCheckFailed", "None"]


def test_a_transaction_touches_an_item_once(side: Side) -> None:
    check = {"ConditionCheck": side.changing(condition=ABSENT)}

    assert refusal(lambda: side.transact(side.putting(), check)) == INVALID
    assert side.item() is None


def test_a_transaction_has_up_to_a_hundred_members(side: Side) -> None:
    many = [side.putting(f"{number:03d}") for number in range(101)]

    assert refusal(lambda: side.transact(*many)) == INVALID
    assert side.query()["Items"] == []
    side.transact(*many[:100])
    assert len(side.query()["Items"]) == 100


def test_a_transaction_that_is_sent_again_is_not_done_again(side: Side) -> None:
    counting = {"Update": side.changing("SET n = if_not_exists(n, :n) + :n", values=ONE)}
    token = f"token-{id(side)}"

    side.transact(counting, token=token)
    side.transact(counting, token=token)
    assert (side.item() or {})["n"] == {"N": "2"}
    side.transact(counting, token=f"{token}-2")

    assert (side.item() or {})["n"] == {"N": "3"}


def test_a_token_is_for_one_transaction_only(side: Side) -> None:
    token = f"once-{id(side)}"
    side.transact(side.putting(), token=token)

    refused = refusal(lambda: side.transact(side.putting("b"), token=token))

    assert refused == ("IdempotentParameterMismatchException", 400)
    assert side.item("b") is None


def test_the_token_of_a_transaction_that_was_not_done_may_be_used_again(side: Side) -> None:
    side.put(n={"N": "1"})
    token = f"again-{id(side)}"
    member = {"Update": side.changing("SET n = :new", "n = :n", values={**TWO, ":new": {"N": "3"}})}

    assert reasons(lambda: side.transact(member, token=token)) == ["ConditionalCheckFailed"]
    side.put(n={"N": "2"})
    side.transact(member, token=token)

    assert (side.item() or {})["n"] == {"N": "3"}


def test_a_token_is_forgotten_after_ten_minutes() -> None:
    """TransactWriteItems, ClientRequestToken; an emulator on the clock of the wall is not asked."""
    seconds = [0.0]
    side = modelled(now=lambda: seconds[0])
    counting = {"Update": side.changing("SET n = if_not_exists(n, :n) + :n", values=ONE)}

    for seconds[0] in (0.0, 599.0, 601.0):
        side.transact(counting, token="token")

    assert (side.item() or {})["n"] == {"N": "3"}


# -- DynamoDB: queries -------------------------------------------------------------------------------------


def test_a_query_gives_a_partition_in_the_order_of_its_sort_keys(side: Side) -> None:
    for sk in ("b#2", "b#10", "a", "é", "z", "B", "b"):
        side.put(sk)
    side.dynamodb.put_item(TableName=TABLE, Item={"PK": {"S": f"{side.name}-other"}, "SK": {"S": "c"}})

    assert keys(side.query()) == ["B", "a", "b", "b#10", "b#2", "z", "é"]
    assert keys(side.query(ScanIndexForward=False)) == ["é", "z", "b#2", "b#10", "b", "a", "B"]
    assert keys(side.query("b#")) == ["b#10", "b#2"]
    assert keys(side.query("b#", ScanIndexForward=False)) == ["b#2", "b#10"]
    assert side.query("nothing")["Items"] == []


@pytest.mark.parametrize("forward", [True, False])
def test_pages_of_a_query_follow_each_other_and_a_full_one_is_never_the_last(
    side: Side, forward: bool
) -> None:
    side.name += f"-{forward}"
    everything = [f"SEQ#{number:03d}" for number in range(4)]
    for sk in (*everything, "METADATA"):
        side.put(sk)

    pages, start = [], {}
    for _ in range(4):
        page = side.query("SEQ#", Limit=2, ScanIndexForward=forward, **start)
        pages.append(keys(page))
        if "LastEvaluatedKey" not in page:
            break
        start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}

    first, second = everything[:2], everything[2:]
    assert pages == ([first, second, []] if forward else [second[::-1], first[::-1], []])


def test_a_page_shows_the_key_that_it_ended_with_and_the_next_goes_on_there_no_matter_who_wrote_meanwhile(
    side: Side,
) -> None:
    for sk in "bdf":
        side.put(sk)

    page = side.query(Limit=2)
    for sk in "ace":
        side.put(sk)
    following = side.query(ExclusiveStartKey=page["LastEvaluatedKey"])

    assert page["LastEvaluatedKey"] == side.key("d")
    assert keys(following) == ["e", "f"]


def test_a_page_ends_at_a_megabyte(side: Side) -> None:
    for sk in "abcd":
        side.put(sk, note={"S": "x" * 390_000})

    page = side.query()
    rest = side.query(ExclusiveStartKey=page["LastEvaluatedKey"])

    assert (keys(page), keys(rest)) == (["a", "b"], ["c", "d"])
    assert "LastEvaluatedKey" not in rest


def test_an_index_has_the_items_that_have_its_keys_whole_and_newest_first(side: Side) -> None:
    side.indexed("one", "2026-01-02", note={"S": "whole"})
    side.indexed("two", "2026-01-01")
    side.put("without")
    side.put("half", GSI1PK={"S": side.name})

    page = side.index(ScanIndexForward=False)

    assert keys(page) == ["one", "two"]
    assert page["Items"][0] == side.item("one")


def test_an_index_follows_its_items(side: Side) -> None:
    side.indexed("moved", "1")
    side.indexed("left", "2")
    side.indexed("stays", "3")

    side.change("SET GSI1SK = :at", sk="moved", values={":at": {"S": "4"}})
    side.change("REMOVE GSI1PK", sk="left")

    assert keys(side.index()) == ["stays", "moved"]


@pytest.mark.parametrize("forward", [True, False])
def test_pages_of_an_index_follow_each_other_also_among_equals(side: Side, forward: bool) -> None:
    side.name += f"-{forward}"
    for sk in "abcde":
        side.indexed(sk, "same" if sk in "bcd" else sk)

    seen, start = [], {}
    while start is not None:
        page = side.index(Limit=2, ScanIndexForward=forward, **start)
        assert len(page["Items"]) <= 2
        seen += keys(page)
        following = page.get("LastEvaluatedKey")
        assert following is None or following.keys() == {"PK", "SK", "GSI1PK", "GSI1SK"}
        start = {"ExclusiveStartKey": following} if following else None

    assert sorted(seen) == list("abcde")
    assert (seen if forward else seen[::-1])[:2] == ["a", "e"]


def test_an_index_is_not_read_consistently_and_no_other_index_is_there(side: Side) -> None:
    assert refusal(lambda: side.index(ConsistentRead=True)) == INVALID
    assert refusal(lambda: side.query(IndexName="GSI2", ConsistentRead=False)) == INVALID


def test_a_query_is_about_keys_and_a_start_is_a_key(side: Side) -> None:
    assert refusal(lambda: side.query(KeyConditionExpression="GSI1PK = :pk")) == INVALID
    assert refusal(lambda: side.query(ExclusiveStartKey={"PK": {"S": side.name}})) == INVALID
    assert refusal(lambda: side.index(ExclusiveStartKey=side.key())) == INVALID
    number = {":pk": {"N": "1"}}
    asked = {"TableName": TABLE, "KeyConditionExpression": "PK = :pk"}
    assert refusal(lambda: side.dynamodb.query(**asked, ExpressionAttributeValues=number)) == INVALID


def test_an_index_of_the_model_is_as_many_writes_behind_as_it_is_asked(model: Side) -> None:
    """ "Global secondary indexes" in the developer guide: updated asynchronously, eventually consistent."""
    for number in range(4):
        model.indexed(f"{number}", f"{number}")
    model.change("REMOVE GSI1PK", sk="0")

    seen = {}
    for model.dynamodb.index_lag in (0, 1, 3, 9):
        seen[model.dynamodb.index_lag] = keys(model.index())

    assert seen == {0: ["1", "2", "3"], 1: ["0", "1", "2", "3"], 3: ["0", "1"], 9: []}
    assert len(model.query()["Items"]) == 4, "what is read consistently is never behind"


def test_what_is_not_read_consistently_is_behind_too_and_sees_a_transaction_by_halves(model: Side) -> None:
    """ "Read consistency" and "Amazon DynamoDB Transactions: How it works" in the developer guide."""
    model.put("a", n={"N": "1"})
    model.transact(model.putting("b"), model.putting("c"))
    model.dynamodb.base_lag = 1

    late = model.query(ConsistentRead=False)

    assert keys(late) == ["a", "b"]
    assert "Item" not in model.dynamodb.get_item(TableName=TABLE, Key=model.key("c"))
    assert keys(model.query()) == ["a", "b", "c"]


def test_a_model_refuses_to_guess(model: Side) -> None:
    """What the product does not say yet has to be taught first; it is no error that anybody handles."""
    model.put(n={"N": "1"})

    for do in (
        lambda: model.change("ADD n :n", values=ONE),
        lambda: model.change("SET a.b = :n", values=ONE),
        lambda: model.change("SET x = list_append(y, :n)", values=ONE),
        lambda: model.change("SET x = :n", "n <> :n", values=ONE),
        lambda: model.change("SET x = :n", "n = x", values=ONE),
        lambda: model.change("SET x = :n", "n = :n OR n = :n", values=ONE),
        lambda: model.change("SET x = :n", "NOT attribute_exists(n)", values=ONE),
        lambda: model.change("SET x = :n", "size(n) = :n", values=ONE),
        lambda: model.query(KeyConditionExpression="PK = :pk AND SK > :pk"),
        lambda: model.transact({"Delete": model.changing()}),
        lambda: model.transact(model.putting(GSI1SK={"N": "1"})),
        lambda: model.transact({"Update": model.changing("SET GSI1SK = :n", values=ONE)}),
        lambda: model.put(n={"SS": ["a"]}),
        lambda: model.dynamodb.put_item(TableName=TABLE, Item=model.key(), ReturnValues="ALL_OLD"),
        lambda: model.ssm.put_parameter(Name="/x", Value="1", Type="SecureString"),
        lambda: model.lambda_.get_paginator("list_layers"),
    ):
        with pytest.raises(Unmodelled):
            do()


# -- SSM ---------------------------------------------------------------------------------------------------


def test_a_parameter_is_overwritten_only_where_that_is_requested(side: Side) -> None:
    parameter = {"Name": f"/{side.name}", "Type": "String"}

    first = side.ssm.put_parameter(**parameter, Value="v1")
    refused = refusal(lambda: side.ssm.put_parameter(**parameter, Value="v2"))
    second = side.ssm.put_parameter(**parameter, Value="v3", Overwrite=True)

    response = side.ssm.get_parameter(Name=f"/{side.name}")["Parameter"]
    assert refused == ("ParameterAlreadyExists", 400)
    assert (first["Version"], second["Version"]) == (1, 2)
    assert (response["Name"], response["Type"], response["Value"], response["Version"]) == (
        f"/{side.name}",
        "String",
        "v3",
        2,
    )


def test_a_parameter_that_is_not_there_is_not_found(side: Side) -> None:
    assert refusal(lambda: side.ssm.get_parameter(Name=f"/{side.name}")) == ("ParameterNotFound", 400)


def test_a_model_remembers_what_a_parameter_was(model: Side) -> None:
    for value in ("v1", "v2", "v3"):
        model.ssm.put_parameter(Name="/x", Value=value, Type="String", Overwrite=True)

    assert model.ssm.history("/x") == ["v1", "v2", "v3"]
    assert model.ssm.snapshot() == {"/x": "v3"}


# -- S3 ----------------------------------------------------------------------------------------------------


def test_an_object_that_must_be_the_first_is_put_once(side: Side) -> None:
    first = side.keep("a", b"first", IfNoneMatch="*", ContentType="application/json")

    refused = refusal(lambda: side.keep("a", b"second", IfNoneMatch="*"))

    response = side.s3.get_object(Bucket=BUCKET, Key=f"{side.name}/a", ExpectedBucketOwner=ACCOUNT)
    assert refused == ("PreconditionFailed", 412)
    assert (response["Body"].read(), response["ETag"], response["VersionId"]) == (
        b"first",
        first["ETag"],
        first["VersionId"],
    )
    assert response["ContentType"] == "application/json"


def test_every_version_of_an_object_stays_and_is_listed_newest_first(side: Side) -> None:
    put = [side.keep(key, body) for key, body in (("b", b"1"), ("a", b"2"), ("b", b"3"))]

    response = side.s3.list_object_versions(
        Bucket=BUCKET, Prefix=f"{side.name}/", ExpectedBucketOwner=ACCOUNT
    )

    listed = [
        (one["Key"][-1], one["VersionId"], one["IsLatest"], one["ETag"], one["Size"])
        for one in response["Versions"]
    ]
    order = (("a", 1, True), ("b", 2, True), ("b", 0, False))
    assert listed == [(key, put[n]["VersionId"], latest, put[n]["ETag"], 1) for key, n, latest in order]
    assert not response["IsTruncated"]
    first = {"Bucket": BUCKET, "Key": f"{side.name}/b", "VersionId": put[0]["VersionId"]}
    assert side.s3.get_object(**first)["Body"].read() == b"1"
    assert side.s3.get_object(Bucket=BUCKET, Key=f"{side.name}/b")["Body"].read() == b"3"


def test_a_delete_hides_an_object_and_a_first_one_may_be_put_again(side: Side) -> None:
    first = side.keep("a", b"1")
    side.s3.delete_object(Bucket=BUCKET, Key=f"{side.name}/a")
    key = {"Bucket": BUCKET, "Key": f"{side.name}/a"}

    hidden = refusal(lambda: side.s3.get_object(**key))
    again = side.keep("a", b"2", IfNoneMatch="*")

    response = side.s3.list_object_versions(Bucket=BUCKET, Prefix=f"{side.name}/")
    assert hidden == ("NoSuchKey", 404)
    assert [one["VersionId"] for one in response["Versions"]] == [again["VersionId"], first["VersionId"]]
    assert [one["Key"] for one in response["DeleteMarkers"]] == [key["Key"]]
    marker = response["DeleteMarkers"][0]["VersionId"]
    assert refusal(lambda: side.s3.get_object(**key, VersionId=marker)) == ("MethodNotAllowed", 405)
    assert side.s3.get_object(**key, VersionId=first["VersionId"])["Body"].read() == b"1"


def test_a_locked_version_is_not_deleted_and_a_delete_marker_is(side: Side) -> None:
    version = side.keep("a", b"1")["VersionId"]
    key = {"Bucket": BUCKET, "Key": f"{side.name}/a"}
    marker = side.s3.delete_object(**key)["VersionId"]

    refused = refusal(lambda: side.s3.delete_object(**key, VersionId=version))
    side.s3.delete_object(**key, VersionId=marker)

    assert refused == ("AccessDenied", 403)
    assert side.s3.get_object(**key)["Body"].read() == b"1"


def test_versions_are_listed_page_by_page_also_amid_those_of_one_key(side: Side) -> None:
    for key in ("a", "b", "b", "b", "c"):
        side.keep(key)
    side.s3.delete_object(Bucket=BUCKET, Key=f"{side.name}/b")

    seen, marker = [], {}
    while marker is not None:
        page = side.s3.list_object_versions(Bucket=BUCKET, Prefix=f"{side.name}/", MaxKeys=2, **marker)
        found = page.get("Versions", []) + page.get("DeleteMarkers", [])
        assert len(found) == 2
        seen += [(one["Key"][-1], one["VersionId"]) for one in found]
        more = page["IsTruncated"]
        marker = None
        if more:
            marker = {"KeyMarker": page["NextKeyMarker"], "VersionIdMarker": page["NextVersionIdMarker"]}
    after = side.s3.list_object_versions(Bucket=BUCKET, Prefix=f"{side.name}/", KeyMarker=f"{side.name}/b")

    assert [key for key, _ in seen] == ["a", "b", "b", "b", "b", "c"]
    assert len(set(seen)) == 6
    assert [one["Key"][-1] for one in after["Versions"]] == ["c"]


def test_objects_are_listed_page_by_page_without_what_was_deleted(side: Side) -> None:
    for key in "dcbae":
        side.keep(key)
    side.s3.delete_object(Bucket=BUCKET, Key=f"{side.name}/c")

    seen, token = [], {}
    while token is not None:
        page = side.s3.list_objects_v2(Bucket=BUCKET, Prefix=f"{side.name}/", MaxKeys=2, **token)
        seen.append([one["Key"][-1] for one in page.get("Contents", [])])
        token = {"ContinuationToken": page["NextContinuationToken"]} if page["IsTruncated"] else None
    nothing = side.s3.list_objects_v2(Bucket=BUCKET, Prefix=f"{side.name}-not/")

    assert seen == [["a", "b"], ["d", "e"]]
    assert "Contents" not in nothing
    through = side.s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=f"{side.name}/")
    assert [one["Key"][-1] for page in through for one in page["Contents"]] == ["a", "b", "d", "e"]


def test_what_is_not_in_a_bucket_and_a_bucket_that_is_not_there_are_distinguished(side: Side) -> None:
    first = side.keep("a")["VersionId"]
    get = side.s3.get_object

    assert refusal(lambda: get(Bucket=BUCKET, Key=f"{side.name}/b")) == ("NoSuchKey", 404)
    assert refusal(lambda: get(Bucket=BUCKET, Key=f"{side.name}/b", VersionId=first)) == (
        "NoSuchVersion",
        404,
    )
    assert refusal(lambda: get(Bucket="nowhere", Key="a")) == ("NoSuchBucket", 404)
    missing = refusal(lambda: side.s3.put_object(Bucket="nowhere", Key="a", Body=b"", IfNoneMatch="*"))
    assert missing == ("NoSuchBucket", 404)


def test_a_bucket_of_another_account_is_refused(model: Side) -> None:
    """The emulator does not look. "Verifying bucket ownership with bucket owner condition", S3's user guide."""
    model.keep("a")
    where = {"Bucket": BUCKET, "ExpectedBucketOwner": "999988887777"}

    refused = {
        refusal(do)
        for do in (
            lambda: model.s3.put_object(**where, Key=f"{model.name}/a", Body=b"x"),
            lambda: model.s3.get_object(**where, Key=f"{model.name}/a"),
            lambda: model.s3.list_object_versions(**where),
        )
    }

    assert refused == {("AccessDenied", 403)}


# -- whatever comes in whatever order ----------------------------------------------------------------------

VALUES = {
    ":one": {"N": "1"},
    ":two": {"N": "2.0"},
    ":a": {"S": "a"},
    ":b": {"S": "b"},
    ":map": {"M": {"n": {"N": "1"}, "l": {"L": [{"S": "a"}]}}},
}
CONDITIONS = st.sampled_from(
    (
        "",
        ABSENT,
        "attribute_exists(PK)",
        "attribute_exists(n)",
        "attribute_not_exists(#owner)",
        "n = :one",
        "n = :two AND attribute_not_exists(#owner)",
        "(n = :one AND #owner = :a) AND attribute_exists(GSI1PK)",
        "#owner = :map",
    )
)
UPDATES = st.sampled_from(
    (
        "SET n = :one",
        "SET n = n + :one, #owner = :a",
        "SET n = n - :two",
        "SET n = if_not_exists(n, :one) + :one REMOVE #owner",
        "SET #owner = :map, n = if_not_exists(n, :two) - :one",
        "SET #owner = n, n = :two",
        "SET GSI1PK = :pk, GSI1SK = :a",
        "SET GSI1SK = :b",
        "REMOVE GSI1PK, n",
        "REMOVE absent",
    )
)
ITEMS = st.fixed_dictionaries(
    {},
    optional={
        "n": st.sampled_from((VALUES[":one"], VALUES[":two"])),
        "owner": st.sampled_from(list(VALUES.values())),
        "GSI1SK": st.sampled_from((VALUES[":a"], VALUES[":b"])),
    },
)
KEYS = st.sampled_from(("a", "a#1", "b"))
PAGES = st.fixed_dictionaries({}, optional={"Limit": st.integers(1, 3), "ScanIndexForward": st.booleans()})
WRITES = st.one_of(
    st.tuples(st.just("Put"), KEYS, ITEMS, CONDITIONS),
    st.tuples(st.just("Update"), KEYS, UPDATES, CONDITIONS),
)
CHECKS = st.tuples(st.just("ConditionCheck"), KEYS, st.just(""), CONDITIONS.filter(bool))
REQUESTS = st.one_of(
    WRITES,
    st.tuples(st.just("transact"), st.lists(st.one_of(WRITES, CHECKS), min_size=1, max_size=3)),
    st.tuples(st.just("query"), st.sampled_from(("", "a", "a#", "c")), PAGES),
    st.tuples(st.just("index"), PAGES),
)


def sent(side: Side, request: tuple[Any, ...]) -> Any:
    """What a request is answered with, so that answers can be compared."""
    kind, *rest = request
    try:
        if kind == "transact":
            return side.transact(*({one[0]: member(side, *one)} for one in rest[0]))
        if kind == "query":
            return page(side.query(rest[0], **rest[1]))
        if kind == "index":
            return page(side.index(**rest[0]))
        if kind == "Put":
            return side.dynamodb.put_item(**member(side, *request)) and None
        response = side.dynamodb.update_item(**member(side, *request), ReturnValues="ALL_NEW")
        return worth(response["Attributes"])
    except ClientError as error:
        cancelled = error.response.get("CancellationReasons", [])
        return error.response["Error"]["Code"], [reason["Code"] for reason in cancelled]


def member(side: Side, kind: str, sk: str, what: Any, condition: str) -> dict[str, Any]:
    """A write as a transaction has it, with the names and values that its expressions use."""
    text = f"{what if kind == 'Update' else ''} {condition}"
    values = {name: value for name, value in {**VALUES, ":pk": {"S": side.name}}.items() if name in text}
    names = {"#owner": "owner"} if "#owner" in text else None
    wished = side.changing(what, condition, sk, names=names, values=values)
    if kind != "Put":
        return wished
    del wished["Key"]
    wished.pop("UpdateExpression", None)
    return {**wished, "Item": side.key(sk) | {"GSI1PK": {"S": side.name}} | what}


def page(result: dict[str, Any]) -> Any:
    return [worth(item) for item in result["Items"]], result.get("LastEvaluatedKey"), result["Count"]


def worth(value: Any) -> Any:
    """Items with their numbers by what they are worth."""
    if isinstance(value, dict):
        return {name: Decimal(one) if name == "N" else worth(one) for name, one in value.items()}
    return [worth(one) for one in value] if isinstance(value, list) else value


PARTITIONS = itertools.count()
PROPERTY = hypothesis.settings(max_examples=25, derandomize=True, database=None, deadline=None)


@PROPERTY
@given(st.lists(REQUESTS, max_size=12))
def test_whatever_is_asked_of_a_table_both_answer_alike(
    emulator: Side, requests: list[tuple[Any, ...]]
) -> None:
    model = modelled()
    emulator.name = model.name = f"agree-{next(PARTITIONS)}"

    for request in requests:
        assert sent(model, request) == sent(emulator, request)

    assert page(model.query()) == page(emulator.query())
    assert page(model.index()) == page(emulator.index())


MOVES = st.fixed_dictionaries(
    {},
    optional={
        "FunctionVersion": st.sampled_from("234"),
        "Description": st.sampled_from(("", "tag")),
        "RoutingConfig": st.sampled_from(({}, {"AdditionalVersionWeights": {"1": 0.1}})),
        "RevisionId": st.sampled_from(("the first", "the last", "nobody's")),
    },
)


@PROPERTY
@given(st.lists(MOVES, max_size=10))
def test_however_an_alias_is_moved_both_show_the_same(emulator: Side, moves: list[dict[str, Any]]) -> None:
    model = modelled()
    emulator.name = model.name = "agree-on-an-alias"

    assert moved(model, moves) == moved(emulator, moves)


def moved(side: Side, moves: list[dict[str, Any]]) -> list[Any]:
    """What each move is answered with; a RevisionId is told by when it was first seen."""
    revisions = [side.versions(4)]
    known = {"the first": revisions[0], "nobody's": "00000000-0000-4000-8000-999999999999"}
    answers: list[Any] = []
    for move in moves:
        asked = dict(move)
        if "RevisionId" in move:
            asked["RevisionId"] = {**known, "the last": revisions[-1]}[move["RevisionId"]]
        try:
            side.update(**asked)
        except ClientError as error:
            answers.append(error.response["Error"]["Code"])
        seen = side.alias()
        if seen["RevisionId"] not in revisions:
            revisions.append(seen["RevisionId"])
        answers.append(
            [
                seen["FunctionVersion"],
                seen["Description"],
                seen.get("RoutingConfig"),
                revisions.index(seen["RevisionId"]),
            ]
        )
    side.lambda_.delete_alias(FunctionName=side.name, Name=ALIAS)
    return answers
