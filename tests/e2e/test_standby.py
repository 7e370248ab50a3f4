"""A way back on standby, by the console script, under the roles of docs/reference/permissions.md."""

from __future__ import annotations

from tests.e2e.estate_under_test import ALICE, FUNCTIONS, REASON, Platform


def test_in_prod_it_is_prepared_by_who_deploys_approved_once_and_taken_by_who_is_on_call(
    prod: Platform,
) -> None:
    prod.story()
    prod.deploy("v1.3.0")

    recorded = prod.record("v1.3.0", "--standby", "45m")
    standby = recorded.json["standby"]
    waiting = prod.rollback("status", "--json", as_=ALICE)
    early = prod.rollback("standby", "take", "--reason", REASON, "--json", as_=ALICE)
    before = set(prod.versions().values())
    again = prod.rollback("standby", "prepare", "--for", "45m", "--json", as_=ALICE)
    approved = prod.approve(again)
    calm = prod.rollback("status", "--json", as_=ALICE)
    taken = prod.rollback("standby", "take", "--reason", REASON, "--json", as_=ALICE)
    twice = prod.rollback("standby", "take", "--reason", REASON, "--json", as_=ALICE)
    shown = prod.show(taken.id)
    audit = prod.rollback("audit", as_=ALICE)

    assert recorded.code == 0, str(recorded)
    assert (standby["status"], standby["to_version"]) == ("STANDBY", "v1.2.0")
    assert standby["standby_until"] > standby["initiated_at"]
    assert (again.code, again.id) == (10, standby["rollback_id"]), str(again)
    assert [each["state"] for each in waiting.json["advice"]] == ["STANDBY"], str(waiting)
    assert (early.code, (early.error or {}).get("code")) == (3, "APPROVAL_MISSING"), str(early)
    assert before == {"4"}
    assert approved.code == 0, str(approved)
    assert [each["state"] for each in calm.json["advice"]] == ["HEALTHY"], str(calm)
    assert calm.json["recovery_options"][0]["command"].startswith("rollback standby take --env prod"), str(
        calm
    )
    assert (taken.code, taken.json["status"]) == (0, "COMPLETE"), str(taken)
    assert set(prod.versions()) == set(FUNCTIONS)
    assert set(prod.versions().values()) == {"3"}
    assert (twice.code, (twice.error or {}).get("code")) == (3, "NO_STANDBY"), str(twice)
    people = [shown[who]["person"] for who in ("initiated_by", "approved_by", "taken_by")]
    assert people == ["dan", "bob", "alice"]
    assert (shown["reason"], shown["chain"]) == (REASON, "whole")
    assert audit.code == 0, str(audit)


def test_where_nothing_can_be_put_on_standby_the_release_is_recorded_all_the_same(dev: Platform) -> None:
    first = dev.record("v1.0.0", "--standby", "45m")
    wrong = dev.record("v1.0.0", "--standby", "a while")
    none = dev.rollback("standby", "take", "--reason", REASON, "--json", as_=ALICE)
    unwatched = dev.rollback("watch", "--version", "v1.0.0", "--json", as_=ALICE)

    assert (first.code, first.json["standby"]["code"]) == (0, "NO_PREVIOUS"), str(first)
    assert first.json["version"] == "v1.0.0"
    assert (wrong.code, (wrong.error or {}).get("code")) == (2, "OPTION_INVALID"), str(wrong)
    assert (none.code, (none.error or {}).get("code")) == (3, "NO_STANDBY"), str(none)
    assert (unwatched.code, (unwatched.error or {}).get("code")) == (2, "NOT_CONFIGURED"), str(unwatched)
