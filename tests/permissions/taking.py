"""Who may take a role: the attempts of jobs, of people and of other roles, each with what ought to come of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tests.permissions.environments import ENVIRONMENTS, PEOPLE, Declared
from tests.permissions.simulator.judging import Request

# Role → the GitHub environment whose jobs may take it, without what begins its name.
JOBS = {
    "deployer": "deploy",
    "rollback": "rollback",
    "restore": "rollback",
    "approver": "rollback-approval",
    "drill": "drill",
}
# (Role, role that may be taken from it).
CHAINS = {("rollback", "restore"), ("drill", "deployer"), ("drill", "rollback")}
_HOST = "token.actions.githubusercontent.com"
_AUDIENCE = "sts.amazonaws.com"


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """A workflow's job, by the subject and the audience of its token, and by who has issued it."""

    what: str
    subject: str | None
    audience: str | None = _AUDIENCE
    provider: str = _HOST


@dataclass(frozen=True, kw_only=True, slots=True)
class Person:
    """An IAM user, with or without MFA, what they call their session, and the source identity that they set, if any.

    No AWS profile sets one; `rollback login` does.
    """

    what: str
    user: str
    mfa: str | None = "true"
    session: str | None = None
    source: str | None = None
    account: str | None = None

    @property
    def actions(self) -> tuple[str, ...]:
        """What AWS asks the trust about: all of it has to be allowed."""
        return ("sts:AssumeRole", *(("sts:SetSourceIdentity",) if self.source else ()))


def own_job(of: Declared, role: str) -> Job | None:
    """The job that may take a role; None where no job may."""
    if role not in JOBS:
        return None
    return Job(
        what="a job in the role's environment",
        subject=f"repo:{of.repository}:environment:{of.environment}-{JOBS[role]}",
    )


def strange_jobs(of: Declared, role: str) -> Iterator[Job]:
    """The jobs that may not."""
    repository, own = of.repository, f"{of.environment}-{JOBS.get(role, 'break-glass')}"
    owner, _, name = repository.partition("/")
    for environment in ENVIRONMENTS:
        for tail in dict.fromkeys(JOBS.values()):
            if (other := f"{environment}-{tail}") != own:
                yield Job(what=f"a job in {other}", subject=f"repo:{repository}:environment:{other}")
    subjects = {
        "of another repository": f"repo:{owner}/website:environment:{own}",
        "of a fork": f"repo:mallory/{name}:environment:{own}",
        "of a repository whose name begins alike": f"repo:{repository}-fork:environment:{own}",
        "of an owner whose name begins alike": f"repo:{owner}x/{name}:environment:{own}",
        "in an environment whose name begins alike": f"repo:{repository}:environment:{own}s",
        "in an environment whose name ends alike": f"repo:{repository}:environment:x{own}",
        "in an environment spelt otherwise": f"repo:{repository}:environment:{own.upper()}",
        "in an environment called by a pattern": f"repo:{repository}:environment:*",
        "with something after the subject": f"repo:{repository}:environment:{own}:ref:refs/heads/main",
        "on the protected branch, in no environment": f"repo:{repository}:ref:refs/heads/main",
        "on a branch that is called like it": f"repo:{repository}:ref:refs/heads/environment:{own}",
        "of a tag": f"repo:{repository}:ref:refs/tags/v1.0.0",
        "of a pull request": f"repo:{repository}:pull_request",
        "with an empty subject": "",
    }
    for what, subject in subjects.items():
        yield Job(what=f"a job {what}", subject=subject)
    right = f"repo:{repository}:environment:{own}"
    yield Job(what="a job without a subject", subject=None)
    yield Job(what="a job for another audience", subject=right, audience=f"https://github.com/{owner}")
    yield Job(what="a job for an audience that begins alike", subject=right, audience=f"{_AUDIENCE}.cn")
    yield Job(what="a job without an audience", subject=right, audience=None)
    yield Job(what="a job of another provider", subject=right, provider="gitlab.com")


def own_people(role: str) -> Iterator[Person]:
    """The ways in which the person who is configured for a role may take it."""
    if role in PEOPLE:
        actor = PEOPLE[role]
        yield Person(what="who is configured, with MFA, by an AWS profile", user=actor)
        yield Person(what="who is configured, with MFA, by `rollback login`", user=actor, source=actor)


def strange_people(of: Declared, role: str) -> Iterator[Person]:
    """The people who may not."""
    actor = PEOPLE.get(role, "alice")
    for other in sorted({*PEOPLE.values(), "mallory"} - {PEOPLE.get(role)}):
        yield Person(what=f"{other}, who is not configured for it", user=other)
    yield Person(what="who is configured, without MFA", user=actor, mfa="false")
    yield Person(what="who is configured, with keys of their own", user=actor, mfa=None)
    yield Person(what="who is configured, under another's name", user=actor, session="mallory")
    yield Person(
        what="who is configured, under another's name but for themselves",
        user=actor,
        session="mallory",
        source=actor,
    )
    yield Person(what="who is configured, for another", user=actor, source="mallory")
    yield Person(what="who is configured, by login without MFA", user=actor, mfa="false", source=actor)
    yield Person(what="a namesake in another account", user=actor, account="111122223333")


@dataclass(frozen=True, kw_only=True, slots=True)
class Hop:
    """A role's session that takes the next role: the source identity that it has, or a job's that it began as.

    `sets` is the source identity that goes with the request: the session's own goes along by itself.
    """

    what: str
    source: str | None = None
    job: bool = False
    session: str = "alice"
    sets: str | None = None

    @property
    def actions(self) -> tuple[str, ...]:
        """What AWS asks the trust about: all of it has to be allowed."""
        return ("sts:AssumeRole", *(("sts:SetSourceIdentity",) if self.source or self.sets else ()))


HOPS = (
    Hop(what="a person's session by `rollback login`, or one that was taken from there", source="alice"),
    Hop(what="a job's session, in its own name from here on", job=True, sets="alice"),
    Hop(what="a job's session that sets no name", job=True),
)
STRANGE_HOPS = (
    Hop(what="a person's session by login, under another's name", source="alice", session="mallory"),
    Hop(what="a person's session by an AWS profile, which has no source identity"),
    Hop(what="a person's session by an AWS profile, under another's name", session="mallory"),
    Hop(what="a person's session by an AWS profile that sets a name now", sets="alice"),
)


def attempts(of: Declared) -> Iterator[tuple[tuple[str, ...], Request]]:
    """Every attempt on every role, with the question that it answers."""
    for role in of.roles:
        jobs = [*filter(None, [own_job(of, role)]), *strange_jobs(of, role)]
        for job in jobs:
            yield ("take", of.environment, role, job.what), _by_job(of, role, job)
        for person in [*own_people(role), *strange_people(of, role)]:
            for action in person.actions:
                yield (
                    ("take", of.environment, role, person.what, action),
                    _by_person(of, role, person, action),
                )
        for before in of.roles:
            for hop in (*HOPS, *STRANGE_HOPS):
                for action in hop.actions:
                    yield (
                        ("take", of.environment, role, f"from {before}: {hop.what}", action),
                        _by_role(of, role, before, hop, action),
                    )


def _by_job(of: Declared, role: str, job: Job) -> Request:
    claims = {f"{_HOST}:sub": job.subject, f"{_HOST}:aud": job.audience}
    return Request(
        principal=f"arn:aws:iam::{of.account}:oidc-provider/{job.provider}",
        action="sts:AssumeRoleWithWebIdentity",
        resource=of.roles[role],
        account=of.account,
        context={key: value for key, value in claims.items() if value is not None},
        trust=f"{of.environment}: {of.trusts[role]}",
    )


def _by_person(of: Declared, role: str, person: Person, action: str) -> Request:
    verdict: Mapping[str, str | None] = {
        "aws:username": person.user,
        "aws:MultiFactorAuthPresent": person.mfa,
        "sts:SourceIdentity": person.source,
        # The name of a session is told with AssumeRole only.
        "sts:RoleSessionName": (person.session or person.user) if action == "sts:AssumeRole" else None,
    }
    return Request(
        principal=f"arn:aws:iam::{person.account or of.account}:user/{person.user}",
        action=action,
        resource=of.roles[role],
        account=of.account,
        context={key: value for key, value in verdict.items() if value is not None},
        trust=f"{of.environment}: {of.trusts[role]}",
    )


def _by_role(of: Declared, role: str, before: str, hop: Hop, action: str) -> Request:
    verdict = {
        "aws:SourceIdentity": hop.source,
        "aws:FederatedProvider": f"arn:aws:iam::{of.account}:oidc-provider/{_HOST}" if hop.job else None,
        "sts:SourceIdentity": hop.sets or hop.source,
        "sts:RoleSessionName": hop.session if action == "sts:AssumeRole" else None,
    }
    keys = {key: value for key, value in verdict.items() if value is not None}
    return of.request(before, action, of.roles[role], trust=f"{of.environment}: {of.trusts[role]}", **keys)
