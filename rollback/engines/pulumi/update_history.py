"""The engine's history of a stack: which commit was deployed when and by whom, and which one is deployed
now.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from rollback.config.settings import PROJECT_FILE, Settings
from rollback.engines import git
from rollback.engines.pulumi.backend import backend_url
from rollback.engines.pulumi.engine import Engine
from rollback.util import safe_yaml
from rollback.util.errors import (
    Code,
    Refused,
    RollbackError,
    UsageError,
)
from rollback.util.extras import extra

with extra("pulumi"):
    from pulumi.automation import Deployment, UpdateSummary

    from rollback.engines.gated.pulumi_command import QuietStack

# Without a page size `history` returns only ten entries.
_PAGE = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class Update:
    """One entry. Times are ISO 8601. `commit` is empty if the update ran outside a git checkout.

    `id` is the number in Pulumi Cloud; 0 in other backends. `dirty`: not everything that was deployed is
    in the commit. `changes` counts resources (`{"update": 2}`). `stands` is true for the update that is
    deployed now.
    """

    at: str
    ended: str
    kind: str
    result: str
    commit: str
    dirty: bool
    who: str
    subject: str
    changes: Mapping[str, int] = field(default_factory=dict)
    id: int = 0
    stands: bool = False

    @property
    def deploys(self) -> bool:
        """Whether it ran a commit's program. A refresh only has the commit of the checkout that it ran in."""
        return self.kind == "update"

    @property
    def clean(self) -> bool:
        """Whether it succeeded and deployed exactly its commit."""
        return self.deploys and self.result == "succeeded" and bool(self.commit) and not self.dirty


@dataclass(frozen=True, kw_only=True)
class StackName:
    """One stack of one project, and a folder for the engine's commands about it.

    The folder is outside the checkout, because the engine may write to a stack file.
    """

    engine: Engine
    project: str
    stack: str
    folder: Path

    def exported(self) -> Mapping[str, Any]:
        """The stack's state, `{"version": 3, "deployment": {…}}`, its secrets encrypted. Raises as `Engine.ask` does."""
        return vars(self.engine.ask(self.folder, self.stack, lambda stack: stack.export_stack()))

    def referred(self, name: str) -> Mapping[str, Any]:
        """The exported state of another stack in this backend, by its full name: `organization/PROJECT/STACK`."""
        return vars(self.engine.ask(self.folder, name, lambda stack: stack.export_stack()))

    def imported(self, state: Mapping[str, Any]) -> None:
        """Replaces the stack's state, as `exported` gives it. Raises as `Engine.ask` does."""
        document = Deployment()
        vars(document).update(state)
        self.engine.ask(self.folder, self.stack, lambda stack: stack.import_stack(document))

    def updates(self) -> Iterator[Update]:
        """The stack's history, newest first, up to a limit."""
        page = 1
        while True:
            asked = partial(QuietStack.history, page_size=_PAGE, page=page, show_secrets=False)
            entries = self.engine.ask(self.folder, self.stack, asked)
            yield from map(_update, entries)
            if len(entries) < _PAGE:
                return
            page += 1


@contextmanager
def stack_name(engine: Engine, project: str, stack: str) -> Iterator[StackName]:
    """A stack, with a temporary folder until the end of the block."""
    with tempfile.TemporaryDirectory(prefix="rollback-stack-") as folder:
        text = json.dumps({"name": project, "runtime": "python"})
        (Path(folder) / PROJECT_FILE).write_text(text, encoding="utf-8")
        yield StackName(engine=engine, project=project, stack=stack, folder=Path(folder))


def project_name(text: str) -> str:
    """The project's name in a `Pulumi.yaml`; empty if it has none."""
    try:
        return str(safe_yaml.mapping(PROJECT_FILE, text).get("name", ""))
    except UsageError:
        return ""


def deployed(updates: Iterable[Update]) -> Update | None:
    """The deployed update, also if it failed half-way; None if unknown.

    `updates` is newest first, as everywhere in this module. After a destroy nothing is deployed.
    """
    for update in updates:
        if update.deploys:
            return update
        if update.kind == "destroy" and update.result == "succeeded":
            return None
    return None


def left(updates: Sequence[Update], target: str) -> Update | None:
    """The update that a rollback to commit `target` replaces: the deployed one.

    If that is a failed update to the same commit, it is the one before it.
    """
    now = deployed(updates)
    if now is None or now.result == "succeeded" or now.commit != target:
        return now
    return deployed(update for update in updates if update.result == "succeeded")


def previous(
    updates: Iterable[Update], quarantined: Iterable[str], after: Callable[[str, str], bool]
) -> Update:
    """The newest successful update of a clean commit other than the deployed one, and not `quarantined`.

    `after` says whether a commit comes after another. If a rollback to a commit failed, the commit that it
    should replace is newer and not a candidate: the failed one is tried again. Raises `Refused` where
    there is none.
    """
    passed = set(quarantined)
    now: Update | None = None
    left = False
    for update in updates:
        if now is None:
            now = update if update.deploys or update.kind == "destroy" else None
        elif not update.clean or update.commit in passed:
            continue
        elif now.result != "succeeded" and update.commit != now.commit and after(update.commit, now.commit):
            left = True
        # If uncommitted changes were deployed, the clean commit is a candidate.
        elif update.commit != now.commit or now.dirty or left:
            return update
    raise Refused(
        "There is no previous commit of the stack: its history has no earlier successful update of another "
        "clean commit that is not quarantined.",
        code=Code.NO_PREVIOUS,
        next="Select a deployed commit with --to COMMIT (see history --kind stack).",
    )


def marked(updates: Iterable[Update]) -> Iterator[Update]:
    """The updates, with the deployed one marked: the newest successful one, unless everything was destroyed."""
    found = False
    for update in updates:
        done = update.result == "succeeded"
        is_deployed = not found and done and update.deploys
        found = found or is_deployed or (done and update.kind == "destroy")
        yield replace(update, stands=is_deployed)


def history(
    root: Path, settings: Settings, limit: int, *, stack: str = "", project: str = ""
) -> list[Update]:
    """The newest `limit` entries of a stack's history, newest first; by default the environment's stack.

    `project` is a project's name. Raises `RollbackError` where the engine fails.
    """
    text = (root / PROJECT_FILE).read_text(encoding="utf-8")
    engine = Engine.found(backend_url(settings))
    with stack_name(engine, project or project_name(text), stack or settings.environment) as asked:
        found = list(islice(marked(asked.updates()), limit))
    subjects = git.subjects(root, [update.commit for update in found])
    return [replace(update, subject=subjects.get(update.commit) or update.subject) for update in found]


def deployed_commit(root: Path, settings: Settings) -> tuple[str | None, str]:
    """The commit of the newest successful, clean update of the stack; or None and the reason why it is unknown."""
    why = "its history has no clean update."
    try:
        engine = Engine.found(backend_url(settings))
        text = (root / PROJECT_FILE).read_text(encoding="utf-8")
        with stack_name(engine, project_name(text), settings.environment) as asked:
            for update in asked.updates():
                if update.clean:
                    return update.commit, ""
    except RollbackError as error:
        why = error.what.splitlines()[-1].strip()[:300]
    return None, f"The stack's commit is not recorded: {why}"


def _update(entry: UpdateSummary) -> Update:
    environment = entry.environment or {}
    author = environment.get("git.author") or environment.get("git.committer") or ""
    return Update(
        at=_time(entry.start_time),
        ended=_time(entry.end_time),
        kind=str(entry.kind),
        result=str(entry.result),
        commit=str(environment.get("git.head", "")),
        dirty=environment.get("git.dirty") == "true",
        who=author or str(environment.get("exec.kind", "")),
        subject=str(entry.message).partition("\n")[0],
        changes={str(op): count for op, count in (entry.resource_changes or {}).items()},
        id=int(entry.version or 0),
    )


def _time(at: datetime | None) -> str:
    return f"{at.isoformat(timespec='milliseconds')}Z" if at else ""
