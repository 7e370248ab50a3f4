"""The search for planted secrets finds them: a run in which one comes up fails, whichever worker heard it."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import planted

ROOT = Path(__file__).parents[3]


def run(folder: Path, test: str, *options: str) -> subprocess.CompletedProcess[str]:
    """A run of pytest with this project's hooks over one file of tests."""
    (folder / "conftest.py").write_text("from tests.conftest import *\n")
    (folder / "test_it.py").write_text(f"from tests.planted import heard, secret\n{test}\n")
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, str(folder)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("options", [(), ("-n", "1")])
def test_a_run_in_which_a_secret_comes_up_fails_although_its_tests_pass(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    done = run(
        tmp_path, "def test_it():\n    heard('status --env dev', 'token=' + secret('token'))", *options
    )

    assert done.returncode == 1, done.stdout + done.stderr
    assert "1 passed" in done.stdout
    assert "planted secrets came up" in done.stdout
    assert "status --env dev: " in done.stdout


def test_a_credential_that_was_not_planted_is_searched_for_as_well(tmp_path: Path) -> None:
    test = (
        "from tests.planted import also\n"
        "def test_it():\n    heard('history', 'key wJalrXUtnFEMI')\n    also('wJalrXUtnFEMI')"
    )

    assert run(tmp_path, test).returncode == 1


def test_a_run_in_which_none_comes_up_passes(tmp_path: Path) -> None:
    done = run(tmp_path, "def test_it():\n    heard('status --env dev', 'all is well')")

    assert done.returncode == 0, done.stdout + done.stderr


def test_a_secret_is_found_in_what_is_left_in_folders_and_in_other_dress(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard, folder = tmp_path / "heard", tmp_path / "left"
    heard.mkdir()
    (folder / "below").mkdir(parents=True)
    monkeypatch.setenv(planted.FOLDER, str(heard))
    for shift in range(3):
        encoded = base64.b64encode(b"x" * shift + planted.secret("state").encode() + b"x")
        (folder / "below" / f"state{shift}").write_bytes(b"\xff" + encoded)
    (folder / "clean").write_text("nothing")
    (folder / "link").symlink_to(folder / "clean")
    os.mkfifo(folder / "pipe")

    planted.left("left by a run", folder)

    assert sorted(leak.partition(": …")[0] for leak in planted.search(heard)) == [
        f"left by a run: below/state{shift}" for shift in range(3)
    ]
