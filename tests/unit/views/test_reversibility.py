"""What `rollback can` found, as a person sees it."""

from __future__ import annotations

import io

from rich.console import Console

from rollback.readiness.rules import CheckAnswer, Judgement, Verdict
from rollback.readiness.view import markdown, view

FOUND = Verdict(
    environment="dev",
    commit="a" * 40,
    subject="",
    findings=(
        Judgement(
            check="functions",
            answer=CheckAnswer.NO,
            why="nothing is recorded",
            next="rollback release list --env dev\nrollback release adopt --version V --env dev",
        ),
    ),
)


def test_each_command_to_type_next_has_a_line_of_its_own() -> None:
    output = io.StringIO()
    Console(file=output, width=120).print(view(FOUND))

    lines = [line.strip() for line in output.getvalue().splitlines()]
    assert "next: rollback release list --env dev" in lines
    assert "rollback release adopt --version V --env dev" in lines


def test_in_markdown_each_command_is_code_of_its_own() -> None:
    row = next(line for line in markdown(FOUND).splitlines() if "functions" in line)

    assert "`rollback release list --env dev`" in row
    assert "`rollback release adopt --version V --env dev`" in row
