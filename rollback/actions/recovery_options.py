"""The possible rollbacks of an environment now: to what, by which command, and how long each takes. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from rollback.config.model import Pace, Settings
from rollback.core.errors import RollbackError
from rollback.model.deployed import UNKNOWN
from rollback.model.kind import Kind
from rollback.model.record import Record, Status
from rollback.model.release import PREVIOUS, STACK, TERRAFORM, Quarantine, Timeline, label, previous_position

# Seconds of a rollback of aliases that its functions do not ask for: to start, to lock, to write it down.
_REST = 0.5


@dataclass(frozen=True, kw_only=True, slots=True)
class RecoveryOption:
    """One possible rollback: what it goes to, its RTO, and the command.

    `about` is how long it takes at Lambda's quota, in seconds, without the smoke command (None where that is
    not known beforehand); `last` how many seconds the newest completed rollback of this kind took, approval
    not counted.
    """

    kind: str
    to: str
    about: float | None
    last: float | None
    rto_seconds: int
    command: str


def recovery_options(
    settings: Settings,
    timeline: Timeline,
    quarantines: list[Quarantine],
    back: Mapping[str, str | None],
    recent: Iterable[Record],
) -> tuple[RecoveryOption, ...]:
    """The ways back. `back` is each service's previous release; `recent` are records, newest first."""
    rto, last = settings.rto, _last(recent)
    releases = {service: release for service, release in back.items() if release}
    functions = sum(len(settings.services[service]) for service in releases)
    stack = timeline.deployed(STACK) is not UNKNOWN
    some = "" if len(releases) == len(back) else f" --services {','.join(releases)}"
    found: list[tuple[str, str, str, float | None, int]] = []
    if releases:
        about = moving(functions, settings.pace)
        found.append((f"lambda{some}", Kind.ALIASES, label(releases), about, rto.code))
    if stack:
        # The engine's own history knows which, and takes seconds to ask.
        found.append(("stack", Kind.STACK, PREVIOUS, None, rto.infrastructure))
    position = _position(timeline, quarantines) if timeline.deployed(TERRAFORM) is not UNKNOWN else None
    if position:
        found.append(("terraform", Kind.TERRAFORM, position[:12], None, rto.infrastructure))
    if not some and len(set(releases.values())) == 1 and (stack or position):
        found.append(("full", Kind.FULL, label(releases), None, rto.full))
    return tuple(
        RecoveryOption(
            kind=kind,
            to=to,
            about=about,
            last=last.get(kind),
            rto_seconds=minutes * 60,
            command=f'rollback {verb} --env {settings.environment} --reason "…"',
        )
        for verb, kind, to, about, minutes in found
    )


def moving(functions: int, pace: Pace) -> float:
    """Seconds that so many aliases take at a pace: read for the plan, moved, and read again to verify."""
    return 2 * functions / pace.reads + max(0, functions - pace.burst) / pace.writes + _REST


def _last(recent: Iterable[Record]) -> dict[str, float]:
    """The seconds of the newest completed record of each kind."""
    took: dict[str, float] = {}
    for record in recent:
        if record.status is Status.COMPLETE and record.elapsed_seconds is not None and not record.emergency:
            took.setdefault(record.kind, record.elapsed_seconds)
    return took


def _position(timeline: Timeline, quarantines: list[Quarantine]) -> str | None:
    try:
        return previous_position(timeline, TERRAFORM, quarantines)
    except RollbackError:
        return None
