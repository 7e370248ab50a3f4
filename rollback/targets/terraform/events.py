"""What the journal of a Terraform rollback says: a type for each kind of event (`model.events`)."""

from __future__ import annotations

from dataclasses import dataclass

from rollback.core.process_identity import Process
from rollback.model.events import Happened


@dataclass(frozen=True, kw_only=True, slots=True)
class Applying(Happened):
    """An apply runs: its process, the hash of its saved plan, the kind of its changes, and its CI run's attempt
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
    """The lock of a dead apply is removed: why it is known to be dead (`proof`), and what a person says is dead
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
    """Its exit code, whether it touched anything or did `all`, and the state that it left (`state_bucket.position`)."""

    kind = "ended"
    code: int
    touched: bool
    all: bool
    serial: str | None = None
    lineage: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class TerraformResource:
    """A resource that was created, updated or deleted; `id` where the provider has told one."""

    address: str
    action: str
    id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class TerraformChanged(Happened):
    """Resources on the way to the commit."""

    kind = "changed"
    resources: tuple[TerraformResource, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class TerraformPutBack(Happened):
    """Resources while it is undone."""

    kind = "put-back"
    resources: tuple[TerraformResource, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Replanned(Happened):
    """What was left after an interruption, and the hash of the plan for it."""

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
    """What a killed apply had made is in the state now, or why it is not."""

    kind = "adopted"
    address: str
    id: str
    failed: str
