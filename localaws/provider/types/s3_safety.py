"""S3: a bucket's encryption, and that it is not public."""

# ruff: noqa: ARG002 (the arguments are those of the protocol)

from __future__ import annotations

from collections.abc import Collection
from typing import Any, ClassVar

from localaws.provider.cloud import Cloud, unless_missing
from localaws.provider.resource import ReadResult
from localaws.provider.schema import REGION, Field
from localaws.provider.types.s3 import BUCKET, BucketSetting
from localaws.provider.values import Values


class BucketServerSideEncryptionConfiguration(BucketSetting):
    """`aws:s3/bucketServerSideEncryptionConfiguration:…`, known by the bucket's name.

    A bucket is always encrypted; without this, with S3's own key.
    """

    pulumi_type: ClassVar = (
        "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
    )
    fields: ClassVar = {
        "bucket": BUCKET,
        "rules": Field(
            kind="set",
            required=True,
            fields={
                "applyServerSideEncryptionByDefault": Field(
                    kind="object",
                    fields={
                        "sseAlgorithm": Field(required=True, choices=("AES256", "aws:kms")),
                        "kmsMasterKeyId": Field(),
                    },
                ),
                "bucketKeyEnabled": Field(kind="bool"),
            },
        ),
        "region": REGION,
    }

    def read(self, cloud: Cloud, id_: str, known: Values) -> ReadResult | None:
        answer: Any = unless_missing(lambda: cloud.s3(known).get_bucket_encryption(Bucket=id_))
        if answer is None:
            return None
        rules = [_rule(rule) for rule in answer["ServerSideEncryptionConfiguration"]["Rules"]]
        return ReadResult(id=id_, state={"bucket": id_, "rules": rules, "region": cloud.region_of(known)})

    def update(self, cloud: Cloud, id_: str, old: Values, new: Values, changed: Collection[str]) -> None:
        rules: list[Any] = []
        for rule in new["rules"]:
            made: dict[str, Any] = {"BucketKeyEnabled": rule.get("bucketKeyEnabled", False)}
            if by_default := rule.get("applyServerSideEncryptionByDefault"):
                made["ApplyServerSideEncryptionByDefault"] = {"SSEAlgorithm": by_default["sseAlgorithm"]}
                if key := by_default.get("kmsMasterKeyId"):
                    made["ApplyServerSideEncryptionByDefault"]["KMSMasterKeyID"] = key
            rules.append(made)
        cloud.s3(old).put_bucket_encryption(Bucket=id_, ServerSideEncryptionConfiguration={"Rules": rules})

    def delete(self, cloud: Cloud, id_: str, state: Values) -> None:
        cloud.s3(state).delete_bucket_encryption(Bucket=id_)


class BucketPublicAccessBlock(BucketSetting):
    """`aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock`, known by the bucket's name."""

    pulumi_type: ClassVar = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"
    _names: ClassVar = {
        "blockPublicAcls": "BlockPublicAcls",
        "blockPublicPolicy": "BlockPublicPolicy",
        "ignorePublicAcls": "IgnorePublicAcls",
        "restrictPublicBuckets": "RestrictPublicBuckets",
    }
    fields: ClassVar = {
        "bucket": BUCKET,
        **{name: Field(kind="bool", default=False) for name in _names},
        "skipDestroy": Field(kind="bool", unread=True),
        "region": REGION,
    }

    def read(self, cloud: Cloud, id_: str, known: Values) -> ReadResult | None:
        answer: Any = unless_missing(lambda: cloud.s3(known).get_public_access_block(Bucket=id_))
        if answer is None:
            return None
        kept = answer["PublicAccessBlockConfiguration"]
        state: Values = {"bucket": id_, "region": cloud.region_of(known)}
        return ReadResult(
            id=id_, state=state | {name: kept[aws_name] for name, aws_name in self._names.items()}
        )

    def update(self, cloud: Cloud, id_: str, old: Values, new: Values, changed: Collection[str]) -> None:
        settings: Any = {aws_name: bool(new.get(name)) for name, aws_name in self._names.items()}
        cloud.s3(old).put_public_access_block(Bucket=id_, PublicAccessBlockConfiguration=settings)

    def delete(self, cloud: Cloud, id_: str, state: Values) -> None:
        cloud.s3(state).delete_public_access_block(Bucket=id_)


def _rule(rule: Any) -> Values:
    """A rule under its Pulumi names."""
    by_default = rule.get("ApplyServerSideEncryptionByDefault", {})
    state: Values = {"bucketKeyEnabled": bool(rule.get("BucketKeyEnabled"))}
    if by_default:
        state["applyServerSideEncryptionByDefault"] = {
            "sseAlgorithm": by_default["SSEAlgorithm"],
            "kmsMasterKeyId": by_default.get("KMSMasterKeyID"),
        }
    return state
