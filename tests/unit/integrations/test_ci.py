"""The CI run that a process belongs to, on GitHub and on GitLab behind one interface."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rollback.engines import ci
from rollback.engines.github_actions import GitHubActions
from rollback.engines.gitlab_ci import GitLabCi
from rollback.util.errors import Code, Refused, UsageError
from tests.coded import coded
from tests.doubles import github_runs
from tests.doubles.gitlab import GitLab, gitlab

APPROVAL = "prod-rollback-approval"


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GITLAB_CI", "GITHUB_RUN_ID", "GITHUB_TRIGGERING_ACTOR", "GITLAB_TOKEN", "CI_PIPELINE_ID"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[GitLab]:
    """GitLab, and this process as job 815 of its pipeline 4711, which carol has started."""
    monkeypatch.chdir(tmp_path)
    with gitlab() as running:
        job = {
            "GITLAB_CI": "true",
            "CI_PIPELINE_ID": "4711",
            "CI_JOB_ID": "815",
            "GITLAB_USER_LOGIN": "carol",
        }
        for name, value in {**running.variables, **job}.items():
            monkeypatch.setenv(name, value)
        yield running


def test_outside_of_ci_a_run_has_no_name_and_everything_else_is_refused() -> None:
    run = ci.current()

    assert (run.run, run.attempt, run.address) == ("", "", "")
    with pytest.raises(UsageError, check=coded(Code.NOT_IN_CI)):
        run.starter()


def test_on_github_a_run_is_its_number_and_its_starter_who_runs_it_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in {
        "GITHUB_RUN_ID": "4711",
        "GITHUB_RUN_ATTEMPT": "2",
        "GITHUB_ACTOR": "alice",
        "GITHUB_TRIGGERING_ACTOR": "carol",
    }.items():
        monkeypatch.setenv(name, value)

    run = ci.current()

    assert isinstance(run, GitHubActions)
    assert (run.run, run.attempt, run.starter()) == ("4711", "4711/attempts/2", "carol")


@pytest.fixture
def reviewed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., str]]:
    """Reviews of run 4711, which alice has started and carol runs again → who is its reviewer."""
    with contextlib.ExitStack() as running:

        def reviewer(*reviews: tuple[str, str, str]) -> str:
            asked = running.enter_context(github_runs.serving({}, {"4711": [*reviews]}))
            who = {"GITHUB_ACTOR": "alice", "GITHUB_TRIGGERING_ACTOR": "carol"}
            for name, value in {**asked, **who, "GITHUB_RUN_ID": "4711"}.items():
                monkeypatch.setenv(name, value)
            return ci.current().reviewer(APPROVAL)

        yield reviewer


def test_on_github_the_reviewer_is_who_let_the_job_go_on_in_its_environment(
    reviewed: Callable[..., str],
) -> None:
    others = ("approved", "prod-deploy", "mallory"), ("rejected", APPROVAL, "mallory")

    assert reviewed(*others, ("approved", APPROVAL, "bob")) == "bob"
    with pytest.raises(Refused, check=coded(Code.REVIEW_MISSING)):
        reviewed(*others)


@pytest.mark.finding("S8")
@pytest.mark.parametrize("person", ["alice", "carol", "Carol"])
def test_on_github_neither_who_began_a_run_nor_who_runs_it_again_can_approve_it(
    reviewed: Callable[..., str], person: str
) -> None:
    with pytest.raises(Refused, check=coded(Code.APPROVAL_REFUSED)):
        reviewed(("approved", APPROVAL, person))


def test_on_gitlab_a_run_is_its_pipeline_and_an_attempt_its_job(lab: GitLab) -> None:
    run = ci.current()

    assert isinstance(run, GitLabCi)
    assert (run.run, run.attempt, run.starter()) == ("pipelines/4711", "pipelines/4711/jobs/815", "carol")


@pytest.mark.parametrize("status", ["success", "failed", "canceled", "running", "pending", "canceling"])
def test_on_gitlab_an_attempt_has_ended_once_its_job_has_though_the_job_is_tried_again(
    lab: GitLab, status: str
) -> None:
    others = [{"id": number, "status": "running"} for number in range(100)]
    lab.jobs["4711"] = [*others, {"id": 814, "status": status}, {"id": 815, "status": "running"}]

    assert ci.has_ended("pipelines/4711/jobs/814") is (status in ("success", "failed", "canceled"))
    assert not ci.has_ended("pipelines/4711/jobs/815")
    assert all("include_retried=true" in address for address in lab.asked)


@pytest.mark.parametrize(
    "attempt", ["", "4711", "4711/attempts/1", "pipelines/4711", "pipelines/1/jobs/2", "pipelines/../jobs/2"]
)
def test_of_what_gitlab_does_not_know_nothing_has_ended(lab: GitLab, attempt: str) -> None:
    assert not ci.has_ended(attempt)


def test_an_attempt_on_github_has_ended_also_where_gitlab_asks(
    lab: GitLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    with github_runs.serving({"4711/attempts/1": "completed"}) as variables:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

        assert ci.has_ended("4711/attempts/1")
        assert not ci.has_ended("4711/attempts/2")


@pytest.mark.parametrize("by_rules", [False, True])
def test_the_reviewer_is_who_approved_this_jobs_own_deployment(lab: GitLab, by_rules: bool) -> None:
    lab.deploys(815, APPROVAL, "alice", "bob", by_rules=by_rules)
    lab.deploys(816, APPROVAL, "alice", "mallory", by_rules=by_rules)
    lab.deploys(815, "prod-rollback", "alice", "mallory", by_rules=by_rules)

    assert ci.current().reviewer(APPROVAL) == "bob"


def test_who_approved_may_start_the_job_as_well(lab: GitLab) -> None:
    lab.deploys(815, APPROVAL, "alice", "carol")

    assert ci.current().reviewer(APPROVAL) == "carol", (
        "a manual job is started after its approval, by anybody"
    )


@pytest.mark.parametrize("began", ["bob", "Bob"])
def test_who_began_the_pipeline_cannot_approve_it(lab: GitLab, began: str) -> None:
    lab.deploys(815, APPROVAL, began, "bob")

    with pytest.raises(Refused, check=coded(Code.APPROVAL_REFUSED)):
        ci.current().reviewer(APPROVAL)


@pytest.mark.parametrize(
    "case", ["no deployment", "another's deployment", "no approval", "rejected", "no token"]
)
def test_without_an_approval_that_can_be_read_nobody_is_the_reviewer(
    lab: GitLab, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    if case != "no deployment":
        lab.deploys(816 if case == "another's deployment" else 815, APPROVAL, "alice")
    if case == "another's deployment":
        lab.deployments[0]["approvals"] = [{"user": {"username": "bob"}, "status": "approved"}]
    if case == "rejected":
        lab.rejected("bob")
    if case == "no token":
        monkeypatch.setenv("CI_JOB_TOKEN", "another")

    with pytest.raises(Refused, check=coded(Code.REVIEW_MISSING)):
        ci.current().reviewer(APPROVAL)


def test_on_gitlab_a_role_is_taken_by_the_shell_with_the_jobs_token(
    lab: GitLab, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    own = tmp_path / "orders.tmp"
    own.mkdir()
    monkeypatch.setenv("CI_PROJECT_DIR", str(tmp_path / "orders"))
    monkeypatch.setenv("ROLLBACK_ID_TOKEN", "a.jwt.of-this-job")

    script = ci.current().role("arn:aws:iam::1:role/r", "eu-west-1", person="o'neill; id", seconds=3600)

    words = dict(word.split("=", 1) for word in shlex.split(script) if "=" in word)
    assert words["AWS_ROLE_ARN"] == "arn:aws:iam::1:role/r"
    assert words["AWS_ROLE_SESSION_NAME"] == "o'neill; id", "one word of the shell, whatever is in it"
    assert words["AWS_REGION"] == words["AWS_DEFAULT_REGION"] == "eu-west-1"
    file = Path(words["AWS_WEB_IDENTITY_TOKEN_FILE"])
    assert file.parent == own, "the runner's own folder, which no artifact is made from"
    assert file.read_text() == "a.jwt.of-this-job"
    assert file.stat().st_mode & 0o077 == 0


def test_on_gitlab_no_role_is_taken_without_an_identity_token(
    lab: GitLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ROLLBACK_ID_TOKEN", raising=False)

    with pytest.raises(UsageError, check=coded(Code.NOT_IN_CI)):
        ci.current().role("arn:aws:iam::1:role/r", "eu-west-1", person="alice", seconds=3600)


def test_on_gitlab_values_are_handed_on_as_variables_of_later_jobs(lab: GitLab, tmp_path: Path) -> None:
    ci.current().output({"rollback_id": "RB-1", "digest": "sha256:ab"})
    ci.current().output({"person": "bob.o-neill"})

    assert (tmp_path / "rollback.env").read_text() == (
        "ROLLBACK_ID=RB-1\nROLLBACK_DIGEST=sha256:ab\nROLLBACK_PERSON=bob.o-neill\n"
    )


@pytest.mark.parametrize("value", ["$(touch pwned)", "a b", "a\nPATH=/tmp", "`id`", "a;b", "a'b"])
def test_on_gitlab_no_value_is_handed_on_that_a_shell_would_read_otherwise(lab: GitLab, value: str) -> None:
    with pytest.raises(UsageError, check=coded(Code.OPTION_INVALID)):
        ci.current().output({"person": value})


def test_on_gitlab_the_summary_is_in_the_jobs_log(lab: GitLab, capsys: pytest.CaptureFixture[str]) -> None:
    ci.current().summarise("### Rolled back")

    assert capsys.readouterr().out == "### Rolled back\n"
