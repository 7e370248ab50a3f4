"""Whether a change could be taken back, asked of a small platform and of GitHub's API on loopback."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from rollback.lifecycle.freeze import freeze
from rollback.lifecycle.quarantine import quarantine
from rollback.model.deployed import UNKNOWN
from rollback.model.request import AliasesRequest
from rollback.readiness.collect import _dropped, gather
from rollback.readiness.rules import CheckAnswer, Judgement, Verdict
from rollback.releases.record_release import Commits, record
from rollback.util.errors import (
    Code,
    Refused,
    RollbackError,
    UsageError,
)
from tests.coded import coded
from tests.doubles.functions import client_error
from tests.doubles.github import GitHub, github
from tests.doubles.world import ALICE, DAN, Quiet, World, create_table, settings

GET, LIST, ASSIGN = (f"acme-dev-lambda-{tail}" for tail in ("teams-get", "teams-list", "roles-get"))
PEOPLE = "acme-dev-ddb-access-management"


@pytest.fixture
def hub() -> Iterator[GitHub]:
    with github("acme/platform") as running:
        running.as_declared("dev")
        yield running


@pytest.fixture
def platform(world: World, hub: GitHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """Three releases in a checkout of one commit, bob to approve, GitHub as declared; no engine on PATH."""
    for name, value in {**hub.variables, "PATH": "/usr/bin:/bin"}.items():
        monkeypatch.setenv(name, value)
    git(tmp_path, "init", "-q", "-b", "main")
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "the platform")
    world.settings = settings(reviewers={"users": [7]})
    world.story()
    return world


def git(root: Path, *arguments: str) -> str:
    actor = ("-c", "user.name=dan", "-c", "user.email=dan@example.org", "-c", "commit.gpgsign=false")
    done = subprocess.run(
        ["git", *actor, "-C", str(root), *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def can(world: World, commit: str = "HEAD", *, insist: bool = False) -> Verdict:
    return gather(world.session(), commit, insist=insist)


def _denied(operation: str, function: str) -> None:
    raise client_error(operation, "AccessDeniedException")


def of(verdict: Verdict, check: str) -> list[Judgement]:
    return [finding for finding in verdict.findings if finding.check == check]


def test_everything_passes_and_what_does_not_apply_is_named(platform: World) -> None:
    verdict = can(platform)

    assert verdict.reversible, verdict.against
    assert [(finding.check, finding.answer) for finding in verdict.findings] == [
        ("functions", CheckAnswer.YES),
        ("traffic", CheckAnswer.YES),
        ("versions", CheckAnswer.UNNEEDED),
        ("stack", CheckAnswer.UNNEEDED),
        ("terraform", CheckAnswer.UNNEEDED),
        ("tables", CheckAnswer.UNNEEDED),
        ("approver", CheckAnswer.YES),
        *[("github", CheckAnswer.YES)] * 4,
        ("quarantine", CheckAnswer.YES),
        ("in flight", CheckAnswer.YES),
        ("freeze", CheckAnswer.YES),
        ("audit trail", CheckAnswer.YES),
    ]
    assert of(verdict, "functions")[0].why == "3 of 3 have a recorded previous version: v1.2.0 → v1.1.0"


def test_on_gitlab_jobs_of_a_project_for_approvals_can_approve_and_what_protects_them_is_not_looked_at(
    platform: World, hub: GitHub
) -> None:
    both = {"project": "acme/orders", "approvals": "acme/approvals"}
    platform.settings = settings(repository="", gitlab=both, approval="identity")

    verdict = can(platform)

    (approver,) = of(verdict, "approver")
    (seen,) = of(verdict, "gitlab")
    assert (approver.answer, seen.answer) == (CheckAnswer.YES, CheckAnswer.NOTE)
    assert of(verdict, "github") == []
    assert hub.asked == []


def test_each_function_without_a_recovery_option_is_named(platform: World) -> None:
    quarantine(platform.session(DAN), "v1.1.0", ["roles"], "no")
    quarantine(platform.session(DAN), "v1.0.0", ["roles"], "no")
    del platform.functions.versions[GET]["2"]
    platform.functions.versions[LIST]["2"].state = "Failed"

    found = {finding.subject: finding.why for finding in of(can(platform), "functions")}

    assert found == {
        ASSIGN: "There is no previous release: there is no older release that is neither quarantined nor failed in verification.",
        GET: "it cannot be rolled back to v1.1.0: version 2 no longer exists",
        LIST: "it cannot be rolled back to v1.1.0: version 2 is Failed, not Active",
    }


def test_a_commit_whose_release_is_quarantined_is_named_with_the_reason(platform: World) -> None:
    sha = git(platform.root, "rev-parse", "HEAD")
    platform.release("v1.3.0")
    record(platform.session(DAN), "v1.3.0", Commits(code=sha), Quiet())
    quarantine(platform.session(DAN), "v1.3.0", [], "it loses teams")

    (found,) = of(can(platform), "quarantine")

    assert found.against
    assert "it loses teams" in found.why
    assert "rollback release lift v1.3.0 --env dev" in found.next


def test_a_strangers_commit_is_not_looked_at_and_that_of_a_branch_that_is_checked_out_is(
    platform: World,
) -> None:
    root = platform.root
    git(root, "checkout", "-q", "-b", "topic")
    git(root, "commit", "-q", "--allow-empty", "-m", "a change")
    topic = git(root, "rev-parse", "HEAD")

    assert can(platform, topic).commit == can(platform).commit == topic
    git(root, "checkout", "-q", "main")
    with pytest.raises(Refused, match=" main", check=coded(Code.NOT_ON_PROTECTED_BRANCH)):
        can(platform, topic)
    with pytest.raises(UsageError, match="There is no commit", check=coded(Code.UNKNOWN_COMMIT)):
        can(platform, "--output=x")


def test_a_prevent_destroy_that_a_commit_drops_is_found_in_its_text_and_one_that_goes_with_its_resource_is_not(
    platform: World,
) -> None:
    root, folder = platform.root, platform.root / "terraform"

    def committed(**files: str) -> str:
        (folder / "teams").mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (folder / name.replace("_", "/")).with_suffix(".tf").write_text(text)
        git(root, "add", ".")
        git(root, "commit", "-q", "-m", "a change")
        return git(root, "rev-parse", "HEAD")

    def resource(name: str, *, kept: bool) -> str:
        return f'resource "t" "{name}" {{ lifecycle {{ prevent_destroy = {str(kept).lower()} }} }}\n'

    before = committed(
        main=resource("a", kept=True) + resource("b", kept=True), teams_main=resource("a", kept=True)
    )
    same = committed(main=resource("a", kept=True), teams_main=resource("a", kept=True))
    open_ = committed(teams_main=resource("a", kept=False))

    assert _dropped(root, "terraform", before, same) == set()
    assert _dropped(root, "terraform", same, open_) == {"t.a"}
    assert _dropped(root, "terraform", UNKNOWN, open_) == set()
    broken = committed(main='resource "t" "a" {')
    assert _dropped(root, "terraform", same, same) == set()
    with pytest.raises(RollbackError, match=f"terraform/main.tf of {broken[:12]} cannot be read") as raised:
        _dropped(root, "terraform", before, broken)
    assert raised.value.code == Code.COMMIT_UNUSABLE


def test_a_table_without_recovery_is_a_reason(platform: World) -> None:
    create_table(platform.dynamodb, PEOPLE)

    (found,) = of(can(platform), "tables")

    assert (found.subject, found.against) == (PEOPLE, True)
    assert "point-in-time recovery is disabled" in found.why


def test_what_waits_or_is_frozen_is_noted_and_what_runs_is_a_reason(platform: World) -> None:
    waiting = platform.flow().start("aliases", AliasesRequest(), "it went bad", hold=True).record
    freeze(platform.session(ALICE), "looking into it")
    verdict = can(platform)

    assert verdict.reversible, verdict.against
    assert waiting is not None
    assert {finding.subject for finding in of(verdict, "in flight")} == {"", waiting.rollback_id}
    assert "looking into it" in of(verdict, "freeze")[0].why
    platform.session(DAN).leases.take("stack", "01OTHER")
    (held,) = can(platform).against
    assert (held.check, held.subject, held.why) == ("in flight", "01OTHER", "it holds the lease on stack")


def test_a_stack_that_is_recorded_is_no_check_that_does_not_apply_where_its_engine_is_missing(
    platform: World,
) -> None:
    sha = git(platform.root, "rev-parse", "HEAD")
    platform.release("v1.3.0")
    record(platform.session(DAN), "v1.3.0", Commits(code=sha, stack=sha), Quiet())

    (unknown,) = can(platform).against

    assert (unknown.check, unknown.answer) == ("stack", CheckAnswer.UNKNOWN)
    assert "pulumi is not on the PATH" in unknown.why
    assert "rollback tools install" in unknown.next


def test_one_check_that_cannot_be_asked_leaves_the_others_be(platform: World) -> None:
    platform.functions.before = _denied
    platform.bucket.exists = False

    verdict = can(platform)

    assert [(one.check, one.answer) for one in verdict.against] == [
        ("functions", CheckAnswer.UNKNOWN),
        ("traffic", CheckAnswer.UNKNOWN),
    ]
    assert all("Access denied" in one.why for one in verdict.against)
    assert verdict.against[1].why.endswith("And 2 more."), "once for all that failed alike"
    (note,) = of(verdict, "audit trail")
    assert (note.answer, note.next) == (
        CheckAnswer.NOTE,
        "Run `pulumi up` of the foundation, which declares it.",
    )


def test_an_environment_that_lets_anybody_in_is_a_reason(platform: World, hub: GitHub) -> None:
    hub.declare("dev-rollback-approval", branches=["main"])
    hub.declare("dev-rollback", branches=None)
    hub.declare("dev-deploy", branches=["main", "release/*"], tags=["v*"])
    hub.declare("dev-drill", branches=[])

    found = {finding.subject: finding.why for finding in can(platform).against}

    assert found == {
        "dev-deploy": "it also allows release/*, tag v*",
        "dev-drill": "it does not allow main",
        "dev-rollback": "it is not restricted to main: jobs of any branch can assume its role",
        "dev-rollback-approval": "it has no required reviewers",
    }


def test_an_environment_of_protected_branches_has_no_policies_to_list(platform: World, hub: GitHub) -> None:
    hub.declare("dev-rollback", branches=(), protected=True)

    assert can(platform).reversible
    assert not any("dev-rollback/" in path for path in hub.asked)


def test_an_environment_that_nobody_declared_is_distinguished_from_a_repository_that_nobody_sees(
    platform: World, hub: GitHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    del hub.environments["dev-rollback"]
    (missing,) = can(platform).against
    monkeypatch.setenv("GITHUB_TOKEN", "another")
    (unknown,) = of(can(platform), "github")

    assert (missing.subject, "it does not exist" in missing.why) == ("dev-rollback", True)
    assert (unknown.answer, unknown.against) == (CheckAnswer.UNKNOWN, False)
    assert "404" in unknown.why


@pytest.mark.parametrize("why", ["no token", "refused", "gone", "elsewhere", "a file"])
def test_without_an_answer_of_githubs_nothing_is_known_which_counts_if_it_is_asked_to(
    platform: World, hub: GitHub, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    if why == "no token":
        monkeypatch.delenv("GITHUB_TOKEN")
        monkeypatch.delenv("GH_TOKEN", raising=False)
    elif why == "refused":
        hub.status = 403
    else:
        monkeypatch.setenv("GITHUB_API_URL", "http://127.0.0.1:1" if why == "gone" else "http://example.org")

    assert can(platform).reversible
    (found,) = can(platform, insist=True).against
    assert (found.check, found.answer) == ("github", CheckAnswer.UNKNOWN)
    assert hub.token not in found.explanation


def test_what_bypasses_the_alias_speaks_against_it_and_what_was_not_looked_at_too(platform: World) -> None:
    arn = f"arn:aws:lambda:eu-west-1:111122223333:function:{GET}"
    platform.functions.mappings = [
        {"UUID": "u1", "FunctionArn": arn, "State": "Enabled", "EventSourceArn": "arn:aws:sqs:x:1:teams"},
        {"UUID": "u2", "FunctionArn": f"{arn}:live", "State": "Enabled"},
        {"UUID": "u3", "FunctionArn": arn, "State": "Disabled"},
    ]
    platform.invokers["scheduler"].fail = client_error("ListSchedules", "AccessDeniedException")

    found = of(can(platform), "traffic")

    assert [(one.answer, one.subject) for one in found] == [
        (CheckAnswer.NO, GET),
        (CheckAnswer.UNKNOWN, ""),
    ]
    assert "(u1)" in found[0].why
    assert f"{GET}:live" in found[0].next
    assert found[1].why.startswith("not checked: EventBridge schedules")
    assert all(one.against for one in found)
