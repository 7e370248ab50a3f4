"""Infrastructure goes back in prod, where another identity has to say yes: a stack, Terraform, everything.

One environment, declared once by the engine; each test has it go bad in its own way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from rollback.config.naming import APPROVER
from tests.e2e.accounts_under_test import Kept
from tests.e2e.estate_under_test import BOB, DAN, FUNCTIONS, Person, Run
from tests.e2e.infrastructure_under_test import GOOD, InfrastructureEstate, declared
from tests.warm import Warm

DAN_APPROVING = Person(role=APPROVER, name="dan")


@pytest.fixture(scope="module")
def prod(
    kept: Callable[[str], Kept], warm: Warm, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[InfrastructureEstate]:
    with declared(kept("prod"), tmp_path_factory.mktemp("prod"), warm) as infrastructure:
        yield infrastructure


@pytest.mark.soak  # test_everything_goes_back_under_one_approval: the stack, too
def test_a_stack_goes_back_once_another_person_has_approved_it(prod: InfrastructureEstate) -> None:
    prod.goes_bad("stack")

    waiting = prod.waiting("stack", "--to", prod.good, "--yes")
    refused = prod.platform.approve(waiting, as_=DAN_APPROVING)
    approved = prod.platform.approve(waiting)
    before = prod.state()
    applied = prod.goes_on("apply", waiting)

    assert refused.code == 3, str(refused)
    assert "dan started it and cannot approve it" in refused.err
    assert approved.code == 0, str(approved)
    assert before == prod.before, "neither a plan nor an approval changes anything"
    was_approved(applied)
    assert prod.is_good("stack")


@pytest.mark.soak  # test_approving.py has an approval expire; test_everything_goes_back_under_one_approval has Terraform roll back under one
def test_terraform_rolls_back_only_while_the_approval_of_another_person_is_valid(
    prod: InfrastructureEstate,
) -> None:
    prod.goes_bad("terraform")
    waiting = prod.waiting("terraform", "--to", prod.good)
    unapproved = prod.goes_on("apply", waiting)
    prod.platform.approve(waiting)
    expire(prod, waiting)

    expired = prod.goes_on("apply", waiting)
    before = prod.state()
    again = prod.platform.approve(waiting)
    applied = prod.goes_on("apply", waiting)

    assert (unapproved.code, expired.code) == (3, 3), f"{unapproved}\n{expired}"
    assert "nobody has approved it" in unapproved.err
    assert "the approval of bob" in expired.err
    assert "expired at" in expired.err
    assert before == prod.before
    assert again.code == 0, str(again)
    was_approved(applied)
    assert prod.is_good("terraform")


def test_everything_goes_back_under_one_approval(prod: InfrastructureEstate) -> None:
    prod.goes_bad("stack", "terraform", "functions")

    waiting = prod.waiting("full", "--to", GOOD)
    shown = prod.platform.rollback("show", waiting.id, as_=BOB)
    refused = prod.platform.approve(waiting, as_=DAN_APPROVING)
    approved = prod.platform.approve(waiting)
    before = prod.state()
    applied = prod.goes_on("apply", waiting)

    assert shown.code == 0, str(shown)
    assert waiting.json["digest"] in shown.screen
    assert refused.code == 3, str(refused)
    assert "dan started it and cannot approve it" in refused.err
    assert approved.code == 0, str(approved)
    assert before == prod.before
    was_approved(applied)
    assert applied.json["infrastructure"]["update"] > 1
    assert prod.state().versions == dict.fromkeys(FUNCTIONS, "1")
    assert prod.platform.deployed() == GOOD
    assert prod.is_good("stack")
    assert prod.is_good("terraform")
    parts = [
        event["data"]["part"]
        for event in prod.platform.show(waiting.id)["events"]
        if event["kind"] == "part done"
    ]
    assert parts == ["aliases", "stack", "terraform"]
    quarantined = prod.platform.rollback("status", "--commit", prod.bad, as_=DAN)
    assert quarantined.code == 3, str(quarantined)
    assert "stack, terraform: " in quarantined.screen


def was_approved(applied: Run) -> None:
    """It was carried out, and the record tells who asked for it and who said yes."""
    assert applied.code == 0, str(applied)
    assert applied.json["status"] == "COMPLETE"
    assert applied.json["initiated_by"] == {"role": "bbws-access-prod-github-actions-role", "person": "dan"}
    assert applied.json["approved_by"] == {"role": "bbws-access-prod-approver-role", "person": "bob"}
    assert applied.json["waited_seconds"] > 0
    assert all(check["ok"] for check in applied.json["verification"])


def expire(prod: InfrastructureEstate, waiting: Run) -> None:
    """What no role of ours can do: an approval that was given ends a minute ago."""
    platform = prod.platform
    given = next(item for item in platform.items() if item["PK"] == f"APPROVAL#{waiting.id}")
    past = (datetime.now(UTC) - timedelta(minutes=1)).isoformat(timespec="milliseconds")
    platform.root_client("dynamodb").update_item(
        TableName=platform.settings.names.deployments_table,
        Key={"PK": {"S": given["PK"]}, "SK": {"S": given["SK"]}},
        UpdateExpression="SET expires_at = :past",
        ExpressionAttributeValues={":past": {"S": past.replace("+00:00", "Z")}},
    )
