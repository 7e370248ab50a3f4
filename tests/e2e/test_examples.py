"""The scripts in `examples/` do what they say, each in a process of its own as a person would start it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from localaws.paths import ROOT
from tests.e2e.estate_under_test import ALICE, BOB, DAN, REASON, SCRIPT, Person, Platform, git
from tests.warm import Run

_CHECK = """
import sys, boto3
answer = boto3.client("lambda").invoke(FunctionName=sys.argv[1], Qualifier="live")
sys.exit("FunctionError" in answer)
"""
PYTHON = str(SCRIPT.parent / "python")


def example(name: str) -> str:
    return str(ROOT / "examples" / f"{name}.py")


def ran(platform: Platform, name: str, *arguments: str, as_: Person) -> Run:
    return platform.command([PYTHON, example(name), *arguments], as_=as_).finish()


@pytest.fixture
def check(tmp_path: Path) -> str:
    path = tmp_path / "check.py"
    path.write_text(_CHECK)
    return str(path)


def test_functions_go_back_when_the_users_own_check_fails(dev: Platform, check: str) -> None:
    dev.story()
    asked = ("--env", "dev", "--services", "team_service", "--", PYTHON, check, dev.name("team-service-get"))
    before = dev.versions()

    unhealthy = ran(dev, "roll_back_if_unhealthy", *asked, as_=ALICE)
    healthy = ran(dev, "roll_back_if_unhealthy", *asked, as_=ALICE)

    assert unhealthy.code == 0, str(unhealthy)
    assert "COMPLETE: v1.2.0 → v1.1.0" in unhealthy.out
    moved = {name for name, version in dev.versions().items() if version != before[name]}
    assert moved == {"team-service-get", "team-service-list"}
    (record, *_) = dev.rollback("history", "--kind", "aliases", "--json", as_=ALICE).json
    assert (record["status"], record["services"]) == ("COMPLETE", ["team_service"])
    assert (healthy.code, healthy.out) == (0, "healthy\n"), str(healthy)


def test_a_plan_is_approved_from_another_process_by_another_person(prod: Platform) -> None:
    prod.story()
    waiting = prod.waiting()

    shown = ran(prod, "approve", waiting.id, "--env", "prod", as_=BOB)
    digest = re.findall(r"^digest ([0-9a-f]{64})$", shown.out, re.MULTILINE)
    not_theirs = ran(prod, "approve", waiting.id, "--env", "prod", "--digest", digest[0], as_=ALICE)
    approved = ran(prod, "approve", waiting.id, "--env", "prod", "--digest", digest[0], as_=BOB)
    applied = prod.rollback("apply", waiting.id, "--json", as_=ALICE)

    assert (shown.code, digest) == (0, [waiting.json["digest"]]), str(shown)
    assert "500s" in shown.out or REASON in shown.out
    assert not_theirs.code == 3, str(not_theirs)
    assert "[APPROVAL_REFUSED]" in not_theirs.err
    assert approved.code == 0, str(approved)
    assert applied.code == 0, str(applied)
    assert applied.json["approved_by"]["person"] == BOB.name


def test_every_environments_history_says_which_commit_is_deployed_where(
    make: Callable[[str], Platform], tmp_path: Path
) -> None:
    dev, prod = make("dev"), make("prod")
    dev.story()
    prod.record("v1.0.0")
    # One checkout that knows both accounts, and a profile for each.
    stack = dev.root / "Pulumi.prod.yaml"
    project = yaml.safe_load(stack.read_text())
    project["config"]["aws:allowedAccountIds"] = [prod.settings.account]
    stack.write_text(yaml.safe_dump(project))
    git(dev.root, "commit", "-qam", "both")
    # The person's own file, which is not among what commands leave.
    config = tmp_path / "profiles"
    config.write_text("\n".join(line for one in (dev, prod) for line in _profile(one, DAN)))
    none = dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION"))

    run = dev.command(
        [PYTHON, example("deployed_where")],
        as_=DAN,
        extra={**none, "AWS_DEFAULT_REGION": None, "AWS_CONFIG_FILE": str(config)},
    ).finish()

    assert run.code == 0, str(run)
    lines = [line.split() for line in run.out.splitlines()]
    assert [parts[:4] for parts in lines] == [
        ["dev", "functions", "a" * 40, "v1.2.0"],
        ["prod", "functions", "a" * 40, "v1.0.0"],
    ]


def _profile(platform: Platform, person: Person) -> list[str]:
    given = platform.variables(person)
    return [
        f"[profile {platform.settings.environment}]",
        f"aws_access_key_id = {given['AWS_ACCESS_KEY_ID']}",
        f"aws_secret_access_key = {given['AWS_SECRET_ACCESS_KEY']}",
        f"aws_session_token = {given['AWS_SESSION_TOKEN']}",
        f"region = {platform.settings.region}",
    ]
