"""Lambda, DynamoDB, SSM and S3 as one test sees them: in memory, or as the emulator has them."""

from __future__ import annotations

import io
import itertools
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from localaws.clients import connect
from localaws.emulator import server
from tests.doubles.world import TABLE, create_table, settings
from tests.simulation.aws.dynamodb_model import DynamoDB
from tests.simulation.aws.lambda_model import Lambda
from tests.simulation.aws.s3_model import S3
from tests.simulation.aws.ssm_model import Ssm

Item = dict[str, dict[str, Any]]
ALIAS = "live"
BUCKET = "kept"
ACCOUNT = "111122223333"
ABSENT = "attribute_not_exists(PK)"


@dataclass
class Side:
    """The four services, and the names that one test has for itself."""

    lambda_: Any
    dynamodb: Any
    ssm: Any
    s3: Any
    publish_first: Callable[[str, str], str]
    publish_next: Callable[[str, str], str]
    provision: Callable[[str], None]
    name: str = ""
    _made: Counter[str] = field(default_factory=Counter)

    # -- Lambda ----------------------------------------------------------------------------------------

    def publish(self, description: str = "", function: str = "") -> str:
        """One more version of a function, which is made where it is not there."""
        function = function or self.name
        publish = self.publish_next if self._made[function] else self.publish_first
        self._made[function] += 1
        return publish(function, description)

    def versions(self, count: int = 3) -> str:
        """A function with so many versions and an alias at the last one; the alias's RevisionId."""
        for number in range(self._made[self.name] + 1, count + 1):
            self.publish(f"v{number}")
        made = self.lambda_.create_alias(FunctionName=self.name, Name=ALIAS, FunctionVersion=str(count))
        return str(made["RevisionId"])

    def update(self, **request: Any) -> dict[str, Any]:
        answer: dict[str, Any] = self.lambda_.update_alias(FunctionName=self.name, Name=ALIAS, **request)
        return answer

    def alias(self) -> dict[str, Any]:
        answer: dict[str, Any] = self.lambda_.get_alias(FunctionName=self.name, Name=ALIAS)
        return answer

    # -- DynamoDB --------------------------------------------------------------------------------------

    def key(self, sk: str = "a") -> Item:
        return {"PK": {"S": self.name}, "SK": {"S": sk}}

    def put(self, sk: str = "a", condition: str = "", **attributes: Mapping[str, Any]) -> None:
        more = {"ConditionExpression": condition} if condition else {}
        self.dynamodb.put_item(TableName=TABLE, Item=self.key(sk) | attributes, **more)

    def change(self, update: str, condition: str = "", sk: str = "a", **more: Any) -> Item:
        """An update; `names` and `values` are what it refers to. Returns the item afterwards."""
        answer = self.dynamodb.update_item(
            **self.changing(update, condition, sk, **more), ReturnValues="ALL_NEW"
        )
        attributes: Item = answer["Attributes"]
        return attributes

    def changing(
        self,
        update: str = "",
        condition: str = "",
        sk: str = "a",
        names: Mapping[str, str] | None = None,
        values: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        request = {
            "TableName": TABLE,
            "Key": self.key(sk),
            "UpdateExpression": update,
            "ConditionExpression": condition,
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": values,
        }
        return {name: value for name, value in request.items() if value}

    def putting(
        self, sk: str = "a", condition: str = ABSENT, **attributes: Mapping[str, Any]
    ) -> dict[str, Any]:
        put: dict[str, Any] = {"TableName": TABLE, "Item": self.key(sk) | attributes}
        return {"Put": put | ({"ConditionExpression": condition} if condition else {})}

    def transact(self, *members: Mapping[str, Any], token: str = "") -> None:
        more = {"ClientRequestToken": token} if token else {}
        self.dynamodb.transact_write_items(TransactItems=list(members), **more)

    def item(self, sk: str = "a") -> Item | None:
        found: Item | None = self.dynamodb.get_item(
            TableName=TABLE, Key=self.key(sk), ConsistentRead=True
        ).get("Item")
        return found

    def query(self, prefix: str = "", **more: Any) -> dict[str, Any]:
        """A page of the test's own partition."""
        asked: dict[str, Any] = {"KeyConditionExpression": "PK = :pk"}
        values = {":pk": {"S": self.name}}
        if prefix:
            asked["KeyConditionExpression"] += " AND begins_with(SK, :sk)"
            values[":sk"] = {"S": prefix}
        answer: dict[str, Any] = self.dynamodb.query(
            TableName=TABLE, ExpressionAttributeValues=values, **{"ConsistentRead": True, **asked, **more}
        )
        return answer

    def index(self, **more: Any) -> dict[str, Any]:
        """A page of the test's own partition of the index."""
        answer: dict[str, Any] = self.dynamodb.query(
            TableName=TABLE,
            IndexName="GSI1",
            KeyConditionExpression="GSI1PK = :pk",
            ExpressionAttributeValues={":pk": {"S": self.name}},
            **more,
        )
        return answer

    def indexed(self, sk: str, at: str, **attributes: Mapping[str, Any]) -> None:
        self.put(sk, GSI1PK={"S": self.name}, GSI1SK={"S": at}, **attributes)

    # -- S3 --------------------------------------------------------------------------------------------

    def keep(self, key: str, body: bytes = b"", **more: Any) -> dict[str, Any]:
        answer: dict[str, Any] = self.s3.put_object(
            Bucket=BUCKET, Key=f"{self.name}/{key}", Body=body, ExpectedBucketOwner=ACCOUNT, **more
        )
        return answer


@contextmanager
def emulated() -> Iterator[Side]:
    """The emulator's, without policies."""
    with server.running(auth=False) as running:
        clients = [
            connect(name, running.endpoint, settings()) for name in ("lambda", "dynamodb", "ssm", "s3")
        ]
        functions, dynamodb, _, s3 = clients
        create_table(dynamodb)
        s3.create_bucket(
            Bucket=BUCKET,
            CreateBucketConfiguration={"LocationConstraint": "eu-west-1"},
            ObjectLockEnabledForBucket=True,
        )
        s3.put_object_lock_configuration(
            Bucket=BUCKET,
            ObjectLockConfiguration={
                "ObjectLockEnabled": "Enabled",
                "Rule": {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 1}},
            },
        )
        packages = map(_package, itertools.count())

        def first(name: str, description: str) -> str:
            made = functions.create_function(
                FunctionName=name,
                Runtime="python3.12",
                Handler="index.handler",
                Role=f"arn:aws:iam::{ACCOUNT}:role/any",
                Code={"ZipFile": next(packages)},
                Description=description,
                Publish=True,
            )
            return str(made["Version"])

        def following(name: str, description: str) -> str:
            functions.update_function_code(FunctionName=name, ZipFile=next(packages))
            return str(functions.publish_version(FunctionName=name, Description=description)["Version"])

        def provision(name: str) -> None:
            functions.put_provisioned_concurrency_config(
                FunctionName=name, Qualifier=ALIAS, ProvisionedConcurrentExecutions=5
            )

        yield Side(*clients, first, following, provision)


def modelled(functions: Lambda | None = None, *, now: Callable[[], float] = lambda: 0.0) -> Side:
    """The models in memory; `now` is the time by which a transaction's token gets old, in seconds."""
    lambda_, dynamodb, s3 = functions or Lambda(), DynamoDB(now=now), S3()
    create_table(dynamodb)
    s3.make_bucket(BUCKET, owner=ACCOUNT, locked=True)

    def first(name: str, description: str) -> str:
        lambda_.make_function(name)
        return lambda_.publish(name, description)

    def provision(name: str) -> None:
        lambda_.provision(name, ALIAS, ["READY"])

    return Side(lambda_, dynamodb, Ssm(), s3, first, lambda_.publish, provision, name="model")


def _package(number: int) -> bytes:
    """Code that no other number has."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as written:
        written.writestr("index.py", f"def handler(event, context):\n    return {number}\n")
    return buffer.getvalue()
