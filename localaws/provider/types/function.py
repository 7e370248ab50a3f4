"""Lambda: functions, who may invoke them, and how they are invoked asynchronously."""

# ruff: noqa: ARG002 (the arguments are those of the protocol)

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, ClassVar, Final

from localaws.provider.cloud import Cloud, unless_missing
from localaws.provider.resource import ReadResult, Resource
from localaws.provider.schema import REGION, TAGS, CheckFailure, Field
from localaws.provider.types.iam import tag_changes
from localaws.provider.types.lambda_ import function_name, invoke_arn
from localaws.provider.values import Values

# How the engine marks an archive (pulumi/pulumi, sdk/go/common/resource/sig/sig.go). Where the file is says nothing of
# what is in it: `sourceCodeHash` does.
_SIGNATURE: Final = "4dabf18193072939515e22adb298388d"
_ARCHIVE: Final = Field(
    kind="object",
    unread=True,
    fields={name: Field(canon=lambda _: None) for name in (_SIGNATURE, "path", "hash", "uri", "assets")},
)
_SETTINGS: Final = {
    "description": "Description",
    "handler": "Handler",
    "memorySize": "MemorySize",
    "role": "Role",
    "runtime": "Runtime",
    "timeout": "Timeout",
}


class Function(Resource):
    """`aws:lambda/function:Function` of a zip on this machine, known by its name."""

    pulumi_type: ClassVar = "aws:lambda/function:Function"
    fields: ClassVar = {
        "name": Field(replaces=True, autoname=True),
        "code": _ARCHIVE,
        "sourceCodeHash": Field(computed=True),
        "role": Field(required=True),
        "handler": Field(required=True),
        "runtime": Field(required=True),
        "architectures": Field(kind="list", computed=True),
        "memorySize": Field(kind="number", default=128),
        "timeout": Field(kind="number", default=3),
        "description": Field(),
        "environment": Field(kind="object", fields={"variables": Field(kind="map")}),
        "deadLetterConfig": Field(kind="object", fields={"targetArn": Field(required=True)}),
        "reservedConcurrentExecutions": Field(kind="number", default=-1),
        "tags": TAGS,
        "region": REGION,
    }
    outputs: ClassVar = ("arn", "invokeArn", "version", "lastModified", "tagsAll")
    moving: ClassVar = frozenset({"version", "lastModified"})
    identity: ClassVar = ("name", "region")

    def problems(self, inputs: Values) -> Iterator[CheckFailure]:
        path = inputs.get("code", {}).get("path")
        if not path or not Path(path).is_file():
            yield CheckFailure(key="code", reason=f"there is no file {path}")

    def create(self, cloud: Cloud, inputs: Values) -> str:
        client = cloud.functions(inputs)
        client.create_function(
            FunctionName=inputs["name"],
            **_settings(inputs),
            Code={"ZipFile": _code(inputs)},
            Tags=cloud.all_tags(inputs),
        )
        client.get_waiter("function_active_v2").wait(FunctionName=inputs["name"])
        return str(inputs["name"])

    def finish(self, cloud: Cloud, id_: str, inputs: Values) -> None:
        _reserve(cloud.functions(inputs), id_, inputs)

    def existing_id(self, cloud: Cloud, inputs: Values) -> str:
        return str(inputs["name"])

    def read(self, cloud: Cloud, id_: str, known: Values) -> ReadResult | None:
        client = cloud.functions(known)
        answer: Any = unless_missing(lambda: client.get_function(FunctionName=id_))
        if answer is None:
            return None
        found = answer["Configuration"]
        reserved = client.get_function_concurrency(FunctionName=id_).get("ReservedConcurrentExecutions", -1)
        state: Values = {key: found.get(aws, "") for key, aws in _SETTINGS.items()}
        state |= {
            "name": found["FunctionName"],
            "sourceCodeHash": found["CodeSha256"],
            "architectures": found.get("Architectures", ["x86_64"]),
            "environment": {"variables": found.get("Environment", {}).get("Variables", {})},
            "reservedConcurrentExecutions": reserved,
            "arn": found["FunctionArn"],
            "invokeArn": invoke_arn(found["FunctionArn"]),
            "version": found["Version"],
            "lastModified": found["LastModified"],
            "tagsAll": answer.get("Tags", {}),
            "region": cloud.region_of(known),
        }
        if target := found.get("DeadLetterConfig", {}).get("TargetArn"):
            state["deadLetterConfig"] = {"targetArn": target}
        return ReadResult(id=id_, state=state)

    def update(self, cloud: Cloud, id_: str, old: Values, new: Values, changed: Collection[str]) -> None:
        client = cloud.functions(old)
        if {"code", "sourceCodeHash"} & set(changed):
            client.update_function_code(FunctionName=id_, ZipFile=_code(new))
            client.get_waiter("function_updated_v2").wait(FunctionName=id_)
        if {*_SETTINGS, "environment", "deadLetterConfig"} & set(changed):
            client.update_function_configuration(FunctionName=id_, **_settings(new))
            client.get_waiter("function_updated_v2").wait(FunctionName=id_)
        if "reservedConcurrentExecutions" in changed:
            _reserve(client, id_, new)
        gone, added = tag_changes(cloud, old, new)
        if gone:
            client.untag_resource(Resource=old["arn"], TagKeys=gone)
        if added:
            client.tag_resource(Resource=old["arn"], Tags=dict(added))

    def delete(self, cloud: Cloud, id_: str, state: Values) -> None:
        cloud.functions(state).delete_function(FunctionName=id_)


def _code(inputs: Values) -> bytes:
    return Path(inputs["code"]["path"]).read_bytes()


def _settings(inputs: Values) -> dict[str, Any]:
    made = {aws: inputs[key] for key, aws in _SETTINGS.items() if inputs.get(key) is not None}
    made["Environment"] = {"Variables": inputs.get("environment", {}).get("variables", {})}
    made["DeadLetterConfig"] = {"TargetArn": inputs.get("deadLetterConfig", {}).get("targetArn", "")}
    return made


def _reserve(client: Any, name: str, inputs: Values) -> None:
    reserved = inputs["reservedConcurrentExecutions"]
    if reserved >= 0:
        client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=reserved)
    else:
        client.delete_function_concurrency(FunctionName=name)


class Permission(Resource):
    """`aws:lambda/permission:Permission`: one statement of a function's policy, known by its Sid."""

    pulumi_type: ClassVar = "aws:lambda/permission:Permission"
    fields: ClassVar = {
        "function": Field(required=True, replaces=True, canon=function_name),
        "statementId": Field(required=True, replaces=True),
        "action": Field(required=True, replaces=True),
        "principal": Field(required=True, replaces=True),
        "sourceArn": Field(replaces=True),
        "sourceAccount": Field(replaces=True),
        "region": REGION,
    }
    outputs: ClassVar = ()
    identity: ClassVar = ("function", "statementId")

    def create(self, cloud: Cloud, inputs: Values) -> str:
        names = {"sourceArn": "SourceArn", "sourceAccount": "SourceAccount"}
        cloud.functions(inputs).add_permission(
            FunctionName=function_name(inputs["function"]),
            StatementId=inputs["statementId"],
            Action=inputs["action"],
            Principal=inputs["principal"],
            **{aws: inputs[key] for key, aws in names.items() if inputs.get(key)},
        )
        return str(inputs["statementId"])

    def existing_id(self, cloud: Cloud, inputs: Values) -> str:
        return str(inputs["statementId"])

    def read(self, cloud: Cloud, id_: str, known: Values) -> ReadResult | None:
        function = function_name(known["function"])
        answer = unless_missing(lambda: cloud.functions(known).get_policy(FunctionName=function))
        statements = json.loads(answer["Policy"])["Statement"] if answer else []
        found = next((one for one in statements if one["Sid"] == id_), None)
        if found is None:
            return None
        condition = found.get("Condition", {})
        state: Values = {
            "function": function,
            "statementId": id_,
            "action": found["Action"],
            "principal": found["Principal"]["Service"],
            "sourceArn": condition.get("ArnLike", {}).get("AWS:SourceArn", ""),
            "sourceAccount": condition.get("StringEquals", {}).get("AWS:SourceAccount", ""),
            "region": cloud.region_of(known),
        }
        return ReadResult(id=id_, state=state)

    def update(self, cloud: Cloud, id_: str, old: Values, new: Values, changed: Collection[str]) -> None:
        """Nothing of it changes in place."""

    def delete(self, cloud: Cloud, id_: str, state: Values) -> None:
        cloud.functions(state).remove_permission(
            FunctionName=function_name(state["function"]), StatementId=id_
        )


class FunctionEventInvokeConfig(Resource):
    """`aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig`, known by the function's name."""

    pulumi_type: ClassVar = "aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig"
    fields: ClassVar = {
        "functionName": Field(required=True, replaces=True, canon=function_name),
        "maximumRetryAttempts": Field(kind="number", default=2),
        "maximumEventAgeInSeconds": Field(kind="number", default=21_600),
        "region": REGION,
    }
    outputs: ClassVar = ()
    identity: ClassVar = ("functionName",)

    def create(self, cloud: Cloud, inputs: Values) -> str:
        name = str(function_name(inputs["functionName"]))
        cloud.functions(inputs).put_function_event_invoke_config(
            FunctionName=name,
            MaximumRetryAttempts=inputs["maximumRetryAttempts"],
            MaximumEventAgeInSeconds=inputs["maximumEventAgeInSeconds"],
        )
        return name

    def existing_id(self, cloud: Cloud, inputs: Values) -> str:
        return str(function_name(inputs["functionName"]))

    def read(self, cloud: Cloud, id_: str, known: Values) -> ReadResult | None:
        found = unless_missing(
            lambda: cloud.functions(known).get_function_event_invoke_config(FunctionName=id_)
        )
        if found is None:
            return None
        state: Values = {
            "functionName": id_,
            "maximumRetryAttempts": found.get("MaximumRetryAttempts", 2),
            "maximumEventAgeInSeconds": found.get("MaximumEventAgeInSeconds", 21_600),
            "region": cloud.region_of(known),
        }
        return ReadResult(id=id_, state=state)

    def update(self, cloud: Cloud, id_: str, old: Values, new: Values, changed: Collection[str]) -> None:
        self.create(cloud, new)

    def delete(self, cloud: Cloud, id_: str, state: Values) -> None:
        cloud.functions(state).delete_function_event_invoke_config(FunctionName=id_)
