"""The promises of `rollback lambda`, through the console script and under the on-call role."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.estate_under_test import ALICE, DAN, FUNCTIONS, REASON, Platform

FIELDS = [
    "rollback_id",
    "kind",
    "environment",
    "from_version",
    "to_version",
    "services",
    "except",
    "reason",
    "initiated_by",
    "initiated_at",
    "completed_at",
    "status",
    "digest",
    "approved_by",
    "counts",
    "functions",
    "infrastructure",
    "verification",
    "rto_seconds",
    "elapsed_seconds",
    "relieved_seconds",
    "waited_seconds",
]


def test_lambda_rollback_works_for_all_services_is_verified_and_recorded(dev: Platform) -> None:
    dev.story()

    run = dev.rollback("lambda", "--reason", REASON, "--json", as_=ALICE)

    assert run.code == 0, str(run)
    assert dev.versions() == dict.fromkeys(FUNCTIONS, "2")
    assert dev.deployed() == "v1.1.0"
    record = run.json
    assert not set(FIELDS) - set(record)
    assert (record["kind"], record["environment"]) == ("aliases", "dev")
    assert record["status"] == "COMPLETE"
    assert (record["from_version"], record["to_version"]) == ("v1.2.0", "v1.1.0")
    assert record["services"] == ["team_service", "role_service", "role_service_admin", "audit_service"]
    assert (record["except"], record["reason"]) == ([], REASON)
    assert record["initiated_by"] == {"role": "bbws-access-dev-rollback-role", "person": "alice"}
    assert record["counts"] == {
        "planned": 6,
        "moved": 6,
        "confirmed": 0,
        "failed": 0,
        "reverted": 0,
        "untouched": 0,
    }
    assert {(item["from"], item["to"], item["outcome"]) for item in record["functions"]} == {
        ("3", "2", "moved")
    }
    assert {item["name"] for item in record["functions"]} == {dev.name(tail) for tail in FUNCTIONS}
    assert set(record["infrastructure"]) == {"create", "update", "replace", "delete", "same"}
    assert [item["ok"] for item in record["verification"]] == [True, True]
    assert record["initiated_at"] <= record["completed_at"]
    assert 0 < record["relieved_seconds"] < record["elapsed_seconds"] <= record["rto_seconds"] == 300
    assert (record["approved_by"], record["waited_seconds"]) == (None, 0)
    assert dev.show(run.id)["chain"] == "whole"


def test_json_is_one_document_and_nothing_else_on_standard_output(dev: Platform) -> None:
    dev.story()

    runs = [
        dev.rollback("lambda", "--reason", REASON, "--dry-run", "--json", as_=ALICE),
        dev.rollback("lambda", "--reason", REASON, "--json", as_=ALICE),
        dev.rollback("status", "--json", as_=ALICE),
        dev.rollback("history", "--json", as_=ALICE),
        dev.rollback("release", "list", "--json", as_=DAN),
        dev.rollback("verify", "--json", as_=ALICE),
    ]

    assert [run.code for run in runs] == [0] * len(runs), "\n".join(map(str, runs))
    assert all(run.json for run in runs)


def test_without_json_a_person_reads_what_is_done_and_was_done(dev: Platform) -> None:
    dev.story()

    run = dev.rollback("lambda", "--reason", REASON, as_=ALICE)

    assert run.code == 0, str(run)
    assert "v1.2.0 → v1.1.0   6 to change, 0 unchanged" in run.out
    assert "COMPLETE" in run.out
    assert "300 s RTO" in run.out


def test_a_second_rollback_goes_further_back_and_not_forward(dev: Platform) -> None:
    dev.story()
    dev.rollback("lambda", "--reason", REASON, as_=ALICE)

    run = dev.rollback("lambda", "--reason", "still bad", "--json", as_=ALICE)

    assert run.code == 0, str(run)
    assert run.json["to_version"] == "v1.0.0"
    assert dev.versions() == dict.fromkeys(FUNCTIONS, "1")
    third = dev.rollback("lambda", "--reason", "still bad", as_=ALICE)
    assert third.code == 3, "there is nothing older, and the way is not forward"
    assert "no previous release" in third.screen
    assert dev.versions() == dict.fromkeys(FUNCTIONS, "1")


def test_what_was_left_is_quarantined_refused_as_a_target_and_accepted_once_lifted(dev: Platform) -> None:
    dev.story()
    dev.rollback("lambda", "--reason", REASON, as_=ALICE)
    before = dev.everything()

    refused = dev.rollback("lambda", "--to", "v1.2.0", "--reason", "again", as_=ALICE)

    assert refused.code == 3, str(refused)
    assert "v1.2.0 is quarantined" in refused.err
    assert "rollback release lift v1.2.0" in refused.err
    assert dev.everything() == before
    lifted = dev.rollback("release", "lift", "v1.2.0", "--reason", "mended", as_=DAN)
    assert lifted.code == 0, str(lifted)
    accepted = dev.rollback("lambda", "--to", "v1.2.0", "--reason", "again", "--json", as_=ALICE)
    assert accepted.code == 0, str(accepted)
    assert dev.deployed() == "v1.2.0"
    again = dev.rollback("lambda", "--reason", "back", "--json", as_=ALICE)
    assert again.json["to_version"] == "v1.1.0", "the way forward quarantines nothing"


def test_some_services_alone_leave_a_mixed_estate_whose_parameter_reports_it(dev: Platform) -> None:
    dev.story()

    run = dev.rollback("lambda", "--services", "team_service", "--reason", REASON, "--json", as_=ALICE)

    assert run.code == 0, str(run)
    assert dev.versions() == {tail: "2" if tail.startswith("team-") else "3" for tail in FUNCTIONS}
    assert dev.deployed() == "v1.2.0+team_service@v1.1.0"
    assert run.json["services"] == ["team_service"]
    status = dev.rollback("status", "--json", as_=ALICE).json
    assert {item["service"]: item["deployed"] for item in status["services"]} == {
        "team_service": "v1.1.0",
        "role_service": "v1.2.0",
        "role_service_admin": "v1.2.0",
        "audit_service": "v1.2.0",
    }
    assert {item["service"]: item["previous"] for item in status["services"]}["team_service"] == "v1.0.0"
    assert {item["service"]: item["previous"] for item in status["services"]}["role_service"] == "v1.1.0"


def test_previous_is_each_services_own_on_a_mixed_estate(dev: Platform) -> None:
    dev.story()
    dev.rollback("lambda", "--services", "team_service", "--reason", REASON, as_=ALICE)

    run = dev.rollback("lambda", "--reason", "all of it", "--json", as_=ALICE)

    assert run.code == 0, str(run)
    assert dev.versions() == {tail: "1" if tail.startswith("team-") else "2" for tail in FUNCTIONS}
    assert dev.deployed() == "v1.1.0+team_service@v1.0.0"


def test_one_function_is_left_out_and_the_plan_the_digest_and_the_record_name_it(dev: Platform) -> None:
    dev.story()
    whole = dev.rollback("lambda", "--dry-run", "--json", as_=ALICE).json["digest"]

    run = dev.rollback(
        "lambda", "--except", dev.name("role-service-get"), "--reason", REASON, "--json", as_=ALICE
    )

    assert run.code == 0, str(run)
    assert dev.versions() == {tail: "3" if tail == "role-service-get" else "2" for tail in FUNCTIONS}
    assert run.json["except"] == [dev.name("role-service-get")]
    assert run.json["counts"]["planned"] == 5
    assert f"Excluded: {dev.name('role-service-get')}" in run.screen
    assert run.json["digest"] != whole


def test_a_dry_run_changes_nothing_at_all(dev: Platform) -> None:
    dev.story()
    before = dev.everything()

    plain = dev.rollback("lambda", "--dry-run", "--json", as_=ALICE)
    shell = dev.rollback("lambda", "--as-shell", as_=ALICE)

    assert (plain.code, shell.code) == (0, 0), f"{plain}\n{shell}"
    assert dev.everything() == before
    assert [(step["from_version"], step["to_version"]) for step in plain.json["steps"]] == [("3", "2")] * 6


def test_scripts_for_manual_rollback_operations_are_a_plans_own_lines_for_the_shell(dev: Platform) -> None:
    dev.story()
    dev.move("team-service-get", "3", {"2": 0.1})
    printed = dev.rollback("lambda", "--as-shell", "--adopt-current", as_=ALICE)
    lines = printed.out.splitlines()
    assert len(lines) == len(FUNCTIONS)
    assert all(line.startswith("aws lambda update-alias ") for line in lines)
    others = "\n".join(line for line in lines if "team-service-get" not in line)

    done = dev.command(["sh", "-ec", others], as_=ALICE).finish()

    assert done.code == 0, str(done)
    assert {tail: version for tail, version in dev.versions().items() if tail != "team-service-get"} == {
        tail: "2" for tail in FUNCTIONS if tail != "team-service-get"
    }
    again = dev.command(["sh", "-ec", others], as_=ALICE).finish()
    assert again.code != 0, "a line holds only for the alias as it was planned"
    assert "PreconditionFailed" in again.err


def test_nothing_to_do_is_exit_0_and_changes_nothing(dev: Platform) -> None:
    dev.story()
    before = dev.everything()

    run = dev.rollback("lambda", "--to", "v1.2.0", "--reason", "to be sure", "--json", as_=ALICE)

    assert run.code == 0, str(run)
    assert run.json["status"] == "NOTHING_TO_DO"
    assert dev.everything() == before


def test_functions_outside_the_catalogue_are_listed_and_not_touched(dev: Platform) -> None:
    dev.unlisted_functions()
    dev.story()
    stranger = dev.alias("role-service-admin-console")

    run = dev.rollback("lambda", "--services", "role_service", "--reason", REASON, as_=ALICE)

    assert run.code == 0, str(run)
    assert "Ignored" in run.screen
    assert dev.name("role-service-admin-console") in run.screen
    assert dev.alias("role-service-admin-console") == stranger


def test_an_environment_is_known_by_the_callers_account_where_none_is_named(dev: Platform) -> None:
    dev.story()
    run = dev.rollback("lambda", "--reason", REASON, "--json", as_=ALICE)

    shown = dev.start("show", run.id, "--json", as_=ALICE, env=False).finish()

    assert shown.code == 0, str(shown)
    assert shown.json["status"] == "COMPLETE"


def test_smoke_tests_verify_rollback_success_and_one_that_fails_is_exit_5_and_lifts_no_quarantine(
    dev: Platform,
) -> None:
    dev.story()
    dev.smoke_command(7)

    run = dev.rollback("lambda", "--reason", REASON, "--json", as_=ALICE)

    assert run.code == 5, str(run)
    assert run.json["status"] == "FAILED"
    assert "asked about dev" in run.err
    assert f"rollback verify {run.id} --env dev" in run.err
    assert f"rollback abort {run.id} --env dev" in run.err
    assert dev.versions() == dict.fromkeys(FUNCTIONS, "2")
    assert dev.deployed() == "v1.1.0", "it says what is deployed, not whether it is well"
    assert dev.rollback("lambda", "--to", "v1.2.0", "--reason", "x", as_=ALICE).code == 3


def test_a_failed_verification_is_verified_again_once_it_is_mended(dev: Platform) -> None:
    dev.story()
    dev.smoke_command(7)
    failed = dev.rollback("lambda", "--reason", REASON, "--json", as_=ALICE)
    still = dev.rollback("verify", failed.id, "--json", as_=ALICE)
    assert still.code == 5, str(still)
    dev.smoke_command(0)

    run = dev.rollback("verify", failed.id, "--json", as_=ALICE)

    assert run.code == 0, str(run)
    assert run.json["status"] == "COMPLETE"
    assert all(item["ok"] for item in run.json["verification"])
    assert dev.show(failed.id)["chain"] == "whole"


def test_a_failed_verification_is_aborted_back_to_where_it_began(dev: Platform) -> None:
    dev.story()
    dev.smoke_command(7)
    failed = dev.rollback("lambda", "--reason", REASON, "--json", as_=ALICE)

    run = dev.rollback("abort", failed.id, "--reason", "v1.2.0 was better", "--json", as_=ALICE)

    assert run.code == 0, str(run)
    assert run.json["status"] == "REVERTED"
    assert run.json["counts"]["reverted"] == 6
    assert dev.versions() == dict.fromkeys(FUNCTIONS, "3")
    assert dev.deployed() == "v1.2.0"
    again = dev.rollback("lambda", "--to", "v1.2.0", "--reason", "x", "--json", as_=ALICE)
    assert again.json["status"] == "NOTHING_TO_DO", "what it quarantined is free again"


def test_an_older_release_is_reached_after_a_failed_verification(dev: Platform) -> None:
    dev.story()
    dev.smoke_command(7)
    failed = dev.rollback("lambda", "--reason", REASON, "--json", as_=ALICE)
    dev.smoke_command(0)

    run = dev.rollback("lambda", "--to", "v1.0.0", "--reason", "older", "--json", as_=ALICE)

    assert run.code == 0, str(run)
    assert dev.versions() == dict.fromkeys(FUNCTIONS, "1")
    for verb in ("verify", "abort", "resume"):
        late = dev.rollback(verb, failed.id, as_=ALICE)
        assert late.code == 3, f"{verb} of a record that a later one has overtaken\n{late}"
        assert run.id in late.err
    assert dev.versions() == dict.fromkeys(FUNCTIONS, "1")


def test_verify_finds_an_alias_that_was_moved_by_hand(dev: Platform) -> None:
    dev.story()
    dev.move("audit-service-record", "1")

    run = dev.rollback("verify", "--json", as_=ALICE)

    assert run.code == 5, str(run)
    assert "audit-service-record: is at version 1, expected 3" in run.out
    assert "Nothing was changed." in run.err


def test_audit_trail_maintained_in_dynamodb_and_ssm(dev: Platform) -> None:
    dev.story()
    run = dev.rollback("lambda", "--reason", REASON, "--json", as_=ALICE)

    items = [item for item in dev.items() if item["PK"] == f"ROLLBACK#{run.id}"]
    record = next(item for item in items if item["SK"] == "METADATA")
    assert (record["status"], record["reason"], record["GSI1PK"]) == ("COMPLETE", REASON, "ENV#dev")
    assert any(item["SK"].startswith("EVENT#") for item in items)
    assert dev.show(run.id)["chain"] == "whole"
    assert dev.deployed() == "v1.1.0"


def test_another_checkout_shows_the_same_history(dev: Platform) -> None:
    dev.story()
    run = dev.rollback("lambda", "--reason", REASON, "--json", as_=ALICE)
    elsewhere: Path = dev.clone()

    answer = dev.rollback("history", "--json", as_=ALICE, cwd=elsewhere)

    assert answer.code == 0, str(answer)
    assert [item.get("rollback_id", item.get("version")) for item in answer.json] == [
        run.id,
        "v1.2.0",
        "v1.1.0",
        "v1.0.0",
    ]


def test_provisioned_concurrency_is_recorded_named_in_the_plan_and_waited_for(dev: Platform) -> None:
    function = dev.name(FUNCTIONS[0])
    assert dev.record("v1.0.0").code == 0
    dev.root_client("lambda").put_provisioned_concurrency_config(
        FunctionName=function, Qualifier="live", ProvisionedConcurrentExecutions=5
    )
    dev.release("v1.1.0")

    run = dev.rollback("lambda", "--reason", REASON, as_=ALICE)

    assert run.code == 0, str(run)
    assert "Waits for the provisioned concurrency of" in run.screen
    assert function in run.screen.replace("\n", " ").replace("  ", "")
    assert dev.versions() == dict.fromkeys(FUNCTIONS, "1")


@pytest.mark.finding("M1")
def test_a_function_that_was_left_out_is_seen_where_it_is_and_fails_verification(dev: Platform) -> None:
    dev.story()
    name = dev.name("role-service-get")
    left_out = ("--services", "role_service", "--except", name)

    run = dev.rollback("lambda", "--reason", REASON, *left_out, "--json", as_=ALICE)
    status = dev.rollback("status", "--json", as_=ALICE)
    verify = dev.rollback("verify", "--json", as_=ALICE)

    assert run.code == 0, str(run)
    assert run.json["to_version"] == f"v1.1.0+{name}@v1.2.0"
    (service,) = (one for one in status.json["services"] if one["service"] == "role_service")
    assert service["mixed"] == {name: "v1.2.0"}
    assert {one["function"]: one["release"] for one in service["functions"]}[name] == "v1.2.0"
    assert dev.deployed() == status.json["deployed"] == f"v1.2.0+role_service@v1.1.0+{name}@v1.2.0"
    assert verify.code == 5, str(verify)
    assert [one["check"] for one in verify.json["verification"] if not one["ok"]] == ["releases"]


@pytest.mark.finding("U12")
def test_what_is_asked_for_as_json_is_one_document_whatever_it_is_about(dev: Platform) -> None:
    """That each is what the schema says of its verb is seen by whatever runs a command (`tests/outputs.py`)."""
    dev.story()
    page = dev.folder / "page.html"

    frozen = dev.rollback("freeze", "--reason", "an audit", "-o", "json", as_=ALICE)
    status = dev.rollback("status", "-o", "json", as_=DAN)
    refused = dev.rollback("lambda", "--reason", REASON, "-o", "json", as_=DAN)
    freed = dev.rollback("unfreeze", "--reason", "it is over", "-o", "json", as_=DAN)
    shell = dev.rollback("lambda", "--as-shell", "-o", "json", as_=ALICE)
    report = dev.rollback("report", "--file", str(page), "-o", "json", as_=ALICE)
    difference = dev.rollback("diff", "-o", "json", as_=ALICE)
    lifted = dev.rollback("release", "lift", "v1.1.0", "--reason", "x", "-o", "json", as_=DAN)

    who = {"person": "alice", "role": dev.settings.names.role("rollback")}
    assert (status.json["frozen"], freed.json["lifted"]) == (frozen.json["frozen"],) * 2
    assert (frozen.json["frozen"]["created_by"], frozen.json["environment"]) == (who, "dev")
    assert (freed.json["frozen"], status.json["state"]) == (None, "FROZEN")
    assert (refused.json["error"]["code"], refused.json["next"]) == (
        "FROZEN",
        ['rollback unfreeze --env dev --reason "…"'],
    )
    assert len(shell.json["commands"]) == len(FUNCTIONS)
    assert (report.json["path"], page.exists()) == (str(page), True)
    assert (difference.json["from_version"], difference.json["to_version"]) == ("v1.1.0", None)
    assert lifted.json["error"] == lifted.error
    assert (lifted.code, lifted.json["error"]["code"]) == (3, "NOTHING_TO_LIFT")
