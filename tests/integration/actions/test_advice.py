"""What to type next, in every place that says so: status, show, the report, the job's summary and errors."""

from __future__ import annotations

from typing import Any

import pytest

from rollback.ledger.store import Unanswered
from rollback.model.request import AliasesRequest
from rollback.queries import report_data
from rollback.queries.record_details import details
from rollback.queries.situation import compared, of, without
from rollback.queries.status import overview
from rollback.reports.page import page
from rollback.views.documents import details_document, overview_document
from rollback.views.markdown import summary
from rollback.views.records import mark_of
from tests.doubles.functions import client_error, no_answer, nothing
from tests.doubles.world import ALICE, BOB, TABLE, World, approved_by, texts


def shown(world: World, identifier: str) -> Any:
    session = world.session(ALICE)
    opened = session.ledger.load(identifier)
    return details_document(details(opened, session.target(opened.record.kind), of(session, opened)))


def reported(world: World) -> report_data.ReportData:
    """The environment's report; the engine's history is looked for in a checkout."""
    for name, text in zip(("Pulumi.yaml", "Pulumi.dev.yaml"), texts(), strict=True):
        (world.root / name).write_text(text, encoding="utf-8")
    return report_data.gather(world.session(), 10)


def summarised(world: World, identifier: str) -> str:
    report = report_data.single(world.session(), identifier)
    return summary(report.records[identifier])


@pytest.mark.finding("W6")
def test_a_plan_that_a_workflow_holds_asks_for_no_other_person(world: World) -> None:
    world.story()

    held = world.flow().start("aliases", AliasesRequest(), "it went bad", hold=True)

    assert held.record is not None
    name, digest = held.record.rollback_id, held.record.digest[:16]
    line = f"rollback apply {name} --digest {digest} --env dev"
    text = summarised(world, name)
    assert line in text
    assert "AWAITING\\_CONFIRMATION" in text
    assert "rollback approve" not in text
    document = shown(world, name)
    assert (document["status"], document["state"]) == ("AWAITING_CONFIRMATION", "AWAITING_CONFIRMATION")
    assert document["next"][0] == line
    world.clock.sleep(5)
    world.flow().apply(name, held.record.digest)
    assert "waited for approval" not in page(report_data.single(world.session(), name))


@pytest.mark.finding("U4")
@pytest.mark.finding("W6")
def test_a_granted_approval_is_shown_and_what_it_needs_next_is_to_be_applied(world: World) -> None:
    world.story()
    name = approved_by(world, BOB)

    document, text = shown(world, name), summarised(world, name)

    assert (document["status"], document["approved_by"]["person"]) == ("AWAITING_APPROVAL", "bob")
    assert (document["state"], document["next"][0]) == ("APPROVED", f"rollback apply {name} --env dev")
    assert f"rollback apply {name} --env dev" in text
    assert "bob" in text
    now = overview_document(overview(world.session()))
    assert (now["state"], now["in_flight"][0]["approved_by"]["person"]) == ("APPROVED", "bob")


def test_an_approved_plan_that_no_longer_holds_is_to_be_given_up(world: World) -> None:
    world.story()
    name = approved_by(world, BOB)
    world.functions.point(world.names[0], world.functions.publish(world.names[0]))

    document = shown(world, name)

    assert (document["state"], document["next"]) == ("OUTDATED", [f"rollback abort {name} --env dev"])


def test_who_approves_reads_the_record_and_nothing_else(world: World) -> None:
    world.story()
    name = approved_by(world, None)
    session = world.session(BOB)
    opened = session.ledger.load(name)

    seen = of(session, opened)

    assert (seen.status, seen.approval) == ("AWAITING_APPROVAL", None)


@pytest.mark.finding("U3")
def test_the_report_of_a_healthy_environment_advises_nothing(world: World) -> None:
    world.story()
    assert world.begin().error is None

    report = reported(world)

    assert report.now is not None
    assert [(each.state, each.steps) for each in report.now.advice] == [("HEALTHY", ())]
    assert "Next: " not in page(report)


@pytest.mark.finding("U2")
def test_the_report_shows_what_failed_in_verification_and_what_to_do(world: World) -> None:
    world.story()
    world.settings = world.settings.model_copy(
        update={"smoke": {"aliases": ("python", "-c", "raise SystemExit(1)")}}
    )
    failed = world.begin()
    assert failed.record is not None

    document = page(reported(world))

    assert f"rollback verify {failed.record.rollback_id} --env dev" in document


def test_a_way_that_would_be_refused_is_not_offered(world: World) -> None:
    world.story()
    assert overview(world.session()).ways

    world.release("v1.3.0")

    assert not overview(world.session()).ways


@pytest.mark.parametrize(
    ("recorded", "declared", "state"),
    [(True, True, "LEDGER_LOST"), (False, True, "NO_LEDGER"), (False, False, "NOT_DECLARED")],
)
def test_without_its_table_the_archive_tells_a_lost_ledger_from_none(
    world: World, *, recorded: bool, declared: bool, state: str
) -> None:
    world.bucket.exists = declared
    if recorded:
        world.story()
    world.dynamodb.delete_table(TableName=TABLE)
    session = world.session()

    with pytest.raises(Unanswered) as raised:
        session.ledger.newest()

    assert without(session, raised.value).state == state


def _lines(world: World) -> list[str]:
    return [line for each in overview(world.session()).advice for line in each.commands]


def test_a_release_that_an_undo_came_back_to_is_not_one_that_failed_in_verification(world: World) -> None:
    world.story()
    world.functions.point(world.names[0], "3", {"1": 0.25})
    world.parameters.fail = no_answer()
    failed = world.begin()
    world.parameters.fail = None
    assert failed.record is not None
    assert failed.record.status == "FAILED"

    abort, back = _lines(world)

    assert abort.startswith(f"rollback abort {failed.record.rollback_id} ")
    assert "--to v1.2.0 --adopt-current" in back


def test_a_release_that_failed_in_verification_stays_so_after_an_undo_that_failed_too(world: World) -> None:
    world.story()
    world.settings = world.settings.model_copy(
        update={"smoke": {"aliases": ("python", "-c", "raise SystemExit(1)")}}
    )
    failed = world.begin()
    assert failed.record is not None
    world.parameters.fail = no_answer()
    world.flow().abort(failed.record.rollback_id)
    world.parameters.fail = None
    world.release("v1.3.0")
    world.record("v1.3.0")
    assert world.begin("v1.0.0").error is not None

    session = world.session()
    timeline = session.ledger.timeline()
    bad = compared(session, timeline, overview(session).services, [])[2]

    assert {version for _, version in bad} == {"v1.0.0", "v1.1.0"}


def test_what_somebody_has_begun_to_repair_by_hand_is_finished_before_what_was_recorded_last(
    world: World,
) -> None:
    world.story()
    world.functions.point(world.names[0], "2")  # as v1.1.0 has it

    first, second = _lines(world)

    assert first == 'rollback lambda --env dev --to v1.1.0 --adopt-current --reason "…"'
    assert second == 'rollback lambda --env dev --services teams --to v1.2.0 --adopt-current --reason "…"'


def test_what_nobody_recorded_goes_back_to_what_was_recorded_or_to_before_it(world: World) -> None:
    world.story()
    world.release("v1.3.0")

    assert _lines(world) == [
        f'rollback lambda --env dev --to {version} --adopt-current --reason "…"'
        for version in ("v1.2.0", "v1.1.0")
    ]


def _denied_from(world: World, call: int, until: int, by_hand: str = "") -> None:
    """UpdateAlias is denied from one call until another one; at the first of them the alias that was moved first is
    moved to the version `by_hand`.
    """
    calls: list[str] = []

    def before(operation: str, function: str) -> None:
        if operation != "UpdateAlias":
            return
        calls.append(function)
        if len(calls) == call and by_hand:
            world.functions.point(calls[0], by_hand)
        if call <= len(calls) < until:
            raise client_error(operation, "AccessDeniedException")

    world.functions.before = before


@pytest.mark.finding("B8")
def test_after_an_undo_that_had_to_be_finished_by_a_person_the_ways_back_are_shown(world: World) -> None:
    world.story()
    _denied_from(world, 3, until=100)
    failed = world.begin()
    world.functions.before = nothing
    assert failed.record is not None
    assert world.flow().abort(failed.record.rollback_id).error is None

    seen = overview(world.session())

    assert [each.state for each in seen.advice] == ["REVERTED"]
    assert [way.to for way in seen.ways] == ["v1.1.0"]


@pytest.mark.finding("B8")
def test_what_a_reverted_rollback_wanted_to_leave_is_not_the_first_to_go_to(world: World) -> None:
    world.story()
    _denied_from(world, 3, until=4, by_hand="1")
    reverted = world.begin()
    assert reverted.record is not None
    assert reverted.record.status == "REVERTED"

    show, before, last = _lines(world)

    assert show == f"rollback show {reverted.record.rollback_id} --env dev"
    assert before == 'rollback lambda --env dev --to v1.1.0 --adopt-current --reason "…"'
    assert "--to v1.2.0 --adopt-current" in last


@pytest.mark.finding("B10")
def test_what_a_rollback_moved_that_could_not_be_reverted_is_shown_as_moved_by_it(world: World) -> None:
    world.story()
    _denied_from(world, 3, until=100)
    failed = world.begin()
    assert failed.record is not None
    moved = [name for name, version in world.versions().items() if version == "2"]

    seen = overview(world.session())

    by = {one.function: one.moved_by for service in seen.services for one in service.functions}
    assert {name: by[name] for name in moved} == dict.fromkeys(moved, failed.record.rollback_id)
    assert len(moved) == sum(bool(name) for name in by.values()) == 2
    assert [mark_of(service).plain for service in seen.services] == [
        _mark(sum(one.function in moved for one in service.functions), len(service.functions))
        for service in seen.services
    ]


def _mark(moved: int, of: int) -> str:
    parts = [*([f"{of - moved} as recorded"] if of > moved else []), *([f"{moved} moved"] if moved else [])]
    return ", ".join(parts)
