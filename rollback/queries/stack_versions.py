"""The versions that CloudFormation stacks deployed, for recording a release, and whether previous versions are kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rollback.aws import stacks
from rollback.aws.functions import observe
from rollback.lifecycle.context import Session
from rollback.lifecycle.granted import granted_by
from rollback.model.found import ADVICE
from rollback.model.record import DeployedVersion
from rollback.model.release import Release, Timeline
from rollback.util.errors import Code, Refused, RollbackError


def of_services(session: Session, names: Sequence[str]) -> dict[str, str]:
    """Function of the catalogue → the version deployed by one of these stacks. They must deploy all
    functions of a service, or none.
    """
    settings, found = session.settings, dict[str, str]()
    with granted_by(session, "cloudformationStacks"):
        for name in names:
            found |= stacks.deployed(session.account, name)
    services = [name for name in settings.services if not found.keys().isdisjoint(settings.functions(name))]
    if not services:
        raise Refused(
            f"{', '.join(names)} deploys no version of any function in the catalogue.",
            code=Code.RELEASE_INCOMPLETE,
            next="Publish versions in the stack with AutoPublishAlias (SAM), current_version (CDK) or AWS::Lambda::Version.",
        )
    wanted = [function for name in services for function in settings.functions(name)]
    if missing := [function for function in wanted if function not in found]:
        raise Refused(
            f"{', '.join(names)} deploys no version of {', '.join(missing[:10])}, which also belongs to "
            f"{', '.join(services)}.",
            code=Code.RELEASE_INCOMPLETE,
            next="Name every stack that deploys them (--from-stack A --from-stack B), or make them a separate service.",
        )
    return {function: found[function] for function in wanted}


def must_be_deployed(
    session: Session,
    manifest: Mapping[str, DeployedVersion],
    names: Sequence[str],
    expected: Mapping[str, str],
) -> None:
    """Raises `Refused` where an alias is not at the stacks' version: after a rollback, a deployment without a
    change does not update the alias.
    """
    wrong = [
        f"{name} is at version {manifest[name].version}, but the stack deployed {version}"
        for name, version in expected.items()
        if manifest[name].version != version
    ]
    if wrong:
        raise Refused(
            "\n".join(
                [
                    f"The alias '{session.settings.alias}' does not point to what {', '.join(names)} deployed:",
                    *wrong[:10],
                ]
            ),
            code=Code.CHANGED_BY_OTHERS,
            next="Deploy a change, which publishes a version and updates the alias. To record what is deployed now, run the "
            "same command without --from-stack.",
        )


def deleted_ones(session: Session, timeline: Timeline, release: Release, names: Sequence[str]) -> list[str]:
    """Why the next rollback could not go to what was deployed before `release`, one sentence each: its versions
    are deleted, or will be by the next deployment. Checked after recording, so that it prevents nothing.
    """
    try:
        gone = _gone(session, timeline, release)
        looked = stacks.look(session.account, names or session.settings.cloudformation_stacks)
    except RollbackError as error:
        return [f"Could not check whether previous versions are kept: {error.what}"]
    notices = [one.advice for one in looked.deletes]
    if gone:
        advice = "" if notices else f" The deployment deletes them. {ADVICE}"
        notices.append(
            f"Versions of the previous release were deleted, so that you cannot roll back to them: {', '.join(gone[:5])}.{advice}"
        )
    return notices


def _gone(session: Session, timeline: Timeline, release: Release) -> list[str]:
    """The versions of the previous release that no longer exist, as `NAME:VERSION`."""
    deployed = {timeline.all_deployed.get(service, "") for service in release.services} - {
        "",
        release.version,
    }
    left = [
        (name, old.version)
        for entry in map(timeline.release_of, sorted(deployed))
        if entry is not None
        for name, old in session.ledger.recorded_release(entry).manifest.items()
        if name in release.manifest and old.version != release.manifest[name].version
    ]
    there = session.account.each(lambda one: observe(session.account, *one), left)
    return [f"{name}:{version}" for (name, version), seen in zip(left, there, strict=True) if seen is None]
