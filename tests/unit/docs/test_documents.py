"""What the documents name is there: tests, files, verbs and the settings."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Literal, get_args, get_origin

import pytest
from typer.main import get_command

from rollback.cli.app import app
from rollback.config.people import ApprovalPolicies
from tests.syntax import parsed

ROOT = Path(__file__).parents[3]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_tests_that_a_page_names_exist(page: Path) -> None:
    named = re.findall(r"(tests/[a-z0-9_/]+\.py)(?:::(test_[a-z0-9_]+))?", page.read_text())

    missing = [
        f"{file}::{name}"
        for file, name in named
        if not (ROOT / file).is_file() or (name and f"def {name}(" not in (ROOT / file).read_text())
    ]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_pages_that_a_page_leads_to_exist(page: Path) -> None:
    led = re.findall(r"\]\(([^)#:]+?)(?:#[^)]*)?\)", page.read_text())

    assert not [there for there in led if not (page.parent / there).exists()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_that_a_page_shows_exist_with_their_options(page: Path) -> None:
    commands = get_command(app).commands  # type: ignore[attr-defined]
    wrong = []
    blocks = "\n".join(re.findall(r"^ *```\w*\n(.*?)^ *```$", page.read_text(), re.MULTILINE | re.DOTALL))
    for line in re.findall(r"^(?: {4}|\$ |\w+=\S+ )?rollback ([a-z].*?)(?: {2,}#.*)?$", blocks, re.MULTILINE):
        parts = line.split()
        command = commands.get(parts[0])
        if command is not None and hasattr(command, "commands"):
            command = command.commands.get(parts[1]) if len(parts) > 1 else None
        if command is not None:
            command = command.make_context(parts[0], [], resilient_parsing=True).command
        options = {name for one in getattr(command, "params", ()) for name in one.opts}
        if command is None or [text for text in parts if text.startswith("--") and text not in options]:
            wrong.append(line)
    assert not wrong


@pytest.mark.finding("A9")
def test_each_example_and_ci_file_is_in_the_list_of_what_has_not_met_the_real_service_with_its_test() -> None:
    section = (ROOT / "docs" / "limits.md").read_text().partition("## What has not met the real service\n")[2]
    rows = [line.split(" | ") for line in section.partition("\n## ")[0].splitlines() if line.startswith("| ")]

    listed = {name for row in rows[1:] for name in re.findall(r"`([a-z_./-]+)`", row[0])}
    places = ("examples/*.py", "examples/platforms/*/", "templates/*.yml", ".github/workflows/*.yml")
    shipped = {path.name for place in places for path in ROOT.glob(place)}
    assert len(shipped) > 10
    assert shipped <= listed
    assert all(len(row) == 4 and re.search(r"`tests/\S+\.py`", row[3]) for row in rows[1:])


def test_every_promise_of_the_checklist_has_a_test_of_its_own_that_every_run_asserts() -> None:
    rows = (ROOT / "docs" / "coming-from-the-workflows.md").read_text().partition("## The checklist")[2]
    promises = re.findall(r"^\| [A-Z][^|]+ \| `([^`]+)::(test_[a-z0-9_]+)` \|$", rows, re.MULTILINE)

    assert len(set(promises)) == rows.count("::test_") == 8
    every_run_asserts(promises)


def test_every_promise_of_security_has_a_test_that_every_run_asserts() -> None:
    rows = (ROOT / "docs" / "security.md").read_text().partition("## Not promised")[0]
    tables = re.findall(r"^\| (?!promise \|)(.+)$", rows, re.MULTILINE)
    promises = [re.fullmatch(r"[^|]+ \| `([^`]+)::(test_[a-z0-9_]+)` \|", row) for row in tables]

    assert None not in promises
    every_run_asserts([(one[1], one[2]) for one in promises if one is not None])


def every_run_asserts(promises: list[tuple[str, str]]) -> None:
    for file, name in promises:
        tests = [
            node
            for node in parsed((ROOT / file).read_text()).body
            if isinstance(node, ast.FunctionDef) and node.name == name
        ]
        (test,) = tests
        asserts = any(isinstance(node, ast.Assert) for node in ast.walk(test))
        assert asserts or "raises(" in ast.unparse(test), f"{name} asserts nothing"
        marks = " ".join(map(ast.unparse, test.decorator_list))
        assert not re.search(r"mark\.(skip|xfail|soak)", marks), f"{name} is not in every run"


def test_every_workflow_and_every_verb_is_in_a_page() -> None:
    text = "\n".join(page.read_text() for page in PAGES)

    verbs = [name for name in get_command(app).commands if name != "ci"]  # type: ignore[attr-defined]
    workflows = [file.name for file in (ROOT / ".github" / "workflows").glob("*.yml")]
    assert not [name for name in verbs if not re.search(rf"[`\s]{name}[`\s,]", text)]
    assert not [name for name in workflows if f"`{name}`" not in text]


@pytest.mark.finding("F8")
def test_the_page_names_exactly_the_approvals_that_a_setting_may_ask_for() -> None:
    page = (ROOT / "docs" / "settings.md").read_text()
    rows = dict(re.findall(r"^\| `approval\.(\w+)` \|[^|]*: ([^|:]*) \|", page, re.MULTILINE))
    documented = {kind: set(re.findall(r"`(\w+)`", among)) for kind, among in rows.items()}

    accepted = {
        name: set(get_args(field.annotation))
        for name, field in ApprovalPolicies.model_fields.items()
        if get_origin(field.annotation) is Literal
    }
    assert documented == accepted


def test_every_verb_has_a_guide() -> None:
    guides = (ROOT / "docs" / "how-to" / "README.md").read_text()

    named = set(
        re.findall(
            r"`rollback ([a-z]+)[^`]*`", "\n".join(re.findall(r"^\| ([^|]+) \|", guides, re.MULTILINE))
        )
    )

    assert named == set(get_command(app).commands)  # type: ignore[attr-defined]
