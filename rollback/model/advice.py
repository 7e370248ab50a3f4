"""The state of an environment or a record, and what to type next. Pure.

`status`, `show`, the report, JSON, Slack, job summaries and errors all use it: `advise` for an
environment, `for_record` for one record of it. Every command is complete, and is not refused if it is typed as shown.

It is longer than 400 lines: one place decides which of all states is the most urgent.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from rollback.config.naming import FOUNDATION
from rollback.model.commands import Commands
from rollback.model.grouping import number, some
from rollback.model.kind import Kind
from rollback.model.record import WAITING, Record, Status
from rollback.model.release import DRILL, Freeze, is_of_drill
from rollback.model.situation import (
    LeaseSeen,
    Life,
    Policy,
    RecordSeen,
    ReleaseSeen,
    ServiceSeen,
    Situation,
    State,
)
from rollback.util.times import ago, shown_time

# For how many seconds after a release a manual change to older versions counts as a started rollback.
_FRESH = 24 * 3600.0
# About a record that is missing.
_LOST = (
    "If the table was deleted or restored: `ledger mend` restores the timeline, the releases and the quarantines, "
    "but the archive has no records of rollbacks."
)
# The commands for these states need the lease.
_LOCKING = (
    State.APPROVED,
    State.AWAITING_CONFIRMATION,
    State.NOT_VERIFIED,
    State.FAILED,
    State.UNDO_FAILED,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One command, its purpose, and the role it needs, if it is not the caller's. `barred`: a freeze forbids it
    to everybody except the person who set it.
    """

    command: str
    why: str = ""
    by: str = ""
    barred: bool = False

    @property
    def beside(self) -> str:
        """Who runs it, and what for; empty if neither is known."""
        # A colon is already in the text of a role that is followed by how to take it.
        return (", " if ":" in self.by else ": ").join(filter(None, (self.by, self.why)))

    def __str__(self) -> str:
        return f"{self.command}  # {self.beside}" if self.beside else self.command


@dataclass(frozen=True, kw_only=True, slots=True)
class Advice:
    """A state, its meaning in one sentence, and what to type: the first step is recommended, the
    others are alternatives. Empty if there is nothing to do.
    """

    state: State
    what: str
    steps: tuple[Step, ...] = ()

    @property
    def commands(self) -> tuple[str, ...]:
        return tuple(step.command for step in self.steps)

    @property
    def next(self) -> str:
        """The steps as shell lines, with their purpose as comment; empty without steps."""
        return "\n".join(map(str, self.steps))


# -- an environment ------------------------------------------------------------------------------------------


def advise(situation: Situation) -> tuple[Advice, ...]:
    """The states of an environment, the most urgent first, with what to type next; at least one."""
    if situation.ledger is not State.HEALTHY:
        return (
            without_ledger(
                situation.ledger, situation.environment, situation.break_glass, situation.deployer
            ),
        )
    left = _left_by_drill(situation)
    others = situation if left is None and not _drill_waits(situation) else _without_drill(situation)
    found = [
        *_ledger(situation),
        *([left] if left is not None else []),
        *_records(others),
        *_leases(others),
        *_services(situation),
        *_standbys(situation),
    ]
    frozen = situation.frozen
    if frozen is not None and frozen.binds(situation.person):
        found = [_unless_frozen(advice, frozen, situation.environment) for advice in found]
        if not found:
            found = [Advice(state=State.FROZEN, what=f"Only {frozen.by.person} may deploy or roll back.")]
    if not found:
        found = [_as_recorded(situation)]
    return tuple(found)


def without_ledger(state: State, environment: str, break_glass: str = "", deployer: str = "") -> Advice:
    """What to type if the ledger's table does not exist or is not available. `break_glass` and `deployer` as in
    `Situation`.

    If releases were recorded, the emergency comes first: functions may be bad, and who is on call can do no other step.
    """
    up = Step(
        command=f"pulumi up --stack {environment}-{FOUNDATION}", why="creates it", by="an administrator"
    )
    relief = Step(
        command=f'rollback lambda --emergency --env {environment} --reason "…"',
        why="rolls back without the ledger, if functions are bad now",
        by=break_glass or "under the break-glass role",
    )
    mend = Step(
        command=f'rollback ledger mend --env {environment} --reason "…"',
        why="restores entries and releases from the archive",
        by=deployer or "under the deployer role",
    )
    again = Step(command=f"rollback status --env {environment}", why="when AWS is available again")
    what, steps = {
        State.NOT_DECLARED: ("Neither the ledger nor its archive exists yet.", (up,)),
        State.NO_LEDGER: (
            "The ledger's table does not exist, and nothing has been recorded yet.",
            (up, relief),
        ),
        State.LEDGER_LOST: (
            "The ledger's table was deleted, but its archive exists: restore the table to a point in time, or create an empty one.",
            (relief, up, mend),
        ),
        State.LEDGER_BEHIND: ("The ledger's table has lost entries that the archive has.", (relief, mend)),
    }.get(state, ("The ledger is not available.", (again, relief)))
    return Advice(state=state, what=what, steps=steps)


def _ledger(situation: Situation) -> Iterator[Advice]:
    env = situation.environment
    audit = Step(command=f"rollback audit --env {env}", why="names every item")
    if situation.damaged:
        yield Advice(
            state=State.LEDGER_TAMPERED,
            what=f"The ledger was changed by something else than this command: {situation.damaged[0]}",
            steps=(audit,),
        )
    elif situation.lost:
        again = _deployed_everywhere(situation)
        yield Advice(
            state=State.LEDGER_TAMPERED,
            what=f"{situation.lost[0]} {_LOST}",
            steps=(audit, *([_record(situation, again)] if again is not None else [])),
        )
    elif situation.trail:
        yield Advice(
            state=State.TRAIL_UNREADABLE,
            what=f"The ledger's archive cannot be read: {situation.trail}",
            steps=(audit,),
        )


def _deployed_everywhere(situation: Situation) -> ReleaseSeen | None:
    """The release that every service is at, by the ledger and without drift, if it can be recorded again."""
    if situation.leases or any(one.drifted for service in situation.services for one in service.functions):
        return None
    at = {service.deployed for service in situation.services}
    bad = {version for _, version in situation.bad}
    return next((one for one in situation.releases if {one.version} == at - bad and one.commit), None)


def _left_by_drill(situation: Situation) -> Advice | None:
    """What to type if a drill was killed before it restored what was deployed: the next drill does that first.

    None while a drill runs, or somebody else holds the lease that restoring needs: the holder comes first.
    """
    own = {
        seen.record.rollback_id
        for seen in situation.records
        if _is_drills(seen.record) and seen.record.status in (Status.IN_PROGRESS, Status.FAILED)
    }
    for lease in situation.leases:
        running = lease.life is Life.RUNNING
        if (running and lease.domain == DRILL) or (
            lease.domain == "aliases" and (running or lease.owner not in own)
        ):
            return None
    at = sorted({version for service in situation.services for version in _at_drills(service)})
    # Where drills only plan, they leave nothing but a lease.
    leases = [lease for lease in situation.leases if lease.domain == DRILL and situation.drills]
    env, abort = situation.environment, list[Step]()
    if at:
        what = f"A drill was interrupted: its release {some(at)}, which is bad on purpose, is deployed."
    elif own:
        what = "A drill was interrupted, and has not restored what was deployed before it."
    elif leases:
        what = "A drill was interrupted, and may not have restored what was deployed before it."
        abort = [
            Step(command=f"rollback abort {lease.owner} --env {env}", why="only releases its lease")
            for lease in leases
        ]
    else:
        return None
    again = Step(
        command=restoring(env), why="restores it, then drills again", by=situation.driller, barred=True
    )
    return Advice(state=State.INTERRUPTED, what=what, steps=(again, *abort))


def _drill_waits(situation: Situation) -> bool:
    """Whether what a drill has left can be restored only after another's lease on the aliases is released.

    Its own lease is kept until then: without it nothing would show that a drill was interrupted.
    """
    dead = any(one.domain == DRILL and one.life is not Life.RUNNING for one in situation.leases)
    return situation.drills and dead and any(one.domain == "aliases" for one in situation.leases)


def restoring(environment: str, scenario: str = "code") -> str:
    """The command that restores what a drill of any scenario has left: each drill begins with that."""
    return f"rollback drill --env {environment} --scenario {scenario}"


def _without_drill(situation: Situation) -> Situation:
    """Without what the next drill ends: the lease and the rollbacks of the one that was interrupted."""
    own = {seen.record.rollback_id for seen in situation.records if _is_drills(seen.record)}
    return replace(
        situation,
        leases=tuple(one for one in situation.leases if one.domain != DRILL and one.owner not in own),
        records=tuple(seen for seen in situation.records if seen.record.rollback_id not in own),
    )


def _is_drills(record: Record) -> bool:
    """Whether a rollback is a drill's own (`Drill.reason`)."""
    version = record.from_version
    return is_of_drill(version) and record.reason.startswith(f"{version.replace('-', ' ', 1)}: ")


def _at_drills(service: ServiceSeen) -> set[str]:
    """The releases of drills that are deployed of a service or one of its functions, according to the ledger."""
    at = {service.deployed, *(one.release for one in service.functions)}
    return {version for version in at if version and is_of_drill(version)}


def _records(situation: Situation) -> Iterator[Advice]:
    for seen in situation.records:
        if seen.record.status is Status.STANDBY:
            continue  # not urgent, or shown as a step elsewhere
        advice = for_record(seen)
        others = [lease for lease in situation.leases if lease.owner != seen.record.rollback_id]
        if advice.state in _LOCKING and any(lease.domain in seen.record.domains for lease in others):
            continue  # the lease's holder comes first
        more: list[Step] = []
        # A rollback of a new record needs the lease, which a crashed `resume` has kept.
        free = seen.life is Life.FREE
        if seen.record.status is Status.FAILED and free and advice.steps and seen.record.kind == Kind.ALIASES:
            more = _back(situation, _of(situation, seen.record.services))
        if advice.state is State.REVERTED:
            show = Commands.in_ledger(seen.record.rollback_id, situation.environment).show
            more = [Step(command=show, why="shows why it failed")]
        if advice.steps or more:
            yield replace(advice, steps=(*advice.steps, *more))


def _standbys(situation: Situation) -> Iterator[Advice]:
    """Standbys that need an approval, cannot be taken, or are being taken. A ready standby needs no advice."""
    for seen in situation.records:
        idle = seen.can_be_taken and seen.life is Life.FREE
        if seen.record.status is Status.STANDBY and not idle:
            advice = for_record(seen)
            if advice.steps:
                yield advice


def _import_of(journal: str, environment: str) -> Step:
    """The command that imports an emergency's journal, by its path."""
    command = shlex.join(["rollback", "ledger", "import", journal, "--env", environment])
    return Step(command=command, why="records the emergency that was run on this machine")


def ready(records: Iterable[RecordSeen]) -> Step | None:
    """The command that takes a ready standby; None if there is none."""
    return next((_take(seen.record) for seen in records if seen.can_be_taken), None)


def _leases(situation: Situation) -> Iterator[Advice]:
    known = {seen.record.rollback_id for seen in situation.records}
    for lease in {lease.owner: lease for lease in situation.leases}.values():
        if lease.owner not in known:
            yield for_lease(lease, situation.environment)


def for_lease(lease: LeaseSeen, environment: str) -> Advice:
    """What to type if a lease is held without a record that could be resumed."""
    who = f"{lease.owner} ({lease.holder or 'unknown'})"
    if lease.life is Life.RUNNING:
        return Advice(
            state=State.RUNNING,
            what=f"{who} holds the lease on {lease.domain}; last heartbeat {shown_time(lease.beat_at or 'unknown')}.",
            steps=(Step(command=f"rollback status --env {environment}", why="after it has ended"),),
        )
    return Advice(
        state=State.ORPHANED,
        what=f"{who} has crashed, still holds the lease on {lease.domain}, and left nothing to resume.",
        steps=(Step(command=f"rollback abort {lease.owner} --env {environment}", why="releases the lease"),),
    )


def _of(situation: Situation, names: Iterable[str]) -> list[ServiceSeen]:
    wanted = set(names)
    return [service for service in situation.services if service.name in wanted]


def _busy(situation: Situation) -> set[str]:
    """The services whose aliases a record is changing, or has left half-way."""
    aliases = {Kind.ALIASES, Kind.FULL}
    under_way = (Status.IN_PROGRESS, Status.FAILED)
    if any(lease.domain == "aliases" for lease in situation.leases):
        return {service.name for service in situation.services}
    return {
        service
        for seen in situation.records
        if seen.record.kind in aliases and seen.record.status in under_way and not seen.damaged
        for service in seen.record.services
    }


def _services(situation: Situation) -> Iterator[Advice]:
    env, busy = situation.environment, _busy(situation)
    if situation.services and not any(service.recorded for service in situation.services):
        if not situation.leases:
            yield _never_recorded(situation)
        return
    wrong = [
        service
        for service in situation.services
        if service.name not in busy and service.recorded and _wrong(service, situation)
    ]
    if not wrong:
        return
    state, what = _drift(wrong, situation)
    keep = _keep(situation)
    back = _ways(situation, wrong)
    missing = [one.name for service in wrong for one in service.functions if one.version is None]
    # Recording a release needs the leases of all its parts.
    steps = [*([_record(situation, keep)] if keep and not situation.leases else []), *back]
    drifted = any(one.drifted for service in situation.services for one in service.functions)
    if (
        not drifted
        and not busy
        and not (situation.damaged or situation.lost)
        and (take := ready(situation.records))
    ):
        steps.insert(0, take)
    # The drift may be the emergency's: to record that comes before a rollback, which might go back to the bad release.
    if drifted and not situation.leases:
        steps[:0] = [_import_of(journal, env) for journal in situation.journals[-1:]]
    if keep is not None and not steps:
        return
    if steps:
        yield Advice(state=state, what=what, steps=tuple(steps))
    elif missing:
        yield Advice(
            state=state,
            what=what,
            steps=(Step(command=f"pulumi up --stack {env}", why="creates the aliases"),),
        )
    else:
        yield _nothing_older(situation, wrong, what)


def _nothing_older(situation: Situation, wrong: Sequence[ServiceSeen], what: str) -> Advice:
    """No release can be rolled back to: the reasons, and the possible exception."""
    names = {service.name for service in wrong}
    bad = [release.version for release in situation.releases if not is_of_drill(release.version)]
    bad = [version for version in bad if any((name, version) in situation.bad for name in names)]
    why = [
        *([f"{some(bad)}: quarantined, or failed in verification"] if bad else []),
        *dict.fromkeys(f"{one.below} is older, but {one.floor}" for one in wrong if one.below),
    ]
    instead = [replace(service, good=service.below or None) for service in wrong]
    below = [
        replace(
            step,
            command=step.command.replace(' --reason "…"', ' --allow-below --reason "…"'),
            why="as an exception, which is recorded and needs approval",
        )
        for step in _back(situation, instead)
    ]
    look = Step(command=f"rollback release list --env {situation.environment}", why="lists the releases")
    in_the_way = f" ({'; '.join(why)})" if why else ""
    return Advice(
        state=State.NOTHING_OLDER,
        what=f"{what} There is no recorded release to roll back to{in_the_way}: deploy a fix and record it.",
        steps=(look, *below),
    )


def _never_recorded(situation: Situation) -> Advice:
    """No release is recorded; without aliases, `pulumi up` comes first."""
    env = situation.environment
    if all(one.version is None for service in situation.services for one in service.functions):
        up = Step(command=f"pulumi up --stack {env}", why="creates the aliases")
        return Advice(
            state=State.NOT_DECLARED, what="No function of this environment has its alias yet.", steps=(up,)
        )
    record = Step(
        command=f"rollback release record --env {env} --version v1.0.0 --commit HEAD",
        why="with the version and the commit that are deployed",
        by=situation.deployer,
        barred=True,
    )
    return Advice(
        state=State.NO_RELEASE,
        what="No release is recorded, so there is nothing to roll back to.",
        steps=(record,),
    )


def _wrong(service: ServiceSeen, situation: Situation) -> bool:
    return (
        service.deployed is None
        or any(one.drifted for one in service.functions)
        or bool(_bad_at(service, situation))
    )


def _bad_at(service: ServiceSeen, situation: Situation) -> set[str]:
    """The bad releases that are deployed of a service or one of its functions, according to the ledger; without those
    of drills, which drills restore.
    """
    at = {service.deployed, *(one.release for one in service.functions)} - _at_drills(service)
    return {version for version in at if version and (service.name, version) in situation.bad}


def _at(service: ServiceSeen) -> set[str]:
    """The releases that match the versions of a service's drifted functions."""
    return {release for one in service.functions if one.drifted for release in one.releases}


def _drift(wrong: Sequence[ServiceSeen], situation: Situation) -> tuple[State, str]:
    """The common state of the wrong services, and a sentence."""
    drifted = [(service, one) for service in wrong for one in service.functions if one.drifted]
    at_bad = [
        (one, release)
        for service, one in drifted
        for release in one.releases
        if (service.name, release) in situation.bad
    ]
    names = some([one.name for _, one in drifted])
    if not drifted:
        unknown = [service.name for service in wrong if service.deployed is None]
        if unknown:
            return State.DRIFT, f"It is unknown which release is deployed for {some(unknown)}."
        at = sorted({version for service in wrong for version in _bad_at(service, situation)})
        return (
            State.QUARANTINED,
            f"{some([s.name for s in wrong])}: {', '.join(at)} is deployed, but quarantined.",
        )
    if at_bad:
        bad = ", ".join(sorted({release for _, release in at_bad}))
        there = list(dict.fromkeys(one.name for one, _ in at_bad))
        what = f"{_how_many(there, situation)} at {bad}, which is quarantined or failed in verification: {some(there)}."
        return State.DRIFT_TO_QUARANTINED, what
    at = sorted({release for _, one in drifted for release in one.releases})
    if at and all(one.releases for _, one in drifted):
        return (
            State.DRIFT_TO_RECORDED,
            f"{_how_many(drifted, situation)} at {', '.join(at)}, which is not what was recorded last: {names}.",
        )
    what = f"The deployed versions are not in any recorded release: {names}. To keep them, record them (rollback release record)."
    return State.DRIFT, what


def _how_many(these: Sequence[object], situation: Situation) -> str:
    """`1 of 42 functions is`"""
    total = sum(len(service.functions) for service in situation.services)
    return f"{len(these)} of {number(total, 'function')} {'is' if len(these) == 1 else 'are'}"


def _keep(situation: Situation) -> ReleaseSeen | None:
    """The newest good release that all functions are at; None if there is none."""
    functions = [one for service in situation.services for one in service.functions]
    if not any(one.drifted for one in functions):
        return None
    everywhere = frozenset.intersection(*(one.releases for one in functions)) if functions else frozenset()
    return next(
        (
            release
            for release in situation.releases
            if release.version in everywhere
            and release.commit
            and not any((service.name, release.version) in situation.bad for service in situation.services)
        ),
        None,
    )


def _record(situation: Situation, release: ReleaseSeen) -> Step:
    return Step(
        command=f"rollback release record --env {situation.environment} --version {release.version} --commit "
        f"{release.commit}",
        why="to record that it is deployed",
        by=situation.deployer,
        barred=True,
    )


def _ways(situation: Situation, wrong: Sequence[ServiceSeen]) -> list[Step]:
    """The possible rollbacks: to what the ledger has as deployed, and, if that may be the bad release, to
    the one before it, as without drift.

    If somebody has manually started to go back from a new release, or a rollback from it was reverted, the older one
    comes first: the newest one is what they want to leave.
    """
    drifted = [service for service in wrong if any(one.drifted for one in service.functions)]
    moved = {(service.name, release) for service in drifted for release in _at(service)}
    if not drifted or moved & situation.bad:
        return _back(situation, wrong)
    ages = {release.version: release.age for release in situation.releases}
    to_last: list[Step] = []
    for good in dict.fromkeys(service.good for service in wrong):
        same = [service for service in wrong if service.good == good]
        to_last += _back(situation, same, _to(same, ages))
    suspect = {service.deployed for service in drifted if service.good == service.deployed}
    before = [
        replace(service, good=service.older, lacking=service.older_lacking)
        for service in situation.services
        if service.older and service.good == service.deployed and service.deployed in suspect
    ]
    to_move = {
        service.good for service in before for one in service.functions if service.good not in one.releases
    }
    begun = all(_begun(service, ages.get(service.deployed or "")) for service in drifted)
    reverted = {
        name
        for seen in situation.records
        if seen.record.status is Status.REVERTED
        for name in seen.record.services
    }
    last = some(sorted(filter(None, suspect)))
    why = (
        "to roll back to {}, as somebody started manually"
        if begun
        else f"to roll back to {{}}, if {last} is bad"
    )
    to_before = (
        _back(situation, [service for service in before if service.good in to_move], why) if to_last else []
    )
    leaving = begun or all(service.name in reverted for service in drifted)
    return [*to_before, *to_last] if leaving else [*to_last, *to_before]


def _begun(service: ServiceSeen, age: float | None) -> bool:
    """Whether all manual changes of a service went to versions before its deployed release, which is new."""
    by_hand = [one for one in service.functions if one.drifted]
    new = age is not None and age <= _FRESH and service.good == service.deployed
    return new and all(service.older in one.releases for one in by_hand)


def _to(same: Sequence[ServiceSeen], ages: Mapping[str, float | None]) -> str:
    """What a rollback of services with the `same` good release is for. `ages` maps releases to seconds since they
    were recorded; since when one is deployed is not known, because a rollback may have gone back to it.
    """
    deployed = ", which the ledger has as deployed" if all(one.good == one.deployed for one in same) else ""
    age = ages.get(same[0].good or "")
    return f"to roll back to {{}}{deployed}{f' (recorded {ago(age)})' if age is not None else ''}"


def _back(
    situation: Situation, services: Sequence[ServiceSeen], why: str = "to roll back to {}"
) -> list[Step]:
    """Rolls services back to their newest good release: one command per release, with its name in
    `why`.
    """
    steps: list[Step] = []
    for to in dict.fromkeys(service.good for service in services if service.good):
        group = [service for service in services if service.good == to]
        if len(group) == len(situation.services):
            some = ""
        else:
            some = f" --services {','.join(service.name for service in group)}"
        left = [
            one.name
            for service in group
            for one in service.functions
            if one.version is None or one.name in service.lacking
        ]
        if len(left) == sum(len(service.functions) for service in group):
            continue
        drifted = (
            situation.damaged
            or situation.lost
            or any(
                service.deployed is None or any(one.drifted for one in service.functions) for service in group
            )
        )
        steps.append(
            Step(
                command=f"rollback lambda --env {situation.environment}{some} --to {to}"
                + (" --adopt-current" if drifted else "")
                + "".join(f" --except {name}" for name in left)
                + ' --reason "…"',
                why=why.format(to),
                barred=True,
            )
        )
    return steps


def _unless_frozen(advice: Advice, frozen: Freeze, environment: str) -> Advice:
    """Adds unfreeze to advice with steps that somebody else's freeze forbids."""
    if not any(step.barred for step in advice.steps):
        return advice
    thaw = Step(
        command=f'rollback unfreeze --env {environment} --reason "…"',
        why=f"or ask {frozen.by.person}, who froze it; then continue",
    )
    return replace(
        advice, what=f"{advice.what} Frozen.", steps=(thaw, *(s for s in advice.steps if not s.barred))
    )


def _as_recorded(situation: Situation) -> Advice:
    at = {
        release
        for service in situation.services
        if service.recorded
        for release in (service.deployed, *(one.release or service.deployed for one in service.functions))
    }
    if len(at) > 1:
        return Advice(
            state=State.MIXED, what="Everything is as recorded; services are at different releases."
        )
    return Advice(state=State.HEALTHY, what="Everything is as recorded: there is nothing to do.")


# -- a record ------------------------------------------------------------------------------------------------


def for_record(seen: RecordSeen, commands: Commands | None = None) -> Advice:
    """What to type next for one record; `commands` if it is not in the ledger."""
    record = seen.record
    do = commands or Commands.in_ledger(record.rollback_id, record.environment)
    what = f"{record.rollback_id}, {record.from_version or 'unknown'} → {record.to_version}"
    if record.status in (Status.PLANNED, *WAITING, Status.IN_PROGRESS) and seen.life is Life.RUNNING:
        watch = Step(command=do.show, why="shows its progress")
        return Advice(state=State.RUNNING, what=f"{what} is running.", steps=(watch,))
    if record.status in (Status.PLANNED, *WAITING):
        return (_on_standby if record.status is Status.STANDBY else _waiting)(seen, do, what)
    if record.status is Status.IN_PROGRESS:
        return _stopped(seen, do, what)
    if record.status is Status.FAILED:
        return _failed(seen, do, what)
    if record.status is Status.REVERTED:
        return Advice(state=State.REVERTED, what=f"{what} was reverted.")
    return Advice(state=State.ENDED, what=f"{what} is {record.status}.")


def next_for(record: Record, commands: Commands | None = None, *, way_back: bool = True) -> str:
    """What to type next for a record, without other information; if nothing is to be done, how to show it.

    For a standby it is `take`, which reports a missing approval.
    """
    required: Policy = "none" if record.status is Status.STANDBY else "identity"
    seen = RecordSeen(record=record, life=Life.INTERRUPTED, way_back=way_back, required=required)
    do = commands or Commands.in_ledger(record.rollback_id, record.environment)
    return for_record(seen, commands).next or do.show


def once_approved(record: Record) -> str:
    """What to type next for a record that was just approved."""
    if record.status is Status.STANDBY:
        return str(replace(_take(record), why="when it is needed"))
    return f"rollback apply {record.rollback_id} --env {record.environment}  # by the person on call"


def _waiting(seen: RecordSeen, do: Commands, what: str) -> Advice:
    record = seen.record
    name, digest, env = record.rollback_id, record.digest[:16], record.environment
    abort = Step(command=do.undo, why="to cancel it")
    apply = Step(
        command=f"rollback apply {name} --env {env}",
        why="to apply it",
        barred=True,
    )
    if seen.outdated or seen.damaged:
        why = seen.outdated or "it was changed by something else than this command"
        return Advice(
            state=State.OUTDATED,
            what=f"{what} is waiting, but can no longer be applied: {why}.",
            steps=(replace(abort, why="then plan again"),),
        )
    if seen.required != "identity":
        apply = replace(apply, command=f"rollback apply {name} --digest {digest} --env {env}")
        return Advice(
            state=State.AWAITING_CONFIRMATION,
            what=f"{what} is waiting for confirmation.",
            steps=(apply, abort),
        )
    if seen.approval is not None:
        return Advice(
            state=State.APPROVED, what=f"{what} is approved by {seen.approval.by}.", steps=(apply, abort)
        )
    approve = Step(
        command=f"rollback approve {name} --digest {digest} --env {env}",
        by=f"by another person{f' under {seen.approver}' if seen.approver else ''}",
    )
    return Advice(
        state=State.AWAITING_APPROVAL, what=f"{what} is waiting for approval.", steps=(approve, abort)
    )


def _on_standby(seen: RecordSeen, do: Commands, what: str) -> Advice:
    record = seen.record
    abort = Step(command=do.undo, why="to end it")
    if seen.ended:
        return Advice(state=State.EXPIRED, what=f"{what} is no longer on standby: {seen.ended}.")
    if seen.outdated or seen.damaged:
        why = seen.outdated or "it was changed by something else than this command"
        return Advice(
            state=State.OUTDATED, what=f"{what} is on standby, but cannot be taken: {why}.", steps=(abort,)
        )
    if not seen.approved:
        approve = Step(
            command=f"rollback approve {record.rollback_id} --digest {record.digest[:16]} --env {record.environment}",
            by=f"by another person{f' under {seen.approver}' if seen.approver else ''}",
            why=f"to have it ready until {shown_time(record.standby_until)}",
        )
        return Advice(
            state=State.STANDBY,
            what=f"{what} will be on standby after it is approved.",
            steps=(approve, abort),
        )
    return Advice(
        state=State.STANDBY,
        what=f"{what} is on standby until {shown_time(record.standby_until)}.",
        steps=(_take(record), abort),
    )


def _take(record: Record) -> Step:
    return Step(
        command=f'rollback standby take --env {record.environment} --reason "…"',
        why=f"to roll back to {record.to_version} with the prepared plan",
        barred=True,
    )


def _stopped(seen: RecordSeen, do: Commands, what: str) -> Advice:
    undo = Step(command=do.undo, why="to undo it")
    if seen.damaged:
        undo = replace(undo, why="ends it and releases its lease")
        return Advice(state=State.LEDGER_TAMPERED, what=f"{what} is damaged.", steps=(undo,))
    if seen.undoing:
        undo = replace(undo, why="to finish undoing it")
        return Advice(state=State.UNDO_FAILED, what=f"{what} is partly undone.", steps=(undo,))
    state, how = (
        (State.DEAD, "its process has crashed")
        if seen.life is Life.DEAD
        else (State.INTERRUPTED, "interrupted")
    )
    return Advice(state=state, what=f"{what}: {how}.", steps=(_resume(do, "to finish it"), *_undo(seen, do)))


def _failed(seen: RecordSeen, do: Commands, what: str) -> Advice:
    record = seen.record
    if seen.damaged:
        return Advice(state=State.FAILED, what=f"{what} failed, and its plan is damaged.")
    if seen.undoing:
        again = Step(command=do.undo, why="to try again to undo it")
        return Advice(state=State.UNDO_FAILED, what=f"{what} could not be undone.", steps=(again,))
    if record.verification:
        # Remaining versions can be deleted by a resume; aliases are only verified again.
        verify = Step(command=do.verify, why="after fixing the cause")
        if record.kind == Kind.PRUNE:
            verify = _resume(do, "to try again")
        return Advice(
            state=State.NOT_VERIFIED,
            what=f"{what} is done, but its verification failed.",
            steps=(verify, *_undo(seen, do)),
        )
    return Advice(
        state=State.FAILED,
        what=f"{what} failed half-way.",
        steps=(_resume(do, "to continue"), *_undo(seen, do)),
    )


def _resume(do: Commands, why: str) -> Step:
    return Step(command=do.resume, why=why)


def _undo(seen: RecordSeen, do: Commands) -> tuple[Step, ...]:
    """The undo, if there is one; not to what a drill made bad."""
    if not seen.way_back or is_of_drill(seen.record.from_version):
        return ()
    record = seen.record
    pruned = record.kind == Kind.PRUNE
    why = "to stop it" if pruned else f"to return to {record.from_version or 'the state before it'}"
    return (Step(command=do.undo, why=why),)
