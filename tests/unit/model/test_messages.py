"""What is said of many, and of a plan that is another one now: by names and versions, each sentence once."""

from __future__ import annotations

from typing import Any

import pytest
from rich.console import Console

from rollback.aws.functions import all_at
from rollback.model.alias_moves import Move
from rollback.model.messages import changed, outdated, refuse
from rollback.model.plan import Refusal
from rollback.readiness.rules import CheckAnswer, Judgement, Verdict
from rollback.readiness.view import document, markdown, view
from rollback.util.errors import Code, Refused
from tests.coded import coded
from tests.doubles.records import a_plan, a_record


def move(name: str, start: str = "4", to: str = "3", **more: Any) -> Move:
    fields: dict[str, Any] = {"service": "teams", "code_sha256": "x", "revision_id": "r1"}
    return Move(function=name, from_version=start, to_version=to, **fields | more)


@pytest.mark.parametrize(
    ("then", "now", "words"),
    [
        ((move("a"),), (move("a", "5"),), "a was planned as 4 → 3, but is now 5 → 3"),
        (
            (move("a"),),
            (move("a", weights={"2": 0.25}),),
            "a was planned as 4 → 3, but is now 4 (25% to version 2) → 3",
        ),
        ((move("a"),), (move("a", revision_id="r2"),), "a has changed since it was planned"),
        ((move("a"), move("b")), (move("a"),), "b is no longer in the plan"),
        ((move("a"),), (move("a"), move("b")), "b is now 4 → 3, but was not planned"),
    ],
)
def test_a_changed_plan_names_each_function_from_and_to_which_version(
    then: tuple[Move, ...], now: tuple[Move, ...], words: str
) -> None:
    assert changed(a_plan(*then), a_plan(*now)) == words


def test_of_many_that_have_changed_the_first_are_named_and_no_digest_is() -> None:
    names = [f"teams-{number:02}" for number in range(42)]
    then, now = (a_plan(*(move(name, start) for name in names)) for start in ("4", "5"))

    error = outdated(a_record(), then, now)

    assert error.what.count("4 → 3") == error.what.count("5 → 3") == 5
    assert error.what.endswith("and 37 more.")
    assert now.digest()[:16] not in error.what


def test_many_refusals_of_one_kind_are_one_line_with_their_number() -> None:
    refusals = [
        Refusal(subject=name, reason="the release has no version of it", remedy=f"--except {name}")
        for name in (f"teams-{number:02}" for number in range(20))
    ]

    with pytest.raises(Refused, check=coded(Code.PLAN_REFUSED)) as refused:
        refuse(refusals)

    (line,) = refused.value.what.splitlines()[1:]
    assert line.startswith("teams-00, teams-01, teams-02 and 17 more: ")
    assert line.count("--except") == 1


def test_what_lifts_the_same_refusal_of_several_is_one_command_for_all_of_them() -> None:
    lift = 'rollback release lift v2 --services teams,roles --env dev --reason "…"'
    refusals = [Refusal(subject=name, reason="v2 is quarantined", remedy=lift) for name in ("teams", "roles")]

    with pytest.raises(Refused, check=coded(Code.PLAN_REFUSED)) as refused:
        refuse(refusals)

    assert refused.value.what.splitlines()[1:] == [f"teams, roles: v2 is quarantined  ({lift})"]


def test_many_aliases_that_differ_are_one_sentence_of_a_check() -> None:
    found = [(f"teams-{number:02}", "no alias 'live'") for number in range(42)]

    check = all_at(found, "are as recorded")

    assert check.detail == (
        "0 of 42 aliases are as recorded; teams-00, teams-01, teams-02 and 39 more: no alias 'live'"
    )


LIST = "rollback release list --env dev"
EMPTY = Verdict(
    environment="dev",
    commit="a" * 40,
    subject="",
    findings=tuple(
        Judgement(check="functions", subject=f"teams-{number:02}", answer=CheckAnswer.NO, why="no", next=LIST)
        for number in range(42)
    ),
)


def test_many_reasons_against_a_change_are_one_and_a_program_gets_each(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Console(width=200).print(view(EMPTY))

    shown = capsys.readouterr().out
    assert "teams-00, teams-01, teams-02 and 39 more: no" in shown
    assert shown.count(LIST) == 1
    assert sum("functions" in line for line in markdown(EMPTY).splitlines()) == 1
    assert EMPTY.sentence.endswith("1 reason.")
    assert len(document(EMPTY)["findings"]) == 42
