"""The possible rollbacks of an environment now: to what, by which command, and how long each takes. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from rollback.config.model import Settings
from rollback.config.naming import DEPLOYER, ROLLBACK
from rollback.config.sections import Pace
from rollback.core.errors import RollbackError
from rollback.model import floors
from rollback.model.advice import ready
from rollback.model.deployed import UNKNOWN
from rollback.model.identity import Actor
from rollback.model.kind import Kind
from rollback.model.record import Record, Status
from rollback.model.release import PREVIOUS, STACK, TERRAFORM, Quarantine, Timeline, label, previous_position
from rollback.model.situation import RecordSeen
from rollback.model.taking import Taking, taking

# Seconds of a rollback of aliases that its functions do not ask for: to start, to lock, to write it down.
_REST = 0.5
# The kind of the way back that is planned already.
STANDBY = "standby"


@dataclass(frozen=True, kw_only=True, slots=True)
class RecoveryOption:
    """One possible rollback: what it goes to, its RTO, and the command.

    `under` is the role that it needs and `login` how the caller takes it, where it is not theirs (`taking.Taking`).
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
    under: str = ""
    login: str = ""


def recovery_options(
    settings: Settings,
    timeline: Timeline,
    quarantines: list[Quarantine],
    back: Mapping[str, str | None],
    recent: Iterable[Record],
    *,
    caller: Actor,
    in_flight: Iterable[RecordSeen] = (),
) -> tuple[RecoveryOption, ...]:
    """The ways back, each of which is sure to be taken by the command as it is typed, under its role; the one on standby
    first. `back` is each service's previous release; `recent` are records, newest first, `in_flight` those that have not
    ended.
    """
    rto, last = settings.rto, _last(recent)
    releases = {service: release for service, release in back.items() if release}
    functions = sum(len(settings.services[service]) for service in releases)
    some = "" if len(releases) == len(back) else f" --services {','.join(releases)}"
    found: list[tuple[str, str, str, float | None, int]] = []
    if releases:
        about = moving(functions, settings.pace)
        found.append((f"lambda{some}", Kind.ALIASES, label(releases), about, rto.code))
    positions = {subject: _position(timeline, subject, quarantines) for subject in (STACK, TERRAFORM)}
    if positions[STACK]:
        # The engine's own history may have a newer one, and takes seconds to ask.
        found.append(("stack", Kind.STACK, PREVIOUS, None, rto.infrastructure))
    if terraform := positions[TERRAFORM]:
        found.append(("terraform", Kind.TERRAFORM, terraform[:12], None, rto.infrastructure))
    whole = not some and len(set(releases.values())) == 1 and any(positions.values())
    if whole and not _quarantined(timeline, label(releases), quarantines):
        found.append(("full", Kind.FULL, label(releases), None, rto.full))
    deployer = taking(settings, DEPLOYER, caller)
    on_call = (
        taking(settings, ROLLBACK, caller) if deployer.under else Taking()
    )  # who deploys moves aliases, too
    options = [
        RecoveryOption(
            kind=STANDBY,
            to=seen.record.to_version,
            about=moving(len(settings.catalogue()), settings.pace),
            last=None,
            rto_seconds=rto.code * 60,
            command=take.command,
            under=on_call.under,
            login=on_call.login,
        )
        for seen in in_flight
        if (take := ready([seen])) is not None
    ]
    options += [
        RecoveryOption(
            kind=kind,
            to=to,
            about=about,
            last=last.get(kind),
            rto_seconds=minutes * 60,
            command=f'rollback {verb} --env {settings.environment} --reason "…"',
            under=role.under,
            login=role.login,
        )
        for verb, kind, to, about, minutes in found
        for role in (on_call if kind == Kind.ALIASES else deployer,)
    ]
    return tuple(options)


@dataclass(frozen=True, kw_only=True, slots=True)
class NoWayBack:
    """Services that have no release to go back to, and why. `command` is what changes that, empty where nothing does,
    and `so` says how; `under` and `login` are as in `RecoveryOption`.
    """

    services: tuple[str, ...]
    why: str
    command: str = ""
    so: str = ""
    under: str = ""
    login: str = ""


def no_way_back(
    settings: Settings,
    timeline: Timeline,
    quarantines: list[Quarantine],
    services: Iterable[str],
    *,
    caller: Actor,
) -> tuple[NoWayBack, ...]:
    """Why `services`, of which each is deployed and has no previous release, have none: the same reason once."""
    deployed, bars = timeline.all_deployed, {(item.service, item.version) for item in quarantines}
    reasons: dict[tuple[str, str, str], list[str]] = {}
    for service in services:
        older = _older(timeline, service)
        free = next((version for version in older if (service, version) not in bars), "")
        floor = floors.below(floors.of_timeline(timeline), {service: free} if free else {}, deployed)
        if floor:
            reason = (f"{free} is older, and {floor[service]}", "below", free)
        elif older:
            reason = (f"all older releases are quarantined ({', '.join(older)})", "lift", older[0])
        else:
            reason = ("nothing older is recorded", "", "")
        reasons.setdefault(reason, []).append(service)
    env = f'--env {settings.environment} --reason "…"'
    found = []
    for (why, how, version), names in reasons.items():
        some = "" if len(names) == len(settings.services) else f" --services {','.join(names)}"
        command, so, role = {
            "below": (
                f"rollback lambda{some} --to {version} --allow-below {env}",
                "an exception that is recorded and approved",
                taking(settings, ROLLBACK, caller) if taking(settings, DEPLOYER, caller).under else Taking(),
            ),
            "lift": (
                f"rollback release lift {version}{some} {env}",
                "where it may be deployed after all",
                taking(settings, DEPLOYER, caller),
            ),
        }.get(how, ("", "", Taking()))
        found.append(
            NoWayBack(
                services=tuple(names), why=why, command=command, so=so, under=role.under, login=role.login
            )
        )
    return tuple(found)


def _older(timeline: Timeline, service: str) -> list[str]:
    """The releases of a service that were recorded before the deployed one, newest first."""
    versions = [entry.version for entry in timeline if entry.is_release and service in entry.services]
    deployed = timeline.all_deployed.get(service)
    if deployed not in versions:
        return []
    after = versions[versions.index(deployed) :]
    return list(dict.fromkeys(version for version in after if version != deployed))


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


def _position(timeline: Timeline, subject: str, quarantines: list[Quarantine]) -> str | None:
    """The commit that a rollback of `subject` would go to; None where there is none, or it may not."""
    if timeline.deployed(subject) is UNKNOWN:
        return None
    try:
        return previous_position(timeline, subject, quarantines)
    except RollbackError:
        return None


def _quarantined(timeline: Timeline, version: str, quarantines: list[Quarantine]) -> bool:
    """Whether a release has a commit that must not be deployed."""
    entry = timeline.release_of(version)
    bars = {(item.service, item.version) for item in quarantines}
    return entry is not None and any((one, entry.stands.get(one, "")) in bars for one in (STACK, TERRAFORM))
