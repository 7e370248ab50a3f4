"""boto3 clients for the local account, independent of the caller's own AWS settings."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import boto3
from botocore import UNSIGNED
from botocore.config import Config

from rollback.config.settings import Settings

# One session for all, because reading the services' models is a large part of creating a client.
# Threads must not create clients from it at the same time.
_SESSION: Any = boto3.session.Session()
_MAKING = threading.Lock()


def root(settings: Settings) -> dict[str, str]:
    """The credentials of the account's root user: the emulator derives the account from the key."""
    return {"AWS_ACCESS_KEY_ID": settings.account, "AWS_SECRET_ACCESS_KEY": "local"}


def connect(
    service: str,
    endpoint: str,
    settings: Settings,
    identity: Mapping[str, str] | None = None,
    *,
    attempts: int = 3,
) -> Any:
    """A client of `service` in the settings' region, as `identity` (`identity.assume`) or as root.

    Threads may share it: it has a pool of 32 connections. It makes `attempts` attempts at most.
    """
    credentials = identity or root(settings)
    config = Config(
        max_pool_connections=32,
        retries={"mode": "standard", "total_max_attempts": attempts},
        proxies={},
        s3={"addressing_style": "path"},
    )
    return _made(
        service,
        endpoint,
        settings,
        config,
        aws_access_key_id=credentials["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=credentials["AWS_SECRET_ACCESS_KEY"],
        aws_session_token=credentials.get("AWS_SESSION_TOKEN"),
    )


def nobody(service: str, endpoint: str, settings: Settings) -> Any:
    """A client without signatures, for calls that authenticate in another way."""
    return _made(service, endpoint, settings, Config(signature_version=UNSIGNED, proxies={}))


def _made(service: str, endpoint: str, settings: Settings, config: Config, **credentials: str | None) -> Any:
    with _MAKING:
        return _SESSION.client(
            service, endpoint_url=endpoint, region_name=settings.region, config=config, **credentials
        )
