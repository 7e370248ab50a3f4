"""Reads configuration files within limits, and parses YAML as Pulumi does.

A file from outside must neither block the command nor fill its memory: a pipe, a device, a
link out of the checkout, or a text that expands endlessly through anchors.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import yaml

from rollback.util import bounded_file
from rollback.util.errors import Code, UsageError

# A catalogue of 5,000 functions needs half of that.
MAX_BYTES = 400_000
# The most values in a document, after expanding anchors.
_MAX_VALUES = 100_000


def read(path: Path, root: Path, *, next: str = "") -> str:  # noqa: A002 - the word of RollbackError
    """The text of a regular file below `root`. Raises `UsageError`, with what to type `next`, otherwise."""

    def refused(why: str) -> UsageError:
        return UsageError(f"{path.name} cannot be read: {why}.", code=Code.SETTINGS_INVALID, next=next)

    home, leads = os.path.realpath(root), os.path.realpath(path)
    if os.path.commonpath([home, leads]) != home:
        raise refused(f"it is a link that leads out of the checkout, to {leads}")
    try:
        found = bounded_file.content(path, MAX_BYTES)
    except bounded_file.UnreadableFile as error:
        raise refused(str(error)) from None
    try:
        return found.decode()
    except UnicodeDecodeError as error:
        raise refused(f"it is not UTF-8 (byte {error.start})") from None


def mapping(name: str, text: str, *, tags: bool = False) -> dict[Any, Any]:
    """Parses a YAML mapping; an empty text is an empty one. Raises `UsageError` for anything else.

    With `tags` a value with a custom tag, like `!Ref` in a CloudFormation template, becomes None instead of an error.
    """
    try:
        loader = (_WithTags if tags else _Loader)(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return {}
            if _size(node, {}) > _MAX_VALUES:
                raise UsageError(
                    f"{name} has more than {_MAX_VALUES:,} values after expanding its anchors.",
                    code=Code.SETTINGS_INVALID,
                )
            document = loader.construct_document(node)
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" (line {mark.line + 1})" if mark else ""
        problem = getattr(error, "problem", None) or getattr(error, "reason", "")
        raise UsageError(f"{name} is not valid YAML{where}: {problem}.", code=Code.SETTINGS_INVALID) from None
    except RecursionError:
        raise UsageError(f"{name} is nested too deeply.", code=Code.SETTINGS_INVALID) from None
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        # PyYAML's error for a value that does not match its type: 2024-99-99, !!bool x.
        raise UsageError(f"{name} has an invalid value: {error}.", code=Code.SETTINGS_INVALID) from None
    if not isinstance(document, dict):
        raise UsageError(f"{name} must be a mapping.", code=Code.SETTINGS_INVALID)
    return document


def lines(text: str) -> dict[tuple[str | int, ...], int]:
    """The line, from 1, of every key and item of a YAML mapping, by its path: `{("config", "a", 0): 3}`.

    Anchors are not expanded. Empty if the text is not valid YAML.
    """
    found: dict[tuple[str | int, ...], int] = {}

    def walk(node: yaml.Node, path: tuple[str | int, ...]) -> None:
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                found[*path, key.value] = key.start_mark.line + 1
                walk(value, (*path, key.value))
        elif isinstance(node, yaml.SequenceNode):
            for number, item in enumerate(node.value):
                found[*path, number] = item.start_mark.line + 1
                walk(item, (*path, number))

    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is not None and _size(node, {}) <= _MAX_VALUES:
            walk(node, ())
    except (yaml.YAMLError, RecursionError):
        return {}
    finally:
        loader.dispose()
    return found


def _size(node: yaml.Node, known: dict[int, int]) -> int:
    """The number of a node's values after expanding anchors. Cheap: each node is visited once."""
    if id(node) not in known:
        known[id(node)] = 0
        parts = node.value if isinstance(node, yaml.CollectionNode) else []
        inner = [part for each in parts for part in (each if isinstance(each, tuple) else (each,))]
        known[id(node)] = 1 + sum(_size(part, known) for part in inner)
    elif not known[id(node)]:
        raise yaml.constructor.ConstructorError(None, None, "an anchor that contains itself", node.start_mark)
    return known[id(node)]


class _Loader(yaml.SafeLoader):
    """YAML as the engine reads it: a duplicate key is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 - PyYAML's
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"duplicate key '{key.value}'", key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


class _WithTags(_Loader):
    """Also accepts custom tags."""


_WithTags.add_multi_constructor("!", lambda _loader, _tag, _node: None)
