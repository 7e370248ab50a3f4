"""One document on standard output, whatever a verb has to say: its result, how it ended, and what to type next."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rollback.util.errors import AwaitingApproval, Code, Refused
from rollback.views.json_output import SCHEMA_VERSION, commands
from rollback.views.terminal import Terminal
from tests import outputs

FROZEN = Refused(
    "dev is frozen.", code=Code.FROZEN, next='rollback unfreeze --env dev --reason "…"  # or ask bob'
)


def written(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


@pytest.mark.finding("U12")
def test_an_error_is_the_document_where_there_is_no_other(capsys: pytest.CaptureFixture[str]) -> None:
    Terminal(json_output=True).error(FROZEN)

    both = capsys.readouterr()
    document = json.loads(both.out)
    outputs.fits("freeze", document)
    assert document["error"] == json.loads(both.err.splitlines()[-1])
    assert (document["error"]["code"], document["error"]["exit_code"]) == ("FROZEN", 3)
    assert document["next"] == document["error"]["next"] == ['rollback unfreeze --env dev --reason "…"']
    assert document["error"]["hint"].endswith("# or ask bob")


def test_an_error_after_a_result_is_in_the_same_document(capsys: pytest.CaptureFixture[str]) -> None:
    terminal = Terminal(json_output=True)

    terminal.show("", {"rollback_id": "01K", "status": "AWAITING_APPROVAL"})
    terminal.error(AwaitingApproval("bob has to approve.", next="rollback approve 01K --digest d"))

    document = written(capsys)
    assert (document["rollback_id"], document["error"]["code"]) == ("01K", "AWAITING_APPROVAL")
    assert document["next"] == ["rollback approve 01K --digest d"]
    assert document["schema_version"] == SCHEMA_VERSION


def test_what_is_said_to_type_next_is_in_the_document_before_and_after_the_result(
    capsys: pytest.CaptureFixture[str],
) -> None:
    terminal = Terminal(json_output=True)

    terminal.next("rollback standby take --env dev  # in seconds")
    terminal.show("", {"environment": "dev"})
    terminal.next("rollback status --env dev\nand then wait")
    terminal.end()

    document = written(capsys)
    assert document["next"] == ["rollback standby take --env dev", "rollback status --env dev"]
    assert "error" not in document


def test_a_list_stays_a_list_of_rows_also_where_it_ends_with_an_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    terminal = Terminal(json_output=True)

    terminal.show("", [{"kind": "release"}])
    terminal.error(FROZEN)

    both = capsys.readouterr()
    assert json.loads(both.out) == [{"schema_version": SCHEMA_VERSION, "kind": "release"}]
    assert json.loads(both.err.splitlines()[-1])["code"] == "FROZEN"


def test_for_people_nothing_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    terminal = Terminal()

    terminal.show("a view", {"environment": "dev"})
    terminal.end()

    assert capsys.readouterr().out == "a view\n"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("rollback status --env dev", ["rollback status --env dev"]),
        (
            "AWS_PROFILE=a rollback status\npulumi up --stack dev  # which declares it",
            ["AWS_PROFILE=a rollback status", "pulumi up --stack dev"],
        ),
        ("Log in, or set AWS_PROFILE.", []),
        ("--services all, or --services a,b", []),
        ("", []),
    ],
)
def test_next_is_commands_alone(text: str, found: list[str]) -> None:
    assert commands(text) == found
