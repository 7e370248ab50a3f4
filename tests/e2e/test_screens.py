"""The main screens in a real terminal of several widths: nothing overflows, and what is to be copied is whole."""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from rich.cells import cell_len

from tests import planted
from tests.e2e.accounts_under_test import Models
from tests.e2e.estate_under_test import ALICE, CATALOGUE, FUNCTIONS, SCRIPT, Platform

WHY = (
    "team answers 500 since the release of this morning, and nobody has seen why: see the incident's channel"
)
_COLOUR = re.compile(r"\x1b\[(?:[0-9;]*;)?(?:3[0-8]|4[0-8]|9[0-7]|10[0-7])(?:;[0-9;]*)?m")
_ANY = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")
# What a person copies is never broken by this command: the terminal itself wraps it.
_TO_COPY = re.compile(r"^\s*(Digest [0-9a-f]{64}|(next: )?rollback [a-z]+ .*)$")
_ACCOUNTS = itertools.count(710_000_000_000)


@dataclass(frozen=True)
class Mixed:
    """An environment in which one service was rolled back, and the id of that."""

    platform: Platform
    identifier: str

    def arguments(self, screen: str) -> tuple[str, ...]:
        return {
            "status": ("status",),
            "history": ("history",),
            "show": ("show", self.identifier),
            "lambda": ("lambda", "--to", "v1.0.0", "--dry-run"),
            "releases": ("release", "list"),
            "verify": ("verify",),
        }[screen]


@pytest.fixture(scope="module")
def mixed(models: Models, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mixed]:
    platform = models.another("dev", str(next(_ACCOUNTS)), tmp_path_factory.mktemp("mixed"))
    platform.story()
    run = platform.rollback("lambda", "--services", "team_service", "--reason", WHY, "--json", as_=ALICE)
    assert run.code == 0, str(run)
    yield Mixed(platform, run.id)
    platform.end()


def begun_on_a_terminal(
    platform: Platform, rows: int, width: int, *arguments: str, **variables: str
) -> tuple[subprocess.Popen[bytes], int]:
    """A command on a terminal of that size, and the other end of it."""
    ours, others = pty.openpty()
    fcntl.ioctl(others, termios.TIOCSWINSZ, struct.pack("HHHH", rows, width, 0, 0))
    given = {**platform.variables(ALICE), "TERM": "xterm-256color"}
    for name in ("COLUMNS", "NO_COLOR"):
        given.pop(name)
    process = subprocess.Popen(
        [str(platform.script), *arguments, "--env", platform.settings.environment],
        cwd=platform.root,
        env={**given, **variables},
        stdin=others,
        stdout=others,
        stderr=others,
        start_new_session=True,
    )
    os.close(others)
    return process, ours


def on_a_terminal(platform: Platform, width: int, *arguments: str, **variables: str) -> str:
    """Everything that a command writes to a terminal of that width."""
    process, ours = begun_on_a_terminal(platform, 50, width, *arguments, **variables)
    message = b""
    with contextlib.suppress(OSError):  # the other end is closed
        while part := os.read(ours, 65536):
            message += part
    os.close(ours)
    assert process.wait(60) == 0, message.decode()
    shown = message.decode().replace("\r\n", "\n")
    planted.heard(str(arguments), shown)
    return shown


def lines(shown: str) -> list[str]:
    """What is left on the screen, without colours, and without the progress and the first view that were written over."""
    written = [line.rstrip().rpartition("\r")[2] for line in _ANY.sub("", shown).split("\n")]
    return [line for line in written if not line.startswith("Planning")]


@pytest.mark.parametrize(
    ("screen", "width"),
    [("status", 60), ("status", 80), ("status", 120), ("history", 60), ("history", 80), ("show", 60),
     ("show", 80), ("show", 120), ("verify", 80), ("lambda", 60), ("lambda", 120)],
)  # fmt: skip
def test_a_screen_fits_and_what_is_to_be_copied_is_whole(mixed: Mixed, screen: str, width: int) -> None:
    shown = on_a_terminal(mixed.platform, width, *mixed.arguments(screen))

    left = [line for line in lines(shown) if not line.startswith("Planning")]
    wider = [line for line in left if cell_len(line) > width and not _TO_COPY.match(line)]
    assert not wider, "\n".join([f"{width} columns", *wider])
    assert "…" not in " ".join(left).replace('--reason "…"', "").replace("-…", "").replace("weights…", ""), (
        "nothing is cut short"
    )
    assert _COLOUR.search(shown), "it is a terminal"
    whole = {
        "status": [*CATALOGUE, 'rollback lambda --env dev --reason "…"', "v1.2.0+team_service@v1.1.0"],
        "history": [mixed.identifier, "v1.2.0 → v1.1.0", "COMPLETE", "incident's"],
        "show": [mixed.identifier, "2: get, list", "incident's"],
        "verify": ["✓ aliases: 6 of 6 aliases are as recorded", "✓ smoke: exit 0"],
        "lambda": ["v1.1.0 → v1.0.0", *CATALOGUE],
    }[screen]
    assert not [parts for parts in whole if not any(parts in line for line in left)]
    if screen in ("show", "lambda"):
        assert any(re.fullmatch("Digest [0-9a-f]{64}", line) for line in left)


def test_what_is_watched_stays_within_the_screen_and_ctrl_c_ends_it_well(mixed: Mixed) -> None:
    process, ours = begun_on_a_terminal(mixed.platform, 24, 80, "status", "--watch", NO_COLOR="1")
    seen = b""
    late = threading.Timer(60, process.kill)  # it would be watched for ever
    late.start()
    with contextlib.suppress(OSError):  # the other end is closed
        while part := os.read(ours, 65536):
            seen += part
            if b"Ctrl-C" in seen and b"Ctrl-C" not in seen[: -len(part)]:
                process.send_signal(signal.SIGINT)
    late.cancel()
    os.close(ours)

    assert process.wait(60) == 0, seen.decode()
    text = seen.decode().replace("\r\n", "\n")
    assert text.count("\x1b[?1049h") == text.count("\x1b[?1049l") == 1, (
        "what was on the screen is there again"
    )
    assert "Stopping gracefully" not in text
    during, after = text.split("\x1b[?1049l")
    for frame in (during.split("\x1b[H")[-1], after):
        shown = lines(frame)
        assert len(shown) <= 25, "24, and what follows the last line break"
        assert max(map(cell_len, shown)) <= 80
        assert any("v1.2.0+team_service@v1.1.0" in line for line in shown)


def test_the_reason_of_a_record_is_shown_to_its_end_on_a_narrow_screen(mixed: Mixed) -> None:
    shown = on_a_terminal(mixed.platform, 60, "history", "--kind", "aliases")

    result = " ".join(line[19:].strip() for line in lines(shown))
    assert WHY in result


def test_no_colour_where_none_is_wanted_and_where_nobody_sees_it(mixed: Mixed) -> None:
    unwanted = on_a_terminal(mixed.platform, 80, "status", NO_COLOR="1")
    piped = mixed.platform.start("status", as_=ALICE, extra={"NO_COLOR": None, "TERM": "xterm-256color"})

    assert not _COLOUR.search(unwanted)
    run = piped.finish()
    assert "\x1b" not in run.err + run.out
    assert "team_service" in run.screen


def test_columns_shows_how_wide_it_is_where_no_terminal_does(mixed: Mixed) -> None:
    run = mixed.platform.start("release", "list", as_=ALICE, extra={"COLUMNS": "60"}).finish()

    assert max(map(cell_len, run.screen.split("\n"))) <= 60
    assert "quarantined for team_service" in run.screen


@pytest.mark.finding("U6")
def test_results_are_on_standard_output_and_all_else_on_standard_error(mixed: Mixed) -> None:
    results = {
        screen: mixed.platform.rollback(*mixed.arguments(screen), as_=ALICE)
        for screen in ("status", "history", "show", "lambda", "releases")
    }
    refused = mixed.platform.rollback("show", "01AN4Z07BY79KA1307SR9X4MV3", as_=ALICE)

    texts = {"status": "team_service", "history": "COMPLETE", "show": WHY[:40], "lambda": "v1.0.0"}
    assert [screen for screen, text in texts.items() if text not in results[screen].out] == []
    assert [screen for screen, run in results.items() if "team_service" in run.err] == []
    assert (refused.code, refused.out) == (2, "")


@pytest.mark.finding("U6")
def test_a_reader_who_has_seen_enough_ends_nothing_with_an_error(mixed: Mixed) -> None:
    reading, writing = os.pipe()
    os.close(reading)

    run = subprocess.run(
        [str(SCRIPT), "history", "--env", "dev"],
        cwd=mixed.platform.root,
        env=mixed.platform.variables(ALICE),
        stdout=writing,
        stderr=subprocess.PIPE,
        check=False,
    )

    os.close(writing)
    assert run.returncode == 0, run.stderr
    assert "✗".encode() not in run.stderr


def test_what_the_last_release_changed_is_shown_for_people_and_for_programs(mixed: Mixed) -> None:
    shown = mixed.platform.rollback("diff", "v1.1.0", "v1.2.0", as_=ALICE)
    document = mixed.platform.rollback("diff", "v1.1.0", "v1.2.0", "--json", as_=ALICE).json

    assert shown.code == 0, str(shown)
    assert [change["function"] for change in document["functions"]] == [
        mixed.platform.name(tail) for tail in FUNCTIONS
    ]
    assert all(tail in shown.out for tail in FUNCTIONS)
