"""S3: buckets, their versioning and their object lock."""

# ruff: noqa: ARG002 (the arguments are those of the protocol)

from __future__ import annotations

from collections.abc import Collection
from typing import Any, ClassVar

from botocore.exceptions import ClientError

from localaws.provider.cloud import Cloud, as_list, as_map, code_of, unless_missing
from localaws.provider.resource import ReadResult, Resource
from localaws.provider.schema import REGION, TAGS, Field
from localaws.provider.values import Values

BUCKET = Field(required=True, replaces=True)


class Bucket(Resource):
    """`aws:s3/bucket:Bucket`, known by its name."""

    pulumi_type: ClassVar = "aws:s3/bucket:Bucket"
    fields: ClassVar = {
        "bucket": Field(replaces=True, autoname=True),
        "forceDestroy": Field(kind="bool", default=False, unread=True),
        "objectLockEnabled": Field(kind="bool", replaces=True, computed=True),
        "tags": TAGS,
        "region": REGION,
    }
    outputs: ClassVar = ("arn", "bucketDomainName", "bucketRegionalDomainName", "bucketRegion", "tagsAll")
    identity: ClassVar = ("bucket",)

    def create(self, cloud: Cloud, inputs: Values) -> str:
        region = cloud.region_of(inputs)
        settings: dict[str, Any] = {"Bucket": inputs["bucket"]}
        if region != "us-east-1":  # which is where a bucket goes that names no region
            settings["CreateBucketConfiguration"] = {"LocationConstraint": region}
        if inputs.get("objectLockEnabled"):
            settings["ObjectLockEnabledForBucket"] = True
        cloud.s3(inputs).create_bucket(**settings)
        return str(inputs["bucket"])

    def finish(self, cloud: Cloud, id_: str, inputs: Values) -> None:
        if tags := cloud.tag_list(inputs):
            cloud.s3(inputs).put_bucket_tagging(Bucket=id_, Tagging={"TagSet": tags})

    def existing_id(self, cloud: Cloud, inputs: Values) -> str:
        return str(inputs["bucket"])

    def read(self, cloud: Cloud, id_: str, known: Values) -> ReadResult | None:
        client, region = cloud.s3(known), cloud.region_of(known)
        if unless_missing(lambda: client.head_bucket(Bucket=id_)) is None:
            return None
        lock = unless_missing(lambda: client.get_object_lock_configuration(Bucket=id_))
        state: Values = {
            "bucket": id_,
            "objectLockEnabled": _locked(lock),
            "arn": f"arn:{cloud.partition}:s3:::{id_}",
            "bucketDomainName": f"{id_}.s3.amazonaws.com",
            "bucketRegionalDomainName": f"{id_}.s3.{region}.amazonaws.com",
            "bucketRegion": region,
            "tagsAll": _tags(client, id_),
            "region": region,
        }
        return ReadResult(id=id_, state=state)

    def update(self, cloud: Cloud, id_: str, old: Values, new: Values, changed: Collection[str]) -> None:
        client = cloud.s3(old)
        if tags := cloud.all_tags(new):
            client.put_bucket_tagging(Bucket=id_, Tagging={"TagSet": as_list(tags)})
        else:
            client.delete_bucket_tagging(Bucket=id_)

    def delete(self, cloud: Cloud, id_: str, state: Values) -> None:
        client = cloud.s3(state)
        if state.get("forceDestroy"):
            for page in client.get_paginator("list_object_versions").paginate(Bucket=id_):
                for one in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]:
                    client.delete_object(Bucket=id_, Key=one["Key"], VersionId=one["VersionId"])
        client.delete_bucket(Bucket=id_)


class BucketSetting(Resource):
    """What is said of a bucket, apart from it, and known by its name: making it is putting it."""

    outputs: ClassVar = ()
    identity: ClassVar = ("bucket",)

    def create(self, cloud: Cloud, inputs: Values) -> str:
        self.update(cloud, inputs["bucket"], inputs, inputs, ())
        return str(inputs["bucket"])

    def existing_id(self, cloud: Cloud, inputs: Values) -> str:
        return str(inputs["bucket"])


class BucketVersioning(BucketSetting):
    """`aws:s3/bucketVersioning:BucketVersioning`, known by the bucket's name."""

    pulumi_type: ClassVar = "aws:s3/bucketVersioning:BucketVersioning"
    fields: ClassVar = {
        "bucket": BUCKET,
        "versioningConfiguration": Field(
            kind="object",
            required=True,
            fields={
                "status": Field(required=True, choices=("Enabled", "Suspended", "Disabled")),
                "mfaDelete": Field(computed=True),
            },
        ),
        "region": REGION,
    }

    def read(self, cloud: Cloud, id_: str, known: Values) -> ReadResult | None:
        answer = unless_missing(lambda: cloud.s3(known).get_bucket_versioning(Bucket=id_))
        if answer is None or ("Status" not in answer and not known):
            return None
        state: Values = {
            "bucket": id_,
            "versioningConfiguration": {
                "status": answer.get("Status", "Disabled"),
                "mfaDelete": answer.get("MFADelete"),
            },
            "region": cloud.region_of(known),
        }
        return ReadResult(id=id_, state=state)

    def update(self, cloud: Cloud, id_: str, old: Values, new: Values, changed: Collection[str]) -> None:
        status = new["versioningConfiguration"]["status"]
        if status != "Disabled":
            cloud.s3(old).put_bucket_versioning(Bucket=id_, VersioningConfiguration={"Status": status})

    def delete(self, cloud: Cloud, id_: str, state: Values) -> None:
        # Versioning cannot be taken away again, nor suspended where objects are locked.
        try:
            cloud.s3(state).put_bucket_versioning(Bucket=id_, VersioningConfiguration={"Status": "Suspended"})
        except ClientError as error:
            if code_of(error) != "InvalidBucketState":
                raise


class BucketObjectLockConfiguration(BucketSetting):
    """`aws:s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration`, known by the bucket's name."""

    pulumi_type: ClassVar = "aws:s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration"
    fields: ClassVar = {
        "bucket": BUCKET,
        "objectLockEnabled": Field(replaces=True, default="Enabled", choices=("Enabled",)),
        "rule": Field(
            kind="object",
            fields={
                "defaultRetention": Field(
                    kind="object",
                    required=True,
                    fields={
                        "mode": Field(choices=("COMPLIANCE", "GOVERNANCE")),
                        "days": Field(kind="number"),
                        "years": Field(kind="number"),
                    },
                )
            },
        ),
        "region": REGION,
    }

    def read(self, cloud: Cloud, id_: str, known: Values) -> ReadResult | None:
        answer: Any = unless_missing(lambda: cloud.s3(known).get_object_lock_configuration(Bucket=id_))
        if not _locked(answer):
            return None
        state: Values = {"bucket": id_, "objectLockEnabled": "Enabled", "region": cloud.region_of(known)}
        if kept := answer["ObjectLockConfiguration"].get("Rule", {}).get("DefaultRetention"):
            names = {"mode": "Mode", "days": "Days", "years": "Years"}
            retention = {key: kept[name] for key, name in names.items() if kept.get(name)}
            state["rule"] = {"defaultRetention": retention}
        return ReadResult(id=id_, state=state)

    def update(self, cloud: Cloud, id_: str, old: Values, new: Values, changed: Collection[str]) -> None:
        self._put(cloud, id_, old, new.get("rule", {}).get("defaultRetention", {}))

    def delete(self, cloud: Cloud, id_: str, state: Values) -> None:
        self._put(cloud, id_, state, {})

    def _put(self, cloud: Cloud, bucket: str, known: Values, retention: Values) -> None:
        settings: dict[str, Any] = {"ObjectLockEnabled": "Enabled"}
        if retention:
            settings["Rule"] = {
                "DefaultRetention": {key.capitalize(): value for key, value in retention.items()}
            }
        cloud.s3(known).put_object_lock_configuration(Bucket=bucket, ObjectLockConfiguration=settings)  # type: ignore[arg-type]


def _locked(answer: Any) -> bool:
    return bool(answer and answer["ObjectLockConfiguration"].get("ObjectLockEnabled") == "Enabled")


def _tags(client: Any, bucket: str) -> dict[str, str]:
    try:
        return as_map(client.get_bucket_tagging(Bucket=bucket)["TagSet"])
    except ClientError as error:
        if code_of(error) == "NoSuchTagSet":
            return {}
        raise
