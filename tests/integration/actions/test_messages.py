"""What a person is shown says what is: how far a killed run came, what an abort left, and why something is not so."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from rollback.lifecycle.lifecycle import Lifecycle
from rollback.lifecycle.quarantine import why
from rollback.model.messages import several
from rollback.model.record import Status
from rollback.model.release import previous
from rollback.queries.record_details import RecordDetails, details
from rollback.targets.base import Failure
from rollback.util.errors import Code, Refused
from rollback.views.documents import details_document
from rollback.views.records import opened_view
from tests.coded import coded
from tests.doubles.world import Quiet, World


def shown(world: World, identifier: str) -> tuple[str, dict[str, Any]]:
    session = world.session()
    opened = session.ledger.load(identifier)
    return both(details(opened, session.target("aliases")))


def both(found: RecordDetails) -> tuple[str, dict[str, Any]]:
    output = io.StringIO()
    Console(file=output, width=120).print(opened_view(found))
    return output.getvalue(), details_document(found)


def test_an_abort_of_what_has_ended_is_told_that_there_is_nothing_to_abort(world: World) -> None:
    world.story()
    done = world.begin()
    assert done.record is not None

    with pytest.raises(Refused, match="nothing to abort", check=coded(Code.WRONG_STATUS)):
        world.flow().abort(done.record.rollback_id, "no")
    with pytest.raises(Refused, match="nothing to resume", check=coded(Code.WRONG_STATUS)):
        world.flow().resume(done.record.rollback_id)


def test_the_same_quarantine_of_several_services_is_one_sentence(world: World) -> None:
    world.story()
    world.begin()

    assert why(world.session().ledger.quarantines()) == "roles, teams: it went bad (v1.2.0)"


@pytest.mark.finding("F7")
def test_a_killed_record_is_shown_with_what_its_journal_states_is_done(world: World) -> None:
    world.story()
    done = world.begin()
    assert done.record is not None
    identifier = done.record.rollback_id
    # As a process leaves it that was killed before the record was closed.
    session = world.session()
    opened = session.ledger.load(identifier)
    moved = [event for event in opened.events if event.kind == "moved"]
    assert sum(len(event.data["functions"]) for event in moved) == 3
    killed_then = [event for event in opened.events if event.kind != "closed"]
    record = replace(
        opened.record,
        status=Status.IN_PROGRESS,
        counts={**opened.record.counts, "moved": 0},
        completed_at=None,
    )
    text, document = both(
        details(replace(opened, record=record, events=tuple(killed_then)), session.target("aliases"))
    )

    assert document["counts"]["moved"] == 3
    assert "3 planned, 3 changed" in text


@pytest.mark.finding("F3")
def test_an_abort_names_the_alias_that_it_leaves_to_somebody_else(world: World) -> None:
    world.story()
    world.settings = world.settings.model_copy(
        update={"smoke": {"aliases": ("python", "-c", "raise SystemExit(1)")}}
    )
    failed = world.begin()
    assert failed.record is not None
    assert failed.record.status is Status.FAILED
    others, *ours = world.names
    world.functions.point(others, world.functions.publish(others))
    ui = Quiet()

    ended = Lifecycle(session=world.session(), ui=ui).abort(failed.record.rollback_id, "bad")

    assert ended.record is not None
    assert ended.record.status is Status.REVERTED
    assert f"Not reverted, because somebody else has changed it: {others}." in ui.notices
    _, document = shown(world, failed.record.rollback_id)
    outcomes = {item["name"]: item["outcome"] for item in document["functions"]}
    assert outcomes == {others: "failed", **dict.fromkeys(ours, "reverted")}
    assert (ended.record.counts["moved"], ended.record.counts["failed"]) == (0, 1)
    assert world.versions() == {others: "4", **dict.fromkeys(ours, "3")}


@pytest.mark.finding("M3")
def test_a_release_with_an_alias_on_what_was_never_published_is_not_recorded(world: World) -> None:
    world.story()
    name = world.names[0]
    world.functions.versions[name]["$LATEST"] = world.functions.versions[name]["3"]
    world.functions.point(name, "$LATEST")

    with pytest.raises(Refused) as caught:
        world.record("v1.3.0")

    assert caught.value.code is Code.RELEASE_INCOMPLETE
    assert f"on: {name}." in caught.value.what
    assert "publish-version" in caught.value.next
    assert world.timeline().release_of("v1.3.0") is None


@pytest.mark.finding("M4")
def test_each_service_without_a_previous_release_has_its_own_reason(world: World) -> None:
    world.release("v1.0.0")
    world.record("v1.0.0")

    with pytest.raises(Refused) as caught:
        previous(world.timeline(), ["teams", "roles", "new"], ())

    assert caught.value.what == (
        "There is no previous release for new: no recorded release is deployed; "
        "for teams, roles: there is no older release that is neither quarantined nor failed in verification."
    )


@pytest.mark.finding("M5")
def test_a_failure_names_its_function_once_and_ends_without_a_full_stop() -> None:
    failures = [
        Failure(subject="acme-get", reason="moving acme-get: AccessDenied."),
        Failure(subject="acme-get", reason="acme-get-all is in its way"),
        Failure(subject="acme-list", reason="somebody else changed it to version 7"),
    ]

    assert several(failures) == (
        "moving acme-get: AccessDenied; acme-get: acme-get-all is in its way; "
        "acme-list: somebody else changed it to version 7"
    )
