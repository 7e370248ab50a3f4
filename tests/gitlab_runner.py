"""Runs the jobs of a GitLab pipeline on this machine, as a runner with the shell executor would.

What GitLab does of a file: the inputs of a component are put into its text, `extends` is merged, rules of the form that
the components here have are decided, variables and those of dotenv reports are given to the jobs that need them. What a
runner does: the lines of `before_script` and `script` in one shell that ends with the first failure, `after_script` in
one of its own. What neither GitLab nor a runner is asked here: environments and their protection, approvals, artifacts
but dotenv, caches, timeouts, images, resource groups, and whether GitLab would take the file (its published schema does).
https://docs.gitlab.com/ci/inputs/ https://docs.gitlab.com/ci/variables/ https://docs.gitlab.com/runner/shells/
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

_INPUT = re.compile(r"\$\[\[ inputs\.([a-z_]+) \]\]")
_PATIENCE = 240.0


def pipeline(text: str) -> dict[str, Any]:
    """A file's document."""
    return dict(yaml.safe_load(text))


def component(text: str, inputs: Mapping[str, str]) -> dict[str, Any]:
    """A component's document with its inputs. Fails where an input is unknown, missing, or none that it takes."""
    header, body = text.split("\n---\n")
    known = yaml.safe_load(header)["spec"]["inputs"]
    assert set(inputs) <= set(known), f"unknown: {set(inputs) - set(known)}"
    given = {}
    for name, said in known.items():
        about = said or {}
        assert name in inputs or "default" in about, f"{name} is missing"
        value = str(inputs.get(name, about.get("default")))
        assert value in about.get("options", [value]), (name, value)
        assert re.search(about.get("regex", ""), value), (name, value)
        given[name] = value
    return pipeline(_INPUT.sub(lambda found: given[found[1]], body))


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """How a job ended: its exit code, what it printed, and the variables that it hands on."""

    code: int
    log: str
    handed_on: Mapping[str, str]


def jobs(document: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The jobs of a document that are not hidden, each with what it extends."""
    made = {}
    for name, job in document.items():
        if name.startswith(".") or name in ("variables", "include"):
            continue
        made[name] = {**document.get(job.get("extends", ""), {}), **job}
    return made


def runs(job: Mapping[str, Any], variables: Mapping[str, str]) -> str:
    """When a job runs in a pipeline with these variables: `on_success`, `manual`, or `never`."""
    for rule in job["rules"]:
        if _holds(rule.get("if", ""), variables):
            return str(rule.get("when", "on_success"))
    return "never"


def _holds(condition: str, variables: Mapping[str, str]) -> bool:
    """A condition of comparisons with `&&`, of which one may be alternatives in parentheses."""

    def side(text: str) -> str | None:
        if text == "null":
            return None
        return variables.get(text[1:]) if text.startswith("$") else text.strip('"')

    def compared(text: str) -> bool:
        left, right = text.split(" == ")
        return side(left) == side(right)

    return all(
        any(compared(one) for one in part.strip("()").split(" || ")) for part in condition.split(" && ")
    )


def run(job: Mapping[str, Any], folder: Path, variables: Mapping[str, str], system: Mapping[str, str]) -> Job:
    """Runs a job in a checkout. `variables` are CI variables, `system` what the runner's own environment has."""
    expanded = {
        name: re.sub(r"\$(\w+)", lambda found: variables.get(found[1], ""), str(value))
        for name, value in job.get("variables", {}).items()
    }
    # A pipeline's variables count more than a job's.
    environment = {**system, **expanded, **variables, "CI_PROJECT_DIR": str(folder)}
    Path(f"{folder}.tmp").mkdir(exist_ok=True)
    (folder / "rollback.env").unlink(missing_ok=True)
    code, log = _shell([*job.get("before_script", []), *job["script"]], folder, environment)
    report = job.get("artifacts", {}).get("reports", {}).get("dotenv")
    handed_on = {}
    if report and (folder / report).exists():
        handed_on = dict(line.split("=", 1) for line in (folder / report).read_text().splitlines())
    after, printed = _shell(job.get("after_script", []), folder, environment)
    assert after == 0, printed
    return Job(code=code, log=log, handed_on=handed_on)


def _shell(lines: list[str], folder: Path, environment: Mapping[str, str]) -> tuple[int, str]:
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail"],
        cwd=folder,
        env=dict(environment),
        input="\n".join(lines),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_PATIENCE,
        check=False,
    )
    return done.returncode, done.stdout
