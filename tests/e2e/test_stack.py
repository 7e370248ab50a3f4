"""A bad commit of this repository's own program is deployed, and `rollback stack` puts it back.

One environment, declared once by the engine. Each test deploys a bad commit of its own over what it finds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from localaws.paths import ROOT
from rollback.model.release import STACK
from tests.e2e.accounts_under_test import Kept
from tests.e2e.estate_under_test import DAN, REASON, SCRIPT, Platform, git
from tests.proxy import Proxy
from tests.sharing import Shared
from tests.warm import Warm

PROGRAM = "components/release_parameters.py"


@dataclass(kw_only=True)
class Story:
    """The platform, and its commits: the good one that it was declared from, and the bad ones since."""

    platform: Platform
    good: str
    bad: list[str] = field(default_factory=list)

    def deploy_a_bad_one(self) -> str:
        """Tags that nobody expects, merged and deployed."""
        path = self.platform.root / PROGRAM
        number = len(self.bad) + 1
        path.write_text(
            path.read_text().replace('"release-parameters"', f'"release-parameters-bad-{number}"')
        )
        git(self.platform.root, "commit", "-qam", f"a bad one, number {number}")
        self.bad.append(git(self.platform.root, "rev-parse", "HEAD"))
        self.up()
        git(self.platform.root, "revert", "--no-edit", "HEAD")
        return self.bad[-1]

    def up(self) -> None:
        self.platform.pulumi("up", "--yes", "--skip-preview", "--stack", "dev")

    def tag(self) -> str:
        """What the parameters are tagged with in the account."""
        ssm, names = self.platform.root_client("ssm"), self.platform.settings.names
        tags = ssm.list_tags_for_resource(ResourceType="Parameter", ResourceId=names.deployed_version)
        return str(next(tag["Value"] for tag in tags["TagList"] if tag["Key"] == "component"))

    def deployed(self) -> str:
        """The commit that stands, as the tags tell."""
        _, bad, number = self.tag().partition("-bad-")
        return self.bad[int(number) - 1] if bad else self.good

    def commit(self) -> str:
        """The parameter `pulumi-commit`."""
        ssm, names = self.platform.root_client("ssm"), self.platform.settings.names
        return str(ssm.get_parameter(Name=names.pulumi_commit)["Parameter"]["Value"])


@contextmanager
def rolled_back(kept: Kept, folder: Path, warm: Warm) -> Iterator[Story]:
    with kept.awake(folder, warm) as platform:
        yield Story(platform=platform, good=git(platform.root, "rev-parse", "HEAD"))


@pytest.fixture(scope="module")
def stories(
    kept: Callable[[str], Kept], warm: Warm, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shared[Story]]:
    with Shared(lambda: rolled_back(kept("dev"), tmp_path_factory.mktemp("stack"), warm)) as shared:
        yield shared


@pytest.fixture
def story(stories: Shared[Story], request: pytest.FixtureRequest) -> Iterator[Story]:
    with stories.lent(request) as story:
        yield story


def test_a_bad_commit_is_rolled_back_verified_and_quarantined(story: Story) -> None:
    dev, before, tag = story.platform, story.deployed(), story.tag()
    bad = story.deploy_a_bad_one()
    assert story.deployed() == bad

    program = dev.root / "__main__.py"
    program.write_text(f"{program.read_text()}\nnobody can run this\n")
    mine = git(dev.root, "diff")

    shown = dev.rollback("stack", "--dry-run", as_=DAN)
    run = dev.rollback("stack", "--reason", REASON, "--yes", "--json", as_=DAN)

    assert git(dev.root, "diff") == mine, "what is not committed neither goes along nor gets lost"
    git(dev.root, "checkout", "--", "__main__.py")
    assert shown.code == 0, str(shown)
    assert run.code == 0, str(run)
    record = run.json
    assert (record["status"], record["from_version"], record["to_version"]) == (
        "COMPLETE",
        bad[:12],
        before[:12],
    )
    assert {one["outcome"] for one in record["changes"]} == {"updated"}
    assert record["counts"]["moved"] == record["infrastructure"]["update"] > 0
    assert story.tag() == tag
    assert story.commit() == before
    (newest, *_) = dev.rollback("history", "--kind", "stack", "--json", as_=DAN).json
    assert (newest["commit"], newest["stands"], newest["dirty"]) == (before, True, False)
    assert dev.rollback("status", "--commit", bad, as_=DAN).code == 3
    (quarantine,) = [item for item in dev.items() if item["SK"] == f"QUARANTINE#{STACK}#{bad}"]
    assert quarantine["rollback_id"] == run.id
    assert git(dev.root, "status", "--short") == ""
    assert git(dev.root, "worktree", "list").count("\n") == 0


@pytest.mark.soak  # test_the_page_on_the_python_api_does_what_it_says rolls a stack back by the same calls
def test_the_example_rolls_the_stack_back_to_the_commit_before(story: Story) -> None:
    dev, before = story.platform, story.deployed()
    bad = story.deploy_a_bad_one()
    script = str(ROOT / "examples" / "roll_back_stack.py")

    run = dev.command(
        [str(SCRIPT.parent / "python"), script, "--env", "dev", "--reason", REASON], as_=DAN
    ).finish(180)

    assert run.code == 0, str(run)
    assert f"{bad[:12]} → {before[:12]}" in run.out
    assert "COMPLETE" in run.out
    assert story.deployed() == before
    assert story.commit() == before
    assert dev.rollback("status", "--commit", bad, as_=DAN).code == 3


def test_the_page_on_the_python_api_does_what_it_says(story: Story, tmp_path: Path) -> None:
    dev, before = story.platform, story.deployed()
    story.deploy_a_bad_one()
    page = (ROOT / "docs" / "python-api.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    script = tmp_path / "page.py"
    script.write_text("\n".join(blocks))

    run = dev.command([str(SCRIPT.parent / "python"), str(script)], as_=DAN).finish(180)

    assert run.code == 0, str(run)
    assert (len(blocks), run.err) == (4, "")
    assert "COMPLETE" in run.out.splitlines()
    assert re.search(rf"{before[:12]} .*True$", run.out, re.MULTILINE), run.out
    assert run.out.splitlines()[-1] == "()"
    assert story.deployed() == before


@pytest.mark.soak  # test_infrastructure.py confirms and refuses Terraform's; tests/integration/targets/stack/test_planner.py has a moved stack's digest differ
def test_a_confirmed_plan_is_carried_out_only_while_nothing_has_moved(story: Story) -> None:
    dev, bad = story.platform, story.deploy_a_bad_one()
    first = dev.rollback("stack", "--to", story.good, "--reason", REASON, "--json", as_=DAN)
    story.up()

    moved = dev.rollback("apply", first.id, "--digest", first.json["digest"], as_=DAN)
    dev.rollback("abort", first.id, "--reason", "it has moved", as_=DAN)
    second = dev.rollback("stack", "--to", bad, "--reason", REASON, "--json", as_=DAN)
    applied = dev.rollback("apply", second.id, "--digest", second.json["digest"], "--json", as_=DAN)

    assert first.code == second.code == 10, str(first)
    assert moved.code == 3, str(moved)
    assert "[PLAN_OUTDATED]" in moved.err
    assert applied.code == 0, str(applied)
    assert story.commit() == bad
    assert dev.rollback("status", "--commit", story.good, as_=DAN).code == 0


@pytest.mark.soak  # tests/integration/targets/stack/test_update.py finishes and undoes an engine that was killed
def test_killed_while_it_updates_it_is_finished_by_resume(story: Story) -> None:
    dev, _ = story.platform, story.deploy_a_bad_one()
    name = _killed_while_it_updates(story)

    run = dev.rollback("resume", name, "--json", as_=DAN)

    assert run.code == 0, str(run)
    assert run.json["status"] == "COMPLETE"
    assert story.tag() == "release-parameters"
    assert story.commit() == story.good


@pytest.mark.soak  # tests/integration/targets/stack/test_update.py undoes an engine that was killed
def test_killed_while_it_updates_it_is_undone_by_abort(story: Story) -> None:
    dev, bad = story.platform, story.deploy_a_bad_one()
    name = _killed_while_it_updates(story)

    run = dev.rollback("abort", name, "--reason", "not now", "--json", as_=DAN)

    assert run.code == 0, str(run)
    assert run.json["status"] == "REVERTED"
    assert story.deployed() == bad
    assert story.commit() == bad


def _killed_while_it_updates(story: Story) -> str:
    """A rollback whose command gets SIGKILL when the engine has changed the first resource; its id."""
    dev = story.platform
    with Proxy(dev.endpoint) as proxy:
        held = proxy.hold_answers("AddTagsToResource")
        running = dev.start(
            "stack", "--to", story.good, "--reason", REASON, "--yes", as_=DAN, endpoint=proxy.endpoint
        )
        held.wait()
        running.kill()
        held.release()
    records = [
        item for item in dev.items() if item["SK"] == "METADATA" and item["PK"].startswith("ROLLBACK#")
    ]
    return str(max(item["rollback_id"] for item in records if item["status"] == "IN_PROGRESS"))
