"""Floors: releases recorded with `--not-below`, and rollbacks that would go below them. Pure.

A release is recorded with `--not-below V` if releases older than V are incompatible with it, for example after a
one-way migration. Its mark is in the timeline, and stays valid even after the release itself was rolled
back, which does not undo a migration. Newer means recorded later, as everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rollback.util.errors import Code, Refused

if TYPE_CHECKING:
    from rollback.model.release import Entry, Release

# The facts of a plan that goes below a floor, by subject, so that the approver sees it and the digest covers it.
BELOW = "below "


@dataclass(frozen=True, kw_only=True, slots=True)
class Floor:
    """`release`: the oldest allowed target, because of the record of `by`."""

    release: str
    by: str

    def __str__(self) -> str:
        return f"{self.by} was recorded with --not-below {self.release}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """The data of one recorded release for floors. `past` are services for which the release is older, by an unknown
    amount: adopted, and not deployed at that time.
    """

    version: str
    services: tuple[str, ...]
    not_below: str = ""
    past: frozenset[str] = frozenset()


def of_timeline(entries: Iterable[Entry]) -> Iterator[Mark]:
    """The marks of a timeline's entries, in their order."""
    for entry in entries:
        if entry.is_release:
            adopted = {
                name
                for name in entry.services
                if entry.kind == "adoption" and entry.stands.get(name) != entry.version
            }
            yield Mark(
                version=entry.version,
                services=entry.services,
                not_below=entry.not_below,
                past=frozenset(adopted),
            )


def of_releases(releases: Iterable[Release]) -> Iterator[Mark]:
    """The marks of archived releases, in their order."""
    for release in releases:
        past = frozenset(release.services) if release.adopted else frozenset()
        yield Mark(version=release.version, services=release.services, not_below=release.not_below, past=past)


def below(
    marks: Iterable[Mark], targets: Mapping[str, str], deployed: Mapping[str, str] | None = None
) -> dict[str, Floor]:
    """Service → the floor that its target release is below; `marks` are newest first, and read as far as needed.

    Targets that are already `deployed` do not count.
    """
    at = deployed or {}
    searches = [_Search(service=name, target=to) for name, to in targets.items() if at.get(name) != to]
    for mark in marks:
        left = [search for search in searches if not search.decided]
        if not left:
            break
        for search in left:
            search.look(mark)
    return {search.service: search.floor for search in searches if search.floor is not None}


@dataclass(kw_only=True, slots=True)
class _Search:
    """The search for the floor above one service's target, starting with the newest mark.

    `pending` are floors whose release was not found yet; `above` is one that was found: what follows is older.
    """

    service: str
    target: str
    pending: list[Floor] = field(default_factory=list)
    above: Floor | None = None
    adopted: bool = False
    decided: bool = False
    floor: Floor | None = None

    def look(self, mark: Mark) -> None:
        if self.service not in mark.services:
            return
        if mark.not_below:
            self.pending.append(Floor(release=mark.not_below, by=mark.version))
        here = mark.version == self.target
        if here and self.service in mark.past:
            self.adopted = True
        if self.adopted:  # older than everything recorded, so that any floor is above it
            self.floor = next((one for one in self.pending if one.release != self.target), None)
            self.decided = self.floor is not None
        elif here:
            self.floor, self.decided = self.above, True
        elif self.above is None:
            self.above = next((one for one in self.pending if one.release == mark.version), None)


def commit_below(
    entries: Iterable[Entry],
    subject: str,
    target: str,
    deployed: str = "",
    is_ancestor: Callable[[str, str], bool | None] = lambda _older, _newer: None,
) -> dict[str, Floor]:
    """`{subject: floor}` where the commit `target` of the stack or of Terraform is below one; else empty.

    `entries` are newest first. A commit without a recorded release is below if it is an ancestor of the floor's
    commit, or if that is unknown here.
    """
    pending: list[Floor] = []
    above: list[tuple[str, Floor]] = []
    if target == deployed:
        return {}
    for entry in entries:
        commit = entry.stands.get(subject, "")
        if entry.is_release and entry.not_below:
            pending.append(Floor(release=entry.not_below, by=entry.version))
        if entry.kind == "deployment":
            above += [(commit, floor) for floor in pending if floor.release == entry.version and commit]
            pending = [floor for floor in pending if floor.release != entry.version]
            if commit == target:
                higher = [floor for at, floor in above if at != target]
                return {subject: higher[0]} if higher else {}
    under = [floor for at, floor in above if at != target and is_ancestor(target, at) is not False]
    return {subject: under[0]} if under else {}


def refused(found: Mapping[str, Floor], targets: Mapping[str, str]) -> Refused:
    """The error for a rollback that would go below."""
    lines = [
        f"{name.removeprefix('@')}: {targets[name][:12] if name.startswith('@') else targets[name]} is older, but {floor}"
        for name, floor in found.items()
    ]
    return Refused(
        "\n".join(["The target is too old:", *lines]),
        code=Code.BELOW_FLOOR,
        next="Select a newer target with --to, or deploy a fix. As an exception, which is recorded and needs approval: the "
        'same command with --allow-below and --reason "…"',
    )


def facts(found: Mapping[str, Floor]) -> dict[str, str]:
    """The facts of a plan that may go below."""
    return {f"{BELOW}{name}": str(floor) for name, floor in found.items()}


def notices(found: Mapping[str, Floor]) -> tuple[str, ...]:
    """The notices of a plan that goes below."""
    return tuple(
        f"Below the oldest allowed release ({name.removeprefix('@')}): {floor}."
        for name, floor in found.items()
    )


def only(facts_: Mapping[str, str]) -> dict[str, str]:
    """The facts of a plan about going below."""
    return {name: text for name, text in facts_.items() if name.startswith(BELOW)}


def exception(facts_: Mapping[str, str], *, allowed: bool) -> str:
    """A record's text about a plan that goes below, or that was allowed to; otherwise empty."""
    said = [f"{name.removeprefix(BELOW).removeprefix('@')}: {text}" for name, text in only(facts_).items()]
    return "; ".join(said) or ("allowed, and not needed" if allowed else "")
