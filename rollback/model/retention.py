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

from rollback.core.errors import Refused
from rollback.model.events import Deleted, Spared, happened
from rollback.model.record import Event
from rollback.model.release import Quarantine, Timeline, is_of_drill, previous

# The deployed one and the previous one, which rollbacks need.
LEAST = 2


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
        """The step as text."""
        gone = f"deletes {ranges(one.number for one in self.delete)} ({decimal(self.frees)})"
        stays = "; ".join(f"{number}: {why}" for number, why in self.kept.items())
        return (f"{self.function} {gone if self.delete else 'deletes nothing'}; keeps {stays or 'nothing'}",)


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


def _reasons(number: int, known: PublishedVersions) -> Iterator[str]:
    for alias, versions in sorted(known.aliases.items()):
        if number in versions:
            yield f"alias {alias}"
    yield from known.needed.get(number, ())
    if known.newest is None:
        yield "no kept release holds the function"
    elif number > known.newest:
        yield "newer than the newest recorded release"
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
            # This text is in the digest of plans since version 0.1; views show it as "is deployed".
            needed[deployed] = f"{deployed} stands"
        try:
            before = previous(timeline, [service], quarantines, allow_below=True)[service]
        except Refused:
            before = ""
        if before and before not in needed:
            needed[before] = f"previous is {before}"
        evidence = [version for version in recorded if version in quarantined and not is_of_drill(version)]
        needed |= {version: f"{version} is quarantined" for version in evidence}
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
