"""Systems Manager: parameters."""

# ruff: noqa: ARG002 (the arguments are those of the protocol)

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, ClassVar

from localaws.provider.cloud import Cloud, as_list, as_map, unless_missing
from localaws.provider.resource import ReadResult, Resource
from localaws.provider.schema import REGION, TAGS, CheckFailure, Field
from localaws.provider.values import Values


class Parameter(Resource):
    """`aws:ssm/parameter:Parameter`, known by its name."""

    pulumi_type: ClassVar = "aws:ssm/parameter:Parameter"
    fields: ClassVar = {
        "name": Field(replaces=True, autoname=True),
        "type": Field(required=True, choices=("String", "StringList", "SecureString")),
        "value": Field(secret=True, computed=True),
        "insecureValue": Field(computed=True),
        "description": Field(),
        "tier": Field(computed=True, choices=("Standard", "Advanced", "Intelligent-Tiering")),
        "dataType": Field(computed=True),
        "keyId": Field(computed=True),
        "allowedPattern": Field(),
        "overwrite": Field(kind="bool", unread=True),
        "tags": TAGS,
        "region": REGION,
    }
    outputs: ClassVar = ("arn", "version", "hasValueWo", "tagsAll")
    moving: ClassVar = frozenset({"version"})
    identity: ClassVar = ("name", "region")

    def problems(self, inputs: Values) -> Iterator[CheckFailure]:
        if ("value" in inputs) == ("insecureValue" in inputs):
            yield CheckFailure(key="value", reason="exactly one of 'value' and 'insecureValue' must be given")
        if "insecureValue" in inputs and inputs["type"] == "SecureString":
            yield CheckFailure(key="insecureValue", reason="a SecureString is given by 'value'")

    def create(self, cloud: Cloud, inputs: Values) -> str:
        tags = cloud.tag_list(inputs)
        overwrite = bool(inputs.get("overwrite"))
        settings = _settings(inputs) | {"Overwrite": overwrite}
        if tags and not overwrite:  # AWS takes no tags with an overwrite
            settings["Tags"] = tags
        cloud.ssm(inputs).put_parameter(**settings)
        return str(inputs["name"])

    def finish(self, cloud: Cloud, id_: str, inputs: Values) -> None:
        tags = cloud.tag_list(inputs)
        if tags and inputs.get("overwrite"):
            cloud.ssm(inputs).add_tags_to_resource(ResourceType="Parameter", ResourceId=id_, Tags=tags)

    def existing_id(self, cloud: Cloud, inputs: Values) -> str:
        return str(inputs["name"])

    def read(self, cloud: Cloud, id_: str, known: Values) -> ReadResult | None:
        client = cloud.ssm(known)
        answer = unless_missing(lambda: client.get_parameter(Name=id_, WithDecryption=True))
        if answer is None:
            return None
        parameter = answer["Parameter"]
        described = client.describe_parameters(
            ParameterFilters=[{"Key": "Name", "Option": "Equals", "Values": [id_]}]
        )["Parameters"]
        about: Any = described[0] if described else {}
        tags = client.list_tags_for_resource(ResourceType="Parameter", ResourceId=id_)["TagList"]
        patterns = about.get("AllowedPattern")
        state: Values = {
            "name": parameter["Name"],
            "type": parameter["Type"],
            "value": parameter["Value"],
            "description": about.get("Description", ""),
            "tier": about.get("Tier", "Standard"),
            "dataType": parameter.get("DataType", "text"),
            "allowedPattern": patterns or "",
            "arn": parameter["ARN"],
            "version": parameter["Version"],
            "hasValueWo": False,
            "tagsAll": as_map(tags),
            "region": cloud.region_of(known),
        }
        if parameter["Type"] == "SecureString":
            state["keyId"] = about.get("KeyId", "alias/aws/ssm")
        if "insecureValue" in known:
            state["insecureValue"] = parameter["Value"]
        return ReadResult(id=parameter["Name"], state=state)

    def update(self, cloud: Cloud, id_: str, old: Values, new: Values, changed: Collection[str]) -> None:
        client = cloud.ssm(old)
        if set(changed) - {"tags", "tagsAll", "overwrite"}:
            # What is not given stays as it was, so that a description goes only by an empty one.
            client.put_parameter(**{"Description": "", **_settings(new)}, Overwrite=True)
        was, wanted = old.get("tagsAll", {}), cloud.all_tags(new)
        if gone := sorted(was.keys() - wanted.keys()):
            client.remove_tags_from_resource(ResourceType="Parameter", ResourceId=id_, TagKeys=gone)
        if added := {key: value for key, value in wanted.items() if was.get(key) != value}:
            client.add_tags_to_resource(ResourceType="Parameter", ResourceId=id_, Tags=as_list(added))

    def delete(self, cloud: Cloud, id_: str, state: Values) -> None:
        cloud.ssm(state).delete_parameter(Name=id_)


def _settings(inputs: Values) -> dict[str, Any]:
    names = {
        "Name": "name",
        "Type": "type",
        "Description": "description",
        "Tier": "tier",
        "DataType": "dataType",
        "KeyId": "keyId",
        "AllowedPattern": "allowedPattern",
    }
    settings = {aws: inputs[key] for aws, key in names.items() if inputs.get(key)}
    return settings | {"Value": inputs.get("value", inputs.get("insecureValue"))}
