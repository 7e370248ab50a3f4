"""The rooms: a folder for each feature around the core, with its verbs, its part of the API and its calls.

The core names a room in two places only: here, and where `Environment` has a property of it. Without both and the
folder, the rest works. A room's package has a constant `ROOM`; all else in it is imported when it is used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from typing import Any

ROOMS = (
    "releases",
    "reports",
    "readiness",
    "rehearsal",
    "guard",
    "emergency",
    "setup",
    "ci",
    "notify",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Room:
    """What a room adds. Functions are named `module:function`, below `rollback`.

    `verbs` maps a group of verbs (`rollback` for none) to its verbs, each with its function and its line of help;
    `groups` has the lines of help of the room's own groups. `hooks` are functions that the core calls by name where a
    room has one.
    """

    verbs: Mapping[str, Mapping[str, tuple[str, str]]] = field(default_factory=dict)
    groups: Mapping[str, str] = field(default_factory=dict)
    hooks: Mapping[str, str] = field(default_factory=dict)


@cache
def rooms() -> tuple[Room, ...]:
    """All rooms, in the order of `ROOMS`."""
    return tuple(import_module(f"rollback.{name}").ROOM for name in ROOMS)


def function(where: str) -> Callable[..., Any]:
    """The function that a room names."""
    module, _, name = where.partition(":")
    found: Callable[..., Any] = getattr(import_module(f"rollback.{module}"), name)
    return found


def hooked(name: str) -> list[Callable[..., Any]]:
    """The functions that rooms have for a hook of this name."""
    return [function(room.hooks[name]) for room in rooms() if name in room.hooks]
