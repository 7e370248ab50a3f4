"""What the journal of a stack's rollback says: a type for each kind of event (`model.events`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rollback.core.process_identity import Process
from rollback.model.events import Happened


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineBegan(Happened):
    """An engine runs: its process, the attempt of a CI run that it belongs to (`4711/attempts/2`) or empty, and
    whether it goes `back`.
    """

    kind = "began"
    process: Process
    run: str
    back: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineLocked(Happened):
    """The lock that it holds."""

    kind = "lock"
    uuid: str


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineEnded(Happened):
    """Its exit code, and whether it did nothing because of another's lock."""

    kind = "ended"
    code: int
    locked_out: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class StackResource:
    """A resource, or a part of its replacement, that an engine is through with."""

    urn: str
    op: str
    ok: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class StackChanged(Happened):
    """Resources on the way to the commit."""

    kind = "changed"
    resources: tuple[StackResource, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class StackRestored(Happened):
    """Resources while it is undone."""

    kind = "restored"
    resources: tuple[StackResource, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineUnlocked(Happened):
    """The lock of a dead engine is removed: its `holder`, HOST:PID, and the `proof` that it is dead."""

    kind = "unlocked"
    uuid: str
    holder: str
    proof: str


@dataclass(frozen=True, kw_only=True, slots=True)
class StackRenamed(Happened):
    """Resources that get another name in the checkpoint, as the same objects have in the program: URN → URN."""

    kind = "renamed"
    urns: Mapping[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class StackAdopted(Happened):
    """The resources that a dead engine had begun: those now in the checkpoint, those that were not there, and
    those of which nobody knows.
    """

    kind = "adopted"
    urns: tuple[str, ...]
    gone: tuple[str, ...]
    unknown: tuple[str, ...]
