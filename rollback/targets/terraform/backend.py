"""The backend of a configuration, as its commit declares it.

What a commit does not declare comes from the environment: state bucket, region, key ("Partial
configuration", https://developer.hashicorp.com/terraform/language/backend). What it declares is never overridden:
at another location there is another state, or none, and a plan would create everything again.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from rollback.config.sections import Terraform
from rollback.config.settings import Settings
from rollback.engines import git, hcl
from rollback.engines.hcl import UnreadableHcl
from rollback.model.deployed import UNKNOWN, Deployed
from rollback.util.errors import Code, Refused, UsageError

TYPE = "s3"
_DEFAULT = "default"


@dataclass(frozen=True, kw_only=True, slots=True)
class Backend:
    """The state's object in S3. `open` are the attributes that the commit does not declare."""

    bucket: str
    key: str
    region: str
    open: frozenset[str] = frozenset()

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key} in {self.region}"

    @property
    def options(self) -> dict[str, str]:
        """The backend options for `init`."""
        return {name: getattr(self, name) for name in sorted(self.open)}

    def is_that_of(self, kept: Mapping[str, Any]) -> bool:
        """Whether `init` used this backend: `kept` is what it wrote, `{"type": "s3", "config": {…}}`."""
        config = kept.get("config") or {}
        return kept.get("type") == TYPE and all(
            config.get(name) == getattr(self, name) for name in ("bucket", "key", "region")
        )


def platform(settings: Settings) -> Backend:
    """The backend of a configuration that declares none of its attributes."""
    terraform = configured(settings)
    return Backend(
        bucket=terraform.bucket or settings.names.state_bucket,
        key=terraform.key,
        region=settings.region,
        open=frozenset({"bucket", "key", "region"}),
    )


def configured(settings: Settings) -> Terraform:
    """The Terraform settings. Raises `UsageError` where there are none."""
    if settings.terraform is None:
        raise UsageError(
            f"{settings.environment} has no Terraform configuration (setting `terraform`).",
            code=Code.NOT_CONFIGURED,
        )
    return settings.terraform


def declared(root: Path, commit: str, settings: Settings) -> Backend:
    """The backend of the configuration at `commit`. Raises `Refused` where it is not in S3, or cannot be read."""
    folder = below(root, settings)
    found = _declaration(root, commit, folder)
    if found is None or TYPE not in found:
        raise Refused(
            f"The configuration of {commit[:12]} does not keep its state in S3.",
            code=Code.COMMIT_UNUSABLE,
            next='Select a commit that declares backend "s3", with --to COMMIT.',
        )
    usual = platform(settings)
    values = {name: found[TYPE][name] for name in usual.open if found[TYPE].get(name)}
    if unknown := sorted(name for name, value in values.items() if "${" in str(value)):
        raise Refused(
            f"The configuration of {commit[:12]} computes the {' and '.join(unknown)} of its backend, so it cannot be "
            "compared with the deployed one.",
            code=Code.COMMIT_UNUSABLE,
            next="Select a commit with literal values, with --to COMMIT.",
        )
    _must_be_the_default_workspace(root / configured(settings).folder)
    return Backend(
        **{name: str(values.get(name, getattr(usual, name))) for name in usual.open},
        open=usual.open - set(values),
    )


def deployed(root: Path, recorded: Deployed, settings: Settings) -> Backend:
    """The backend of what is deployed: of the `recorded` commit, else of the checkout's.

    If neither has a configuration, that of `platform`. Raises as `declared` does.
    """
    known = recorded if recorded is not UNKNOWN and git.holds(root, recorded, below(root, settings)) else None
    commit = known or git.resolved(root, "HEAD")
    if commit is None or not git.holds(root, commit, below(root, settings)):
        return platform(settings)
    return declared(root, commit, settings)


def shared(root: Path, commit: str, recorded: Deployed, settings: Settings) -> Backend:
    """The backend of `commit`. Raises `Refused` where it differs from that of what is deployed."""
    found, now = declared(root, commit, settings), deployed(root, recorded, settings)
    if str(found) != str(now):
        raise Refused(
            f"The configuration of {commit[:12]} keeps its state in {found}; the deployed state is in {now}.",
            code=Code.COMMIT_UNUSABLE,
            next="Select a commit with the deployed backend, with --to COMMIT.",
        )
    return found


def below(checkout: Path, settings: Settings) -> str:
    """The configuration's folder below the repository's top. Raises `UsageError` where there is none."""
    top = git.top(checkout).resolve()
    return (checkout.resolve().relative_to(top) / configured(settings).folder).as_posix()


def _declaration(root: Path, commit: str, folder: str) -> Mapping[str, Mapping[str, Any]] | None:
    """The backend in a commit's files: type → attributes; an override file takes precedence
    ("Override files", https://developer.hashicorp.com/terraform/language/files/override).
    """
    files = [
        path for path in git.files(root, commit, folder) if PurePosixPath(path).parent.as_posix() == folder
    ]
    found: Mapping[str, Mapping[str, Any]] | None = None
    for path in sorted((path for path in files if path.endswith(".tf")), key=_override):
        text = git.read(root, commit, path) or ""
        if "backend" not in text and "cloud" not in text:
            continue
        try:
            found = hcl.backend(text) or found
        except UnreadableHcl as error:
            raise UsageError(
                f"{path} of {commit[:12]} cannot be read ({error}), so its backend is unknown.",
                code=Code.COMMIT_UNUSABLE,
                next="Select another commit, with --to COMMIT.",
            ) from None
    return found


def _override(path: str) -> tuple[bool, str]:
    stem = PurePosixPath(path).stem
    return stem == "override" or stem.endswith("_override"), path


def _must_be_the_default_workspace(folder: Path) -> None:
    """Raises `Refused` where another workspace is selected, because its state is another object."""
    chosen = folder / ".terraform" / "environment"
    used = os.environ.get("TF_WORKSPACE") or (
        chosen.read_text(encoding="utf-8", errors="replace").strip() if chosen.is_file() else ""
    )
    if used and used != _DEFAULT:
        raise Refused(
            f"The Terraform workspace {used[:80]!a} is selected here, but only the default one can be rolled "
            "back.",
            code=Code.COMMIT_UNUSABLE,
            next="unset TF_WORKSPACE; terraform workspace select default  # to use the default workspace",
        )
