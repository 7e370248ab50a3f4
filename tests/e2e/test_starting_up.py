"""What a command costs before it does anything."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

_IMPORTED = """
import contextlib, io, json, sys
from rollback.cli.app import app
sys.argv = ["rollback", *json.loads(sys.argv[1])]
with contextlib.redirect_stdout(io.StringIO()) as said, contextlib.suppress(SystemExit):
    app()
print(json.dumps({"said": said.getvalue(), "modules": sorted(sys.modules)}))
"""


@pytest.mark.parametrize("words", [["--help"], []])
def test_help_imports_neither_boto3_nor_pulumi_nor_pydantic(words: list[str]) -> None:
    said, modules = _run(words)

    assert not {"boto3", "botocore", "pulumi", "pydantic", "yaml"} & modules
    assert "Usage" in said


@pytest.mark.parametrize("words", [["lambda", "--help"], ["release", "record", "--help"]])
def test_a_verbs_help_imports_neither_boto3_nor_pulumi(words: list[str]) -> None:
    said, modules = _run(words)

    # Pydantic is typer's own here: it reads a verb's options with it.
    assert (
        not {"boto3", "botocore", "pulumi", "yaml", "rollback.config.settings", "rollback.actions.lifecycle"}
        & modules
    )
    assert "Usage" in said


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


def _run(words: list[str]) -> tuple[str, set[str]]:
    """What the command says, and the modules that it has imported by then."""
    done = subprocess.run(
        [sys.executable, "-c", _IMPORTED, json.dumps(words)], capture_output=True, text=True, check=True
    )
    result = json.loads(done.stdout)
    return result["said"] + done.stderr, set(result["modules"])
