"""Plans an emergency rollback without the ledger: from the archive and the aliases only.

The archive has copies of the releases' manifests and of the timeline's entries. What an alias
points at is read from the account: its version and that version's code. So a release is deployed where every
function of a service is at its version and code, and is *older* where no function is newer and at least one is
older: version numbers only increase. What the archive does not have is shown as `UNKNOWN`, never guessed.

It is longer than 400 lines: what is read and what is decided from it belong together, beside no ledger.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Literal

from rollback.aws.account import Account
from rollback.aws.functions import ASLEEP, AliasSeen, Seen, observe, observe_alias
from rollback.ledger.audit_bucket import Archive, number
from rollback.model import floors
from rollback.model.alias_moves import Move
from rollback.model.deployed import UNKNOWN as UNKNOWN_RELEASE
from rollback.model.deployed import Deployed, apart
from rollback.model.kind import Kind
from rollback.model.plan import Plan, Refusal
from rollback.model.record import DeployedVersion
from rollback.model.release import (
    PREVIOUS,
    Entry,
    Release,
    checked_version,
    is_of_drill,
    label,
    manifest_hash,
)
from rollback.model.request import AliasesRequest
from rollback.targets.aliases.planner import asleep_notice, problem_of, scope
from rollback.util.errors import (
    Code,
    Refused,
    RollbackError,
    UsageError,
)
from rollback.util.times import shown_time

# Limits of the search for "previous" and for quarantines.
_FAR, _ENTRIES = 30, 100
_NAMED = 20
UNKNOWN = (
    "Unknown without the ledger: releases quarantined, or recorded with --not-below, since the last "
    "entry of the archive; whether the environment is frozen; which rollbacks are running. There is no lease: "
    "if somebody else changes an alias at the same time, it is not overwritten, and everything is reverted."
)
Relation = Literal["stands", "older", "other"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Now:
    """A function's alias now, and the code of the version that it points to."""

    alias: AliasSeen
    code_sha256: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Quarantined:
    """The quarantined releases in the archive, as `<service>#<version>`.

    `until` is the time of the newest entry that was read.
    """

    keys: frozenset[str] = frozenset()
    until: str = ""

    def __contains__(self, wanted: tuple[str, str]) -> bool:
        return "#".join(wanted) in self.keys


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """Service → the target release (`targets`), and the deployed one, if the archive has it (`leaving`)."""

    targets: Mapping[str, Release]
    leaving: Mapping[str, Release] = field(default_factory=dict)

    @property
    def leaves(self) -> Mapping[str, str]:
        """Service → the deployed release's version."""
        return {service: release.version for service, release in self.leaving.items()}


def relation(release: Release, functions: Iterable[str], now: Mapping[str, Now]) -> Relation:
    """How a release compares with what is deployed of a service. Functions that it does not have are left
    out. Pure.
    """
    pairs = [
        (release.manifest[name], now[name]) for name in functions if name in release.manifest and name in now
    ]
    if not pairs:
        return "other"
    if all(was.version == is_.alias.version and was.code_sha256 == is_.code_sha256 for was, is_ in pairs):
        return "stands"
    # Equal numbers with different code: the function was deleted and created again, and numbers cannot be compared.
    if any(was.version == is_.alias.version and was.code_sha256 != is_.code_sha256 for was, is_ in pairs):
        return "other"
    older = all(_number(was.version) <= _number(is_.alias.version) for was, is_ in pairs)
    return "older" if older else "other"


def quarantined(entries: Iterable[Entry]) -> Quarantined:
    """The quarantines in the timeline's entries, which are in order. Pure."""
    quarantines: set[str] = set()
    until = ""
    for entry in entries:
        quarantines |= set(entry.bars)
        quarantines -= set(entry.lifts)
        until = entry.at
    return Quarantined(keys=frozenset(quarantines), until=until)


def recent(archive: Archive) -> Iterator[Entry]:
    """The newest entries of the timeline that the archive has, in order."""
    numbers = sorted({seq for kept in archive.kept_entries() if (seq := number(kept.key)) is not None})
    return archive.entries(after=numbers[-_ENTRIES - 1] if len(numbers) > _ENTRIES else 0)


def previous(
    releases: Iterable[Release],
    services: Mapping[str, Sequence[str]],
    now: Mapping[str, Now],
    quarantines: Quarantined,
) -> Choice:
    """For each service (its functions are given) the newest release that is older than the deployed one.
    Pure.

    If the archive has the deployed one, only earlier releases count, as with the ledger. If it
    has not (the release could not be recorded), the newest older one is used; an adopted one only
    if there is no other, because its position does not show its age. Raises `Refused` naming the
    services that have none.
    """
    searches = {
        service: _Search(service=service, functions=functions) for service, functions in services.items()
    }
    for release in islice(releases, _FAR):
        for search in searches.values():
            search.look(release, now, quarantines)
        if all(search.after for search in searches.values()):
            break
    missing = [service for service, search in searches.items() if search.target is None]
    if missing:
        raise Refused(
            f"The archive has no usable previous release for {', '.join(missing)}: none is older than what is deployed and not quarantined.",
            code=Code.NO_PREVIOUS,
            next="Select a release with --to V, or other services with --services.",
        )
    return Choice(
        targets={service: search.target for service, search in searches.items() if search.target},
        leaving={
            service: search.deployed for service, search in searches.items() if search.deployed is not None
        },
    )


@dataclass(kw_only=True, slots=True)
class _Search:
    """The search for one service's previous release, starting with the newest.

    `deployed` is the deployed release, once found; `after` the first older one after it; `before` the older ones
    found before it.
    """

    service: str
    functions: Sequence[str]
    deployed: Release | None = None
    after: Release | None = None
    before: list[Release] = field(default_factory=list)

    def look(self, release: Release, now: Mapping[str, Now], quarantines: Quarantined) -> None:
        if self.after is not None or self.service not in release.services:
            return
        how = relation(release, self.functions, now)
        if how == "stands":
            self.deployed = self.deployed or release
        elif (
            how == "older"
            and not is_of_drill(release.version)
            and (self.service, release.version) not in quarantines
        ):
            if self.deployed is not None:
                self.after = release
            else:
                self.before.append(release)

    @property
    def target(self) -> Release | None:
        if self.deployed is not None:
            return self.after
        recorded = (release for release in self.before if not release.adopted)
        return next(recorded, next(iter(self.before), None))


def named(
    releases: Iterable[Release],
    services: Mapping[str, Sequence[str]],
    now: Mapping[str, Now],
    version: str,
) -> Choice:
    """The choice of `version` for all services. Raises `UsageError` where the archive has no such release, `Refused`
    where it does not have a service's functions.
    """
    leaving: dict[str, Release] = {}
    known: list[str] = []
    for release in releases:
        if not is_of_drill(release.version):
            known.append(release.version)
        for service, functions in services.items():
            if service not in leaving and relation(release, functions, now) == "stands":
                leaving[service] = release
        if release.version == version:
            missing = [service for service in services if service not in release.services]
            if missing:
                raise Refused(
                    f"Release {version} does not contain {', '.join(missing)}.", code=Code.RELEASE_INCOMPLETE
                )
            return Choice(targets=dict.fromkeys(services, release), leaving=leaving)
    raise UsageError(
        f"The archive has no release {version!r}.",
        code=Code.UNKNOWN_RELEASE,
        next=f"Releases in the archive: {', '.join(dict.fromkeys(known[:_NAMED])) or 'none'}.",
    )


def make(
    account: Account, archive: Archive, request: AliasesRequest, *, although_quarantined: bool = False
) -> Plan[Move]:
    """The plan for `request`, read only from the account and the archive.

    Raises as `previous` and `named` do, and `RollbackError` where a manifest was changed.
    """
    settings = account.settings
    catalogue = settings.catalogue()
    _, functions = scope(settings, request)
    chosen: dict[str, list[str]] = {}
    for name in functions:
        chosen.setdefault(catalogue[name], []).append(name)
    kept = [name for name in request.without if catalogue[name] in chosen]
    everything = [*functions, *kept]
    read = dict(zip(everything, account.each(lambda name: _now(account, name), everything), strict=True))
    now = {name: seen for name, seen in read.items() if seen is not None and name not in kept}
    entries = list(recent(archive))
    quarantines, recorded = quarantined(entries), {entry.id for entry in entries if entry.is_release}
    met: list[Release] = []
    releases = _noted(_checked(archive, recorded), met)
    if request.release == PREVIOUS:
        choice = previous(releases, chosen, now, quarantines)
    else:
        choice = named(releases, chosen, now, checked_version(request.release))
    targets = {service: release.version for service, release in choice.targets.items()}
    # Newest first: every release newer than the targets has been read by now.
    below = floors.below(floors.of_releases(met), targets, choice.leaves)
    if below and not request.allow_below:
        raise floors.refused(below, targets)
    refusals = (
        [] if although_quarantined else _quarantine_refusals(targets, quarantines, settings.environment)
    )
    steps: list[Move] = []

    def wish(name: str) -> tuple[Move | None, str, bool]:
        service = catalogue[name]
        return _step(account, name, service, read[name], choice.targets[service].manifest.get(name))

    asleep: list[str] = []
    for name, (step, why, sleeps) in zip(functions, account.each(wish, functions), strict=True):
        asleep += [name] if sleeps and not why else []
        if why:
            refusals.append(Refusal(subject=name, reason=why, remedy=f"--except {name}"))
        elif step is not None:
            steps.append(step)
    still = {name: _left_out(name, read[name], choice.leaving.get(catalogue[name])) for name in kept}
    left = {s: version for s, version in choice.leaves.items() if version != targets[s]}
    return Plan(
        kind=Kind.ALIASES,
        environment=settings.environment,
        account=settings.account,
        region=settings.region,
        request=request,
        from_version=label(choice.leaves) if choice.leaves else "unknown",
        to_version=label(targets, apart(still, catalogue, targets)),
        leaves=choice.leaves,
        targets=targets,
        quarantines=_newer(left, choice.targets, now, chosen),
        steps=tuple(steps),
        facts={
            **{f"release {release.version}": release.manifest_hash for release in choice.targets.values()},
            **floors.facts(below),
        },
        notices=(
            *floors.notices(below),
            *_notices(tuple(chosen), choice, quarantines),
            *asleep_notice(asleep),
        ),
        refusals=tuple(refusals),
    )


def _noted(releases: Iterable[Release], met: list[Release]) -> Iterator[Release]:
    """Yields the releases, and adds each to `met`."""
    for release in releases:
        met.append(release)
        yield release


def _newer(
    left: Mapping[str, str],
    targets: Mapping[str, Release],
    now: Mapping[str, Now],
    functions: Mapping[str, Sequence[str]],
) -> dict[str, str]:
    """The releases to quarantine: those replaced by an older one. Rolling forward quarantines nothing."""
    return {
        service: version
        for service, version in left.items()
        if relation(targets[service], functions[service], now) == "older"
    }


def _checked(archive: Archive, recorded: set[str]) -> Iterator[Release]:
    """The archive's releases, with checked manifests. `recorded` are ids in its timeline.

    A release in the timeline must be exactly as recorded; an object that is not in the timeline is
    skipped, with a notice.
    """
    for release in archive.releases():
        if manifest_hash(release.manifest) == release.manifest_hash:
            yield release
            continue
        why = f"The archived manifest of {release.version} differs from the recorded one."
        if release.deployment_id in recorded:
            raise RollbackError(
                why,
                code=Code.ARCHIVE_DAMAGED,
                changed="Nothing was changed.",
                next="Look for earlier versions of the object: aws s3api list-object-versions",
            )
        archive.step_over(why)


def _now(account: Account, name: str) -> Now | None:
    """What an alias points to; None where function or alias is missing."""
    alias = observe_alias(account, name, account.settings.alias)
    seen = observe(account, name, alias.version) if alias is not None else None
    return Now(alias=alias, code_sha256=seen.code_sha256) if alias is not None and seen is not None else None


def _left_out(name: str, now: Now | None, leaving: Release | None) -> Deployed:
    """The release of an excluded function: its service's, if the function is at that version. Pure."""
    known = now is not None and leaving is not None and relation(leaving, [name], {name: now}) == "stands"
    return leaving.version if leaving is not None and known else UNKNOWN_RELEASE


def _step(
    account: Account, name: str, service: str, now: Now | None, target: DeployedVersion | None
) -> tuple[Move | None, str, bool]:
    """One function's step, or why there is none; and whether its version must be activated."""
    if now is None:
        return None, f"the function or its alias '{account.settings.alias}' does not exist", False
    if target is None:
        return None, "the release does not contain it", False
    there = (
        Seen(version=target.version, code_sha256=now.code_sha256, state="Active", description="")
        if target.version == now.alias.version
        else observe(account, name, target.version)
    )
    if why := problem_of(target, there):
        return None, why, False
    step = Move(
        function=name,
        service=service,
        from_version=now.alias.version,
        to_version=target.version,
        code_sha256=target.code_sha256,
        revision_id=now.alias.revision_id,
        weights=now.alias.weights,
        provisioned=target.provisioned,
    )
    return step, "", there is not None and there.state in ASLEEP


def _quarantine_refusals(
    targets: Mapping[str, str], quarantines: Quarantined, environment: str
) -> list[Refusal]:
    return [
        Refusal(
            subject=service,
            reason=f"{version} is quarantined according to the archive",
            remedy=f"select another release, or use --although-quarantined and type {environment} to confirm",
        )
        for service, version in targets.items()
        if (service, version) in quarantines
    ]


def _notices(services: Sequence[str], choice: Choice, quarantines: Quarantined) -> tuple[str, ...]:
    journal = (
        f"The archive's newest entry is from {shown_time(quarantines.until)}."
        if quarantines.until
        else "The archive has no entries."
    )
    notices = [f"{UNKNOWN} {journal}"]
    unknown = [service for service in services if service not in choice.leaves]
    if unknown:
        notices.append(f"The archive has no release that matches what is deployed for {', '.join(unknown)}.")
    return tuple(notices)


def _number(version: str) -> int:
    """A version as a number; `$LATEST` counts as the newest."""
    return int(version) if version.isdigit() else 1 << 62
