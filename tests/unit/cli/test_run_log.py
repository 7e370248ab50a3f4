"""The log of a verb: its owner's, bounded, without secrets, and never the reason why a verb fails."""

from __future__ import annotations

import io
import logging
import os
import stat
from pathlib import Path

import pytest
import typer
from rich.console import Console

from rollback.api.events import Alarm, Notice, Output, WorkBegan, WorkEnded
from rollback.cli import run_log, runtime
from rollback.util.errors import Code, Refused, RollbackError
from rollback.views import terminal
from tests.planted import secret

PLANTED = secret("logged")
VARIABLES = {"SLACK_BOT_TOKEN": PLANTED}
ARGUMENTS = ["lambda", "--env", "dev", f"--reason={PLANTED}", "--to", PLANTED]


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.delenv("ROLLBACK_LOG")
    return tmp_path / "rollback" / "log"


def written(log: run_log.RunLog) -> list[str]:
    assert log.path is not None
    return [line.partition(" ")[2] for line in log.path.read_text().splitlines()]


def test_it_is_a_file_of_its_owners_with_what_happened(state: Path) -> None:
    with run_log.kept(ARGUMENTS, None, variables=VARIABLES) as log:
        log.hear(WorkBegan(what="Planning"))
        log.hear(WorkEnded())
        log.hear(Notice(text="last is 01K."))
        log.hear(Alarm(text="The ledger has lost entries."))
        logging.getLogger("rollback.aws").debug("lambda GetAlias 200 in 3 ms, request 7")
        log.failed(RollbackError("It failed.", code=Code.FAILED, changed="Nothing was changed."))

    first, *others, last = written(log)
    assert first.startswith("INFO rollback.run rollback ")
    assert first.endswith(": lambda --env --reason --to")
    assert others == [
        "INFO rollback.run Planning: 0.0 s",
        "INFO rollback.screen last is 01K.",
        "WARNING rollback.screen The ledger has lost entries.",
        "DEBUG rollback.aws lambda GetAlias 200 in 3 ms, request 7",
        "ERROR rollback.screen FAILED: It failed. Nothing was changed.",
    ]
    assert last == "INFO rollback.run ended after 0.0 s"
    assert log.path is not None
    assert log.path.parent == state
    assert log.path.name.endswith("-lambda.log")
    assert [stat.S_IMODE(path.stat().st_mode) for path in (state, log.path)] == [0o700, 0o600]


def test_no_secret_is_in_it_nor_on_the_screen(state: Path) -> None:
    shown: list[str] = []

    with run_log.kept(ARGUMENTS, shown.append, level=logging.DEBUG, variables=VARIABLES) as log:
        log.hear(Notice(text=f"It said {PLANTED}."))
        log.hear(Output(text=f"{PLANTED}\n{PLANTED}"))
        logging.getLogger("rollback.run").info("with %s", PLANTED)
        with pytest.raises(ValueError, match=PLANTED) as raised:
            int(PLANTED)
        log.failed(RollbackError(f"{raised.value}", code=Code.UNEXPECTED), raised.value)

    text = "\n".join([*written(log), *shown])
    assert PLANTED not in text
    assert "ValueError at " in text
    assert "a program printed 2 lines" in text
    assert "with ***" in shown


def test_what_is_in_a_message_makes_no_line_of_its_own(state: Path) -> None:
    with run_log.kept(["status"], None) as log:
        log.hear(Notice(text="one\n2026-11-29T00:00:00.000Z ERROR rollback.run forged\x1b[2J"))

    assert len(written(log)) == 3
    assert "\x1b" not in "".join(written(log))


def test_the_screen_shows_what_it_does_not_show_by_itself(state: Path) -> None:
    shown: list[str] = []

    with run_log.kept(["status"], shown.append, level=logging.INFO) as log:
        log.hear(Notice(text="shown by the terminal already"))
        logging.getLogger("rollback.aws").debug("a call")
        logging.getLogger("rollback.ledger").info("an event")

    assert shown[1:-1] == ["an event"]


@pytest.mark.parametrize("off", ["off", "OFF", "0", "no", "false"])
def test_it_can_be_turned_off(state: Path, off: str) -> None:
    with run_log.kept(["status"], None, variables={"ROLLBACK_LOG": off}) as log:
        log.hear(Notice(text="x"))

    assert log.path is None
    assert not state.exists()
    assert logging.getLogger("rollback").level == logging.NOTSET


def test_the_oldest_make_room_and_what_is_no_log_stays(state: Path) -> None:
    state.mkdir(parents=True)
    for number in range(run_log.FILES + 5):
        (state / f"20200101T{number:09}-1-status.log").touch()
    (state / "notes.log").touch()

    with run_log.kept(["status"], None) as log:
        pass

    names = sorted(path.name for path in state.iterdir())
    assert len(names) == run_log.FILES + 1
    assert "notes.log" in names
    assert names[0] == "20200101T000000006-1-status.log"
    assert log.path is not None


def test_it_does_not_grow_without_end_and_errors_are_there_all_the_same(state: Path) -> None:
    calls = logging.getLogger("rollback.aws")

    with run_log.kept(["status"], None) as log:
        for _ in range(300):
            calls.debug("x" * 10_000)
        log.failed(RollbackError("It failed.", code=Code.FAILED))

    assert log.path is not None
    assert log.path.stat().st_size < 1_200_000
    assert any("FAILED: It failed." in line for line in written(log))


def test_where_nothing_can_be_written_the_verb_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "rollback").write_text("a file where the folder should be")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.delenv("ROLLBACK_LOG")

    with run_log.kept(["status"], None) as log:
        log.hear(Notice(text="x"))

    assert log.path is None


def test_a_disk_that_fills_up_meanwhile_ends_nothing(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    monkeypatch.setattr(run_log.os, "open", lambda *_: full)

    def broken(_: str) -> None:
        raise OSError

    with run_log.kept(["status"], broken, level=logging.DEBUG) as log:
        for _ in range(100):
            log.hear(Notice(text="x" * 1000))


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["--debug", "release", "record", "--env", "dev"], "release record --debug --env"),
        (["show", "01M86PTPG00000000000000001", "--json"], "show --json"),
        (["lambda", "--reason", "hush", "-e", "dev"], "lambda --reason"),
        ([], ""),
        (["$(id)", "../x"], ""),
    ],
)
def test_a_command_line_is_named_without_its_values(arguments: list[str], name: str) -> None:
    assert run_log.named(arguments) == name


@pytest.mark.parametrize(
    ("error", "named"),
    [(ZeroDivisionError("a defect"), True), (Refused("dev is frozen.", code=Code.FROZEN), False)],
)
def test_an_error_that_nobody_expects_names_the_log(tmp_path: Path, error: Exception, *, named: bool) -> None:
    ui, shown = terminal.Terminal(), io.StringIO()
    ui.console = Console(file=shown, width=40)
    log = run_log.RunLog(tmp_path / f"{'long-' * 20}.log")

    code = runtime._shown_error(error, "dev", ui, log)

    assert code in (1, 3)
    assert (f"Log of this run: {log.path}\n" in shown.getvalue()) is named


def test_ctrl_c_in_a_verb_that_asks_no_ledger_is_answered_too(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as ended, runtime.answering("dev", json=False):
        raise KeyboardInterrupt

    assert ended.value.exit_code == 130
    assert "[ENDED]" in capsys.readouterr().err
