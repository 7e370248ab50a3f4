"""The flow over infrastructure in memory: confirmed, failing half-way, planned anew, and all at once."""

from __future__ import annotations

import io
import threading
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from rollback import targets
from rollback.lifecycle.lifecycle import Lifecycle
from rollback.lifecycle.quarantine import covering, lift
from rollback.lifecycle.run import Finished
from rollback.model.record import Status, chain_break, record_hash
from rollback.model.release import STACK, TERRAFORM
from rollback.model.request import StoredRequest, read
from rollback.model.situation import RecordSeen
from rollback.queries.history import _record
from rollback.queries.status import overview
from rollback.releases.record_release import Commits, record
from rollback.targets.base import Context, Failure, Target
from rollback.util.canonical import digest, plain
from rollback.util.errors import Code, Refused, UsageError
from rollback.views.plan import plan_view
from rollback.views.records import record_view
from tests.coded import coded
from tests.doubles.functions import client_error, nothing
from tests.doubles.infrastructure import NEW, OLD, StackDouble
from tests.doubles.world import BOB, DAN, SHA, Quiet, World, settings

WHY = "the queue was lost"


@pytest.fixture
def stack_doubles(monkeypatch: pytest.MonkeyPatch) -> dict[str, StackDouble]:
    """A stack and a Terraform configuration in memory, in place of the real ones."""
    made = {"stack": StackDouble(), "terraform": StackDouble()}
    subjects = {"stack": STACK, "terraform": TERRAFORM}
    real = targets.make

    def make(kind: str, context: Context) -> Target:
        if kind in made:
            return made[kind].target(kind, subjects[kind])(context)
        return real(kind, context)

    monkeypatch.setattr(targets, "make", make)
    return made


@pytest.fixture
def stack_double(stack_doubles: dict[str, StackDouble]) -> StackDouble:
    return stack_doubles["stack"]


def flow(world: World, *, answer: bool | None = None, stop: threading.Event | None = None) -> Lifecycle:
    return Lifecycle(session=world.session(DAN), ui=Quiet(answer=answer), stop=stop or threading.Event())


def start(world: World, kind: str = "stack", **how: Any) -> Finished:
    answer = how.pop("answer", None)
    yes = how.pop("yes", False)
    return flow(world, answer=answer).start(kind, read(kind, StoredRequest(**how)), WHY, yes=yes)


def ended(world: World, finished: Finished, status: Status, code: int) -> None:
    """A run ended like this: record and chain agree, and nothing is locked."""
    assert finished.record is not None
    assert (finished.error.exit_code if finished.error else 0) == code, finished.error
    opened = world.session().ledger.load(finished.record.rollback_id)
    assert opened.record == finished.record
    assert opened.record.status is status
    assert chain_break(opened.record, opened.events) is None
    assert world.session().leases.holders() == {}


def fails_at(name: str) -> Any:
    return lambda urn: Failure(subject=urn, reason="it said no") if urn == name else None


def test_with_yes_one_plan_under_the_lease_serves_and_what_was_left_is_quarantined(
    world: World, stack_double: StackDouble
) -> None:
    finished = start(world, yes=True)

    ended(world, finished, Status.COMPLETE, 0)
    assert set(stack_double.resources.values()) == {OLD}
    assert stack_double.published == [OLD]
    assert finished.record is not None
    assert finished.record.infrastructure == {"create": 0, "update": 3, "replace": 0, "delete": 0, "same": 0}
    assert finished.record.rto_seconds == 15 * 60
    assert stack_double.kept == stack_double.forgotten == [finished.record.rollback_id]
    assert world.timeline().all_deployed == {STACK: OLD}
    assert [(item.service, item.reason) for item in covering(world.session(), NEW)] == [("@stack", WHY)]
    assert covering(world.session(), OLD) == []
    shown = {part.name: part for part in overview(world.session()).infrastructure}
    assert (shown["stack"].stands, shown["stack"].quarantined) == (OLD, (NEW,))
    assert world.deployed is None, "which tells of aliases"


@pytest.mark.finding("P9")
@pytest.mark.parametrize(("subject", "code"), [(STACK, 5), (f"{STACK}/edge/dev", 0)])
def test_the_platforms_smoke_command_proves_nothing_of_another_programs_stack(
    world: World, monkeypatch: pytest.MonkeyPatch, subject: str, code: int
) -> None:
    made = StackDouble()
    monkeypatch.setattr(targets, "make", lambda kind, context: made.target(kind, subject)(context))
    monkeypatch.setattr("tests.doubles.infrastructure.Target.smoked", True)
    world.settings = settings(smoke=["sh", "-c", "exit 1"])

    finished = start(world, yes=True)

    assert (finished.error.exit_code if finished.error else 0) == code
    assert finished.record is not None
    assert [check.check for check in finished.record.verification if check.check == "smoke"] == (
        ["smoke"] if code else []
    )


@pytest.mark.finding("P5")
def test_another_programs_stack_is_named_wherever_it_is_shown(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = StackDouble()
    monkeypatch.setattr(
        targets, "make", lambda kind, context: made.target(kind, f"{STACK}/edge/dev")(context)
    )

    finished = start(world, yes=True, project="services/edge")

    ended(world, finished, Status.COMPLETE, 0)
    assert finished.record is not None
    assert finished.plan is not None
    name = "edge/dev in services/edge"
    assert finished.record.stack == name
    for view in (plan_view(finished.plan), record_view(RecordSeen(record=finished.record))):
        console = Console(file=io.StringIO(), width=120)
        console.print(view)
        assert name in console.file.getvalue()  # type: ignore[attr-defined] # a StringIO
    assert _record(world.session(), finished.record).movement.startswith(f"{name}: ")


@pytest.mark.finding("P5")
def test_a_record_of_the_environments_own_stack_has_the_hash_that_earlier_versions_gave_it(
    world: World, stack_double: StackDouble
) -> None:
    record_ = start(world, yes=True).record

    assert record_ is not None
    assert record_.stack == ""
    before = plain(replace(record_, events=0, head=""))
    for later in ("stack", "relieved_seconds", "below", "standby_until", "taken_by", "alarm"):
        del before[later]
    assert record_hash(record_) == digest(before)
    assert record_hash(replace(record_, stack="edge/dev")) != record_hash(record_)


def test_a_commit_that_was_left_may_be_deployed_again_once_it_is_lifted(
    world: World, stack_double: StackDouble
) -> None:
    ended(world, start(world, yes=True), Status.COMPLETE, 0)
    assert stack_double.resources

    assert lift(world.session(), NEW[:9], (), "mended") == ["stack"]

    assert covering(world.session(), NEW) == []


def test_without_anybody_to_ask_it_waits_for_its_digest(world: World, stack_double: StackDouble) -> None:
    waiting = start(world)

    ended(world, waiting, Status.AWAITING_APPROVAL, 10)
    assert waiting.record is not None
    identifier, digest = waiting.record.rollback_id, waiting.record.digest
    assert waiting.error is not None
    assert waiting.error.next == f"rollback apply {identifier} --digest {digest[:16]} --env dev"
    assert set(stack_double.resources.values()) == {NEW}
    with pytest.raises(Refused, match="must be confirmed"):
        flow(world).apply(identifier)
    with pytest.raises(Refused, match="is not that of"):
        flow(world).apply(identifier, "f" * 16)
    with pytest.raises(Refused, match="is not that of"):
        flow(world).apply(identifier, digest[:4])

    done = flow(world).apply(identifier, digest[:16])

    ended(world, done, Status.COMPLETE, 0)
    opened = world.session().ledger.load(identifier)
    assert [event.kind for event in opened.events][:2] == ["planned", "confirmed"]
    assert opened.record.approved_by is None


@pytest.mark.finding("W4")
def test_where_a_confirmation_is_enough_a_reviewers_approval_is_written_down_all_the_same(
    world: World, stack_double: StackDouble
) -> None:
    waiting = start(world)
    assert waiting.record is not None
    identifier, digest = waiting.record.rollback_id, waiting.record.digest
    Lifecycle(session=world.session(BOB), ui=Quiet()).approve(identifier, digest)

    with pytest.raises(Refused, match="must be confirmed"):
        flow(world).apply(identifier)
    done = flow(world).apply(identifier, digest[:16])

    ended(world, done, Status.COMPLETE, 0)
    opened = world.session().ledger.load(identifier)
    approved = opened.events[1]
    assert (approved.kind, approved.by, approved.data["by"]["person"]) == ("approved", DAN, "bob")
    assert opened.record.approved_by == BOB
    assert set(stack_double.resources.values()) == {OLD}


@pytest.mark.parametrize(
    ("answer", "status", "at"), [(True, Status.COMPLETE, OLD), (False, Status.ABORTED, NEW)]
)
def test_the_person_at_the_terminal_is_asked_and_no_is_a_refusal(
    world: World, stack_double: StackDouble, answer: bool, status: Status, at: str
) -> None:
    finished = start(world, answer=answer)

    ended(world, finished, status, 0 if answer else 3)
    assert set(stack_double.resources.values()) == {at}


def test_a_plan_is_not_confirmed_unseen_but_where_that_is_allowed(
    world: World, stack_double: StackDouble
) -> None:
    world.settings = world.settings.model_copy(update={"unattended": False})

    with pytest.raises(UsageError, check=coded(Code.OPTION_INVALID)):
        start(world, yes=True)

    assert set(stack_double.resources.values()) == {NEW}
    assert world.session().leases.holders() == {}


def test_a_world_that_moved_since_the_plan_is_refused_with_what_has_moved(
    world: World, stack_double: StackDouble
) -> None:
    waiting = start(world)
    assert waiting.record is not None
    stack_double.resources["topic"] = NEW

    with pytest.raises(Refused, match="topic", check=coded(Code.PLAN_OUTDATED)):
        flow(world).apply(waiting.record.rollback_id, waiting.record.digest)

    assert set(stack_double.resources.values()) == {NEW}


def test_an_rto_that_is_exceeded_is_recorded_and_reported_and_is_no_failure(
    world: World, stack_double: StackDouble
) -> None:
    def slow(_: str) -> None:
        world.clock.sleep(400)

    world.settings = settings(leaseSeconds=3600)
    stack_double.trouble = slow

    finished = start(world, yes=True)

    ended(world, finished, Status.COMPLETE, 0)
    assert finished.record is not None
    assert (finished.record.elapsed_seconds, finished.record.rto_seconds) == (1200, 900)
    output = io.StringIO()
    Console(file=output, width=120).print(record_view(RecordSeen(record=finished.record)))
    assert "1200.0 s, over the RTO of 900 s" in output.getvalue()


def test_what_fails_half_way_is_not_reverted_but_can_be_resumed(
    world: World, stack_double: StackDouble
) -> None:
    stack_double.trouble = fails_at("queue")

    failed = start(world, yes=True)

    ended(world, failed, Status.FAILED, 1)
    assert stack_double.resources == {"api": OLD, "queue": NEW, "table": NEW}
    assert failed.record is not None
    assert failed.error is not None
    assert "rollback resume" in failed.error.next
    assert "rollback abort" in failed.error.next
    assert world.timeline().all_deployed == {}, "nobody knows what it stands at"
    assert covering(world.session(), NEW) == []
    stack_double.trouble = lambda _: None
    ended(world, flow(world).resume(failed.record.rollback_id), Status.COMPLETE, 0)
    assert set(stack_double.resources.values()) == {OLD}


def test_what_fails_half_way_can_be_aborted(world: World, stack_double: StackDouble) -> None:
    stack_double.trouble = fails_at("queue")
    failed = start(world, yes=True)
    assert failed.record is not None
    stack_double.trouble = lambda _: None

    undone = flow(world).abort(failed.record.rollback_id)

    ended(world, undone, Status.REVERTED, 0)
    assert set(stack_double.resources.values()) == {NEW}
    assert world.timeline().all_deployed == {STACK: NEW}


def test_what_is_left_and_is_more_than_was_approved_is_planned_anew(
    world: World, stack_double: StackDouble
) -> None:
    stack_double.trouble = fails_at("queue")
    failed = start(world, yes=True)
    assert failed.record is not None
    stack_double.trouble, stack_double.drifted = (lambda _: None), "by hand"

    anew = flow(world).resume(failed.record.rollback_id)

    ended(world, anew, Status.AWAITING_APPROVAL, 10)
    assert anew.record is not None
    assert anew.record.rollback_id != failed.record.rollback_id
    assert world.session().ledger.load(failed.record.rollback_id).record.status is Status.FAILED
    assert anew.record.digest != failed.record.digest


def released(world: World) -> None:
    """v1 at OLD, v2 at NEW; both with their stack and Terraform commits."""
    for version, commit in (("v1", OLD), ("v2", NEW)):
        world.release(version)
        commits = Commits(code=SHA, stack=commit, terraform=commit)
        record(world.session(DAN), version, commits, Quiet())


def test_full_rolls_back_aliases_then_stack_then_terraform_under_one_record(
    world: World, stack_doubles: dict[str, StackDouble]
) -> None:
    released(world)

    finished = start(world, "full", yes=True)

    ended(world, finished, Status.COMPLETE, 0)
    assert set(world.versions().values()) == {"1"}
    assert [set(double.resources.values()) for double in stack_doubles.values()] == [{OLD}, {OLD}]
    assert world.deployed == "v1"
    assert finished.record is not None
    assert finished.record.counts["planned"] == 3 + 3 + 3
    assert finished.record.infrastructure["update"] == 6
    assert finished.record.domains == ("aliases", "stack", "terraform")
    order = [event.data.get("part") for event in finished.events if event.kind == "part done"]
    assert order == ["aliases", "stack", "terraform"]


class Counting(Quiet):
    """A person who sees how far the work has come."""

    def __init__(self) -> None:
        super().__init__()
        self.totals: dict[str, int] = {}
        self.seen: list[int] = []

    def start(self, what: str, total: int) -> None:
        self.totals[what] = total

    def progress(self, done: int) -> None:
        self.seen.append(done)


def test_the_progress_of_full_ends_where_it_is_done_however_much_is_unchanged(
    world: World, stack_doubles: dict[str, StackDouble]
) -> None:
    released(world)
    for double in stack_doubles.values():
        double.resources |= {f"unchanged-{number}": OLD for number in range(40)}
    person = Counting()
    lifecycle = Lifecycle(session=world.session(DAN), ui=person, stop=threading.Event())

    lifecycle.start("full", read("full", StoredRequest()), WHY, yes=True)

    assert max(person.seen) == person.totals["Rolling back"] == 3 + 3 + 3


def test_after_full_the_next_rollback_knows_what_its_aliases_point_at(
    world: World, stack_doubles: dict[str, StackDouble]
) -> None:
    released(world)
    ended(world, start(world, "full", yes=True), Status.COMPLETE, 0)
    assert stack_doubles
    lift(world.session(), "v2", (), "mended")
    asked = len(world.functions.called("GetAlias"))

    forward = world.begin(to="v2")

    assert forward.record is not None
    assert forward.record.status is Status.COMPLETE
    assert set(world.versions().values()) == {"2"}
    assert len(world.functions.called("GetAlias")) == asked + 3, (
        "those of the verification: its RevisionIds are those that full recorded"
    )


def test_a_later_part_that_fails_leaves_the_relief_deployed_and_reports_it(
    world: World, stack_doubles: dict[str, StackDouble]
) -> None:
    released(world)
    stack_doubles["terraform"].trouble = fails_at("table")

    failed = start(world, "full", yes=True)

    ended(world, failed, Status.FAILED, 1)
    assert set(world.versions().values()) == {"1"}
    assert world.deployed == "v1"
    assert failed.error is not None
    assert "roles, teams, stack" in failed.error.changed
    assert failed.record is not None
    assert world.timeline().all_deployed == {"teams": "v1", "roles": "v1", STACK: OLD}
    stack_doubles["terraform"].trouble = lambda _: None
    ended(world, flow(world).resume(failed.record.rollback_id), Status.COMPLETE, 0)
    assert world.timeline().all_deployed == {"teams": "v1", "roles": "v1", STACK: OLD, TERRAFORM: OLD}


def test_aborting_full_undoes_the_last_part_first(
    world: World, stack_doubles: dict[str, StackDouble]
) -> None:
    released(world)
    before = world.functions.deployed()
    stack_doubles["terraform"].trouble = fails_at("table")
    failed = start(world, "full", yes=True)
    assert failed.record is not None
    stack_doubles["terraform"].trouble = lambda _: None

    undone = flow(world).abort(failed.record.rollback_id)

    ended(world, undone, Status.REVERTED, 0)
    assert world.functions.deployed() == before
    assert [set(double.resources.values()) for double in stack_doubles.values()] == [{NEW}, {NEW}]
    assert world.deployed == "v2"


def test_aliases_that_fail_in_full_are_reverted_and_nothing_else_is_begun(
    world: World, stack_doubles: dict[str, StackDouble]
) -> None:
    released(world)
    before = world.functions.deployed()

    refusals = iter([client_error("UpdateAlias", "AccessDeniedException")])

    def refused(operation: str, function: str) -> None:
        if operation == "UpdateAlias" and function == world.names[2] and (error := next(refusals, None)):
            raise error

    world.functions.before = refused

    finished = start(world, "full", yes=True)

    ended(world, finished, Status.REVERTED, 4)
    assert world.functions.deployed() == before
    assert [set(double.resources.values()) for double in stack_doubles.values()] == [{NEW}, {NEW}]
    assert {commit for double in stack_doubles.values() for commit in double.published} <= {NEW}


# -- a release is recorded --------------------------------------------------------------------------------------


def recording(world: World, version: str = "v1", **commits: str | None) -> str:
    """The code of what refuses it; empty where it was recorded."""
    commit, terraform = commits.pop("stack", None), commits.pop("terraform", None)
    try:
        record(
            world.session(DAN),
            version,
            Commits(code=SHA, terraform=terraform),
            Quiet(),
            stack=lambda: (commit, "" if commit else "there is none"),
        )
    except Refused as refused:
        return str(refused.code)
    return ""


@pytest.mark.finding("S14")
@pytest.mark.parametrize("kind", ["stack", "terraform"])
def test_no_release_is_recorded_while_the_infrastructure_is_rolled_back(
    world: World, stack_doubles: dict[str, StackDouble], kind: str
) -> None:
    world.release("v1")
    met: list[str] = []

    def trouble(_: str) -> None:
        met.append(recording(world))

    stack_doubles[kind].trouble = trouble

    ended(world, start(world, kind, yes=True), Status.COMPLETE, 0)

    assert set(met) == {Code.LEASE_HELD}
    assert world.timeline().release_of("v1") is None
    assert recording(world) == ""


@pytest.mark.finding("S14")
def test_of_two_recordings_and_a_rollback_at_once_one_runs(
    world: World, stack_doubles: dict[str, StackDouble]
) -> None:
    world.release("v1")
    met: list[str] = []

    def before(operation: str, function: str) -> None:
        world.functions.before = nothing
        met.append(recording(world, "v2"))
        for kind in ("stack", "terraform"):
            with pytest.raises(Refused, match="dan on", check=coded(Code.LEASE_HELD)):
                start(world, kind, yes=True)

    world.functions.before = before

    assert recording(world) == ""

    assert met == [Code.LEASE_HELD]
    assert [entry.version for entry in world.timeline() if entry.is_release] == ["v1"]
    assert all(set(one.resources.values()) == {NEW} for one in stack_doubles.values())
    assert world.session().leases.holders() == {}


@pytest.mark.finding("S14")
def test_leases_are_taken_in_one_order_and_given_back_where_one_is_held(world: World) -> None:
    world.release("v1")
    session = world.session(BOB)
    session.leases.take("terraform", "01OTHER")

    with pytest.raises(Refused, match=r"terraform.*bob on", check=coded(Code.LEASE_HELD)):
        world.record("v1")

    assert list(session.leases.holders()) == ["terraform"]


@pytest.mark.finding("S14")
def test_a_stack_that_was_rolled_back_before_the_leases_were_had_is_recorded_as_it_is_now(
    world: World, stack_double: StackDouble
) -> None:
    world.release("v1")
    ended(world, start(world, yes=True), Status.COMPLETE, 0)

    def read_now() -> tuple[str, str]:
        assert set(world.session().leases.holders()) == {"aliases", "stack", "terraform"}
        return next(iter(stack_double.resources.values())), ""

    record(world.session(DAN), "v1", Commits(code=SHA), Quiet(), stack=read_now)

    assert world.timeline().all_deployed[STACK] == OLD
    assert world.session().ledger.release(world.timeline().release_of("v1").id).stack_commit == OLD


@pytest.mark.finding("S14")
@pytest.mark.parametrize("kind", ["stack", "terraform"])
def test_a_release_of_a_commit_that_a_rollback_has_left_is_not_recorded(
    world: World, stack_doubles: dict[str, StackDouble], kind: str
) -> None:
    assert stack_doubles
    world.release("v1")
    ended(world, start(world, kind, yes=True), Status.COMPLETE, 0)

    assert recording(world, **{kind: NEW}) == Code.QUARANTINED

    assert world.timeline().release_of("v1") is None
    lift(world.session(), NEW[:9], (), "mended")
    assert recording(world, **{kind: NEW}) == ""
