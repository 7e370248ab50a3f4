"""A commit's Pulumi program, prepared to run against the deployed stack.

Program, configuration and dependencies are the commit's; the encryption settings are the current ones.
They are combined in a stack file outside the worktree, so that the worktree does not differ from the
commit: the engine records in its history whether it is dirty.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from rollback.engines import git
from rollback.engines.git import Commit
from rollback.engines.pulumi import checkpoint, virtualenv
from rollback.engines.pulumi.checkpoint import Deployment
from rollback.engines.pulumi.engine import CommandResult, CommandWatch, Engine
from rollback.engines.pulumi.virtualenv import Checkouts
from rollback.util import safe_yaml
from rollback.util.errors import Code, UsageError
from rollback.util.extras import extra

with extra("pulumi"):
    from rollback.engines.gated.pulumi_command import QuietStack, ignored

_PROJECT_FILES = ("Pulumi.yaml", "Pulumi.yml")
_ENCRYPTION = ("secretsprovider", "encryptedkey", "encryptionsalt")


@dataclass(frozen=True, kw_only=True)
class Where:
    """The stack: the checkout's `root`, the project's `folder` in the repository, project and stack names."""

    top: Path
    folder: str
    project: str
    stack: str

    @property
    def today(self) -> Path:
        return self.top / self.folder

    def stack_file(self, project: Mapping[str, Any]) -> str:
        """The path of the stack file, relative to the project's folder; `project` is the parsed `Pulumi.yaml`."""
        return str(Path(str(project.get("stackConfigDir") or ".")) / f"Pulumi.{self.stack}.yaml")


@dataclass(frozen=True, kw_only=True)
class Workspace:
    """A commit's program in a temporary folder. `config` is a hash of its configuration; `variables` are environment
    variables for the engine; `without` are the URNs to exclude.
    """

    engine: Engine
    commit: Commit
    stack: str
    folder: Path
    config_file: Path
    config: str
    variables: Mapping[str, str]
    without: tuple[str, ...] = ()

    @property
    def plan_file(self) -> Path:
        """The file of a preview's update plan, which binds the update."""
        return self.config_file.with_name("update-plan.json")

    def preview(self, watch: CommandWatch, *, save: bool = True) -> CommandResult:
        """Previews the program, after a refresh. With `save` it writes the update plan."""
        plan = str(self.plan_file) if save else None
        return self._run(lambda stack, common: stack.preview(plan=plan, refresh=True, **common), watch)

    def up(self, watch: CommandWatch) -> CommandResult:
        """Executes exactly the last preview's plan."""
        plan = str(self.plan_file)
        return self._run(lambda stack, common: stack.up(plan=plan, refresh=True, **common), watch)

    def refresh(self, watch: CommandWatch) -> CommandResult:
        """Refreshes the checkpoint; resources that an update started to create and that do not exist are dropped."""
        return self._run(lambda stack, common: stack.refresh(clear_pending_creates=True, **common), watch)

    def _run(
        self, operation: Callable[[QuietStack, dict[str, Any]], object], watch: CommandWatch
    ) -> CommandResult:
        common = {
            "exclude": list(self.without),
            "config_file": str(self.config_file),
            # The events have everything.
            "on_event": ignored,
            "suppress_outputs": True,
            "suppress_progress": True,
        }
        return self.engine.run(
            self.folder,
            self.stack,
            lambda stack: operation(stack, common),
            watch=watch,
            variables=self.variables,
        )


@contextmanager
def workspace(
    engine: Engine,
    where: Where,
    commit: Commit,
    state: Deployment,
    without: tuple[str, ...] = (),
    *,
    working: Callable[[str], AbstractContextManager[object]] = nullcontext,
) -> Iterator[Workspace]:
    """The workspace of a commit for the checkpoint `state`, without the URNs in `without`; removed at the
    block's end. `working` shows long work by its name.

    Raises `UsageError` where the commit has no such project or stack, or secrets that the current encryption
    settings cannot read; `RollbackError` where its dependencies cannot be installed.
    """
    project = project_at(where, commit)
    config = stack_config(where, commit, project, state)
    text = yaml.safe_dump(config, sort_keys=True)
    with git.worktree(where.top, commit.sha, where.folder) as tree:
        folder = tree / where.folder
        config_file = tree.with_name(f"Pulumi.{where.stack}.yaml")
        config_file.write_text(text, encoding="utf-8")
        yield Workspace(
            engine=engine,
            commit=commit,
            stack=where.stack,
            folder=folder,
            config_file=config_file,
            config=checkpoint.keyed(state, config),
            # Compiled modules would make the worktree dirty.
            variables={
                "PYTHONDONTWRITEBYTECODE": "1",
                **virtualenv.provide(
                    engine,
                    project,
                    Checkouts(commit=commit.sha, worktree=tree, today=where.top, folder=where.folder),
                    working,
                ),
            },
            without=without,
        )


def project_at(where: Where, commit: Commit) -> Mapping[str, Any]:
    """The commit's parsed `Pulumi.yaml`, `{"name": …, "runtime": …, …}`. Raises `UsageError` where it has
    none, or that of another project.
    """
    for name in _PROJECT_FILES:
        text = git.read(where.top, commit.sha, _path(where, name))
        if text is not None:
            break
    else:
        raise UsageError(
            f"Commit {commit.sha[:12]} has no Pulumi project in {where.folder}/.",
            code=Code.COMMIT_UNUSABLE,
            next=f"git log --oneline -- {_path(where, _PROJECT_FILES[0])}  # lists the commits that have one",
        )
    project = safe_yaml.mapping(f"Pulumi.yaml of commit {commit.sha[:12]}", text)
    if project.get("name") != where.project:
        raise UsageError(
            f"At commit {commit.sha[:12]} the project is called {str(project.get('name'))[:80]!a}, not "
            f"{where.project!r}, so it has other stacks.",
            code=Code.COMMIT_UNUSABLE,
        )
    return project


def project_today(where: Where) -> Mapping[str, Any]:
    """The parsed `Pulumi.yaml` of the current checkout; empty if it has none."""
    for name in _PROJECT_FILES:
        if (where.today / name).is_file():
            return safe_yaml.mapping(name, safe_yaml.read(where.today / name, where.top))
    return {}


def stack_config(
    where: Where, commit: Commit, project: Mapping[str, Any], state: Deployment
) -> dict[str, Any]:
    """The commit's parsed stack file, `{"config": {"rollback:prefix": …}, …}`, with the current encryption
    settings.

    `project` is its `Pulumi.yaml`, `state` the current checkpoint. Raises `UsageError` where there is none, and
    for values that were encrypted under other settings.
    """
    path = where.stack_file(project)
    text = git.read(where.top, commit.sha, _path(where, path))
    if text is None:
        raise UsageError(
            f"Commit {commit.sha[:12]} has no configuration of the stack: {path} is missing.",
            code=Code.COMMIT_UNUSABLE,
        )
    config = dict(safe_yaml.mapping(f"{path} of commit {commit.sha[:12]}", text))
    if imported := config.get("environment"):
        raise UsageError(
            f"{path} of commit {commit.sha[:12]} takes values from Pulumi ESC ({_names(imported)}), and their values at that time "
            "are not in the commit.",
            code=Code.COMMIT_UNUSABLE,
            next="On top of that commit, commit the values in its config (pulumi env open shows them, pulumi config set writes them), "
            "without `environment`, and roll back to the new commit.",
        )
    then, now = _encryption(config), _todays(where, path, state)
    if secured := _secured(config.get("config") or {}):
        differs = {name: then.get(name) for name in _ENCRYPTION[1:]} != {
            name: now.get(name) for name in _ENCRYPTION[1:]
        }
        if differs:
            raise UsageError(
                f"{', '.join(secured)} in {path} of commit {commit.sha[:12]} cannot be decrypted: the stack's "
                "encryption settings have changed since.",
                code=Code.COMMIT_UNUSABLE,
                next="On top of that commit, commit the values with the current encryption (pulumi config set --secret), "
                "and roll back to the new commit.",
            )
    return {name: value for name, value in config.items() if name not in _ENCRYPTION} | now


def _names(imported: Any) -> str:
    """The Pulumi ESC environments in a stack file, which may list them, or define one inline
    (https://www.pulumi.com/docs/esc/integrations/infrastructure/pulumi-iac/).
    """
    named = imported.get("imports") if isinstance(imported, Mapping) else imported
    found = named if isinstance(named, list) else [named or "inline"]
    return ", ".join(str(one)[:80] for one in found[:5])


def _todays(where: Where, path: str, state: Deployment) -> dict[str, Any]:
    """The current encryption settings: from the checkout's stack file, else from the checkpoint."""
    file = where.today / path
    if file.is_file():
        found = _encryption(safe_yaml.mapping(path, safe_yaml.read(file, where.top)))
        if found.keys() & set(_ENCRYPTION[1:]):
            return found
    provider = state.get("secrets_providers") or {}
    kept = provider.get("state") or {}
    if provider.get("type") == "passphrase":
        return {"encryptionsalt": kept["salt"]}
    if provider.get("type") == "cloud":
        return {"secretsprovider": kept["url"], "encryptedkey": kept["encryptedkey"]}
    return {}


def _encryption(config: Mapping[str, Any]) -> dict[str, Any]:
    return {name: config[name] for name in _ENCRYPTION if config.get(name)}


def _secured(config: Mapping[str, Any]) -> list[str]:
    """The keys whose values contain something encrypted."""

    def encrypted(value: Any) -> bool:
        if isinstance(value, Mapping):
            return set(value) == {"secure"} or any(map(encrypted, value.values()))
        return isinstance(value, list) and any(map(encrypted, value))

    return [str(key) for key, value in config.items() if encrypted(value)]


def _path(where: Where, name: str) -> str:
    """The path of a project's file, relative to the repository's top."""
    return str(Path(where.folder) / name)
