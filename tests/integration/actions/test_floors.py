"""A release that must not be rolled back past, and `--allow-below`: refused, named, approved, recorded."""

from __future__ import annotations

import subprocess
import threading

import pytest

from rollback.lifecycle.quarantine import quarantine
from rollback.model.record import Status
from rollback.model.situation import State
from rollback.queries.audit import audit
from rollback.queries.status import overview
from rollback.util.errors import Code, Refused, UsageError
from tests.doubles.world import ALICE, BOB, DAN, Quiet, World, settings, texts


@pytest.fixture
def floored(world: World) -> World:
    """v1.0.0, v1.1.0 and v1.2.0, the last of which must not be rolled back past."""
    for version, floor in (("v1.0.0", ""), ("v1.1.0", ""), ("v1.2.0", "v1.2.0")):
        world.release(version)
        world.record(version, floor)
    return world


@pytest.mark.parametrize("to", ["previous", "v1.1.0", "v1.0.0"])
def test_a_rollback_below_is_refused_by_name_and_moves_nothing(floored: World, to: str) -> None:
    before = floored.versions()

    with pytest.raises(Refused) as refused:
        floored.begin(to)

    assert (refused.value.code, refused.value.exit_code) == (Code.BELOW_FLOOR, 3)
    assert "v1.2.0" in refused.value.what
    assert "--allow-below" in refused.value.next
    assert floored.versions() == before


def test_what_comes_later_may_go_back_as_far_as_the_floor_and_no_further(floored: World) -> None:
    floored.release("v1.3.0")
    floored.record("v1.3.0")

    done = floored.begin()

    assert done.record is not None
    assert (done.record.status, done.record.to_version) == (Status.COMPLETE, "v1.2.0")
    with pytest.raises(Refused) as refused:
        floored.begin("v1.1.0")
    assert refused.value.code is Code.BELOW_FLOOR


def test_status_and_what_comes_next_never_go_below(floored: World) -> None:
    seen = overview(floored.session())

    assert {service.previous for service in seen.services} == {None}
    assert not any("rollback lambda" in step.command for advice in seen.advice for step in advice.steps)
    assert not any("v1.1.0" in str(way) for way in seen.ways)


def test_status_says_why_there_is_no_way_back_and_what_an_exception_is(floored: World) -> None:
    (missing,) = overview(floored.session()).no_way_back

    assert missing.services == tuple(floored.settings.services)
    assert "v1.2.0 was recorded with --not-below v1.2.0" in missing.why
    assert missing.command == 'rollback lambda --to v1.1.0 --allow-below --env dev --reason "…"'


def test_where_the_deployed_release_is_bad_too_the_floor_is_named_with_the_exception(floored: World) -> None:
    quarantine(floored.session(DAN), "v1.2.0", [], "so")

    (advice,) = overview(floored.session()).advice

    assert advice.state is State.NOTHING_OLDER
    assert "v1.2.0 was recorded with --not-below v1.2.0" in advice.what
    assert 'rollback lambda --env dev --to v1.1.0 --allow-below --reason "…"' in advice.commands


def test_where_nobody_is_configured_who_approves_a_person_confirms_the_exception(floored: World) -> None:
    waiting = floored.begin("v1.1.0", allow_below=True)

    assert waiting.record is not None
    assert waiting.record.status is Status.AWAITING_APPROVAL
    done = floored.flow().apply(waiting.record.rollback_id, waiting.record.digest)

    assert done.record is not None
    assert done.record.status is Status.COMPLETE
    assert "v1.2.0" in done.record.below, "the record says of which release it went below"
    session = floored.session()
    assert list(audit(session.ledger, session.account.each, Quiet()).findings) == []


def test_where_somebody_is_configured_who_approves_the_exception_needs_them(floored: World) -> None:
    people = {"approvers": ["arn:aws:iam::111122223333:user/bob"]}
    floored.settings = settings(people=people)
    _reviewed(floored, texts(people=people))
    waiting = floored.begin("v1.1.0", allow_below=True)
    assert waiting.record is not None
    name, digest = waiting.record.rollback_id, waiting.record.digest

    with pytest.raises(Refused) as alone:
        floored.flow(ALICE).apply(name, digest)
    floored.flow(BOB).approve(name, digest)
    done = floored.flow(ALICE).apply(name)

    assert alone.value.code is Code.APPROVAL_MISSING
    assert waiting.plan is not None
    assert any("v1.2.0" in notice for notice in waiting.plan.notices), "it is what the approver is shown"
    assert any("v1.2.0" in fact for fact in waiting.plan.facts.values()), "and what the digest covers"
    assert done.record is not None
    assert (done.record.status, done.record.approved_by) == (Status.COMPLETE, BOB)


def test_a_record_that_does_not_say_that_it_goes_below_is_not_acted_upon(
    floored: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as forging:
        forging.setattr("rollback.model.floors.exception", lambda *_, **__: "")
        waiting = floored.begin("v1.1.0", allow_below=True)
    assert waiting.record is not None
    assert waiting.record.below == ""

    with pytest.raises(Refused) as refused:
        floored.flow().apply(waiting.record.rollback_id, waiting.record.digest)

    assert refused.value.code is Code.LEDGER_DAMAGED
    assert set(floored.versions().values()) == {"3"}


def test_an_abort_goes_back_to_where_it_began_and_a_resume_to_where_it_was_going(floored: World) -> None:
    before, stop = floored.versions(), threading.Event()

    def begun_and_stopped() -> str:
        waiting = floored.begin("v1.1.0", allow_below=True)
        assert waiting.record is not None
        stop.clear()
        flow = floored.flow(stop=stop)
        assert flow.apply(waiting.record.rollback_id, waiting.record.digest).error is not None
        return waiting.record.rollback_id

    floored.functions.after = lambda operation, _: stop.set() if operation == "UpdateAlias" else None
    aborted = floored.flow().abort(begun_and_stopped())
    back = floored.versions()
    floored.functions.after = lambda operation, _: stop.set() if operation == "UpdateAlias" else None
    resumed = floored.flow().resume(begun_and_stopped())

    assert aborted.record is not None
    assert aborted.record.status is Status.REVERTED
    assert back == before, "it is no rollback past anything"
    assert resumed.record is not None
    assert resumed.record.status is Status.COMPLETE, "it was decided when it began"


def test_a_floor_is_a_release_that_is_known_and_stays_when_it_is_recorded_again(floored: World) -> None:
    with pytest.raises(UsageError) as unknown:
        floored.record("v1.2.0", "v9.9.9")

    again = floored.record("v1.2.0")

    assert unknown.value.code is Code.UNKNOWN_RELEASE
    assert (again.new, again.release.not_below) == (False, "v1.2.0")
    with pytest.raises(Refused):
        floored.begin()


def test_a_floor_is_set_later_by_recording_the_release_again(world: World) -> None:
    world.story()

    world.record("v1.2.0", "v1.1.0")

    assert world.begin().error is None
    with pytest.raises(Refused) as refused:
        world.begin()
    assert refused.value.code is Code.BELOW_FLOOR


def _reviewed(world: World, files: tuple[str, str]) -> None:
    """The settings, committed to the protected branch of a checkout."""
    for name, content in zip(("Pulumi.yaml", "Pulumi.dev.yaml"), files, strict=True):
        (world.root / name).write_text(content, encoding="utf-8")
    person = ("-c", "user.name=t", "-c", "user.email=t@example.com")
    for parts in (("init", "-q", "-b", "main"), ("add", "."), (*person, "commit", "-q", "-m", "settings")):
        subprocess.run(["git", "-C", str(world.root), *parts], check=True)
