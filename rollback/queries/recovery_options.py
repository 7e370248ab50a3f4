"""The rollbacks that are possible now: target, command and duration of each. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from rollback.config.model import Settings
from rollback.config.naming import DEPLOYER, ROLLBACK
from rollback.config.sections import Pace
from rollback.model import floors
from rollback.model.advice import ready
from rollback.model.deployed import UNKNOWN
from rollback.model.identity import Actor
from rollback.model.kind import Kind
from rollback.model.record import Record, Status
from rollback.model.release import (
    PREVIOUS,
    STACK,
    TERRAFORM,
    Quarantine,
    Timeline,
    is_of_drill,
    label,
    previous_position,
)
from rollback.model.situation import RecordSeen
from rollback.model.taking import Taking, taking
from rollback.util.errors import RollbackError

# The fixed cost of a rollback of aliases in seconds: start, lease and record.
_REST = 0.5
# The kind of a prepared rollback.
STANDBY = "standby"


@dataclass(frozen=True, kw_only=True, slots=True)
class RecoveryOption:
    """One possible rollback: its target, RTO and command.

    `under` is the role that it needs and `login` how to take it, if the caller does not have it (`taking.Taking`).
    `about` is its duration at Lambda's quota, in seconds, without the smoke command (None if
    unknown); `last` is the duration of the newest completed rollback of this kind in seconds, approval
    not included.
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
    """The possible rollbacks; each command does exactly what is shown, under its role. The standby comes
    first. `back` maps services to their previous release; `recent` are records, newest first, `in_flight` those that have not
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
        # The engine's history may have a newer one, but reading it takes seconds.
        found.append(("stack", Kind.STACK, PREVIOUS, None, rto.infrastructure))
    if terraform := positions[TERRAFORM]:
        found.append(("terraform", Kind.TERRAFORM, terraform[:12], None, rto.infrastructure))
    whole = not some and len(set(releases.values())) == 1 and any(positions.values())
    if whole and not _quarantined(timeline, label(releases), quarantines):
        found.append(("full", Kind.FULL, label(releases), None, rto.full))
    deployer = taking(settings, DEPLOYER, caller)
    on_call = (
        taking(settings, ROLLBACK, caller) if deployer.under else Taking()
    )  # the deployer may update aliases, too
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
    """Services without a previous release, and why. `command` would change that, empty if nothing does;
    `so` explains it; `under` and `login` are as in `RecoveryOption`.
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
    """Why deployed `services` have no previous release, grouped by reason."""
    deployed, bars = timeline.all_deployed, {(item.service, item.version) for item in quarantines}
    reasons: dict[tuple[str, str, str], list[str]] = {}
    for service in services:
        older = _older(timeline, service)
        free = next(
            (version for version in older if (service, version) not in bars and not is_of_drill(version)), ""
        )
        floor = floors.below(floors.of_timeline(timeline), {service: free} if free else {}, deployed)
        if floor:
            reason = (f"{free} is older, but {floor[service]}", "below", free)
        elif free:
            reason = (f"{free} is older, but it failed in verification", "not verified", free)
        elif older:
            reason = (f"all older releases are quarantined ({', '.join(older)})", "lift", older[0])
        else:
            reason = ("nothing older is recorded", "", "")
        reasons.setdefault(reason, []).append(service)
    env = f'--env {settings.environment} --reason "…"'
    on_call = taking(settings, ROLLBACK, caller) if taking(settings, DEPLOYER, caller).under else Taking()
    found = []
    for (why, how, version), names in reasons.items():
        some = "" if len(names) == len(settings.services) else f" --services {','.join(names)}"
        command, so, role = {
            "below": (
                f"rollback lambda{some} --to {version} --allow-below {env}",
                "to make an exception, which is recorded and needs approval",
                on_call,
            ),
            "not verified": (
                f"rollback lambda{some} --to {version} {env}",
                "if it is good after all",
                on_call,
            ),
            "lift": (
                f"rollback release lift {version}{some} {env}",
                "if the release may be deployed after all",
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
    """A service's releases recorded before the deployed one, newest first."""
    versions = [entry.version for entry in timeline if entry.is_release and service in entry.services]
    deployed = timeline.all_deployed.get(service)
    if deployed not in versions:
        return []
    after = versions[versions.index(deployed) :]
    return list(dict.fromkeys(version for version in after if version != deployed))


def moving(functions: int, pace: Pace) -> float:
    """The seconds that a number of aliases take at a pace: read for the plan, updated, and read again to verify."""
    return 2 * functions / pace.reads + max(0, functions - pace.burst) / pace.writes + _REST


def _last(recent: Iterable[Record]) -> dict[str, float]:
    """The seconds of the newest completed record of each kind."""
    took: dict[str, float] = {}
    for record in recent:
        if record.status is Status.COMPLETE and record.elapsed_seconds is not None and not record.emergency:
            took.setdefault(record.kind, record.elapsed_seconds)
    return took


def _position(timeline: Timeline, subject: str, quarantines: list[Quarantine]) -> str | None:
    """The commit that a rollback of `subject` would go to; None if there is none, or it is quarantined."""
    if timeline.deployed(subject) is UNKNOWN:
        return None
    try:
        return previous_position(timeline, subject, quarantines)
    except RollbackError:
        return None


def _quarantined(timeline: Timeline, version: str, quarantines: list[Quarantine]) -> bool:
    """Whether one of a release's commits is quarantined."""
    entry = timeline.release_of(version)
    bars = {(item.service, item.version) for item in quarantines}
    return entry is not None and any((one, entry.stands.get(one, "")) in bars for one in (STACK, TERRAFORM))
