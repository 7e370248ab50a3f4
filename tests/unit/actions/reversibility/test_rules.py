"""Whether a change could be taken back, judged from what was found out."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rich.console import Console

from rollback.aws.point_in_time import Window
from rollback.engines.hcl import UnreadableHcl
from rollback.engines.pulumi.preview_events import PreviewStep
from rollback.model.resource_changes import CREATE, DELETE, REPLACE, SAME, UPDATE, ResourceChange
from rollback.readiness import github_environments, resource_rules, rules
from rollback.readiness import view as reversibility
from rollback.readiness.github_environments import Gate
from rollback.readiness.resource_rules import JudgedResource, judged
from rollback.readiness.rules import CheckAnswer, Judgement, Verdict
from tests.doubles.world import settings

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
TABLE = "aws:dynamodb/table:Table"
KEYS = {
    "hash_key": "PK",
    "range_key": "SK",
    "attributes": [{"name": name, "type": "S"} for name in ("PK", "SK", "AT")],
    "global_secondary_indexes": [{"name": "by-time", "hash_key": "AT"}],
}
GATE = Gate(name="dev-rollback-approval", reviewers=1, prevents_self_review=True, patterns=("main",))


def why(findings: list[Judgement], answer: CheckAnswer = CheckAnswer.NO) -> list[str]:
    return [finding.why for finding in findings if finding.answer is answer]


def reasons(op: str, type_: str = TABLE, **how: Any) -> list[str]:
    return why(judged("stack", [JudgedResource(subject="one", type=type_, op=op, **how)], [], "c" * 40))


@pytest.mark.parametrize("type_", [TABLE, "aws_dynamodb_table", "aws:s3/bucket:Bucket", "aws_kms_key"])
@pytest.mark.parametrize("op", [DELETE, REPLACE])
def test_what_holds_data_is_neither_deleted_nor_replaced(type_: str, op: str) -> None:
    assert reasons(op, type_) == [f"it holds data and would be {op}d: a rollback recreates it empty"]


@pytest.mark.parametrize("op", [DELETE, REPLACE, UPDATE, CREATE])
def test_what_holds_none_may_go_and_come(op: str) -> None:
    assert reasons(op, "aws_lambda_alias") == []


def test_a_kind_that_the_settings_name_holds_data_too() -> None:
    gone = [JudgedResource(subject="one", type="aws_lambda_alias", op=DELETE)]

    assert why(judged("stack", gone, ["lambda_*"], "c" * 40)) != []


def test_what_leaves_the_state_only_comes_back_as_another_one() -> None:
    assert reasons(DELETE, retains=True) == [
        "it would only be removed from the state: a rollback would create another, empty one"
    ]


def test_the_engines_own_protection_is_reported_of_any_kind() -> None:
    assert reasons(DELETE, "aws_lambda_alias", protected=True) == ["it is protected and would be deleted"]


@pytest.mark.parametrize("op", [SAME, UPDATE])
def test_a_protection_that_is_dropped_is_a_reason_though_nothing_else_changes(op: str) -> None:
    assert reasons(op, unprotects=True) == [
        "it would lose its protection, so that the next change could delete it"
    ]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"hash_key": "ID"}, "its key schema would change"),
        ({"range_key": None}, "its key schema would change"),
        ({"attributes": KEYS["attributes"][:2]}, "attribute AT would no longer be defined"),
        (
            {"attributes": [*KEYS["attributes"][:2], {"name": "AT", "type": "N"}]},
            "attribute AT would change its type",
        ),
        ({"global_secondary_indexes": []}, "index by-time would be removed"),
        (
            {"global_secondary_indexes": [{"name": "by-time", "hash_key": "SK"}]},
            "index by-time would change its keys",
        ),
        ({"deletion_protection_enabled": False}, "its deletion protection would be disabled"),
        (
            {"point_in_time_recovery": {"enabled": False}},
            "its point-in-time recovery would be disabled",
        ),
        pytest.param(
            {"ttl": [{"attribute_name": "gone_at", "enabled": True}]},
            "its items would expire by gone_at (time to live)",
            marks=pytest.mark.finding("S11"),
        ),
    ],
)
def test_a_table_is_not_narrowed(changed: Mapping[str, Any], reason: str) -> None:
    guarded = {"deletion_protection_enabled": True, "point_in_time_recovery": {"enabled": True}}
    before = {**KEYS, **guarded}

    assert reasons(UPDATE, before=before, after={**before, **changed}) == [reason]


def test_a_table_may_be_widened() -> None:
    wider = {
        "attributes": [*KEYS["attributes"], {"name": "BY", "type": "S"}],
        "global_secondary_indexes": [*KEYS["global_secondary_indexes"], {"name": "by", "hash_key": "BY"}],
        "tags": {"a": "b"},
    }

    assert reasons(UPDATE, before=KEYS, after={**KEYS, **wider}) == []


def test_what_is_made_and_holds_data_is_reported_and_is_no_reason() -> None:
    made = [JudgedResource(subject="urn", type=TABLE, op=CREATE)]

    found = judged("stack", made, [], "c" * 40)

    assert not any(finding.against for finding in found)
    assert why(found, CheckAnswer.YES) == [
        f"{'c' * 12} would have 1 to create; no resource with data is deleted or replaced"
    ]
    assert why(found, CheckAnswer.NOTE) == [
        "it would be created: a rollback deletes it with all the data it has by then"
    ]


def test_both_engines_spellings_are_read_as_one() -> None:
    index = {"name": "by-time", "hashKey": "AT"}
    old = {
        "hashKey": "PK",
        "attributes": [{"name": "AT", "type": "S"}],
        "globalSecondaryIndexes": [index],
    }
    new = {"hashKey": "PK", "attributes": [], "globalSecondaryIndexes": []}
    (pulumi,) = resource_rules.of_stack([PreviewStep(urn="urn", type=TABLE, op=UPDATE, old=old, new=new)])
    shown = {
        "resource_changes": [
            {
                "address": 'module.m.aws_dynamodb_table.t["a.b"]',
                "change": {
                    "before": {
                        "hash_key": "PK",
                        "attribute": old["attributes"],
                        "global_secondary_index": [{"name": "by-time", "hash_key": "AT"}],
                    },
                    "after": {"hash_key": "PK", "attribute": [], "global_secondary_index": []},
                },
            }
        ]
    }
    change = ResourceChange(urn='module.m.aws_dynamodb_table.t["a.b"]', type="aws_dynamodb_table", op=UPDATE)
    (terraform,) = resource_rules.of_terraform([change], shown, ["aws_dynamodb_table.t"])

    result = why(judged("stack", [pulumi], [], "c" * 40))

    assert result == ["attribute AT would no longer be defined", "index by-time would be removed"]
    assert why(judged("terraform", [replace(terraform, unprotects=False)], [], "c" * 40)) == result
    assert terraform.unprotects, "an instance is protected where its block is"


def test_prevent_destroy_is_read_from_the_text_comments_apart() -> None:
    text = """
    resource "aws_dynamodb_table" "kept" {
      name = "${local.stem}-{odd}" # } not the end
      lifecycle {
        prevent_destroy = true
      }
    }
    resource "aws_dynamodb_table" "open" {
      lifecycle {
        # prevent_destroy = true
        prevent_destroy = false /* prevent_destroy = true */
      }
      description = "prevent_destroy = true"
    }
    # resource "aws_dynamodb_table" "none" {
    resource "aws_s3_bucket" "after_a_text_with_an_open_brace" {
      policy = <<-EOT
        { "not a \"closed string
      EOT
      lifecycle {
        prevent_destroy = true
      }
    }
    """

    assert resource_rules.kept(text) == (
        {
            "aws_dynamodb_table.kept",
            "aws_dynamodb_table.open",
            "aws_s3_bucket.after_a_text_with_an_open_brace",
        },
        {"aws_dynamodb_table.kept", "aws_s3_bucket.after_a_text_with_an_open_brace"},
    )


@pytest.mark.parametrize("part", ['"\\', "/*", '"', 'resource "a" "b" {\n', "{", "resource "])
def test_a_text_that_never_ends_is_given_up_in_no_time(part: str) -> None:
    began = time.process_time()

    with pytest.raises(UnreadableHcl):
        resource_rules.kept(f'resource "a" "b" {{{part * 50_000}')

    assert time.process_time() - began < 5


def test_the_window_of_recovery_has_to_cover_the_rto() -> None:
    def answer(minutes: float | None) -> Judgement:
        earliest = None if minutes is None else NOW - timedelta(minutes=minutes)
        return rules.recovery("t", Window(earliest=earliest, latest=NOW), NOW, 60)

    assert [answer(minutes).answer for minutes in (None, 59, 60, 5000)] == [
        CheckAnswer.NO,
        CheckAnswer.NO,
        CheckAnswer.YES,
        CheckAnswer.YES,
    ]
    assert answer(59).next == "wait until 2026-11-25T12:01:00Z"


def test_somebody_has_to_be_named_who_may_approve() -> None:
    user = "arn:aws:iam::111122223333:user/bob"

    assert rules.approver(settings()).answer is CheckAnswer.NO
    assert "functions and infrastructure" not in rules.approver(settings()).why
    assert "functions and tables" in rules.approver(settings(approval="identity")).why
    assert rules.approver(settings(people={"approvers": [user]})).answer is CheckAnswer.YES
    assert rules.approver(settings(reviewers={"users": [7]})).answer is CheckAnswer.YES


@pytest.mark.parametrize(
    ("gate", "reason"),
    [
        (replace(GATE, declared=False), "it does not exist"),
        (replace(GATE, reviewers=0), "it has no required reviewers"),
        (replace(GATE, prevents_self_review=False), "who starts a run may review it"),
        (replace(GATE, patterns=None), "it is not restricted to main"),
        (replace(GATE, patterns=("main", "release/*", "tag v*")), "it also allows release/*, tag v*"),
        (replace(GATE, patterns=()), "it does not allow main"),
    ],
)
def test_an_environment_on_github_lets_nobody_past(gate: Gate, reason: str) -> None:
    assert github_environments.judged(GATE, "main", reviewed=True).answer is CheckAnswer.YES
    assert (
        github_environments.judged(replace(GATE, patterns=(), any_protected=True), "main", reviewed=True).mark
        == "✓"
    )

    found = github_environments.judged(gate, "main", reviewed=True)

    assert (found.mark, reason in found.why) == ("✗", True), found


def test_reviewers_are_asked_for_only_where_a_review_is() -> None:
    alone = replace(GATE, reviewers=0, prevents_self_review=False)

    assert github_environments.judged(alone, "main", reviewed=False).answer is CheckAnswer.YES


def test_what_could_not_be_asked_is_no_yes_unless_it_is_declared_not_to_count() -> None:
    unknown = rules.unasked("github", "no\ntoken", counts=True)

    assert (unknown.mark, unknown.explanation, unknown.against) == ("✗", "not known: no token", True)
    assert replace(unknown, counts=False).mark == "–"
    assert not replace(unknown, counts=False).against


def test_what_is_reported_is_escaped_and_each_way_out_is_reported_once() -> None:
    bad = "<b>[x](http://y) | `z`"
    findings = tuple(
        Judgement(
            check="functions", subject=f"f{number}`|", answer=CheckAnswer.NO, why=bad, next="do `this` | that"
        )
        for number in (1, 2)
    )
    verdict = Verdict(environment="dev", commit="c" * 40, subject=f"{bad}\x1b[31m", findings=findings)
    console = Console(width=60)

    with console.capture() as shown:
        console.print(reversibility.view(verdict), crop=False)
    page = reversibility.markdown(verdict)

    assert shown.get().count("  next: do `this` | that") == 1
    assert max(map(len, shown.get().splitlines())) <= 60
    assert "\x1b" not in shown.get()
    assert "<b>" not in page.replace(r"\<b\>", "")
    assert r"\[x\]\(http" in page
    assert [line.count(" | ") for line in page.splitlines() if line.startswith("| ✗")] == [3]
    assert reversibility.document(verdict)["reversible"] is False
