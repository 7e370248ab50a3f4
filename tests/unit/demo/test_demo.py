"""The demo's own parts: what it makes of the engine's words, what it edits, what it types."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import pytest
from rich.console import Console

from demo.edits import EDITS, Edit
from demo.engine_output import Summary, totals
from demo.screen import left, shortly
from demo.stage import MOST, Act, ClaimError, DemoStage
from localaws.paths import ROOT

UP = """Updating (dev):
 ~  aws:lambda:Alias team-service-get refresh (0.00s)
    pulumi:pulumi:Stack rollback-dev running
@ updating....
 +  aws:iam:Role deployer creating (0s)
 +  aws:iam:Role deployer created (0.09s)
 +  aws:iam:Role rollback creating (0s)
 +  aws:iam:Role rollback created (0.10s)
 ~  aws:lambda:Alias team-service-get updating (0s) [diff: ~description]
 ~  aws:lambda:Alias team-service-get updated (0.01s) [diff: ~description]
    aws:lambda:Alias team-service-list
    pulumi:pulumi:Stack rollback-dev  2 warnings
Diagnostics:
  pulumi:pulumi:Stack (rollback-dev):
    warning: using pulumi-resource-aws from $PATH at /somewhere/pulumi-resource-aws
    warning: a word to the wise

Resources:
    + 2 created
    ~ 1 updated
    1 unchanged

Duration: 3s
"""
FAILED = """ +  aws:iam:Role deployer creating (0s) error: AccessDenied
Diagnostics:
  aws:iam:Role (deployer):
    error: AccessDenied: iam:CreateRole
"""


def test_what_changed_is_counted_by_type_and_what_stays_is_left_out() -> None:
    lines = Summary()(UP)

    assert lines == [
        " +    2 aws:iam:Role created",
        " ~    1 aws:lambda:Alias updated [~description]",
        " warning: a word to the wise",
        "Resources:",
        "    + 2 created",
        "    ~ 1 updated",
        "    1 unchanged",
        "Duration: 3s",
    ]


def test_a_warning_is_shown_once() -> None:
    summary = Summary()
    summary(UP)

    assert not [line for line in summary(UP) if "warning" in line]


def test_an_error_is_never_left_out_and_keeps_its_resource() -> None:
    lines = Summary()(FAILED)

    assert "  aws:iam:Role (deployer):" in lines
    assert "    error: AccessDenied: iam:CreateRole" in lines


def test_totals_are_read_from_the_engines_own() -> None:
    assert totals(UP) == {"created": 2, "updated": 1, "unchanged": 1}


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: edit.path)
def test_the_demos_commit_still_fits_the_components(edit: Edit) -> None:
    text = (ROOT / edit.path).read_text(encoding="utf-8")

    assert edit.applied(text) != text


def test_an_edit_that_does_not_fit_any_more_is_named() -> None:
    with pytest.raises(ClaimError, match=r"components/x\.py"):
        Edit(path="components/x.py", old="a", new="b").applied("aa")


def _stage(width: int = 80) -> tuple[DemoStage, io.StringIO]:
    written = io.StringIO()
    console = Console(file=written, width=width, highlight=False, markup=False, emoji=False)
    return DemoStage(console=console, acts=[Act(title="", begun=0.0)]), written


def _print(arguments: str, code: int = 0) -> list[str]:
    return [sys.executable, "-c", f"print({arguments!r}); raise SystemExit({code})"]


def test_a_command_is_shown_with_what_it_prints(tmp_path: Path) -> None:
    stage, written = _stage()

    ran = stage.run(_print("hello"), cwd=tmp_path, env=dict(os.environ))

    assert ran.output == "hello"
    assert written.getvalue().splitlines()[-1] == "hello"


def test_another_exit_code_than_expected_fails_and_hides_nothing(tmp_path: Path) -> None:
    stage, written = _stage()

    with pytest.raises(ClaimError, match="exit code 4, not 0"):
        stage.run(_print("why it failed", 4), cwd=tmp_path, env=dict(os.environ), show=lambda _: [])

    assert "why it failed" in written.getvalue()


def test_a_long_command_is_broken_where_a_shell_takes_it(tmp_path: Path) -> None:
    stage, written = _stage(width=30)

    stage.run(["echo", "a" * 12, "b c", "d" * 12], cwd=tmp_path, env=dict(os.environ))

    assert '$ echo aaaaaaaaaaaa "b c" \\\n    dddddddddddd\n' in written.getvalue()


def test_a_claim_that_does_not_hold_shows_what_was_seen() -> None:
    stage, _ = _stage()

    with pytest.raises(ClaimError, match=r"does not hold: the sky is green.\n  Found instead: blue"):
        stage.prove("The sky is green", holds=False, seen="blue")


def test_what_a_command_writes_over_is_not_left_on_the_screen() -> None:
    progress = (
        "\x1b[?25l\rPlanning 0/2\r\x1b[2KPlanning 2/2\n\x1b[1A\x1b[2K\x1b[32mPlan\x1b[0m  dev\nDigest\n\n"
    )

    assert left(progress) == ["\x1b[32mPlan\x1b[0m  dev", "Digest"]


def test_a_long_output_is_its_first_and_its_last_lines_and_how_many_are_between() -> None:
    lines = [str(number) for number in range(40)]

    assert shortly(lines, 40) == lines
    assert shortly(lines, 10) == [*lines[:4], "  … 31 more lines", *lines[-5:]]


def test_a_chapter_that_nobody_reads_to_its_end_fails_the_demo(tmp_path: Path) -> None:
    stage, written = _stage()
    stage.chapter("Long")
    for _ in range(MOST // 12):
        stage.run(
            [sys.executable, "-c", "print('line\\n' * 40)"],
            cwd=tmp_path,
            env=dict(os.environ),
            show=str.splitlines,
        )

    with pytest.raises(ClaimError, match=str(MOST)):
        stage.close("done")
    assert stage.acts[-1].lines == len(written.getvalue().splitlines())


def test_what_a_command_prints_is_at_most_a_few_lines_of_a_chapter(tmp_path: Path) -> None:
    stage, written = _stage()

    stage.run([sys.executable, "-c", "print('line\\n' * 40)"], cwd=tmp_path, env=dict(os.environ))

    assert "more lines" in written.getvalue()
    assert len(written.getvalue().splitlines()) < 20
