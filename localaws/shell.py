"""The local account of a checkout: starts it, stops it, and sets a shell's variables for it."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from localaws import estate
from localaws.clients import connect, root
from localaws.emulator import server
from localaws.emulator.server import Emulator
from localaws.errors import LocalError
from localaws.paths import BIN, LOCAL, ROOT, locked
from localaws.toolchain import build, terraform, terraform_provider
from localaws.toolchain.tools import ACCOUNT
from localaws.toolchain.tools import prepare as prepare_tools
from rollback.config.settings import Settings, environments, load

_RECORD = "account.json"
_LOCK = "account.lock"
# The caller's own settings that would take precedence.
_OUTSIDE = ("AWS_", "PULUMI_", "TF_", "GITHUB_", "ACTIONS_")
_OUTSIDE_NAMES = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")


def environment(
    emulator_endpoint: str,
    settings: Settings,
    *,
    identity: Mapping[str, str] | None = None,
    folder: Path = LOCAL,
    foundation: bool = False,
) -> dict[str, str]:
    """The variables with which AWS clients, Pulumi, Terraform and `rollback` use the local account.

    `identity` comes from `identity.assume`; without it, the account's root. Pulumi's backend is the one of the
    environment's stack, or of its `foundation`. Tools store their files in `folder`: `~/.aws` and `~/.pulumi` are
    neither read nor written. Add them to `inherited()` rather than to `os.environ`, whose own AWS settings would
    remain.
    """
    bucket = settings.names.foundation_bucket if foundation else settings.names.state_bucket
    backend = f"s3://{bucket}?endpoint={emulator_endpoint}&s3ForcePathStyle=true&region={settings.region}"
    return {
        "AWS_ENDPOINT_URL": emulator_endpoint,
        **(identity or root(settings)),
        "AWS_REGION": settings.region,
        "AWS_DEFAULT_REGION": settings.region,
        "AWS_CONFIG_FILE": str(folder / "aws" / "no-config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(folder / "aws" / "no-credentials"),
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_PAGER": "",
        # The emulator answers without checksums, and the engine's SDK would warn about each.
        "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",
        "PULUMI_BACKEND_URL": backend,
        "PULUMI_CONFIG_PASSPHRASE": "local",
        "PULUMI_HOME": str(folder / "pulumi"),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        # The plugins are those on PATH; nothing should be downloaded instead.
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        **_terraform(emulator_endpoint),
        "NO_PROXY": _with_loopback("NO_PROXY"),
        "no_proxy": _with_loopback("no_proxy"),
        "PATH": os.pathsep.join(path()),
    }


def inherited() -> dict[str, str]:
    """This process's environment without what belongs to other accounts, stacks and interpreters."""
    return {k: v for k, v in os.environ.items() if not k.startswith(_OUTSIDE) and k not in _OUTSIDE_NAMES}


def exports(variables: Mapping[str, str]) -> str:
    """Lines for `eval` in a POSIX shell, after unsetting variables of an earlier session."""
    left = [k for k in ("AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_DEFAULT_PROFILE") if k not in variables]
    lines = [f"unset {' '.join(left)}"] if left else []
    return "\n".join([*lines, *(f"export {k}={shlex.quote(v)}" for k, v in variables.items())]) + "\n"


def up(
    progress: Callable[[str], None], *, auth: bool = True, root_dir: Path = ROOT, folder: Path = LOCAL
) -> Emulator:
    """The account of this checkout; starts and prepares it if necessary.

    Creates for each environment: the state buckets, the functions at v1.0.0 and unrelated functions. Raises
    `LocalError`.
    """
    with locked(folder / _LOCK, waiting=lambda: progress("waiting for another process that prepares it")):
        emulator = find(folder)
        if emulator is None:
            emulator = server.start(
                folder / "state",
                auth=auth,
                port=_last_port(folder),
                detached=True,
                log=folder / "account.log",
            )
            (folder / _RECORD).write_text(emulator.to_json(), encoding="utf-8")
        account = emulator.endpoint
        with ThreadPoolExecutor() as pool:
            list(
                pool.map(
                    lambda name: prepare(account, load(root_dir, name), progress=progress),
                    environments(root_dir),
                )
            )
    return emulator


def tools(progress: Callable[[str], None]) -> Path:
    """What the local account needs: the engine, the emulator, Terraform and their plugins, made if they are missing
    (minutes, once).

    Returns the `pulumi` that a shell with `environment` finds. Raises `LocalError`.
    """
    build.ensure_plugins()
    for _, error in prepare_tools(ACCOUNT, progress):
        raise error
    return build.ensure_engine(progress)


def down(folder: Path = LOCAL) -> bool:
    """Stops the account of this checkout, and keeps its state; False if none is running."""
    with locked(folder / _LOCK):
        emulator = find(folder)
        if emulator is None:
            return False
        server.stop(emulator)
    return True


def find(folder: Path = LOCAL) -> Emulator | None:
    """The account of this checkout; None if it does not run."""
    try:
        emulator = Emulator.from_json((folder / _RECORD).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return emulator if emulator.alive() else None


def required(folder: Path = LOCAL) -> Emulator:
    """The account of this checkout. Raises `LocalError` if it does not run."""
    emulator = find(folder)
    if emulator is None:
        raise LocalError("The local account is not running. Start it with: make up")
    return emulator


def prepare(endpoint: str, settings: Settings, *, progress: Callable[[str], None] = lambda _: None) -> None:
    """Creates what an environment has before this project is used: state buckets, and functions at v1.0.0.

    Does nothing for what exists already.
    """
    s3 = connect("s3", endpoint, settings)
    make_bucket(s3, settings)
    make_bucket(s3, settings, settings.names.foundation_bucket)
    functions = connect("lambda", endpoint, settings)
    variables = {
        entry["FunctionName"]
        for page in functions.get_paginator("list_functions").paginate()
        for entry in page["Functions"]
    }
    missing = [name for name in settings.catalogue() if name not in variables]
    if not missing:
        return
    progress(f"{settings.environment}: {len(missing)} functions at v1.0.0")
    estate.establish(connect("iam", endpoint, settings), settings)
    estate.deploy(functions, settings, estate.story(settings)[0].version, changed=missing)
    estate.unlisted_functions(functions, settings)


def make_bucket(s3: Any, settings: Settings, name: str | None = None) -> None:
    """Creates a state bucket, by default the environment's: versioned, encrypted, not public.

    Does nothing if it exists.
    """
    bucket = name or settings.names.state_bucket
    place = (
        {}
        if settings.region == "us-east-1"
        else {"CreateBucketConfiguration": {"LocationConstraint": settings.region}}
    )
    try:
        s3.create_bucket(Bucket=bucket, **place)
    except (s3.exceptions.BucketAlreadyOwnedByYou, s3.exceptions.BucketAlreadyExists):
        return
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    s3.put_bucket_encryption(
        Bucket=bucket,
        ServerSideEncryptionConfiguration={
            "Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
        },
    )
    s3.put_public_access_block(
        Bucket=bucket,
        PublicAccessBlockConfiguration={
            "BlockPublicAcls": True,
            "IgnorePublicAcls": True,
            "BlockPublicPolicy": True,
            "RestrictPublicBuckets": True,
        },
    )


def _terraform(endpoint: str) -> dict[str, str]:
    """What Terraform, OpenTofu and the root in `terraform/` read.

    The provider finds the account through the root's variable `endpoint`, the state's backend through
    `AWS_ENDPOINT_URL`.
    """
    config = terraform_provider.present_provider()
    return {
        "TF_VAR_endpoint": endpoint,
        "TF_IN_AUTOMATION": "1",
        "CHECKPOINT_DISABLE": "1",
        **({"TF_CLI_CONFIG_FILE": str(config)} if config else {}),
    }


def path() -> list[str]:
    """The folders of our plugins, of the tools that we have built, of this interpreter, and the caller's."""
    ours = [str(BIN)]
    engine = build.built_engine()
    if engine is not None and build.official_engine() is None:
        ours.append(str(engine.parent))
    tofu = terraform.built_terraform()
    if tofu is not None and terraform.official_terraform() is None:
        ours.append(str(tofu.parent))
    ours.append(str(Path(sys.executable).parent))
    return [*ours, *(p for p in os.environ.get("PATH", os.defpath).split(os.pathsep) if p not in ours)]


def _with_loopback(name: str) -> str:
    known = [entry for entry in os.environ.get(name, "").split(",") if entry]
    return ",".join([*known, *(h for h in ("127.0.0.1", "localhost") if h not in known)])


def _last_port(folder: Path) -> int:
    """The previous port, so that shells that use it go on working."""
    try:
        return Emulator.from_json((folder / _RECORD).read_text(encoding="utf-8")).port
    except (FileNotFoundError, ValueError):
        return 0
