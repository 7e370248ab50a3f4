"""A small platform over doubles: two services, three functions, one table, any number of callers.

Lambda and SSM are in memory, the table is whatever DynamoDB client is handed in (moto's, in these tests).
"""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3

from rollback.aws.account import Account
from rollback.aws.pacing import Throttles
from rollback.config.settings import Settings, parse
from rollback.ledger.audit_bucket import Archive
from rollback.ledger.health import LedgerWatch
from rollback.ledger.lease import Leases
from rollback.ledger.repository import Ledger
from rollback.ledger.store import LedgerTable
from rollback.lifecycle import approval
from rollback.lifecycle.context import Session
from rollback.lifecycle.lifecycle import Lifecycle
from rollback.lifecycle.run import Finished
from rollback.model.identity import Actor
from rollback.model.messages import refuse
from rollback.model.plan import Plan
from rollback.model.record import Status
from rollback.model.request import PREVIOUS, AliasesRequest, Request
from rollback.releases.record_release import (
    Commits,
    Recorded,
    adopt,
    record,
)
from rollback.targets.aliases.recorded import deployed_label
from rollback.util.clocks import Clocks
from tests.doubles.bucket import Bucket
from tests.doubles.clock import Clock
from tests.doubles.dying import Client, Life
from tests.doubles.functions import Functions, Metrics
from tests.doubles.invokers import INVOKERS, Idle

ALICE = Actor(role="acme-dev-rollback-role", person="alice")
BOB = Actor(role="acme-dev-approver-role", person="bob")
DAN = Actor(role="acme-dev-github-actions-role", person="dan")
SERVICES = {"teams": ["teams-get", "teams-list"], "roles": ["roles-get"]}
TABLE = "acme-dev-ddb-deployments"
SHA = "a" * 40


def texts(**changed: Any) -> tuple[str, str]:
    """The two settings files; `changed` replaces settings of the project, or `approval` of the stack."""
    approval = {
        "aliases": changed.pop("approval", "none"),
        "infrastructure": "confirm",
        "table": "identity",
        "expiresMinutes": 60,
    }
    config: dict[str, Any] = {
        "prefix": "acme",
        "repository": "acme/platform",
        "protectedBranch": "main",
        "alias": "live",
        "services": SERVICES,
        "rto": {"code": 5, "configuration": 5, "infrastructure": 15, "full": 30, "table": 60},
        "pace": {"writes": 1000, "burst": 1000, "reads": 10000},
        "leaseSeconds": 60,
        "smoke": [],
        "people": {},
        "reviewers": {},
        "production": False,
        "tables": ["ddb-access-management"],
        "terraform": {
            "variables": "environments/{environment}.tfvars",
            "key": "access-management/terraform.tfstate",
        },
    } | changed
    project = {"name": "rollback", "config": {name: {"default": value} for name, value in config.items()}}
    stack = {
        "config": {
            "aws:region": "eu-west-1",
            "aws:allowedAccountIds": ["111122223333"],
            "rollback:approval": approval,
        }
    }
    return json.dumps(project), json.dumps(stack)


def settings(**changed: Any) -> Settings:
    return parse("dev", *texts(**changed))


def create_table(dynamodb: Any, name: str = TABLE) -> None:
    dynamodb.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "PK", "KeyType": "HASH"}, {"AttributeName": "SK", "KeyType": "RANGE"}],
        AttributeDefinitions=[
            {"AttributeName": name, "AttributeType": "S"} for name in ("PK", "SK", "GSI1PK", "GSI1SK")
        ],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "GSI1",
                "KeySchema": [
                    {"AttributeName": "GSI1PK", "KeyType": "HASH"},
                    {"AttributeName": "GSI1SK", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
        BillingMode="PAY_PER_REQUEST",
    )


class Parameters:
    """SSM's parameters; `fail` is raised by the next writes while it is set."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.written: list[str] = []
        self.fail: Exception | None = None

    def get_parameter(self, *, Name: str) -> dict[str, dict[str, str]]:
        return {"Parameter": {"Name": Name, "Value": self.values.get(Name, "none")}}

    def put_parameter(self, *, Name: str, Value: str, Type: str, Overwrite: bool) -> None:
        if self.fail is not None:
            raise self.fail
        self.values[Name] = Value
        self.written.append(Name)


@dataclass
class Quiet:
    """A person who says nothing but `answer`, and is told everything."""

    notices: list[str] = field(default_factory=list)
    answer: bool | None = None

    def planned(self, plan: Any) -> None: ...
    def notice(self, text: str) -> None:
        self.notices.append(text)

    def waiting(self, why: str, seconds: float) -> None: ...
    def start(self, what: str, total: int) -> None: ...
    def progress(self, done: int) -> None: ...
    def finish(self) -> None: ...
    def output(self, text: str) -> None: ...
    def confirm(self, question: str) -> bool | None:
        return self.answer


def no_beat(name: str, seconds: float, beat: Any) -> Any:
    """Time is the test's own here: a beat by the machine's clock would come on a slow machine only."""
    return lambda: None


@dataclass
class World:
    """The platform, and a way in for each caller."""

    dynamodb: Any
    root: Path
    settings: Settings
    functions: Functions = field(default_factory=Functions)
    parameters: Parameters = field(default_factory=Parameters)
    bucket: Bucket = field(default_factory=Bucket)
    metrics: Metrics = field(default_factory=Metrics)
    invokers: dict[str, Idle] = field(default_factory=lambda: {name: Idle() for name in INVOKERS})
    clock: Clock = field(default_factory=Clock)

    @property
    def names(self) -> list[str]:
        return list(self.settings.catalogue())

    @property
    def deployed(self) -> str | None:
        return self.parameters.values.get(self.settings.names.deployed_version)

    def table(self) -> LedgerTable:
        return LedgerTable(self.dynamodb, TABLE, sleep=lambda _: None)

    def archive(self, client: Any = None) -> Archive:
        account = self.settings.account
        bucket = self.bucket if client is None else client
        return Archive(lambda: bucket, self.settings.names.audit_bucket(account), account)

    def session(self, caller: Actor = ALICE, life: Life | None = None) -> Session:
        """One process of `caller`; its requests end with its `life`."""

        def alive(client: Any) -> Any:
            return client if life is None else Client(client, life)

        table = LedgerTable(alive(self.dynamodb), TABLE, sleep=lambda _: None)
        ledger = Ledger(table, self.settings.environment, self.archive(alive(self.bucket)))
        clocks = Clocks(
            now=self.clock.iso, monotonic=self.clock.monotonic, sleep=self.clock.sleep, beating=no_beat
        )
        account = Account(
            settings=self.settings,
            caller=caller,
            lambda_=alive(self.functions),
            dynamodb=alive(self.dynamodb),
            throttles=Throttles(),
            client=lambda service, **more: (
                {
                    "lambda": self.functions,
                    "ssm": alive(self.parameters),
                    "cloudwatch": self.metrics,
                    **self.invokers,
                }.get(service)
                or boto3.client(service, **more)
            ),
        )
        return Session(
            root=self.root,
            settings=self.settings,
            account=account,
            ledger=ledger,
            watch=LedgerWatch.over(ledger),
            leases=Leases(
                table=table,
                environment=self.settings.environment,
                seconds=self.settings.lease_seconds,
                caller=caller,
                clocks=clocks,
            ),
            clocks=clocks,
            now=self.clock.now,
            on_branch=approval.on_branch if self._is_checkout() else self._reviewed,
        )

    def _is_checkout(self) -> bool:
        return all((self.root / name).exists() for name in (".git", "Pulumi.yaml"))

    def _reviewed(self, _root: Path, _branch: str, name: str) -> str:
        """A settings file of the protected branch, in a world that needs no git."""
        project, stack = texts(approval=self.settings.approval.aliases)
        return project if name == "Pulumi.yaml" else stack

    def flow(
        self, caller: Actor = ALICE, life: Life | None = None, stop: threading.Event | None = None
    ) -> Lifecycle:
        return Lifecycle(session=self.session(caller, life), ui=Quiet(), stop=stop or threading.Event())

    def release(self, version: str, only: Sequence[str] | None = None) -> None:
        """Publishes a new version of functions (all, or `only` these) and points their aliases to it."""
        for name in only or self.names:
            self.functions.point(name, self.functions.publish(name, version))

    def record(self, version: str, not_below: str = "") -> Recorded:
        return record(self.session(DAN), version, Commits(code=SHA), Quiet(), not_below=not_below)

    def adopt(self, version: str) -> Recorded:
        return adopt(self.session(DAN), version, Commits(code=SHA), Quiet())

    def begin(self, to: str = PREVIOUS, **request: Any) -> Finished:
        """`rollback lambda`, as alice."""
        return self.flow().start("aliases", AliasesRequest(release=to, **request), "it went bad")

    def story(self) -> None:
        """v1.0.0, v1.1.0 and v1.2.0 are released and recorded."""
        for version in ("v1.0.0", "v1.1.0", "v1.2.0"):
            self.release(version)
            self.record(version)

    def versions(self) -> Mapping[str, str]:
        return {name: alias.version for name, alias in self.functions.aliases.items()}

    @property
    def to_publish(self) -> str:
        """What the parameter has to say by the ledger."""
        ledger = self.session().ledger
        return deployed_label(ledger, ledger.timeline(), self.settings.catalogue())

    def timeline(self) -> Any:
        return self.session().ledger.timeline()


def previewed(flow: Lifecycle, kind: str, request: Request) -> Plan[Any]:
    """The plan alone. Raises `Refused` where a guard speaks against it."""
    plan, refusals = flow.planned(kind, request)
    refuse(refusals)
    return plan


def approved_by(world: World, person: Any) -> str:
    """A plan that waits, and the approval of `person`; the settings are those of branch main."""
    world.settings = settings(approval="identity")
    for name, content in zip(("Pulumi.yaml", "Pulumi.dev.yaml"), texts(approval="identity"), strict=True):
        (world.root / name).write_text(content, encoding="utf-8")
    for parts in (
        ["init", "-q", "-b", "main"],
        ["add", "."],
        ["-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "-q", "-m", "settings"],
    ):
        subprocess.run(["git", "-C", str(world.root), *parts], check=True)
    waiting = world.begin()
    assert waiting.error.exit_code == 10
    assert waiting.record.status is Status.AWAITING_APPROVAL
    assert world.functions.writes == []
    identifier: str = waiting.record.rollback_id
    if person is not None:
        world.flow(person).approve(identifier, waiting.record.digest)
    return identifier
