"""Pruning: what is needed stays, whatever needs it and whenever; the rest goes, and is told."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console, RenderableType

from rollback.api import kinds
from rollback.lifecycle.freeze import freeze
from rollback.lifecycle.lifecycle import Lifecycle
from rollback.lifecycle.quarantine import lift, quarantine
from rollback.lifecycle.run import Finished
from rollback.model.identity import Actor
from rollback.model.kind import Kind
from rollback.model.plan import Plan
from rollback.model.record import Status, chain_break
from rollback.model.request import AliasesRequest, PruneRequest
from rollback.model.retention import Doomed, deleted
from rollback.queries.audit import audit
from rollback.queries.history import past
from rollback.releases.api import listed
from rollback.releases.lists import releases_view
from rollback.util.errors import (
    Code,
    Refused,
    RollbackError,
    UsageError,
)
from tests.coded import coded
from tests.doubles.dying import Killed, Life
from tests.doubles.functions import Alias, Functions, client_error, nothing
from tests.doubles.world import ALICE, BOB, DAN, Quiet, World, create_table, previewed, settings, texts
from tests.integration.conftest import OneByOne
from tests.simulation.aws.dynamodb_model import DynamoDB

GET, LIST, ROLES = (
    "acme-dev-lambda-teams-get",
    "acme-dev-lambda-teams-list",
    "acme-dev-lambda-roles-get",
)
DRILL = "drill-01M8HJWWBRXSS8D41AY5A446KV"
WHY = "the account's code storage is full"


def released(world: World, count: int) -> World:
    """Releases v1, v2 …: version n of each function is that of release vn. The last stands."""
    for number in range(1, count + 1):
        world.release(f"v{number}")
        world.record(f"v{number}")
    return world


@pytest.fixture
def old(world: World) -> World:
    return released(world, 6)


@pytest.fixture
def empty(world: World) -> Callable[[], World]:
    """Makes a platform of which nothing is known."""

    def one() -> World:
        dynamodb = OneByOne(DynamoDB())
        create_table(dynamodb)
        return World(dynamodb=dynamodb, root=world.root, settings=world.settings)

    return one


def planned(world: World, keep: int = 2) -> Plan[Doomed]:
    plan: Plan[Doomed] = previewed(world.flow(DAN), Kind.PRUNE, PruneRequest(keep=keep))
    return plan


def doomed(world: World, keep: int = 2) -> dict[str, list[int]]:
    return {step.function: [one.number for one in step.delete] for step in planned(world, keep).steps}


def pruned(world: World, keep: int = 2, **how: Any) -> Finished:
    return world.flow(DAN, **how).start(Kind.PRUNE, PruneRequest(keep=keep), WHY, yes=True)


def interrupted(world: World) -> str | None:
    """The prune that `rollback prune` would go on with."""
    begun = kinds._interrupted(world.session(DAN))
    return begun and begun.record.rollback_id


def left(world: World) -> Mapping[str, list[int]]:
    return {name: sorted(map(int, versions)) for name, versions in world.functions.versions.items()}


def kept(world: World, function: str, number: int) -> str:
    (step,) = [step for step in planned(world).steps if step.function == function]
    return step.kept.get(str(number), "")


def _text(view: RenderableType) -> str:
    console = Console(record=True, width=200)
    console.print(view)
    return console.export_text()


# -- what stays ---------------------------------------------------------------------------------------------


def test_the_newest_releases_stay_and_what_is_older_goes(old: World) -> None:
    assert doomed(old, 3) == {GET: [1, 2, 3], LIST: [1, 2, 3], ROLES: [1, 2, 3]}

    record = pruned(old, 3).record

    assert record is not None
    assert (record.status, record.kind, record.reason) == (Status.COMPLETE, Kind.PRUNE, WHY)
    assert record.initiated_by == DAN
    assert (record.from_version, record.to_version) == ("18 versions", "9 versions")
    assert record.counts["moved"] == 9
    assert left(old) == {GET: [4, 5, 6], LIST: [4, 5, 6], ROLES: [4, 5, 6]}
    assert old.begin().record is not None, "previous is there"


def test_a_preview_deletes_nothing_and_shows_sizes_and_reasons(old: World) -> None:
    before = left(old)

    (step,) = [step for step in planned(old).steps if step.function == GET]

    assert step.frees == 4000
    assert step.kept == {"5": "release v5", "6": "alias live, v6 stands"}
    assert left(old) == before
    assert not old.functions.deleted


def test_a_quarantined_release_is_evidence_and_does_not_count_among_the_newest(old: World) -> None:
    quarantine(old.session(ALICE), "v5", ("teams",), "it leaks")

    assert doomed(old) == {GET: [1, 2, 3], LIST: [1, 2, 3], ROLES: [1, 2, 3, 4]}
    assert kept(old, GET, 5) == "v5 is quarantined"


@pytest.fixture
def drilled(world: World) -> World:
    """A drill's release between a person's: v1, v2, the drill's, v3, v4."""
    for version in ("v1", "v2", DRILL, "v3", "v4"):
        world.release(version)
        world.record(version)
    return world


@pytest.mark.finding("D5")
def test_a_drills_quarantined_release_is_no_evidence_and_goes(drilled: World) -> None:
    quarantine(drilled.session(ALICE), DRILL, (), "drill: code")

    assert doomed(drilled) == {GET: [1, 2, 3], LIST: [1, 2, 3], ROLES: [1, 2, 3]}
    assert pruned(drilled).error is None
    assert left(drilled) == {GET: [4, 5], LIST: [4, 5], ROLES: [4, 5]}


@pytest.mark.finding("D5")
def test_a_drills_release_that_is_deployed_stays(drilled: World) -> None:
    drilled.begin(to=DRILL)
    quarantine(drilled.session(ALICE), DRILL, (), "drill: code")

    assert kept(drilled, GET, 3) == f"alias live, {DRILL} stands"


@pytest.mark.finding("D5")
def test_quarantined_releases_of_drills_are_one_line_of_the_list(drilled: World) -> None:
    quarantine(drilled.session(ALICE), DRILL, (), "drill: code")
    ledger = drilled.session().ledger
    rows = listed(ledger.timeline(), ledger.quarantines(), {})

    assert DRILL in [row.version for row in rows], "JSON has them all"
    shown, whole = (_text(releases_view(rows, everything=everything)) for everything in (False, True))
    assert DRILL not in shown
    assert "--all" in shown
    assert "v2" in shown
    assert DRILL in whole
    assert "--all" not in whole


def test_what_is_deployed_and_what_previous_would_give_stay_however_old_they_are(old: World) -> None:
    old.begin(to="v2")
    lift(old.session(ALICE), "v6", (), "mended")

    assert kept(old, GET, 2) == "alias live, v2 stands"
    assert kept(old, GET, 1) == "previous is v1"
    assert doomed(old)[GET] == [3, 4]


def test_what_any_alias_or_its_weights_use_stays(old: World) -> None:
    old.functions.others = {GET: {"canary": Alias(version="1", revision="r", weights={"3": 0.1})}}
    old.functions.point(LIST, "6", {"2": 0.05})

    assert doomed(old) == {GET: [2, 4], LIST: [1, 3, 4], ROLES: [1, 2, 3, 4]}
    assert kept(old, GET, 3) == "alias canary"


def test_provisioned_concurrency_keeps_a_version(old: World) -> None:
    old.functions.versions[GET]["2"].provisioned = True

    assert doomed(old)[GET] == [1, 3, 4]
    assert kept(old, GET, 2) == "provisioned concurrency"


@pytest.mark.finding("D2")
@pytest.mark.parametrize(
    ("use", "why"),
    [
        ("permitted", "somebody is permitted to invoke it"),
        ("mapped", "an event source mapping"),
        ("configured", "an event invoke configuration"),
    ],
)
def test_what_lambda_itself_says_uses_a_version_keeps_it(old: World, use: str, why: str) -> None:
    setattr(old.functions.versions[GET]["2"], use, True)

    assert doomed(old) == {GET: [1, 3, 4], LIST: [1, 2, 3, 4], ROLES: [1, 2, 3, 4]}
    assert kept(old, GET, 2) == why


@pytest.mark.finding("D2")
@pytest.mark.parametrize("use", ["permitted", "mapped", "configured"])
def test_a_version_that_somebody_begins_to_use_by_its_arn_while_others_go_is_left_alone(
    old: World, use: str
) -> None:
    looks = itertools.count(1)

    def hook(operation: str, function: str) -> None:
        # The plan's is the first.
        if (operation, function) == ("ListAliases", GET) and next(looks) > 1:
            setattr(old.functions.versions[GET]["1"], use, True)

    old.functions.before = hook

    ended = pruned(old)

    assert ended.record is not None
    assert ended.record.status is Status.COMPLETE
    assert (ended.record.counts["moved"], ended.record.counts["confirmed"]) == (11, 1)
    assert left(old)[GET] == [1, 5, 6]


@pytest.mark.finding("D2")
@pytest.mark.parametrize(
    "dimensions",
    [{"Resource": f"{GET}:2"}, {"Resource": f"{GET}:live", "ExecutedVersion": "2"}],
    ids=["by its number", "through an alias's weights"],
)
def test_a_version_that_was_invoked_lately_stays(old: World, dimensions: dict[str, str]) -> None:
    old.metrics.invocations = [
        {"FunctionName": GET, "Resource": f"{GET}:live"},
        {"FunctionName": GET, **dimensions},
        {"FunctionName": "other", "Resource": "other:1"},
    ]

    assert doomed(old) == {GET: [1, 3, 4], LIST: [1, 2, 3, 4], ROLES: [1, 2, 3, 4]}
    assert kept(old, GET, 2) == "invoked within two weeks"


@pytest.mark.finding("D2")
def test_metrics_that_cannot_be_read_are_said_to_be_unknown(old: World) -> None:
    old.metrics.fail = client_error("ListMetrics", "AccessDenied")

    plan = planned(old)

    assert [one.number for one in plan.steps[0].delete] == [1, 2, 3, 4]
    assert any("CloudWatch" in notice for notice in plan.notices)


def test_a_record_that_has_not_ended_keeps_what_it_comes_from_and_goes_to(old: World) -> None:
    waiting = old.flow().start("aliases", AliasesRequest(release="v1"), "it went bad", hold=True).record

    assert waiting is not None
    assert doomed(old)[GET] == [2, 3, 4]
    assert kept(old, GET, 1) == f"record {waiting.rollback_id}"
    old.flow().abort(waiting.rollback_id, "not needed")
    assert doomed(old)[GET] == [1, 2, 3, 4]


def test_it_keeps_what_the_record_comes_from_also_once_that_is_no_longer_deployed(old: World) -> None:
    waiting = old.flow().start("aliases", AliasesRequest(release="v1"), "it went bad", hold=True).record
    assert waiting is not None
    for version in ("v7", "v8", "v9"):
        old.release(version)
        old.record(version)

    assert kept(old, GET, 6) == f"record {waiting.rollback_id}"
    assert doomed(old)[GET] == [2, 3, 4, 5, 7]


def test_what_a_deployment_has_published_and_not_recorded_yet_stays(old: World) -> None:
    old.functions.publish(GET, "v7")

    assert doomed(old)[GET] == [1, 2, 3, 4]
    assert kept(old, GET, 7) == "newer than the newest recorded release"


def test_without_a_recorded_release_nothing_goes(world: World) -> None:
    world.release("v1")
    world.release("v2")

    assert doomed(world) == {GET: [], LIST: [], ROLES: []}
    assert kept(world, GET, 1) == "no kept release holds the function"


def test_the_last_manifest_in_the_archive_stays(old: World) -> None:
    """The ledger of an account that was restored may not know the newest release."""
    session = old.session()
    newest = session.ledger.timeline().release_of("v2")
    assert newest is not None
    kept_manifest = session.ledger.release(newest.id)
    old.bucket.versions = {
        key: versions
        for key, versions in old.bucket.versions.items()
        if not key.startswith("releases/") or kept_manifest.deployment_id in key
    }

    assert doomed(old)[GET] == [1, 3, 4]
    assert kept(old, GET, 2) == "last manifest in the archive"


def test_an_archive_that_cannot_be_read_lets_nothing_go(old: World) -> None:
    old.bucket.fail = client_error("ListObjectVersions", "AccessDenied")

    with pytest.raises(RollbackError, match="listing", check=coded(Code.ACCESS_DENIED)):
        planned(old)


def test_two_releases_at_least_are_kept(old: World) -> None:
    with pytest.raises(UsageError, match="too small", check=coded(Code.OPTION_INVALID)):
        planned(old, 1)


# -- what changes meanwhile ---------------------------------------------------------------------------------


def once(world: World, operation: str, function: str, action: Callable[[], object]) -> None:
    """`action` happens before the first such request."""

    def hook(seen: str, name: str) -> None:
        if (seen, name) == (operation, function):
            world.functions.before = nothing
            action()

    world.functions.before = hook


@pytest.mark.parametrize("where", ["canary", "live"])
def test_a_version_that_comes_into_use_while_others_go_is_left_alone(old: World, where: str) -> None:
    def used() -> None:
        if where == "canary":
            old.functions.others = {GET: {"canary": Alias(version="1", revision="r")}}
        else:
            old.functions.point(GET, "6", {"1": 0.1})

    once(old, "DeleteFunction", LIST, used)
    plan = planned(old)
    once(old, "DeleteFunction", GET, used)
    ended = pruned(old)

    assert doomed(old) == {GET: [], LIST: [], ROLES: []}
    assert [one.number for one in plan.steps[0].delete] == [1, 2, 3, 4]
    assert left(old)[GET] == [1, 5, 6]
    assert ended.record is not None
    assert ended.record.status is Status.COMPLETE
    assert (ended.record.counts["moved"], ended.record.counts["confirmed"]) == (11, 1)
    assert ended.record.verification[0].detail == "11 of 12 versions are deleted, 1 are in use now"


def test_a_release_that_is_quarantined_before_it_is_resumed_stays(old: World) -> None:
    stop = threading.Event()
    once(old, "DeleteFunction", GET, stop.set)
    interrupted = pruned(old, stop=stop).record
    assert interrupted is not None
    quarantine(old.session(ALICE), "v3", (), "evidence")
    there = {name: 3 in numbers for name, numbers in left(old).items()}

    old.flow(DAN).resume(interrupted.rollback_id)

    assert {name: 3 in numbers for name, numbers in left(old).items()} == there


# -- locks --------------------------------------------------------------------------------------------------


def test_it_is_refused_while_somebody_else_has_frozen_the_environment(old: World) -> None:
    freeze(old.session(ALICE), "looking into it")

    with pytest.raises(Refused, check=coded(Code.FROZEN)):
        pruned(old)
    assert not old.functions.deleted


@pytest.mark.parametrize("owner", ["01OTHER", "deployment-01OTHER"])
def test_it_is_refused_while_a_rollback_or_a_recording_is_in_flight(old: World, owner: str) -> None:
    lease = old.session(ALICE).leases.take("aliases", owner)

    with pytest.raises(Refused, check=coded(Code.LEASE_HELD)):
        pruned(old)

    lease.release()
    assert not old.functions.deleted


def test_no_rollback_and_no_recording_runs_beside_it(old: World) -> None:
    refused: list[str] = []

    def others() -> None:
        for other in (lambda: old.begin(to="v1"), lambda: old.record("v6")):
            try:
                other()
            except Refused as error:
                refused.append(error.what)

    once(old, "DeleteFunction", GET, others)

    pruned(old)

    assert len(refused) == 2
    assert all("holds the lease" in what for what in refused)


# -- interrupted --------------------------------------------------------------------------------------------


def test_asked_to_stop_it_begins_nothing_new(world: World) -> None:
    """There are more versions than threads."""
    released(world, 12)
    stop = threading.Event()
    once(world, "DeleteFunction", LIST, stop.set)

    ended = pruned(world, stop=stop)

    assert ended.record is not None
    assert ended.record.status is Status.IN_PROGRESS
    assert max(map(len, left(world).values())) > 2


def test_interrupted_it_shows_what_is_deleted_and_goes_on_when_run_again(old: World) -> None:
    stop = threading.Event()
    once(old, "DeleteFunction", LIST, stop.set)

    ended = pruned(old, stop=stop)

    assert ended.record is not None
    assert ended.error is not None
    assert ended.record.status is Status.IN_PROGRESS
    gone = {name: set(range(1, 7)) - set(numbers) for name, numbers in left(old).items()}
    assert deleted(ended.events) == {name: numbers for name, numbers in gone.items() if numbers}
    assert "rollback resume" in ended.error.next
    assert interrupted(old) == ended.record.rollback_id

    again = old.flow(DAN).resume(ended.record.rollback_id).record

    assert again is not None
    assert (again.status, again.counts["moved"]) == (Status.COMPLETE, 12)
    assert left(old) == {GET: [5, 6], LIST: [5, 6], ROLES: [5, 6]}
    assert interrupted(old) is None


@pytest.mark.parametrize("before", [True, False], ids=["before a write", "after it"])
def test_killed_at_any_write_it_is_gone_on_with_and_ends_with_everything_reported(
    empty: Callable[[], World], before: bool
) -> None:
    gone = {GET: {1, 2}, LIST: {1, 2}, ROLES: {1, 2}}
    for number in itertools.count(1):
        world = released(empty(), 4)
        try:
            life = Life(at=number, before=before)
            pruned(world, life=life)
        except Killed:
            pass
        if not life.dead:
            break

        begun = interrupted(world)
        if begun is not None:
            assert world.flow(DAN).resume(begun).error is None
        elif (orphan := world.session().leases.holder("aliases")) is not None:
            world.flow(DAN).abort(str(orphan["owner"]))
            pruned(world)
        else:
            pruned(world)

        assert set(map(tuple, left(world).values())) == {(3, 4)}, number
        (moment,) = past(world.session(), 10, Kind.PRUNE).moments
        opened = world.session().ledger.load(moment.what)
        assert (opened.record.status, deleted(opened.events)) == (Status.COMPLETE, gone), number
        assert chain_break(opened.record, opened.events) is None
    assert number > 8, "as many as it writes"


def test_given_up_it_deletes_nothing_more_and_reports_that_nothing_comes_back(old: World) -> None:
    stop = threading.Event()
    once(old, "DeleteFunction", LIST, stop.set)
    ended = pruned(old, stop=stop)
    assert ended.record is not None
    before, output = left(old), Quiet()
    flow = old.flow(DAN)

    given_up = type(flow)(session=flow.session, ui=output, stop=flow.stop).abort(ended.record.rollback_id)

    assert given_up.record is not None
    assert given_up.record.status is Status.ABORTED
    assert given_up.error is None
    assert any("cannot be restored" in parts for parts in output.notices)
    assert left(old) == before


def test_given_up_after_it_was_killed_it_shows_what_had_been_deleted(old: World) -> None:
    life = Life()
    once(old, "DeleteFunction", GET, lambda: setattr(life, "at", len(life.seen) + 1))
    life.before = False
    with pytest.raises(Killed):
        pruned(old, life=life)
    begun = interrupted(old)
    assert begun is not None

    ended = old.flow(DAN).abort(begun)

    gone = {name: set(range(1, 7)) - set(numbers) for name, numbers in left(old).items()}
    assert any(gone.values())
    assert deleted(ended.events) == {name: numbers for name, numbers in gone.items() if numbers}


class Deaf(Functions):
    """Says that a version is deleted, and keeps it."""

    def delete_function(self, *, FunctionName: str, Qualifier: str | None = None) -> None: ...  # noqa: N803


def test_what_is_still_there_although_nobody_needs_it_fails_the_verification(
    empty: Callable[[], World],
) -> None:
    deaf = released(replace(empty(), functions=Deaf()), 3)

    ended = pruned(deaf)

    assert ended.record is not None
    assert ended.record.status is Status.FAILED
    assert ended.error is not None
    assert f"0 of 3 versions are deleted; {GET}:1" in ended.error.what
    assert ended.error.next.startswith(f"rollback resume {ended.record.rollback_id}")


def test_a_refused_deletion_is_a_failure_that_can_be_gone_on_with(old: World) -> None:
    def refuse() -> None:
        raise client_error("DeleteFunction", "AccessDeniedException", "no")

    once(old, "DeleteFunction", GET, refuse)

    ended = pruned(old)

    assert ended.error is not None
    assert ended.record is not None
    assert ended.record.status is Status.FAILED
    assert "Access denied while deleting version" in ended.error.what
    again = old.flow(DAN).resume(ended.record.rollback_id).record
    assert again is not None
    assert (again.status, again.counts["moved"], again.counts["failed"]) == (Status.COMPLETE, 12, 0)


# -- told ---------------------------------------------------------------------------------------------------


def test_it_is_in_the_history_and_in_a_trail_that_is_whole(moto_world: World) -> None:
    old = released(moto_world, 6)
    record = pruned(old).record
    assert record is not None
    session = old.session()

    (moment,) = past(session, 10, Kind.PRUNE).moments
    audited = audit(session.ledger, session.account.each, Quiet())

    assert (moment.what, moment.movement, moment.actor) == (
        record.rollback_id,
        "18 versions → 6 versions",
        "dan",
    )
    assert moment.changes == {"delete": 12}
    assert audited.findings == ()


def test_a_rollback_to_a_release_that_was_pruned_is_reported_by_which_prune_and_when(old: World) -> None:
    record = pruned(old).record
    assert record is not None

    with pytest.raises(
        Refused, match=f"deleted by prune {record.rollback_id} of .*, dan", check=coded(Code.PLAN_REFUSED)
    ):
        old.begin(to="v1")


def test_with_nothing_to_delete_there_is_no_record(old: World) -> None:
    finished = pruned(old, 6)

    assert finished.record is None
    assert past(old.session(), 20, Kind.PRUNE).moments == ()


def test_where_aliases_need_approval_so_does_it_and_exactly_that_is_deleted(old: World) -> None:
    old.settings = settings(approval="identity")
    project, stack = texts(approval="identity")
    (old.root / "Pulumi.yaml").write_text(project, encoding="utf-8")
    (old.root / "Pulumi.dev.yaml").write_text(stack, encoding="utf-8")

    def flow(caller: Actor) -> Lifecycle:
        protected = {"Pulumi.yaml": project, "Pulumi.dev.yaml": stack}
        session = replace(old.session(caller), on_branch=lambda _root, _branch, name: protected[name])
        return Lifecycle(session=session, ui=Quiet(), stop=threading.Event())

    waiting = flow(DAN).start(Kind.PRUNE, PruneRequest(keep=2), WHY)
    assert waiting.error is not None
    assert waiting.error.exit_code == 10
    assert not old.functions.deleted
    record = waiting.record
    assert record is not None
    flow(BOB).approve(record.rollback_id, record.digest)
    old.functions.others = {GET: {"canary": Alias(version="1", revision="r")}}

    with pytest.raises(Refused, match="is out of date"):
        flow(DAN).apply(record.rollback_id)
    old.functions.others = {}
    ended = flow(DAN).apply(record.rollback_id).record

    assert ended is not None
    assert (ended.status, ended.approved_by, ended.counts["moved"]) == (Status.COMPLETE, BOB, 12)
