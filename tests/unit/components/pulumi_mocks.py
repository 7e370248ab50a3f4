"""Runs a Pulumi program against mocks and says what it registered, options included.

`MockResourceArgs` shows neither `protect` nor parents nor `ignore_changes`; the requests to the monitor
do, so they are recorded there. `pulumi.runtime.test` drains every output before `run` returns: an
assertion on what `run` returned cannot be skipped over in an `.apply`.
"""

from __future__ import annotations

import asyncio
import json
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi
import pulumi_aws as aws
from pulumi.runtime import mocks, rpc

with warnings.catch_warnings():
    # The SDK loads a module when first touched, and warns of a deprecated resource inside that nobody asked for.
    warnings.simplefilter("ignore", DeprecationWarning)
    assert aws.cloudwatch.MetricAlarm
    assert aws.lambda_.Alias
    assert aws.s3.Bucket
    assert aws.sns.Topic
    assert aws.sqs.Queue

# The resources whose ARN other resources are given.
_ARNS = {
    "aws:iam/role:Role": "arn:aws:iam::{account}:role/{name}",
    "aws:iam/policy:Policy": "arn:aws:iam::{account}:policy/{name}",
    "aws:iam/openIdConnectProvider:OpenIdConnectProvider": "arn:aws:iam::{account}:oidc-provider/{url}",
    "aws:sns/topic:Topic": "arn:aws:sns:eu-west-1:{account}:{name}",
    "aws:sqs/queue:Queue": "arn:aws:sqs:eu-west-1:{account}:{name}",
    "aws:lambda/function:Function": "arn:aws:lambda:eu-west-1:{account}:function:{name}",
}
PROJECT = "rollback"


@dataclass(frozen=True, kw_only=True)
class Resource:
    """One registered resource, as the engine would have seen it."""

    type: str
    name: str
    inputs: dict[str, Any]
    parent: str
    protect: bool
    ignore_changes: list[str]
    aliases: list[Any]

    @property
    def parent_type(self) -> str:
        return self.parent.split("::")[2].split("$")[-1]

    def policy(self, key: str = "policy") -> Any:
        return json.loads(self.inputs[key])


@dataclass(frozen=True, kw_only=True)
class Run:
    """What a program registered, exported and said."""

    resources: list[Resource]
    exports: dict[str, Any]
    calls: list[tuple[str, dict[str, Any]]]
    messages: list[str]

    def of(self, type_: str) -> dict[str, Resource]:
        """The resources of a type, by name."""
        return {resource.name: resource for resource in self.resources if resource.type == type_}

    def one(self, type_: str) -> Resource:
        (resource,) = self.of(type_).values()
        return resource


class _Monitor(mocks.MockMonitor):
    def __init__(
        self,
        account: str,
        caller: str | None,
        versions: Mapping[str, str] | None,
        *,
        stack: str,
        project: str,
    ) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        deployer = f"arn:aws:sts::{account}:assumed-role/bbws-access-{stack}-github-actions-role/dan"
        super().__init__(_Cloud(account, caller or deployer, versions, self.calls))
        self.requests: list[Any] = []
        self.stack, self.project = stack, project

    def make_urn(self, parent: str, type_: str, name: str) -> str:
        # The original asks a context variable, which the monitor's worker threads do not have.
        types = f"{parent.split('::')[2]}${type_}" if parent else type_
        return f"urn:pulumi:{self.stack}::{self.project}::{types}::{name}"

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 - the monitor's word
        self.requests.append(request)
        return super().RegisterResource(request)


class _Cloud(pulumi.runtime.Mocks):
    """Functions have a version; everything else gets back what it was given, with an ARN."""

    def __init__(
        self, account: str, caller: str, versions: Mapping[str, str] | None, calls: list[Any]
    ) -> None:
        self.account, self.caller = account, caller
        self.versions = versions
        self.calls = calls

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        outputs = dict(args.inputs)
        if args.typ in _ARNS:
            outputs["arn"] = _ARNS[args.typ].format(
                account=self.account, name=args.inputs.get("name"), url=args.inputs.get("url")
            )
        return f"{args.name}-id", outputs

    def call(self, args: mocks.MockCallArgs) -> Any:
        if args.token == "aws:index/getCallerIdentity:getCallerIdentity":
            return {
                "arn": self.caller,
                "accountId": self.account,
                "userId": "AROA:somebody",
                "id": self.account,
            }
        self.calls.append((args.token, args.args))
        assert args.token == "aws:lambda/getFunction:getFunction", args.token
        name = args.args["functionName"]
        version = "7" if self.versions is None else self.versions.get(name)
        if version is None:
            return {}, [("", f"ResourceNotFoundException: Function not found: {name}")]
        return {"functionName": name, "version": version}


class _Messages:
    """Stands where the engine's logger is expected, and keeps what a person would be shown."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def debug(self, text: str) -> None:
        """Not shown."""

    def info(self, text: str) -> None:
        self.texts.append(f"info: {text}")

    def warning(self, text: str) -> None:
        self.texts.append(f"warning: {text}")

    def error(self, text: str) -> None:
        self.texts.append(f"error: {text}")


def run(
    program: Callable[[], object],
    *,
    stack: str = "dev",
    project: str = PROJECT,
    config: Mapping[str, str] | None = None,
    account: str = "536580886816",
    caller: str | None = None,
    versions: Mapping[str, str] | None = None,
    preview: bool = False,
    root: Path | None = None,
) -> Run:
    """Runs `program` of the project in `root` (this checkout) in `stack` and drains it, as `caller` (an ARN), by default the deployer of `stack`.

    `versions` maps functions to their newest version, and a function that is not in it does not exist;
    None gives every function version 7.
    """
    with _event_loop():
        monitor = _Monitor(account, caller, versions, stack=stack, project=project)
        messages: Any = _Messages()
        # The root stack is kept across set_mocks, and with it the URNs of the stack before.
        pulumi.runtime.settings.set_root_resource(None)
        pulumi.runtime.set_all_config(dict(config or {}))
        mocks.set_mocks(
            monitor.mocks, project=project, stack=stack, preview=preview, logger=messages, monitor=monitor
        )
        # The engine always says it; mocks leave a word there that is no path.
        pulumi.runtime.settings.SETTINGS.root_directory = str(root or Path.cwd())

        exports: dict[str, Any] = {}

        def drained() -> pulumi.Output[None]:
            program()
            root: Any = pulumi.runtime.get_root_resource()
            return pulumi.Output.from_input(root.outputs).apply(exports.update)

        pulumi.runtime.test(drained)()
        return Run(
            resources=[_resource(request) for request in monitor.requests],
            exports=exports,
            calls=monitor.calls,
            messages=messages.texts,
        )


def _resource(request: Any) -> Resource:
    return Resource(
        type=request.type,
        name=request.name,
        inputs=rpc.deserialize_properties(request.object),
        parent=request.parent,
        protect=request.protect,
        ignore_changes=list(request.ignoreChanges),
        aliases=list(request.aliases),
    )


@contextmanager
def _event_loop() -> Iterator[None]:
    """An event loop for one run, closed whatever happens, and with it those of its worker threads.

    The monitor makes a loop in each thread that it is called on and closes none of them, which a later
    collection of garbage would complain about.
    """
    loop, workers = asyncio.new_event_loop(), []

    def begin_worker() -> None:
        workers.append(asyncio.new_event_loop())
        asyncio.set_event_loop(workers[-1])

    executor = ThreadPoolExecutor(initializer=begin_worker)
    loop.set_default_executor(executor)
    asyncio.set_event_loop(loop)
    try:
        yield
    finally:
        # After a failure tasks are left over that nobody will ask for their error.
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        _silence(pulumi.runtime.settings.SETTINGS)
        executor.shutdown()
        asyncio.set_event_loop(None)
        for one in (loop, *workers):
            one.close()


def _silence(settings: Any) -> None:
    for task in list(settings.outputs):
        if task.done() and not task.cancelled():
            task.exception()
    settings.outputs.clear()


def walk(policy: Any) -> Iterator[dict[str, Any]]:
    """The statements of a policy document, lists made of single values."""
    for statement in policy["Statement"]:
        yield {
            **statement,
            "Action": [statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"],
            "Resource": [statement["Resource"]]
            if isinstance(statement.get("Resource"), str)
            else statement.get("Resource", []),
        }
