"""A release that must not be rolled back past, through the console script: refused, listed, and the exception to it."""

from __future__ import annotations

from tests.e2e.estate_under_test import ALICE, FUNCTIONS, REASON, Platform


def test_nothing_goes_below_but_by_an_exception_that_another_person_approves(dev: Platform) -> None:
    dev.configure(people={"approvers": [f"arn:aws:iam::{dev.settings.account}:user/bob"]})
    dev.story()
    dev.deploy("v1.3.0")
    recorded = dev.record("v1.3.0", "--not-below", "v1.3.0")
    before = dev.everything()

    refused = dev.rollback("lambda", "--reason", REASON, "--json", as_=ALICE)
    named = dev.rollback("lambda", "--to", "v1.1.0", "--dry-run", "--reason", REASON, "--json", as_=ALICE)
    full = dev.rollback("full", "--to", "v1.2.0", "--dry-run", "--reason", REASON, "--json", as_=ALICE)
    can = dev.rollback("can", "--json", as_=ALICE)
    status = dev.rollback("status", "--json", as_=ALICE)
    listed = dev.rollback("release", "list", "--json", as_=ALICE)
    unchanged = dev.everything()
    waiting = dev.waiting("--to", "v1.2.0", "--allow-below")
    alone = dev.rollback("apply", waiting.id, "--digest", waiting.json["digest"], "--json", as_=ALICE)
    approved = dev.approve(waiting)
    done = dev.rollback("apply", waiting.id, "--json", as_=ALICE)
    audit = dev.rollback("audit", as_=ALICE)

    assert recorded.json["not_below"] == "v1.3.0"
    assert [run.code for run in (refused, named, full)] == [3, 3, 3], str(refused)
    errors = [run.error or {} for run in (refused, named, full)]
    assert [error.get("code") for error in errors] == ["BELOW_FLOOR"] * 3, f"{refused}\n{named}\n{full}"
    assert all("--allow-below" in "\n".join(error["next"]) for error in errors)
    assert can.code == 3
    assert any(
        "--not-below v1.3.0" in one["why"] for one in can.json["findings"] if one["check"] == "functions"
    )
    assert {one["previous"] for one in status.json["services"]} == {None}
    assert status.json["next"] == []
    assert next(one for one in listed.json if one["version"] == "v1.3.0")["not_below"] == "v1.3.0"
    assert unchanged == before
    assert (alone.code, approved.code, done.code) == (3, 0, 0), f"{alone}\n{approved}\n{done}"
    assert "v1.3.0 was recorded with --not-below v1.3.0" in done.json["below"]
    assert done.json["approved_by"]["person"] == "bob"
    assert set(dev.versions().values()) == {"3"}
    assert set(dev.versions()) == set(FUNCTIONS)
    assert audit.code == 0, str(audit)
