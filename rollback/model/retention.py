"""Decides which published versions of a function are no longer needed. Pure.

Deleting cannot be undone, so that unknown facts mean keeping. A version is kept for any one of: an
alias points to it or has weights on it; a release that a service still needs contains it; a record that has not
ended refers to it; something uses it by its own ARN; it is newer than the one in the newest recorded
release, because a running deployment may just have published it. Lambda never reuses a number, so
newer versions have higher numbers ("Manage Lambda function versions",
https://docs.aws.amazon.com/lambda/latest/dg/configuration-versions.html).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from rich.filesize import decimal

from rollback.model.events import Deleted, Spared, happened
from rollback.model.record import Event
from rollback.model.release import Quarantine, Timeline, is_of_drill, previous
from rollback.util.errors import Refused

# The deployed one and the previous one, which rollbacks need.
LEAST = 2
# Reasons to keep a version, as they are stored and hashed in plans since version 0.1.
PROVISIONED, INVOCABLE = "provisioned concurrency", "somebody is permitted to invoke it"
MAPPED, CONFIGURED = "an event source mapping", "an event invoke configuration"
INVOKED, ARCHIVED = "invoked within two weeks", "last manifest in the archive"
_NO_RELEASE, _NEWER = "no kept release holds the function", "newer than the newest recorded release"
_DEPLOYED, _QUARANTINED = " stands", " is quarantined"
_WHOLE = {
    *(PROVISIONED, INVOCABLE, MAPPED, CONFIGURED, INVOKED, ARCHIVED),
    *(_NO_RELEASE, _NEWER, _DEPLOYED, _QUARANTINED),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Published:
    """A published version: its number, and its code's size in bytes (0 where it is unknown)."""

    number: int
    size: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Doomed:
    """One function's step: the versions to `delete`, and those that are `kept`, each with why (`{"7": "live
    points at it"}`).
    """

    function: str
    service: str
    delete: tuple[Published, ...]
    kept: Mapping[str, str]

    @property
    def subject(self) -> str:
        return self.function

    @property
    def changes(self) -> bool:
        return bool(self.delete)

    @property
    def frees(self) -> int:
        """The freed bytes of code."""
        return sum(version.size for version in self.delete)

    @property
    def lines(self) -> tuple[str, ...]:
        """The step as text: what is deleted, and a line for each reason why versions stay, most versions first."""
        gone = f"deletes {ranges(one.number for one in self.delete)} ({decimal(self.frees)})"
        stays = (
            f"{self.function} keeps {ranges(int(number) for _, number in held)}: {_shown(why)}"
            for why, held in _held([self])
        )
        return (f"{self.function} {gone if self.delete else 'deletes nothing'}", *stays)


@dataclass(frozen=True, kw_only=True, slots=True)
class Reason:
    """Why a number of `versions` stay, and the `command` that ends that, with a remark `beside` it. The command is empty
    where there is none: then the remark says what keeps them, and until when.
    """

    why: str
    versions: int
    command: str = ""
    beside: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class PublishedVersions:
    """The facts about one function. `aliases` maps each alias to the versions that it sends traffic to,
    `needed` versions to reasons. `newest` is the version in the newest recorded release, None if
    there is none. `used` maps versions used by their own ARN to their users.
    """

    published: Sequence[Published]
    aliases: Mapping[str, Collection[int]] = field(default_factory=dict)
    needed: Mapping[int, Sequence[str]] = field(default_factory=dict)
    newest: int | None = None
    used: Mapping[int, str] = field(default_factory=dict)


def decide(function: str, service: str, known: PublishedVersions) -> Doomed:
    """Decides which versions of a function are deleted, and why the others are kept."""
    why = {version.number: list(_reasons(version.number, known)) for version in known.published}
    ordered = sorted(known.published, key=lambda version: version.number)
    return Doomed(
        function=function,
        service=service,
        delete=tuple(version for version in ordered if not why[version.number]),
        kept={str(one.number): ", ".join(why[one.number]) for one in ordered if why[one.number]},
    )


def reasons(steps: Sequence[Doomed], environment: str) -> list[Reason]:
    """Why versions stay, the reason that keeps most of them first. A version with several reasons counts for each."""
    deployed = {
        one
        for step in steps
        for whys in map(_split, step.kept.values())
        if any(why.endswith(_DEPLOYED) for why in whys)
        for one in whys
    }
    found = []
    for why, held in _held(steps):
        command, beside = _freed(why, held, steps, environment)
        if why.startswith("alias ") and why in deployed:
            command, beside = "", "moves with the next deployment or rollback"
        more = len(held) - 1
        if command.startswith("aws ") and more:
            beside = f"{beside + '; ' if beside else ''}the first of {len(held)}"
        found.append(Reason(why=_shown(why), versions=len(held), command=command, beside=beside))
    return found


def _held(steps: Iterable[Doomed]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Each reason, as it is stored, with the versions that it keeps, as (function, number); most versions first."""
    found: dict[str, list[tuple[str, str]]] = {}
    for step in steps:
        for number, whys in step.kept.items():
            for why in _split(whys):
                found.setdefault(why, []).append((step.function, number))
    return sorted(found.items(), key=lambda one: -len(one[1]))


def _freed(
    why: str, held: Sequence[tuple[str, str]], steps: Sequence[Doomed], environment: str
) -> tuple[str, str]:
    """The command that ends a reason to keep versions, and a remark; either may be empty."""
    function, number = held[0]
    aws = f"--function-name {function} --qualifier {number}"
    first, _, second = why.partition(" ")
    record = f"rollback release record --env {environment} --version … --commit …"
    if first == "release":
        rank = min(_rank(*version, steps) for version in held)
        fewer = f"rollback prune --env {environment} --keep {rank - 1}"
        always = f"one of the {LEAST} newest releases, which always stay"
        return (fewer, "keeps fewer releases") if rank > LEAST else ("", always)
    kind = next((end for end in (_DEPLOYED, _QUARANTINED) if why.endswith(end)), why)
    return {
        _DEPLOYED: ("", "needed until something else is deployed"),
        _QUARANTINED: (
            f'rollback release lift {first} --env {environment} --reason "…"',
            "then it can be rolled back to again",
        ),
        "previous": ("", "what a rollback would go back to"),
        "record": (f"rollback show {second} --env {environment}", "says how to end it"),
        "alias": (
            f"aws lambda delete-alias --function-name {function} --name {second}",
            "if nobody calls it",
        ),
        _NO_RELEASE: (record, ""),
        _NEWER: (record, "once it is deployed"),
        PROVISIONED: (f"aws lambda delete-provisioned-concurrency-config {aws}", ""),
        INVOCABLE: (f"aws lambda get-policy {aws}", "then aws lambda remove-permission"),
        MAPPED: (
            f"aws lambda list-event-source-mappings --function-name {function}:{number}",
            "then aws lambda delete-event-source-mapping",
        ),
        CONFIGURED: (f"aws lambda delete-function-event-invoke-config {aws}", ""),
        INVOKED: ("", "until two weeks after the last call"),
        ARCHIVED: ("", "needed in an emergency, until the next release is recorded"),
    }.get(kind if kind in _WHOLE else first, ("", ""))


def _rank(function: str, number: str, steps: Sequence[Doomed]) -> int:
    """The place of a version, newest first, among those of its function that are in a kept release."""
    released = sorted(
        (
            int(other)
            for step in steps
            if step.function == function
            for other, whys in step.kept.items()
            if any(why.startswith("release ") for why in _split(whys))
        ),
        reverse=True,
    )
    return released.index(int(number)) + 1


def _split(whys: str) -> list[str]:
    return whys.split(", ")


def _shown(why: str) -> str:
    """A stored reason as it is shown."""
    return f"{why.removesuffix(_DEPLOYED)} is deployed" if why.endswith(_DEPLOYED) else why


def _reasons(number: int, known: PublishedVersions) -> Iterator[str]:
    for alias, versions in sorted(known.aliases.items()):
        if number in versions:
            yield f"alias {alias}"
    yield from known.needed.get(number, ())
    if known.newest is None:
        yield _NO_RELEASE
    elif number > known.newest:
        yield _NEWER
    if number in known.used:
        yield known.used[number]


def needed_releases(
    timeline: Timeline, services: Iterable[str], quarantines: Collection[Quarantine], keep: int
) -> dict[str, dict[str, str]]:
    """Service → the releases whose versions are kept, each with the reason: `{"team_service": {"v1.2.0": "…"}}`.

    These are the newest `keep` recorded ones that are not quarantined, the deployed one, the one that `previous`
    would select, and quarantined ones as evidence, except those of drills.
    """
    found: dict[str, dict[str, str]] = {}
    for service in services:
        quarantined = {quarantine.version for quarantine in quarantines if quarantine.service == service}
        recorded = dict.fromkeys(
            entry.version for entry in timeline if entry.is_release and service in entry.services
        )
        newest = [version for version in recorded if version not in quarantined][:keep]
        needed = {version: f"release {version}" for version in newest}
        if deployed := timeline.all_deployed.get(service):
            needed[deployed] = f"{deployed}{_DEPLOYED}"
        try:
            before = previous(timeline, [service], quarantines, allow_below=True)[service]
        except Refused:
            before = ""
        if before and before not in needed:
            needed[before] = f"previous is {before}"
        evidence = [version for version in recorded if version in quarantined and not is_of_drill(version)]
        needed |= {version: f"{version}{_QUARANTINED}" for version in evidence}
        found[service] = needed
    return found


def deleted(events: Iterable[Event]) -> dict[str, set[int]]:
    """Function → the deleted versions according to a journal."""
    return _by_function(happened(events, Deleted))


def spared(events: Iterable[Event]) -> dict[str, set[int]]:
    """Function → the versions that were found to be in use."""
    return _by_function(happened(events, Spared))


def _by_function(result: Iterable[Deleted | Spared]) -> dict[str, set[int]]:
    found: dict[str, set[int]] = {}
    for one in result:
        for function, numbers in one.versions.items():
            found.setdefault(function, set()).update(numbers)
    return found


def ranges(numbers: Iterable[int]) -> str:
    """`1–3, 5` for 1, 2, 3 and 5."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"{run[0]}–{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)
