"""`rollback can` through the console script, under the roles of docs/reference/permissions.md: what it says, and its exit code.

A deployment of infrastructure is judged in `test_infrastructure.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import yaml

from tests import planted
from tests.doubles.github import GitHub, github
from tests.e2e.estate_under_test import ALICE, DAN, OLGA, Person, Platform, Run, git
from tests.e2e.test_table import window
from tests.proxy import Proxy

REPOSITORY = "bbws/access-platform"
APPROVES = "dev-rollback-approval"


@dataclass
class Story:
    """dev with its three releases and its table; GitHub's API on loopback."""

    dev: Platform
    hub: GitHub
    proxy: Proxy

    def can(self, *arguments: str, as_: Person = ALICE, **how: Any) -> Run:
        return self.dev.rollback(
            "can", *arguments, as_=as_, extra=self.hub.variables, endpoint=self.proxy.endpoint, **how
        )


@pytest.fixture
def hub() -> Iterator[GitHub]:
    with github(REPOSITORY) as running:
        running.as_declared("dev")
        running.token = planted.secret("github")
        yield running


@pytest.fixture
def story(dev: Platform, hub: GitHub, proxy: Proxy) -> Story:
    names, root = dev.settings.names, dev.root_client("dynamodb")
    dev.configure(
        people={
            "breakGlass": [f"arn:aws:iam::{dev.settings.account}:user/{OLGA.name}"],
            "approvers": [f"arn:aws:iam::{dev.settings.account}:user/bob"],
        }
    )
    dev.story()
    root.create_table(
        TableName=names.table("ddb-access-management"),
        KeySchema=[{"AttributeName": "PK", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "PK", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    root.update_continuous_backups(
        TableName=names.table("ddb-access-management"),
        PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True},
    )
    proxy.rewrite("DescribeContinuousBackups", window)
    return Story(dev=dev, hub=hub, proxy=proxy)


def against(run: Run) -> dict[str, str]:
    """Subject, or check where it has none → why, of what speaks against the change."""
    return {one["subject"] or one["check"]: one["why"] for one in run.json["findings"] if one["against"]}


def test_a_change_is_reversible_until_something_speaks_against_it_by_name(story: Story) -> None:
    dev, head = story.dev, git(story.dev.root, "rev-parse", "HEAD")
    before = dev.everything()

    passed = [story.can("--json", as_=ALICE), story.can("--json", "--github", as_=DAN)]
    shown = story.can()
    unchanged = dev.everything()
    clone = dev.clone()
    project = yaml.safe_load((clone / "Pulumi.yaml").read_text())
    project["config"]["services"]["default"]["team_service"].append("team-service-new")
    (clone / "Pulumi.yaml").write_text(yaml.safe_dump(project))
    unreleased = story.can("--json", cwd=clone)
    story.hub.declare(APPROVES)
    unreviewed = story.can("--json")
    page = story.can("--markdown")
    dev.deploy("v1.3.0")
    assert dev.record("v1.3.0", "--commit", head).code == 0
    arguments = ("release", "quarantine", "v1.3.0", "--reason", "<b>it loses teams</b>")
    assert dev.rollback(*arguments, as_=DAN).code == 0
    quarantined = story.can("--json", "--commit", head[:12])

    assert [run.code for run in passed] == [0, 0], "\n".join(map(str, passed))
    assert all(run.json["reversible"] for run in passed)
    assert {one["check"] for one in passed[0].json["findings"] if one["answer"] == "yes"} == {
        "functions",
        "tables",
        "approver",
        "github",
        "quarantine",
        "in flight",
        "freeze",
        "audit trail",
        "traffic",
    }
    assert shown.code == 0, str(shown)
    assert "6 of 6 have a recorded previous version: v1.2.0 → v1.1.0" in shown.out
    assert unchanged == before, "it changes nothing, and takes no lease"
    assert unreleased.code == 3, str(unreleased)
    assert against(unreleased) == {
        dev.name("team-service-new"): "it cannot be rolled back to v1.1.0: the release does not contain it"
    }
    assert unreviewed.code == page.code == 3, str(unreviewed)
    assert against(unreviewed) == {APPROVES: "it has no required reviewers"}
    assert page.out.startswith("## ✗ Can it be rolled back?\n")
    assert f"| ✗ | github | `{APPROVES}` it has no required reviewers |" in page.out
    assert "1 reason" in page.screen
    assert quarantined.code == 3, str(quarantined)
    assert "<b>it loses teams</b> (v1.3.0)" in against(quarantined)["quarantine"]
