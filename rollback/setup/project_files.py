"""The texts of the files that declare an environment, which `rollback init` writes and `catalogue sync` changes. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml

from rollback.util import safe_yaml
from rollback.util.errors import UsageError

_WIDTH = 110
# The settings that `rollback init` owns in an environment's file: it removes those not proposed again. `_SHARED` ones are also edited by people.
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
    """Block style throughout, lists under their keys; without anchors."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - PyYAML's
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: FBT001, FBT002, ARG002 - PyYAML's
        super().increase_indent(flow, False)


def requirements(distribution: str, version: str) -> str:
    """The program's requirements."""
    return f"{distribution}[components]=={version}\n"


def project(name: str, prefix: str, alias: str) -> str:
    """`Pulumi.yaml`: what all environments share."""
    return (
        "# Written by `rollback init`; see docs/settings.md of rollback-cli for all settings.\n"
        f"name: {name}\n"
        f"description: Rollback of bad releases of {prefix}\n"
        "runtime: python\n"
        "options:\n"
        "  # Without a refresh, a change of any other property of an alias would undo a rollback.\n"
        "  refresh: always\n"
        f"config:\n{_indented({'prefix': prefix, 'alias': alias})}"
    )


def environment(name: str, account: str, region: str, environment: str, settings: Mapping[str, Any]) -> str:
    """`Pulumi.<environment>.yaml`: the settings of one environment. `name` is the project's."""
    config = {
        "aws:region": region,
        "aws:allowedAccountIds": [account],
        **{f"{name}:{key}": value for key, value in settings.items()},
    }
    return (
        f"# Written by `rollback init`. After adding or removing functions, run: rollback catalogue sync --env {environment}\n"
        f"config:\n{_indented(config)}"
    )


def with_setting(text: str, name: str, setting: str, value: Any) -> str | None:
    """An environment's file with a changed setting, otherwise unchanged; None if it does not have the setting.

    `name` is the project's.
    """
    return _replaced(text, f"{name}:{setting}", {f"{name}:{setting}": value})


def merged(text: str, made: str, name: str) -> str:
    """An environment's file `text`, with the settings that `environment` writes replaced by those of `made`.

    Pulumi's own keys (`encryptionsalt`), other settings, and comments are kept. `name` is the project's. Raises `UsageError`
    where one of them is not YAML.
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
    # A file in another format: values are kept, comments are not.
    return _dumped(expected)


def _plain(value: Any) -> Any:
    """A value for comparison with what Pulumi writes, which is `"false"` for `false`."""
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return str(value).lower() if isinstance(value, bool) else value if value is None else str(value)


def _added(text: str, settings: Mapping[str, Any]) -> str:
    """A file with settings appended to its own."""
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
    """A file with the setting `key` replaced; None if it does not have it."""
    places = safe_yaml.lines(text)
    first = places.get(("config", key))
    if first is None:
        return None
    lines = text.splitlines(keepends=True)
    tops = {line for path, line in places.items() if len(path) == 1 or path[:-1] == ("config",)}
    after = min((line for line in tops if line > first), default=len(lines) + 1)
    # Comments and blank lines before the next setting belong to that one.
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
