"""Which of GitLab's jobs may take which role: decided by a simulator of IAM on what the program declares."""

from __future__ import annotations

import json
from functools import cache

import pytest

from rollback.config.naming import APPROVER, GITHUB_OIDC_HOST
from tests.permissions.simulator.judging import Request, Verdict, judge
from tests.unit.components.pulumi_mocks import Run, run
from tests.unit.components.test_program import ONE_FUNCTION, PROVIDER, ROLE, configuration, program

ACCOUNT = "536580886816"
PROJECT, APPROVALS = "acme/platform/orders", "acme/approvals"
BY_JOBS = ("deployer", "rollback", "restore", "drill")
COM = {"project": PROJECT, "approvals": APPROVALS, "projectId": 4711, "approvalsId": 4712}
OWN = {"host": "gitlab.acme.example", "project": PROJECT, "approvals": APPROVALS}


@cache
def declared(gitlab: str, repository: str = "") -> Run:
    more = {**ONE_FUNCTION, "rollback:gitlab": json.loads(gitlab), "rollback:repository": repository}
    return run(program, stack="dev-foundation", config=configuration("dev", **more))


def of(gitlab: dict[str, object], repository: str = "") -> Run:
    return declared(json.dumps(gitlab), repository)


def taken(where: Run, role: str, host: str, **claims: str) -> Verdict:
    """What IAM says where a job with these claims takes a role."""
    (verdict,) = judge(
        [
            Request(
                principal=f"arn:aws:iam::{ACCOUNT}:oidc-provider/{host}",
                action="sts:AssumeRoleWithWebIdentity",
                resource=f"arn:aws:iam::{ACCOUNT}:role/{where.of(ROLE)[role].inputs['name']}",
                account=ACCOUNT,
                context={f"{host}:{claim}": value for claim, value in claims.items()},
                trust="it",
            )
        ],
        {"it": where.of(ROLE)[role].policy("assumeRolePolicy")},
    )
    return verdict


def job(project: str = PROJECT, ref: str = "main", kind: str = "branch", **more: str) -> dict[str, str]:
    """The claims of a job of gitlab.com."""
    number = "4712" if project == APPROVALS else "4711"
    sub = f"project_path:{project}:ref_type:{kind}:ref:{ref}"
    return {"aud": "sts.amazonaws.com", "sub": sub, "ref_protected": "true", "project_id": number} | more


def test_gitlab_is_an_identity_provider_for_the_audience_of_sts_only_and_is_protected() -> None:
    for gitlab, host in ((COM, "gitlab.com"), (OWN, "gitlab.acme.example")):
        provider = of(gitlab).one(PROVIDER)

        assert provider.inputs["url"] == f"https://{host}"
        assert provider.inputs["clientIdLists"] == ["sts.amazonaws.com"]
        assert provider.protect


@pytest.mark.parametrize("role", [*BY_JOBS, APPROVER])
def test_a_role_is_taken_by_the_jobs_of_its_project_on_the_protected_branch(role: str) -> None:
    project = APPROVALS if role == APPROVER else PROJECT
    own = taken(of(OWN), role, "gitlab.acme.example", aud=job()["aud"], sub=job(project)["sub"])

    com = taken(of(COM), role, "gitlab.com", **job(project))
    assert (com.allowed, com.problem) == (True, None)
    assert (own.allowed, own.problem) == (True, None)


STRANGE = {
    "of the other project": {"swap": "yes"},
    "of another branch": {"ref": "main2"},
    "of a branch below it": {"ref": "main/x"},
    "of a tag that is called like it": {"kind": "tag"},
    "on a branch that is not protected": {"ref_protected": "false"},
    "of a project that was given the path": {"project_id": "9"},
    "for another audience": {"aud": "https://gitlab.com"},
    "of a merge request of a fork": {"project": "mallory/orders"},
    "of a project whose path begins alike": {"project": f"{PROJECT}-2"},
    "of a project below": {"project": f"{PROJECT}/x"},
    "of a project spelt otherwise": {"project": PROJECT.upper()},
}


@pytest.mark.parametrize("what", STRANGE)
@pytest.mark.parametrize("role", ["rollback", "deployer", APPROVER])
def test_a_role_is_taken_by_no_other_job(role: str, what: str) -> None:
    usual = APPROVALS if role == APPROVER else PROJECT
    claims = dict(STRANGE[what])
    if claims.pop("swap", ""):
        claims["project"] = PROJECT if role == APPROVER else APPROVALS

    assert not taken(of(COM), role, "gitlab.com", **job(**{"project": usual, **claims})).allowed


def test_a_job_of_gitlab_com_does_not_take_the_role_of_another_gitlabs() -> None:
    assert not taken(of(OWN), "rollback", "gitlab.com", **job()).allowed
    assert not taken(of(COM), "rollback", "gitlab.acme.example", **job()).allowed


def test_without_a_project_for_approvals_no_job_approves() -> None:
    alice = f"arn:aws:iam::{ACCOUNT}:user/bob"
    more = {"rollback:people": {"approvers": [alice]}, "rollback:gitlab": {"project": PROJECT}}
    where = run(program, stack="dev-foundation", config=configuration("dev", **ONE_FUNCTION, **more))

    trust = where.of(ROLE)[APPROVER].policy("assumeRolePolicy")

    assert "GitLabJobs" not in {one["Sid"] for one in trust["Statement"]}
    assert "GitLabJobs" in json.dumps(where.of(ROLE)["rollback"].inputs)


def test_nobodys_job_breaks_the_glass() -> None:
    assert "gitlab.com" not in json.dumps(of(COM).of(ROLE)["break-glass"].inputs)


def test_github_stays_beside_it() -> None:
    both = of(COM, "acme/orders")

    assert {one.inputs["url"] for one in both.of(PROVIDER).values()} == {
        "https://gitlab.com",
        f"https://{GITHUB_OIDC_HOST}",
    }
    sids = {one["Sid"] for one in both.of(ROLE)["rollback"].policy("assumeRolePolicy")["Statement"]}
    assert {"Jobs", "GitLabJobs"} <= sids
    assert PROVIDER in {one.type for one in both.resources if one.protect}
