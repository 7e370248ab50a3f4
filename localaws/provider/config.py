"""The provider's configuration: what it accepts, and the cloud that it makes of it."""

from __future__ import annotations

import json
import os
from typing import Any, Final
from urllib.parse import urlsplit

from localaws.provider import schema
from localaws.provider.cloud import Cloud
from localaws.provider.schema import CheckFailure, Field, Fields
from localaws.provider.values import Unknown, Values

# What the official provider takes and has no meaning here is accepted where its SDK sends it unasked.
FIELDS: Final[Fields] = {
    "region": Field(),
    "allowedAccountIds": Field(kind="list"),
    "forbiddenAccountIds": Field(kind="list"),
    "defaultTags": Field(kind="object", fields={"tags": Field(kind="map")}),
    "endpoints": Field(kind="list"),
    "profile": Field(),
    "accessKey": Field(secret=True),
    "secretKey": Field(secret=True),
    "token": Field(secret=True),
    "s3UsePathStyle": Field(kind="bool"),
    "skipCredentialsValidation": Field(kind="bool"),
    "skipMetadataApiCheck": Field(kind="bool"),
    "skipRegionValidation": Field(kind="bool"),
    "skipRequestingAccountId": Field(kind="bool"),
    "version": Field(),
    "pluginDownloadURL": Field(),
}


class WrongAccount(Exception):
    """The credentials are not those of an account that the configuration allows."""


class NotLocal(Exception):
    """There is no local account to speak to."""


def failures(inputs: Values) -> list[CheckFailure]:
    """What is wrong with the configuration."""
    plain = parsed(inputs)
    endpoints = plain.pop("endpoints", None)
    found = list(schema.failures("provider aws", FIELDS, plain))
    if endpoints is not None and not (
        isinstance(endpoints, list) and all(isinstance(e, dict) for e in endpoints)
    ):
        found.append(CheckFailure(key="endpoints", reason="expected a list of objects of service and URL"))
    return found


def parsed(inputs: Values) -> Values:
    """The configuration with its nested values, which travel as JSON text, opened."""
    return {key: _opened(key, value) for key, value in inputs.items()}


def _opened(key: str, value: Any) -> Any:
    spec = FIELDS.get(key)
    if spec is None or spec.kind == "string" or isinstance(value, Unknown) or not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


def connect(inputs: Values) -> Cloud:
    """The cloud of a valid configuration. Raises `WrongAccount`, and `NotLocal` without an endpoint."""
    plain = parsed(inputs)
    endpoints = {name: url for entry in plain.get("endpoints", []) for name, url in entry.items()}
    _refuse_the_real_one(endpoints)
    import boto3  # noqa: PLC0415 - half of all providers are asked to compare configurations, and no more

    session = boto3.Session(
        aws_access_key_id=plain.get("accessKey"),
        aws_secret_access_key=plain.get("secretKey"),
        aws_session_token=plain.get("token"),
        profile_name=plain.get("profile"),
        region_name=plain.get("region"),
    )
    region = session.region_name or os.environ.get("AWS_REGION")
    if not region:
        raise NotLocal("no region: set aws:region or AWS_REGION")
    cloud = Cloud(
        session=session,
        region=region,
        default_tags=plain.get("defaultTags", {}).get("tags", {}),
        endpoints=endpoints,
    )
    allowed, forbidden = plain.get("allowedAccountIds"), plain.get("forbiddenAccountIds", [])
    if (allowed and cloud.account not in allowed) or cloud.account in forbidden:
        only = f"; allowed: {', '.join(allowed)}" if allowed else ""
        raise WrongAccount(f"AWS account ID not allowed: {cloud.account}{only}")
    return cloud


def _refuse_the_real_one(endpoints: dict[str, str]) -> None:
    urls = [url for url in (os.environ.get("AWS_ENDPOINT_URL"), *endpoints.values()) if url]
    if not urls:
        raise NotLocal(
            "this provider serves local accounts only and AWS_ENDPOINT_URL is not set; for a real account "
            "install the official one: pulumi plugin install resource aws"
        )
    for url in urls:
        host = urlsplit(url).hostname or ""
        if host.endswith((".amazonaws.com", ".amazonaws.com.cn", ".api.aws")):
            raise NotLocal(f"this provider serves local accounts only, not {host}")
