"""The location of a stack's state, and the locks of updates.

The layout is that of the engine's own backends for files and buckets
(https://www.pulumi.com/docs/iac/concepts/state-and-backends/): an update's lock is
`.pulumi/locks/organization/PROJECT/STACK/UUID.json` and names pid and host. `pulumi cancel` deletes every
lock of a stack, whether its process is dead or not; here one lock is deleted by name. Pulumi Cloud manages its own locks.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

from rollback.aws.account import explained
from rollback.config.settings import Settings
from rollback.util.times import shown_time


def backend_url(settings: Settings, *, foundation: bool = False) -> str:
    """The backend of the stack's state, or that of its `foundation`: `PULUMI_BACKEND_URL`, else the configured bucket.

    If the variable is the foundation's bucket (an administrator's shell) or the stack's, each stack still has its own bucket.
    """
    buckets = (settings.names.state_bucket, settings.names.foundation_bucket)
    given = os.environ.get("PULUMI_BACKEND_URL")
    if given:
        parts = urlsplit(given)
        ours = parts.scheme == "s3" and parts.netloc in buckets
        return urlunsplit(parts._replace(netloc=buckets[foundation])) if ours else given
    return bucket_url(buckets[foundation], settings.region)


def bucket_url(bucket: str, region: str) -> str:
    """A bucket as a backend, at the endpoint that `AWS_ENDPOINT_URL` names."""
    options = {"region": region}
    endpoint = os.environ.get("AWS_ENDPOINT_URL")
    if endpoint:
        options |= {"endpoint": endpoint, "s3ForcePathStyle": "true"}
    return f"s3://{bucket}?{urlencode(options)}"


def place(settings: Settings) -> str:
    """The backend for messages: a bucket's name, or a URL without its options."""
    parts = urlsplit(backend_url(settings))
    return parts.netloc if parts.scheme == "s3" else f"{parts.scheme}://{parts.hostname or ''}{parts.path}"


@dataclass(frozen=True, kw_only=True, slots=True)
class BackendLock:
    """An update's lock. `place` is its file or key; `uuid` its name."""

    uuid: str
    user: str
    host: str
    pid: int
    at: str
    place: str

    def __str__(self) -> str:
        return f"{self.user}@{self.host} (pid {self.pid}) since {shown_time(self.at)}"


@dataclass(frozen=True, kw_only=True)
class BackendLocks:
    """The locks of one stack in the backend at `url`. `s3` makes a client when needed."""

    url: str
    project: str
    stack: str
    s3: Callable[[], Any]

    def held(self) -> list[BackendLock]:
        """All locks, including stale ones; empty for a backend without files."""
        return [_lock(place, text) for place, text in self._read()]

    def remove(self, lock: BackendLock) -> None:
        """Deletes one lock; does nothing if it no longer exists."""
        if self._scheme == "file":
            Path(lock.place).unlink(missing_ok=True)
        else:
            with explained(f"removing the stack's lock {lock.uuid}"):
                self.s3().delete_object(Bucket=urlsplit(self.url).netloc, Key=lock.place)

    @property
    def _scheme(self) -> str:
        return urlsplit(self.url).scheme

    @property
    def _folder(self) -> str:
        return f".pulumi/locks/organization/{self.project}/{self.stack}/"

    def _read(self) -> Iterator[tuple[str, str]]:
        parts = urlsplit(self.url)
        if parts.scheme == "file":
            folder = Path(parts.netloc + parts.path).expanduser() / self._folder
            for path in sorted(folder.glob("*.json")):
                yield str(path), path.read_text(encoding="utf-8")
        elif parts.scheme == "s3":
            prefix = "/".join(filter(None, (parts.path.strip("/"), self._folder)))
            with explained("reading the stack's locks"):
                client = self.s3()
                listed = client.list_objects_v2(Bucket=parts.netloc, Prefix=prefix)
                for item in listed.get("Contents", []):
                    body = client.get_object(Bucket=parts.netloc, Key=item["Key"])["Body"]
                    yield item["Key"], body.read().decode()


def _lock(place: str, text: str) -> BackendLock:
    document = json.loads(text)
    return BackendLock(
        uuid=Path(place).stem,
        user=str(document.get("username", "?")),
        host=str(document.get("hostname", "?")),
        pid=int(document.get("pid", 0)),
        at=str(document.get("timestamp", "?")),
        place=place,
    )
