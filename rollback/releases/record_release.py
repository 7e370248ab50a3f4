"""Records releases: after a deployment, or from an account's published versions.

It is longer than 400 lines: both ways share the write of a release.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TypeVar

from botocore.exceptions import ClientError

from rollback.aws.account import code, explained
from rollback.aws.functions import observe, observe_alias
from rollback.ledger.lease import ALIASES, RECORDING, HeldLeases
from rollback.ledger.lease import STACK as STACK_LEASE
from rollback.ledger.lease import TERRAFORM as TERRAFORM_LEASE
from rollback.lifecycle import freeze, standby
from rollback.lifecycle.context import Session
from rollback.lifecycle.ports import Ui
from rollback.lifecycle.record_names import checked_commit
from rollback.model.grouping import some, together
from rollback.model.record import DeployedVersion
from rollback.model.release import (
    STACK,
    TERRAFORM,
    Entry,
    Release,
    Timeline,
    checked_version,
    label,
    manifest_hash,
)
from rollback.queries import stack_versions
from rollback.targets.aliases.recorded import deployed_label
from rollback.util.errors import (
    Code,
    Refused,
    RollbackError,
    UsageError,
)
from rollback.util.extras import ExtraMissing

R = TypeVar("R")
# Reads the stack's commit, or None and the reason.
StackCommit = Callable[[], tuple[str | None, str]]
# How often an alias is read again, because it changed between two reads.
# The unpublished version, which can be edited.
LATEST = "$LATEST"
_LOOKS = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Commits:
    """The commits of a release; None where unknown."""

    code: str
    stack: str | None = None
    terraform: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Recorded:
    """The result of recording: the release, what is deployed now, and notices. `new`: it was not recorded before."""

    release: Release
    deployed: str
    notices: tuple[str, ...] = ()
    new: bool = True


def record(
    session: Session,
    version: str,
    commits: Commits,
    ui: Ui,
    *,
    stack: StackCommit | None = None,
    not_below: str = "",
    from_stacks: Sequence[str] = (),
) -> Recorded:
    """Records as `version` what every function's alias points to now, and updates the parameters.

    `from_stacks` are CloudFormation stacks: then the release has the services that they deploy, and aliases must
    point to what the stacks have deployed.

    `stack` reads the stack's commit if it is not in `commits`: under the leases, so that no rollback of the stack
    ends in between. From then on rollbacks to releases older than `not_below` are refused (`model.floors`): this one,
    or an earlier one; recording again without it does not remove it. Raises `Refused` where a function or its alias is missing, where the version was recorded with
    other function versions, or where it or a commit is quarantined.
    """
    checked_version(version)
    if not_below:
        checked_version(not_below)
    freeze.respected(session)
    identifier = session.clocks.identifier()
    with _leases(session, identifier) as lease:
        timeline = session.ledger.timeline(verified=True)
        commits, notices = _with_stack(commits, stack)
        _not_quarantined(session, version, commits)
        ours = (
            stack_versions.of_services(session, from_stacks) if from_stacks else session.settings.catalogue()
        )
        manifest, weighted = _read_live(session, ui, list(ours))
        notices += weighted
        if from_stacks:
            stack_versions.must_be_deployed(session, manifest, from_stacks, ours)
        _known_release(timeline, not_below, version, session.environment)
        release = _release(session, version, commits, manifest, identifier, adopted=False)
        services = tuple(
            name
            for name in session.settings.services
            if not manifest.keys().isdisjoint(session.settings.functions(name))
        )
        release = replace(release, not_below=not_below, services=services)
        deployed = {**dict.fromkeys(release.services, version), **_positions(commits)}
        known = timeline.release_of(version)
        if known is not None:
            before = session.ledger.recorded_release(known)
            if before.manifest_hash != release.manifest_hash:
                raise Refused(
                    f"{version} is already recorded, with other function versions: "
                    f"{some(_differing(before.manifest, manifest))}.",
                    code=Code.RELEASE_EXISTS,
                    next="Record the new deployment under a new version.",
                )
            release = replace(release, not_below=not_below or before.not_below)
            same = before.manifest == manifest and before.not_below == release.not_below
            if deployed.items() <= timeline.all_deployed.items() and same:
                # The command that recorded it may have crashed before it wrote the parameters.
                _write_parameters(session, label(timeline.all_deployed), commits, again=True)
                return Recorded(
                    release=before,
                    deployed=label(timeline.all_deployed),
                    notices=tuple(notices),
                    new=False,
                )
        session.ledger.record_release(release, _entry(session, release, deployed, "deployment"), lease)
        _write_parameters(session, label({**timeline.all_deployed, **deployed}), commits)
    try:
        standby.close_ended(session)
    except RollbackError as error:  # it has ended, even if its record could not be closed
        notices.append(f"The earlier standby could not be closed: {error.what}")
    notices += stack_versions.deleted_ones(session, timeline, release, from_stacks)
    return Recorded(
        release=release, deployed=label({**timeline.all_deployed, **deployed}), notices=tuple(notices)
    )


def _known_release(timeline: Timeline, not_below: str, version: str, environment: str) -> None:
    """Raises `UsageError` where `not_below` is neither this release nor one that was recorded."""
    if not_below in ("", version) or timeline.release_of(not_below) is not None:
        return
    raise UsageError(
        f"--not-below {not_below!r}: no such release is recorded.",
        code=Code.UNKNOWN_RELEASE,
        next=f"rollback release list --env {environment}  # lists the releases; this one is {version}",
    )


def adopt(
    session: Session, version: str, commits: Commits, ui: Ui, *, stack: StackCommit | None = None
) -> Recorded:
    """Records a release from the published versions whose description is exactly `version`; `stack` as in `record`.

    For accounts with releases older than the ledger. It changes what is recorded as deployed only for services
    whose aliases are all at those versions. Raises `Refused` naming the functions that have none or several.
    """
    checked_version(version)
    freeze.respected(session)
    identifier = session.clocks.identifier()
    settings = session.settings
    with _leases(session, identifier) as lease:
        timeline = session.ledger.timeline(verified=True)
        commits, notices = _with_stack(commits, stack)
        if timeline.release_of(version) is not None:
            raise Refused(f"{version} is already recorded.", code=Code.RELEASE_EXISTS)
        names = list(settings.catalogue())
        ui.start("Reading published versions", len(names))
        try:
            found = dict(
                zip(
                    names,
                    _counted(session, lambda name: _described(session, name, version), names, ui),
                    strict=True,
                )
            )
        finally:
            ui.finish()
        wrong = [
            (name, f"{len(versions) or 'no'} version{'s' if len(versions) != 1 else ''}")
            for name, versions in found.items()
            if len(versions) != 1
        ]
        if wrong:
            raise Refused(
                "\n".join(
                    [
                        f"{version} cannot be adopted: each function needs exactly one version with this description.",
                        *together(wrong),
                    ]
                ),
                code=Code.RELEASE_INCOMPLETE,
            )
        manifest = {name: versions[0] for name, versions in found.items()}
        live = dict(
            zip(
                names,
                session.account.each(lambda name: observe(session.account, name, settings.alias), names),
                strict=True,
            )
        )
        deployed = {
            service: version
            for service in settings.services
            if all(
                (seen := live[name]) and seen.version == manifest[name].version
                for name in settings.functions(service)
            )
        }
        release = _release(session, version, commits, manifest, identifier, adopted=True)
        session.ledger.record_release(release, _entry(session, release, deployed, "adoption"), lease)
        after = deployed_label(session.ledger, session.ledger.timeline(), settings.catalogue())
        if deployed:
            _write_parameters(session, after, commits)
    return Recorded(release=release, deployed=after, notices=tuple(notices))


def commits_for(session: Session, commit: str, terraform: str | None) -> Commits:
    """The given commits of a release, checked. Raises `UsageError` for an unknown commit, or for a Terraform commit
    if the settings have no Terraform configuration.
    """
    if terraform and session.settings.terraform is None:
        raise UsageError(
            f"{session.environment} has no Terraform configuration (setting `terraform`).",
            code=Code.NOT_CONFIGURED,
            next="Run it again without --terraform-commit.",
        )
    return Commits(
        code=checked_commit(session.root, commit) if commit else "",
        terraform=checked_commit(session.root, terraform) if terraform else None,
    )


def stack_commit(session: Session) -> StackCommit:
    """Returns a function that reads the stack's commit from the engine's history."""
    try:
        from rollback.engines.pulumi.update_history import deployed_commit  # noqa: PLC0415 - the engine is asked by this verb alone
    except ExtraMissing as error:
        why = f"The stack's commit is not recorded: {error.what}"
        return lambda: (None, why)

    return lambda: deployed_commit(session.root, session.settings)


def _with_stack(commits: Commits, stack: StackCommit | None) -> tuple[Commits, list[str]]:
    """The commits with the stack's as `stack` reads it, and the reason if it is unknown."""
    if stack is None:
        return commits, []
    commit, why = stack()
    return replace(commits, stack=commit), [why] if why else []


def _not_quarantined(session: Session, version: str, commits: Commits) -> None:
    """Raises `Refused` where the version or one of the infrastructure's commits is quarantined."""
    found, positions = session.ledger.quarantines(), _positions(commits)
    services = sorted({item.service for item in found if item.version == version})
    env = session.environment
    if services:
        raise Refused(
            f"{version} is quarantined for {', '.join(services)}.",
            code=Code.QUARANTINED,
            next=f'rollback release lift {version} --env {env} --reason "…"  # or deploy it under a new version',
        )
    for item in found:
        if positions.get(item.service) == item.version:
            commit = item.version[:12]
            raise Refused(
                f"Commit {commit} of {item.service.removeprefix('@')} is quarantined: {item.reason}.",
                code=Code.QUARANTINED,
                next=f'rollback release lift {commit} --env {env} --reason "…"  # or deploy and record a release that fixes it',
            )


def _read_live(
    session: Session, ui: Ui, names: Sequence[str]
) -> tuple[dict[str, DeployedVersion], list[str]]:
    """What every alias points to, with RevisionId, weights and provisioned concurrency."""
    alias = session.settings.alias

    def one(name: str) -> DeployedVersion | None:
        for _ in range(_LOOKS):
            seen, pointer = observe(session.account, name, alias), observe_alias(session.account, name, alias)
            if seen is None or pointer is None:
                return None
            if seen.version == pointer.version:
                break
        else:
            raise Refused(
                f"The alias of {name} is being changed right now.",
                code=Code.CHANGED_BY_OTHERS,
                next="Run the command again when the other change is finished.",
            )
        return DeployedVersion(
            version=pointer.version,
            code_sha256=seen.code_sha256,
            revision_id=pointer.revision_id,
            weights=pointer.weights,
            provisioned=_provisioned(session, name),
        )

    ui.start("Reading aliases", len(names))
    try:
        found = dict(zip(names, _counted(session, one, names, ui), strict=True))
    finally:
        ui.finish()
    missing = [name for name, deployed in found.items() if deployed is None]
    if missing:
        raise Refused(
            f"No alias '{alias}' on: {', '.join(missing[:10])}.",
            code=Code.NOT_DECLARED,
            next="Deploy the functions, run `pulumi up` to create their aliases, then record again.",
        )
    manifest = {name: deployed for name, deployed in found.items() if deployed is not None}
    unpublished = [name for name, deployed in manifest.items() if deployed.version == LATEST]
    if unpublished:
        raise Refused(
            f"The alias '{alias}' is on {LATEST}, which is not a published version, on: {', '.join(unpublished[:10])}.",
            code=Code.RELEASE_INCOMPLETE,
            next="Publish a version of each (aws lambda publish-version), point the alias at it, then record again.",
        )
    weighted = [name for name, deployed in manifest.items() if deployed.weights]
    return manifest, [f"Recorded with weights: {', '.join(weighted[:10])}."] if weighted else []


def _counted(session: Session, function: Callable[[str], R], names: Sequence[str], ui: Ui) -> list[R]:
    """Calls `function` for every name and returns the results in order, with progress."""
    done = itertools.count(1)

    def one(name: str) -> R:
        result = function(name)
        ui.progress(next(done))
        return result

    return session.account.each(one, names)


def _provisioned(session: Session, name: str) -> int:
    """The alias's provisioned concurrency; 0 without any."""
    with explained(f"reading the provisioned concurrency of {name}"):
        try:
            answer = session.account.lambda_.get_provisioned_concurrency_config(
                FunctionName=name, Qualifier=session.settings.alias
            )
        except ClientError as error:
            if code(error) in ("ProvisionedConcurrencyConfigNotFoundException", "ResourceNotFoundException"):
                return 0
            raise
    return int(answer["RequestedProvisionedConcurrentExecutions"])


def _described(session: Session, name: str, description: str) -> list[DeployedVersion]:
    """The published versions of a function whose description is exactly `description`."""
    with explained(f"listing the versions of {name}"):
        try:
            pages = list(
                session.account.lambda_.get_paginator("list_versions_by_function").paginate(FunctionName=name)
            )
        except ClientError as error:
            if code(error) == "ResourceNotFoundException":
                return []
            raise
    return [
        DeployedVersion(version=item["Version"], code_sha256=item["CodeSha256"])
        for page in pages
        for item in page["Versions"]
        if item["Version"] != LATEST and item.get("Description", "") == description
    ]


def _release(
    session: Session,
    version: str,
    commits: Commits,
    manifest: Mapping[str, DeployedVersion],
    identifier: str,
    *,
    adopted: bool,
) -> Release:
    return Release(
        deployment_id=identifier,
        version=version,
        environment=session.environment,
        commit=commits.code,
        stack_commit=commits.stack,
        terraform_commit=commits.terraform,
        recorded_by=session.caller,
        recorded_at=session.clocks.now(),
        services=tuple(session.settings.services),
        manifest_hash=manifest_hash(manifest),
        functions=len(manifest),
        adopted=adopted,
        manifest=manifest,
    )


def _entry(session: Session, release: Release, deployed: Mapping[str, str], kind: str) -> Entry:
    return Entry(
        seq=0,
        kind=kind,
        id=release.deployment_id,
        version=release.version,
        at=release.recorded_at,
        by=session.caller,
        services=(*release.services, *(subject for subject in deployed if subject not in release.services)),
        stands=deployed,
        covers=release.manifest_hash,
        status=release.status,
        commit=release.commit,
        not_below=release.not_below,
    )


def _positions(commits: Commits) -> dict[str, str]:
    """Infrastructure subject → its commit in a release, where known."""
    known = {STACK: commits.stack, TERRAFORM: commits.terraform}
    return {subject: commit for subject, commit in known.items() if commit}


def _write_parameters(session: Session, deployed: str, commits: Commits, *, again: bool = False) -> None:
    """Updates the SSM parameters that hold what is deployed; `again` skips those that are up to date."""
    names, ssm = session.settings.names, session.account.ssm
    values = {
        names.deployed_version: deployed,
        names.pulumi_commit: commits.stack,
        names.terraform_commit: commits.terraform,
    }
    for name, value in values.items():
        if value:
            with explained(f"writing the parameter {name}"):
                if not (again and ssm.get_parameter(Name=name)["Parameter"]["Value"] == value):
                    ssm.put_parameter(Name=name, Value=value, Type="String", Overwrite=True)


def _differing(before: Mapping[str, DeployedVersion], now: Mapping[str, DeployedVersion]) -> list[str]:
    return [
        name
        for name in sorted(set(before) | set(now))
        if name not in before or name not in now or before[name].version != now[name].version
    ]


@contextmanager
def _leases(session: Session, identifier: str) -> Iterator[HeldLeases]:
    """Takes all leases, so that nothing is rolled back while a release, which includes the infrastructure, is read.

    Raises `LeaseHeld` where one is not free.
    """
    lease = session.leases.hold((ALIASES, STACK_LEASE, TERRAFORM_LEASE), f"{RECORDING}{identifier}")
    try:
        yield lease
    finally:
        lease.release()
