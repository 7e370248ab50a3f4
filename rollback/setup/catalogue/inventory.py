"""Reads an account's resources for a catalogue: functions, tags, aliases, templates, tables, trails.

It only reads, page by page, and stays below quotas that others share. What may not be read is reported and left
out; only functions and their aliases are required.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, TypeVar

from botocore.exceptions import ClientError

from rollback.api.stepwise import Progress
from rollback.aws import account as accounts
from rollback.aws import stacks as of_stacks
from rollback.aws.account import code, explained
from rollback.aws.pacing import Throttles, paced
from rollback.aws.rate_limit import TokenBucket
from rollback.config.naming import arn
from rollback.config.sections import Pace, Rto
from rollback.model.found import STACK, Details, Found, FoundFunction, FoundTable
from rollback.util.errors import RollbackError, UsageError
from rollback.util.thread_pool import workers

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

T = TypeVar("T")
R = TypeVar("R")
# Kind and name of a resource → its tags.
_Tags = dict[tuple[str, str], dict[str, str]]
# "Up to 10 times per second" (DescribeContinuousBackups,
# https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_DescribeContinuousBackups.html); CloudFormation
# does not document its limits.
_BACKUPS_PACE, _TEMPLATES_PACE = 9.0, 5.0


@dataclass(frozen=True, kw_only=True, slots=True)
class _Usual:
    """The default limits of calls to Lambda, before there are settings."""

    pace: Pace = field(default_factory=Pace)
    rto: Rto = field(default_factory=Rto)


@dataclass(frozen=True, kw_only=True, slots=True)
class Visitor:
    """A caller in an account without settings; implements `account.Clients`, like `Account`. `lambda_` is paced."""

    account: str
    region: str
    arn: str
    lambda_: LambdaClient
    client: Callable[..., Any]

    def each(self, function: Callable[[T], R], items: Iterable[T], /) -> list[R]:
        """Calls `function` for every item in parallel; the results are in order. The first error is raised."""
        with workers() as pool:
            return list(pool.map(function, items))


def visit(region: str = "") -> Visitor:
    """Opens the account of the caller's credentials; the default region is boto3's.

    Raises `UsageError` without credentials, a region, or access to AWS.
    """
    # boto3 does not read AWS_REGION, which other AWS SDKs and tools use.
    made = accounts.opened(region or os.environ.get("AWS_REGION") or None)
    lambda_ = made.client("lambda")
    paced(lambda_, _Usual(), Throttles())
    return Visitor(
        account=made.account,
        region=str(made.session.region_name),
        arn=made.arn,
        lambda_=lambda_,
        client=made.client,
    )


def of(account: accounts.Account) -> Visitor:
    """A visitor for an environment's account."""
    return Visitor(
        account=account.settings.account,
        region=account.settings.region,
        arn="",
        lambda_=account.lambda_,
        client=account.client,
    )


def find(visitor: Visitor, progress: Progress) -> Found:
    """All functions and tables of the account and region, with the tags that group them.

    `progress` is called with a title and the number of steps (0 if unknown), and returns a function to call after
    each step. Raises `RollbackError` where functions cannot be listed.
    """
    step = progress("Listing functions", 0)
    names: list[str] = []
    with explained("listing the account's functions"):
        for page in visitor.lambda_.get_paginator("list_functions").paginate():
            names += [one["FunctionName"] for one in page["Functions"]]
            step()
    unlooked: list[str] = []
    tags: _Tags = _or(unlooked, "tags", partial(_tags, visitor), {})
    if not tags and names:
        # A caller who may not list all tags may still read those of each function.
        unlooked.clear()
        tags = _or(unlooked, "tags", partial(_tags_of_each, visitor, names, progress), {})
    tables: list[str] = _or(unlooked, "tables", partial(_tables, visitor), [])
    return Found(
        account=visitor.account,
        region=visitor.region,
        caller=visitor.arn,
        functions=tuple(
            FoundFunction(name=name, tags=tags.get(("function", name), {})) for name in sorted(names)
        ),
        tables=tuple(
            FoundTable(name=name, stack=tags.get(("table", name), {}).get(STACK, ""))
            for name in sorted(tables)
        ),
        unlooked=tuple(unlooked),
    )


def examine(
    visitor: Visitor,
    functions: Collection[FoundFunction],
    tables: Collection[FoundTable],
    progress: Progress,
) -> Details:
    """The details of functions for a catalogue: their aliases (one call each), and related resources.

    Raises `RollbackError` where aliases cannot be read.
    """
    names = [one.name for one in functions]
    step = progress("Reading aliases", len(names))
    read = visitor.each(partial(_stepping, step, partial(_aliases, visitor.lambda_)), names)
    unlooked: list[str] = []
    stacks = sorted({one.stack for one in functions if one.stack})
    templates = _templates(visitor, stacks, unlooked, progress)
    made = {(one.stack, one.logical): one.name for one in functions if one.logical}
    return Details(
        aliases=dict(zip(names, read, strict=True)),
        paths={
            name: path
            for (stack, logical), name in made.items()
            if (path := of_stacks.cdk_path(templates.get(stack, {}), logical))
        },
        deletes=tuple(
            one for stack, template in templates.items() if (one := of_stacks.deletes(stack, template))
        ),
        tables=tuple(
            _or(unlooked, "point-in-time recovery", partial(_recoverable, visitor, tables, progress), [])
        ),
        trails=_or(unlooked, "trails", partial(_trails, visitor), ()),
        unlooked=tuple(unlooked),
    )


def _or(unlooked: list[str], what: str, look: Callable[[], T], otherwise: T) -> T:
    """The result of `look`; on an error `otherwise`, with a text in `unlooked`. Raises `UsageError` where the credentials expire."""
    try:
        with explained(f"reading {what}"):
            return look()
    except UsageError:
        raise
    except RollbackError as error:
        unlooked.append(f"{what}: {error.what}")
        return otherwise


def _stepping(step: Callable[[], None], function: Callable[[T], R], item: T) -> R:
    try:
        return function(item)
    finally:
        step()


def _tags(visitor: Visitor) -> _Tags:
    """Kind and name → tags, for everything with tags, a hundred per call."""
    found: _Tags = {}
    pages = visitor.client("resourcegroupstaggingapi").get_paginator("get_resources")
    for page in pages.paginate(ResourceTypeFilters=["lambda:function", "dynamodb:table"]):
        for one in page["ResourceTagMappingList"]:
            resource = one["ResourceARN"].split(":", 5)[5]
            kind, _, name = resource.replace("/", ":", 1).partition(":")
            found[kind, name] = {tag["Key"]: tag["Value"] for tag in one["Tags"]}
    return found


def _tags_of_each(visitor: Visitor, names: Collection[str], progress: Progress) -> _Tags:
    step = progress("Reading tags", len(names))

    def one(name: str) -> dict[str, str]:
        function = arn("lambda", visitor.region, visitor.account, f"function:{name}")
        return dict(visitor.lambda_.list_tags(Resource=function).get("Tags", {}))

    read = visitor.each(partial(_stepping, step, one), names)
    return {("function", name): tags for name, tags in zip(names, read, strict=True)}


def _tables(visitor: Visitor) -> list[str]:
    pages = visitor.client("dynamodb").get_paginator("list_tables").paginate()
    return [name for page in pages for name in page["TableNames"]]


def _aliases(lambda_: LambdaClient, function: str) -> dict[str, str]:
    """Alias → version; empty for a function that was deleted since."""
    with explained(f"reading the aliases of {function}"):
        try:
            pages = lambda_.get_paginator("list_aliases").paginate(FunctionName=function)
            return {one["Name"]: one["FunctionVersion"] for page in pages for one in page["Aliases"]}
        except ClientError as error:
            if code(error) != "ResourceNotFoundException":
                raise
            return {}


def published(visitor: Visitor, functions: Collection[str], progress: Progress) -> frozenset[str]:
    """Those of `functions` that have a version besides $LATEST, one call each."""
    step = progress("Reading versions", len(functions))

    def one(name: str) -> bool:
        with explained(f"reading the versions of {name}"):
            # Oldest first; $LATEST comes first of all.
            answer = visitor.lambda_.list_versions_by_function(FunctionName=name, MaxItems=2)
            return len(answer["Versions"]) > 1

    names = list(functions)
    read = visitor.each(partial(_stepping, step, one), names)
    return frozenset(name for name, there in zip(names, read, strict=True) if there)


def _templates(
    visitor: Visitor, stacks: Collection[str], unlooked: list[str], progress: Progress
) -> dict[str, Mapping[str, Any]]:
    """Stack → its template; those that cannot be read are in `unlooked`."""
    if not stacks:
        return {}
    client, quota = visitor.client("cloudformation"), TokenBucket(rate=_TEMPLATES_PACE, burst=5)
    step = progress("Reading stacks", len(stacks))

    def one(stack: str) -> Mapping[str, Any] | str:
        quota.take()
        return of_stacks.template(client, stack)

    read = visitor.each(partial(_stepping, step, one), stacks)
    unlooked += [why for why in read if isinstance(why, str)]
    return {stack: found for stack, found in zip(stacks, read, strict=True) if not isinstance(found, str)}


def _recoverable(visitor: Visitor, tables: Collection[FoundTable], progress: Progress) -> list[FoundTable]:
    if not tables:
        return []
    client, quota = visitor.client("dynamodb"), TokenBucket(rate=_BACKUPS_PACE, burst=9)
    step = progress("Reading tables", len(tables))

    def one(table: FoundTable) -> FoundTable:
        quota.take()
        answer = client.describe_continuous_backups(TableName=table.name)["ContinuousBackupsDescription"]
        recovery = answer.get("PointInTimeRecoveryDescription", {}).get("PointInTimeRecoveryStatus")
        return FoundTable(name=table.name, stack=table.stack, recoverable=recovery == "ENABLED")

    return visitor.each(partial(_stepping, step, one), tables)


def _trails(visitor: Visitor) -> tuple[str, ...]:
    """The trails that log this region's calls."""
    return tuple(one["Name"] for one in visitor.client("cloudtrail").describe_trails()["trailList"])


def buckets(visitor: Visitor, wanted: Collection[str]) -> frozenset[str]:
    """Those of `wanted` that the caller's account has; empty if that may not be read."""

    def own() -> list[str]:
        return [one["Name"] for one in visitor.client("s3").list_buckets()["Buckets"]]

    none: list[str] = []
    return frozenset(_or([], "buckets", own, none)) & frozenset(wanted)


def stacks(visitor: Visitor, bucket: str, project: str) -> frozenset[str]:
    """The stacks of a project whose state is in an engine's bucket
    (https://www.pulumi.com/docs/iac/concepts/state-and-backends/); empty if that may not be read.
    """
    place = f".pulumi/stacks/{project}/"

    def own() -> list[str]:
        found = visitor.client("s3").list_objects_v2(Bucket=bucket, Prefix=place)
        return [PurePosixPath(one["Key"]).name for one in found.get("Contents", ())]

    none: list[str] = []
    names = _or([], "the engine's state", own, none)
    return frozenset(name.removesuffix(".json") for name in names if name.endswith(".json"))


def parameter(visitor: Visitor, name: str) -> str:
    """A parameter's value; empty if it does not exist or may not be read."""

    def value() -> str:
        return str(visitor.client("ssm").get_parameter(Name=name)["Parameter"].get("Value", ""))

    return _or([], "a parameter", value, "")
