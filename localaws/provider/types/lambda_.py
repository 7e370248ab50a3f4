"""Lambda: aliases."""

# ruff: noqa: ARG002 (the arguments are those of the protocol)

from __future__ import annotations

from collections.abc import Collection
from typing import Any, ClassVar

from localaws.provider.cloud import Cloud, unless_missing
from localaws.provider.resource import ReadResult, Resource
from localaws.provider.schema import REGION, Field
from localaws.provider.values import Values


def function_name(text: Any) -> Any:
    """A function's name, be it given so or as an ARN."""
    return text.split(":")[6] if isinstance(text, str) and text.startswith("arn:") else text


def invoke_arn(arn: str) -> str:
    """The ARN by which API Gateway invokes a function or an alias."""
    _, partition, _, region, *_ = arn.split(":")
    return f"arn:{partition}:apigateway:{region}:lambda:path/2015-03-31/functions/{arn}/invocations"


class Alias(Resource):
    """`aws:lambda/alias:Alias`, known by its ARN; imported as FUNCTION/ALIAS or by ARN."""

    pulumi_type: ClassVar = "aws:lambda/alias:Alias"
    fields: ClassVar = {
        "name": Field(replaces=True, autoname=True),
        "functionName": Field(required=True, replaces=True, canon=function_name),
        "functionVersion": Field(required=True),
        "description": Field(),
        "routingConfig": Field(kind="object", fields={"additionalVersionWeights": Field(kind="numbers")}),
        "region": REGION,
    }
    outputs: ClassVar = ("arn", "invokeArn")
    identity: ClassVar = ("name", "functionName", "region")

    def create(self, cloud: Cloud, inputs: Values) -> str:
        answer = cloud.functions(inputs).create_alias(
            FunctionName=inputs["functionName"], Name=inputs["name"], **_settings(inputs)
        )
        return answer["AliasArn"]

    def existing_id(self, cloud: Cloud, inputs: Values) -> str:
        return f"{function_name(inputs['functionName'])}/{inputs['name']}"

    def read(self, cloud: Cloud, id_: str, known: Values) -> ReadResult | None:
        function, name = _parts(id_)
        answer = unless_missing(lambda: cloud.functions(known).get_alias(FunctionName=function, Name=name))
        if answer is None:
            return None
        weights = answer.get("RoutingConfig", {}).get("AdditionalVersionWeights", {})
        state: Values = {
            "name": answer["Name"],
            "functionName": function,
            "functionVersion": answer["FunctionVersion"],
            "description": answer.get("Description", ""),
            "arn": answer["AliasArn"],
            "invokeArn": invoke_arn(answer["AliasArn"]),
            "region": cloud.region_of(known),
        }
        if weights:
            state["routingConfig"] = {"additionalVersionWeights": dict(weights)}
        return ReadResult(id=answer["AliasArn"], state=state)

    def update(self, cloud: Cloud, id_: str, old: Values, new: Values, changed: Collection[str]) -> None:
        # All three go along even where only one changed, as the official provider does it: an update
        # without a refresh before it must be as dangerous here as there.
        function, name = _parts(id_)
        cloud.functions(old).update_alias(FunctionName=function, Name=name, **_settings(new))

    def delete(self, cloud: Cloud, id_: str, state: Values) -> None:
        function, name = _parts(id_)
        cloud.functions(state).delete_alias(FunctionName=function, Name=name)


def _settings(inputs: Values) -> dict[str, Any]:
    weights = inputs.get("routingConfig", {}).get("additionalVersionWeights", {})
    return {
        "FunctionVersion": inputs["functionVersion"],
        "Description": inputs.get("description", ""),
        "RoutingConfig": {"AdditionalVersionWeights": {key: float(value) for key, value in weights.items()}},
    }


def _parts(id_: str) -> tuple[str, str]:
    if id_.startswith("arn:"):
        *_, function, name = id_.split(":")
        return function, name
    function, slash, name = id_.partition("/")
    if not slash:
        raise ValueError(f"{id_!r} is no alias: an alias is imported as FUNCTION/ALIAS")
    return function, name
