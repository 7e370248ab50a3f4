"""What others start is a fork that behaves as the program itself does: streams, variables, signals, exit codes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from rollback.util import process_identity
from tests.warm import Warm

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def warm() -> Iterator[Warm]:
    with Warm() as running:
        yield running


def run(program: Path, *arguments: str, **how: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([program, *arguments], capture_output=True, text=True, check=False, **how)  # type: ignore[call-overload,no-any-return]


def test_the_command_is_found_on_a_path_and_its_exit_code_is_its_own(warm: Warm, tmp_path: Path) -> None:
    done = run(
        warm.scripts / "rollback", "status", "--env", "dev", "--json", cwd=tmp_path, env={"COLUMNS": "80"}
    )

    assert done.returncode == 2
    assert json.loads(done.stdout)["error"]["code"] == "NO_CHECKOUT"


def test_an_interpreter_has_others_packages_and_finds_ours_where_its_program_looks(
    warm: Warm, tmp_path: Path
) -> None:
    (tmp_path / "rollback").mkdir()
    (tmp_path / "rollback" / "__init__.py").write_text("here = True\n")
    program = (
        "import os, sys; was = {'boto3', 'rollback'} & {*sys.modules}; sys.path.insert(0, os.environ['AT']);"
        "import rollback; print(sorted(was), rollback.here, sys.argv, sys.stdin.read(), os.getcwd(), os.getppid());"
        "sys.exit(7)"
    )

    done = run(
        warm.interpreters / "python", "-P", "-c", program, "a b",
        input="typed", cwd=tmp_path, env={"AT": str(tmp_path)},
    )  # fmt: skip

    assert done.stdout.split("\n")[0] == f"['boto3'] True ['-c', 'a b'] typed {tmp_path} {os.getpid()}"
    assert done.returncode == 7


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_signal_is_the_forks(warm: Warm, number: signal.Signals) -> None:
    program = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
    with subprocess.Popen(
        [warm.interpreters / "python", "-u", "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        began = process_identity.began(pid)

        process.send_signal(number)

        # The fork holds the output, too: this returns when it has ended.
        assert process.stdout.read() == ""
        assert process.wait() == -number
        assert number == signal.SIGKILL or not process_identity.alive(pid, began)


def test_what_is_no_program_is_the_interpreter_itself(warm: Warm) -> None:
    assert run(warm.interpreters / "python3", "-V").stdout.startswith("Python 3.")
