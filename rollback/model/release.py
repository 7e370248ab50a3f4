"""Releases, the timeline, and what "deployed" and "previous" mean: decided only from the ledger's timeline.

The timeline lists everything that changed what is deployed (deployments, adoptions, rollbacks) and every
record that started. Each entry gets its number in the transaction that writes its record, so the order never
depends on a clock. Each copies the deployed version of every service, so that the newest entry has
everything.

It is longer than 400 lines: entries, and all decisions from entries, belong together.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from rollback.model import floors
from rollback.model.deployed import UNKNOWN, Deployed, read
from rollback.model.identity import Actor
from rollback.model.record import SCHEMA, DeployedVersion
from rollback.util.canonical import LATER, digest
from rollback.util.errors import Code, Refused, UsageError
from rollback.util.times import shown_time

# A version must not look like a Lambda version number, and + and @ separate the versions of a mixed
# environment.
VERSION = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,63}")
PREVIOUS = "previous"
# What is deployed where none of it is recorded; stored.
NOTHING = "none"
# The timeline's subjects besides the services, whose names have no @: those for
# the environment's stack and for its Terraform configuration, whose version is a commit.
STACK, TERRAFORM = "@stack", "@terraform"


def is_another_stack(subject: str) -> bool:
    """Whether a subject is a stack that is not the environment's own: `@stack/PROJECT/STACK`."""
    return subject.startswith(f"{STACK}/")


def another_stack(subjects: Iterable[str], folder: str) -> str:
    """The displayed name of a stack that is not the environment's own, with its program's folder; otherwise empty."""
    names = [subject.removeprefix(f"{STACK}/") for subject in subjects if is_another_stack(subject)]
    return " ".join([*names, *([f"in {folder}"] if folder else [])]) if names else ""


# The kind of an entry for a record's start.
OPENED = "opened"
# The kinds of a record's entries: start and end.
RECORDS = (OPENED, "rollback")
# The kind of an entry for a drill's end.
DRILL = "drill"
# The release of a drill, whose id is a ULID.
_OF_DRILL = re.compile(r"drill-[0-9A-HJKMNP-TV-Z]{26}")
# In characters. A standard parameter has at most 4 KB; a record's head has two labels.
# https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-advanced-parameters.html
_LABEL = 2000


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One entry of the timeline.

    `kind` is deployment, adoption, opened, rollback (a record's end), drill (its end), quarantine or lift;
    `version` is set for the first two; `services` are those whose aliases the entry's record wrote, and
    `STACK` and `TERRAFORM` if it has their commit; `stands` maps all these subjects to the
    release or commit deployed after it, without unknown ones. `bars` and `lifts` are
    the quarantines set and lifted with it, as `<service>#<version>`, by the same person
    at the same time. `not_below` is the oldest allowed target of later rollbacks (`floors`), if any. `covers` is the head hash of the record, or `release_hash`. `at` is ISO 8601 in UTC.
    """

    LATER: ClassVar = frozenset({"not_below"})

    seq: int
    kind: str
    id: str
    version: str
    at: str
    by: Actor
    services: tuple[str, ...]
    stands: Mapping[str, str]
    covers: str
    status: str = ""
    commit: str = ""
    bars: tuple[str, ...] = ()
    lifts: tuple[str, ...] = ()
    not_below: str = ""
    # Entries without it have the first schema.
    schema: int = 1
    previous: str = ""
    hash: str = ""

    @property
    def is_release(self) -> bool:
        return self.kind in ("deployment", "adoption")


def entry_hash(entry: Entry) -> str:
    """The hash of an entry: over everything except the hash itself."""
    return digest([value for name, value in as_item(entry).items() if name != "hash"])


@dataclass(frozen=True, kw_only=True, slots=True)
class Release:
    """A DEPLOYMENT# record: a set of function versions recorded together.

    `manifest` maps each function's full name to what its alias pointed to; `functions` is their number.
    `recorded_at` is ISO 8601 in UTC. `not_below` is as in `Entry`.
    """

    LATER: ClassVar = frozenset({"not_below"})

    deployment_id: str
    version: str
    environment: str
    commit: str
    stack_commit: str | None
    terraform_commit: str | None
    recorded_by: Actor
    recorded_at: str
    services: tuple[str, ...]
    manifest_hash: str
    functions: int
    adopted: bool = False
    status: str = "COMPLETE"
    not_below: str = ""
    schema: int = SCHEMA
    manifest: Mapping[str, DeployedVersion] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Quarantine:
    """A release that must not be deployed for one service until its quarantine is lifted."""

    service: str
    version: str
    reason: str
    by: Actor
    at: str
    rollback_id: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Freeze:
    """Only the person `by` may deploy to the environment or roll it back, until it is lifted."""

    reason: str
    by: Actor
    at: str

    def __str__(self) -> str:
        return f"{self.by} since {shown_time(self.at)}: {self.reason}"

    def binds(self, person: str) -> bool:
        """Whether it forbids `person` to deploy and roll back."""
        return self.by.person.casefold() != person.casefold()

    def refusal(self, environment: str) -> Refused:
        """The error for other persons."""
        return Refused(
            f"{environment} is frozen: {self}.",
            code=Code.FROZEN,
            next=f'rollback unfreeze --env {environment} --reason "…"  # or ask {self.by.person}',
        )


def manifest_hash(manifest: Mapping[str, DeployedVersion]) -> str:
    """The hash over a release's content: each function's version and code, not its alias's state."""
    return digest({name: [deployed.version, deployed.code_sha256] for name, deployed in manifest.items()})


def release_hash(release: Release) -> str:
    """The hash over every field of a release, including the aliases' state in its manifest."""
    return digest(release)


def checked_version(version: str) -> str:
    """Returns `version` if it is a valid release name. Raises `UsageError` otherwise."""
    if not VERSION.fullmatch(version) or version == PREVIOUS:
        raise UsageError(
            f"{version[:80]!a} is not a valid release name.",
            code=Code.OPTION_INVALID,
            next="Use at most 64 letters, digits, '.', '_' and '-', beginning with a letter.",
        )
    return version


def label(deployed: Mapping[str, str], apart: Mapping[str, str] | None = None) -> str:
    """What is deployed, as one short text: `v1.2.0`, or `v1.2.0+team_service@v1.1.0` for a mixed environment.

    `deployed` maps subjects to releases, `apart` the functions not at their service's release (`deployed.apart`)
    to their releases: `v1.2.0+acme-dev-lambda-team-service-get@v1.3.0`. The base is what most services are at; the parameter
    `deployed-version` holds this text. If too many differ, only their number is given.
    Infrastructure is left out.
    """
    deployed = {subject: version for subject, version in deployed.items() if not subject.startswith("@")}
    if not deployed:
        return NOTHING
    versions = list(deployed.values())
    base = max(sorted(set(versions)), key=versions.count)
    others = [f"+{service}@{version}" for service, version in sorted(deployed.items()) if version != base]
    others += [f"+{function}@{version}" for function, version in sorted((apart or {}).items())]
    text = base + "".join(others)
    return text if len(text) <= _LABEL else f"{base}+{len(others)} elsewhere"


class Timeline:
    """The timeline's entries, newest first, each read at most once and on demand. `not_verified` says whether a failed
    record, given its end's entry, failed in verification: only the record's journal tells that from a failed undo.
    """

    def __init__(
        self, entries: Iterator[Entry], not_verified: Callable[[Entry], bool] = lambda _: False
    ) -> None:
        self._rest = entries
        self._read: list[Entry] = []
        self._not_verified = not_verified
        self._failed: dict[int, bool] = {}

    def __iter__(self) -> Iterator[Entry]:
        index = 0
        while True:
            if index == len(self._read):
                entry = next(self._rest, None)
                if entry is None:
                    return
                self._read.append(entry)
            yield self._read[index]
            index += 1

    @property
    def newest(self) -> Entry | None:
        return next(iter(self), None)

    def verified(self, entry: Entry) -> bool | None:
        """Whether what an entry deployed was good; None if it does not show that."""
        if entry.kind == "deployment" or (entry.kind == "rollback" and entry.status == "COMPLETE"):
            return True
        if entry.kind != "rollback" or not _carried_out(entry):
            return None
        if entry.seq not in self._failed:
            self._failed[entry.seq] = self._not_verified(entry)
        return False if self._failed[entry.seq] else None

    def deployed(self, subject: str) -> Deployed:
        """The release or commit that a subject is at."""
        return read(self.all_deployed.get(subject))

    @property
    def all_deployed(self) -> Mapping[str, str]:
        """Subject → the release or commit that is deployed; subjects without a record are
        missing.
        """
        return self.newest.stands if self.newest else {}

    def release_of(self, version: str) -> Entry | None:
        """The newest entry that recorded `version`."""
        return next((entry for entry in self if entry.is_release and entry.version == version), None)


def is_of_drill(version: str) -> bool:
    """Whether a release was made by a drill: it is bad on purpose, and not evidence of an incident."""
    return bool(_OF_DRILL.fullmatch(version))


def _releases(
    timeline: Timeline, services: Collection[str], bad: set[tuple[str, str]]
) -> Iterator[tuple[Entry, list[str]]]:
    """The releases' entries, newest first, each with its services among `services`. Adds to `bad`, as (service, version),
    the releases of drills, and those that the newest entry which shows it says failed in verification.
    """
    shown: set[tuple[str, str]] = set()
    for entry in timeline:
        concerned = [service for service in entry.services if service in services]
        at = {(service, entry.stands.get(service, "")) for service in concerned} - shown
        if at and (good := timeline.verified(entry)) is not None:
            shown |= at
            bad |= set() if good else at
        if entry.is_release:
            bad |= {(service, entry.version) for service in concerned if is_of_drill(entry.version)}
            yield entry, concerned


class NoPrevious(Refused):
    """Some services have no previous release; `others` are those that have one, not below a floor."""

    code_default = Code.NO_PREVIOUS

    def __init__(self, what: str, *, next: str, others: tuple[str, ...]) -> None:  # noqa: A002 - as in `RollbackError`
        super().__init__(what, next=next)
        self.others = others


def previous(
    timeline: Timeline,
    services: Sequence[str],
    quarantined: Iterable[Quarantine],
    *,
    allow_below: bool = False,
) -> dict[str, str]:
    """Service → the newest release recorded before the deployed one.

    Quarantined releases, those of drills, those that failed in verification and the deployed one are skipped. Raises `Refused` naming the services
    without one (`NoPrevious`), or, unless `allow_below`, with one below a floor (`floors`).
    """
    deployed = timeline.all_deployed
    bad = {(item.service, item.version) for item in quarantined}
    found: dict[str, str] = {}
    reached: set[str] = set()
    for entry, concerned in _releases(timeline, services, bad):
        for service in concerned:
            if entry.version == deployed.get(service):
                reached.add(service)
            elif service in reached and (service, entry.version) not in bad:
                found.setdefault(service, entry.version)
        if len(found) == len(services):
            break
    chosen = {service: found[service] for service in services if service in found}
    under = {} if allow_below else floors.below(floors.of_timeline(timeline), chosen, deployed)
    missing = [service for service in services if service not in found]
    if missing:
        reasons = {
            "no recorded release is deployed": [name for name in missing if name not in reached],
            "there is no older release that is neither quarantined nor failed in verification": [
                name for name in missing if name in reached
            ],
        }
        lines = [f"for {', '.join(names)}: {why}" for why, names in reasons.items() if names]
        raise NoPrevious(
            f"There is no previous release {'; '.join(lines)}.",
            next="Select a release with --to V (see release list). For a release older than the ledger, run release adopt first.",
            others=tuple(service for service in chosen if service not in under),
        )
    if under:
        raise floors.refused(under, chosen)
    return chosen


@dataclass(frozen=True, kw_only=True, slots=True)
class Past:
    """The recorded releases: `good` maps a service to the newest release, not newer than the deployed one, that is neither
    quarantined, nor a drill's, nor failed in verification, nor below a floor (services without one are missing). `releases` are the newest entries of
    each release, `bad` those that are not good, as (service, version). `below` maps a service for which only a
    floor prevents a good release to that release and the floor. `older` maps a service to the next good release
    before its `good` one, if it is in `releases`.
    """

    good: Mapping[str, str]
    releases: tuple[Entry, ...]
    bad: frozenset[tuple[str, str]]
    older: Mapping[str, str] = field(default_factory=dict)
    below: Mapping[str, tuple[str, floors.Floor]] = field(default_factory=dict)


def past(
    timeline: Timeline,
    services: Sequence[str],
    quarantined: Iterable[Quarantine],
    least: int = 0,
) -> Past:
    """The releases, newest first: until every service has a good one, and at least `least`."""
    deployed = timeline.all_deployed
    bad = {(item.service, item.version) for item in quarantined}
    good: dict[str, str] = {}
    older: dict[str, str] = {}
    releases: dict[str, Entry] = {}
    reached: set[str] = set()
    for entry, concerned in _releases(timeline, services, bad):
        releases.setdefault(entry.version, entry)
        for service in concerned:
            # An adopted release is older, unless it was deployed when adopted.
            here = entry.stands.get(service) == entry.version
            if entry.version == deployed.get(service) or (here and service not in deployed):
                reached.add(service)
            if service not in reached or (service, entry.version) in bad:
                continue
            if good.setdefault(service, entry.version) != entry.version:
                older.setdefault(service, entry.version)
        if len(good) == len(services) and len(releases) >= least:
            break
    under = floors.below(floors.of_timeline(timeline), good, deployed)
    too_old = floors.below(floors.of_timeline(timeline), older, deployed)
    return Past(
        good={service: version for service, version in good.items() if service not in under},
        releases=tuple(releases.values()),
        bad=frozenset(bad),
        older={service: version for service, version in older.items() if service not in too_old},
        below={service: (good[service], floor) for service, floor in under.items()},
    )


def _carried_out(entry: Entry) -> bool:
    """Whether an entry is the end of a failed record whose subjects are all at the target, or all back."""
    return entry.status == "FAILED" and all(entry.stands.get(subject) for subject in entry.services)


def changed_since(timeline: Timeline, rollback_id: str, subjects: Iterable[str]) -> Entry | None:
    """The newest entry after a record's newest one that wrote any of these subjects; None if there is
    none. Adoptions do not write aliases.
    """
    wanted, found = set(subjects), None
    for entry in timeline:
        if entry.id == rollback_id:
            return found
        if found is None and entry.kind != "adoption" and wanted & set(entry.services):
            found = entry
    return None


def previous_position(
    timeline: Timeline, subject: str, quarantined: Iterable[Quarantine], *, allow_below: bool = False
) -> str:
    """The commit of `subject` (`STACK`, `TERRAFORM`) that was deployed before the current one.

    Counted from the deployment of the current one, else from the rollback to it: so after a
    rollback it is not the replaced commit, but the one deployed before the target. Quarantined commits
    are skipped. Raises `Refused` where there is none, or where it is unknown what is deployed, or, unless
    `allow_below`, where it is below a floor (`floors`).
    """
    current = timeline.deployed(subject)
    quarantines = {item.version for item in quarantined if item.service == subject}
    written = [entry for entry in timeline if entry.kind != "adoption" and subject in entry.services]
    here = [index for index, entry in enumerate(written) if read(entry.stands.get(subject)) == current]
    deployed = [index for index in here if written[index].is_release]
    start = next(iter(deployed or here), None) if current is not UNKNOWN else None
    earlier = (entry.stands.get(subject) for entry in written[start:]) if start is not None else ()
    for commit in earlier:
        if commit and commit != current and commit not in quarantines:
            under = floors.commit_below(timeline, subject, commit, str(current))
            if under and not allow_below:
                raise floors.refused(under, {subject: commit})
            return commit
    why = (
        "there is no older commit that is not quarantined"
        if current is not UNKNOWN
        else "the deployed commit is not recorded"
    )
    raise Refused(
        f"There is no previous commit of {subject.removeprefix('@')}: {why}.",
        code=Code.NO_PREVIOUS,
        next="git log --oneline  # lists the commits to use with --to",
    )


def as_item(value: Any) -> dict[str, Any]:
    """A dataclass's fields by name (`{"seq": 7, "kind": "deployment", …}`), for the ledger; with slots `vars` is
    not possible. Fields that earlier versions did not have are left out if empty (`canonical.LATER`).
    """
    later = getattr(type(value), LATER, ())
    values = ((name, getattr(value, name)) for name in type(value).__slots__)
    return {name: item for name, item in values if item or name not in later}
