"""The text of the files that declare an environment: what `rollback init` writes, and `catalogue sync` changes. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml

from rollback.core import safe_yaml

_WIDTH = 110
PROGRAM = '''"""Declares one environment in two stacks (`rollback.components.environment`)."""

from __future__ import annotations

import pulumi
from rollback.components.environment import declare

declare(pulumi.get_stack())
'''


class _Dumper(yaml.SafeDumper):
    """Block style throughout, lists under their keys; a value that comes twice is written twice."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - PyYAML's
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: FBT001, FBT002, ARG002 - PyYAML's
        super().increase_indent(flow, False)


def requirements(distribution: str, version: str) -> str:
    """What the program needs."""
    return f"{distribution}[components]=={version}\n"


def project(name: str, prefix: str, alias: str) -> str:
    """`Pulumi.yaml`: what all environments share."""
    return (
        "# Written by `rollback init`; docs/settings.md of rollback-cli says what each setting means.\n"
        f"name: {name}\n"
        f"description: What {prefix} needs so that a bad release can be rolled back\n"
        "runtime: python\n"
        "options:\n"
        "  # Without a refresh, a change to any other property of an alias would undo a rollback.\n"
        "  refresh: always\n"
        f"config:\n{_indented({'prefix': prefix, 'alias': alias})}"
    )


def environment(name: str, account: str, region: str, environment: str, settings: Mapping[str, Any]) -> str:
    """`Pulumi.<environment>.yaml`: what one of them is. `name` is the project's."""
    config = {
        "aws:region": region,
        "aws:allowedAccountIds": [account],
        **{f"{name}:{key}": value for key, value in settings.items()},
    }
    return (
        f"# Written by `rollback init`. When functions come or go: rollback catalogue sync --env {environment}\n"
        f"config:\n{_indented(config)}"
    )


def with_setting(text: str, name: str, setting: str, value: Any) -> str | None:
    """An environment's file with another value of a setting, all else as it is; None where it does not have it.

    `name` is the project's.
    """
    key = f"{name}:{setting}"
    places = safe_yaml.lines(text)
    first = places.get(("config", key))
    if first is None:
        return None
    lines = text.splitlines(keepends=True)
    tops = {line for path, line in places.items() if len(path) == 1 or path[:-1] == ("config",)}
    after = min((line for line in tops if line > first), default=len(lines) + 1)
    # Comments and blank lines before the next setting are its own.
    while after > first + 1 and re.match(r"\s*(#|$)", lines[after - 2]):
        after -= 1
    indent = re.match(r"\s*", lines[first - 1])
    block = _dumped({key: value})
    made = "".join(f"{indent[0] if indent else ''}{line}" for line in block.splitlines(keepends=True))
    return "".join([*lines[: first - 1], made, *lines[after - 1 :]])


def _dumped(document: Mapping[str, Any]) -> str:
    text: str = yaml.dump(
        dict(document),
        Dumper=_Dumper,
        sort_keys=False,
        width=_WIDTH,
        default_flow_style=False,
        allow_unicode=True,
    )
    return text


def _indented(document: Mapping[str, Any]) -> str:
    return "".join(f"  {line}" for line in _dumped(document).splitlines(keepends=True))
