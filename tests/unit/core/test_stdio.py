"""What is printed in a GitHub job is no command to its runner, however it is broken into lines."""

from __future__ import annotations

import io
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollback.util.stdio import inert, steady, write_out
from rollback.views.terminal import Terminal

pytestmark = pytest.mark.finding("W3")
PIECES = st.lists(st.sampled_from(["::", ":", "#", "##[", "[", "set-output name=x::y", " ", "\n", "\r", "x"]))


def commands(printed: str) -> list[str]:
    """The lines that a runner would act upon (`ActionCommand.TryParse` and `TryParseV2`, actions/runner)."""
    lines = re.split(r"[\r\n]", printed)
    return [line for line in lines if line.strip().startswith("::") or "##[" in line]


@given(PIECES)
def test_no_text_is_a_command_and_nothing_else_of_it_is_changed(pieces: list[str]) -> None:
    text = "".join(pieces)

    assert commands(inert(text)) == []
    assert inert(text).replace(" ", "") == text.replace(" ", "")


@given(writes=st.lists(PIECES.map("".join)))
def test_nor_is_one_that_is_written_in_parts(writes: list[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GITHUB_ACTIONS", "true")
        printed = io.StringIO()
        stream = steady(printed)
        for part in writes:
            stream.write(part)

    assert commands(printed.getvalue()) == []


@pytest.mark.parametrize("runner", ["true", ""])
def test_a_stored_reason_breaks_into_no_command_where_the_screen_ends(
    runner: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", runner)
    monkeypatch.setenv("COLUMNS", "80")
    reason = f"{'x' * 74} ::set-output name=injected::yes {'y' * 50} ::error::INJECTED ##[error]no"

    Terminal().notice(reason)

    assert (commands(capsys.readouterr().err) == []) is (runner == "true")


def test_a_document_stays_the_same_document(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    document: Any = {"reason": "a::b ::c", "urn": "urn:pulumi:dev::p::t::n"}

    write_out(json.dumps(document, indent=2))

    assert json.loads(capsys.readouterr().out) == document
