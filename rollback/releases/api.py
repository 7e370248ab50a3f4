"""The recorded releases of an environment."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from rollback.lifecycle import quarantine
from rollback.model.identity import Actor
from rollback.model.release import Entry, Quarantine, Timeline
from rollback.queries import status
from rollback.releases import compare, record_release
from rollback.releases.differences import Difference
from rollback.releases.record_release import Recorded

if TYPE_CHECKING:
    from rollback.api.environment import Environment

__all__ = ["ListedRelease", "Recorded", "Releases", "listed"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ListedRelease:
    """A recorded release: the `services` that it covers, what is deployed from it (`stands_for`: services, and
    functions that are at another release than their service), and the services for which it is quarantined. `seq` is
    its place in the ledger's order, `at` ISO 8601 in UTC, `commit` "" if unknown. `not_below` is the oldest release
    that a rollback may go to from then on, "" if it sets no such floor. `adopted`: it was created from published
    versions.
    """

    seq: int
    version: str
    at: str
    recorded_by: Actor
    commit: str
    services: tuple[str, ...]
    stands_for: tuple[str, ...]
    quarantined_for: tuple[str, ...]
    not_below: str = ""
    adopted: bool = False

    @property
    def by(self) -> str:
        """Who recorded it, as text."""
        return str(self.recorded_by)


def listed(
    timeline: Timeline, quarantines: Sequence[Quarantine], apart: Mapping[str, str]
) -> tuple[ListedRelease, ...]:
    """The recorded releases, newest first; a release that is recorded twice appears once. `apart` is of
    `deployed.apart`.
    """
    there = {**timeline.all_deployed, **apart}
    newest: dict[str, Entry] = {}
    for entry in timeline:
        if entry.is_release:
            newest.setdefault(entry.version, entry)
    return tuple(
        ListedRelease(
            seq=entry.seq,
            version=version,
            at=entry.at,
            recorded_by=entry.by,
            commit=entry.commit,
            services=tuple(name for name in entry.services if not name.startswith("@")),
            stands_for=tuple(name for name, deployed in there.items() if deployed == version),
            quarantined_for=tuple(one.service for one in quarantines if one.version == version),
            not_below=entry.not_below,
            adopted=entry.kind == "adoption",
        )
        for version, entry in newest.items()
    )


@dataclass(frozen=True)
class Releases:
    """What was released, and which releases are quarantined."""

    environment: Environment

    def record(
        self,
        version: str,
        *,
        commit: str,
        terraform_commit: str = "",
        not_below: str = "",
        from_stacks: Sequence[str] = (),
    ) -> Recorded:
        """Records what every alias points at now, after a deployment; commits are resolved in the checkout.

        From then on no rollback goes to a release older than `not_below`: this one, or one recorded before.
        `from_stacks` are CloudFormation stacks: the release then covers the services that they deploy, at the versions
        that they have deployed. `notices` name services that have nothing to roll back to. Raises `UsageError` for an
        unknown commit, `Refused` if a function or its alias is missing, or if the version was recorded with other
        function versions or is quarantined.
        """
        act = partial(record_release.record, not_below=not_below, from_stacks=tuple(from_stacks))
        return self._recorded(version, commit, terraform_commit, act)

    def adopt(self, version: str, *, commit: str = "", terraform_commit: str = "") -> Recorded:
        """Records a release of the published versions whose description is exactly `version`.

        Raises `Refused` and names the functions that have none or several.
        """
        return self._recorded(version, commit, terraform_commit, record_release.adopt)

    def list(self) -> tuple[ListedRelease, ...]:
        """The recorded releases, newest first."""
        with self.environment.operation(reading=True) as session:
            timeline = session.ledger.timeline()
            apart = status.apart(session, timeline)
            return listed(timeline, session.ledger.quarantines(), apart)

    def quarantine(self, version: str, *, reason: str, services: Sequence[str] = ()) -> tuple[str, ...]:
        """Quarantines a release, for all its services or for some: no rollback goes to it until `lift`. Returns the
        services.
        """
        with self.environment.operation() as session:
            return tuple(quarantine.quarantine(session, version, services, reason))

    def lift(self, version: str, *, reason: str, services: Sequence[str] = ()) -> tuple[str, ...]:
        """Ends the quarantine of a release, or of a commit (its first 7 digits or more). Raises `Refused` if there
        is none.
        """
        with self.environment.operation() as session:
            return tuple(quarantine.lift(session, version, services, reason))

    def _recorded(
        self, version: str, commit: str, terraform_commit: str, act: Callable[..., Recorded]
    ) -> Recorded:
        with self.environment.operation() as session:
            commits = record_release.commits_for(session, commit, terraform_commit)
            reporter = self.environment.reporter
            recorded = act(session, version, commits, reporter, stack=record_release.stack_commit(session))
            for notice in recorded.notices:
                reporter.notice(notice)
            return recorded


@dataclass(frozen=True)
class Diff:
    """What changed between two releases."""

    environment: Environment

    def __call__(self, before: str = "previous", after: str = "deployed") -> Difference:
        """What changed between two releases: functions, versions, code, commits.

        Each side is a version of a recorded release, `previous` or `recorded` (of each service, by the ledger), or
        `deployed` (what the aliases are at now). Raises `UsageError` for a release that is not recorded, `Refused`
        where there is no previous one.
        """
        with self.environment.operation(reading=True) as session:
            return compare.difference(session, before, after)
