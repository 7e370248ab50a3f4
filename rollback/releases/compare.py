"""What changed between two releases, or between a release and what is deployed. Reads only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from rollback.aws.functions import observe
from rollback.engines import git
from rollback.lifecycle.context import Session
from rollback.model.release import PREVIOUS, STACK, TERRAFORM, Release, Timeline, label, previous
from rollback.releases.differences import (
    CommitChange,
    Difference,
    Side,
    compare,
)
from rollback.util.errors import Code, Refused, UsageError

# What is deployed according to the ledger, and according to the account.
RECORDED, DEPLOYED = "recorded", "deployed"
_COMMITS = 50
_SHORT = 12


def difference(session: Session, before: str, after: str) -> Difference:
    """The differences. Each side is a recorded release, `previous` or `recorded` (per service, from the ledger),
    or `deployed` (what the aliases point to).

    Raises `UsageError` for a release that is not recorded, `Refused` where there is no previous one.
    """
    timeline = session.ledger.timeline()
    old, new = (_side(session, timeline, name) for name in (before, after))
    found = compare(session.environment, old, new, session.settings.catalogue())
    here = _positions(timeline.all_deployed)
    return replace(
        found,
        commits=tuple(_between(session, change) for change in found.commits),
        resources=tuple(
            f"rollback {change.what} --env {session.environment} --to {change.before[:_SHORT]} --dry-run"
            for change in found.commits
            if here.get(change.what) == change.after  # a dry run compares with what is deployed
        ),
    )


def _side(session: Session, timeline: Timeline, name: str) -> Side:
    services = list(session.settings.services)
    deployed = timeline.all_deployed
    if name in (RECORDED, DEPLOYED):
        known = {service: deployed[service] for service in services if service in deployed}
        recorded = _of_services(session, timeline, RECORDED, known)
        recorded = replace(recorded, commits={**recorded.commits, **_positions(deployed)})
        return (
            recorded
            if name == RECORDED
            else replace(recorded, name=name, functions=_live(session), release="")
        )
    if name == PREVIOUS:
        try:
            found = previous(timeline, services, session.ledger.quarantines(), allow_below=True)
        except Refused as error:
            env = session.environment
            error.next = (
                f"rollback release list --env {env}  # what there is\n"
                f"rollback diff V deployed --env {env}  # from release V"
            )
            raise
        return _of_services(session, timeline, name, found)
    release = _release(session, timeline, name)
    return Side(name=name, functions=_manifest(release), commits=_commits(release), release=name)


def _release(session: Session, timeline: Timeline, version: str) -> Release:
    entry = timeline.release_of(version)
    if entry is None:
        raise UsageError(
            f"No release {version[:80]!a} is recorded in {session.environment}.",
            code=Code.UNKNOWN_RELEASE,
            next=f"rollback release list --env {session.environment}",
        )
    return session.ledger.recorded_release(entry)


def _of_services(session: Session, timeline: Timeline, name: str, at: Mapping[str, str]) -> Side:
    """Each service at its release; with commits if all services are at the same release."""
    releases = {version: _release(session, timeline, version) for version in dict.fromkeys(at.values())}
    functions = {
        function: known
        for service, version in at.items()
        for function, known in _manifest(releases[version]).items()
        if function in session.settings.functions(service)
    }
    one = next(iter(releases.values())) if len(releases) == 1 else None
    called = f"{name} ({', '.join(releases)})"
    return Side(
        name=called,
        functions=functions,
        commits=_commits(one) if one else {},
        release=label(at) if at else "",
    )


def _manifest(release: Release) -> dict[str, tuple[str, str]]:
    return {name: (known.version, known.code_sha256) for name, known in release.manifest.items()}


def _commits(release: Release) -> dict[str, str]:
    found = {"code": release.commit, "stack": release.stack_commit, "terraform": release.terraform_commit}
    return {kind: commit for kind, commit in found.items() if commit}


def _positions(deployed: Mapping[str, str]) -> dict[str, str]:
    found = {"stack": deployed.get(STACK), "terraform": deployed.get(TERRAFORM)}
    return {kind: commit for kind, commit in found.items() if commit}


def _live(session: Session) -> dict[str, tuple[str, str]]:
    names, alias = list(session.settings.catalogue()), session.settings.alias
    seen = session.account.each(lambda name: observe(session.account, name, alias), names)
    return {
        name: (one.version, one.code_sha256) for name, one in zip(names, seen, strict=True) if one is not None
    }


def _between(session: Session, change: CommitChange) -> CommitChange:
    """Adds the commits in between, if this checkout has both ends."""
    for forwards, older, newer in ((True, change.before, change.after), (False, change.after, change.before)):
        found = git.between(session.root, older, newer, _COMMITS)
        if found:
            return replace(change, subjects=tuple(found), forwards=forwards)
    return change
