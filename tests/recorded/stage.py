"""A platform that can be written down as JSON and set up again: the ledger's items as DynamoDB gives them, the
audit bucket's objects, the journals of emergencies, and of AWS what going on with a record needs.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import boto3
import pytest
from moto import mock_aws
from moto.dynamodb import dynamodb_backends
from moto.moto_api._internal import mock_random
from ulid import ULID

from rollback import targets
from rollback.lifecycle.context import Session
from rollback.model.release import STACK, TERRAFORM
from rollback.targets.base import Context, Target
from tests.doubles.clock import BEGAN
from tests.doubles.functions import Alias, Version
from tests.doubles.infrastructure import StackDouble
from tests.doubles.tables import BUCKET, PEOPLE, Estate, estate_of
from tests.doubles.world import TABLE, World, create_table, settings, texts
from tests.simulation.aws.dynamodb_model import DynamoDB

T = TypeVar("T")
R = TypeVar("R")
FOLDER = Path(__file__).parent
_ACCOUNT, _REGION = "123456789012", "eu-west-1"
_SUBJECTS = {"stack": STACK, "terraform": TERRAFORM}


class InOrder:
    """A pool that does one after the other, so that what is recorded is the same each time."""

    def map(self, function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        return map(function, items)

    def unordered(
        self, function: Callable[[T], R], items: Iterable[T]
    ) -> Iterator[tuple[T, Callable[[], R]]]:
        for item in items:
            yield item, lambda item=item: function(item)  # type: ignore[misc] # one of several lambdas


@dataclass
class Stage(World):
    """A world whose names are counted, and whose settings are those of the protected branch."""

    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    changed: dict[str, Any] = field(default_factory=dict)
    grounds: dict[str, StackDouble] = field(
        default_factory=lambda: {name: StackDouble() for name in _SUBJECTS}
    )
    estate: Estate | None = None

    def identifier(self) -> str:
        """A ULID of this moment, and of its number."""
        head = str(ULID.from_datetime(self.clock.now()))[:10]
        return f"{head}{next(self.numbers):016d}"

    def session(self, *arguments: Any, **more: Any) -> Session:
        session = super().session(*arguments, **more)
        clocks = replace(session.clocks, identifier=self.identifier, beating=lambda *_: lambda: None)
        files = dict(zip(("Pulumi.yaml", "Pulumi.dev.yaml"), texts(**self.changed), strict=True))
        return replace(
            session,
            clocks=clocks,
            leases=replace(session.leases, clocks=clocks),
            account=replace(session.account, workers=lambda: nullcontext(InOrder())),
            on_branch=lambda _root, _branch, name: files[name.removeprefix("./")],
        )

    def configure(self, **changed: Any) -> None:
        """Settings that differ from the usual ones, here and on the protected branch."""
        self.changed, self.settings = changed, settings(**changed)
        for name, text in zip(("Pulumi.yaml", "Pulumi.dev.yaml"), texts(**changed), strict=True):
            (self.root / name).write_text(text, encoding="utf-8")

    @property
    def journals(self) -> Path:
        return self.root / "journals"

    def items(self) -> list[dict[str, Any]]:
        """The ledger's items in DynamoDB's own JSON, in the order of their keys."""
        if isinstance(self.dynamodb, DynamoDB):
            return [dict(item) for item in self.dynamodb.items(TABLE)]
        pages = self.dynamodb.get_paginator("scan").paginate(TableName=TABLE)
        found = [item for page in pages for item in page["Items"]]
        return sorted(found, key=lambda item: (item["PK"]["S"], item["SK"]["S"]))


@contextmanager
def stage(root: Path, *, tables: bool = False) -> Iterator[Stage]:
    """An empty one; with `tables` over moto, with the access-management table."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("socket.gethostname", lambda: "host")
        patch.setattr("os.getpid", lambda: 4711)
        for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_SESSION_TOKEN"):
            patch.delenv(name, raising=False)
        patch.setenv("AWS_ACCESS_KEY_ID", "testing")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        if not tables:
            model = DynamoDB()
            create_table(model)
            made = Stage(dynamodb=model, root=root, settings=settings())
            made.configure()
            _infrastructure(made, patch)
            yield made
            return
        with mock_aws():
            client = boto3.client("dynamodb", region_name=_REGION)
            create_table(client)
            made = Stage(dynamodb=client, root=root, settings=settings())
            mock_random.seed(1)
            with estate_of(made, patch) as estate:
                made.estate = estate
                made_at(PEOPLE)
                patch.setattr("moto.dynamodb.models.table.utcnow", lambda: BEGAN.replace(tzinfo=None))
                yield made


def _infrastructure(made: Stage, patch: pytest.MonkeyPatch) -> None:
    """A stack and a Terraform configuration in memory, in place of the real ones."""
    real = targets.make

    def make(kind: str, context: Context) -> Target:
        if kind in made.grounds:
            return made.grounds[kind].target(kind, _SUBJECTS[kind])(context)
        return real(kind, context)

    patch.setattr(targets, "make", make)


def moto_table(name: str) -> Any:
    return dynamodb_backends[_ACCOUNT][_REGION].tables[name]


def made_at(table: str, when: datetime = BEGAN) -> None:
    """A table's time of creation, by which a plan knows it."""
    moto_table(table).created_at = when.replace(tzinfo=None)


# -- written down ------------------------------------------------------------------------------------------


def written(made: Stage) -> dict[str, Any]:
    """All of it, as JSON has it."""
    found: dict[str, Any] = {
        "seconds": made.clock.seconds,
        "settings": made.changed,
        "items": made.items(),
        "bucket": {
            key: [body.decode() for _, body in versions if body is not None]
            for key, versions in sorted(made.bucket.versions.items())
        },
        "functions": {
            name: {
                "versions": {
                    number: [version.sha, version.description] for number, version in versions.items()
                },
                "alias": [alias.version, alias.revision, alias.weights, alias.description],
            }
            for name, versions in made.functions.versions.items()
            for alias in (made.functions.aliases[name],)
        },
        "parameters": made.parameters.values,
        "resources": {kind: ground.resources for kind, ground in made.grounds.items()},
        "journals": {path.name: path.read_text() for path in sorted(made.journals.glob("*"))},
    }
    if made.estate is not None:
        found |= _tables(made.estate)
    return found


def _tables(estate: Estate) -> dict[str, Any]:
    s3, ssm, dynamodb = (estate.clients[name] for name in ("s3", "ssm", "dynamodb"))
    keys = [one["Key"] for one in s3.list_objects_v2(Bucket=BUCKET).get("Contents", ())]
    copies = [name for name in dynamodb.list_tables()["TableNames"] if name not in (TABLE, PEOPLE)]
    name = estate.world.settings.names.table_parameter(PEOPLE)
    pointed = ssm.get_parameters(Names=[name])["Parameters"]
    return {
        "people": sorted(dynamodb.scan(TableName=PEOPLE)["Items"], key=str),
        "copies": {
            copy: {
                "of": moto_table(copy).restore_date_time,
                "items": sorted(dynamodb.scan(TableName=copy)["Items"], key=str),
                "tags": dynamodb.list_tags_of_resource(
                    ResourceArn=dynamodb.describe_table(TableName=copy)["Table"]["TableArn"]
                )["Tags"],
            }
            for copy in copies
        },
        "objects": {key: s3.get_object(Bucket=BUCKET, Key=key)["Body"].read().decode() for key in keys},
        "pointed": [one["Value"] for one in pointed],
    }


def text_of(found: Mapping[str, Any]) -> str:
    """JSON with a line an item, so that a difference can be read."""

    def lines(value: Any, begin: str, end: str) -> str:
        return f"{begin}\n" + ",\n".join(value) + f"\n{end}"

    def compact(value: Any) -> str:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    parts = []
    for name, value in sorted(found.items()):
        if value and isinstance(value, list):
            result = lines(map(compact, value), "[", "]")
        elif value and isinstance(value, dict):
            result = lines((f"{compact(key)}:{compact(one)}" for key, one in sorted(value.items())), "{", "}")
        else:
            result = compact(value)
        parts.append(f"{compact(name)}:{result}")
    return lines(parts, "{", "}") + "\n"


# -- set up again ------------------------------------------------------------------------------------------


@contextmanager
def recorded(name: str, root: Path) -> Iterator[Stage]:
    """The platform of a recording, as it was when it was written down."""
    found = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    with stage(root, tables="people" in found) as made:
        made.clock.seconds = found["seconds"]
        made.numbers = itertools.count(5001)
        if found["settings"]:
            made.configure(**found["settings"])
        for item in found["items"]:
            if isinstance(made.dynamodb, DynamoDB):
                made.dynamodb.force(TABLE, item)
            else:
                made.dynamodb.put_item(TableName=TABLE, Item=item)
        for key, bodies in found["bucket"].items():
            for body in bodies:
                made.bucket.put(key, body.encode())
        for function, one in found["functions"].items():
            version, revision, weights, description = one["alias"]
            made.functions.versions[function] = {
                number: Version(sha=sha, description=message)
                for number, (sha, message) in one["versions"].items()
            }
            made.functions.aliases[function] = Alias(version, revision, dict(weights), description)
        made.functions._revisions = itertools.count(5001)
        made.parameters.values.update(found["parameters"])
        for kind, resources in found["resources"].items():
            made.grounds[kind].resources = dict(resources)
        for file, text in found["journals"].items():
            made.journals.mkdir(mode=0o700, exist_ok=True)
            (made.journals / file).write_text(text)
        if made.estate is not None:
            _put_tables(made.estate, found)
        yield made


def _put_tables(estate: Estate, found: Mapping[str, Any]) -> None:
    dynamodb = estate.dynamodb
    for item in found["people"]:
        dynamodb.put_item(TableName=PEOPLE, Item=item)
    for copy, one in found["copies"].items():
        dynamodb.restore_table_to_point_in_time(
            SourceTableName=PEOPLE,
            TargetTableName=copy,
            RestoreDateTime=datetime.fromtimestamp(one["of"], UTC),
        )
        arn = dynamodb.describe_table(TableName=copy)["Table"]["TableArn"]
        if one["tags"]:
            dynamodb.tag_resource(ResourceArn=arn, Tags=one["tags"])
        for item in dynamodb.scan(TableName=copy)["Items"]:
            dynamodb.delete_item(TableName=copy, Key={"id": item["id"]})
        for item in one["items"]:
            dynamodb.put_item(TableName=copy, Item=item)
    for key, text in found["objects"].items():
        estate.clients["s3"].put_object(
            Bucket=BUCKET, Key=key, Body=text.encode(), ServerSideEncryption="AES256"
        )
    for table in found["pointed"]:
        estate.point(table)
