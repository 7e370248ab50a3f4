"""Packages that not everybody installs: extras of the distribution (pyproject.toml), by what needs them.

    with extra("pulumi"):
        from pulumi.automation import Stack

https://packaging.python.org/en/latest/specifications/dependency-specifiers/#extras
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from rollback.core.errors import Code, UsageError
from rollback.core.version import DISTRIBUTION

Extra = Literal["terraform", "pulumi", "slack"]
# The top-level modules of each, and what needs them.
_MODULES: dict[Extra, frozenset[str]] = {
    "pulumi": frozenset({"pulumi", "semver"}),
    "slack": frozenset({"slack_sdk"}),
    "terraform": frozenset({"hcl2", "lark"}),
}
_WHAT: dict[Extra, str] = {
    "pulumi": "Pulumi's SDK, which drives stacks,",
    "slack": "Slack's SDK",
    "terraform": "What reads Terraform files",
}


class ExtraMissing(UsageError):
    """Packages are needed that are not installed: those of an extra."""

    code_default = Code.EXTRA_MISSING


@contextmanager
def extra(name: Extra) -> Iterator[None]:
    """What is imported in here comes with the extra `name`.

    Raises `ExtraMissing` where it is not installed; an import that fails for another reason fails as it does.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _MODULES[name]:
            raise
        raise ExtraMissing(f"{_WHAT[name]} is not installed: pip install '{DISTRIBUTION}[{name}]'") from None
