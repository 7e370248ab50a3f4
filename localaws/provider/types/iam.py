"""IAM: roles and their policies, inline and attached."""

# ruff: noqa: ARG002 (the arguments are those of the protocol)

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any, ClassVar, Final

from localaws.provider.cloud import Cloud, as_list, as_map, unless_missing
from localaws.provider.policies import canonical, problem
from localaws.provider.resource import ReadResult, Resource
from localaws.provider.schema import TAGS, CheckFailure, Field
from localaws.provider.values import Values

DOCUMENT: Final = Field(required=True, canon=canonical)
LONGEST_SESSION = 3600  # AWS's default, in seconds


def document_problems(key: str, inputs: Values) -> Iterator[CheckFailure]:
    """Whether the input holds a JSON object."""
    if reason := problem(inputs[key]):
        yield CheckFailure(key=key, reason=f"{key!r} {reason}")


def as_text(document: Any) -> str:
    """A policy document as AWS's SDK gives it: decoded by boto3, or text where the server was lax."""
    return document if isinstance(document, str) else json.dumps(document, separators=(",", ":"))


def tag_changes(cloud: Cloud, old: Values, new: Values) -> tuple[list[str], Mapping[str, str]]:
    """The tag keys to remove, and the tags to set."""
    was, wanted = old.get("tagsAll", {}), cloud.all_tags(new)
    return sorted(was.keys() - wanted.keys()), {k: v for k, v in wanted.items() if was.get(k) != v}


class Role(Resource):
    """`aws:iam/role:Role`, known by its name."""

    pulumi_type: ClassVar = "aws:iam/role:Role"
    fields: ClassVar = {
        "name": Field(replaces=True, autoname=True),
        "path": Field(replaces=True, default="/"),
        "assumeRolePolicy": DOCUMENT,
        "permissionsBoundary": Field(),
        "maxSessionDuration": Field(kind="number", default=LONGEST_SESSION),
        "description": Field(),
        "forceDetachPolicies": Field(kind="bool", default=False, unread=True),
        "tags": TAGS,
    }
    outputs: ClassVar = ("arn", "createDate", "uniqueId", "tagsAll")
    identity: ClassVar = ("name",)

    def problems(self, inputs: Values) -> Iterator[CheckFailure]:
        yield from document_problems("assumeRolePolicy", inputs)

    def create(self, cloud: Cloud, inputs: Values) -> str:
        settings: dict[str, Any] = {
            "RoleName": inputs["name"],
            "Path": inputs["path"],
            "AssumeRolePolicyDocument": inputs["assumeRolePolicy"],
            "MaxSessionDuration": inputs["maxSessionDuration"],
        }
        if inputs.get("description"):
            settings["Description"] = inputs["description"]
        if inputs.get("permissionsBoundary"):
            settings["PermissionsBoundary"] = inputs["permissionsBoundary"]
        if tags := cloud.tag_list(inputs):
            settings["Tags"] = tags
        return cloud.iam().create_role(**settings)["Role"]["RoleName"]

    def existing_id(self, cloud: Cloud, inputs: Values) -> str:
        return str(inputs["name"])

    def read(self, cloud: Cloud, id_: str, known: Values) -> ReadResult | None:
        answer = unless_missing(lambda: cloud.iam().get_role(RoleName=id_))
        if answer is None:
            return None
        role = answer["Role"]
        state: Values = {
            "name": role["RoleName"],
            "path": role["Path"],
            "assumeRolePolicy": as_text(role["AssumeRolePolicyDocument"]),
            "maxSessionDuration": role.get("MaxSessionDuration", LONGEST_SESSION),
            "description": role.get("Description", ""),
            "arn": role["Arn"],
            "createDate": role["CreateDate"].strftime("%Y-%m-%dT%H:%M:%SZ"),
            "uniqueId": role["RoleId"],
            "tagsAll": as_map(role.get("Tags", [])),
        }
        if boundary := role.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn"):
            state["permissionsBoundary"] = boundary
        return ReadResult(id=role["RoleName"], state=state)

    def update(self, cloud: Cloud, id_: str, old: Values, new: Values, changed: Collection[str]) -> None:
        iam = cloud.iam()
        if "assumeRolePolicy" in changed:
            iam.update_assume_role_policy(RoleName=id_, PolicyDocument=new["assumeRolePolicy"])
        if {"description", "maxSessionDuration"} & set(changed):
            iam.update_role(
                RoleName=id_,
                Description=new.get("description", ""),
                MaxSessionDuration=new["maxSessionDuration"],
            )
        if "permissionsBoundary" in changed:
            if boundary := new.get("permissionsBoundary"):
                iam.put_role_permissions_boundary(RoleName=id_, PermissionsBoundary=boundary)
            else:
                iam.delete_role_permissions_boundary(RoleName=id_)
        gone, added = tag_changes(cloud, old, new)
        if gone:
            iam.untag_role(RoleName=id_, TagKeys=gone)
        if added:
            iam.tag_role(RoleName=id_, Tags=as_list(added))

    def delete(self, cloud: Cloud, id_: str, state: Values) -> None:
        iam = cloud.iam()
        if state.get("forceDetachPolicies"):
            for page in iam.get_paginator("list_attached_role_policies").paginate(RoleName=id_):
                for attached in page["AttachedPolicies"]:
                    iam.detach_role_policy(RoleName=id_, PolicyArn=attached["PolicyArn"])
            for inline in iam.get_paginator("list_role_policies").paginate(RoleName=id_):
                for name in inline["PolicyNames"]:
                    iam.delete_role_policy(RoleName=id_, PolicyName=name)
        iam.delete_role(RoleName=id_)


class RolePolicy(Resource):
    """`aws:iam/rolePolicy:RolePolicy`, known as ROLE:NAME."""

    pulumi_type: ClassVar = "aws:iam/rolePolicy:RolePolicy"
    fields: ClassVar = {
        "name": Field(replaces=True, autoname=True),
        "role": Field(required=True, replaces=True),
        "policy": DOCUMENT,
    }
    outputs: ClassVar = ()
    identity: ClassVar = ("name", "role")

    def problems(self, inputs: Values) -> Iterator[CheckFailure]:
        yield from document_problems("policy", inputs)

    def create(self, cloud: Cloud, inputs: Values) -> str:
        cloud.iam().put_role_policy(
            RoleName=inputs["role"], PolicyName=inputs["name"], PolicyDocument=inputs["policy"]
        )
        return self.existing_id(cloud, inputs)

    def existing_id(self, cloud: Cloud, inputs: Values) -> str:
        return f"{inputs['role']}:{inputs['name']}"

    def read(self, cloud: Cloud, id_: str, known: Values) -> ReadResult | None:
        role, name = _split(id_, ":", "ROLE:POLICY")
        answer = unless_missing(lambda: cloud.iam().get_role_policy(RoleName=role, PolicyName=name))
        if answer is None:
            return None
        return ReadResult(
            id=id_, state={"role": role, "name": name, "policy": as_text(answer["PolicyDocument"])}
        )

    def update(self, cloud: Cloud, id_: str, old: Values, new: Values, changed: Collection[str]) -> None:
        role, name = _split(id_, ":", "ROLE:POLICY")
        cloud.iam().put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=new["policy"])

    def delete(self, cloud: Cloud, id_: str, state: Values) -> None:
        role, name = _split(id_, ":", "ROLE:POLICY")
        cloud.iam().delete_role_policy(RoleName=role, PolicyName=name)


class RolePolicyAttachment(Resource):
    """`aws:iam/rolePolicyAttachment:RolePolicyAttachment`, known as ROLE/POLICY-ARN."""

    pulumi_type: ClassVar = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"
    fields: ClassVar = {
        "role": Field(required=True, replaces=True),
        "policyArn": Field(required=True, replaces=True),
    }
    outputs: ClassVar = ()
    identity: ClassVar = ("role", "policyArn")

    def create(self, cloud: Cloud, inputs: Values) -> str:
        cloud.iam().attach_role_policy(RoleName=inputs["role"], PolicyArn=inputs["policyArn"])
        return self.existing_id(cloud, inputs)

    def existing_id(self, cloud: Cloud, inputs: Values) -> str:
        return f"{inputs['role']}/{inputs['policyArn']}"

    def read(self, cloud: Cloud, id_: str, known: Values) -> ReadResult | None:
        role, arn = _split(id_, "/", "ROLE/POLICY-ARN")
        pages = cloud.iam().get_paginator("list_attached_role_policies").paginate(RoleName=role)
        attached = unless_missing(
            lambda: [p["PolicyArn"] for page in pages for p in page["AttachedPolicies"]]
        )
        return ReadResult(id=id_, state={"role": role, "policyArn": arn}) if arn in (attached or ()) else None

    def update(self, cloud: Cloud, id_: str, old: Values, new: Values, changed: Collection[str]) -> None:
        """Nothing of an attachment changes in place."""

    def delete(self, cloud: Cloud, id_: str, state: Values) -> None:
        role, arn = _split(id_, "/", "ROLE/POLICY-ARN")
        cloud.iam().detach_role_policy(RoleName=role, PolicyArn=arn)


def _split(id_: str, separator: str, form: str) -> tuple[str, str]:
    before, found, after = id_.partition(separator)
    if not found:
        raise ValueError(f"{id_!r} has not the form {form}")
    return before, after
