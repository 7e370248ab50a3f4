"""What `from rollback import …` gives: typed names, imported when they are asked for, and the command's own codes."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import rollback
from rollback import Environment, RollbackError
from rollback.cli.app import app
from tests.doubles.world import texts

_IMPORTED = """
import json, sys
import rollback
before = sorted(name for name in sys.modules if name.startswith("rollback."))
from rollback import Environment
print(json.dumps([before, sorted(sys.modules)]))
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout, without credentials and without a way to AWS; the process is somewhere else."""
    root = tmp_path / "checkout"
    root.mkdir()
    for name, text in zip(("Pulumi.yaml", "Pulumi.dev.yaml"), texts(), strict=True):
        (root / name).write_text(text, encoding="utf-8")
    for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name, value in (
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("AWS_CONFIG_FILE", str(tmp_path / "none")),
        ("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none")),
    ):
        monkeypatch.setenv(name, value)
    return root


def test_every_name_is_there_and_has_a_docstring() -> None:
    for name in rollback.__all__:
        assert name == "__version__" or inspect.getdoc(getattr(rollback, name)), name
    with pytest.raises(AttributeError):
        rollback.nothing  # noqa: B018 - raises
    assert (Path(rollback.__file__).parent / "py.typed").exists()


def test_everything_that_a_script_can_call_is_documented_and_typed() -> None:
    for name, member in inspect.getmembers(Environment):
        if name.startswith("_") or isinstance(member, property):
            continue
        assert inspect.getdoc(member), name
        if callable(member):
            assert inspect.signature(member).return_annotation is not inspect.Signature.empty, name


def test_it_is_imported_when_it_is_asked_for_and_without_what_is_an_extra() -> None:
    done = subprocess.run([sys.executable, "-c", _IMPORTED], capture_output=True, text=True, check=True)
    before, after = json.loads(done.stdout)

    assert before == ["rollback.util", "rollback.util.version"]
    assert not {"pulumi", "hcl2", "slack_sdk", "typer"} & set(after)


@pytest.mark.parametrize(
    ("environment", "folder"), [("dev", "."), ("prd", "."), ("dev\n", "."), ("dev", "..")], ids=repr
)
def test_what_the_command_says_the_api_raises_with_the_same_code(
    project: Path, monkeypatch: pytest.MonkeyPatch, environment: str, folder: str
) -> None:
    here = project / folder

    with pytest.raises(RollbackError) as raised:
        Environment.open(environment, folder=here)
    monkeypatch.chdir(here)
    run = CliRunner().invoke(app, ["status", "--env", environment, "--json"])

    error = json.loads(run.output.splitlines()[-1])
    assert (error["code"], error["exit_code"]) == (raised.value.code, raised.value.exit_code)
    assert error["message"] == raised.value.what.replace("\n", " ")


def test_the_environments_of_a_checkout_are_named_without_credentials(project: Path) -> None:
    assert Environment.names(project) == ("dev",)
