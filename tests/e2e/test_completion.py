"""The tab key: names of the checkout's settings, in each shell's own way, without AWS and without noise."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import resource
import select
import shutil
import signal
import stat
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Self

import pytest

from localaws import shell
from rollback.cli import known_names
from tests.e2e.estate_under_test import ALICE, CATALOGUE, FUNCTIONS, REASON, SCRIPT, Platform, checkout

# Seconds of processor time; a person waits about as long on a quiet machine.
_BUDGET = 0.6
IDS = ("01M86PTPG00000000000000001", "01KZZZZZZ00000000000000001")
_READY = "ready> "
# Seconds until something is on a terminal's screen, on a busy machine.
_PATIENCE = 30
_SEQUENCE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]|.\x08")


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout with two environments, and no way to AWS."""
    root = tmp_path_factory.mktemp("completion") / "platform"
    checkout(root, "dev", "690000000077")
    return root


def run(command: list[str], where: Path, home: Path | None = None, **more: str) -> tuple[str, str]:
    done = subprocess.run(
        command,
        cwd=where,
        env={
            **shell.inherited(),
            "PATH": f"{SCRIPT.parent}{os.pathsep}/usr/bin{os.pathsep}/bin",
            "HOME": str(home or where),
            "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
            **more,
        },
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout, done.stderr


def offered(where: Path, typed: str) -> list[str]:
    """What bash is given for the last word of `typed`."""
    parts = typed.split(" ")
    asked: Mapping[str, str] = {
        "COMP_WORDS": typed,
        "COMP_CWORD": str(len(parts) - 1),
        "_ROLLBACK_COMPLETE": "complete_bash",
    }
    output, noise = run([str(SCRIPT)], where, **asked)
    assert noise == ""
    return output.split()


@pytest.mark.parametrize(
    ("typed", "names"),
    [
        ("rollback sta", ["stack", "status", "standby"]),
        ("rollback status --env ", ["dev", "prod"]),
        ("rollback show ID -e p", ["prod"]),
        ("rollback lambda --env dev --services ", ["all", *CATALOGUE]),
        ("rollback lambda --services role_service,role", ["role_service,role_service_admin"]),
        (
            "rollback lambda --env dev --except role-",
            [name for name in FUNCTIONS if name.startswith("role-")],
        ),
        ("rollback lambda --env dev --to ", ["previous"]),
        ("rollback release quar", ["quarantine"]),
        ("rollback status --verb", ["--verbose"]),
        ("rollback show ", ["last"]),
        ("rollback diff ", ["previous", "recorded", "deployed"]),
        ("rollback table --env prod --table ", ["bbws-access-prod-ddb-access-management"]),
        ("rollback lambda --env nowhere --services ", ["all"]),
        ("rollback history -o ", ["table", "json"]),
    ],
)
def test_names_are_completed(here: Path, typed: str, names: list[str]) -> None:
    assert offered(here, typed) == names


def test_outside_a_checkout_and_in_a_broken_one_nothing_is_offered_and_nothing_reported(
    here: Path, tmp_path: Path
) -> None:
    assert offered(tmp_path, "rollback status --env ") == []
    (tmp_path / "Pulumi.yaml").write_text("name: [")
    (tmp_path / "Pulumi.dev.yaml").write_text("\x00")

    assert offered(tmp_path, "rollback status --env ") == ["dev"]
    assert offered(tmp_path, "rollback lambda --env dev --services ") == ["all"]


def test_it_is_there_at_once(here: Path) -> None:
    spent = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        offered(here, "rollback lambda --env dev --services ")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)

    assert min(spent) < _BUDGET, f"{spent} s"


# What is typed before the tab key, and the word that it becomes.
TYPED = {
    "a verb": ("rollback hist", "history"),
    "an option": ("rollback status --exa", "--exact"),
    "an environment": ("rollback freeze --env d", "dev"),
    "a service": ("rollback lambda --env dev --services aud", "audit_service"),
    "a function": ("rollback lambda --env dev --except audit-service-r", "audit-service-record"),
    "a table": ("rollback table --env prod --table bb", "bbws-access-prod-ddb-access-management"),
    "an id": (f"rollback show {IDS[0][:8]}", IDS[0]),
    "a release": ("rollback lambda --env dev --to v1.1", "v1.1.0"),
}
SHELLS = ["bash", "zsh", "fish"]


@pytest.fixture(scope="module", params=SHELLS)
def completing(
    request: pytest.FixtureRequest, here: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str, str], str]]:
    """What a shell, for which completion was installed as docs/install.md has it, makes of a line: it gets the line, and
    the word that is waited for.
    """
    shell_ = request.param
    if shutil.which(shell_) is None:
        pytest.skip(f"there is no {shell_} here")
    home = tmp_path_factory.mktemp(f"home-of-{shell_}")
    # A command after it keeps the shell there, which is looked for among the parents.
    run([shell_, "-c", "rollback --install-completion; true"], here, home)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("HOME", str(home))
        patched.delenv("XDG_CACHE_HOME", raising=False)
        known_names.keep(here, "dev", known_names.Names(ids=IDS, releases=("v1.1.0", "v1.0.0")))
    if shell_ == "fish":  # which asks itself, by the same way as its tab key
        yield lambda line, _: run(["fish", "-c", 'complete -C "$line"'], here, home, line=line)[0]
        return
    with Keyboard(shell_, here, home) as keyboard:
        yield keyboard.tab


@pytest.mark.parametrize("what", TYPED)
def test_the_tab_key_completes_it_in_each_shell(completing: Callable[[str, str], str], what: str) -> None:
    typed, word = TYPED[what]

    assert word in completing(typed, word).replace("\t", " ").split()


class Keyboard:
    """An interactive shell on a terminal of its own."""

    def __init__(self, shell_: str, where: Path, home: Path) -> None:
        path = f"{SCRIPT.parent}{os.pathsep}/usr/bin{os.pathsep}/bin"
        variables = {
            "HOME": str(home),
            "PATH": path,
            "TERM": "dumb",
            "COLUMNS": "500",
            "LC_ALL": "C.UTF-8",
            "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        }
        rc = home / (".bashrc" if shell_ == "bash" else ".zshrc")
        rc.write_text(f"{rc.read_text()}\nPS1='{_READY}'\n")
        self._pid, self._terminal = pty.fork()
        if not self._pid:
            os.chdir(where)
            os.execve(f"/usr/bin/{shell_}", [shell_, "-i"], variables)  # noqa: S606
        fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 500, 0, 0))
        self._until(_READY)

    def tab(self, line: str, word: str) -> str:
        """The line as it is once the word is in it."""
        os.write(self._terminal, f"{line}\t".encode())
        shown = self._until(f"{line.rpartition(' ')[0]} {word}")
        # The line is emptied, and a new one begun.
        os.write(self._terminal, b"\x15\r")
        self._until(_READY)
        return shown

    def _until(self, text: str) -> str:
        """What comes on the screen until `text` is there. Raises where it is not, in time."""
        shown, end = "", time.monotonic() + _PATIENCE
        while text not in shown:
            ready, _, _ = select.select([self._terminal], [], [], max(0, end - time.monotonic()))
            if not ready:
                raise AssertionError(f"{text!r} never came: {shown[-2000:]!r}")
            shown += _SEQUENCE.sub("", os.read(self._terminal, 65536).decode(errors="replace"))
        return shown

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        os.close(self._terminal)


def test_what_is_kept_for_the_tab_key_is_what_verbs_have_met(dev: Platform) -> None:
    dev.story()
    run_ = dev.rollback("lambda", "--reason", REASON, "--json", as_=ALICE)
    assert run_.code == 0, str(run_)

    (kept,) = Path(dev.folder, ".cache", "rollback", "names").iterdir()

    names = json.loads(kept.read_text())
    assert names["ids"] == [run_.id]
    assert set(names["releases"]) <= {"v1.0.0", "v1.1.0", "v1.2.0"}
    assert "v1.2.0" in names["releases"]
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


def test_the_lines_to_copy_are_shown_for_each_shell(here: Path, tmp_path: Path) -> None:
    for name in SHELLS:
        if shutil.which(name):
            shown, noise = run([name, "-c", "rollback --show-completion; true"], here, tmp_path)
            assert f"_ROLLBACK_COMPLETE=complete_{name}" in shown
            assert noise == ""
