"""Errors as they are shown: to a person, and as JSON to a program."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable

import pytest
from rich.console import Console
from rich.table import Table

from demo.screen import left
from rollback.api.events import Notice, Waiting
from rollback.ledger.finding import Finding
from rollback.model.advice import Advice
from rollback.model.situation import State
from rollback.queries.audit import Audited
from rollback.util.errors import (
    AwaitingApproval,
    Cancelled,
    Code,
    Refused,
    RollbackError,
)
from rollback.views.audit import view
from rollback.views.records import advice_view
from rollback.views.rich_layout import hanging, text
from rollback.views.terminal import Terminal
from tests.coded import coded

HELD = "01K is at it and holds the lease on dev/aliases: alice on laptop (pid 7)."


def shown(error: RollbackError, *, width: int = 80) -> list[str]:
    output = io.StringIO()
    terminal = Terminal()
    terminal.console = Console(file=output, markup=False, highlight=False, emoji=False, width=width)
    terminal.error(error)
    return output.getvalue().splitlines()


def test_the_code_is_beside_a_message_that_leaves_room_for_it() -> None:
    error = Refused("dev is frozen.", code=Code.FROZEN, next="rollback unfreeze")

    assert shown(error) == [
        "✗ dev is frozen. [FROZEN]",
        "  Nothing was changed.",
        "  next: rollback unfreeze",
    ]


@pytest.mark.finding("G9")
@pytest.mark.finding("W8")
@pytest.mark.finding("U8")
def test_an_alarm_and_what_an_audit_saw_have_their_lines_and_no_mark_of_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    output = io.StringIO()
    terminal = Terminal(width=100)
    terminal.console = Console(file=output, markup=False, highlight=False, emoji=False, width=100)
    seen = Audited(
        environment="dev",
        entries=3,
        releases=1,
        records=1,
        unfinished=0,
        bars=0,
        approvals=0,
        findings=(Finding(pk="ROLLBACK#1", sk="METADATA", what="it was\x1b[2J changed"),),
        unkept=("timeline/SEQ-1.json",),
    )

    terminal.alarm("The table was restored.\nRelief:\x1b[2J rollback lambda")
    terminal.show(view(seen), {})

    alarm, relief, counted, found, unkept = (
        line.strip(" │")
        for line in (output.getvalue() + capsys.readouterr().out).splitlines()
        if not line.startswith(("╭", "╰"))
    )
    assert (alarm, relief) == ("The table was restored.", "Relief: rollback lambda")
    assert counted.startswith("3 entries of the timeline")
    assert found == "✗ ROLLBACK#1 / METADATA: it was changed"
    assert unkept.endswith("timeline/SEQ-1.json")


@pytest.mark.parametrize("width", [20, 40, 80, 200])
@pytest.mark.parametrize("what", [HELD, f"{HELD} {HELD}", "The plan is refused:\na: b\nc: d", ""])
def test_the_code_does_not_change_how_a_message_is_broken_into_lines(width: int, what: str) -> None:
    lines = shown(Refused(what, code=Code.LEASE_HELD), width=width)

    code = [index for index, line in enumerate(lines) if "[LEASE_HELD]" in line]
    assert len(code) == 1
    without = [line.replace("[LEASE_HELD]", "").rstrip() for line in lines]
    if not without[code[0]].strip():
        del without[code[0]]
    plain = io.StringIO()
    console = Console(file=plain, markup=False, highlight=False, emoji=False, width=width)
    first, *rest = what.split("\n")
    for mark, line in [("✗", first), *((" ", each) for each in rest), (" ", "Nothing was changed.")]:
        console.print(hanging(mark, text(line)))
    assert without == [line.rstrip() for line in plain.getvalue().splitlines()]
    assert max(map(len, lines)) <= width


def test_with_json_an_error_is_one_object_on_the_last_line_of_standard_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    error = AwaitingApproval(
        "é waits\x1b[2J for\nits approval.", next="Another person:\nrollback approve " + "x" * 200
    )
    terminal = Terminal(json_output=True)

    terminal.notice("Planning")
    terminal.error(error)

    out, err = capsys.readouterr()
    assert json.loads(out)["error"] == json.loads(err.splitlines()[-1])
    assert (out + err).isascii()
    assert json.loads(err.splitlines()[-1]) == {
        "code": "AWAITING_APPROVAL",
        "message": "é waits for\nits approval.",
        "changed": "Nothing was changed yet.",
        "next": ["rollback approve " + "x" * 200],
        "hint": "Another person:\nrollback approve " + "x" * 200,
        "exit_code": 10,
    }


def test_with_json_what_was_left_empty_is_empty(capsys: pytest.CaptureFixture[str]) -> None:
    Terminal(json_output=True).error(RollbackError("It failed."))

    assert json.loads(capsys.readouterr().err) == {
        "code": "FAILED",
        "message": "It failed.",
        "changed": "",
        "next": [],
        "hint": "",
        "exit_code": 1,
    }


def test_lines_of_a_table_that_is_piped_end_with_their_text(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table("what", "why", box=None)
    table.add_row("short", "")
    table.add_row("", "a longer one")

    Terminal().show(table, {})

    printed = capsys.readouterr().out
    assert "a longer one" in printed
    assert all(line == line.rstrip() for line in printed.splitlines())


def test_lines_of_an_error_that_is_piped_end_with_their_text(capsys: pytest.CaptureFixture[str]) -> None:
    error = Refused("It is refused.", code=Code.PLAN_REFUSED, next="rollback status --env dev\nDo not wait.")

    Terminal(width=80).error(error)

    assert capsys.readouterr().err.splitlines() == [
        "✗ It is refused. [PLAN_REFUSED]",
        "  Nothing was changed.",
        "  next: rollback status --env dev",
        "        Do not wait.",
    ]


@pytest.mark.parametrize(("is_terminal", "lines"), [(False, 1), (True, 2)])
def test_what_is_logged_has_a_line_each_in_a_file_and_fits_a_terminal(is_terminal: bool, lines: int) -> None:
    output = io.StringIO()
    terminal = Terminal()
    terminal.console = Console(
        file=output, force_terminal=is_terminal, markup=False, highlight=False, emoji=False, width=60
    )

    terminal.detail("dynamodb DescribeTable 200 in 14 ms, request 1f137acf-f136-46e7-acbc-afca0b0e24b1")

    assert len(output.getvalue().splitlines()) == lines


def test_long_work_within_other_work_is_named_where_no_bar_is_shown_and_counted_apart() -> None:
    output = io.StringIO()
    terminal = Terminal()
    terminal.console = Console(file=output, markup=False, highlight=False, emoji=False, width=100)

    terminal.start("Updating", 3)
    terminal.start("Installing the dependencies of commit 0123456789ab", 0)
    named = output.getvalue()
    terminal.finish()
    terminal.progress(2)
    terminal.finish()

    assert "Installing the dependencies of commit 0123456789ab" in named
    updating, installing = output.getvalue().removeprefix(named).splitlines()
    assert "Updating" in updating
    assert "2/3" in updating
    assert "Installing" in installing
    assert re.search(r"\d+:\d\d:\d\d$", installing.rstrip()), "it says how long it took"


def test_what_to_type_next_is_copied_whole_and_what_is_said_of_it_is_broken_between_words() -> None:
    output = io.StringIO()
    terminal = Terminal()
    terminal.console = Console(file=output, markup=False, highlight=False, emoji=False, width=60)
    command = f"rollback approve {'0' * 26} --digest {'f' * 16} --env prod"
    said = "Ask the person who is named there, and wait until they have read the plan."

    terminal.next(f"{command}  # another person, under bbws-access-prod-approver-role\n{said}")

    first, *more = output.getvalue().splitlines()
    assert first.rstrip() == f"  next: {command}"
    assert all(len(line.rstrip()) <= 60 for line in more)
    words = " ".join(" ".join(more).split())
    assert words == f"# another person, under bbws-access-prod-approver-role {said}"


def test_a_path_in_a_notice_is_whole() -> None:
    output = io.StringIO()
    terminal = Terminal()
    terminal.console = Console(file=output, markup=False, highlight=False, emoji=False, width=60)
    path = f"/home/olga/.local/state/rollback/emergency-{'0' * 40}.jsonl"

    terminal.console = Console(file=output, force_terminal=True, color_system=None, width=60)
    terminal.notice(f"The journal of this emergency is in {path}")

    assert path in output.getvalue()


def test_nothing_of_what_was_waited_for_is_left_beside_what_comes_after() -> None:
    output = io.StringIO()
    terminal = Terminal()
    terminal.console = Console(file=output, force_terminal=True, color_system=None, width=80)

    terminal.hear(Waiting(why="Waiting for the approval of 01KB2XQ7", seconds=1795.0))
    terminal.hear(Waiting(why="Waiting for the approval of 01KB2XQ7", seconds=5.0))
    terminal.notice("Stopping.")

    assert left(output.getvalue()) == ["Stopping."]
    assert "at most 29 min 55 s more" in output.getvalue()


class Interrupted(io.StringIO):
    """A person who presses Ctrl-C at a question."""

    def readline(self, *_: object) -> str:  # type: ignore[override]
        raise KeyboardInterrupt


@pytest.mark.finding("U5")
@pytest.mark.parametrize("keyboard", [io.StringIO, Interrupted])
@pytest.mark.parametrize(
    "question",
    [
        lambda terminal: terminal.confirm("Apply this plan to dev?"),
        lambda terminal: terminal.typed("Type dev: "),
        lambda terminal: terminal.ask("Alias?", "live"),
        lambda terminal: terminal.decide("Production?", proposed=True),
    ],
)
def test_ctrl_c_and_ctrl_d_cancel_at_any_question(
    monkeypatch: pytest.MonkeyPatch, question: Callable[[Terminal], object], keyboard: type[io.StringIO]
) -> None:
    terminal = Terminal()
    terminal.console = Console(file=io.StringIO(), force_terminal=True)
    monkeypatch.setattr("sys.stdin", keyboard())
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)

    with pytest.raises(Cancelled, check=coded(Code.CONFIRMATION_MISSING)) as cancelled:
        question(terminal)

    assert (cancelled.value.exit_code, cancelled.value.changed) == (3, "Nothing was changed.")
    assert not terminal.asking


def test_a_question_is_asked_again_while_the_answer_is_wrong_and_ctrl_d_ends_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal, output = Terminal(), io.StringIO()
    terminal.console = Console(file=output, force_terminal=True)
    monkeypatch.setattr("sys.stdin", io.StringIO("perhaps\nYES\n\nx\nlive\n"))
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)

    assert terminal.decide("Production?", proposed=False) is True
    assert terminal.decide("Production?", proposed=False) is False
    assert terminal.ask("Alias?", "prod", lambda said: "Too short." if len(said) < 2 else "") == "live"
    assert "Too short." in output.getvalue()
    with pytest.raises(Cancelled, check=coded(Code.CONFIRMATION_MISSING)):
        terminal.ask("Alias?", "prod")


@pytest.mark.parametrize(("state", "lines"), [(State.FROZEN, 1), (State.HEALTHY, 0)])
def test_of_advice_without_a_command_a_freeze_is_shown(state: State, lines: int) -> None:
    output = io.StringIO()
    Console(file=output).print(advice_view([Advice(state=state, what="Only alice may deploy.")]))

    assert len(output.getvalue().splitlines()) == lines


def test_what_a_program_wrote_for_the_whole_width_is_not_broken_for_a_margin() -> None:
    output = io.StringIO()
    terminal = Terminal(width=80)
    terminal.console = Console(file=output, markup=False, highlight=False, emoji=False, width=80)

    terminal.output("=" * 80 + "\n1 failed")
    terminal.output("1 failed")

    assert [line.rstrip() for line in output.getvalue().splitlines()] == [
        "=" * 80,
        "1 failed",
        "    1 failed",
    ]


class Screen(io.StringIO):
    """Standard output that is a terminal."""

    def isatty(self) -> bool:
        return True


def test_what_is_shown_first_is_taken_away_before_the_result_and_nothing_is_where_it_is_piped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.stdout", screen := Screen())
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal(width=80)

    with terminal.rewriting() as show:
        assert show is not None
        show("at once")
        seen = screen.getvalue()
    terminal.show("in the end", {})

    assert "at once" in seen
    assert "\x1b[2K" in screen.getvalue().removeprefix(seen), "its line is erased"
    assert screen.getvalue().endswith("in the end\n")
    monkeypatch.setattr("sys.stdout", io.StringIO())
    with Terminal().rewriting() as nothing:
        assert nothing is None


def test_of_a_first_view_that_is_longer_than_the_screen_nothing_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.stdout", screen := Screen())
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("LINES", "24")
    terminal = Terminal(width=80)

    with terminal.rewriting() as show:
        assert show is not None
        show("\n".join(f"line {number}" for number in range(40)))
    terminal.show("in the end", {})

    assert "line 0" in screen.getvalue()
    assert "line 39" not in screen.getvalue(), "that is below the end of the screen"


def test_a_notice_that_comes_while_a_view_is_in_place_takes_it_away_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.stdout", screen := Screen())
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal(width=80)
    terminal.console = Console(file=screen, markup=False, width=80)

    with terminal.rewriting() as show:
        assert show is not None
        show("at once")
        terminal.hear(Notice(text="something else"))
        gone = screen.getvalue().index("\x1b[2K")
        show("never")

    assert gone < screen.getvalue().index("something else")
    assert "never" not in screen.getvalue()
