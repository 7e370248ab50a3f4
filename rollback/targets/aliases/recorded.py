"""The last recorded state of each function: its alias, and its deployed release.

Functions of a service may be at different releases: one excluded from a rollback stays at its release. So what is deployed
is read per function, from the newest record that wrote it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from rollback.ledger.repository import Ledger
from rollback.model.alias_moves import Move, deployed_versions, left_to_others, states
from rollback.model.composite_plan import Piece, events_of, parts
from rollback.model.deployed import UNKNOWN, Deployed, apart
from rollback.model.kind import Kind
from rollback.model.plan import Plan
from rollback.model.record import DeployedVersion, Event
from rollback.model.release import Entry, Timeline, label
from rollback.util.errors import Code, RollbackError, UsageError


@dataclass(frozen=True, kw_only=True, slots=True)
class Recorded:
    """`states` maps functions to their last recorded alias, `releases` to their deployed release
    (unknown if an unrecorded version was found). Functions without a record are in neither.
    """

    states: Mapping[str, DeployedVersion]
    releases: Mapping[str, Deployed]

    def apart(self, services: Mapping[str, str], deployed: Mapping[str, Deployed]) -> dict[str, str]:
        """Like `deployed.apart`."""
        return apart(self.releases, services, deployed)


class LostRecord(UsageError):
    """The timeline has the end of a rollback, but its record is missing, as after a loss of the table."""

    code_default = Code.UNKNOWN_ROLLBACK


def recorded(
    ledger: Ledger,
    timeline: Timeline,
    functions: Iterable[str],
    services: Mapping[str, str],
    *,
    damaged: bool = False,
) -> Recorded:
    """What the newest records have about `functions`. `services` maps function names to services.

    Raises `RollbackError` naming a damaged record (`LostRecord` if it is missing). If `damaged` allows it, such a record is skipped, and
    the releases of its services' functions are unknown.
    """
    wanted = set(functions)
    found: dict[str, DeployedVersion] = {}
    releases: dict[str, Deployed] = {}
    for entry in timeline:
        if not wanted:
            break
        about = {name for name in wanted if services[name] in entry.services}
        if not about:
            continue
        try:
            written, deployed = _written_by(ledger, entry, services)
        except RollbackError as error:
            if damaged:
                releases |= {name: UNKNOWN for name in about if name not in releases}
                continue
            error.next = "\n".join(filter(None, (error.next, *_without(error, ledger, timeline, services))))
            raise
        for name in about:
            if name in written:
                found.setdefault(name, written[name])
            if name in deployed and name not in releases:
                version, release = deployed[name]
                # An undo may have ended at an unrecorded version.
                same = name not in found or found[name].version == version
                releases[name] = release if same else UNKNOWN
        wanted -= found.keys() & releases.keys()
    return Recorded(states=found, releases=releases)


def _without(
    error: RollbackError, ledger: Ledger, timeline: Timeline, services: Mapping[str, str]
) -> Iterator[str]:
    """The commands that do without a damaged record."""
    env = ledger.environment
    yield f'rollback lambda --env {env} --adopt-current --to V --reason "…"  # rolls back to the release V without that record'
    if not isinstance(error, LostRecord):
        return
    deployed = {timeline.all_deployed.get(service) for service in services.values()}
    entry = timeline.release_of(str(*deployed)) if len(deployed) == 1 else None
    bad = {quarantine.version for quarantine in ledger.quarantines(readable=True)}
    if entry is not None and entry.commit and entry.version not in bad:
        yield (
            f"rollback release record --env {env} --version {entry.version} --commit {entry.commit}  # under the "
            "deployer role: or records that this release is deployed"
        )


def deployed_label(ledger: Ledger, timeline: Timeline, services: Mapping[str, str]) -> str:
    """What is deployed now, as a `release.label`. `services` is the catalogue: function → service."""
    found = recorded(ledger, timeline, services, services, damaged=True)
    return label(timeline.all_deployed, found.apart(services, timeline.all_deployed))


def moved_to(plan: Plan[Move], events: Iterable[Event]) -> dict[str, Deployed]:
    """Function → the release that a rollback set it to; unknown if somebody else has changed it since. Pure."""
    journal = list(events)
    known, others = states(plan, journal), left_to_others(journal)
    return {
        step.function: UNKNOWN if step.function in others else plan.targets[step.service]
        for step in plan.steps
        if known[step.function].moved
    }


def _written_by(
    ledger: Ledger, entry: Entry, services: Mapping[str, str]
) -> tuple[Mapping[str, DeployedVersion], Mapping[str, tuple[str, Deployed]]]:
    """The aliases written by an entry's record, and function → (version, release) where known."""
    if entry.kind == "rollback":
        try:
            opened = ledger.load(entry.id)
        except UsageError as error:
            raise LostRecord(
                f"The record of rollback {entry.id} is missing, although the timeline has its end.",
                next=f"rollback audit --env {ledger.environment}  # names what is missing",
            ) from error
        plan: Plan[Move]
        events: Iterable[Event] = opened.events
        if opened.record.kind == Kind.FULL:
            plan = parts(opened.plan(Piece))[Kind.ALIASES]
            events = events_of(plan, events)
        else:
            plan = opened.plan(Move)
        written = deployed_versions(plan, events)
        return written, {
            name: (written[name].version, release) for name, release in moved_to(plan, events).items()
        }
    if not entry.is_release:
        return {}, {}
    manifest = ledger.recorded_release(entry).manifest
    deployed = {
        name: (one.version, entry.version)
        for name, one in manifest.items()
        if entry.stands.get(services.get(name, "")) == entry.version
    }
    # An adoption writes no alias.
    return (manifest if entry.kind == "deployment" else {}), deployed
