"""The night on which the ledger is gone: under the break-glass role, with its policies evaluated."""

from __future__ import annotations

import contextlib
import os
import pty
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localaws import estate
from tests.e2e.estate_under_test import ALICE, DAN, FUNCTIONS, OLGA, SCRIPT, Platform, Run
from tests.proxy import Proxy

OLD, BAD = "v1.0.0", "v1.1.0"
CANARY = "role-service-get"


def released(platform: Platform) -> None:
    """v1.0.0 and v1.1.0, which is bad, are recorded by the command: the archive has them."""
    recorded = platform.record(OLD)
    assert recorded.code == 0, str(recorded)
    platform.release(BAD, broken=["team_service"])


def ledger(platform: Platform) -> dict[str, Any]:
    return {"TableName": platform.settings.names.deployments_table}


def emergency(platform: Platform, *arguments: str, **how: Any) -> Run:
    return platform.rollback(
        "lambda", "--emergency", "--reason", "the ledger is gone", "--json", *arguments, as_=OLGA, **how
    )


def answers(platform: Platform) -> set[str]:
    """What the functions themselves say that they are."""
    client = platform.root_client("lambda")
    answers_now = [estate.invoke(client, platform.name(tail), platform.settings.alias) for tail in FUNCTIONS]
    return {answer.payload["version"] if answer.ok else "raises" for answer in answers_now}


def journals(platform: Platform) -> set[Path]:
    return set(Path(platform.folder, ".local", "state", "rollback").glob("emergency-dev-*.jsonl"))


def on_a_terminal(platform: Platform, text: str) -> int:
    """Past the guard that the ledger answers, typing `text`; the exit code."""
    ours, others = pty.openpty()
    process = subprocess.Popen(
        [str(SCRIPT), "lambda", "--emergency", "--although-the-ledger-answers", "--reason", "it lies",
         "--env", "dev"],
        cwd=platform.root,
        env=platform.variables(OLGA) | {"TERM": "xterm"},
        stdin=others,
        stdout=others,
        stderr=others,
        start_new_session=True,
    )  # fmt: skip
    os.close(others)
    os.write(ours, f"{text}\n".encode())
    with contextlib.suppress(OSError):  # the other end is closed
        while os.read(ours, 65536):
            pass
    os.close(ours)
    return process.wait(60)


def test_a_night_without_a_ledger_from_the_first_look_to_the_morning_after(
    dev: Platform, proxy: Proxy
) -> None:
    released(dev)
    dev.move(CANARY, "2", {"1": 0.25})
    dynamodb = dev.root_client("dynamodb")

    first = while_it_answers(dev)
    dynamodb.delete_table(**ledger(dev))
    every_verb_names_the_next_command(dev)
    identifier = killed_in_the_middle_and_gone_on_with(dev, proxy)
    (journal,) = journals(dev) - {first}
    dynamodb.create_table(**dev.table)
    a_new_table_is_recognised_and_mended(dev, journal)
    advised, *_ = dev.rollback("status", "--json", as_=ALICE).json["next"]
    imported = dev.rollback("ledger", "import", str(journal), "--json", as_=ALICE)

    assert advised == f"rollback ledger import {journal} --env dev"
    assert imported.code == 0, str(imported)
    assert imported.id == identifier
    status = dev.rollback("status", "--json", as_=ALICE)
    assert status.json["deployed"] == dev.deployed() == OLD
    document = [line.split()[1].rstrip(":") for line in status.json["emergencies"]]
    assert document == [first.stem.rpartition("-")[2], identifier], (
        "one on this machine only, one in the ledger"
    )
    assert "EMERGENCY" in dev.rollback("history", as_=ALICE).screen
    shown = dev.show(identifier)
    assert (shown["status"], shown["emergency"], shown["chain"]) == ("COMPLETE", True, "whole")
    assert shown["initiated_by"]["person"] == "olga"
    audited = dev.rollback("audit", as_=ALICE)
    assert audited.code == 0, str(audited)


def while_it_answers(dev: Platform) -> Path:
    """There is no emergency, unless it is said twice; that one is undone. Returns its journal."""
    refused = emergency(dev)
    assert refused.code == 3, str(refused)
    assert "NO_EMERGENCY" in refused.err
    unsaid = emergency(dev, "--although-the-ledger-answers")
    assert unsaid.code == 3, "a second word takes a terminal"
    assert dev.versions() == dict.fromkeys(FUNCTIONS, "2")

    before = dev.live()
    assert on_a_terminal(dev, "prod") == 3, "another environment's name"
    assert on_a_terminal(dev, "dev") == 0
    assert dev.live() == dict.fromkeys(FUNCTIONS, ("1", {}))
    (journal,) = journals(dev)
    undone = emergency(dev, "--undo", str(journal))
    assert undone.code == 0, str(undone)
    assert (undone.json["status"], dev.live()) == ("REVERTED", before)
    return journal


def every_verb_names_the_next_command(dev: Platform) -> None:
    for arguments in (["status"], ["lambda", "--reason", "it is bad"]):
        lost = dev.rollback(*arguments, as_=ALICE)
        assert lost.code == 1, str(lost)
        assert "does not exist" in lost.err
        assert "rollback lambda --emergency --env dev" in lost.err


def killed_in_the_middle_and_gone_on_with(dev: Platform, proxy: Proxy) -> str:
    """The functions answer with the old release afterwards. Returns the emergency's id."""
    known = journals(dev)
    held = proxy.hold("UpdateAlias", nth=3)
    running = dev.start(
        "lambda", "--emergency", "--reason", "the ledger is gone", as_=OLGA, endpoint=proxy.endpoint
    )
    held.wait(3)
    assert running.kill().code == -signal.SIGKILL
    held.release(forward=False)
    (journal,) = journals(dev) - known

    done = emergency(dev, "--resume", str(journal))

    assert done.code == 0, str(done)
    assert "EMERGENCY" in done.screen
    assert (done.json["status"], done.json["emergency"], done.json["imported"]) == ("COMPLETE", True, False)
    assert dev.live() == dict.fromkeys(FUNCTIONS, ("1", {}))
    assert answers(dev) == {OLD}
    return done.id


def a_new_table_is_recognised_and_mended(dev: Platform, journal: Path) -> None:
    empty = dev.rollback("lambda", "--reason", "again", as_=ALICE)
    assert empty.code == 3, str(empty)
    assert "new and empty" in empty.screen

    repaired = dev.rollback("ledger", "mend", "--reason", "the table is back", "--json", as_=DAN)

    assert repaired.code == 0, str(repaired)
    assert repaired.json["entries"] == 2
    reminded = dev.rollback("status", as_=ALICE)
    assert reminded.code == 0, str(reminded)
    assert f"rollback ledger import {journal} --env dev" in reminded.screen


def test_the_break_glass_role_moves_aliases_and_writes_nothing_else(dev: Platform) -> None:
    table, names = ledger(dev), dev.settings.names
    key = {"PK": {"S": "RELEASE#dev"}, "SK": {"S": "SEQ#0000000001"}}
    dynamodb, s3 = dev.client("dynamodb", OLGA), dev.client("s3", OLGA)

    assert "Item" not in dynamodb.get_item(**table, Key=key)
    assert dynamodb.describe_table(**table)["Table"]["TableStatus"] == "ACTIVE"
    for forbidden in (
        lambda: dynamodb.put_item(**table, Item=key),
        lambda: dynamodb.get_item(**table, Key={"PK": {"S": "APPROVAL#x"}, "SK": {"S": "x"}}),
        lambda: dynamodb.delete_table(**table),
        lambda: s3.put_object(Bucket=names.audit_bucket(dev.settings.account), Key="releases/x", Body=b""),
        lambda: dev.client("ssm", OLGA).put_parameter(
            Name=names.deployed_version, Value="x", Type="String", Overwrite=True
        ),
        lambda: dev.client("lambda", OLGA).publish_version(FunctionName=dev.name(CANARY)),
    ):
        with pytest.raises(ClientError) as raised:
            forbidden()
        assert raised.value.response["Error"]["Code"] in ("AccessDenied", "AccessDeniedException")


def test_nobody_but_the_break_glass_role_acts_in_an_emergency(dev: Platform) -> None:
    run = dev.rollback("lambda", "--emergency", "--reason", "it is late", as_=ALICE)

    assert run.code == 3, str(run)
    assert "[WRONG_ROLE]" in run.err


def test_options_of_an_emergency_are_refused_without_one(dev: Platform) -> None:
    run = dev.rollback("lambda", "--undo", "x", "--reason", "it is late", as_=ALICE)

    assert run.code == 2, str(run)
    assert "--undo is for --emergency only" in run.err
