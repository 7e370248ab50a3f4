"""What is deployed is a version, or explicitly unknown; the ledger stores unknown as an empty text."""

from __future__ import annotations

from rollback.model.deployed import UNKNOWN, known, read, stored
from rollback.model.release import STACK, Timeline
from tests.doubles.records import a_plan


def test_unknown_is_stored_as_an_empty_text_and_read_again() -> None:
    deployed = {"teams": "v1", "roles": UNKNOWN}

    assert stored(deployed) == {"teams": "v1", "roles": ""}
    assert {service: read(version) for service, version in stored(deployed).items()} == deployed
    assert known(deployed) == {"teams": "v1"}
    assert str(UNKNOWN) == "unknown", "the word that the parameter of Terraform's commit says"


def test_nothing_recorded_is_unknown() -> None:
    assert Timeline(iter(())).deployed(STACK) is UNKNOWN


def test_a_plan_that_does_not_know_what_it_leaves_reports_it() -> None:
    plan = a_plan(targets={"teams": "v1", "roles": "v1"}, leaves={"teams": "v2", "roles": ""})

    assert plan.left(undone=True) == {"teams": "v2", "roles": UNKNOWN}
    assert plan.left(undone=False) == {"teams": "v1", "roles": "v1"}
