"""Bad surroundings: the exit code, a sentence that names what is wrong, and nothing changed.

What is typed, configured or planted to do harm is in `test_hostile_input`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from localaws import clients, identity
from rollback.config.naming import ROLLBACK
from tests.e2e.estate_under_test import ALICE, DAN, FUNCTIONS, REASON, Person, Platform, Run, together
from tests.proxy import Proxy


def test_credentials_of_another_account_are_refused(make: Callable[[str], Platform]) -> None:
    own, others = make("dev"), make("dev")
    own.story()
    before = own.everything()
    outside = identity.assume(others.endpoint, others.settings, ROLLBACK, "alice")

    run = own.rollback("lambda", "--reason", REASON, as_=ALICE, extra=outside)

    assert run.code == 3, str(run)
    assert f"The credentials belong to account {others.settings.account}" in run.err
    assert own.settings.account in run.err
    assert own.everything() == before


def test_something_that_is_not_aws_is_named(dev: Platform, proxy: Proxy) -> None:
    proxy.refuse("GetCallerIdentity", status=404, code="html", times=99)

    run = dev.rollback("status", as_=ALICE, endpoint=proxy.endpoint)

    assert run.code == 2, str(run)
    _plain(run)


def test_a_missing_table_is_named(dev: Platform) -> None:
    table = dev.settings.names.deployments_table
    dev.root_client("dynamodb").delete_table(TableName=table)
    root = {**clients.root(dev.settings), "AWS_SESSION_TOKEN": None}

    runs = [
        dev.rollback("lambda", "--reason", REASON, as_=ALICE, extra=root),
        dev.rollback("status", as_=ALICE, extra=root),
        dev.rollback("history", as_=ALICE, extra=root),
        dev.rollback("lambda", "--reason", REASON, as_=ALICE),
    ]

    assert [run.code for run in runs] == [1] * 4, "\n".join(map(str, runs))
    for run in runs:
        assert table in run.err
        _plain(run)
    assert all("--emergency" in run.err for run in runs[:3]), "\n".join(map(str, runs[:3]))
    assert dev.versions() == dict.fromkeys(FUNCTIONS, "1")


def test_a_function_that_was_deleted_after_the_release_is_named_and_can_be_left_out(dev: Platform) -> None:
    dev.story()
    gone = dev.name("team-service-get")
    dev.root_client("lambda").delete_function(FunctionName=gone)
    before = dev.everything()

    refused = dev.rollback("lambda", "--reason", REASON, as_=ALICE)

    assert refused.code == 3, str(refused)
    assert f"{gone}: the function does not exist" in refused.err
    assert f"--except {gone}" in refused.err
    assert dev.everything() == before
    run = dev.rollback("lambda", "--except", gone, "--reason", REASON, "--json", as_=ALICE)
    assert run.code == 0, str(run)
    assert run.json["counts"]["moved"] == 5


def test_a_function_without_its_alias_is_named(dev: Platform) -> None:
    dev.story()
    name = dev.name("team-service-get")
    dev.root_client("lambda").delete_alias(FunctionName=name, Name="live")
    before = dev.everything()

    run = dev.rollback("lambda", "--reason", REASON, as_=ALICE)

    assert run.code == 3, str(run)
    assert f"{name}: it has no alias 'live'" in run.err
    assert dev.everything() == before


def test_a_target_version_that_was_deleted_after_the_release_is_named(dev: Platform) -> None:
    dev.story()
    name = dev.name("audit-service-record")
    dev.root_client("lambda").delete_function(FunctionName=name, Qualifier="2")
    before = dev.everything()

    run = dev.rollback("lambda", "--reason", REASON, as_=ALICE)

    assert run.code == 3, str(run)
    assert f"{name}: version 2 no longer exists" in run.err
    assert dev.everything() == before


def test_an_alias_that_somebody_moved_is_named_and_can_be_started_from(dev: Platform) -> None:
    dev.story()
    dev.move("team-service-get", "1")
    before = dev.everything()

    refused = dev.rollback("lambda", "--reason", REASON, as_=ALICE)

    assert refused.code == 3, str(refused)
    assert "version 1, expected 3" in refused.err
    assert "--adopt-current" in refused.err
    assert dev.everything() == before
    run = dev.rollback("lambda", "--adopt-current", "--reason", REASON, "--json", as_=ALICE)
    assert run.code == 0, str(run)
    assert run.json["adopted_current"] is True
    assert dev.versions() == dict.fromkeys(FUNCTIONS, "2")


def test_a_canarys_leftover_weight_on_the_bad_version_is_cleared(dev: Platform) -> None:
    dev.story()
    for tail in FUNCTIONS:
        dev.move(tail, "2", {"3": 0.1})
    recorded = dev.rollback("release", "adopt", "--version", "v1.2.0", as_=DAN)
    assert recorded.code == 3, "it is recorded already"

    run = dev.rollback("lambda", "--to", "v1.1.0", "--adopt-current", "--reason", REASON, "--json", as_=ALICE)

    assert run.code == 0, str(run)
    assert dev.live() == dict.fromkeys(FUNCTIONS, ("2", {}))
    assert run.json["counts"]["confirmed"] == 6


def test_a_weight_is_cleared_where_the_primary_stays_and_others_move(dev: Platform) -> None:
    dev.story()
    dev.move("audit-service-record", "2", {"3": 0.1})

    run = dev.rollback("lambda", "--adopt-current", "--reason", REASON, "--json", as_=ALICE)

    assert run.code == 0, str(run)
    assert dev.live() == dict.fromkeys(FUNCTIONS, ("2", {}))
    assert (run.json["counts"]["moved"], run.json["counts"]["confirmed"]) == (5, 1)
    assert "Traffic weights are removed from" in run.screen


def test_a_journal_that_was_tampered_with_is_shown_as_such(dev: Platform) -> None:
    dev.story()
    run = dev.rollback("lambda", "--reason", REASON, "--json", as_=ALICE)
    dev.root_client("dynamodb").update_item(
        TableName=dev.settings.names.deployments_table,
        Key={"PK": {"S": f"ROLLBACK#{run.id}"}, "SK": {"S": "EVENT#000001"}},
        UpdateExpression="SET #at = :x",
        ExpressionAttributeNames={"#at": "at"},
        ExpressionAttributeValues={":x": {"S": "2020-01-01T00:00:00.000Z"}},
    )

    shown = dev.rollback("show", run.id, "--json", as_=ALICE)

    assert shown.json["chain"] == "event 1 was changed"


@pytest.mark.parametrize("minutes", [4, -4])
def test_a_clock_four_minutes_off_works(dev: Platform, proxy: Proxy, minutes: int) -> None:
    dev.story()
    proxy.skew = timedelta(minutes=minutes)

    run = dev.rollback("lambda", "--reason", REASON, "--json", as_=ALICE, endpoint=proxy.endpoint)

    assert run.code == 0, str(run)
    assert dev.versions() == dict.fromkeys(FUNCTIONS, "2")


@pytest.mark.parametrize(("minutes", "text"), [(10, "behind"), (-10, "ahead of")])
def test_a_clock_ten_minutes_off_is_named(dev: Platform, proxy: Proxy, minutes: int, text: str) -> None:
    dev.story()
    before = dev.everything()
    proxy.skew = timedelta(minutes=minutes)

    run = dev.rollback("lambda", "--reason", REASON, as_=ALICE, endpoint=proxy.endpoint)

    assert run.code == 2, str(run)
    assert "[CLOCK_WRONG]" in run.err
    assert f"10 minutes {text}" in run.err
    assert dev.everything() == before


def test_a_role_that_may_not_shows_what_was_denied(dev: Platform) -> None:
    dev.story()
    before = dev.everything()

    run = dev.rollback("lambda", "--reason", REASON, as_=Person(role="approver", name="bob"))

    assert run.code == 1, str(run)
    assert "[ACCESS_DENIED]" in run.err
    assert "Traceback" not in run.err
    assert dev.everything() == before


@pytest.mark.parametrize("count", [10, pytest.param(50, marks=pytest.mark.soak)])
def test_of_many_started_together_one_runs_and_the_others_name_the_holder_of_the_lease(
    dev: Platform, proxy: Proxy, count: int
) -> None:
    dev.story()
    dev.configure(leaseSeconds=60)
    held = proxy.hold("UpdateAlias")
    first = dev.start("lambda", "--reason", "first", "--json", as_=ALICE, endpoint=proxy.endpoint)
    held.wait()
    owner = next(item for item in dev.items() if item["PK"] == "LOCK#dev")["owner"]

    others = [dev.beside("lambda", "--reason", f"other {number}", as_=ALICE) for number in range(1, count)]
    runs = [child.wait(240) for child in others]
    held.release()
    winner = first.finish()

    assert [run.code for run in runs] == [3] * (count - 1), "\n".join(
        str(run) for run in runs if run.code != 3
    )
    for run in runs:
        assert f"{owner} holds the lease on dev/aliases: alice on " in run.err
        assert "rollback status --env dev" in run.err
        assert "rollback resume" not in run.err, "its holder lives"
        assert "Nothing was changed." in run.err
    assert winner.code == 0, str(winner)
    assert winner.id == owner
    assert dev.versions() == dict.fromkeys(FUNCTIONS, "2")
    kinds = [item["kind"] for item in dev.items() if "SEQ#" in item["SK"]]
    assert sorted(kinds) == ["deployment", "deployment", "deployment", "opened", "rollback"]


def test_six_that_race_for_the_lease_run_one_after_another_or_not_at_all(dev: Platform) -> None:
    dev.story()
    dev.configure(leaseSeconds=60)
    runs: list[Run] = []

    together(
        *[lambda: runs.append(dev.rollback("lambda", "--to", "v1.1.0", "--reason", "x", "--json", as_=ALICE))]
        * 6
    )

    assert {run.code for run in runs} <= {0, 3}, "\n".join(map(str, runs))
    done = [run for run in runs if run.code == 0 and run.json["status"] == "COMPLETE"]
    assert len(done) == 1
    assert dev.versions() == dict.fromkeys(FUNCTIONS, "2")


def _plain(run: Run) -> None:
    """A sentence for a person: no traceback, nothing on standard output."""
    assert "Traceback" not in run.err, str(run)
    assert not run.out, str(run)
