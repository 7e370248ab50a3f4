"""The account that a provider speaks to: clients, who we are, default tags."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from botocore.exceptions import ClientError

from localaws.provider.values import Values

if TYPE_CHECKING:
    import boto3
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_iam import IAMClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_ssm import SSMClient
    from mypy_boto3_sts.type_defs import GetCallerIdentityResponseTypeDef

T = TypeVar("T")
PARALLEL = 24  # resources at a time: the engine's default of 4 x cores is below it almost everywhere


@dataclass(frozen=True, kw_only=True)
class Cloud:
    """One configured provider. Clients are made once for each service and region, then shared."""

    session: boto3.Session
    region: str
    default_tags: Mapping[str, str] = field(default_factory=dict)
    endpoints: Mapping[str, str] = field(default_factory=dict)
    _clients: dict[tuple[str, str], Any] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def client(self, service: str, region: str | None = None) -> Any:
        """The client of a service, in the provider's region unless told otherwise."""
        from botocore.config import Config  # noqa: PLC0415 - as boto3: only where AWS is asked

        where = region or self.region
        with self._lock:
            if (service, where) not in self._clients:
                self._clients[service, where] = self.session.client(
                    service,  # type: ignore[call-overload]
                    region_name=where,
                    endpoint_url=self.endpoints.get(service),
                    config=Config(
                        retries={"mode": "standard", "total_max_attempts": 8},
                        max_pool_connections=PARALLEL,
                        connect_timeout=10,
                        s3={"addressing_style": "path"},
                    ),
                )
            return self._clients[service, where]

    def dynamodb(self, known: Values) -> DynamoDBClient:
        """DynamoDB, in the region of these inputs or this state."""
        return self.client("dynamodb", known.get("region"))  # type: ignore[no-any-return]

    def iam(self) -> IAMClient:
        """IAM."""
        return self.client("iam")  # type: ignore[no-any-return]

    def functions(self, known: Values) -> LambdaClient:
        """Lambda, in the region of these inputs or this state."""
        return self.client("lambda", known.get("region"))  # type: ignore[no-any-return]

    def s3(self, known: Values) -> S3Client:
        """S3, in the region of these inputs or this state."""
        return self.client("s3", known.get("region"))  # type: ignore[no-any-return]

    def ssm(self, known: Values) -> SSMClient:
        """Systems Manager, in the region of these inputs or this state."""
        return self.client("ssm", known.get("region"))  # type: ignore[no-any-return]

    def alarms(self, known: Values) -> Any:
        """CloudWatch, in the region of these inputs or this state."""
        return self.client("cloudwatch", known.get("region"))

    def topics(self, known: Values) -> Any:
        """SNS, in the region of these inputs or this state."""
        return self.client("sns", known.get("region"))

    def queues(self, known: Values) -> Any:
        """SQS, in the region of these inputs or this state."""
        return self.client("sqs", known.get("region"))

    @cached_property
    def identity(self) -> GetCallerIdentityResponseTypeDef:
        """Who AWS says that we are."""
        return self.client("sts").get_caller_identity()  # type: ignore[no-any-return]

    @property
    def account(self) -> str:
        return self.identity["Account"]

    @property
    def partition(self) -> str:
        return self.identity["Arn"].split(":")[1]

    def region_of(self, known: Values) -> str:
        """The region of these inputs or this state."""
        return str(known.get("region") or self.region)

    def all_tags(self, inputs: Values) -> dict[str, str]:
        """The tags an object is to carry: the provider's defaults, overruled by its own."""
        return {**self.default_tags, **inputs.get("tags", {})}

    def tag_list(self, inputs: Values) -> list[Any]:
        """`all_tags` in the form of most AWS calls."""
        return as_list(self.all_tags(inputs))


def as_list(tags: Mapping[str, str]) -> list[Any]:
    """`{"a": "b"}` as `[{"Key": "a", "Value": "b"}]`."""
    return [{"Key": key, "Value": value} for key, value in sorted(tags.items())]


def as_map(tags: Any) -> dict[str, str]:
    """The other way round; tags that AWS itself sets are not ours to see."""
    return {tag["Key"]: tag["Value"] for tag in tags if not tag["Key"].startswith("aws:")}


def code_of(error: ClientError) -> str:
    """The error's code: `ResourceNotFoundException`."""
    return str(error.response.get("Error", {}).get("Code", ""))


def unless_missing(call: Callable[[], T]) -> T | None:
    """What the call returns, or None where AWS says that there is no such thing."""
    try:
        return call()
    except ClientError as error:
        if code_of(error) in MISSING:
            return None
        raise


MISSING = frozenset(
    {
        "NoSuchEntity",
        "ResourceNotFoundException",
        "ParameterNotFound",
        "NoSuchBucket",
        "404",
        "NotFound",
        "ObjectLockConfigurationNotFoundError",
        "NoSuchPublicAccessBlockConfiguration",
        "ServerSideEncryptionConfigurationNotFoundError",
        "TableNotFoundException",
        "AWS.SimpleQueueService.NonExistentQueue",
        "QueueDoesNotExist",
        "ResourceNotFound",
    }
)
EXISTS = frozenset(
    {
        "EntityAlreadyExists",
        "ResourceConflictException",
        "ResourceInUseException",
        "ParameterAlreadyExists",
        "BucketAlreadyOwnedByYou",
    }
)
