"""Steps of the workflows, their scripts run by a shell: what act runs as a whole, `make soak` has (`tests/e2e/test_workflows.py`)."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.command_lines import parsed

ROOT = Path(__file__).parents[3]
WORKFLOWS = ROOT / ".github" / "workflows"
SCRIPTED = sorted(
    [
        *WORKFLOWS.glob("*.yml"),
        *(ROOT / ".github" / "actions").rglob("*.yml"),
        *(ROOT / "templates").glob("*.yml"),
    ]
)
CALLED = "rollback.yml"
# Those that a person starts, each with the shared workflow that it calls.
STARTED = sorted(path.name for path in WORKFLOWS.glob("rollback-*.yml"))
# A value in a script, by its name; any is a word, and what it says is refused or not when the job runs.
_VALUE = re.compile(r"\$\{[^}]*\}+|\$\[\[[^]]*\]\]|\$\w+")
_LINE = re.compile(r"(?:^|[(|&;]|\bif\b|\btimeout [^\n]*?) *(rollback [a-z][^\n)]*)", re.MULTILINE)
_WORDS = {"role": "rollback", "kind": "lambda"}
_HOSTILE = """"; touch pwned; $(touch pwned) `touch pwned` '<b>' | it's bad"""


def workflow(name: str) -> dict[Any, Any]:
    return dict(yaml.safe_load((WORKFLOWS / name).read_text(encoding="utf-8")))


def inputs(name: str) -> dict[str, Any]:
    """By whatever event: YAML takes `on` for a boolean."""
    return {key: value for event in workflow(name)[True].values() for key, value in event["inputs"].items()}


def step(job: str, name: str) -> dict[str, Any]:
    (found,) = [one for one in workflow(CALLED)["jobs"][job]["steps"] if one.get("name") == name]
    return dict(found)


def shell(script: str, variables: dict[str, str], folder: Path) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(folder / "bin"), "/usr/bin", "/bin"])
    return subprocess.run(
        ["bash", "-eo", "pipefail", "-c", script],
        env={"PATH": path, **variables},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_called_from_elsewhere_without_a_source_it_says_so(tmp_path: Path) -> None:
    surroundings = {"SOURCE": "", "GITHUB_WORKSPACE": str(tmp_path)}

    done = shell(step("plan", "Install the command")["run"], surroundings, tmp_path)

    assert done.returncode == 2
    assert done.stdout.startswith("::error::")


def test_all_that_a_plan_is_asked_for_is_handed_to_the_command_word_for_word(tmp_path: Path) -> None:
    plan = step("plan", "Plan")
    given = {name: f"{name} {_HOSTILE}" for name in plan["env"]}
    script = tmp_path / "bin" / "rollback"
    script.parent.mkdir()
    script.write_text(f"#!{sys.executable}\nimport json, sys\nprint(json.dumps(sys.argv[1:]))\n")
    script.chmod(0o755)

    done = shell(plan["run"], given, tmp_path)

    assert done.returncode == 0, done.stderr
    what, verb, kind, *options = json.loads(done.stdout)
    assert (what, verb, kind) == ("ci", "plan", given["KIND"])
    assert {option.partition("=")[0]: option.partition("=")[2] for option in options} == {
        f"--{name.lower().replace('_', '-').replace('environment', 'env')}": value
        for name, value in given.items()
        if name not in ("GITHUB_TOKEN", "KIND")
    }
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("name", STARTED)
def test_every_input_of_a_workflow_is_handed_on_to_the_one_that_it_calls(name: str) -> None:
    (job,) = workflow(name)["jobs"].values()
    handed = job["with"]
    used = {key for key in inputs(name) if any(f"inputs.{key} " in str(text) for text in handed.values())}

    assert job["uses"] == f"./.github/workflows/{CALLED}"
    assert used == inputs(name).keys()
    assert handed.keys() <= inputs(CALLED).keys()


def scripts(document: Any) -> Iterator[str]:
    """What shells are given, anywhere in a workflow, an action or a component."""
    if isinstance(document, list):
        for one in document:
            yield from [one] if isinstance(one, str) else scripts(one)
    elif isinstance(document, dict):
        for key, value in document.items():
            yield from [value] if key == "run" and isinstance(value, str) else scripts(value)


@pytest.mark.parametrize("path", SCRIPTED, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_line_of_a_script_is_one_that_the_command_takes(path: Path) -> None:
    text = path.read_text(encoding="utf-8")

    lines = [
        line
        for document in yaml.safe_load_all(text)
        for script in scripts(document)
        for line in _LINE.findall(_VALUE.sub(_word, script.replace("\\\n", " ")))
    ]

    assert lines or "rollback ci " not in text
    for line in lines:
        parsed(re.split(r" (?:>>|\|\||&&|\|) ", line)[0])


def _word(value: re.Match[str]) -> str:
    if ":+" in value[0]:  # words that are there or not
        return ""
    (name,) = re.findall(r"^\W+(?:inputs\.)?(\w+)", value[0])
    return _WORDS.get(name.lower(), "1")
