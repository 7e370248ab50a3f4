"""`rollback status`: what is deployed now, what is running, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

from rollback.aws.functions import observe, observe_alias, strangers
from rollback.config.naming import BREAK_GLASS, DEPLOYER, DRILL
from rollback.engines import git
from rollback.ledger.health import protections
from rollback.ledger.schema import Bar, Newer
from rollback.lifecycle.context import Session
from rollback.model.advice import Advice, advise
from rollback.model.deployed import known
from rollback.model.record import Record, now_iso
from rollback.model.release import STACK, TERRAFORM, Freeze, Quarantine, Timeline, label, previous
from rollback.model.situation import FunctionStatus, RecordSeen, Service, Situation, State
from rollback.model.taking import taking
from rollback.queries import situation
from rollback.queries.recovery_options import (
    NoWayBack,
    RecoveryOption,
    no_way_back,
    recovery_options,
)
from rollback.rooms import hooked
from rollback.targets.aliases.recorded import LostRecord, Recorded, recorded
from rollback.util.errors import RollbackError
from rollback.util.times import shown_time

# Up to this many functions GetAlias, which alone shows weights, is fast enough at 15 calls a second.
EXACT_UP_TO = 100
_RECENT = 50
# A function's version (None without an alias) and its weights, if read.
Pointer = tuple[str | None, Mapping[str, float]]
T = TypeVar("T")
# How long `status` shows an emergency first.
_LOUD = timedelta(days=14)


@dataclass(frozen=True, kw_only=True, slots=True)
class InfrastructureStatus:
    """The stack or the Terraform configuration: the deployed commit, if the ledger has it, that
    commit's subject line, if this checkout has it, and the quarantined commits.
    """

    name: str
    stands: str | None
    says: str
    quarantined: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Overview:
    """The current state of an environment. `holders` maps domains to lease items (`ledger.lease`); `in_flight`
    are the records that wait, run, or failed and were not superseded. `advice` has the state, the most urgent
    first, and what to type next. `ways` are the possible rollbacks, if nothing must be done before;
    `no_way_back` are the services without one, and why.

    `emergencies` are texts about journals on this machine that are not imported, and about recent emergencies;
    `warnings` are problems of the ledger's table as a whole. `exact`: weights were read;
    `pending`: they are being read. `at` is when (ISO 8601 in UTC).
    """

    environment: str
    account: str
    region: str
    stands: str
    services: tuple[Service, ...]
    infrastructure: tuple[InfrastructureStatus, ...]
    in_flight: tuple[RecordSeen, ...]
    holders: Mapping[str, Mapping[str, Any]]
    strangers: tuple[str, ...]
    exact: bool
    advice: tuple[Advice, ...]
    pending: bool = False
    ways: tuple[RecoveryOption, ...] = ()
    no_way_back: tuple[NoWayBack, ...] = ()
    frozen: Freeze | None = None
    emergencies: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    at: str = ""


def overview(
    session: Session,
    *,
    exact: bool = False,
    early: Callable[[Overview], object] | None = None,
    sparing: Callable[[], object] | None = None,
) -> Overview:
    """Reads what is deployed, what is running and what could be rolled back to.

    With `sparing`, which is called before each function is read, nothing uses the control plane's quota:
    no weights, no functions outside the catalogue, no check whether a waiting plan could still be applied.

    `early` receives a first version without weights (`pending`), if weights are read: these use the
    control plane's quota of 15 calls a second, versions only GetFunction's of 100.
    """
    settings, account = session.settings, session.account
    timeline = session.ledger.timeline(readable=True)
    timeline.newest  # noqa: B018 - what is recorded is read before what is deployed: what ends meanwhile is no drift
    catalogue = settings.catalogue()
    exact = sparing is None and (exact or len(catalogue) <= EXACT_UP_TO)

    def pointers(*, exact: bool) -> list[Callable[[], Any]]:
        return [partial(_pointer, session, name, exact=exact, first=sparing) for name in catalogue]

    around: Callable[[], Any] = partial(_around, session, timeline)
    beside: Callable[[], Any] = _Beside if sparing is not None else partial(_beside, session)
    with account.workers() as pool:
        if exact and early is not None:
            first = pool.map(_call, [around, *pointers(exact=False)])
            later = pool.map(_call, [beside, *pointers(exact=True)])
            ledger, *seen = first
            early(
                _assembled(
                    session, timeline, ledger, _Beside(), seen, exact=False, pending=True, ledger_only=True
                )
            )
            more, *seen = later
        else:
            ledger, more, *seen = pool.map(_call, [around, beside, *pointers(exact=exact)])
    return _assembled(session, timeline, ledger, more, seen, exact=exact, ledger_only=sparing is not None)


def _call(task: Callable[[], T]) -> T:
    return task()


def _assembled(
    session: Session,
    timeline: Timeline,
    around: _Around,
    beside: _Beside,
    pointers: Sequence[Pointer],
    *,
    exact: bool,
    ledger_only: bool,
    pending: bool = False,
) -> Overview:
    """The overview, from the aliases' versions; `ledger_only` as in `situation.record_seen`."""
    settings, catalogue = session.settings, session.settings.catalogue()
    everything, last = around.bars, around.last
    quarantines = _quarantines(everything)
    others = last.apart(catalogue, timeline.all_deployed)
    recent = around.recent
    held = situation.leases(session, around.holders)
    in_flight = situation.found_records(session, recent, held, timeline, ledger_only=ledger_only)
    found = [
        _function_status(name, service, pointer, last)
        for (name, service), pointer in zip(catalogue.items(), pointers, strict=True)
    ]
    functions = situation.explained(session, in_flight, found)
    frozen = next((quarantine for quarantine in everything if isinstance(quarantine, Freeze)), None)
    services = tuple(
        Service(
            name=service,
            stands=timeline.all_deployed.get(service),
            previous=around.previous[service],
            functions=tuple(status for status in functions if status.service == service),
            quarantined=tuple(
                quarantine.version for quarantine in quarantines if quarantine.service == service
            ),
            apart={name: version for name, version in others.items() if catalogue[name] == service},
        )
        for service in settings.services
    )
    seen, releases, bad = situation.compared(session, timeline, services, quarantines)
    advice = advise(
        Situation(
            environment=settings.environment,
            person=session.caller.person,
            ledger=State.LEDGER_BEHIND if session.watch and session.watch.behind else State.HEALTHY,
            damaged=(*(() if around.lost else around.damaged), *session.ledger.notices),
            lost=tuple(around.damaged) if around.lost else (),
            trail=session.watch.unreadable if session.watch else "",
            frozen=frozen,
            leases=held,
            records=in_flight,
            services=seen,
            releases=releases,
            bad=bad,
            break_glass=str(taking(settings, BREAK_GLASS, session.caller)),
            deployer=str(taking(settings, DEPLOYER, session.caller)),
            driller=str(taking(settings, DRILL, session.caller)),
            drills=settings.drills,
            journals=tuple(str(one.path) for one in around.journals),
        )
    )
    bound = frozen is not None and frozen.binds(session.caller.person)
    idle = (State.STANDBY, State.REVERTED)
    calm = not bound and not any(each.steps for each in advice if each.state not in idle)
    return Overview(
        environment=settings.environment,
        account=settings.account,
        region=settings.region,
        at=session.clocks.now(),
        stands=label(timeline.all_deployed, others),
        services=services,
        infrastructure=tuple(
            _infrastructure(session, subject, timeline, quarantines) for subject in (STACK, TERRAFORM)
        ),
        in_flight=in_flight,
        holders=around.holders,
        strangers=beside.strangers,
        exact=exact,
        pending=pending,
        advice=advice,
        # If something must be done first, these would be refused, or go too far.
        ways=recovery_options(
            settings,
            timeline,
            quarantines,
            {service.name: service.previous for service in services},
            recent,
            caller=session.caller,
            in_flight=in_flight,
        )
        if calm
        else (),
        no_way_back=no_way_back(
            settings,
            timeline,
            quarantines,
            [service.name for service in services if service.stands and service.previous is None],
            caller=session.caller,
        )
        if calm
        else (),
        frozen=frozen,
        emergencies=(
            *(one.reminder for one in around.journals),
            *_recent_emergencies(session, recent),
        ),
        warnings=(*session.alarms, *around.damaged, *around.over, *beside.warnings),
    )


def apart(session: Session, timeline: Timeline) -> Mapping[str, str]:
    """`deployed.apart` for the catalogue's functions."""
    return _recorded(session, timeline)[0].apart(session.settings.catalogue(), timeline.all_deployed)


def _recorded(session: Session, timeline: Timeline) -> tuple[Recorded, list[str], bool]:
    """What is recorded of the functions, texts about what could not be read, and whether that is a lost record."""
    catalogue = session.settings.catalogue()
    try:
        return recorded(session.ledger, timeline, catalogue, catalogue), [], False
    except Newer:
        raise
    except RollbackError as error:
        found = recorded(session.ledger, timeline, catalogue, catalogue, damaged=True)
        return found, [error.what], isinstance(error, LostRecord)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Around:
    """What the ledger has. `lost`: what is `damaged` is a lost record. `over` says which leases could not be read; `journals` are the emergencies that it lacks."""

    bars: list[Bar]
    previous: Mapping[str, str | None]
    last: Recorded
    damaged: list[str]
    lost: bool
    recent: list[Record]
    holders: Mapping[str, Mapping[str, Any]]
    over: tuple[str, ...]
    journals: list[Any]


def _around(session: Session, timeline: Timeline) -> _Around:
    over: list[str] = []
    last, damaged, lost = _recorded(session, timeline)
    bars = session.ledger.bars(readable=True)
    holders = session.leases.holders(over)
    return _Around(
        bars=bars,
        previous={
            service: _previous(timeline, service, _quarantines(bars)) for service in session.settings.services
        },
        last=last,
        damaged=damaged,
        lost=lost,
        recent=[item for item in session.ledger.history(_RECENT) if isinstance(item, Record)],
        holders=holders,
        over=tuple(over),
        journals=_not_imported(session),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Beside:
    """Additional information: functions outside the catalogue, and missing protection of the ledger's table."""

    strangers: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    at: str = ""


def _beside(session: Session) -> _Beside:
    return _Beside(
        strangers=tuple(strangers(session.account, session.settings)),
        warnings=tuple(_unprotected(session)),
    )


def _not_imported(session: Session) -> list[Any]:
    """The emergency journals on this machine that are not imported, oldest first."""

    def known(name: str) -> bool:
        try:
            return session.ledger.load(name).adopted
        except RollbackError:
            return False

    journals = [
        one for find in hooked("journals") for one in find(session.environment, session.settings.account)
    ]
    return [one for one in journals if not known(one.identifier)]


def _recent_emergencies(session: Session, recent: Sequence[Record]) -> list[str]:
    since = now_iso(session.now() - _LOUD)
    return [
        f"EMERGENCY {record.rollback_id} ({record.status}) at {shown_time(record.initiated_at)} by "
        f"{record.initiated_by.person}: {record.from_version} → {record.to_version}, {record.reason}"
        for record in recent
        if record.emergency and record.initiated_at > since
    ]


def _unprotected(session: Session) -> list[str]:
    """The protection that the ledger's table lacks, for example after a restore; empty if it cannot be described."""
    missing = protections(session.account.dynamodb, session.ledger.table.name)
    if not missing:
        return []
    return [
        f"{session.ledger.table.name} has no {', no '.join(missing)}: pulumi up of the foundation restores it."
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


def _pointer(
    session: Session, name: str, *, exact: bool, first: Callable[[], object] | None = None
) -> Pointer:
    """The version of a function's alias (None without one), and its weights, which only `exact` reads."""
    alias = session.settings.alias
    if first is not None:
        first()
    if exact:
        pointer = observe_alias(session.account, name, alias)
        return (pointer.version, pointer.weights) if pointer else (None, {})
    seen = observe(session.account, name, alias)
    return (seen.version if seen else None), {}


def _function_status(name: str, service: str, pointer: Pointer, last: Recorded) -> FunctionStatus:
    version, weights = pointer
    state = last.states.get(name)
    return FunctionStatus(
        function=name,
        service=service,
        version=version,
        weights=weights,
        expected=state.version if state else None,
        expected_weights=state.weights if state else {},
        release=known(last.releases).get(name),
    )


def _quarantines(bars: Sequence[Bar]) -> list[Quarantine]:
    return [bar for bar in bars if isinstance(bar, Quarantine)]


def _previous(timeline: Timeline, service: str, quarantines: list[Quarantine]) -> str | None:
    try:
        return previous(timeline, [service], quarantines)[service]
    except RollbackError:
        return None
