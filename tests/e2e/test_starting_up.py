"""What a command costs before it does anything."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from rollback.cli.app import VERBS

_IMPORTED = """
import contextlib, io, json, sys
from rollback.cli.app import app
from rollback.cli.lazy import Waiting
for words in json.loads(sys.argv[1]):
    sys.argv = ["rollback", *words]
    with contextlib.redirect_stdout(io.StringIO()) as said, contextlib.suppress(SystemExit):
        app()
    # What waits for its first use is listed already, but nothing of it has been executed.
    imported = sorted(name for name, module in sys.modules.items() if type(module) is not Waiting)
    print(json.dumps({"said": said.getvalue(), "modules": imported}))
"""
_HEAVY = {"boto3", "botocore", "pulumi", "yaml", "rollback.config.settings", "rollback.lifecycle.lifecycle"}


@pytest.mark.parametrize("arguments", [["--help"], []])
def test_help_imports_neither_boto3_nor_pulumi_nor_pydantic(arguments: list[str]) -> None:
    ((output, modules),) = _run(arguments)

    assert not (_HEAVY | {"pydantic"}) & modules
    assert not _verbs(modules)
    assert "Usage" in output


def test_a_verbs_help_imports_neither_boto3_nor_pulumi() -> None:
    every = [
        [verb, "--help"] if group == "rollback" else [group, verb, "--help"]
        for group, verbs in VERBS.items()
        for verb in verbs
    ]

    for parts, (output, modules) in zip(every, _run(*every), strict=True):
        # Pydantic is typer's own here: it reads a verb's options with it.
        assert not _HEAVY & modules, parts
        assert f"Usage: rollback {' '.join(parts[:-1])} " in output


def test_a_list_of_verbs_and_the_completion_of_one_import_none_of_them() -> None:
    ((listed, after_listing),) = _run(["release", "--help"])
    completing = {"COMP_WORDS": "rollback sta", "COMP_CWORD": "1", "_ROLLBACK_COMPLETE": "complete_bash"}
    ((completed, after_completing),) = _run([], **completing)

    assert not _verbs(after_listing | after_completing)
    assert not _HEAVY & (after_listing | after_completing)
    assert "quarantine" in listed
    assert completed.split() == ["stack", "status", "standby"]


def test_a_rollback_of_aliases_and_how_it_is_shown_import_neither_the_engine_nor_what_other_verbs_do() -> (
    None
):
    modules = (
        "rollback.lifecycle.lifecycle",
        "rollback.queries.situation",
        "rollback.api.environment",
        "rollback.targets.aliases.target",
        "rollback.views.plan",
        "rollback.views.records",
        "rollback.views.terminal",
    )
    code = f"import json, sys, {', '.join(modules)}; print(json.dumps([*sys.modules]))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    imported = set(json.loads(done.stdout))
    assert not {name.partition(".")[0] for name in imported} & {"pulumi", "grpc", "hcl2"}
    assert not {"rollback.rehearsal", "rollback.queries.audit", "rollback.readiness"} & imported


def test_what_an_aws_profile_waits_for_imports_neither_boto3_nor_what_shows_things(tmp_path: Path) -> None:
    role, kept = (
        "arn:aws:iam::111122223333:role/acme-dev-rollback-role",
        '{"Expiration": "2999-01-01T00:00:00+00:00"}',
    )
    logins = tmp_path / "rollback" / "logins"
    logins.mkdir(parents=True)
    (logins / "111122223333-acme-dev-rollback-role.json").write_text(kept)
    (logins / "111122223333-acme-dev-rollback-role.json").chmod(0o600)
    ((said, modules),) = _run(["credentials", role], XDG_STATE_HOME=str(tmp_path))

    assert said.strip() == kept
    assert not (_HEAVY | {"rich", "rollback.views.terminal"}) & modules


def test_help_names_every_verb() -> None:
    script = subprocess.run(
        [f"{sys.prefix}/bin/rollback", "--help"], capture_output=True, text=True, check=True
    )

    verbs = (
        "lambda",
        "approve",
        "apply",
        "resume",
        "abort",
        "verify",
        "status",
        "history",
        "show",
        "release",
    )
    assert all(verb in script.stdout for verb in verbs)


def _run(*commands: list[str], **env: str) -> list[tuple[str, set[str]]]:
    """What each of the commands says, one after the other in one process, and what was imported by then."""
    done = subprocess.run(
        [sys.executable, "-c", _IMPORTED, json.dumps(commands)],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=True,
    )
    results = [json.loads(line) for line in done.stdout.splitlines()]
    return [(result["said"] + done.stderr, set(result["modules"])) for result in results]


def _verbs(modules: set[str]) -> list[str]:
    return [
        name
        for name in modules
        if (name.startswith("rollback.") and name.endswith("verbs"))
        or name.startswith("rollback.cli.commands.")
    ]
