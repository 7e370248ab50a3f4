"""Quarantines releases, so that they are not deployed again, and lifts quarantines, each with a
reason.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from rollback.lifecycle.context import Session
from rollback.model.grouping import together
from rollback.model.messages import checked_reason
from rollback.model.release import Entry, Quarantine, Timeline, checked_version
from rollback.util.errors import Code, Refused, UsageError

_SHA = re.compile(r"[0-9a-f]{40}")
_HEX = re.compile(r"[0-9a-f]{7,40}")
_ABBREVIATED = 7


def quarantine(session: Session, version: str, services: Sequence[str], reason: str) -> list[str]:
    """Quarantines a recorded release for `services` (empty: all that it contains). Returns those
    quarantined.
    """
    reason = checked_reason(reason)
    entry = _known(session.ledger.timeline(readable=True), version, session.environment)
    chosen = _chosen(session, entry, services)
    at = session.clocks.now()
    quarantines = [
        Quarantine(service=service, version=version, reason=reason, by=session.caller, at=at)
        for service in chosen
    ]
    session.ledger.append(manual_entry(session, "quarantine", version, reason, at), quarantines=quarantines)
    return chosen


def covering(session: Session, commit: str) -> list[Quarantine]:
    """The quarantines that forbid deploying `commit`: its own, or those of a release made from
    it. `commit` has 7 to 40 hexadecimal digits.
    """
    made = {
        entry.version
        for entry in session.ledger.timeline()
        if entry.is_release and _services_meant(commit, entry.commit)
    }
    return [
        quarantine
        for quarantine in session.ledger.quarantines()
        if _services_meant(commit, quarantine.version) or quarantine.version in made
    ]


def why(quarantines: Sequence[Quarantine]) -> str:
    """What is quarantined, and why."""
    return "; ".join(
        together(
            (item.service.removeprefix("@"), f"{item.reason} ({_short(item.version)})")
            for item in quarantines
        )
    )


def lifting(quarantines: Sequence[Quarantine], environment: str) -> list[str]:
    """The commands that lift these quarantines."""
    return [
        f'rollback release lift {_short(version)} --env {environment} --reason "…"'
        for version in dict.fromkeys(item.version for item in quarantines)
    ]


def _short(version: str) -> str:
    """A release's name; or the first digits of a commit, which are enough to lift it."""
    return version[:12] if _SHA.fullmatch(version) else version


def lift(session: Session, version: str, services: Sequence[str], reason: str) -> list[str]:
    """Lifts the quarantine of a release or commit. Returns the services that it was quarantined for.

    Raises `Refused` where it is not quarantined.
    """
    reason = checked_reason(reason)
    chosen = [session.settings.service(service) for service in services]
    quarantines = [
        entry
        for entry in session.ledger.quarantines()
        if _services_meant(version, entry.version) and (not chosen or entry.service in chosen)
    ]
    if not quarantines:
        made_from = covering(session, version) if _HEX.fullmatch(version) else []
        raise Refused(
            f"{version[:80]} is not quarantined{' for ' + ', '.join(chosen) if chosen else ''}"
            + (": a release made from it is." if made_from else "."),
            code=Code.NOTHING_TO_LIFT,
            next="\n".join(lifting(made_from, session.environment))
            or f"rollback release list --env {session.environment}  # what is quarantined",
        )
    session.ledger.append(
        manual_entry(session, "lift", version, reason, session.clocks.now()), lifts=quarantines
    )
    return [entry.service.removeprefix("@") for entry in quarantines]


def _services_meant(text: str, quarantined: str) -> bool:
    """Whether `text` names what is quarantined: a release by its name, a commit by its first seven digits or
    more.
    """
    return text == quarantined or (
        len(text) >= _ABBREVIATED and bool(_SHA.fullmatch(quarantined)) and quarantined.startswith(text)
    )


def _known(timeline: Timeline, version: str, environment: str) -> Entry:
    entry = timeline.release_of(checked_version(version))
    if entry is None:
        raise UsageError(
            f"No release {version!r} is recorded.",
            code=Code.UNKNOWN_RELEASE,
            next=f"rollback release list --env {environment}",
        )
    return entry


def _chosen(session: Session, entry: Entry, services: Sequence[str]) -> list[str]:
    held = [service for service in entry.services if not service.startswith("@")]
    chosen = [session.settings.service(service) for service in services] or held
    missing = [service for service in chosen if service not in held]
    if missing:
        raise Refused(f"{entry.version} does not contain {', '.join(missing)}.", code=Code.RELEASE_INCOMPLETE)
    return chosen


def manual_entry(session: Session, kind: str, version: str, reason: str, at: str) -> Entry:
    """The timeline entry of a manual action, which does not change what is deployed. The ledger adds its number."""
    return Entry(
        seq=0,
        kind=kind,
        id=session.clocks.identifier(),
        version=version,
        at=at,
        by=session.caller,
        services=(),
        stands={},
        covers="",
        status=reason,
    )
