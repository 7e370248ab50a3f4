"""What the journal of a Terraform rollback says: a type for each kind of event (`model.events`)."""

from __future__ import annotations

from dataclasses import dataclass

from rollback.model.events import Happened
from rollback.util.process_identity import Process


@dataclass(frozen=True, kw_only=True, slots=True)
class Applying(Happened):
    """An apply was started: its process, the hash of its saved plan, the kind of its changes, and its CI run's attempt
    (`4711/attempts/2`), or None.
    """

    kind = "applying"
    process: Process
    sha256: str
    towards: str
    run: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class StateLocked(Happened):
    """Terraform's lock on the state."""

    kind = "locked"
    id: str
    who: str


@dataclass(frozen=True, kw_only=True, slots=True)
class StateUnlocked(Happened):
    """The lock of a dead apply was removed: the proof that it is dead (`proof`), and what a person confirmed
    (`confirmed`, HOST:PID or the lock's id), or empty.
    """

    kind = "unlocked"
    id: str
    who: str
    process: str
    confirmed: str
    proof: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ApplyEnded(Happened):
    """The apply's exit code, whether it changed anything or did `all`, and the resulting state (`state_bucket.position`)."""

    kind = "ended"
    code: int
    touched: bool
    all: bool
    serial: str | None = None
    lineage: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class TerraformResource:
    """A resource that was created, updated or deleted; `id` if the provider has reported one."""

    address: str
    action: str
    id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class TerraformChanged(Happened):
    """Finished resources of the execution."""

    kind = "changed"
    resources: tuple[TerraformResource, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class TerraformPutBack(Happened):
    """Finished resources of the undo."""

    kind = "put-back"
    resources: tuple[TerraformResource, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Replanned(Happened):
    """The remaining changes after an interruption, and the hash of their plan."""

    kind = "replanned"
    remaining: tuple[str, ...]
    sha256: str


@dataclass(frozen=True, kw_only=True, slots=True)
class TerraformReverted(Happened):
    """The commit that is applied again."""

    kind = "reverted"
    commit: str


@dataclass(frozen=True, kw_only=True, slots=True)
class TerraformAdopted(Happened):
    """What a killed apply had created was imported into the state, or why not."""

    kind = "adopted"
    address: str
    id: str
    failed: str
