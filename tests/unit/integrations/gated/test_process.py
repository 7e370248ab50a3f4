"""The gate itself: what both engines rely on, with a shell in their place."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from rollback.engines.gated import process as subprocess_gate
from rollback.engines.gated.process import Running, gated
from rollback.util.process_identity import began

# Counts its interrupts in a file, and ends a moment after the first.
COUNTING = 'trap "echo x >> interrupts; sleep 0.5; exit 7" INT; touch ready; while :; do sleep 0.05; done'
# Cannot be interrupted, and has a child that cannot either.
DEAF = 'trap "" INT; sleep 30 & echo $! > child; touch ready; wait'


def run(
    folder: Path, script: str, look: Callable[[Running], bool], seconds: float = 30
) -> tuple[int, Running]:
    with gated(
        ["sh", "-c", script],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        began=lambda _: None,
    ) as running:
        code = running.follow(seconds=seconds, stopping=(folder / "stop").exists, look=lambda: look(running))
    return code, running


def until_its_end(running: Running) -> bool:
    time.sleep(0.02)
    return running.process.poll() is None


def test_an_error_after_the_interrupt_waits_for_the_graceful_end_without_a_second_one(tmp_path: Path) -> None:
    seen: list[Running] = []

    def look(running: Running) -> bool:
        seen.append(running)
        if (tmp_path / "ready").exists():
            (tmp_path / "stop").touch()
        if (tmp_path / "interrupts").exists():
            raise RuntimeError("the lease is lost")
        return until_its_end(running)

    with pytest.raises(RuntimeError, match="lease"):
        run(tmp_path, COUNTING, look)

    assert (tmp_path / "interrupts").read_text() == "x\n"
    assert seen[-1].process.returncode == 7


def test_its_children_are_killed_with_one_that_does_not_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subprocess_gate, "GRACE", 0.2)

    def look(running: Running) -> bool:
        if (tmp_path / "ready").exists():
            (tmp_path / "stop").touch()
        return until_its_end(running)

    code, running = run(tmp_path, DEAF, look)

    assert (code, running.stopped, running.late) == (-9, True, False)
    child = int((tmp_path / "child").read_text())
    deadline = time.monotonic() + 60
    while began(child) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not began(child)


def test_a_second_reader_does_not_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess_gate, "AT_ONCE", 0.1)
    started = time.monotonic()

    def look(running: Running) -> bool:
        if (tmp_path / "ready").exists():
            raise KeyboardInterrupt
        return until_its_end(running)

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, DEAF, look)

    assert time.monotonic() - started < subprocess_gate.GRACE, "it has not waited for the graceful end"
