"""What the journal of a stack's rollback says: a type for each kind of event (`model.events`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rollback.model.events import Happened
from rollback.util.process_identity import Process


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineBegan(Happened):
    """An engine was started: its process, the attempt of its CI run (`4711/attempts/2`) or empty, and
    whether it undoes (`back`).
    """

    kind = "began"
    process: Process
    run: str
    back: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineLocked(Happened):
    """The engine's lock."""

    kind = "lock"
    uuid: str


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineEnded(Happened):
    """The engine's exit code, and whether it did nothing because the stack was locked."""

    kind = "ended"
    code: int
    locked_out: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class StackResource:
    """A resource, or a part of its replacement, that an engine has finished."""

    urn: str
    op: str
    ok: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class StackChanged(Happened):
    """Finished resources of the execution."""

    kind = "changed"
    resources: tuple[StackResource, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class StackRestored(Happened):
    """Finished resources of the undo."""

    kind = "restored"
    resources: tuple[StackResource, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineUnlocked(Happened):
    """The lock of a dead engine was removed: its `holder`, HOST:PID, and the `proof` that it is dead."""

    kind = "unlocked"
    uuid: str
    holder: str
    proof: str


@dataclass(frozen=True, kw_only=True, slots=True)
class StackRenamed(Happened):
    """Resources that are renamed in the checkpoint, as in the program: URN → URN."""

    kind = "renamed"
    urns: Mapping[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class StackAdopted(Happened):
    """The resources that a dead engine had started: those now in the checkpoint, those that do not exist, and
    those of which it is unknown.
    """

    kind = "adopted"
    urns: tuple[str, ...]
    gone: tuple[str, ...]
    unknown: tuple[str, ...]
