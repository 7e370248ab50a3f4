"""Text from outside on its way to a terminal, and streams that fail on the way."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from rollback.model.identity import Actor
from rollback.model.record import Event
from rollback.util.errors import UsageError
from rollback.util.sanitize import clean, line, lines
from rollback.util.stdio import steady
from rollback.views.records import _event_text
from rollback.views.rich_layout import text
from rollback.views.terminal import Terminal

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("given_", "shown"),
    [
        ("plain → é 日本 👍", "plain → é 日本 👍"),
        ("\x1b[2Jgone\x1b[31;1mred", "gonered"),
        ("\x1b]0;title\x07x\x1b]8;;http://e\x1b\\link\x1b]8;;\x1b\\", "xlink"),
        ("\x1bP+q544e\x1b\\x\x9b31my", "xy"),
        ("\x1b]0;without an end", r"\x1b]0;without an end"),
        ("\x00\x07\x7f\x85", r"\x00\x07\x7f\x85"),
        ("\u202eright\u202c\u200bto\ufeffleft\u2028", r"\u202eright\u202c\u200bto\ufeffleft\u2028"),
        ("one\ntwo\r\nthree\rfour\tfive", r"one\ntwo\r\nthree\rfour five"),
        ("a\u00a0b\u3000c", "a b c"),
        ("\ud800\ue000", r"\ud800\ue000"),
    ],
)
def test_what_a_terminal_would_act_upon_is_dropped_or_shown(given_: str, shown: str) -> None:
    assert line(given_) == shown


def test_lines_of_a_text_stay_lines() -> None:
    assert lines("one\r\n\ttwo\x1b[1A\n\x0bthree\n") == ["one", "\ttwo", r"\x0bthree"]
    assert lines("") == [""]


@given(st.text())
def test_whatever_comes_in_only_what_can_be_printed_goes_out(anything: str) -> None:
    assert line(anything).isprintable()
    assert all(char.isprintable() or char in "\n\t" for char in clean(anything))
    assert line(line(anything)) == line(anything)


def test_markup_is_text_wherever_it_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    output = io.StringIO()
    terminal = Terminal(width=200)
    terminal.console = Console(file=output, markup=False, highlight=False, emoji=False, width=200)
    loud = "[bold]loud[/] [link=https://e]x[/link] :boom: \x1b[2J\u202e"

    terminal.notice(loud)
    terminal.error(UsageError(f"{loud}\n  next: forged", next=loud))
    terminal.start(loud, 1)
    terminal.finish()
    terminal.show(text(loud), {})

    shown = output.getvalue() + capsys.readouterr().out
    assert shown.count(r"[bold]loud[/] [link=https://e]x[/link] :boom: \u202e") == 5
    assert "\x1b" not in shown


def test_a_document_is_ascii_and_means_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    document = {"reason": "é → \x1b[2J\x9b31m\u202e\ud800"}

    terminal = Terminal(json_output=True)
    terminal.show("", document)
    terminal.end()

    out = capsys.readouterr().out
    assert out.isascii()
    assert "\x1b" not in out
    assert json.loads(out)["reason"] == document["reason"]


class Failing(io.StringIO):
    """Takes nothing, as a full disk does."""

    def write(self, _: str) -> int:
        raise OSError(28, "No space left on device")


def test_a_stream_that_fails_is_written_to_all_the_same() -> None:
    closed = io.StringIO()
    closed.close()

    for stream in (Failing(), closed, None):
        to = steady(stream)
        assert to.write("told") == 4
        assert to.write("and told again") == 14
        to.flush()


@pytest.mark.parametrize(
    ("to", "why"), [(">&-", "it is closed"), (">/dev/full", "No space left"), ("| true", "")]
)
def test_an_answer_that_cannot_be_written_is_an_error_and_nothing_else_is_reported(to: str, why: str) -> None:
    code = "from rollback.util.stdio import write_out; from rollback.util.errors import RollbackError\n"
    code += "import sys, time\ntry:\n    [write_out('x' * 100_000) for _ in range(10)]\n"
    code += "except RollbackError as error:\n    print(error.what, file=sys.stderr); sys.exit(1)\n"

    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", f'"{sys.executable}" -c "$CODE" {to}'],
        cwd=ROOT,
        env={**os.environ, "CODE": code},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert why in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "data",
    [
        {"functions": 5},
        {"functions": [1, None]},
        {"failures": [5]},
        {"failures": None},
        {"function": 1},
        {"digest": 5},
        {"steps": {}},
        {},
    ],
)
@pytest.mark.parametrize("kind", ["planned", "moved", "failed", "found", "strange"])
def test_an_event_of_any_shape_can_be_reported(kind: str, data: dict[str, Any]) -> None:
    event = Event(number=1, kind=kind, at="", by=Actor(role="r", person="p"), data=data, previous="", hash="")

    assert isinstance(_event_text(event, ""), str)
