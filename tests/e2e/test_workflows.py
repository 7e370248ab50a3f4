"""The workflows, run: what a person starts on GitHub does what the same command does on a terminal."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import yaml

from localaws.paths import ROOT
from tests.doubles import github as environments
from tests.e2e.actions_under_test import REPOSITORY, TOKEN, GitHub, github, run
from tests.e2e.estate_under_test import ALICE, DAN, FUNCTIONS, REASON, Platform

_HOSTILE = """"; touch pwned; $(touch pwned) `touch pwned` ${{ github.token }} '<b>' | it's bad"""


@pytest.fixture
def hub() -> Iterator[GitHub]:
    with github() as running:
        yield running


def test_in_prod_the_reviewer_is_the_one_who_approved(prod: Platform, hub: GitHub) -> None:
    prod.story()
    hub.approved("prod-rollback-approval", "bob")

    done = run(prod, "rollback-lambda.yml", {"environment": "prod", "reason": REASON}, hub)

    assert done.jobs == dict.fromkeys(("plan", "approval", "apply", "end"), "success"), str(done)
    shown = prod.show(done.outputs["rollback_id"])
    assert shown["status"] == "COMPLETE"
    assert shown["approved_by"] == {"role": "bbws-access-prod-approver-role", "person": "bob"}


@pytest.mark.soak  # tests/unit/integrations/test_ci.py has who runs it again be its starter
@pytest.mark.finding("S8")
def test_a_run_that_is_run_again_acts_in_the_name_of_who_did_so(dev: Platform, hub: GitHub) -> None:
    dev.story()

    done = run(dev, "rollback-lambda.yml", {"environment": "dev", "reason": REASON}, hub, again_by="carol")

    assert done.jobs == {"plan": "success", "apply": "success", "end": "success"}, str(done)
    assert dev.show(done.outputs["rollback_id"])["initiated_by"]["person"] == "carol"


@pytest.mark.soak  # tests/unit/integrations/test_ci.py refuses both; the record's own check is in tests/unit/actions/test_approval.py
@pytest.mark.finding("S8")
@pytest.mark.parametrize("reviewer", ["alice", "Carol"])
def test_neither_who_began_a_run_nor_who_runs_it_again_can_approve_it(
    prod: Platform, hub: GitHub, reviewer: str
) -> None:
    prod.story()
    before = prod.live()
    hub.approved("prod-rollback-approval", reviewer)

    done = run(prod, "rollback-lambda.yml", {"environment": "prod", "reason": REASON}, hub, again_by="carol")

    assert done.jobs == {"plan": "success", "approval": "failure", "end": "success"}, str(done)
    assert "APPROVAL_REFUSED" in done.log
    assert prod.live() == before


def test_without_a_review_nothing_is_approved_and_the_record_is_closed(prod: Platform, hub: GitHub) -> None:
    prod.story()
    before = prod.live()

    done = run(prod, "rollback-lambda.yml", {"environment": "prod", "reason": REASON}, hub)

    assert done.jobs == {"plan": "success", "approval": "failure", "end": "success"}, str(done)
    assert "Nobody has reviewed this run" in done.log
    assert prod.live() == before
    assert prod.show(done.outputs["rollback_id"])["status"] == "ABORTED"


def test_a_reason_that_means_harm_is_only_a_reason_and_such_a_target_is_none(
    dev: Platform, hub: GitHub
) -> None:
    dev.story()
    before = dev.everything()
    inputs = {"environment": "dev", "reason": REASON, "target_version": "--yes $(touch pwned)"}
    refused = run(dev, "rollback-lambda.yml", inputs, hub)
    assert refused.jobs == {"plan": "failure"}, str(refused)
    assert dev.everything() == before

    done = run(dev, "rollback-lambda.yml", {"environment": "dev", "reason": _HOSTILE}, hub)

    assert done.jobs == {"plan": "success", "apply": "success", "end": "success"}, str(done)
    assert dev.versions() == dict.fromkeys(FUNCTIONS, "2")
    assert "rollback is COMPLETE" in done.summary
    assert dev.show(done.outputs["rollback_id"])["reason"] == _HOSTILE
    assert not list(dev.folder.rglob("pwned"))
    assert "<b>" not in done.summary.replace(r"\<b\>", "")


@pytest.mark.soak  # tests/integration/targets/terraform/test_target.py has the next attempt of a run go on with its record
def test_the_next_attempt_of_a_run_goes_on_with_its_record(dev: Platform, hub: GitHub) -> None:
    dev.story()
    dev.configure(smoke=["sh", "-c", "exit $VERDICT"])
    inputs = {"environment": "dev", "reason": REASON}
    failed = run(dev, "rollback-lambda.yml", inputs, hub, number=77, env={"VERDICT": "1"})
    assert failed.jobs == {"plan": "success", "apply": "failure", "end": "success"}, str(failed)
    assert "rollback is FAILED" in failed.summary

    again = run(dev, "rollback-lambda.yml", inputs, hub, number=77, env={"VERDICT": "0"})

    assert again.jobs == {"plan": "success", "apply": "success", "end": "success"}, str(again)
    assert again.outputs["rollback_id"] == failed.outputs["rollback_id"]
    assert dev.show(again.outputs["rollback_id"])["status"] == "COMPLETE"
    assert len(dev.rollback("history", "--kind", "aliases", "--json", as_=ALICE).json) == 1


def test_a_release_is_recorded_by_the_deployment_that_made_it(dev: Platform, hub: GitHub) -> None:
    dev.deploy("v1.1.0")
    inputs = {"environment": "dev", "version": "v1.1.0", "commit": "b" * 40}

    done = run(dev, "release-recorded.yml", inputs, hub, actor="dan", event="workflow_call")

    assert done.jobs == {"record": "success"}, str(done)
    listed = dev.rollback("release", "list", "--json", as_=DAN).json
    assert [(row["version"], row["commit"]) for row in listed] == [("v1.1.0", "b" * 40)]


@pytest.mark.soak  # test_not_below.py has another person approve it; tests/unit/integrations/test_workflow_steps.py hands the input on
def test_below_a_release_that_must_not_be_passed_a_run_goes_by_an_input_that_another_person_approves(
    dev: Platform, hub: GitHub
) -> None:
    dev.configure(people={"approvers": [f"arn:aws:iam::{dev.settings.account}:user/bob"]})
    dev.story()
    dev.deploy("v1.3.0")
    assert dev.record("v1.3.0", "--not-below", "v1.3.0").code == 0
    hub.approved("dev-rollback-approval", "bob")
    inputs = {"environment": "dev", "reason": REASON, "target_version": "v1.2.0"}

    refused = run(dev, "rollback-lambda.yml", inputs, hub)
    done = run(dev, "rollback-lambda.yml", {**inputs, "allow_below": "true"}, hub)

    assert refused.jobs == {"plan": "failure"}, str(refused)
    assert "BELOW_FLOOR" in refused.log
    assert done.jobs == dict.fromkeys(("plan", "approval", "apply", "end"), "success"), str(done)
    shown = dev.show(done.outputs["rollback_id"])
    assert (shown["status"], shown["approved_by"]["person"]) == ("COMPLETE", "bob")
    assert "v1.3.0" in shown["below"]


@pytest.mark.soak  # test_could_be_taken_back.py and tests/integration/actions/reversibility/test_collect.py
def test_what_could_not_be_taken_back_fails_its_job_and_the_summary_shows_why(dev: Platform) -> None:
    dev.story()
    dev.configure(reviewers={"users": [7]})
    with environments.github(REPOSITORY) as hub:
        hub.token = TOKEN
        hub.as_declared("dev")
        hub.declare("dev-deploy", branches=None)

        done = run(
            dev, "ci.yml", {}, hub, event="push", job="reversible", variables={"ROLLBACK_ENVIRONMENT": "dev"}
        )

    assert done.jobs == {"reversible": "failure"}, str(done)
    assert "could not be rolled back after it is deployed" in done.log
    assert "## ✗ Can it be rolled back?" in done.summary
    assert "| ✗ | github | `dev-deploy` it is not restricted to main" in done.summary.replace("\\", "")
    assert "| ✓ | github | `dev-rollback` `dev-drill` only main may deploy to it" in done.summary


def test_nothing_takes_a_role_for_a_pull_request() -> None:
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())["jobs"]
    takes = {name: job for name, job in jobs.items() if "id-token" in job.get("permissions", {})}

    assert set(takes) == {"reversible"}
    (job,) = takes.values()
    assert "github.event_name != 'pull_request' && github.ref == 'refs/heads/main'" in job["if"]
    assert job["environment"].endswith("-deploy"), "which lets the protected branch in, and nothing else"
    assert jobs["unasked"]["permissions"] == {}


@pytest.mark.soak  # test_drill.py runs drills under the role, and shows their table; tests/unit/integrations/test_workflow_steps.py parses the job's lines
def test_a_drill_is_run_under_its_own_role_and_the_table_of_drills_is_its_summary(
    dev: Platform, hub: GitHub
) -> None:
    assert dev.record("v1.0.0").code == 0
    before = dev.live()

    inputs = {"environment": "dev", "scenario": "code", "fault": "none", "wait": "0"}
    done = run(dev, "drill.yml", inputs, hub, actor="dora")

    assert done.jobs == {"drill": "success"}, str(done)
    assert "### Drills of dev" in done.summary
    assert "| yes | none | dora |" in done.summary
    assert dev.live() == before
