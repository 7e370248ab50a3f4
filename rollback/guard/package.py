"""The package of the guard's function: this distribution without its command line, pinned wheels, and the settings.

The same input gives the same bytes: files are in order, with one date and one mode, and not compiled. Wheels are pinned
by their hashes (`guard_requirements.txt`) for Lambda's Python (the setting `guard.runtime`) and processor, whatever
machine runs this.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import rollback
from rollback.config.naming import PACKAGE_RUNTIME
from rollback.config.settings import PROJECT_FILE, Settings
from rollback.lifecycle import approval
from rollback.model.kind import Kind
from rollback.util.errors import Code, RollbackError

# As `components/guard.py` declares it.
PLATFORM = "x86_64"
REQUIREMENTS = Path(__file__).with_name("guard_requirements.txt")
# Parts that no invocation imports.
_LEFT_OUT = ("cli", "views", "drill", "components")
# The services that it calls: botocore has the models of 400, and unpacking each takes time.
SERVICES = frozenset(
    {
        "apigateway", "cloudformation", "cloudtrail", "cloudwatch", "dynamodb", "events", "iam", "lambda",
        "resourcegroupstaggingapi", "s3", "scheduler", "service-quotas", "sns", "sqs", "ssm", "sts",
    }
)  # fmt: skip
_BOTOCORE = "botocore/data/"
_DATE = (1980, 1, 1, 0, 0, 0)
_FILE = 0o644 << 16
# Seconds.
_LONG = 600


def build(settings: Settings, root: Path, path: Path, runtime: str) -> Path:
    """Builds the package at `path` for a runtime of Lambda, and replaces an existing one. `root` is the checkout with the
    settings.

    Raises `Refused` if an approval is required and the settings differ from those of the protected branch, and
    `RollbackError` if the wheels cannot be downloaded.
    """
    approval.binding_policy(root, settings, Kind.ALIASES)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        wheels = Path(folder) / "wheels"
        _install(wheels, runtime.removeprefix("python"))
        (wheels / PACKAGE_RUNTIME).write_text(f"{runtime}\n", encoding="utf-8")
        made = Path(folder) / path.name
        with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as package:
            for name, source in sorted({**_wheels(wheels), **_own(settings, root)}.items()):
                entry = zipfile.ZipInfo(name, _DATE)
                entry.external_attr, entry.compress_type = _FILE, zipfile.ZIP_DEFLATED
                package.writestr(entry, source.read_bytes())
        shutil.move(made, path)
    return path


def _own(settings: Settings, root: Path) -> dict[str, Path]:
    """This distribution, and the two files of settings, by their names in the package."""
    home = Path(rollback.__file__).parent
    found = {
        f"rollback/{name}": source
        for name, source in _files(home).items()
        if name.partition("/")[0] not in _LEFT_OUT
    }
    files = (PROJECT_FILE, f"Pulumi.{settings.environment}.yaml")
    return found | {name: root / name for name in files}


def _wheels(folder: Path) -> dict[str, Path]:
    """The files in the wheels, without the services that it does not call."""
    found: dict[str, Path] = {}
    for name, source in _files(folder).items():
        service, below, _ = name.removeprefix(_BOTOCORE).partition("/")
        if not (name.startswith(_BOTOCORE) and below) or service in SERVICES:
            found[name] = source
    return found


def _files(folder: Path) -> dict[str, Path]:
    return dict(_each(folder))


def _each(folder: Path) -> Iterator[tuple[str, Path]]:
    for path in folder.rglob("*"):
        name = path.relative_to(folder)
        # An installer's own notes name the place and the way it ran: not the same for the same input.
        skipped = {"__pycache__", "bin"} & set(name.parts) or name.name in (
            "RECORD",
            "INSTALLER",
            "direct_url.json",
            ".lock",
            "REQUESTED",
        )
        if path.is_file() and not skipped:
            yield name.as_posix(), path


def _install(folder: Path, python: str) -> None:
    uv = Path(sys.executable).with_name("uv")
    tool = str(uv) if uv.is_file() else shutil.which("uv")
    common = ["--require-hashes", "--no-deps", "--target", str(folder), "-r", str(REQUIREMENTS)]
    if tool:
        command = [
            tool, "pip", "install", "--quiet", "--python-version", python, "--python-platform",
            f"{PLATFORM}-manylinux2014", "--only-binary", ":all:", "--link-mode", "copy", *common,
        ]  # fmt: skip
    else:
        command = [
            sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--python-version",
            python, "--platform", f"manylinux2014_{PLATFORM}", "--implementation", "cp", "--only-binary", ":all:",
            *common,
        ]  # fmt: skip
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_LONG)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _unavailable(str(error)) from error
    if done.returncode:
        raise _unavailable("\n".join((done.stdout + done.stderr).strip().splitlines()[-5:]))


def _unavailable(why: str) -> RollbackError:
    return RollbackError(
        f"The wheels of the guard's package cannot be downloaded: {why}",
        code=Code.DEPENDENCIES_UNAVAILABLE,
        changed="Nothing was changed.",
        next="Check the network and the package index, and run the same command again.",
    )
