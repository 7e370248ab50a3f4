"""The Pulumi engine, and its language host for YAML: those on PATH, else built from the Go module proxy, once for each
machine.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from localaws.paths import BIN, ROOT, cache
from localaws.toolchain import gotool
from localaws.toolchain.gotool import GoTool
from rollback.engines.pulumi import installation

VERSION = "3.259.0"  # that of the SDK in requirements.txt
_MAJOR = 3
PULUMI = GoTool(
    name="pulumi",
    version=VERSION,
    package="github.com/pulumi/pulumi/pkg/v3/cmd/pulumi",
    ldflags=f"-s -w -X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version={VERSION}",
    installer="https://www.pulumi.com/docs/install/",
)
# The newest that the proxy serves; it works with newer engines.
_YAML_VERSION = "1.25.0"
_YAML = GoTool(
    name="pulumi-language-yaml",
    version=_YAML_VERSION,
    package="github.com/pulumi/pulumi-yaml/cmd/pulumi-language-yaml",
    ldflags=f"-s -w -X github.com/pulumi/pulumi-yaml/pkg/version.Version={_YAML_VERSION}",
    installer=PULUMI.installer,
)
_LANGUAGE_HOST = "pulumi-language-python"
_PROVIDER = "pulumi-resource-aws"


def ensure_engine(progress: Callable[[str], None] = lambda _: None) -> Path:
    """The `pulumi` to use: version 3 on PATH, else what `rollback tools install` has installed, else one that is built
    here if necessary (minutes, once).

    Raises `LocalError` with what to install if that fails.
    """
    return find_engine() or gotool.ensure(PULUMI, progress)


def find_engine() -> Path | None:
    """What `ensure_engine` returns, where nothing has to be built for it."""
    return official_engine() or installation.found() or built_engine()


def ensure_yaml_host(progress: Callable[[str], None] = lambda _: None) -> Path:
    """The language host for programs in YAML: the one on PATH, which an official engine has beside it, else our own,
    built if need be (a minute, once). Only needed to run such a program. Raises as `ensure_engine`.
    """
    return find_yaml_host() or gotool.ensure(_YAML, progress)


def find_yaml_host() -> Path | None:
    """What `ensure_yaml_host` returns, where nothing has to be built for it."""
    found = shutil.which(_YAML.name, path=path_without_ours())
    return Path(found) if found else gotool.find(_YAML)


def built_engine() -> Path | None:
    """The engine that an earlier `ensure_engine` built on this machine."""
    return gotool.find(PULUMI)


def official_engine() -> Path | None:
    """A `pulumi` of the right major version on PATH that is not one of ours."""
    found = shutil.which("pulumi", path=path_without_ours())
    if found is None:
        return None
    completed = subprocess.run([found, "version"], capture_output=True, text=True, check=False, env=_quiet())
    version = re.match(r"v?(\d+)\.", completed.stdout.strip())
    return Path(found) if version and int(version[1]) == _MAJOR else None


def official_language_host() -> Path | None:
    """A Python language host on PATH, or beside an official engine, that is not ours."""
    engine = shutil.which("pulumi", path=path_without_ours())
    beside = str(Path(engine).resolve().parent) if engine else ""
    found = shutil.which(_LANGUAGE_HOST, path=os.pathsep.join(filter(None, (path_without_ours(), beside))))
    return Path(found) if found else None


def ensure_plugins(folder: Path = BIN) -> Path:
    """Fills and returns the folder that comes first on PATH for a local stack.

    It has the local `aws` provider, and the language host if there is no official one. They
    are scripts that name this interpreter, so that no variable of ours reaches the programs.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _script(folder / _PROVIDER, "localaws.provider.main")
    if official_language_host() is None:
        _script(folder / _LANGUAGE_HOST, "localaws.toolchain.language_host")
    else:
        (folder / _LANGUAGE_HOST).unlink(missing_ok=True)
    return folder


def _script(path: Path, module: str) -> None:
    first = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from localaws.toolchain import plugin"
    code = f"{first}; plugin.only_the_protocol(); from {module} import main; main()"
    # -I: neither the environment nor the current folder affects imports. exec: the
    # engine's child is the interpreter itself, which watches its parent.
    text = f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -I -c {shlex.quote(code)} "$@"\n'
    if path.exists() and path.read_text(encoding="utf-8") == text and os.access(path, os.X_OK):
        return
    making = path.with_name(f".{path.name}.{os.getpid()}")
    making.write_text(text, encoding="utf-8")
    making.chmod(0o755)
    making.replace(path)


def path_without_ours() -> str:
    """PATH without what this project has built or written."""
    ours = {BIN.resolve(), PULUMI.place.parent}
    known = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return os.pathsep.join(
        p for p in known if p and Path(p).resolve() not in ours and cache() not in Path(p).parents
    )


def _quiet() -> dict[str, str]:
    return {**os.environ, "PULUMI_SKIP_UPDATE_CHECK": "true"}
