"""The sandbox of one run: a function, a table, a bucket and three roles, created when a fact first needs them.

A resource is noted before it is created, so that it is removed even if the response is lost. No name
clashes with the environment's, and of the environment only the audit bucket's settings are read.
"""

from __future__ import annotations

import io
import json
import threading
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar, cast

from botocore.exceptions import ClientError

from rollback.aws.account import Account, code
from rollback.aws.assume_role import clients_with
from rollback.config.naming import arn
from rollback.rehearsal.acceptance.names import (
    FIRST,
    RUNS,
    SECOND,
    Kind,
    Resource,
    SandboxNames,
)

T = TypeVar("T")
# The session name and source identity that the temporary roles require, and a name that they deny.
PERSON, ANOTHER = "acceptance", "somebody-else"
# Partition keys: those that the first role may write, and those that it is denied.
OWN, DENIED = "OWN#", "DENIED#"
RUNTIME, MISSING_VERSION = "python3.12", "999"
DENIALS = frozenset({"AccessDenied", "AccessDeniedException"})
# Errors of a service that does not see a new role, or a change of it, yet ("Changes that I make are not always
# immediately visible", https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_general.html).
NOT_YET_A_ROLE = frozenset({"InvalidParameterValueException"})
NOT_YET_A_PRINCIPAL = frozenset({"MalformedPolicyDocument"})
_LOOK = 1.0


class Stopped(Exception):
    """Raised after Ctrl-C."""


@dataclass(frozen=True, slots=True)
class Left:
    """A resource that could not be removed, why, and the commands that remove it."""

    resource: Resource
    why: str
    commands: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Version:
    """A published version of the scratch function: its number, code, and seconds until it was Active."""

    number: str
    code_sha256: str
    seconds: float


@dataclass(kw_only=True)
class ScratchFunction:
    """The function with its two versions and its alias, which any fact may move."""

    lambda_: Any
    name: str
    alias: str
    versions: Sequence[Version]

    def read(self) -> dict[str, Any]:
        """The alias, as GetAlias returns it."""
        answer: dict[str, Any] = self.lambda_.get_alias(FunctionName=self.name, Name=self.alias)
        return answer

    def update(self, **changed: Any) -> dict[str, Any]:
        """UpdateAlias with just these parameters."""
        answer: dict[str, Any] = self.lambda_.update_alias(FunctionName=self.name, Name=self.alias, **changed)
        return answer

    def point(self, version: str, **weights: float) -> dict[str, Any]:
        """Points the alias to a version; `weights` is `v1=0.5` for half of the traffic at version 1."""
        others = {name.removeprefix("v"): share for name, share in weights.items()}
        return self.update(
            FunctionVersion=version, RoutingConfig={"AdditionalVersionWeights": others}, Description=""
        )


@dataclass(kw_only=True)
class Sandbox:
    """What facts are tested in. `patience`: how many seconds AWS may take to make a resource usable; `follows`: after
    how many seconds an invocation through an alias must run its new version.

    `now` is AWS's time, `idle` a function's version that should be Inactive, or None. `taken` makes clients
    by service from an AssumeRole response.
    """

    account: Account
    names: SandboxNames
    now: Callable[[], datetime]
    stop: threading.Event
    notice: Callable[[str], None] = lambda _: None
    idle: tuple[str, str] | None = None
    patience: float = 60.0
    follows: float = 10.0
    taken: Callable[[dict[str, Any], str], Callable[[str], Any]] = clients_with
    made: list[Resource] = field(default_factory=list)
    _clients: dict[str, Any] = field(default_factory=dict)
    _parts: dict[str, Any] = field(default_factory=dict)

    # -- what facts use ----------------------------------------------------------------------------------

    def client(self, service: str) -> Any:
        """A client with the caller's credentials. Calls to Lambda are paced, as everywhere in this tool."""
        if service == "lambda":
            return self.account.lambda_
        if service not in self._clients:
            self._clients[service] = self.account.client(service)
        return self._clients[service]

    @property
    def function(self) -> ScratchFunction:
        return self._part("function", self._function)

    @property
    def table(self) -> str:
        """The name of a table with the keys PK and SK."""
        return self._part("table", self._table)

    @property
    def bucket(self) -> str:
        """The name of a bucket with object lock, and no default retention."""
        return self._part("bucket", self._bucket)

    @property
    def first_role(self) -> str:
        """The ARN of a role that the caller may assume only under the name `PERSON`.

        It may put items whose partition key begins with `OWN`, is denied those that begin with `DENIED`, and may assume
        the second role.
        """
        return self._part("first role", self._first_role)

    @property
    def second_role(self) -> str:
        """The ARN of a role that the first role's sessions may assume only under their source identity."""
        return self._part("second role", self._second_role)

    @property
    def caller(self) -> str:
        """The caller's ARN, as STS returns it."""
        return self._part("caller", lambda: str(self.client("sts").get_caller_identity()["Arn"]))

    def take(self, role: str, name: str, source: str = "", by: Any = None) -> dict[str, Any]:
        """Calls AssumeRole, as the caller or with the STS client `by`."""
        more = {"SourceIdentity": source} if source else {}
        sts = self.client("sts") if by is None else by
        answer: dict[str, Any] = sts.assume_role(RoleArn=role, RoleSessionName=name, **more)
        return answer

    def until(self, call: Callable[[], T], transient: frozenset[str]) -> T:
        """The result of `call`, which is retried for `patience` seconds on these errors."""
        deadline = time.monotonic() + self.patience
        while True:
            try:
                return call()
            except ClientError as error:
                if code(error) not in transient or time.monotonic() > deadline:
                    raise
            self.pause(_LOOK)

    def wait(self, what: str, reached: Callable[[], bool], look: float = _LOOK) -> float:
        """Seconds until `reached` gives true. Raises `TimeoutError` after `patience` seconds."""
        began = time.monotonic()
        while not reached():
            if time.monotonic() - began > self.patience:
                raise TimeoutError(f"{what} within {self.patience:.0f} s")
            self.pause(look)
        return time.monotonic() - began

    def pause(self, seconds: float) -> None:
        """Waits. Raises `Stopped` on Ctrl-C."""
        if self.stop.wait(seconds):
            raise Stopped

    # -- what is made ------------------------------------------------------------------------------------

    def _part(self, name: str, make: Callable[[], T]) -> T:
        """The result of `make`, called once; a failure is repeated for every fact that needs it."""
        if name not in self._parts:
            try:
                self._parts[name] = make()
            except (ClientError, TimeoutError) as error:
                self._parts[name] = error
        found = self._parts[name]
        if isinstance(found, Exception):
            raise found
        return cast("T", found)

    @contextmanager
    def _making(self, kind: Kind, name: str) -> Iterator[str]:
        """Wraps the call that creates a resource: unless the call is denied, the resource may exist."""
        resource = Resource(kind, name)
        self.made.append(resource)
        self.notice(f"Creating {resource}")
        try:
            yield name
        except ClientError as error:
            if code(error) in DENIALS:
                self.made.remove(resource)
            raise

    @property
    def tags(self) -> dict[str, str]:
        settings = self.account.settings
        return {
            "environment": settings.environment,
            "project": settings.prefix,
            "managed-by": "rollback-acceptance",
        }

    @property
    def _tag_list(self) -> list[dict[str, str]]:
        return [{"Key": key, "Value": value} for key, value in self.tags.items()]

    def _role(self, tail: str, trust: dict[str, Any], policy: dict[str, Any] | None = None) -> str:
        iam = self.client("iam")
        with self._making(Kind.ROLE, f"{self.names.base}{tail}") as name:
            made = self.until(
                lambda: iam.create_role(
                    RoleName=name,
                    AssumeRolePolicyDocument=json.dumps(trust),
                    Description="Scratch of rollback acceptance; may be deleted.",
                    Tags=self._tag_list,
                ),
                NOT_YET_A_PRINCIPAL,
            )
        if policy is not None:
            iam.put_role_policy(RoleName=name, PolicyName="acceptance", PolicyDocument=json.dumps(policy))
        return str(made["Role"]["Arn"])

    def _function(self) -> ScratchFunction:
        settings, lambda_ = self.account.settings, self.client("lambda")
        role = self._role(RUNS, _document(_may_take({"Service": "lambda.amazonaws.com"})))
        with self._making(Kind.FUNCTION, self.names.base) as name:
            first = self.until(
                lambda: lambda_.create_function(
                    FunctionName=name,
                    Runtime=RUNTIME,
                    Handler="index.handler",
                    Role=role,
                    Code={"ZipFile": package(1)},
                    Description="Scratch of rollback acceptance; may be deleted.",
                    Publish=True,
                    Tags=self.tags,
                ),
                NOT_YET_A_ROLE,
            )
        versions = [self._published(first)]
        self.wait("the function is not ready", lambda: self._settled(name))
        lambda_.update_function_code(FunctionName=name, ZipFile=package(2))
        self.wait("its new code is not in place", lambda: self._settled(name))
        versions.append(self._published(lambda_.publish_version(FunctionName=name)))
        lambda_.create_alias(
            FunctionName=name, Name=settings.alias, FunctionVersion=versions[0].number, Description=""
        )
        return ScratchFunction(lambda_=lambda_, name=name, alias=settings.alias, versions=versions)

    def _published(self, made: dict[str, Any]) -> Version:
        """A version that was just published, once it is Active."""

        def active() -> bool:
            found = self.client("lambda").get_function(
                FunctionName=made["FunctionName"], Qualifier=made["Version"]
            )["Configuration"]
            return str(found.get("State")) == "Active"

        seconds = self.wait(f"version {made['Version']} is not Active", active)
        return Version(number=made["Version"], code_sha256=made["CodeSha256"], seconds=seconds)

    def _settled(self, name: str) -> bool:
        found = self.client("lambda").get_function(FunctionName=name)["Configuration"]
        return (found.get("State"), found.get("LastUpdateStatus")) == ("Active", "Successful")

    def _table(self) -> str:
        dynamodb, keys = self.client("dynamodb"), (("PK", "HASH"), ("SK", "RANGE"))
        with self._making(Kind.TABLE, self.names.base) as name:
            dynamodb.create_table(
                TableName=name,
                AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key, _ in keys],
                KeySchema=[{"AttributeName": key, "KeyType": kind} for key, kind in keys],
                BillingMode="PAY_PER_REQUEST",
                Tags=self._tag_list,
            )
        self.wait(
            "the temporary table is not active",
            lambda: str(dynamodb.describe_table(TableName=name)["Table"]["TableStatus"]) == "ACTIVE",
        )
        return name

    def _bucket(self) -> str:
        s3, region = self.client("s3"), self.account.settings.region
        # https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateBucketConfiguration.html
        place = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        with self._making(Kind.BUCKET, self.names.base) as name:
            s3.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True, **place)
        s3.put_bucket_tagging(Bucket=name, Tagging={"TagSet": self._tag_list})
        return name

    def _first_role(self) -> str:
        settings = self.account.settings
        second = arn("iam", settings.region, settings.account, f"role/{self.names.base}{SECOND}")
        table = arn("dynamodb", settings.region, settings.account, f"table/{self.names.base}")
        keys = {
            "ForAllValues:StringLike": {"dynamodb:LeadingKeys": [f"{OWN}*", f"{DENIED}*"]},
            "Null": {"dynamodb:LeadingKeys": "false"},
        }
        denied = {"ForAnyValue:StringLike": {"dynamodb:LeadingKeys": f"{DENIED}*"}}
        policy = _document(
            {
                "Effect": "Allow",
                "Action": ["dynamodb:PutItem", "dynamodb:Scan"],
                "Resource": table,
                "Condition": keys,
            },
            {"Effect": "Deny", "Action": "dynamodb:PutItem", "Resource": table, "Condition": denied},
            {"Effect": "Allow", "Action": _TAKE, "Resource": second},
        )
        trust = _document({**_may_take({"AWS": self.caller}), **_named(PERSON)})
        return self._role(FIRST, trust, policy)

    def _second_role(self) -> str:
        trust = _document({**_may_take({"AWS": self.first_role}), **_named("${aws:SourceIdentity}")})
        return self._role(SECOND, trust)


_TAKE = ["sts:AssumeRole", "sts:SetSourceIdentity"]


def package(number: int) -> bytes:
    """The code of a version: it returns its number, and the version that Lambda reports."""
    code_ = (
        "def handler(event, context):\n"
        f"    return {{'code': {number}, 'version': context.function_version}}\n"
    )
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as written:
        entry = zipfile.ZipInfo("index.py")
        entry.external_attr = 0o644 << 16  # readable by the user that Lambda runs it as
        written.writestr(entry, code_)
    return buffer.getvalue()


def _document(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def _may_take(principal: dict[str, str]) -> dict[str, Any]:
    action = "sts:AssumeRole" if "Service" in principal else _TAKE
    return {"Effect": "Allow", "Principal": principal, "Action": action}


def _named(name: str) -> dict[str, Any]:
    """The condition by which this tool's trust policies require a session name."""
    return {"Condition": {"StringEqualsIfExists": {"sts:RoleSessionName": name, "sts:SourceIdentity": name}}}
