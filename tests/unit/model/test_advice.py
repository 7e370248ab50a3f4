"""What state an environment is in, and what to type next: every combination, and every line by the real parser."""

from __future__ import annotations

import shlex
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import typer

from rollback.cli.app import app
from rollback.model.advice import Advice, advise, for_record, next_for, without_ledger
from rollback.model.commands import Commands
from rollback.model.identity import Actor
from rollback.model.kind import Kind
from rollback.model.messages import not_verified
from rollback.model.record import Approval, Check, Record, Status
from rollback.model.release import TERRAFORM, Freeze
from rollback.model.request import AliasesRequest, TerraformRequest
from rollback.model.situation import (
    FunctionSeen,
    LeaseSeen,
    Life,
    RecordSeen,
    ReleaseSeen,
    ServiceSeen,
    Situation,
    State,
    life,
)
from rollback.util.process_identity import Process, here
from rollback.views.json_output import commands
from tests.doubles.records import a_plan, a_record

ALICE, BOB = Actor(role="rollback", person="alice"), Actor(role="approver", person="bob")
DIGEST = "d" * 64
RECORD = a_record(
    rollback_id="R1",
    digest=DIGEST,
    services=("teams", "roles"),
    from_version="v1.2.0",
    to_version="v1.1.0",
    domains=("aliases",),
)
FROZEN = Freeze(reason="so", by=BOB, at="2026-11-28T12:00:00Z")
APPROVAL = Approval(
    rollback_id="R1", digest=DIGEST, by=BOB, at="2026-11-28T12:00:00Z", expires_at="2026-11-28T13:00:00Z"
)
UNHEALTHY = (Check(check="smoke", ok=False, detail="no"),)
RELEASES = tuple(ReleaseSeen(version=version, commit="c" * 40) for version in ("v1.2.0", "v1.1.0", "v1.0.0"))
BACK = 'rollback lambda --env dev --to v1.1.0 --reason "…"'
ADOPT = 'rollback lambda --env dev --to v1.1.0 --adopt-current --reason "…"'
BEFORE = ADOPT.replace("v1.1.0", "v1.0.0")
RESUME, ABORT = "rollback resume R1 --env dev", "rollback abort R1 --env dev"
SHOW, VERIFY = "rollback show R1 --env dev", "rollback verify R1 --env dev"
APPLY = "rollback apply R1 --env dev"
CONFIRM = f"rollback apply R1 --digest {DIGEST[:16]} --env dev"
APPROVE = f"rollback approve R1 --digest {DIGEST[:16]} --env dev"
UNFREEZE = 'rollback unfreeze --env dev --reason "…"'
STATUS, AUDIT = "rollback status --env dev", "rollback audit --env dev"
UP = "pulumi up --stack dev"
FOUNDATION = "pulumi up --stack dev-foundation"
MEND = 'rollback ledger mend --env dev --reason "…"'
RELIEF = 'rollback lambda --emergency --env dev --reason "…"'
LIST = "rollback release list --env dev"
OF_DRILL = "drill-01M88G64H0GP9H62KJ3KXQN5FB"
REHEARSED = f"drill {OF_DRILL.removeprefix('drill-')}: code"
DRILL = "rollback drill --env dev --scenario code"
KEEP = f"rollback release record --env dev --version v1.2.0 --commit {'c' * 40}"


def function(name: str, **changed: Any) -> FunctionSeen:
    return FunctionSeen(**{"name": name, "version": "2", "drifted": False, "release": "v1.1.0"} | changed)


def services(
    deployed: str | None = "v1.1.0", good: str | None = "v1.1.0", older: str | None = None, **changed: Any
) -> dict[str, Any]:
    """Two services of one function each, all at one release."""
    return {
        "services": tuple(
            ServiceSeen(
                name=name,
                deployed=deployed,
                good=good,
                older=older,
                functions=(function(f"{name}-get", **{"release": deployed} | changed),),
            )
            for name in ("teams", "roles")
        )
    }


def drift(*releases: str, **changed: Any) -> dict[str, Any]:
    return services(**changed, drifted=True, version="9", releases=frozenset(releases))


def ages(age: float) -> dict[str, Any]:
    """The releases, recorded so many seconds ago."""
    return {"releases": tuple(replace(release, age=age) for release in RELEASES)}


def begun(age: float) -> dict[str, Any]:
    """v1.1.0 was recorded `age` seconds ago; somebody has moved one of two services to v1.0.0 by hand."""
    by_hand, left = drift("v1.0.0", older="v1.0.0")["services"][0], services(older="v1.0.0")["services"][1]
    return {"services": (by_hand, left), **ages(age)}


def bad(version: str) -> frozenset[tuple[str, str]]:
    return frozenset((name, version) for name in ("teams", "roles"))


def record(status: Status = Status.IN_PROGRESS, **changed: Any) -> dict[str, Any]:
    """A record in that status; what is no field of a record says how it is seen."""
    fields = {name: changed.pop(name) for name in list(changed) if name in Record.__slots__}
    return {"records": (RecordSeen(record=replace(RECORD, status=status, **fields), **changed),)}


def lease(alive: Life, owner: str = "R1", domain: str = "aliases") -> dict[str, Any]:
    return {"leases": (LeaseSeen(domain=domain, owner=owner, life=alive),)}


WAITS, FAILED = Status.AWAITING_APPROVAL, Status.FAILED
UNTIL = "2026-11-28T12:45:00.000Z"
TAKE = 'rollback standby take --env dev --reason "…"'


def standby(**changed: Any) -> dict[str, Any]:
    """What is on standby, as it is seen."""
    return record(Status.STANDBY, standby_until=UNTIL, **changed)


# What there is; the state that is most urgent; what is advised, in this order.
TABLE: dict[str, tuple[dict[str, Any], State, list[str]]] = {
    "no stack declared": ({"ledger": State.NOT_DECLARED}, State.NOT_DECLARED, [FOUNDATION]),
    "no alias declared": (
        {
            "services": tuple(
                replace(one, recorded=False) for one in services(None, None, version=None)["services"]
            )
        },
        State.NOT_DECLARED,
        [UP],
    ),
    "standby, to be approved": (standby(), State.STANDBY, [APPROVE, ABORT]),
    "standby, ready": (standby(approval=APPROVAL), State.HEALTHY, []),
    "standby, ready without approval": (standby(required="none"), State.HEALTHY, []),
    "standby, its target is quarantined": (
        standby(approval=APPROVAL, outdated="so"),
        State.OUTDATED,
        [ABORT],
    ),
    "standby, ended": (standby(approval=APPROVAL, ended="so"), State.HEALTHY, []),
    "standby, being taken": (
        {**standby(approval=APPROVAL, life=Life.RUNNING), **lease(Life.RUNNING)},
        State.RUNNING,
        [SHOW],
    ),
    "standby, who took it is dead": (
        {**standby(approval=APPROVAL, life=Life.DEAD), **lease(Life.DEAD)},
        State.STANDBY,
        [TAKE, ABORT],
    ),
    "standby, deployed is quarantined": (
        {**standby(approval=APPROVAL), **services("v1.2.0"), "bad": bad("v1.2.0")},
        State.QUARANTINED,
        [TAKE, BACK],
    ),
    "standby not approved, deployed is quarantined": (
        {**standby(), **services("v1.2.0"), "bad": bad("v1.2.0")},
        State.QUARANTINED,
        [BACK, APPROVE, ABORT],
    ),
    "standby, drift": ({**standby(approval=APPROVAL), **drift()}, State.DRIFT, [ADOPT]),
    "no ledger": ({"ledger": State.NO_LEDGER}, State.NO_LEDGER, [FOUNDATION, RELIEF]),
    "ledger lost": ({"ledger": State.LEDGER_LOST}, State.LEDGER_LOST, [RELIEF, FOUNDATION, MEND]),
    "ledger behind": ({"ledger": State.LEDGER_BEHIND}, State.LEDGER_BEHIND, [RELIEF, MEND]),
    "ledger away": ({"ledger": State.LEDGER_UNREACHABLE}, State.LEDGER_UNREACHABLE, [STATUS, RELIEF]),
    "ledger tampered": ({"damaged": ("an item",)}, State.LEDGER_TAMPERED, [AUDIT]),
    "ledger tampered, drift": ({"damaged": ("an item",), **drift()}, State.LEDGER_TAMPERED, [AUDIT, ADOPT]),
    "ledger tampered, quarantined": (
        {"damaged": ("an item",), **services("v1.2.0"), "bad": bad("v1.2.0")},
        State.LEDGER_TAMPERED,
        [AUDIT, ADOPT],
    ),
    "record lost": (
        {"lost": ("a record",), "releases": (ReleaseSeen(version="v1.1.0", commit="c" * 40, age=None),)},
        State.LEDGER_TAMPERED,
        [AUDIT, f"rollback release record --env dev --version v1.1.0 --commit {'c' * 40}"],
    ),
    "record lost, and an item changed": (
        {"damaged": ("an item",), "lost": ("a record",)},
        State.LEDGER_TAMPERED,
        [AUDIT],
    ),
    "record lost, drift": ({"lost": ("a record",), **drift()}, State.LEDGER_TAMPERED, [AUDIT, ADOPT]),
    "trail unreadable": ({"trail": "denied"}, State.TRAIL_UNREADABLE, [AUDIT]),
    "no release": (
        {"services": tuple(replace(one, recorded=False) for one in services(None, None)["services"])},
        State.NO_RELEASE,
        ["rollback release record --env dev --version v1.0.0 --commit HEAD"],
    ),
    "healthy": ({}, State.HEALTHY, []),
    "frozen": ({"frozen": FROZEN}, State.FROZEN, []),
    "frozen by oneself": ({"frozen": replace(FROZEN, by=ALICE)}, State.HEALTHY, []),
    "frozen, drift": ({"frozen": FROZEN, **drift()}, State.DRIFT, [UNFREEZE]),
    "frozen by oneself, drift": ({"frozen": replace(FROZEN, by=ALICE), **drift()}, State.DRIFT, [ADOPT]),
    "frozen, approved": (
        {"frozen": FROZEN, **record(WAITS, approval=APPROVAL)},
        State.APPROVED,
        [UNFREEZE, ABORT],
    ),
    "frozen, interrupted": (
        {"frozen": FROZEN, **record(life=Life.INTERRUPTED)},
        State.INTERRUPTED,
        [RESUME, ABORT],
    ),
    "mixed": (
        {
            "services": (
                services()["services"][0],
                replace(services("v1.0.0", "v1.0.0")["services"][1], name="roles"),
            )
        },
        State.MIXED,
        [],
    ),
    "drift, unrecorded": (drift(), State.DRIFT, [ADOPT]),
    "drift, an emergency not imported": (
        {"journals": ("/home/olga/older.jsonl", "/home/olga/a journal.jsonl"), **drift()},
        State.DRIFT,
        ["rollback ledger import '/home/olga/a journal.jsonl' --env dev", ADOPT],
    ),
    "healthy, an emergency not imported": (
        {"journals": ("/home/olga/a journal.jsonl",), **services()},
        State.HEALTHY,
        [],
    ),
    "drift, unrecorded, where something older is good": (
        drift(older="v1.0.0"),
        State.DRIFT,
        [ADOPT, BEFORE],
    ),
    "drift, some moved by hand to before a new release": (
        begun(age=600.0),
        State.DRIFT_TO_RECORDED,
        [BEFORE, ADOPT.replace("--to", "--services teams --to")],
    ),
    "drift, some moved by hand to before an old release": (
        begun(age=90_000.0),
        State.DRIFT_TO_RECORDED,
        [ADOPT.replace("--to", "--services teams --to"), BEFORE],
    ),
    "drift, all moved by hand to before a new release": (
        {**drift("v1.0.0", older="v1.0.0"), **ages(600.0)},
        State.DRIFT_TO_RECORDED,
        [KEEP.replace("v1.2.0", "v1.0.0"), ADOPT],
    ),
    "drift of what was released apart": (
        {
            "services": (
                drift(older="v1.0.0")["services"][0],
                replace(services("v1.0.0", "v1.0.0", older="v0.9.0")["services"][1], name="roles"),
            )
        },
        State.DRIFT,
        [line.replace("--to", "--services teams --to") for line in (ADOPT, BEFORE)],
    ),
    "drift of one service": (
        {"services": (drift()["services"][0], services()["services"][1])},
        State.DRIFT,
        ['rollback lambda --env dev --services teams --to v1.1.0 --adopt-current --reason "…"'],
    ),
    "drift, quarantined": (
        {**drift("v1.2.0"), "bad": bad("v1.2.0")},
        State.DRIFT_TO_QUARANTINED,
        [ADOPT],
    ),
    "drift, recorded and newer": (drift("v1.2.0"), State.DRIFT_TO_RECORDED, [KEEP, ADOPT]),
    "drift, recorded and older": (
        drift("v1.0.0"),
        State.DRIFT_TO_RECORDED,
        [KEEP.replace("v1.2.0", "v1.0.0"), ADOPT],
    ),
    "drift, recorded and newer, while the stack is at work": (
        {**drift("v1.2.0"), **lease(Life.RUNNING, "R2", "stack")},
        State.RUNNING,
        [STATUS, ADOPT],
    ),
    "drift, of services with other ways back": (
        {
            "services": (
                drift()["services"][0],
                replace(drift("v9", deployed="v1.0.0", good="v1.0.0")["services"][1], name="roles"),
            )
        },
        State.DRIFT,
        [
            'rollback lambda --env dev --services teams --to v1.1.0 --adopt-current --reason "…"',
            'rollback lambda --env dev --services roles --to v1.0.0 --adopt-current --reason "…"',
        ],
    ),
    "drift, one alias gone": (
        {
            "services": tuple(
                replace(
                    one, functions=(*one.functions, function(f"{one.name}-list", version=None, drifted=True))
                )
                for one in drift()["services"]
            )
        },
        State.DRIFT,
        [
            ADOPT.replace(" --reason", " --except teams-list --except roles-list --reason"),
        ],
    ),
    "drift, all aliases gone": (services(version=None, drifted=True), State.DRIFT, [UP]),
    "drift, nothing good": (drift(good=None), State.NOTHING_OLDER, [LIST]),
    "unknown": (services(None), State.DRIFT, [ADOPT]),
    "quarantined and deployed": (
        {**services("v1.2.0"), "bad": bad("v1.2.0")},
        State.QUARANTINED,
        [BACK],
    ),
    "one function at a quarantined release": (
        {**services(release="v1.2.0"), "bad": bad("v1.2.0")},
        State.QUARANTINED,
        [BACK],
    ),
    "nothing older": ({**services(good=None), "bad": bad("v1.1.0")}, State.NOTHING_OLDER, [LIST]),
    "nothing older but below a floor": (
        {
            "services": tuple(
                replace(one, below="v1.0.0", floor="v1.1.0 was recorded with --not-below v1.1.0")
                for one in services(good=None)["services"]
            ),
            "bad": bad("v1.1.0"),
        },
        State.NOTHING_OLDER,
        [LIST, 'rollback lambda --env dev --to v1.0.0 --allow-below --reason "…"'],
    ),
    "running": ({**record(life=Life.RUNNING), **lease(Life.RUNNING)}, State.RUNNING, [SHOW]),
    "running, drift": (
        {**record(life=Life.RUNNING), **lease(Life.RUNNING), **drift()},
        State.RUNNING,
        [SHOW],
    ),
    "interrupted": (
        {**record(life=Life.INTERRUPTED), **lease(Life.INTERRUPTED)},
        State.INTERRUPTED,
        [RESUME, ABORT],
    ),
    "dead": ({**record(life=Life.DEAD), **lease(Life.DEAD)}, State.DEAD, [RESUME, ABORT]),
    "dead, tampered": (
        {**record(life=Life.DEAD, damaged=True), **lease(Life.DEAD)},
        State.LEDGER_TAMPERED,
        [ABORT],
    ),
    "killed after it took the lease": (lease(Life.DEAD), State.ORPHANED, [ABORT]),
    "planning": (lease(Life.RUNNING), State.RUNNING, [STATUS]),
    "a recording, dead": (
        lease(Life.DEAD, "deployment-1"),
        State.ORPHANED,
        ["rollback abort deployment-1 --env dev"],
    ),
    "waiting for approval": (record(WAITS), State.AWAITING_APPROVAL, [APPROVE, ABORT]),
    "waiting for approval, drift": (
        {**record(WAITS), **drift()},
        State.AWAITING_APPROVAL,
        [APPROVE, ABORT, ADOPT],
    ),
    "approved": (record(WAITS, approval=APPROVAL), State.APPROVED, [APPLY, ABORT]),
    "approved, and somebody else runs": (
        {**record(WAITS, approval=APPROVAL), **lease(Life.RUNNING, "R2")},
        State.RUNNING,
        [STATUS],
    ),
    "approved, being applied": (
        {**record(WAITS, approval=APPROVAL, life=Life.RUNNING), **lease(Life.RUNNING)},
        State.RUNNING,
        [SHOW],
    ),
    "approved, outdated": (record(WAITS, approval=APPROVAL, outdated="moved"), State.OUTDATED, [ABORT]),
    "waiting for confirmation": (
        record(WAITS, required="confirm"),
        State.AWAITING_CONFIRMATION,
        [CONFIRM, ABORT],
    ),
    "held by a workflow": (record(WAITS, required="none"), State.AWAITING_CONFIRMATION, [CONFIRM, ABORT]),
    "failed in verification": (
        {**record(FAILED, verification=UNHEALTHY), **services("v1.1.0", "v1.0.0"), "bad": bad("v1.1.0")},
        State.NOT_VERIFIED,
        [VERIFY, ABORT, BACK.replace("v1.1.0", "v1.0.0")],
    ),
    "failed in verification, and has its lease since a resume crashed": (
        {
            **record(FAILED, verification=UNHEALTHY, life=Life.DEAD),
            **services("v1.1.0", "v1.0.0"),
            "bad": bad("v1.1.0"),
        },
        State.NOT_VERIFIED,
        [VERIFY, ABORT],
    ),
    "failed in verification, nothing older": (
        {**record(FAILED, verification=UNHEALTHY), **services("v1.1.0", None), "bad": bad("v1.1.0")},
        State.NOT_VERIFIED,
        [VERIFY, ABORT],
    ),
    "failed in verification, from unknown": (
        record(FAILED, verification=UNHEALTHY, kind=Kind.TERRAFORM, way_back=False),
        State.NOT_VERIFIED,
        [VERIFY],
    ),
    "failed in the middle": (record(FAILED, kind=Kind.STACK), State.FAILED, [RESUME, ABORT]),
    "failed in the middle, and somebody else runs": (
        {**record(FAILED, kind=Kind.STACK, domains=("stack",)), **lease(Life.RUNNING, "R2", "stack")},
        State.RUNNING,
        [STATUS],
    ),
    "failed in the middle, and another domain runs": (
        {**record(FAILED, kind=Kind.STACK, domains=("stack",)), **lease(Life.RUNNING, "R2", "terraform")},
        State.FAILED,
        [RESUME, ABORT, STATUS],
    ),
    "failed in undoing": (
        {**record(FAILED, undoing=True), **services(None)},
        State.UNDO_FAILED,
        [ABORT, ADOPT],
    ),
    "killed in undoing": (
        {**record(life=Life.DEAD, undoing=True), **lease(Life.DEAD)},
        State.UNDO_FAILED,
        [ABORT],
    ),
    "failed, its plan damaged": ({**record(FAILED, damaged=True), **drift()}, State.DRIFT, [ADOPT]),
    "reverted": (record(Status.REVERTED), State.REVERTED, [SHOW]),
    "a drill's release is deployed": (services(OF_DRILL), State.INTERRUPTED, [DRILL]),
    "a drill's release is deployed, and quarantined": (
        {**services(OF_DRILL), "bad": bad(OF_DRILL)},
        State.INTERRUPTED,
        [DRILL],
    ),
    "a drill's release is deployed for one function": (
        services(release=OF_DRILL),
        State.INTERRUPTED,
        [DRILL],
    ),
    "a drill was killed, its release is deployed": (
        {**services(OF_DRILL), **lease(Life.DEAD, OF_DRILL, "drill")},
        State.INTERRUPTED,
        [DRILL],
    ),
    "a drill was killed before its release was recorded, or after its rollback": (
        lease(Life.DEAD, OF_DRILL, "drill"),
        State.INTERRUPTED,
        [DRILL, f"rollback abort {OF_DRILL} --env dev"],
    ),
    "where drills only plan, one was killed": (
        {"drills": False, **lease(Life.DEAD, OF_DRILL, "drill")},
        State.ORPHANED,
        [f"rollback abort {OF_DRILL} --env dev"],
    ),
    "a drill is running": (
        {**services(OF_DRILL), "bad": bad(OF_DRILL), **lease(Life.RUNNING, OF_DRILL, "drill")},
        State.RUNNING,
        [STATUS],
    ),
    "a drill's release is deployed, somebody is rolling back": (
        {**services(OF_DRILL), **record(from_version=OF_DRILL, life=Life.RUNNING), **lease(Life.RUNNING)},
        State.RUNNING,
        [SHOW],
    ),
    "a drill's rollback failed": (
        {**services(OF_DRILL), **record(FAILED, from_version=OF_DRILL, reason=REHEARSED)},
        State.INTERRUPTED,
        [DRILL],
    ),
    "a drill's rollback was killed": (
        {
            **services(OF_DRILL),
            **record(from_version=OF_DRILL, reason=REHEARSED, life=Life.DEAD),
            **lease(Life.DEAD),
        },
        State.INTERRUPTED,
        [DRILL],
    ),
    "somebody's rollback from a drill's release was killed": (
        {**services(OF_DRILL), **record(from_version=OF_DRILL, life=Life.DEAD), **lease(Life.DEAD)},
        State.DEAD,
        [RESUME],
    ),
    "a drill was killed while its release was recorded": (
        {
            "leases": (
                *lease(Life.DEAD, "deployment-1")["leases"],
                *lease(Life.DEAD, OF_DRILL, "drill")["leases"],
            )
        },
        State.ORPHANED,
        ["rollback abort deployment-1 --env dev"],
    ),
    "a drill's release is deployed, frozen": (
        {"frozen": FROZEN, **services(OF_DRILL)},
        State.INTERRUPTED,
        [UNFREEZE],
    ),
    "a prune, interrupted": (
        {**record(life=Life.DEAD, kind=Kind.PRUNE), **lease(Life.DEAD)},
        State.DEAD,
        [RESUME, ABORT],
    ),
}
FINDINGS = {
    "drift, unrecorded": "U1",
    "failed in verification": "U2",
    "healthy": "U3",
    "approved": "U4",
    "running": "U9",
    "interrupted": "U9",
    "dead": "U9",
    "drift, quarantined": "M2",
    "nothing older": "M2",
    "killed after it took the lease": "F6",
    "held by a workflow": "W6",
    "failed in verification, from unknown": "P4",
}


@pytest.mark.parametrize(
    ("age", "words"),
    [
        (None, "v1.1.0, which the ledger has as deployed"),
        (720.0, "deployed (recorded 12 min ago)"),
        (10_800.0, "deployed (recorded 3 hours ago)"),
        (1e6, "deployed (recorded 12 days ago)"),
    ],
)
def test_in_a_drift_it_is_shown_how_old_the_recorded_release_is(age: float | None, words: str) -> None:
    releases = tuple(replace(release, age=age) for release in RELEASES)

    (found,) = advise(situation(**drift(), releases=releases))

    assert found.steps[0].why.endswith(words)


@pytest.mark.parametrize("good", ["v1.1.0", "v1.0.0"])
def test_in_a_drift_only_a_release_that_the_ledger_has_as_deployed_is_said_to_be(good: str) -> None:
    """A rollback to it was recorded last, or nothing: the release itself may be older than others."""
    (found,) = advise(situation(**drift(good=good)))

    (step,) = found.steps
    assert f" {good}" in step.why
    assert ("as deployed" in step.why) is (good == "v1.1.0")
    assert "last" not in step.why


def test_of_several_releases_each_has_its_own_age() -> None:
    """Two services at different releases, of different age."""
    teams, roles = (
        replace(service, deployed=version, good=version)
        for service, version in zip(drift()["services"], ("v1.1.0", "v1.0.0"), strict=True)
    )
    releases = tuple(
        replace(release, age=age) for release, age in zip(RELEASES, (60.0, 120.0, 180.0), strict=True)
    )

    (found,) = advise(situation(services=(teams, roles), releases=releases))

    assert [step.why.partition("(")[2] for step in found.steps] == [
        "recorded 2 min ago)",
        "recorded 3 min ago)",
    ]


@pytest.mark.parametrize("quarantined", [False, True])
@pytest.mark.parametrize(
    ("moved", "words"), [(1, "1 of 2 functions is at v1.0.0, "), (2, "2 of 2 functions are at v1.0.0, ")]
)
def test_a_drift_says_how_many_functions_it_is(moved: int, words: str, *, quarantined: bool) -> None:
    drifted, still = drift("v1.0.0")["services"], services()["services"]

    (found,) = advise(
        situation(
            services=(*drifted[:moved], *still[moved:]), bad=bad("v1.0.0") if quarantined else frozenset()
        )
    )

    assert found.state is (State.DRIFT_TO_QUARANTINED if quarantined else State.DRIFT_TO_RECORDED)
    assert found.what.startswith(words)


def situation(**changed: Any) -> Situation:
    return Situation(
        **{"environment": "dev", "person": "alice", "releases": RELEASES, **services(), **changed}
    )


def cases() -> list[Any]:
    return [
        pytest.param(*row, id=name, marks=[pytest.mark.finding(FINDINGS[name])] if name in FINDINGS else [])
        for name, row in TABLE.items()
    ]


@pytest.mark.parametrize(("there_is", "state", "commands"), cases())
def test_every_state_has_its_next_step(there_is: dict[str, Any], state: State, commands: list[str]) -> None:
    found = advise(situation(**there_is))

    assert found[0].state is state
    assert [command for each in found for command in each.commands] == commands
    for command in commands:
        if not command.startswith("pulumi"):
            parsed(command)


def test_a_quarantined_release_of_several_services_is_named_once() -> None:
    one = services("v1.2.0")["services"][0]
    both = (one, replace(one, name="other"))

    (found,) = advise(situation(services=both, bad=frozenset((each.name, "v1.2.0") for each in both)))

    assert found.state is State.QUARANTINED
    assert found.what.count("v1.2.0") == 1


# What can be so at the same time, whatever else is.
FACETS: tuple[tuple[dict[str, Any], ...], ...] = (
    ({}, {"frozen": FROZEN}, {"frozen": replace(FROZEN, by=ALICE)}),
    ({}, {"damaged": ("an item",)}, {"trail": "denied"}),
    ({}, lease(Life.RUNNING, "R2"), lease(Life.DEAD, "R2"), lease(Life.RUNNING, "R2", "stack")),
    tuple(
        there_is
        for name, (there_is, _, _) in TABLE.items()
        if set(there_is) <= {"services", "bad"} and "release" not in name.split()[:2]
    ),
    (
        {},
        *(there_is for there_is, _, _ in TABLE.values() if "records" in there_is and len(there_is) == 1),
    ),
)


def test_whatever_comes_together_nothing_is_advised_that_is_sure_to_be_refused() -> None:
    for facets in product(*FACETS):
        there_is = {name: value for facet in facets for name, value in facet.items()}
        found = advise(situation(**there_is))
        commands = [command for each in found for command in each.commands]
        verbs = {command.split()[1] for command in commands if command.startswith("rollback")}

        assert found
        assert all(len(set(each.commands)) == len(each.commands) for each in found)
        calm = {State.HEALTHY, State.MIXED, State.FROZEN}
        assert bool(commands) is not bool({each.state for each in found} & calm), there_is
        if there_is.get("frozen") is FROZEN:
            assert not verbs & {"lambda", "apply"}
            assert "rollback release record --env dev" not in " ".join(commands)
        if any(one.domain == "aliases" for one in there_is.get("leases", ())):
            assert not verbs & {"lambda"}


def parsed(line: str) -> None:
    """Raises `typer.TyperException` where the command line does not take a line."""
    command: Any = typer.main.get_command(app)
    program, *arguments = shlex.split(line, comments=True)
    assert program == "rollback"
    context = command.make_context("rollback", [], resilient_parsing=True)
    while hasattr(command, "resolve_command"):
        _, command, arguments = command.resolve_command(context, arguments)
    command.make_context(command.name, arguments)


def test_every_state_is_in_the_table() -> None:
    assert {state for _, state, _ in TABLE.values()} == set(State) - {State.ENDED, State.EXPIRED}


@pytest.mark.parametrize("status", list(Status))
@pytest.mark.parametrize("commands", [None, Commands.in_file(Path("j"), "dev")])
def test_a_line_of_an_error_is_taken_by_the_command_line(status: Status, commands: Commands | None) -> None:
    """What each step is for is a comment to a shell."""
    for checks in ((), UNHEALTHY):
        then = next_for(replace(RECORD, status=status, verification=checks), commands)
        assert then
        for line in then.splitlines():
            if not line.endswith("another release."):
                parsed(line)


@pytest.mark.parametrize(
    "state", [State.NOT_DECLARED, State.NO_LEDGER, State.LEDGER_LOST, State.LEDGER_BEHIND]
)
def test_without_a_ledger_the_role_that_may_bring_relief_is_named(state: State) -> None:
    advice = without_ledger(state, "dev", "acme-dev-break-glass-role")

    relief = [step for step in advice.steps if "--emergency" in step.command]
    assert all("acme-dev-break-glass-role" in step.by for step in relief)
    assert all(step.by for step in without_ledger(state, "dev").steps)
    assert bool(relief) is (state is not State.NOT_DECLARED)


@pytest.mark.finding("U4")
@pytest.mark.parametrize(
    ("required", "approval", "status", "by"),
    [
        ("identity", None, "AWAITING_APPROVAL", None),
        ("identity", APPROVAL, "AWAITING_APPROVAL", BOB),
        ("confirm", None, "AWAITING_CONFIRMATION", None),
        ("none", None, "AWAITING_CONFIRMATION", None),
    ],
)
def test_what_a_record_waits_for_is_shown(
    required: Any, approval: Any, status: str, by: Actor | None
) -> None:
    seen = RecordSeen(record=replace(RECORD, status=WAITS), required=required, approval=approval)

    assert seen.shown == {"status": status, "approved_by": by}


def test_who_has_to_approve_is_named() -> None:
    seen = RecordSeen(record=replace(RECORD, status=WAITS), approver="acme-dev-approver-role")

    assert "acme-dev-approver-role" in for_record(seen).steps[0].by


@pytest.mark.parametrize(
    "ended", [{"life": Life.INTERRUPTED}, {"status": FAILED}, {"status": FAILED, "verification": UNHEALTHY}]
)
def test_a_rollback_from_what_a_drill_made_bad_is_not_undone(ended: dict[str, Any]) -> None:
    (seen,) = record(**ended, from_version=OF_DRILL)["records"]

    assert ABORT not in for_record(seen).commands
    assert ABORT not in next_for(seen.record)


def test_the_role_of_who_has_to_restore_what_a_drill_left_is_named() -> None:
    (found,) = advise(situation(**services(OF_DRILL), driller="under acme-dev-drill-role"))

    assert found.steps[0].by == "under acme-dev-drill-role"
    assert OF_DRILL in found.what


def test_releases_of_drills_are_not_named_where_nothing_older_is_good() -> None:
    """There are as many as there were drills."""
    releases = (*RELEASES, ReleaseSeen(version=OF_DRILL))
    drills = bad("v1.1.0") | bad(OF_DRILL)

    (found,) = advise(situation(**services(good=None), releases=releases, bad=drills))

    assert found.state is State.NOTHING_OLDER
    assert "v1.1.0" in found.what
    assert OF_DRILL not in found.what


@pytest.mark.finding("P4")
@pytest.mark.parametrize(("leaves", "back"), [({}, False), ({TERRAFORM: "a" * 40}, True)])
def test_what_began_at_an_unknown_commit_is_not_to_be_gone_back_to(
    *, leaves: dict[str, str], back: bool
) -> None:
    plan: Any = a_plan(
        kind=Kind.TERRAFORM,
        from_version="unknown",
        leaves=leaves,
        targets={TERRAFORM: "b" * 40},
        request=TerraformRequest(commit="b" * 40),
    )
    ended = replace(RECORD, kind=Kind.TERRAFORM, status=FAILED, verification=UNHEALTHY)

    error = not_verified(plan, ended, UNHEALTHY, Commands.in_ledger("R1", "dev", "terraform"))

    assert (ABORT in error.next) is back
    for line in error.next.splitlines():
        parsed(line)


@pytest.mark.parametrize(("below", "lines"), [("", 2), ("v1.3.0", 1)])
def test_nothing_older_is_offered_where_the_target_was_below_a_floor(below: str, lines: int) -> None:
    ended = replace(RECORD, kind=Kind.ALIASES, status=FAILED, verification=UNHEALTHY, below=below)
    plan: Any = a_plan()

    error = not_verified(plan, ended, UNHEALTHY, Commands.in_ledger("R1", "dev", "lambda"))

    assert sum("rollback lambda --env" in line for line in error.next.splitlines()) == lines - 1


def test_what_is_offered_instead_is_of_the_services_that_were_rolled_back() -> None:
    """Of an environment that is mixed others may have nothing older, and all would be refused."""
    ended = replace(RECORD, kind=Kind.ALIASES, status=FAILED, verification=UNHEALTHY)
    plan: Any = a_plan(request=AliasesRequest(services=("teams",)))

    error = not_verified(plan, ended, UNHEALTHY, Commands.in_ledger("R1", "dev", "lambda"))

    assert 'rollback lambda --env dev --reason "…" --services teams' in commands(error.next)


# -- whether a holder lives ------------------------------------------------------------------------------------

NOW = "2026-11-28T12:01:00.000Z"
ITEM = {"owner": "R1", "beat": 1, "fence": 1, "lease_seconds": 60, "beat_at": "2026-11-28T12:00:30.000Z"}


def holder(pid: int, began: str, **changed: Any) -> dict[str, Any]:
    own = Process.of(1)
    return {"host": here(), "space": own.space, "pid": pid, "began": began} | changed


@pytest.mark.finding("U9")
@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (ITEM, Life.RUNNING),
        (ITEM | {"parked_at": NOW}, Life.INTERRUPTED),
        (ITEM | {"beat_at": "2026-11-28T11:59:59.000Z"}, Life.DEAD),
        (ITEM | {"beat_at": "2026-11-28T12:00:00.000Z"}, Life.RUNNING),
        (ITEM | {"beat_at": "2026-11-28T12:05:00.000Z"}, Life.RUNNING),
        (ITEM | {"holder": holder(1, Process.of(1).began)}, Life.RUNNING),
        (ITEM | {"holder": holder(1, "another start")}, Life.DEAD),
        (ITEM | {"holder": holder(1, "another start", host="elsewhere")}, Life.RUNNING),
        (ITEM | {"holder": holder(1, "another start", space="a container")}, Life.RUNNING),
        (
            ITEM | {"beat_at": "2026-11-28T11:00:00.000Z", "holder": holder(1, Process.of(1).began)},
            Life.DEAD,
        ),
        ({"owner": "R1"}, Life.DEAD),
        (ITEM | {"beat_at": 7}, Life.DEAD),
        (ITEM | {"holder": {"began": "x"}}, Life.DEAD),
    ],
)
def test_a_holder_runs_was_interrupted_or_is_dead(item: dict[str, Any], expected: Life) -> None:
    assert life(item, NOW) is expected


def test_the_lines_of_advice_are_lines_of_a_shell() -> None:
    advice: Advice = for_record(RecordSeen(record=RECORD, life=Life.DEAD))

    assert [shlex.split(line, comments=True)[:3] for line in advice.next.splitlines()] == [
        ["rollback", "resume", "R1"],
        ["rollback", "abort", "R1"],
    ]
