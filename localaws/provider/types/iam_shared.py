"""IAM: what roles share, managed policies and identity providers."""

# ruff: noqa: ARG002 (the arguments are those of the protocol)

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, ClassVar

from localaws.provider.cloud import Cloud, as_list, as_map, unless_missing
from localaws.provider.resource import ReadResult, Resource
from localaws.provider.schema import TAGS, CheckFailure, Field
from localaws.provider.types.iam import DOCUMENT, as_text, document_problems, tag_changes
from localaws.provider.values import Values

VERSIONS = 5  # a managed policy keeps no more (IAM quota)


class Policy(Resource):
    """`aws:iam/policy:Policy`, known by its ARN; a new document is a new default version."""

    pulumi_type: ClassVar = "aws:iam/policy:Policy"
    fields: ClassVar = {
        "name": Field(replaces=True, autoname=True),
        "path": Field(replaces=True, default="/"),
        "description": Field(replaces=True),
        "policy": DOCUMENT,
        "tags": TAGS,
    }
    outputs: ClassVar = ("arn", "policyId", "attachmentCount", "tagsAll")
    identity: ClassVar = ("name",)

    def problems(self, inputs: Values) -> Iterator[CheckFailure]:
        yield from document_problems("policy", inputs)

    def create(self, cloud: Cloud, inputs: Values) -> str:
        settings: dict[str, Any] = {
            "PolicyName": inputs["name"],
            "Path": inputs["path"],
            "PolicyDocument": inputs["policy"],
        }
        if inputs.get("description"):
            settings["Description"] = inputs["description"]
        if tags := cloud.tag_list(inputs):
            settings["Tags"] = tags
        return cloud.iam().create_policy(**settings)["Policy"]["Arn"]

    def existing_id(self, cloud: Cloud, inputs: Values) -> str:
        return f"arn:{cloud.partition}:iam::{cloud.account}:policy{inputs['path']}{inputs['name']}"

    def read(self, cloud: Cloud, id_: str, known: Values) -> ReadResult | None:
        iam = cloud.iam()
        answer = unless_missing(lambda: iam.get_policy(PolicyArn=id_))
        if answer is None:
            return None
        policy = answer["Policy"]
        version = iam.get_policy_version(PolicyArn=id_, VersionId=policy["DefaultVersionId"])
        return ReadResult(
            id=policy["Arn"],
            state={
                "name": policy["PolicyName"],
                "path": policy["Path"],
                "description": policy.get("Description", ""),
                "policy": as_text(version["PolicyVersion"]["Document"]),
                "arn": policy["Arn"],
                "policyId": policy["PolicyId"],
                "attachmentCount": policy.get("AttachmentCount", 0),
                "tagsAll": as_map(policy.get("Tags", [])),
            },
        )

    def update(self, cloud: Cloud, id_: str, old: Values, new: Values, changed: Collection[str]) -> None:
        iam = cloud.iam()
        if "policy" in changed:
            versions = iam.list_policy_versions(PolicyArn=id_)["Versions"]
            if len(versions) >= VERSIONS:
                spare = [version for version in versions if not version["IsDefaultVersion"]]
                oldest = min(spare, key=lambda version: int(version["VersionId"].removeprefix("v")))
                iam.delete_policy_version(PolicyArn=id_, VersionId=oldest["VersionId"])
            iam.create_policy_version(PolicyArn=id_, PolicyDocument=new["policy"], SetAsDefault=True)
        gone, added = tag_changes(cloud, old, new)
        if gone:
            iam.untag_policy(PolicyArn=id_, TagKeys=gone)
        if added:
            iam.tag_policy(PolicyArn=id_, Tags=as_list(added))

    def delete(self, cloud: Cloud, id_: str, state: Values) -> None:
        iam = cloud.iam()
        for version in iam.list_policy_versions(PolicyArn=id_)["Versions"]:
            if not version["IsDefaultVersion"]:
                iam.delete_policy_version(PolicyArn=id_, VersionId=version["VersionId"])
        iam.delete_policy(PolicyArn=id_)


def _host(url: Any) -> Any:
    return url.removeprefix("https://").rstrip("/") if isinstance(url, str) else url


class OpenIdConnectProvider(Resource):
    """`aws:iam/openIdConnectProvider:OpenIdConnectProvider`, known by its ARN."""

    pulumi_type: ClassVar = "aws:iam/openIdConnectProvider:OpenIdConnectProvider"
    fields: ClassVar = {
        "url": Field(required=True, replaces=True, canon=_host),
        "clientIdLists": Field(kind="set", required=True),
        "thumbprintLists": Field(kind="list", computed=True),
        "tags": TAGS,
    }
    outputs: ClassVar = ("arn", "tagsAll")
    identity: ClassVar = ("url",)

    def create(self, cloud: Cloud, inputs: Values) -> str:
        url = inputs["url"] if "://" in inputs["url"] else f"https://{inputs['url']}"
        settings: dict[str, Any] = {"Url": url, "ClientIDList": inputs["clientIdLists"]}
        if inputs.get("thumbprintLists"):
            settings["ThumbprintList"] = inputs["thumbprintLists"]
        if tags := cloud.tag_list(inputs):
            settings["Tags"] = tags
        return cloud.iam().create_open_id_connect_provider(**settings)["OpenIDConnectProviderArn"]

    def existing_id(self, cloud: Cloud, inputs: Values) -> str:
        return f"arn:{cloud.partition}:iam::{cloud.account}:oidc-provider/{_host(inputs['url'])}"

    def read(self, cloud: Cloud, id_: str, known: Values) -> ReadResult | None:
        answer = unless_missing(
            lambda: cloud.iam().get_open_id_connect_provider(OpenIDConnectProviderArn=id_)
        )
        if answer is None:
            return None
        return ReadResult(
            id=id_,
            state={
                "url": answer["Url"],
                "clientIdLists": answer.get("ClientIDList", []),
                "thumbprintLists": answer.get("ThumbprintList", []),
                "arn": id_,
                "tagsAll": as_map(answer.get("Tags", [])),
            },
        )

    def update(self, cloud: Cloud, id_: str, old: Values, new: Values, changed: Collection[str]) -> None:
        iam = cloud.iam()
        if "clientIdLists" in changed:
            was, wanted = set(old.get("clientIdLists", [])), set(new["clientIdLists"])
            for client in sorted(wanted - was):
                iam.add_client_id_to_open_id_connect_provider(OpenIDConnectProviderArn=id_, ClientID=client)
            for client in sorted(was - wanted):
                iam.remove_client_id_from_open_id_connect_provider(
                    OpenIDConnectProviderArn=id_, ClientID=client
                )
        if "thumbprintLists" in changed:
            iam.update_open_id_connect_provider_thumbprint(
                OpenIDConnectProviderArn=id_, ThumbprintList=new["thumbprintLists"]
            )
        gone, added = tag_changes(cloud, old, new)
        if gone:
            iam.untag_open_id_connect_provider(OpenIDConnectProviderArn=id_, TagKeys=gone)
        if added:
            iam.tag_open_id_connect_provider(OpenIDConnectProviderArn=id_, Tags=as_list(added))

    def delete(self, cloud: Cloud, id_: str, state: Values) -> None:
        cloud.iam().delete_open_id_connect_provider(OpenIDConnectProviderArn=id_)
