"""What `make tools` has made, for tests: they find it, and build, download and install nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from localaws.toolchain import build, guard_wheels
from localaws.toolchain.tools import ACCOUNT, ENGINE, GUARD_WHEELS, NECESSARY, TERRAFORM, Tool


def prepared(tool: Tool) -> Path:
    """Where it is. Without it the test is skipped by its name; without what everything needs, it fails."""
    found = tool.find()
    if found is None:
        reason = f"without {tool.name}: {tool.get}"
        if tool in NECESSARY:
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    return found


def account() -> None:
    """What a local account that is deployed to with Pulumi needs; the plugins are this checkout's own two scripts."""
    for tool in NECESSARY:
        prepared(tool)
    build.ensure_plugins()


def engine() -> Path:
    """The `pulumi`, whose plugins are there."""
    build.ensure_plugins()
    return prepared(ENGINE)


def terraform() -> Path:
    """The `terraform` or `tofu`, whose provider is there."""
    for tool in ACCOUNT:
        if tool not in NECESSARY:
            prepared(tool)
    return prepared(TERRAFORM)


@contextmanager
def guard_package() -> Iterator[None]:
    """In the block the guard's package is built of wheels that are here."""
    with pytest.MonkeyPatch.context() as patched:
        for name, value in guard_wheels.offline(prepared(GUARD_WHEELS)).items():
            patched.setenv(name, value)
        yield
