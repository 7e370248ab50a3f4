"""`rollback status` and `verify`: what is deployed now, what is in flight, and whether all of it is as
recorded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from rollback.actions.context import Session
from rollback.actions.emergency.journal import folder, found, identifier, reminder
from rollback.actions.recovery_options import RecoveryOption, recovery_options
from rollback.aws.account import explained
from rollback.aws.functions import alias_differs, all_at, observe, observe_alias, strangers
from rollback.core.errors import RollbackError
from rollback.integrations import git
from rollback.ledger.health import protections
from rollback.ledger.schema import Newer
from rollback.model.deployed import known
from rollback.model.messages import next_for
from rollback.model.record import Check, Record, Status, now_iso
from rollback.model.release import STACK, TERRAFORM, Freeze, Quarantine, Timeline, label, previous
from rollback.targets.aliases.recorded import Recorded, recorded

# Up to here GetAlias is affordable at 15 control-plane calls a second; it alone shows weights.
EXACT_UP_TO = 100
_RECENT = 50
# Records that wait or run.
_WAITING = (Status.PLANNED, Status.AWAITING_APPROVAL, Status.IN_PROGRESS)
# For how long an emergency is what `status` says first.
_LOUD = timedelta(days=14)


@dataclass(frozen=True, kw_only=True, slots=True)
class FunctionStatus:
    """One function now: the version that its alias points at, weights (version → share, 0 to 1) where they
    were read, what the ledger says it should be, and the release that is deployed of it (None where that is not known).
    """

    function: str
    service: str
    version: str | None
    weights: Mapping[str, float]
    expected: str | None
    release: str | None = None

    @property
    def ok(self) -> bool:
        return self.version is not None and not self.weights and self.expected in (None, self.version)


@dataclass(frozen=True, kw_only=True, slots=True)
class Service:
    """One service now: the release that is deployed, and the one that `--to previous` would give.

    `apart` maps those of its functions that are at another release to that: the service is mixed.
    """

    name: str
    stands: str | None
    previous: str | None
    functions: tuple[FunctionStatus, ...]
    quarantined: tuple[str, ...]
    apart: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class InfrastructureStatus:
    """The stack or the Terraform configuration: the commit that is deployed, where the ledger knows it, that
    commit's subject line, where this checkout has it, and the commits that are quarantined.
    """

    name: str
    stands: str | None
    says: str
    quarantined: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Overview:
    """An environment now. `holders` maps domains to the lease items (`ledger.lease`) that somebody holds.

    `emergencies` are journals on this machine that the ledger does not have, and the newest emergencies that
    it has, in words; `warnings` say what is wrong with the ledger's table as a whole.
    """

    environment: str
    account: str
    region: str
    stands: str
    services: tuple[Service, ...]
    infrastructure: tuple[InfrastructureStatus, ...]
    in_flight: tuple[Record, ...]
    holders: Mapping[str, Mapping[str, Any]]
    strangers: tuple[str, ...]
    exact: bool
    next: str
    ways: tuple[RecoveryOption, ...] = ()
    frozen: str = ""
    emergencies: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def overview(session: Session, *, exact: bool = False) -> Overview:
    """Reads what is deployed, what is in flight and what could be rolled back to."""
    settings = session.settings
    timeline = session.ledger.timeline(readable=True)
    everything = session.ledger.bars(readable=True)
    quarantines = [quarantine for quarantine in everything if isinstance(quarantine, Quarantine)]
    catalogue = settings.catalogue()
    last, damaged = _recorded(session, timeline)
    others = last.apart(catalogue, timeline.all_deployed)
    exact = exact or len(catalogue) <= EXACT_UP_TO
    around, functions = session.account.beside(
        lambda: _around(session),
        lambda name: _function_status(session, name, catalogue[name], last, exact=exact),
        catalogue,
    )
    recent = around.recent
    in_flight = tuple(record for record in recent if record.status in _WAITING)
    services = tuple(
        Service(
            name=service,
            stands=timeline.all_deployed.get(service),
            previous=_previous(timeline, service, quarantines),
            functions=tuple(status for status in functions if status.service == service),
            quarantined=tuple(
                quarantine.version for quarantine in quarantines if quarantine.service == service
            ),
            apart={name: version for name, version in others.items() if catalogue[name] == service},
        )
        for service in settings.services
    )
    return Overview(
        environment=settings.environment,
        account=settings.account,
        region=settings.region,
        stands=label(timeline.all_deployed, others),
        services=services,
        infrastructure=tuple(
            _infrastructure(session, subject, timeline, quarantines) for subject in (STACK, TERRAFORM)
        ),
        in_flight=in_flight,
        holders=around.holders,
        strangers=around.strangers,
        exact=exact,
        next=_next(settings.environment, services, in_flight),
        ways=recovery_options(
            settings, timeline, quarantines, {service.name: service.previous for service in services}, recent
        ),
        frozen=next(
            (str(quarantine) for quarantine in everything if isinstance(quarantine, Freeze)),
            "",
        ),
        emergencies=(*_left_behind(session), *_recent_emergencies(session, recent)),
        warnings=(*session.alarms, *damaged, *around.warnings),
    )


def apart(session: Session, timeline: Timeline) -> Mapping[str, str]:
    """As `deployed.apart`, of the catalogue's functions."""
    return _recorded(session, timeline)[0].apart(session.settings.catalogue(), timeline.all_deployed)


def _recorded(session: Session, timeline: Timeline) -> tuple[Recorded, list[str]]:
    """What is recorded of the functions, and in words what of it cannot be read: that hides no more than itself."""
    catalogue = session.settings.catalogue()
    try:
        return recorded(session.ledger, timeline, catalogue, catalogue), []
    except Newer:
        raise
    except RollbackError as error:
        return recorded(session.ledger, timeline, catalogue, catalogue, damaged=True), [error.what]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Around:
    """What is read while the aliases are, which the quota makes wait."""

    strangers: tuple[str, ...]
    recent: list[Record]
    holders: Mapping[str, Mapping[str, Any]]
    warnings: tuple[str, ...]


def _around(session: Session) -> _Around:
    over: list[str] = []
    holders = session.leases.holders(over)
    return _Around(
        strangers=tuple(strangers(session.account, session.settings)),
        recent=[item for item in session.ledger.history(_RECENT) if isinstance(item, Record)],
        holders=holders,
        warnings=(*over, *_unprotected(session)),
    )


def _left_behind(session: Session) -> list[str]:
    """Journals of emergencies on this machine that the ledger has not."""

    def known(path: Path) -> bool:
        try:
            return session.ledger.load(identifier(path)).adopted
        except RollbackError:
            return False

    return [
        reminder(path, session.environment)
        for path in found(folder(), session.environment, session.settings.account)
        if not known(path)
    ]


def _recent_emergencies(session: Session, recent: Sequence[Record]) -> list[str]:
    since = now_iso(session.now() - _LOUD)
    return [
        f"EMERGENCY {record.rollback_id} ({record.status}) at {record.initiated_at} by "
        f"{record.initiated_by.person}: {record.from_version} → {record.to_version}, {record.reason}"
        for record in recent
        if record.emergency and record.initiated_at > since
    ]


def _unprotected(session: Session) -> list[str]:
    """What the ledger's table lacks, as one that was restored does; nothing where it may not be described."""
    missing = protections(session.account.dynamodb, session.ledger.table.name)
    if not missing:
        return []
    return [f"{session.ledger.table.name} has no {', no '.join(missing)}: pulumi up gives it back."]


def quarantines_of(session: Session, commit: str) -> list[str]:
    """Why `commit` must not be deployed: each quarantine that covers it, in words."""
    timeline, quarantines = session.ledger.timeline(), session.ledger.quarantines()
    made = {entry.version for entry in timeline if entry.is_release and entry.commit == commit}
    return [
        f"{quarantine.service.removeprefix('@')}: {quarantine.reason}"
        + (f" ({quarantine.version})" if quarantine.version in made else "")
        for quarantine in quarantines
        if quarantine.version == commit or quarantine.version in made
    ]


def _infrastructure(
    session: Session, subject: str, timeline: Timeline, quarantines: list[Quarantine]
) -> InfrastructureStatus:
    deployed = timeline.all_deployed.get(subject)
    return InfrastructureStatus(
        name=subject.removeprefix("@"),
        stands=deployed,
        says=git.subject(session.root, deployed) if deployed else "",
        quarantined=tuple(quarantine.version for quarantine in quarantines if quarantine.service == subject),
    )


def check(session: Session) -> list[Check]:
    """Whether every alias is as the ledger says, and the parameter too. Names what is not."""
    settings = session.settings
    catalogue = settings.catalogue()
    timeline = session.ledger.timeline()
    last = recorded(session.ledger, timeline, catalogue, catalogue)

    def judged(name: str) -> tuple[str, str]:
        expected, gone = last.states.get(name), f"no alias '{settings.alias}'"
        if expected is None:
            seen = observe(session.account, name, settings.alias)
            return name, gone if seen is None else "nothing is recorded of it"
        why = alias_differs(
            session.account,
            name,
            expected.version,
            expected.code_sha256 or None,  # of where a rollback went back to, the code is not known
            expected.weights,
            gone=gone,
            otherwise="recorded is",
        )
        return name, why

    aliases = all_at(session.account.each(judged, catalogue), "stand as recorded")
    if not timeline.all_deployed:
        return [aliases]
    others = last.apart(catalogue, timeline.all_deployed)
    releases = _releases(last, catalogue, others, session.ledger.quarantines())
    return [aliases, releases, _parameter(session, label(timeline.all_deployed, others))]


def _releases(
    last: Recorded,
    services: Mapping[str, str],
    others: Mapping[str, str],
    quarantines: Sequence[Quarantine],
) -> Check:
    """Whether no function is at a release that is quarantined; it names those, and those apart from their service. Pure."""
    quarantined = {(item.service, item.version) for item in quarantines}
    found = known(last.releases)
    wrong = [
        f"{name}: {version} is quarantined"
        for name, version in found.items()
        if (services[name], version) in quarantined
    ]
    mixed = [f"{services[name]} is mixed: {name} is at {version}" for name, version in others.items()]
    detail = f"{len(found) - len(wrong)} of {len(found)} functions are at releases that may be deployed"
    return Check(check="releases", ok=not wrong, detail="; ".join([detail, *wrong[:10], *mixed[:10]]))


def _parameter(session: Session, deployed: str) -> Check:
    """Whether the SSM parameter holds what is deployed: it has no conditional write; the last writer wins."""
    name = session.settings.names.deployed_version
    with explained(f"reading the parameter {name}"):
        value = session.account.ssm.get_parameter(Name=name)["Parameter"].get("Value", "")
    what = f"it says {value}" + ("" if value == deployed else f", the ledger says {deployed}")
    return Check(check="parameter", ok=value == deployed, detail=what)


def _function_status(
    session: Session, name: str, service: str, last: Recorded, *, exact: bool
) -> FunctionStatus:
    alias = session.settings.alias
    state = last.states.get(name)
    if exact:
        pointer = observe_alias(session.account, name, alias)
        version, weights = (pointer.version, pointer.weights) if pointer else (None, {})
    else:
        seen = observe(session.account, name, alias)
        version, weights = (seen.version if seen else None), {}
    return FunctionStatus(
        function=name,
        service=service,
        version=version,
        weights=weights,
        expected=state.version if state else None,
        release=known(last.releases).get(name),
    )


def _previous(timeline: Timeline, service: str, quarantines: list[Quarantine]) -> str | None:
    try:
        return previous(timeline, [service], quarantines)[service]
    except RollbackError:
        return None


def _next(environment: str, services: tuple[Service, ...], in_flight: tuple[Record, ...]) -> str:
    running = [record for record in in_flight if record.status is Status.IN_PROGRESS]
    if running:
        return next_for(running[0])
    if in_flight:
        return next_for(in_flight[0])
    if all(service.stands is None for service in services):
        return f"rollback release record --env {environment} --version V --commit SHA"
    if any(service.previous for service in services):
        return f'rollback lambda --env {environment} --reason "…"'
    return (
        f"rollback release adopt --env {environment} --version V, then rollback lambda --env {environment} "
        "--to V, to go back to what was before the ledger"
    )
