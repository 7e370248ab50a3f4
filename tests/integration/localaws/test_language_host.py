"""The Python language host under a real engine: whose interpreter runs, what is shown, who ends when."""

import os
import signal
import site
import subprocess
import sys
import time
import venv
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from localaws import processes, shell
from localaws.paths import ROOT
from localaws.toolchain import build
from rollback.config.settings import load
from rollback.util.process_identity import began
from tests.prepared import engine

pytestmark = pytest.mark.skipif(
    build.official_language_host() is not None, reason="an official language host is installed and used"
)
_WAITS = """
import os, pathlib, time
pathlib.Path("pids").write_text(f"{os.getpid()} {os.getppid()}")
time.sleep(600)
"""


class Project:
    """A Pulumi project in a folder of its own, with its own state and its own virtualenv `venv`."""

    def __init__(self, folder: Path, *, virtualenv: bool = True) -> None:
        self.folder = folder
        (folder / "Pulumi.yaml").write_text(
            "name: probe\nruntime: {name: python, options: {toolchain: pip, virtualenv: venv}}\n"
        )
        (folder / "Pulumi.s.yaml").write_text("config: {probe:word: hello}\n")
        (folder / "state").mkdir()
        if virtualenv:
            venv.create(folder / "venv", symlinks=True)
            packages = next((folder / "venv").glob("lib/python*/site-packages"))
            # The SDK is big: this project's own copy serves.
            (packages / "sdk.pth").write_text("\n".join(site.getsitepackages()))
        account = shell.environment("http://127.0.0.1:9", load(ROOT, "dev"), folder=folder / "home")
        self.environ = {
            **shell.inherited(),
            **account,
            "PULUMI_BACKEND_URL": (folder / "state").as_uri(),
            "PYTHONPATH": str(ROOT),
        }

    def program(self, text: str) -> None:
        (self.folder / "__main__.py").write_text(text)

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            ["pulumi", "--non-interactive", *arguments],
            cwd=self.folder,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *arguments: str) -> tuple[int, str]:
        with self.start(*arguments) as process:
            output, _ = process.communicate(timeout=120)
        return process.returncode, output


@pytest.fixture(scope="module", autouse=True)
def _tools() -> None:
    engine()


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    made = Project(tmp_path)
    assert made.run("stack", "init", "s")[0] == 0
    yield made
    for pid in _pids(made):
        begun = began(pid)
        if begun:
            processes.end(pid, begun, grace=0.1)


def test_the_program_runs_in_the_projects_virtualenv_and_knows_nothing_of_ours(project: Project) -> None:
    project.program(
        "import importlib.util, os, sys, pulumi\n"
        "pulumi.export('prefix', sys.prefix)\n"
        "pulumi.export('pythonpath', os.environ.get('PYTHONPATH', ''))\n"
        "pulumi.export('ours', str(importlib.util.find_spec('local')))\n"
        "pulumi.export('engine', any('engine' in p for p in sys.path))\n"
        "pulumi.export('word', pulumi.Config().require('word'))\n"
    )

    code, output = project.run("up", "--yes", "--stack", "s")

    assert code == 0, output
    completed = project.run("stack", "output", "--stack", "s", "--shell")[1]
    assert f"prefix={project.folder / 'venv'}\n" in completed
    assert "pythonpath=''\n" in completed
    assert "ours=None\n" in completed
    assert "engine=false\n" in completed
    assert "word=hello\n" in completed


def test_a_missing_virtualenv_is_an_error_that_shows_what_to_type(tmp_path: Path) -> None:
    project = Project(tmp_path, virtualenv=False)
    project.run("stack", "init", "s")
    project.program("")

    code, output = project.run("preview", "--stack", "s")

    assert code != 0
    assert "virtualenv 'venv' does not exist" in output
    assert "pulumi install" in output


def test_pulumi_install_makes_the_virtualenv_and_shows_what_pip_states(tmp_path: Path) -> None:
    project = Project(tmp_path, virtualenv=False)
    project.program("")
    (tmp_path / "requirements.txt").write_text("no-such-thing @ file:///no/such/folder\n")

    failed, output = project.run("install")
    assert failed != 0
    assert "No such file or directory" in output, "what pip says is shown"

    (tmp_path / "requirements.txt").write_text("# nothing\n")
    code, output = project.run("install")

    assert code == 0, output
    assert (tmp_path / "venv" / "bin" / "pip").exists()


def test_a_program_that_raises_shows_its_own_frames_only(project: Project) -> None:
    project.program("def broken():\n    raise RuntimeError('no catalogue')\n\nbroken()\n")

    code, output = project.run("preview", "--stack", "s")

    assert code != 0
    assert "RuntimeError: no catalogue" in output
    assert "program.py" not in output, "the runner's frames are not the program's"
    assert "exit code" not in output, "what has been shown is not said twice"


def test_a_program_that_is_not_there_is_named(project: Project) -> None:
    code, output = project.run("preview", "--stack", "s")

    assert code != 0
    assert "__main__.py" in output


def test_an_interrupt_ends_a_run_quietly(project: Project) -> None:
    project.program(_WAITS)
    with project.start("preview", "--stack", "s") as engine:
        program, host = _waited_for(project)
        engine.send_signal(signal.SIGINT)
        output, _ = engine.communicate(timeout=60)

    assert engine.returncode != 0
    assert "KeyboardInterrupt" not in output
    assert "Traceback" not in output
    assert _until(lambda: not _lives(program) and not _lives(host))


def test_host_and_program_end_with_an_engine_that_was_killed(project: Project) -> None:
    project.program(_WAITS)
    with project.start("preview", "--stack", "s") as engine:
        program, host = _waited_for(project)
        engine.send_signal(signal.SIGKILL)

        assert _until(lambda: not _lives(program) and not _lives(host)), "orphans were left"


def test_a_program_ends_with_a_host_that_was_killed(project: Project) -> None:
    project.program(_WAITS)
    with project.start("preview", "--stack", "s") as engine:
        program, host = _waited_for(project)
        os.kill(host, signal.SIGKILL)

        assert _until(lambda: not _lives(program)), "the program was left"
        assert engine.wait(60) != 0


def test_the_host_ends_at_the_engines_signal_for_which_the_engine_waits_five_seconds() -> None:
    with subprocess.Popen(
        [build.ensure_plugins() / "pulumi-language-python"], stdout=subprocess.PIPE
    ) as host:
        assert host.stdout is not None
        assert int(host.stdout.readline())
        try:
            host.send_signal(signal.SIGINT)
            assert host.wait(60) == 0
        finally:
            host.kill()


def test_only_the_official_host_knows_the_toolchain_poetry(project: Project) -> None:
    text = (project.folder / "Pulumi.yaml").read_text().replace("toolchain: pip", "toolchain: poetry")
    (project.folder / "Pulumi.yaml").write_text(text)
    project.program("")

    code, output = project.run("preview", "--stack", "s")

    assert code != 0
    assert "official language host" in output


def test_about_names_the_virtualenvs_interpreter(project: Project) -> None:
    project.program("")

    output = project.run("about")[1]

    assert str(project.folder / "venv" / "bin" / "python") in output
    assert ".".join(map(str, sys.version_info[:3])) in output


def _waited_for(project: Project) -> tuple[int, int]:
    """The pids of the program and of the host, once the program runs."""
    assert _until(lambda: len(_pids(project)) == 2), "the program has not started"
    program, host = _pids(project)
    return program, host


def _pids(project: Project) -> list[int]:
    file = project.folder / "pids"
    return [int(text) for text in file.read_text().split()] if file.exists() else []


def _lives(pid: int) -> bool:
    return bool(began(pid))


def _until(true: Callable[[], bool], seconds: float = 20.0) -> bool:
    """Whether it becomes true within `seconds`."""
    deadline = time.monotonic() + seconds
    while not (now := true()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return now
