"""`rollback acceptance` as an administrator types it: facts are tried, and the account is as it was."""

from __future__ import annotations

import signal

import pytest

from tests.e2e.estate_under_test import ADMIN, Platform
from tests.e2e.scratch_under_test import administrator, things

NOT_HERE = {"inactive-version", "stated-quotas"}


def test_facts_are_tried_in_a_sandbox_and_the_account_is_as_it_was(declared: Platform) -> None:
    """On an account whose audit bucket is as a real `pulumi up` declares it."""
    before, ledger = things(declared), declared.items()

    run = declared.rollback("acceptance", "--yes", "--json", as_=ADMIN, extra=administrator(declared))

    # The local account moves an alias to a version that is not there, and says so.
    assert (run.code, run.error and run.error["code"]) == (5, "FACT_DIFFERS"), str(run)
    facts = {one["name"]: one for one in run.json["facts"]}
    outcomes = {name: one["outcome"] for name, one in facts.items()}
    assert {name for name, outcome in outcomes.items() if outcome == "not-tried"} == NOT_HERE
    assert {name for name, outcome in outcomes.items() if outcome == "does-not-hold"} == {"missing-version"}
    assert run.json["counts"] == {"holds": len(facts) - 3, "does-not-hold": 1, "not-tried": 2}
    assert (run.json["endpoint"], run.json["left"]) == (declared.endpoint, [])
    assert (things(declared), declared.items()) == (before, ledger)


def test_nothing_is_made_for_a_dry_run_or_where_nobody_confirms(dev: Platform) -> None:
    before, ada = things(dev), administrator(dev)

    shown = dev.rollback("acceptance", "--dry-run", "--json", as_=ADMIN, extra=ada)
    unconfirmed = dev.rollback("acceptance", "--json", as_=ADMIN, extra=ada)

    assert shown.code == 0, str(shown)
    prefix = f"{dev.settings.names.stem}-acceptance-"
    assert {one["name"].startswith(prefix) for one in shown.json["makes"]} == {True}
    assert {one["kind"] for one in shown.json["makes"]} == {"role", "function", "table", "bucket"}
    assert (unconfirmed.code, unconfirmed.error and unconfirmed.error["code"]) == (3, "CONFIRMATION_MISSING")
    assert things(dev) == before


@pytest.mark.soak  # tests/integration/actions/acceptance/test_run.py asks one to stop
def test_an_interrupted_run_removes_what_it_has_made(dev: Platform) -> None:
    before = things(dev)

    running = dev.start("acceptance", "--yes", "--json", as_=ADMIN, extra=administrator(dev))
    running.wait_for("Creating table")
    running.process.send_signal(signal.SIGTERM)
    run = running.finish()

    # What was found by then is told all the same.
    assert (run.code, run.error and run.error["code"]) == (5, "FACT_DIFFERS"), str(run)
    assert [
        one
        for one in run.json["facts"]
        if one["outcome"] == "not-tried" and one["detail"] == "interrupted before"
    ]
    assert things(dev) == before


@pytest.mark.soak  # tests/integration/actions/acceptance/test_run.py kills one
def test_what_a_killed_run_has_left_is_removed_by_the_next_one(dev: Platform) -> None:
    before, ada = things(dev), administrator(dev)
    running = dev.start("acceptance", "--yes", as_=ADMIN, extra=ada)
    running.wait_for("Creating bucket")
    running.kill()
    left = set(things(dev)) - set(before)

    run = dev.rollback("acceptance", "--yes", "--json", "--older-than", "0", as_=ADMIN, extra=ada)

    assert left
    assert left <= set(run.json["removed"])
    assert things(dev) == before


@pytest.mark.soak  # tests/unit/actions/test_acceptance.py has the document of the same report
def test_a_person_sees_each_fact_with_what_was_measured(dev: Platform) -> None:
    run = dev.rollback("acceptance", "--yes", as_=ADMIN, extra=administrator(dev))

    said = run.out
    assert run.code == 5, str(run)
    assert "✓ stale-revision" in said
    assert "✗ missing-version" in said
    assert "https://docs.aws.amazon.com/lambda/latest/api/API_UpdateAlias.html" in said
    assert "– inactive-version" in said
