"""Sets up the demo, runs it, and stops everything that it started, however it ends."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from rich import box
from rich.table import Table
from rich.text import Text

from demo import story, stranger
from demo.infrastructure import REPORT
from demo.stage import ClaimError, DemoStage
from demo.world import World, checkout, dirty
from localaws.emulator import server
from localaws.errors import LocalError
from localaws.paths import LOCAL, ROOT, locked
from localaws.progress import BuildProgress
from localaws.shell import tools
from rollback.util.errors import RollbackError

FOLDER = LOCAL / "demo"
# What to try after the demo.
HINTS = (
    (f"open {os.path.relpath(FOLDER / REPORT, os.curdir)}", "the report of the demo"),
    ("make up", "start a local account, and print how to use it in a shell"),
    (".venv/bin/rollback --help", "all commands"),
    ("less docs/getting-started.md", "how to use it in a real account"),
    ("make test", "the tests, failures included"),
)
_FAILED, _INTERRUPTED = 1, 130
_BUILT = 5.0  # seconds; faster means that it was already there


def main() -> int:
    """0 if every claim held, 1 if one did not, 130 if it was interrupted."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _as_ctrl_c)
    stage = DemoStage()
    begun = time.monotonic()
    try:
        with locked(
            LOCAL / "demo.lock", waiting=lambda: stage.narrate("Waiting for another demo in this checkout.")
        ):
            play, hints = (_stranger, HINTS[1:]) if "stranger" in sys.argv[1:] else (_play, HINTS)
            play(stage)
    except KeyboardInterrupt:
        stage.failed(f"Interrupted after {time.monotonic() - begun:.0f} s. The demo's account was stopped.")
        return _INTERRUPTED
    except ClaimError as error:
        stage.failed(f"The demo failed in {stage.where}.", str(error), f"Its files are in {_shown(FOLDER)}.")
        return _FAILED
    except BrokenPipeError:  # the reader has closed the pipe: nothing more can be printed
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _FAILED
    except (LocalError, RollbackError, OSError) as error:
        stage.failed(f"The demo stopped in {stage.where}.", f"{type(error).__name__}: {error}")
        return _FAILED
    _summary(stage, time.monotonic() - begun, hints)
    return 0


def _play(stage: DemoStage) -> None:
    """Runs the demo, and stops its account at the end."""
    stage.opening(
        "One command rolls back a bad release",
        "Eleven chapters on a local AWS account on this machine: its Lambda functions really "
        "run, and its IAM really denies. Nothing outside this folder is changed.",
    )
    stage.chapter("A bare account becomes an environment")
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    work = FOLDER / "checkout"
    checkout(work)
    changed = dirty(ROOT)
    if changed:
        files = "1 file has" if changed == 1 else f"{changed} files have"
        stage.note(f"{files} uncommitted changes: the demo runs the last commit, without them.")
    progress = BuildProgress(sys.stdout)
    try:
        begun = time.monotonic()
        engine, seconds = tools(progress), time.monotonic() - begun
        emulator = server.start(FOLDER / "state", auth=True, log=FOLDER / "account.log")
    finally:
        progress.done()
    how = (
        f"built in {seconds:.0f} s, once for each machine"
        if seconds > _BUILT
        else "which was already installed"
    )
    stage.narrate(f"The engine is {engine}, {how}.")
    try:
        story.play(World(stage=stage, emulator=emulator, work=work, folder=FOLDER))
    finally:
        # A second Ctrl-C must not leave the account running.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        server.stop(emulator)
        signal.signal(signal.SIGINT, before)


def _stranger(stage: DemoStage) -> None:
    """Runs the demo of another company's account, and stops the account at the end."""
    stage.opening(
        "Any team's functions: install the command, run init, roll back",
        "Another company's accounts on this machine: functions deployed by CloudFormation with SAM's names, and people "
        "who use IAM Identity Center. Nothing is edited by hand.",
    )
    stage.chapter("Another company's accounts, an empty folder, and the wheel")
    # Outside this repository, where this repository's settings would be found.
    folder = Path(tempfile.mkdtemp(prefix="another-company-"))
    progress = BuildProgress(sys.stdout)
    try:
        try:
            tools(progress)
            emulator = server.start(None, auth=True, log=folder / "account.log")
        finally:
            progress.done()
        try:
            stranger.install(folder)
            stranger.play(stage, emulator, folder)
        finally:
            # A second Ctrl-C must not leave the accounts running.
            before = signal.signal(signal.SIGINT, signal.SIG_IGN)
            server.stop(emulator)
            signal.signal(signal.SIGINT, before)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _summary(stage: DemoStage, seconds: float, hints: Sequence[tuple[str, str]]) -> None:
    table = Table(
        title="What was shown",
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
    )
    table.add_column("", no_wrap=True)
    table.add_column("seconds", justify="right", no_wrap=True)
    table.add_column("claims that held")
    for number, act in enumerate(stage.acts, start=1):
        table.add_row(str(number), f"{act.seconds:.1f}", Text(act.proved))
    table.add_section()
    claims = sum(len(act.claims) for act in stage.acts)
    table.add_row("", f"{seconds:.1f}", f"{claims} claims, each checked in the account itself")
    stage.table(table)
    stage.narrate("To try it yourself:")
    for command, what in hints:
        stage.hint(command, what)


def _as_ctrl_c(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _shown(path: os.PathLike[str]) -> str:
    return os.path.relpath(path, os.curdir)


if __name__ == "__main__":
    sys.exit(main())
