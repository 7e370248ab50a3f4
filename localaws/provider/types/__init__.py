"""The types that the local provider knows, by their token."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from localaws.provider.resource import Resource
from localaws.provider.types.cloudwatch import CompositeAlarm, MetricAlarm
from localaws.provider.types.dynamodb import Table
from localaws.provider.types.function import Function, FunctionEventInvokeConfig, Permission
from localaws.provider.types.iam import Role, RolePolicy, RolePolicyAttachment
from localaws.provider.types.iam_shared import OpenIdConnectProvider, Policy
from localaws.provider.types.lambda_ import Alias
from localaws.provider.types.s3 import Bucket, BucketObjectLockConfiguration, BucketVersioning
from localaws.provider.types.s3_safety import BucketPublicAccessBlock, BucketServerSideEncryptionConfiguration
from localaws.provider.types.sns import Topic, TopicPolicy, TopicSubscription
from localaws.provider.types.sqs import Queue
from localaws.provider.types.ssm import Parameter

TYPES: Final[Mapping[str, Resource]] = {
    resource.pulumi_type: resource
    for resource in (
        Alias(),
        Bucket(),
        BucketObjectLockConfiguration(),
        BucketPublicAccessBlock(),
        BucketServerSideEncryptionConfiguration(),
        BucketVersioning(),
        CompositeAlarm(),
        Function(),
        FunctionEventInvokeConfig(),
        MetricAlarm(),
        OpenIdConnectProvider(),
        Parameter(),
        Permission(),
        Policy(),
        Queue(),
        Role(),
        RolePolicy(),
        RolePolicyAttachment(),
        Table(),
        Topic(),
        TopicPolicy(),
        TopicSubscription(),
    )
}
