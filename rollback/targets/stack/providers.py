"""Finds providers that resources need and a commit no longer has, before its program runs. Reads files only.

The engine reads and deletes a resource with the provider that created it, whether or not the program still
declares it (https://github.com/pulumi/pulumi/issues/15370). A provider in the registry is downloaded again; one that a
project has in its own repository may not exist in another commit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from rollback.engines.git import Commit
from rollback.engines.pulumi import checkpoint
from rollback.engines.pulumi.checkpoint import Deployment
from rollback.engines.pulumi.engine import Engine
from rollback.engines.pulumi.virtualenv import local_packages
from rollback.engines.pulumi.workspace import Where, project_at, project_today
from rollback.util.errors import Code, UsageError

_TYPE = "pulumi:providers:"
_SHORT, _SHOWN = 12, 5


class MissingProviderError(UsageError):
    """A commit lacks providers of what is deployed: `names`."""

    code_default = Code.COMMIT_UNUSABLE

    def __init__(self, what: str, *, names: tuple[str, ...], next: str) -> None:  # noqa: A002 - the word of RollbackError
        super().__init__(what, next=next)
        self.names = names


@dataclass(frozen=True, kw_only=True)
class Providers:
    """The providers of a stack, as far as known before the engine runs."""

    engine: Engine
    where: Where

    def must_be_had(self, state: Deployment, commit: Commit, deployed: str) -> None:
        """Raises `MissingProviderError` where a resource in the checkpoint `state` needs a provider that neither
        `commit` nor this machine has, and that cannot be downloaded. `deployed` is the commit that is deployed;
        empty where it is not known.
        """
        there = local_packages(project_at(self.where, commit))
        own = {**local_packages(project_today(self.where)), **self.of(deployed)}
        lost = {
            name: count
            for name, count in _needed(state).items()
            if name not in there
            and not self.engine.has_provider(name)
            and (name in own or not self.engine.downloads_plugins)
        }
        if not lost:
            return
        shown = ", ".join(
            f"{name} ({own.get(name, 'not on this machine')})" for name in sorted(lost)[:_SHOWN]
        )
        raise MissingProviderError(
            f"{sum(lost.values())} deployed resources need a provider that commit {commit.sha[:_SHORT]} "
            f"does not have: {shown}. Without it they can be neither read nor deleted.",
            names=tuple(sorted(lost)),
            next="Install it on this machine (pulumi plugin install); or add it on top of that commit, in "
            "Pulumi.yaml and its folder but not in the program, and roll back to the new commit.",
        )

    def of(self, commit: str) -> dict[str, str]:
        """Name → path of the providers that a commit has in its own repository; empty if unknown."""
        if not commit:
            return {}
        try:
            return local_packages(project_at(self.where, Commit(sha=commit, subject="")))
        except UsageError:
            return {}

    def lost_on_the_way_back(self, types: Iterable[str], commit: Commit, deployed: str) -> list[str]:
        """The providers of these resource types that `commit` has in its repository and `deployed` does not: a
        rollback to `deployed` could not delete their resources.
        """
        own, before = self.of(commit.sha), self.of(deployed)
        packages = {type_.partition(":")[0] for type_ in types}
        return sorted(
            name for name in packages & own.keys() - before.keys() if not self.engine.has_provider(name)
        )


def _needed(state: Deployment) -> dict[str, int]:
    """Provider → the number of its resources in the checkpoint."""
    found: dict[str, int] = {}
    for resource in checkpoint.resources(state):
        if name := _provider(resource):
            found[name] = found.get(name, 0) + 1
    return found


def _provider(resource: Mapping[str, Any]) -> str:
    """The name of the provider of a resource; empty for a component, which has none."""
    urn = str(resource.get("provider") or "").rpartition("::")[0]
    kind = urn.split("::")[2].rpartition("$")[2] if urn.count("::") > 2 else ""  # noqa: PLR2004 - stack, project, type, name
    return kind.removeprefix(_TYPE) if resource.get("custom") and kind.startswith(_TYPE) else ""
