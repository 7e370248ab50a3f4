"""Drills on an account of their own, under the drill role: to the end, in trouble, and killed half-way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.estate_under_test import ALICE, BOB, DORA, FUNCTIONS, Platform
from tests.e2e.test_table import Table, bucket, table  # noqa: F401 - fixtures
from tests.proxy import Proxy

# One function, so that a drill has little to do; its name begins like another service's.
SERVICE = "role_service_admin"


def newest(platform: Platform) -> dict[str, tuple[str, str, str]]:
    """Function → code, handler and description of what is not published yet."""
    client = platform.root_client("lambda")
    found = {tail: client.get_function_configuration(FunctionName=platform.name(tail)) for tail in FUNCTIONS}
    return {tail: (one["CodeSha256"], one["Handler"], one["Description"]) for tail, one in found.items()}


def drilled(platform: Platform, *arguments: str, **how: Any) -> Any:
    """What one drill wrote down; it has to have passed."""
    run = platform.rollback("drill", *arguments, "--json", as_=DORA, **how)
    assert run.code == 0, str(run)
    (drill,) = run.json
    assert (drill["passed"], drill["why"], drill["by"]["person"]) == (True, "", "dora")
    return drill


@pytest.fixture
def good(dev: Platform) -> Platform:
    """dev at its first release."""
    run = dev.record("v1.0.0")
    assert run.code == 0, str(run)
    return dev


def test_a_rollback_that_is_killed_in_a_drill_is_resumed_and_what_was_deployed_is_restored(
    good: Platform,
) -> None:
    before, code = good.live(), newest(good)

    drill = drilled(good, "--scenario", "code", "--fault", "killed", "--services", SERVICE)

    assert (good.live(), newest(good), good.deployed()) == (before, code, "v1.0.0")
    (rollback,) = drill["rollbacks"]
    assert "resumed" in good.event_kinds(rollback)
    assert drill["seconds"] < drill["rto_seconds"]
    quarantined = [item["version"] for item in good.items() if item["SK"].startswith("QUARANTINE#")]
    assert set(quarantined) == {f"drill-{drill['drill_id']}"}, (
        "nobody's previous release is what a drill made bad"
    )
    listed = good.rollback("drill", "--report", "--markdown", as_=ALICE).out.replace("\\", "")
    measured = f"{drill['began_at']} | {drill['seconds']:.1f} s"
    assert f"| code | 5 min | {measured} | yes | killed | dora |" in listed
    assert "| table | 60 min | never |  | – |  |  |" in listed
    (entry,) = good.rollback("history", "--kind", "drill", "--json", as_=ALICE).json
    assert entry["drill_id"] == drill["drill_id"]
    assert good.rollback("audit", "--json", as_=ALICE).code == 0


def test_a_drill_that_died_half_way_is_cleaned_up_by_the_next_one(good: Platform, proxy: Proxy) -> None:
    before, code = good.live(), newest(good)
    arguments = ("drill", "--scenario", "configuration", "--services", SERVICE)
    # The first look is at what stands, the second whether what was made bad is bad.
    held = proxy.hold("Invoke", nth=2)
    running = good.start(*arguments, as_=DORA, endpoint=proxy.endpoint)
    held.wait()
    running.kill()
    held.release()
    assert good.live() != before
    assert newest(good) != code
    status = good.rollback("status", "--json", as_=ALICE).json
    assert status["next"][0] == "rollback drill --env dev --scenario code", status["advice"]

    drill = drilled(good, *arguments[1:])

    assert (good.live(), newest(good)) == (before, code)
    history = good.rollback("history", "--kind", "drill", "--json", as_=ALICE).json
    assert [(one["status"], one["why"]) for one in history] == [("PASSED", ""), ("FAILED", "interrupted")]
    assert history[0]["drill_id"] == drill["drill_id"]


def test_an_item_that_was_written_over_is_restored_and_copied_back(
    table: Table,  # noqa: F811 - the fixture
    tmp_path: Any,
) -> None:
    dev = table.platform
    assert dev.record("v1.0.0").code == 0
    table.proxy.forget()
    table.put("alice", role={"S": "admin"})
    actor = dev.variables(BOB)
    profile = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
    file = tmp_path / "credentials"
    file.write_text("\n".join(["[bob]", *(f"{name.lower()} = {actor[name]}" for name in profile)]))
    file.chmod(0o600)
    extra = {"AWS_SHARED_CREDENTIALS_FILE": str(file)}

    alone = dev.rollback("drill", "--scenario", "table", as_=DORA)
    drill = drilled(dev, "--scenario", "table", "--approver-profile", "bob", extra=extra)

    assert alone.code == 2
    assert "needs another person's approval" in alone.err
    assert table.items(table.name) == {"alice": {"role": {"S": "admin"}}}
    tables = table.root.list_tables()["TableNames"]
    assert not [name for name in tables if "-restore-" in name], "what was restored goes with the drill"
    assert [dev.show(name)["approved_by"]["person"] for name in drill["rollbacks"]] == ["bob", "bob"]


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda dev: dev.move("team-service-get", "$LATEST"), "is not as recorded"),
        pytest.param(
            lambda dev: dev.configure(smoke=["sh", "-c", "exit 1"]), "fails already", marks=pytest.mark.soak
        ),
        pytest.param(
            lambda dev: dev.rollback("freeze", "--reason", "an audit", as_=ALICE),
            "is frozen",
            marks=pytest.mark.soak,
        ),
    ],
)
def test_where_something_is_wrong_already_nothing_is_made_bad(
    good: Platform, spoil: Callable[[Platform], object], why: str
) -> None:
    spoil(good)
    before = newest(good)

    run = good.rollback("drill", "--scenario", "code", as_=DORA)

    assert run.code == 3, str(run)
    assert why in run.err
    assert newest(good) == before
