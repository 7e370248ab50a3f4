"""The types that the local provider knows, by their token."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from local.provider.resource import Resource
from local.provider.types.dynamodb import Table
from local.provider.types.iam import Role, RolePolicy, RolePolicyAttachment
from local.provider.types.iam_shared import OpenIdConnectProvider, Policy
from local.provider.types.lambda_ import Alias
from local.provider.types.s3 import Bucket, BucketObjectLockConfiguration, BucketVersioning
from local.provider.types.s3_safety import BucketPublicAccessBlock, BucketServerSideEncryptionConfiguration
from local.provider.types.ssm import Parameter

TYPES: Final[Mapping[str, Resource]] = {
    resource.pulumi_type: resource
    for resource in (
        Alias(),
        Bucket(),
        BucketObjectLockConfiguration(),
        BucketPublicAccessBlock(),
        BucketServerSideEncryptionConfiguration(),
        BucketVersioning(),
        OpenIdConnectProvider(),
        Parameter(),
        Policy(),
        Role(),
        RolePolicy(),
        RolePolicyAttachment(),
        Table(),
    )
}
