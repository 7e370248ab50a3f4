"""A commit's dependencies are prepared without what could be stolen from the environment: their own code runs then."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from rollback.engines.pulumi import virtualenv
from rollback.engines.pulumi.engine import Engine

pytestmark = pytest.mark.finding("S19")

# A package whose build does what a hostile one would: it writes down all that it can see.
_BUILD = """
import base64, hashlib, json, os, zipfile
from pathlib import Path

Path({seen!r}).write_text(json.dumps(dict(os.environ)))


def build_wheel(folder, config_settings=None, metadata_directory=None):
    name = "hostile-1.0-py3-none-any.whl"
    files = {{
        "hostile.py": "",
        "hostile-1.0.dist-info/METADATA": "Metadata-Version: 2.1\\nName: hostile\\nVersion: 1.0\\n",
        "hostile-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
    }}
    record = "".join(f"{{path}},,\\n" for path in files) + "hostile-1.0.dist-info/RECORD,,\\n"
    with zipfile.ZipFile(Path(folder) / name, "w") as wheel:
        for path, text in {{**files, "hostile-1.0.dist-info/RECORD": record}}.items():
            wheel.writestr(path, text)
    return name
"""
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "stolen",
    "AWS_SECRET_ACCESS_KEY": "stolen",
    "AWS_SESSION_TOKEN": "stolen",
    "AWS_PROFILE": "stolen",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI": "stolen",
    "AWS_WEB_IDENTITY_TOKEN_FILE": "stolen",
    "PULUMI_ACCESS_TOKEN": "stolen",
    "PULUMI_CONFIG_PASSPHRASE": "stolen",
    "PULUMI_BACKEND_URL": "stolen",
    "GITHUB_TOKEN": "stolen",
    "GH_TOKEN": "stolen",
    "GITLAB_TOKEN": "stolen",
    "CI_JOB_TOKEN": "stolen",
    "CI_JOB_JWT": "stolen",
    "CI_REPOSITORY_URL": "stolen",
    "ROLLBACK_ID_TOKEN": "stolen",
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "stolen",
    "ACTIONS_ID_TOKEN_REQUEST_URL": "stolen",
    "ACTIONS_RUNTIME_TOKEN": "stolen",
    "SSH_AUTH_SOCK": "stolen",
    "TF_TOKEN_app_terraform_io": "stolen",
    "SLACK_BOT_TOKEN": "stolen",
    "DATABASE_PASSWORD": "stolen",
}
# What an installer may need: where packages are, and by which way.
KEPT = {
    "PIP_NO_INDEX": "1",
    "UV_INDEX_ACME_PASSWORD": "of the index",
    "https_proxy": "http://127.0.0.1:9",
    "LANG": "C.UTF-8",
}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in {**CREDENTIALS, **KEPT, "XDG_CACHE_HOME": str(tmp_path / "cache")}.items():
        monkeypatch.setenv(name, value)


def engine(program: str = "pulumi") -> Engine:
    return Engine(program=program, backend="file:///nowhere", variables=dict(os.environ))


def checkouts(worktree: Path, today: Path) -> virtualenv.Checkouts:
    return virtualenv.Checkouts(commit="0" * 40, worktree=worktree, today=today, folder=".")


def nothing_was_stolen(seen: Path) -> None:
    variables = json.loads(seen.read_text())
    assert not [name for name, value in variables.items() if value == "stolen"]
    assert {name: variables.get(name) for name in KEPT} == KEPT
    assert variables["PATH"]


@pytest.mark.usefixtures("environment")
def test_the_build_of_a_package_sees_no_credentials(tmp_path: Path) -> None:
    project, package = tmp_path / "project", tmp_path / "project" / "hostile"
    package.mkdir(parents=True)
    system = '[build-system]\nrequires = []\nbuild-backend = "build"\nbackend-path = ["."]\n'
    (package / "pyproject.toml").write_text(system)
    (package / "build.py").write_text(_BUILD.format(seen=str(tmp_path / "seen.json")))
    (project / "requirements.txt").write_text("./hostile\n")
    options = {"runtime": {"name": "python", "options": {"virtualenv": "venv"}}}

    virtualenv.provide(engine(), options, checkouts(project, tmp_path / "today"))

    assert list((project / "venv").glob("lib/*/site-packages/hostile.py"))
    nothing_was_stolen(tmp_path / "seen.json")


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize(
    "runtime", ["nodejs", {"name": "python", "options": {"toolchain": "uv"}}], ids=["npm", "uv"]
)
def test_neither_does_what_the_engine_installs(tmp_path: Path, runtime: object) -> None:
    seen, program = tmp_path / "seen.json", tmp_path / "pulumi"
    command = f"import json, os; open({str(seen)!r}, 'w').write(json.dumps(dict(os.environ)))"
    program.write_text(f'#!/bin/sh\nexec python3 -c "{command}"\n')
    program.chmod(0o700)

    virtualenv.provide(engine(str(program)), {"runtime": runtime}, checkouts(tmp_path, tmp_path))

    nothing_was_stolen(seen)
