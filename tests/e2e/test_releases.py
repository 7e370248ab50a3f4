"""What was released: recorded after a deployment, adopted from a past, quarantined and lifted."""

from __future__ import annotations

from tests.e2e.estate_under_test import ALICE, DAN, FUNCTIONS, REASON, Platform


def test_a_deployment_is_recorded_with_its_commit_and_its_parameters(dev: Platform) -> None:
    run = dev.record("v1.0.0", "--terraform-commit", "b" * 40)

    assert run.code == 0, str(run)
    assert run.json["version"] == "v1.0.0"
    assert run.json["commit"] == "a" * 40
    assert run.json["terraform_commit"] == "b" * 40
    assert run.json["recorded_by"] == {"role": "bbws-access-dev-github-actions-role", "person": "dan"}
    assert run.json["deployed"] == "v1.0.0"
    assert dev.deployed() == "v1.0.0"
    commit = dev.root_client("ssm").get_parameter(Name=dev.settings.names.terraform_commit)
    assert commit["Parameter"]["Value"] == "b" * 40


def test_recording_the_same_release_again_changes_nothing(dev: Platform) -> None:
    dev.story()
    before = dev.everything()

    run = dev.record("v1.2.0")

    assert run.code == 0, str(run)
    assert run.json["new"] is False
    assert dev.everything() == before


def test_a_version_cannot_be_recorded_again_for_other_code(dev: Platform) -> None:
    dev.story()
    dev.deploy("v1.3.0", changed=["audit_service"])
    before = dev.everything()

    run = dev.record("v1.2.0")

    assert run.code == 3, str(run)
    assert "already recorded, with other function versions" in run.err
    assert dev.name("audit-service-record") in run.err
    assert dev.everything() == before


def test_a_quarantined_version_cannot_be_recorded_as_if_it_were_new(dev: Platform) -> None:
    dev.story()
    dev.rollback("lambda", "--reason", REASON, as_=ALICE)
    for tail in FUNCTIONS:
        dev.move(tail, "3")

    run = dev.record("v1.2.0")

    assert run.code == 3, str(run)
    assert "quarantined" in run.err
    assert "rollback release lift v1.2.0" in run.err


def test_the_on_call_role_may_not_record_a_release(dev: Platform) -> None:
    run = dev.record("v1.0.0", as_=ALICE)

    assert run.code == 1, str(run)
    assert "[ACCESS_DENIED]" in run.err
    assert not [item for item in dev.items() if item["PK"].startswith("DEPLOYMENT#")]
    assert dev.rollback("status", "--json", as_=ALICE).json["holders"] == {}


def test_a_release_is_recorded_on_a_mixed_estate(dev: Platform) -> None:
    dev.story()
    dev.rollback("lambda", "--services", "team_service", "--reason", REASON, as_=ALICE)

    dev.release("v1.3.0", changed=["team_service"])

    assert dev.deployed() == "v1.3.0"
    run = dev.rollback("lambda", "--reason", REASON, "--json", as_=ALICE)
    assert run.code == 0, str(run)
    assert dev.versions() == {tail: "2" if tail.startswith("team-") else "3" for tail in FUNCTIONS}, (
        "what was quarantined for the team service is passed over, for it alone"
    )
    assert dev.deployed() == "v1.2.0+team_service@v1.1.0"


def test_an_account_with_a_past_is_adopted_and_then_rolled_back(dev: Platform) -> None:
    dev.deploy("v1.1.0")

    older = dev.rollback("release", "adopt", "--version", "v1.0.0", "--json", as_=DAN)
    newer = dev.rollback("release", "adopt", "--version", "v1.1.0", "--json", as_=DAN)
    run = dev.rollback("lambda", "--reason", REASON, "--json", as_=ALICE)

    assert (older.code, newer.code) == (0, 0), f"{older}\n{newer}"
    assert newer.json["adopted"] is True
    assert newer.json["deployed"] == "v1.1.0"
    assert run.code == 0, str(run)
    assert run.json["to_version"] == "v1.0.0"
    assert dev.versions() == dict.fromkeys(FUNCTIONS, "1")


def test_a_function_with_no_or_several_versions_of_that_name_is_named_and_refused(dev: Platform) -> None:
    dev.deploy("v1.1.0", changed=["team_service"])
    dev.deploy("v1.1.0", changed=[dev.name("team-service-get")], broken=["team_service"])
    before = dev.everything()

    run = dev.rollback("release", "adopt", "--version", "v1.1.0", as_=DAN)

    assert run.code == 3, str(run)
    assert f"{dev.name('team-service-get')}: 2 versions" in run.screen
    assert "and 1 more: no versions" in run.screen
    assert dev.name("team-service-list") not in run.screen
    assert dev.everything() == before


def test_a_release_that_is_quarantined_by_hand_is_passed_over(dev: Platform) -> None:
    dev.story()
    quarantined = dev.rollback("release", "quarantine", "v1.1.0", "--reason", "leaks", "--json", as_=DAN)
    assert quarantined.code == 0, str(quarantined)

    run = dev.rollback("lambda", "--reason", REASON, "--json", as_=ALICE)

    assert run.code == 0, str(run)
    assert run.json["to_version"] == "v1.0.0"


def test_a_release_that_is_quarantined_for_one_service_stays_good_for_the_others(dev: Platform) -> None:
    dev.story()
    dev.rollback(
        "release", "quarantine", "v1.1.0", "--services", "team_service", "--reason", "leaks", as_=DAN
    )

    run = dev.rollback("lambda", "--reason", REASON, "--json", as_=ALICE)

    assert run.code == 0, str(run)
    assert dev.versions() == {tail: "1" if tail.startswith("team-") else "2" for tail in FUNCTIONS}


def test_the_on_call_role_quarantines_and_lifts_as_well(dev: Platform) -> None:
    dev.story()

    quarantined = dev.rollback("release", "quarantine", "v1.1.0", "--reason", "leaks", as_=ALICE)
    lifted = dev.rollback("release", "lift", "v1.1.0", "--reason", "it did not", as_=ALICE)

    assert (quarantined.code, lifted.code) == (0, 0), f"{quarantined}\n{lifted}"
    assert dev.rollback("lambda", "--reason", REASON, "--json", as_=ALICE).json["to_version"] == "v1.1.0"


def test_the_list_shows_what_is_deployed_and_what_is_quarantined(dev: Platform) -> None:
    dev.story()
    dev.rollback("lambda", "--services", "team_service", "--reason", REASON, as_=ALICE)

    rows = dev.rollback("release", "list", "--json", as_=DAN).json

    assert [row["version"] for row in rows] == ["v1.2.0", "v1.1.0", "v1.0.0"]
    assert rows[0]["quarantined_for"] == ["team_service"]
    assert rows[1]["deployed_for"] == ["team_service"]
    assert sorted(rows[0]["deployed_for"]) == ["audit_service", "role_service", "role_service_admin"]
