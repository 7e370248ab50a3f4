"""Nothing that is shown to a person is a command to the runner of a job, GitHub's or GitLab's, whatever it holds."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from typing import Any

import pytest

from rollback.api.events import Alarm, LedgerNotice, Notice, Output, PlanMade, Waiting, WorkBegan, WorkEnded
from rollback.cli.app import main
from rollback.util.errors import AwaitingApproval, Code, RollbackError
from rollback.util.sanitize import clean
from rollback.util.stdio import warn, write_out
from rollback.views.rich_layout import text
from rollback.views.terminal import Terminal
from tests.doubles.records import a_plan

pytestmark = pytest.mark.finding("W3")
# Each in a place of its own: at the beginning, after what fills a line, and between others.
ESCAPES = "\x1b[0Ksection_start:1700000000:x[collapsed=true]\r\x1b[0Kfolded\x1b[31m"
HOSTILE = (
    f"::error::INJECTED\n::set-output name=x::y\n  ::stop-commands::t\n{'x' * 74} ::add-mask::z%0A::warning::w"
    f" ##[error]no ##[group]g\r::debug::d\u2028::error::e {ESCAPES}"
)


def acted_upon(printed: str, runner: str) -> list[str]:
    """What GitHub's runner takes (`ActionCommand.TryParseV2` and `TryParse`, actions/runner), or what GitLab's page does
    (https://docs.gitlab.com/ci/jobs/job_logs/#custom-collapsible-sections); and any escape sequence.
    """
    lines = re.split(r"[\r\n]", printed)
    github = [line for line in lines if line.strip().startswith("::") or "##[" in line]
    gitlab = re.findall(r"section_(?:start|end):\d+:[^\r\n]*\r", printed)
    return [*(github if runner == "GITHUB_ACTIONS" else gitlab), *re.findall(r"\x1b.", printed)]


SHOWN: dict[str, Callable[[Terminal], object]] = {
    "a notice": lambda ui: ui.hear(Notice(text=HOSTILE)),
    "an alarm": lambda ui: ui.hear(Alarm(text=HOSTILE)),
    "a notice of the ledger": lambda ui: ui.hear(LedgerNotice(text=HOSTILE)),
    "what a program printed": lambda ui: ui.hear(Output(text=HOSTILE)),
    "work": lambda ui: (ui.hear(WorkBegan(what=HOSTILE)), ui.hear(WorkEnded())),
    "work within work": lambda ui: (
        *(ui.hear(WorkBegan(what=HOSTILE)) for _ in range(2)),
        *(ui.hear(WorkEnded()) for _ in range(2)),
    ),
    "a wait": lambda ui: ui.hear(Waiting(why=HOSTILE, seconds=3)),
    "a plan": lambda ui: ui.hear(PlanMade(plan=a_plan(from_version=HOSTILE, to_version=HOSTILE))),
    "a result": lambda ui: ui.show(text(clean(HOSTILE)), {}),
    "a detail of --debug": lambda ui: ui.detail(HOSTILE),
    "what to type next": lambda ui: ui.next(HOSTILE),
    "an error": lambda ui: ui.error(RollbackError(HOSTILE, code=Code.FAILED, changed=HOSTILE, next=HOSTILE)),
    "an approval that is missing": lambda ui: ui.error(AwaitingApproval(HOSTILE, next=HOSTILE)),
    "a warning": lambda _: warn(clean(HOSTILE)),
    "a document": lambda _: write_out(clean(HOSTILE)),
}


@pytest.mark.parametrize("runner", ["GITHUB_ACTIONS", "GITLAB_CI"])
@pytest.mark.parametrize("width", ["20", "80", "200"])
@pytest.mark.parametrize("what", SHOWN)
def test_nothing_that_is_shown_is_a_command(
    what: str, width: str, runner: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ("GITHUB_ACTIONS", "GITLAB_CI", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(runner, "true")
    monkeypatch.setenv("COLUMNS", width)

    SHOWN[what](Terminal())

    printed = "\n".join(capfd.readouterr())
    assert printed.strip()
    assert acted_upon(printed, runner) == []


@pytest.mark.parametrize(
    "typed", [[HOSTILE], ["status", HOSTILE], ["status", f"--{HOSTILE}"], ["--env", HOSTILE]]
)
def test_nor_is_wrong_usage(
    typed: list[str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setattr(sys, "argv", ["rollback", *typed])
    codes: list[Any] = []
    monkeypatch.setattr("os._exit", codes.append)

    main()

    assert codes == [2]
    assert acted_upon("\n".join(capfd.readouterr()), "GITHUB_ACTIONS") == []
