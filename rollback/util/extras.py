"""Optional packages: the extras of the distribution (pyproject.toml).

    with extra("pulumi"):
        from pulumi.automation import Stack

https://packaging.python.org/en/latest/specifications/dependency-specifiers/#extras
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from rollback.util.errors import Code, UsageError
from rollback.util.version import DISTRIBUTION

Extra = Literal["terraform", "pulumi", "slack"]
# The top-level modules of each, and what needs them.
_MODULES: dict[Extra, frozenset[str]] = {
    "pulumi": frozenset({"pulumi", "semver"}),
    "slack": frozenset({"slack_sdk"}),
    "terraform": frozenset({"hcl2", "lark"}),
}
_WHAT: dict[Extra, str] = {
    "pulumi": "Pulumi's SDK (for stacks)",
    "slack": "Slack's SDK",
    "terraform": "The parser of Terraform files",
}


class ExtraMissing(UsageError):
    """The packages of an extra are not installed."""

    code_default = Code.EXTRA_MISSING


@contextmanager
def extra(name: Extra) -> Iterator[None]:
    """Imports inside this block need the extra `name`.

    Raises `ExtraMissing` where it is not installed; other import errors are not changed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _MODULES[name]:
            raise
        raise ExtraMissing(f"{_WHAT[name]} is not installed: pip install '{DISTRIBUTION}[{name}]'") from None
