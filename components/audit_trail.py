"""The audit bucket: copies of the ledger's entries, releases and approvals that nobody can delete."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from rollback.config.naming import Names

from .tags import tags

# In this mode not even the account's root can shorten a retention; in GOVERNANCE mode anybody can who is
# allowed to bypass it, so every administrator ("Locking objects with Object Lock",
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock.html). The trail must also show what an
# administrator has done to the ledger.
_MODE = "COMPLIANCE"


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditTrailArgs:
    """The environment's names, its account, and for how many days each object is retained (`retention_days`)."""

    names: Names
    account: str
    retention_days: int


class AuditTrail(pulumi.ComponentResource):
    """A versioned bucket with object lock. Deleting the stack does not delete it."""

    bucket_name: pulumi.Output[str]

    def __init__(self, name: str, args: AuditTrailArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("rollback:index:AuditTrail", name, None, opts)
        kept = pulumi.ResourceOptions(parent=self, protect=True, retain_on_delete=True)
        bucket = aws.s3.Bucket(
            "trail",
            bucket=args.names.audit_bucket(args.account),
            object_lock_enabled=True,
            tags=tags(args.names, "audit-trail"),
            opts=kept,
        )
        versioning = aws.s3.BucketVersioning(
            "trail",
            bucket=bucket.bucket,
            versioning_configuration=aws.s3.BucketVersioningVersioningConfigurationArgs(status="Enabled"),
            opts=kept,
        )
        aws.s3.BucketObjectLockConfiguration(
            "trail",
            bucket=bucket.bucket,
            rule=aws.s3.BucketObjectLockConfigurationRuleArgs(
                default_retention=aws.s3.BucketObjectLockConfigurationRuleDefaultRetentionArgs(
                    mode=_MODE, days=args.retention_days
                )
            ),
            # Object lock needs versioning.
            opts=pulumi.ResourceOptions.merge(kept, pulumi.ResourceOptions(depends_on=[versioning])),
        )
        # With SSE-S3 the ETag is the MD5 of the object, which `rollback audit` compares.
        aws.s3.BucketServerSideEncryptionConfiguration(
            "trail",
            bucket=bucket.bucket,
            rules=[
                aws.s3.BucketServerSideEncryptionConfigurationRuleArgs(
                    apply_server_side_encryption_by_default=(
                        aws.s3.BucketServerSideEncryptionConfigurationRuleApplyServerSideEncryptionByDefaultArgs(
                            sse_algorithm="AES256"
                        )
                    )
                )
            ],
            opts=kept,
        )
        aws.s3.BucketPublicAccessBlock(
            "trail",
            bucket=bucket.bucket,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=kept,
        )
        self.bucket_name = bucket.bucket
        self.register_outputs({"bucketName": self.bucket_name})
