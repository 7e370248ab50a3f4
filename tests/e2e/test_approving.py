"""Where another identity has to say yes: prod, from the plan to the end, and every way to get round it."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yaml

from rollback.config.naming import APPROVER
from tests.e2e.estate_under_test import (
    ALICE,
    ALICE_APPROVING,
    BOB,
    DAN,
    FUNCTIONS,
    REASON,
    Person,
    Platform,
    Running,
    git,
)


def test_approval_required_for_prod_rollbacks_which_are_then_carried_out(prod: Platform) -> None:
    prod.story()
    before = prod.live()

    waiting = prod.rollback("lambda", "--reason", REASON, "--json", as_=ALICE)

    assert waiting.code == 10, str(waiting)
    assert waiting.json["status"] == "AWAITING_APPROVAL"
    assert re.fullmatch(r"[0-9a-f]{64}", waiting.json["digest"])
    assert f"rollback approve {waiting.id} --digest {waiting.json['digest'][:16]}" in waiting.err
    assert prod.live() == before
    approved = prod.approve(waiting)
    assert approved.code == 0, str(approved)
    assert prod.live() == before, "an approval moves nothing"
    applied = prod.rollback("apply", waiting.id, "--json", as_=ALICE)
    assert applied.code == 0, str(applied)
    assert applied.json["status"] == "COMPLETE"
    assert applied.json["approved_by"] == {"role": "bbws-access-prod-approver-role", "person": "bob"}
    assert applied.json["initiated_by"] == {"role": "bbws-access-prod-rollback-role", "person": "alice"}
    assert applied.json["waited_seconds"] > 0
    assert prod.versions() == dict.fromkeys(FUNCTIONS, "2")
    assert prod.deployed() == "v1.1.0"
    assert prod.show(waiting.id)["chain"] == "whole"


def test_one_service_is_rolled_back_and_status_shows_the_mixed_estate(prod: Platform) -> None:
    prod.story()
    waiting = prod.waiting("--services", "team_service")
    prod.approve(waiting)

    applied = prod.rollback("apply", waiting.id, "--json", as_=ALICE)

    assert applied.code == 0, str(applied)
    assert prod.deployed() == "v1.2.0+team_service@v1.1.0"
    status = prod.rollback("status", as_=ALICE)
    assert "v1.2.0+team_service@v1.1.0" in status.screen


def test_nobody_approves_under_the_on_call_or_the_deployer_role(prod: Platform) -> None:
    prod.story()
    waiting = prod.waiting()
    before = prod.everything()

    refused = [prod.approve(waiting, as_=person) for person in (ALICE, DAN)]

    assert [run.code for run in refused] == [3, 3], "\n".join(map(str, refused))
    assert prod.everything() == before


def test_iam_denies_an_approval_to_every_role_but_the_approvers(prod: Platform) -> None:
    prod.story()
    waiting = prod.waiting()
    item = {
        "PK": {"S": f"APPROVAL#{waiting.id}"},
        "SK": {"S": "forged"},
        "digest": {"S": waiting.json["digest"]},
    }
    before = prod.everything()

    codes = [_put(prod, person, item) for person in (ALICE, DAN)]

    assert codes == ["AccessDeniedException"] * 2
    assert prod.everything() == before


def test_the_requester_is_refused_under_the_approver_role_too(prod: Platform) -> None:
    prod.story()
    waiting = prod.waiting()
    before = prod.everything()

    refused = prod.approve(waiting, as_=ALICE_APPROVING)

    assert refused.code == 3, str(refused)
    assert "alice started it and cannot approve it" in refused.err
    assert prod.everything() == before


def test_the_requester_is_the_same_person_however_the_name_is_spelt(prod: Platform) -> None:
    prod.story()
    waiting = prod.waiting()

    refused = prod.approve(waiting, as_=Person(role=APPROVER, name="Alice"))

    assert refused.code == 3, str(refused)


def test_apply_without_an_approval_is_refused(prod: Platform) -> None:
    prod.story()
    waiting = prod.waiting()
    before = prod.everything()

    run = prod.rollback("apply", waiting.id, as_=ALICE)

    assert run.code == 3, str(run)
    assert "nobody has approved it" in run.err
    assert prod.everything() == before


def test_an_approval_that_has_expired_is_refused_and_can_be_given_again(prod: Platform) -> None:
    prod.story()
    waiting = prod.waiting()
    prod.approve(waiting)
    past = (datetime.now(UTC) - timedelta(minutes=1)).isoformat(timespec="milliseconds")
    _rewrite_approval(prod, waiting.id, expires_at=past.replace("+00:00", "Z"))

    run = prod.rollback("apply", waiting.id, as_=ALICE)

    assert run.code == 3, str(run)
    assert "expired" in run.err
    assert "rollback approve" in run.err
    again = prod.approve(waiting)
    assert again.code == 0, str(again)
    assert prod.rollback("apply", waiting.id, as_=ALICE).code == 0


def test_an_approval_of_another_plan_is_refused(prod: Platform) -> None:
    prod.story()
    waiting, other = prod.waiting(), prod.waiting("--to", "v1.0.0")

    refused = prod.approve(waiting, digest=other.json["digest"])

    assert refused.code == 3, str(refused)
    assert "digest is not that of this plan" in refused.err
    prod.approve(waiting)
    _rewrite_approval(prod, waiting.id, digest=other.json["digest"])
    applied = prod.rollback("apply", waiting.id, as_=ALICE)
    assert applied.code == 3, str(applied)
    assert "approved another plan" in applied.err


@pytest.mark.soak  # tests/unit/actions/test_approval.py
def test_a_digest_may_be_shortened_but_not_to_a_few_digits(prod: Platform) -> None:
    prod.story()
    waiting = prod.waiting()
    digest = waiting.json["digest"]

    refused = [prod.approve(waiting, digest=short) for short in (digest[:11], "", "0" * 64)]
    accepted = prod.approve(waiting, digest=digest[:12])

    assert [run.code for run in refused] == [3, 3, 3], "\n".join(map(str, refused))
    assert accepted.code == 0, str(accepted)


def test_an_alias_that_moved_after_the_approval_is_refused(prod: Platform) -> None:
    prod.story()
    waiting = prod.waiting()
    prod.approve(waiting)
    prod.move("team-service-get", "1")
    before = prod.everything()

    run = prod.rollback("apply", waiting.id, as_=ALICE)

    assert run.code == 3, str(run)
    assert "is out of date" in run.err
    assert f"rollback abort {waiting.id}" in run.err
    assert prod.everything() == before


@pytest.mark.soak  # tests/integration/actions/test_lifecycle.py
def test_a_release_recorded_after_the_approval_is_not_rolled_over(prod: Platform) -> None:
    prod.story()
    waiting = prod.waiting()
    prod.approve(waiting)
    prod.release("v1.3.0")

    run = prod.rollback("apply", waiting.id, as_=ALICE)

    assert run.code == 3, str(run)
    assert "is out of date" in run.err
    assert prod.versions() == dict.fromkeys(FUNCTIONS, "4")
    aborted = prod.rollback("abort", waiting.id, "--json", as_=ALICE)
    assert aborted.code == 0, str(aborted)
    assert aborted.json["status"] == "ABORTED"
    assert prod.versions() == dict.fromkeys(FUNCTIONS, "4")


@pytest.mark.soak  # tests/integration/actions/test_lifecycle.py
def test_the_target_quarantined_after_the_approval_is_refused(prod: Platform) -> None:
    prod.story()
    waiting = prod.waiting("--to", "v1.1.0")
    prod.approve(waiting)
    quarantined = prod.rollback("release", "quarantine", "v1.1.0", "--reason", "leaks", as_=DAN)
    assert quarantined.code == 0, str(quarantined)

    run = prod.rollback("apply", waiting.id, as_=ALICE)

    assert run.code == 3, str(run)
    assert "quarantined" in run.err
    assert prod.versions() == dict.fromkeys(FUNCTIONS, "3")


def test_settings_edited_in_the_checkout_cannot_approve_themselves(prod: Platform) -> None:
    prod.story()
    before = prod.everything()
    _ask_for_nobody(prod)

    run = prod.rollback("lambda", "--reason", REASON, as_=ALICE)

    assert run.code == 3, str(run)
    assert "Pulumi.prod.yaml here differ from branch 'main'" in run.err
    assert prod.everything() == before


def test_settings_committed_to_another_branch_cannot_approve_themselves(prod: Platform) -> None:
    prod.story()
    before = prod.everything()
    git(prod.root, "checkout", "-qb", "shortcut")
    _ask_for_nobody(prod)
    git(prod.root, "commit", "-qam", "no approval")

    run = prod.rollback("lambda", "--reason", REASON, as_=ALICE)

    assert run.code == 3, str(run)
    assert prod.everything() == before


def test_a_checkout_without_the_protected_branch_is_refused(prod: Platform) -> None:
    prod.story()
    git(prod.root, "branch", "-m", "main", "elsewhere")

    run = prod.rollback("lambda", "--reason", REASON, as_=ALICE)

    assert run.code == 3, str(run)
    assert "cannot be compared with branch 'main'" in run.err


def test_yes_never_replaces_another_persons_approval(prod: Platform) -> None:
    prod.story()
    before = prod.live()

    run = prod.rollback("lambda", "--yes", "--reason", REASON, "--json", as_=ALICE)

    assert run.code == 10, str(run)
    assert run.json["status"] == "AWAITING_APPROVAL"
    assert prod.live() == before


def test_a_plan_that_was_aborted_can_be_neither_approved_nor_applied(prod: Platform) -> None:
    prod.story()
    waiting = prod.waiting()
    prod.rollback("abort", waiting.id, as_=ALICE)

    approved, applied = prod.approve(waiting), prod.rollback("apply", waiting.id, as_=ALICE)

    assert (approved.code, applied.code) == (3, 3), f"{approved}\n{applied}"
    assert "ABORTED" in applied.screen


@pytest.mark.soak  # tests/integration/actions/test_lifecycle.py applies an approved plan once
def test_an_applied_plan_is_not_applied_twice(prod: Platform) -> None:
    prod.story()
    waiting = prod.waiting()
    prod.approve(waiting)
    prod.rollback("apply", waiting.id, as_=ALICE)
    before = prod.everything()

    run = prod.rollback("apply", waiting.id, as_=ALICE)

    assert run.code == 3, str(run)
    assert prod.everything() == before


def test_an_approver_reads_the_plan_before_approving_it(prod: Platform) -> None:
    prod.story()
    waiting = prod.waiting()

    shown = prod.rollback("show", waiting.id, as_=BOB)

    assert shown.code == 0, str(shown)
    assert waiting.json["digest"] in shown.screen
    assert "v1.2.0 → v1.1.0" in shown.screen


def test_a_drill_in_production_is_refused_unless_it_only_plans(prod: Platform) -> None:
    prod.story()
    before = prod.everything()["aliases"]

    refused = prod.rollback("drill", "--scenario", "code", as_=ALICE)
    planned = prod.rollback("drill", "--scenario", "code", "--read-only", "--json", as_=ALICE)

    assert refused.code == 3, str(refused)
    assert "prod" in refused.err
    assert planned.code == 0, str(planned)
    (drill,) = planned.json
    assert (drill["read_only"], drill["status"], drill["rollbacks"]) == (True, "PASSED", [])
    assert prod.everything()["aliases"] == before
    assert r"never \(planned" in prod.rollback("drill", "--report", "--markdown", as_=ALICE).out


def _ask_for_nobody(prod: Platform) -> None:
    path = prod.root / "Pulumi.prod.yaml"
    stack = yaml.safe_load(path.read_text())
    stack["config"]["rollback:approval"]["aliases"] = "none"
    path.write_text(yaml.safe_dump(stack, sort_keys=False))


def _rewrite_approval(prod: Platform, identifier: str, **fields: str) -> None:
    """What no role of ours can do: changes an approval that was given."""
    given = next(item for item in prod.items() if item["PK"] == f"APPROVAL#{identifier}")
    prod.root_client("dynamodb").update_item(
        TableName=prod.settings.names.deployments_table,
        Key={"PK": {"S": given["PK"]}, "SK": {"S": given["SK"]}},
        UpdateExpression="SET " + ", ".join(f"{name} = :{name}" for name in fields),
        ExpressionAttributeValues={f":{name}": {"S": value} for name, value in fields.items()},
    )


def _put(prod: Platform, person: Person, item: dict[str, dict[str, str]]) -> str:
    client = prod.client("dynamodb", person)
    try:
        client.put_item(TableName=prod.settings.names.deployments_table, Item=item)
    except client.exceptions.ClientError as error:
        return str(error.response["Error"]["Code"])
    return "written"


def test_a_command_that_waits_for_approval_goes_on_by_itself(prod: Platform) -> None:
    prod.story()
    running = prod.start("lambda", "--reason", REASON, "--wait", "5m", "--json", as_=ALICE)
    waiting = _waited_for(prod, running)

    approved = prod.rollback("approve", waiting["rollback_id"], "--digest", waiting["digest"], as_=BOB)
    run = running.finish()

    assert approved.code == 0, str(approved)
    assert run.code == 0, str(run)
    assert (run.json["rollback_id"], run.json["status"]) == (waiting["rollback_id"], "COMPLETE")
    assert run.json["approved_by"]["person"] == BOB.name


def test_who_ceases_to_wait_has_changed_nothing_and_may_go_on_later(prod: Platform) -> None:
    prod.story()
    running = prod.start("lambda", "--reason", REASON, "--wait", "5m", as_=ALICE)
    waiting = _waited_for(prod, running)

    running.interrupt()
    run = running.finish()
    approved = prod.rollback("approve", waiting["rollback_id"], "--digest", waiting["digest"], as_=BOB)
    applied = prod.rollback("apply", waiting["rollback_id"], "--wait", "1m", "--json", as_=ALICE)

    assert run.code == 10, str(run)
    assert f"rollback apply {waiting['rollback_id']} --env prod" in run.err
    assert approved.code == 0, str(approved)
    assert (applied.code, applied.json["status"]) == (0, "COMPLETE"), str(applied)


def _waited_for(platform: Platform, running: Running) -> dict[str, Any]:
    """The record whose approval the command waits for."""
    running.wait_for("Waiting for the approval of ")
    found = platform.rollback("history", "--kind", "aliases", "--json", as_=ALICE).json
    return dict(found[0])
