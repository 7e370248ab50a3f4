"""The text of the files that declare an environment: what `rollback init` writes, and `catalogue sync` changes. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml

from rollback.core import safe_yaml
from rollback.core.errors import UsageError

_WIDTH = 110
# What an environment's file has of `rollback init`: what it does not say again goes. Of `_SHARED` people have a part, too.
_OWN = (
    "prefix",
    "alias",
    "production",
    "declareAliases",
    "services",
    "cloudformationStacks",
    "tables",
    "repository",
    "protectedBranch",
    "gitlab",
    "people",
    "permissionSets",
    "approval",
)
_SHARED = ("naming", "rto")
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
    return _replaced(text, f"{name}:{setting}", {f"{name}:{setting}": value})


def merged(text: str, made: str, name: str) -> str:
    """An environment's file `text` as it is, with what `made` says of all that `environment` writes.

    Pulumi's own keys (`encryptionsalt`), those of people, and comments stay. `name` is the project's. Raises `UsageError`
    where one of both is no YAML.
    """
    before, after = (safe_yaml.mapping("The environment's file", one) for one in (text, made))
    there, wanted = before.get("config") or {}, dict(after["config"])
    for key in (f"{name}:{setting}" for setting in _SHARED):
        if isinstance(there.get(key), dict):
            wanted[key] = {**there[key], **wanted.get(key, {})}
    changed = {key: value for key, value in wanted.items() if _plain(there.get(key)) != _plain(value)}
    dropped = [key for key in there if key in {f"{name}:{one}" for one in _OWN} and key not in wanted]
    kept = {key: value for key, value in there.items() if key not in dropped}
    expected = {**before, "config": kept | changed}
    result = text
    for key in dropped:
        result = _replaced(result, key, {}) or result
    for key, value in changed.items():
        result = _replaced(result, key, {key: value}) or _added(result, {key: value})
    try:
        if safe_yaml.mapping("", result) == expected:
            return result
    except UsageError:
        pass
    # Written in another way than line by line: values stay, comments do not.
    return _dumped(expected)


def _plain(value: Any) -> Any:
    """A value as it compares with what Pulumi makes of it, which writes `false` as `"false"`."""
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return str(value).lower() if isinstance(value, bool) else value if value is None else str(value)


def _added(text: str, settings: Mapping[str, Any]) -> str:
    """A file with settings after those that it has."""
    places = safe_yaml.lines(text)
    if ("config",) not in places:
        end = "" if not text or text.endswith("\n") else "\n"
        return f"{text}{end}config:\n{_indented(settings)}"
    lines = text.splitlines(keepends=True)
    first = places["config",]
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    after = min(
        (line for path, line in places.items() if len(path) == 1 and line > first), default=len(lines) + 1
    )
    indent = next(
        (re.match(r"\s*", lines[line - 1]) for path, line in places.items() if path[:-1] == ("config",)), None
    )
    made = _at(indent[0] if indent else "  ", settings)
    return "".join([*lines[: after - 1], made, *lines[after - 1 :]])


def _replaced(text: str, key: str, made: Mapping[str, Any]) -> str | None:
    """A file with other settings in the place of the one that is `key`; None where it does not have that."""
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
    return "".join([*lines[: first - 1], _at(indent[0] if indent else "", made), *lines[after - 1 :]])


def _at(indent: str, settings: Mapping[str, Any]) -> str:
    block = _dumped(settings) if settings else ""
    return "".join(f"{indent}{line}" for line in block.splitlines(keepends=True))


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
