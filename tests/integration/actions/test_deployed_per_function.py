"""What is deployed is known of each function: one that was left out of a rollback is still at its own release."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from rollback.lifecycle.quarantine import lift, quarantine
from rollback.model.record import Status
from rollback.queries.as_recorded import check
from rollback.queries.report_data import gather
from rollback.queries.status import apart, overview
from rollback.releases.api import listed
from rollback.reports.page import page
from rollback.views.documents import overview_document
from rollback.views.records import overview_view
from tests.doubles.world import DAN, TABLE, World, settings
from tests.recorded.stage import recorded

GET, LIST, ROLES = (
    "acme-dev-lambda-teams-get",
    "acme-dev-lambda-teams-list",
    "acme-dev-lambda-roles-get",
)
LEFT_OUT = {"services": ("teams",), "without": (GET,)}
BAD_SMOKE = ["python", "-c", "raise SystemExit(1)"]


def releases(world: World) -> dict[str, Any]:
    """The release that `status` shows of each function."""
    return {
        status.function: status.release
        for service in overview(world.session()).services
        for status in service.functions
    }


def failing(world: World) -> dict[str, str]:
    """What `verify` finds wrong, by the name of the check."""
    return {found.check: found.detail for found in check(world.session()) if not found.ok}


@pytest.fixture
def mixed(world: World) -> World:
    """One of the two functions of teams was left out when the others were rolled back to v1.1.0."""
    world.story()
    assert world.begin(**LEFT_OUT).error is None
    return world


@pytest.mark.finding("M1")
def test_a_function_that_was_left_out_is_at_its_own_release(mixed: World) -> None:
    assert releases(mixed) == {GET: "v1.2.0", LIST: "v1.1.0", ROLES: "v1.2.0"}
    assert mixed.deployed == overview(mixed.session()).stands == f"v1.1.0+roles@v1.2.0+{GET}@v1.2.0"


@pytest.mark.finding("M1")
def test_a_service_with_a_function_left_out_is_mixed(mixed: World) -> None:
    found = {service.name: service.apart for service in overview(mixed.session()).services}

    assert found == {"teams": {GET: "v1.2.0"}, "roles": {}}
    shown = overview_document(overview(mixed.session()))
    assert {service["service"]: service["mixed"] for service in shown["services"]} == found


@pytest.mark.finding("M1")
def test_a_function_that_was_left_at_a_quarantined_release_fails_verification(mixed: World) -> None:
    assert list(failing(mixed)) == ["releases"]
    assert GET in failing(mixed)["releases"]

    lift(mixed.session(DAN), "v1.2.0", ["teams"], "it was not that")

    assert failing(mixed) == {}


@pytest.mark.finding("M1")
def test_whoever_left_it_there_a_function_on_a_quarantined_release_fails_verification(world: World) -> None:
    world.story()
    assert failing(world) == {}

    quarantine(world.session(DAN), "v1.2.0", ["teams"], "it leaks")

    assert {name for name in (GET, LIST, ROLES) if name in failing(world)["releases"]} == {GET, LIST}


@pytest.mark.finding("M1")
def test_what_the_plan_and_its_record_say_is_what_will_be_deployed(mixed: World) -> None:
    record = mixed.begin(**LEFT_OUT, to="v1.0.0").record

    assert record is not None
    assert (record.from_version, record.to_version) == (f"v1.1.0+{GET}@v1.2.0", f"v1.0.0+{GET}@v1.2.0")


@pytest.mark.finding("M1")
def test_a_left_out_function_that_follows_is_where_the_others_are_and_back_again_when_undone(
    mixed: World,
) -> None:
    before = mixed.deployed

    mixed.settings = settings(smoke=BAD_SMOKE)

    finished = mixed.begin(to="v1.1.0", services=("teams",))

    assert finished.error.exit_code == 5
    assert releases(mixed) == {GET: "v1.1.0", LIST: "v1.1.0", ROLES: "v1.2.0"}
    assert mixed.deployed == "v1.1.0+roles@v1.2.0"

    assert mixed.flow().abort(finished.record.rollback_id).record.status is Status.REVERTED

    assert releases(mixed) == {GET: "v1.2.0", LIST: "v1.1.0", ROLES: "v1.2.0"}
    assert mixed.deployed == before


@pytest.mark.finding("M1")
def test_a_release_that_only_a_left_out_function_is_at_is_quarantined_when_that_is_rolled_back(
    mixed: World,
) -> None:
    lift(mixed.session(DAN), "v1.2.0", ["teams"], "it was not that")

    assert mixed.begin(to="v1.1.0", services=("teams",)).error is None

    found = {(one.service, one.version) for one in mixed.session().ledger.quarantines()}
    assert ("teams", "v1.2.0") in found


@pytest.mark.finding("M1")
def test_a_function_that_somebody_moved_while_it_was_being_reverted_is_at_no_known_release(
    world: World,
) -> None:
    world.story()
    world.settings = settings(smoke=BAD_SMOKE)
    identifier = world.begin().record.rollback_id
    world.functions.point(GET, world.functions.publish(GET, "theirs"))

    world.flow().abort(identifier)

    assert releases(world) == {GET: None, LIST: "v1.2.0", ROLES: "v1.2.0"}
    assert world.deployed == "v1.2.0"


@pytest.mark.finding("M1")
def test_a_person_sees_that_a_service_is_mixed(mixed: World) -> None:
    session = mixed.session()
    console = Console(record=True, width=120)
    console.print(overview_view(overview(session)))

    shown = console.export_text()
    assert "(mixed)" in shown
    assert f"{GET.removeprefix('acme-dev-lambda-')}: at v1.2.0 (quarantined)" in shown
    rows = listed(session.ledger.timeline(), [], apart(session, session.ledger.timeline()))
    assert {row.version: row.stands_for for row in rows} == {
        "v1.2.0": ("roles", GET),
        "v1.1.0": ("teams",),
        "v1.0.0": (),
    }


@pytest.mark.finding("M1")
def test_a_recorded_ledger_says_of_each_function_what_its_plans_left_out(tmp_path: Path) -> None:
    with recorded("aliases", tmp_path) as made:
        assert made.deployed == "v1.1.0+roles@v1.2.0", "as it was written then"

        assert releases(made) == {GET: "v1.1.0", LIST: "v1.2.0", ROLES: "v1.2.0"}
        assert f">mixed</span> {LIST} is at v1.2.0" in page(gather(made.session(), 10))
        assert "releases" in failing(made), "v1.2.0 of teams is quarantined"
        assert LIST in failing(made)["releases"]
        assert failing(made)["parameter"], "it is written right with the next release or rollback"


@pytest.mark.finding("M1")
def test_a_damaged_record_makes_what_it_wrote_unknown_and_not_the_rest(mixed: World) -> None:
    newest = mixed.timeline().newest
    key = {"PK": {"S": f"ROLLBACK#{newest.id}"}, "SK": {"S": "METADATA"}}
    item = mixed.dynamodb.get_item(TableName=TABLE, Key=key)["Item"]
    mixed.dynamodb.put_item(TableName=TABLE, Item=item | {"counts": {"S": "many"}})

    assert releases(mixed) == {GET: None, LIST: None, ROLES: "v1.2.0"}
