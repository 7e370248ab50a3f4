"""What CloudFormation stacks have deployed, for a release that is recorded; and whether the versions before are kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rollback.actions.context import Session
from rollback.actions.granted import granted_by
from rollback.aws import stacks
from rollback.aws.functions import observe
from rollback.core.errors import Code, Refused, RollbackError
from rollback.model.found import ADVICE
from rollback.model.record import DeployedVersion
from rollback.model.release import Release, Timeline


def of_services(session: Session, names: Sequence[str]) -> dict[str, str]:
    """Function of the catalogue → the version that one of these stacks has deployed. Of a service that they deploy, all
    functions have to be theirs.
    """
    settings, found = session.settings, dict[str, str]()
    with granted_by(session, "cloudformationStacks"):
        for name in names:
            found |= stacks.deployed(session.account, name)
    services = [name for name in settings.services if not found.keys().isdisjoint(settings.functions(name))]
    if not services:
        raise Refused(
            f"{', '.join(names)} deploys no version of a function of the catalogue.",
            code=Code.RELEASE_INCOMPLETE,
            next="A stack publishes versions by AutoPublishAlias (SAM), current_version (CDK) or AWS::Lambda::Version.",
        )
    wanted = [function for name in services for function in settings.functions(name)]
    if missing := [function for function in wanted if function not in found]:
        raise Refused(
            f"{', '.join(names)} deploys no version of {', '.join(missing[:10])}, which is of "
            f"{', '.join(services)} as well.",
            code=Code.RELEASE_INCOMPLETE,
            next="Name every stack that deploys them (--from-stack A --from-stack B), or make them a service of their own.",
        )
    return {function: found[function] for function in wanted}


def must_be_deployed(
    session: Session,
    manifest: Mapping[str, DeployedVersion],
    names: Sequence[str],
    expected: Mapping[str, str],
) -> None:
    """Raises `Refused` where an alias is not at what the stacks have deployed: after a rollback a deployment without a
    change leaves it there.
    """
    wrong = [
        f"{name} is at version {manifest[name].version}, and the stack has deployed {version}"
        for name, version in expected.items()
        if manifest[name].version != version
    ]
    if wrong:
        raise Refused(
            "\n".join(
                [
                    f"The alias '{session.settings.alias}' is not at what {', '.join(names)} has deployed:",
                    *wrong[:10],
                ]
            ),
            code=Code.CHANGED_BY_OTHERS,
            next="Deploy a change, which publishes a version and moves the alias; what is deployed now is recorded by the "
            "same command without --from-stack.",
        )


def deleted_ones(session: Session, timeline: Timeline, release: Release, names: Sequence[str]) -> list[str]:
    """What keeps the next rollback from going back to what was deployed before `release`, a sentence each: its versions
    are gone already, or will be at the next deployment. It is looked at once the release is recorded, and keeps nothing.
    """
    try:
        gone = _gone(session, timeline, release)
        looked = stacks.look(session.account, names or session.settings.cloudformation_stacks)
    except RollbackError as error:
        return [f"Whether versions are kept could not be checked: {error.what}"]
    notices = [one.advice for one in looked.deletes]
    if gone:
        advice = "" if notices else f" The deployment deletes them. {ADVICE}"
        notices.append(
            f"Versions of the release before are gone, and cannot be rolled back to: {', '.join(gone[:5])}.{advice}"
        )
    return notices


def _gone(session: Session, timeline: Timeline, release: Release) -> list[str]:
    """`NAME:VERSION` of the release that was deployed before, where there is no such version any more."""
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
