"""The promises, each through the console script and under the role that the verb is for."""

from __future__ import annotations

from estate_under_test import ALICE, DAN, FUNCTIONS, REASON, Platform

RECORD_FIELDS = {
    "rollback_id", "kind", "environment", "from_version", "to_version", "services", "except", "reason",
    "initiated_by", "initiated_at", "completed_at", "status", "digest", "approved_by", "counts", "functions",
    "infrastructure", "verification", "rto_seconds", "elapsed_seconds", "waited_seconds",
}  # fmt: skip


def test_the_previous_release_is_put_back_verified_and_recorded(dev: Platform) -> None:
    dev.story()

    run = dev.rollback("lambda", "--reason", REASON, "--json", as_=ALICE)

    assert run.code == 0, run
    assert dev.versions() == dict.fromkeys(FUNCTIONS, "2")
    assert dev.deployed() == "v1.1.0"
    record = run.json
    assert set(record) >= RECORD_FIELDS
    assert record["status"] == "COMPLETE"
    assert (record["from_version"], record["to_version"]) == ("v1.2.0", "v1.1.0")
    assert record["initiated_by"] == {"role": "bbws-access-dev-rollback-role", "person": "alice"}
    assert record["counts"] == {"planned": 6, "moved": 6, "confirmed": 0, "failed": 0, "reverted": 0}
    assert {item["outcome"] for item in record["functions"]} == {"moved"}
    assert {(item["from"], item["to"]) for item in record["functions"]} == {("3", "2")}
    assert [item["ok"] for item in record["verification"]] == [True, True]
    assert record["elapsed_seconds"] <= record["rto_seconds"] == 300
    assert record["approved_by"] is None
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
