"""Calls that an emulator has judged become shapes, and the file that keeps them is known to be out of date."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from localaws.paths import ROOT
from tests import asked
from tests.asked import ALLOWED, DENIED, Call

LEDGER = "arn:aws:dynamodb:eu-west-1:700000000001:table/bbws-access-dev-ddb-deployments"
SHAPE = "arn:aws:dynamodb:<region>:<account>:table/bbws-access-<env>-ddb-deployments"
OTHERWISE = Call("rollback", "dynamodb:Query", SHAPE, ("dynamodb:LeadingKeys=LOCK#<env>",), ALLOWED)
DRILL = Call("drill", "sts:AssumeRole", "*", (), ALLOWED)
READ = Call("rollback", "dynamodb:Query", SHAPE, ("dynamodb:LeadingKeys=ROLLBACK#<ulid>",), ALLOWED)


def line(
    action: str = "dynamodb:Query",
    resource: str = LEDGER,
    *keys: str,
    role: str = "bbws-access-dev-rollback-role",
    decision: str = "Allow",
    sid: str = "",
) -> list[object]:
    conditions = [["dynamodb:LeadingKeys", list(keys)]] if keys else []
    return [role, "700000000001", "eu-west-1", action, resource, conditions, decision, sid]


def shapes(folder: Path, *lines: list[object]) -> set[Call]:
    (folder / "1.jsonl").write_text("".join(f"{json.dumps(one)}\n" for one in lines), encoding="utf-8")
    return asked.shapes(folder)


def test_calls_that_differ_in_what_no_policy_distinguishes_are_one(tmp_path: Path) -> None:
    found = shapes(
        tmp_path,
        line("dynamodb:Query", LEDGER, "ROLLBACK#01KYAAAAAAAAAAAAAAAAAAAAAA"),
        line("dynamodb:Query", LEDGER, "ROLLBACK#01KYBBBBBBBBBBBBBBBBBBBBBB"),
        line("dynamodb:Query", LEDGER, "ROLLBACK#mistyped"),
    )

    assert found == {READ}


@pytest.mark.parametrize(
    ("resource", "shape"),
    [
        ("arn:aws:lambda:eu-west-1:700000000001:function:bbws-access-dev-lambda-role-service-admin-get:12",
         "arn:aws:lambda:<region>:<account>:function:bbws-access-<env>-lambda-<function>:<version>"),
        ("arn:aws:lambda:eu-west-1:700000000001:function:bbws-access-dev-lambda-team-service-get:live",
         "arn:aws:lambda:<region>:<account>:function:bbws-access-<env>-lambda-<function>:live"),
        ("arn:aws:lambda:eu-west-1:700000000001:function:bbws-access-dev-lambda-team-service-get-2",
         "arn:aws:lambda:<region>:<account>:function:bbws-access-<env>-lambda-team-service-get-2"),
        ("arn:aws:lambda:eu-west-1:700000000001:function:bbws-access-prod-lambda-team-service-get",
         "arn:aws:lambda:<region>:<account>:function:bbws-access-prod-lambda-<function>"),
        ("arn:aws:dynamodb:eu-west-1:700000000001:table/bbws-access-dev-ddb-access-management-restore-01KY",
         "arn:aws:dynamodb:<region>:<account>:table/bbws-access-<env>-ddb-access-management-restore-<copy>"),
        ("arn:aws:iam::700000000001:role/bbws-access-dev-restore-role",
         "arn:aws:iam::<account>:role/bbws-access-<env>-restore-role"),
        ("arn:aws:s3:::bbws-access-dev-terraform-state/.pulumi/stacks/rollback/dev.json",
         "arn:aws:s3:::bbws-access-<env>-terraform-state/.pulumi/stacks/rollback/<env>.json"),
    ],
)  # fmt: skip
def test_a_resource_is_shown_as_what_a_policy_sees_of_it(tmp_path: Path, resource: str, shape: str) -> None:
    (call,) = shapes(tmp_path, line("lambda:GetFunction", resource))

    assert call.resource == shape


def test_a_denial_is_kept_with_its_statement_and_one_that_a_test_has_made_is_not(tmp_path: Path) -> None:
    found = shapes(
        tmp_path,
        line("dynamodb:DeleteTable", decision="Deny", sid="KeepLedger"),
        line("dynamodb:Scan", decision="ImplicitDeny"),
        line("lambda:UpdateAlias", decision="Deny"),
        line("dynamodb:GetItem", role="made-by-a-test"),
    )

    assert {(call.action, call.verdict) for call in found} == {
        ("dynamodb:DeleteTable", f"{DENIED} by KeepLedger"),
        ("dynamodb:Scan", DENIED),
    }


def test_what_is_written_is_read_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asked, "FILE", tmp_path / "asked.jsonl")

    asked.write({READ}, asked.FILE)

    assert asked.kept() == {READ}


@pytest.mark.parametrize(
    ("now", "all_ran", "out_of_date"),
    [({READ}, True, None), (set(), True, (["- rollback"], set())), (set(), False, None),
     ({READ, DRILL}, False, (["+ drill"], {READ, DRILL})), ({DRILL}, False, (["+ drill"], {READ, DRILL})),
     ({OTHERWISE}, True, None)],
)  # fmt: skip
def test_the_file_is_out_of_date_where_something_is_new_or_where_all_ran_and_something_is_gone(
    now: set[Call],
    all_ran: bool,
    out_of_date: tuple[list[str], set[Call]] | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(asked, "ROOT", tmp_path)
    monkeypatch.setattr(asked, "FILE", tmp_path / "asked.jsonl")
    monkeypatch.setattr(asked, "RENEWED", tmp_path / "renewed.jsonl")
    asked.write({READ}, asked.FILE)

    message = asked.differences(now, all_ran=all_ran)

    assert asked.RENEWED.exists() == bool(message) == (out_of_date is not None)
    if out_of_date is not None:
        is_told, renewed = out_of_date
        assert [" ".join(one.split()[:2]) for one in message[:-1]] == is_told
        assert message[-1].endswith("cp renewed.jsonl asked.jsonl")
        monkeypatch.setattr(asked, "FILE", asked.RENEWED)
        assert asked.kept() == renewed


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [(["tests/e2e", "tests/unit"], True), (["tests"], True), ([str(ROOT)], True), (["tests/unit"], False),
     (["tests/e2e/test_slack_messages.py"], False), (["tests/e2e/test_slack_messages.py::test_it"], False), ([], False)],
)  # fmt: skip
def test_a_run_is_of_all_end_to_end_tests_if_their_folder_was_asked_for(
    arguments: list[str], answer: bool
) -> None:
    assert asked.whole(arguments, ROOT) is answer
