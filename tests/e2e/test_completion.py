"""The tab key: names of the checkout's settings, in each shell's own way, without AWS and without noise."""

from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from localaws import shell
from tests.e2e.estate_under_test import CATALOGUE, FUNCTIONS, SCRIPT, checkout

# Seconds of processor time; a person waits about as long on a quiet machine.
_BUDGET = 0.6


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
        ("rollback table --env prod --table ", ["bbws-access-prod-ddb-access-management"]),
        ("rollback lambda --env nowhere --services ", ["all"]),
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


def test_zsh_and_fish_are_answered_as_they_ask(here: Path) -> None:
    asked = {"_TYPER_COMPLETE_ARGS": "rollback status --env ", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}

    zsh, _ = run([str(SCRIPT)], here, _ROLLBACK_COMPLETE="complete_zsh", **asked)
    fish, _ = run([str(SCRIPT)], here, _ROLLBACK_COMPLETE="complete_fish", **asked)

    assert zsh.strip() == '_arguments \'*: :(("dev"\n"prod"))\''
    assert fish.split() == ["dev", "prod"]


def test_what_bash_installs_completes_in_bash(here: Path, tmp_path: Path) -> None:
    # A command after it keeps the shell there, which is looked for among the parents.
    run(["bash", "-c", "rollback --install-completion; true"], here, tmp_path)
    typed = "rollback freeze --env d"
    script = f"""
        source {tmp_path}/.bashrc
        complete -p rollback
        COMP_WORDS=({typed}) COMP_CWORD=3
        _rollback_completion rollback
        echo "${{COMPREPLY[@]}}"
    """

    output, noise = run(["bash", "-c", script], here, tmp_path)
    shown, _ = run(["bash", "-c", "rollback --show-completion; true"], here, tmp_path)

    assert output.splitlines() == ["complete -o default -F _rollback_completion rollback", "dev"]
    assert noise == ""
    assert "_ROLLBACK_COMPLETE=complete_bash" in shown
