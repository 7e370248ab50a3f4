"""GitLab CI: the component's jobs take roles with GitLab's tokens, and the ledger names who asked and who approved.

The jobs' script lines are run as a runner with the shell executor runs them (`tests/gitlab_runner.py` says what that leaves
out); their tokens go to the local account's STS, which decides by the trust that the program declares.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from components import gitlab_jobs
from components.boundary import trust
from components.of_settings import scope_of
from localaws import identity, shell
from localaws import wheel as wheels
from localaws.paths import ROOT
from rollback.config.settings import Settings, load
from rollback.setup import ci_files
from tests import gitlab_runner
from tests.doubles.gitlab import GitLab, gitlab
from tests.e2e.estate_under_test import ALICE, DAN, FUNCTIONS, REASON, Platform, git
from tests.e2e.stranger import Wheel, prepare, shop
from tests.gitlab_runner import Job, component, jobs, runs

_HOSTILE = """"; touch pwned; $(touch pwned) `touch pwned` '<b>' | it's bad"""

PROJECT, APPROVALS = "acme/orders", "acme/approvals"


@pytest.fixture
def lab() -> Iterator[GitLab]:
    with gitlab() as running:
        yield running


@dataclass(kw_only=True)
class Pipeline:
    """A pipeline of the platform's project on GitLab, its jobs run as a runner with the shell executor runs them.

    Dependencies are found where the tests' own are: no index is asked.
    """

    platform: Platform
    top: Path
    lab: GitLab
    wheel: Wheel
    number: int = 4711
    variables: dict[str, str] = field(default_factory=dict)
    _jobs: int = 0

    def __post_init__(self) -> None:
        iam = self.platform.root_client("iam")
        iam.create_open_id_connect_provider(
            Url="https://gitlab.com", ClientIDList=["sts.amazonaws.com"], ThumbprintList=["0" * 40]
        )
        for role, document in self.trust():
            iam.update_assume_role_policy(RoleName=role, PolicyDocument=document)

    def trust(self) -> Iterator[tuple[str, str]]:
        """What `pulumi up` of the foundation would make of the roles' trust, by the function that it is made by."""
        settings = load(self.platform.root, self.platform.settings.environment)
        scope = scope_of(settings)
        for role in scope.roles:
            jobs = gitlab_jobs.may_take(scope, settings.gitlab, settings.protected_branch, role)
            document = trust(
                scope, settings.repository, settings.names.github_environment(role), (), gitlab=jobs
            )
            yield settings.names.role(role), json.dumps(document)

    @property
    def settings(self) -> Settings:
        return self.platform.settings

    def rollback(self, **inputs: str) -> dict[str, dict[str, Any]]:
        """The jobs of the component."""
        return self.of("rollback", **inputs)

    def approval(self) -> dict[str, Any]:
        """The one job of the project for approvals."""
        (job,) = self.of("rollback-approval", project=PROJECT).values()
        return job

    def of(self, name: str, **inputs: str) -> dict[str, dict[str, Any]]:
        """The jobs of a component, with inputs that all have and its own."""
        given = {
            "environment": self.settings.environment,
            "folder": "rollbacks",
            "source": f"file://{self.wheel.file}",
            **inputs,
        }
        return jobs(component((ROOT / f"templates/{name}.yml").read_text(), given))

    def run(
        self,
        job: dict[str, Any],
        person: str,
        *,
        project: str = PROJECT,
        folder: Path | None = None,
        source: str = "pipeline",
        **variables: str,
    ) -> Job:
        """Runs a job that `person` has started, with an identity token of its own."""
        self._jobs += 1
        predefined = {
            "GITLAB_CI": "true",
            "CI_PIPELINE_ID": str(self.number),
            "CI_PIPELINE_SOURCE": source,
            "CI_JOB_ID": str(900 + self._jobs),
            "CI_COMMIT_BRANCH": "main",
            "CI_DEFAULT_BRANCH": "main",
            "CI_COMMIT_SHA": git(self.top, "rev-parse", "main"),
            "CI_SERVER_HOST": "gitlab.example",
            "GITLAB_USER_LOGIN": person,
            **self.lab.variables,
            **self.variables,
            **variables,
        }
        (token,) = job["id_tokens"]
        given = identity.gitlab_token(
            project,
            person,
            project_id=4711 if project == PROJECT else 4712,
            environment=job["environment"]["name"],
            audience=job["id_tokens"][token]["aud"],
        )
        made = shell.environment(self.platform.endpoint, self.settings, folder=self.platform.folder)
        own = {k: v for k, v in made.items() if not k.startswith(("AWS_ACCESS", "AWS_SECRET", "AWS_SESSION"))}
        system = {
            **own,
            "PATH": "/usr/bin:/bin",
            "HOME": str(self.platform.folder),
            "PYTHONPATH": str(self.wheel.packages),
            "PIP_NO_INDEX": "1",
            "PIP_NO_DEPS": "1",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": f"url.{self.top}.insteadOf",
            "GIT_CONFIG_VALUE_0": f"https://gitlab-ci-token:{self.lab.variables['CI_JOB_TOKEN']}@gitlab.example/{PROJECT}.git",
        }
        return gitlab_runner.run(job, folder or self.top, {**predefined, token: given}, system)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Wheel:
    folder = tmp_path_factory.mktemp("wheel")
    return prepare(wheels.build(folder), folder)


@pytest.fixture
def on_gitlab(make: Callable[[str], Platform], wheel: Wheel, lab: GitLab) -> Callable[[str], Pipeline]:
    def one(environment: str) -> Pipeline:
        platform = make(environment)
        platform.story()
        numbers = {"projectId": 4711, "approvalsId": 4712}
        project = yaml.safe_load((platform.root / "Pulumi.yaml").read_text())
        project["config"]["gitlab"] = {
            "type": "object",
            "default": {"project": PROJECT, "approvals": APPROVALS, **numbers},
        }
        (platform.root / "Pulumi.yaml").write_text(yaml.safe_dump(project, sort_keys=False))
        git(platform.root, "commit", "-qam", "on GitLab")
        top = shop(platform, wheel, ci_files.GITLAB)
        return Pipeline(platform=platform, top=top, lab=lab, wheel=wheel)

    return one


def test_on_gitlab_a_rollback_is_approved_by_who_approved_the_deployment_in_another_project(
    on_gitlab: Callable[[str], Pipeline], lab: GitLab, tmp_path: Path
) -> None:
    at = on_gitlab("prod")
    at.variables |= {"ROLLBACK_ENVIRONMENT": "prod", "ROLLBACK_KIND": "lambda", "ROLLBACK_REASON": _HOSTILE}
    plan, approval, apply = at.rollback(approvals=APPROVALS, apply="on_success").values()
    approve = at.approval()
    approvals = tmp_path / "approvals"
    approvals.mkdir()

    planned = at.run(plan, "alice")
    assert planned.code == 0, planned.log
    handed = planned.handed_on
    passed_on = {
        name: handed[value.removeprefix("$")]
        for name, value in approval["variables"].items()
        if value.startswith("$")
    }
    too_early = at.run(apply, "alice", **handed)
    lab.deploys(903, "prod-rollback-approval", "alice", "bob")
    approved = at.run(approve, "dave", project=APPROVALS, folder=approvals, **passed_on)
    applied = at.run(apply, "alice", **handed)

    assert (
        runs(plan, {**at.variables, "CI_COMMIT_BRANCH": "main", "CI_DEFAULT_BRANCH": "main"}) == "on_success"
    )
    assert "APPROVAL_MISSING" in too_early.log, too_early.log
    assert approved.code == 0, approved.log
    assert applied.code == 0, applied.log
    shown = at.platform.show(handed["ROLLBACK_ID"])
    assert shown["status"] == "COMPLETE"
    assert shown["initiated_by"] == {"role": "bbws-access-prod-rollback-role", "person": "alice"}
    assert shown["approved_by"] == {"role": "bbws-access-prod-approver-role", "person": "bob"}
    assert shown["reason"] == _HOSTILE
    assert not list(tmp_path.rglob("pwned"))
    assert at.platform.versions() == dict.fromkeys(FUNCTIONS, "2")
    for folder in (at.top, approvals):
        assert not list(Path(f"{folder}.tmp").glob("rollback-token-*")), "the identity tokens are gone"


def test_on_gitlab_no_job_of_the_project_itself_can_approve_whatever_environment_it_names(
    on_gitlab: Callable[[str], Pipeline], lab: GitLab
) -> None:
    at = on_gitlab("prod")
    at.variables |= {"ROLLBACK_REASON": REASON}
    planned = at.run(at.rollback()["rollback-prod-lambda-plan"], "alice").handed_on
    lab.deploys(902, "prod-rollback-approval", "alice", "bob")
    theirs = {"ROLLBACK_RECORD": planned["ROLLBACK_ID"], "ROLLBACK_PLAN": planned["ROLLBACK_DIGEST"]}

    refused = at.run(at.approval(), "bob", **theirs)

    assert refused.code != 0
    assert "AssumeRoleWithWebIdentity" in refused.log, (
        "AWS refuses the role; before that, the review was found"
    )
    assert at.platform.show(planned["ROLLBACK_ID"])["status"] == "AWAITING_APPROVAL"


@pytest.mark.soak  # tests/unit/integrations/test_ci.py: without another person's approval there is no reviewer
@pytest.mark.parametrize("approvers", [(), ("alice",)])
def test_on_gitlab_nothing_is_approved_without_an_approval_of_another_person(
    on_gitlab: Callable[[str], Pipeline], lab: GitLab, tmp_path: Path, approvers: tuple[str, ...]
) -> None:
    at = on_gitlab("prod")
    at.variables |= {"ROLLBACK_REASON": REASON}
    planned = at.run(at.rollback()["rollback-prod-lambda-plan"], "alice").handed_on
    lab.deploys(902, "prod-rollback-approval", "alice", *approvers)
    theirs = {"ROLLBACK_RECORD": planned["ROLLBACK_ID"], "ROLLBACK_PLAN": planned["ROLLBACK_DIGEST"]}
    (tmp_path / "approvals").mkdir()

    refused = at.run(at.approval(), "bob", project=APPROVALS, folder=tmp_path / "approvals", **theirs)

    assert refused.code != 0
    assert ("APPROVAL_REFUSED" if approvers else "REVIEW_MISSING") in refused.log
    assert at.platform.show(planned["ROLLBACK_ID"])["status"] == "AWAITING_APPROVAL"


@pytest.mark.soak  # tests/integration/targets/terraform/test_target.py has the next attempt of a run go on; tests/unit/integrations/test_ci.py has GitLab's attempts
def test_on_gitlab_a_job_that_is_tried_again_goes_on_with_the_record_of_its_pipeline(
    on_gitlab: Callable[[str], Pipeline],
) -> None:
    at = on_gitlab("dev")
    at.variables |= {"ROLLBACK_REASON": REASON}
    plan, _, apply = at.rollback().values()
    first = at.run(plan, "alice")
    (at.platform.root / ".verdict").write_text("1\n")

    failed = at.run(apply, "alice", **first.handed_on)
    (at.platform.root / ".verdict").write_text("0\n")
    again = at.run(plan, "carol")
    done = at.run(apply, "carol", **again.handed_on)

    assert first.code == again.code == 0, again.log
    assert failed.code != 0, failed.log
    assert again.handed_on["ROLLBACK_ID"] == first.handed_on["ROLLBACK_ID"]
    assert done.code == 0, done.log
    shown = at.platform.show(again.handed_on["ROLLBACK_ID"])
    assert (shown["status"], shown["initiated_by"]["person"]) == ("COMPLETE", "alice")
    assert len(at.platform.rollback("history", "--kind", "aliases", "--json", as_=ALICE).json) == 1


@pytest.mark.soak  # test_workflows.py has a release recorded by its deployment; tests/permissions/test_gitlab.py judges the role that GitLab's job takes
def test_on_gitlab_a_release_is_recorded_by_the_deployment_that_made_it(
    on_gitlab: Callable[[str], Pipeline],
) -> None:
    at = on_gitlab("dev")
    at.platform.deploy("v1.3.0")
    (record,) = at.of("rollback-release", version="v1.3.0").values()

    done = at.run(record, "dan")

    assert done.code == 0, done.log
    newest = at.platform.rollback("release", "list", "--json", as_=DAN).json[0]
    assert (newest["version"], newest["commit"]) == ("v1.3.0", git(at.top, "rev-parse", "main"))


@pytest.mark.parametrize(
    ("asked", "when"),
    [
        ({}, "on_success"),
        ({"ROLLBACK_ENVIRONMENT": "dev"}, "never"),
        ({"ROLLBACK_ENVIRONMENT": ""}, "never"),
        ({"ROLLBACK_KIND": "table"}, "never"),
        ({"CI_COMMIT_BRANCH": "topic"}, "never"),
    ],
)
def test_jobs_run_in_the_pipeline_that_asks_for_them_and_in_no_other(
    asked: dict[str, str], when: str
) -> None:
    text = (ROOT / "templates/rollback.yml").read_text()
    usual = {
        "CI_COMMIT_BRANCH": "main",
        "CI_DEFAULT_BRANCH": "main",
        "ROLLBACK_ENVIRONMENT": "prod",
        "ROLLBACK_KIND": "lambda",
    }
    by_people = jobs(component(text, {"environment": "prod", "source": "1.2.3"}))
    by_project = jobs(component(text, {"environment": "prod", "source": "1.2.3", "approvals": APPROVALS}))

    plan, approval, apply = (runs(job, {**usual, **asked}) for job in by_people.values())

    assert plan == when
    assert approval == "never", "people approve"
    assert apply == ("manual" if when == "on_success" else "never")
    assert [runs(job, {**usual, **asked}) for job in by_project.values()][1] == when
