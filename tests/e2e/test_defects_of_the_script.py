"""The defects of the workflows that this replaces, one test each; each fails on the old behaviour."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from rollback.util.times import shown_time
from tests.e2e.accounts_under_test import Models
from tests.e2e.estate_under_test import ALICE, FUNCTIONS, REASON, Platform, Run, together

_ACCOUNTS = itertools.count(730_000_000_000)
HARMFUL = """it said "no": $(touch pwned) `touch pwned`; touch pwned #"'},{"status":{"S":"COMPLETE"}}"""


@dataclass(frozen=True, kw_only=True)
class Done:
    """An environment in which everything was rolled back, once and for a reason that means harm."""

    dev: Platform
    run: Run


@pytest.fixture(scope="module")
def done(models: Models, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Done]:
    """For tests that only look at it."""
    dev = models.another("dev", str(next(_ACCOUNTS)), tmp_path_factory.mktemp("done"))
    dev.story()
    yield Done(dev=dev, run=dev.rollback("lambda", "--reason", HARMFUL, "--json", as_=ALICE))
    dev.end()


def test_all_functions_are_reverted_and_not_only_the_first(done: Done) -> None:
    """`((TOTAL++))` is false while TOTAL is 0, and `set -e` ends the script there."""
    dev, run = done.dev, done.run

    assert run.code == 0, str(run)
    assert run.json["counts"]["moved"] == len(FUNCTIONS)
    assert dev.versions() == dict.fromkeys(FUNCTIONS, "2")


def test_the_record_that_was_opened_is_the_one_that_is_closed(done: Done) -> None:
    """The record's id was no output of the job, so that the closing job updated `ROLLBACK#`."""
    dev, run = done.dev, done.run

    records = [item for item in dev.items() if item["PK"].startswith("ROLLBACK#")]
    assert {item["PK"] for item in records} == {f"ROLLBACK#{run.id}"}
    metadata = next(item for item in records if item["SK"] == "METADATA")
    assert (metadata["status"], shown_time(metadata["completed_at"])) == (
        "COMPLETE",
        run.json["completed_at"],
    )


def test_previous_does_not_play_ping_pong_between_two_releases(dev: Platform) -> None:
    """The parameter's own history ends in what was just left, so that "previous" went there again."""
    dev.story()

    versions = [
        dev.rollback("lambda", "--reason", REASON, "--json", as_=ALICE).json["to_version"] for _ in range(2)
    ]

    assert versions == ["v1.1.0", "v1.0.0"]


def test_a_function_that_the_target_does_not_hold_is_refused_and_not_guessed_at(dev: Platform) -> None:
    """Where no version bore the target's name, `Versions[-2]` was taken without a word."""
    dev.story()
    dev.root_client("lambda").delete_function(FunctionName=dev.name("team-service-get"), Qualifier="2")
    before = dev.everything()

    run = dev.rollback("lambda", "--reason", REASON, as_=ALICE)

    assert run.code == 3, str(run)
    assert f"{dev.name('team-service-get')}: version 2 no longer exists" in run.err
    assert dev.everything() == before


def test_a_service_whose_name_begins_like_another_is_left_alone(dev: Platform) -> None:
    """`starts_with(…-role-service)` also matched the functions of `role_service_admin`."""
    dev.unlisted_functions()
    dev.story()

    run = dev.rollback("lambda", "--services", "role_service", "--reason", REASON, as_=ALICE)

    assert run.code == 0, str(run)
    assert {tail for tail, version in dev.versions().items() if version == "2"} == {
        "role-service-get",
        "role-service-assign",
    }
    assert dev.alias("role-service-admin-console")["FunctionVersion"] == "1"


def test_a_move_that_fails_is_a_failure_and_the_parameter_never_reported_otherwise(dev: Platform) -> None:
    """`|| echo "Failed to update alias"` went on, and the run was green; `deployed-version` said the
    target's version before anything had been looked at.
    """
    dev.story()
    dev.forbid("UpdateAlias", "team-service-list")

    run = dev.rollback("lambda", "--reason", REASON, "--json", as_=ALICE)

    assert run.code == 4, str(run)
    assert run.json["status"] == "REVERTED"
    assert "team-service-list" in run.screen
    assert dev.versions() == dict.fromkeys(FUNCTIONS, "3")
    assert dev.deployed() == "v1.2.0"
    name = dev.settings.names.deployed_version
    past = dev.root_client("ssm").get_parameter_history(Name=name)["Parameters"]
    assert "v1.1.0" not in [item["Value"] for item in past[-2:]]


def test_counts_hold_at_zero(dev: Platform) -> None:
    """`grep -c … || echo 0` gave "0\\n0" where nothing matched."""
    dev.story()

    run = dev.rollback("lambda", "--services", "audit_service", "--reason", REASON, "--json", as_=ALICE)

    assert run.json["counts"] == {
        "planned": 1,
        "moved": 1,
        "confirmed": 0,
        "failed": 0,
        "reverted": 0,
        "untouched": 0,
    }
    assert run.json["infrastructure"] == {"create": 0, "update": 0, "replace": 0, "delete": 0, "same": 0}


def test_a_verification_that_fails_is_no_warning(dev: Platform) -> None:
    """Verify printed "Warning: Expected at least 40 Lambda functions" and was green."""
    dev.story()
    dev.smoke_command(1)

    run = dev.rollback("lambda", "--reason", REASON, "--json", as_=ALICE)

    assert run.code == 5, str(run)
    assert run.json["status"] == "FAILED"


def test_what_a_person_types_is_never_run(done: Done) -> None:
    """`${{ inputs.* }}` was spliced into the shell's own text, and into JSON between quotes."""
    assert done.run.code == 0, str(done.run)
    assert done.run.json["reason"] == HARMFUL
    assert done.dev.show(done.run.id)["reason"] == HARMFUL
    assert not (done.dev.root / "pwned").exists()


def test_two_at_once_do_not_mix(dev: Platform) -> None:
    """There was no lock, so that two runs moved the same aliases to different versions."""
    dev.story()
    runs = []

    together(
        lambda: runs.append(dev.rollback("lambda", "--to", "v1.1.0", "--reason", "a", as_=ALICE)),
        lambda: runs.append(dev.rollback("lambda", "--to", "v1.0.0", "--reason", "b", as_=ALICE)),
    )

    assert 0 in {run.code for run in runs}, "\n".join(map(str, runs))
    assert {run.code for run in runs} <= {0, 3}, "\n".join(map(str, runs))
    assert len(set(dev.versions().values())) == 1


def test_what_was_done_is_in_a_journal(done: Done) -> None:
    """Nothing but the record's status was ever written: an interrupted run left no trace of how far it came."""
    dev, run = done.dev, done.run

    assert dev.event_kinds(run.id) == ["planned", "moved", "closed"]
    moved = [event["data"]["functions"] for event in dev.show(run.id)["events"] if event["kind"] == "moved"]
    assert {name for batch in moved for name in batch} == {dev.name(tail) for tail in FUNCTIONS}


def test_every_record_can_be_found_by_environment_and_time(done: Done) -> None:
    """GSI1PK and GSI1SK were declared, and never written."""
    dev, run = done.dev, done.run

    found = dev.root_client("dynamodb").query(
        TableName=dev.settings.names.deployments_table,
        IndexName="GSI1",
        KeyConditionExpression="GSI1PK = :env",
        ExpressionAttributeValues={":env": {"S": "ENV#dev"}},
        ScanIndexForward=False,
    )["Items"]

    assert found[0]["PK"]["S"] == f"ROLLBACK#{run.id}"
    at, _, name = found[0]["GSI1SK"]["S"].partition("#")
    assert (shown_time(at), name) == (run.json["initiated_at"], run.id)
    assert len(found) == 4


def test_no_option_skips_the_review_in_prod(prod: Platform) -> None:
    """`skip_plan_review: true` was there for everybody, in prod as well."""
    prod.story()
    before = prod.everything()

    runs = [
        prod.rollback("lambda", option, "--reason", REASON, as_=ALICE)
        for option in ("--skip-plan-review", "--auto-approve", "--force", "--no-approval")
    ]

    assert [run.code for run in runs] == [2] * 4, "\n".join(map(str, runs))
    assert prod.everything() == before


def test_rollbacks_that_begin_in_the_same_second_have_ids_of_their_own(prod: Platform) -> None:
    """`rollback-$(date +%Y%m%d%H%M%S)` gave two of them one id, and one record for both."""
    prod.story()
    runs = []

    together(*[lambda: runs.append(prod.waiting())] * 4)

    assert len({run.id for run in runs}) == 4
    opened = [
        item for item in prod.items() if item["PK"].startswith("ROLLBACK#") and item["SK"] == "METADATA"
    ]
    assert len(opened) == 4


def test_what_is_approved_is_bound_to_what_is_deployed(prod: Platform) -> None:
    """The plan that was uploaded was applied whatever had happened since."""
    prod.story()
    waiting = prod.waiting()
    prod.approve(waiting)
    prod.move("role-service-get", "3", {"1": 0.5})
    prod.move("role-service-get", "1")

    run = prod.rollback("apply", waiting.id, as_=ALICE)

    assert run.code == 3, str(run)
    assert prod.versions()["role-service-get"] == "1"
    assert prod.versions()["team-service-get"] == "3"


def test_the_record_is_json_that_any_tool_reads(done: Done) -> None:
    """The item was pasted together from strings, so that a quote in the reason broke it."""
    assert json.loads(done.run.out)["reason"] == HARMFUL
