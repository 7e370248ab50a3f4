"""Plans a stack's rollback: previews a commit's program against the deployed stack.

It is longer than 400 lines: everything is derived from one preview.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache, cached_property
from itertools import islice
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from rollback.config.settings import PROJECT_FILE
from rollback.engines import git
from rollback.engines.git import Commit
from rollback.engines.pulumi import (
    checkpoint,
    physical_ids,
    preview_events,
    update_history,
)
from rollback.engines.pulumi.backend import BackendLock, BackendLocks, backend_url
from rollback.engines.pulumi.checkpoint import Deployment
from rollback.engines.pulumi.engine import (
    CommandResult,
    CommandWatch,
    Engine,
    EngineError,
    failed,
)
from rollback.engines.pulumi.preview_events import PreviewStep
from rollback.engines.pulumi.state_copy import state_copy
from rollback.engines.pulumi.update_history import StackName, Update
from rollback.engines.pulumi.workspace import (
    Where,
    Workspace,
    project_at,
    workspace,
)
from rollback.model import floors
from rollback.model.floors import Floor
from rollback.model.grouping import some
from rollback.model.kind import Kind
from rollback.model.plan import Plan, Refusal
from rollback.model.release import PREVIOUS, STACK
from rollback.model.request import StackRequest
from rollback.model.resource_changes import (
    CREATE,
    DELETE,
    REPLACE,
    SAME,
    UPDATE,
    ResourceChange,
    counts,
    weakenings,
)
from rollback.targets.base import Context
from rollback.targets.stack.providers import Providers
from rollback.util import safe_yaml
from rollback.util.errors import Code, Refused, UsageError
from rollback.util.process_identity import began, here

# The allowed names of a stack: https://www.pulumi.com/docs/iac/concepts/stacks/.
_STACK = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
_SHORT = 12
_NOTICES = 10
# A change's content has two halves of this length: the hashes before and after.
_HALF = 32
# The plan's fact with the renames to do first, as JSON: URN → URN.
RENAMES = "renames"


@dataclass(frozen=True, kw_only=True)
class StackReader:
    """The stack of a request, and how to read it with the engine.

    `subject` is its name in the timeline: the environment's stack is `releases.STACK`.
    """

    context: Context
    where: Where
    name: StackName
    own: bool

    @property
    def subject(self) -> str:
        return STACK if self.own else f"{STACK}/{self.where.project}/{self.where.stack}"

    @cached_property
    def locks(self) -> BackendLocks:
        return BackendLocks(
            url=self.name.engine.backend,
            project=self.where.project,
            stack=self.where.stack,
            s3=cache(lambda: self.context.account.client("s3")),
        )

    def exported(self) -> Mapping[str, Any]:
        """The JSON of `pulumi stack export`, `{"version": 3, "deployment": {…}}`: the checkpoint with secrets
        encrypted.
        """
        return self.name.exported()

    def state(self) -> Deployment:
        """The current checkpoint (`checkpoint.Deployment`), with encrypted secrets."""
        return checkpoint.deployment(self.exported())

    def commit(self, wanted: str) -> Commit:
        return git.find(self.where.top, wanted, self.context.account.settings.protected_branch)

    def workspace(self, commit: Commit, state: Deployment, without: tuple[str, ...]) -> Workspace:
        """A commit's workspace for the checkpoint `state`, without the URNs in `without`; it exists as long as
        the session.
        """
        made = workspace(self.name.engine, self.where, commit, state, without, working=self.context.working)
        return self.context.closing.enter_context(made)


@dataclass(frozen=True, kw_only=True)
class Preview:
    """What a workspace's program would do to the stack with the checkpoint `state`.

    `drift` has a pair for each resource that differs from the checkpoint: URN and properties. `references`
    are the full names of the stacks whose outputs the program reads.
    """

    workspace: Workspace
    state: Deployment
    ended: CommandResult
    steps: tuple[PreviewStep, ...]
    drift: tuple[tuple[str, tuple[str, ...]], ...]
    references: tuple[str, ...] = ()

    @cached_property
    def changes(self) -> tuple[ResourceChange, ...]:
        return tuple(change(step, self.hashed) for step in self.steps)

    def hashed(self, value: Any) -> str:
        return checkpoint.keyed(self.state, value)

    @property
    def protected(self) -> list[PreviewStep]:
        """The protected resources that the engine refuses to change; it reports only the first one, and stops."""
        return [step for step in self.steps if step.protected and step.op in (DELETE, REPLACE)]


def find(context: Context, request: StackRequest) -> StackReader:
    """The stack that `request` names.

    Raises `UsageError` where there is no such project or no engine, or where an excluded resource is
    not given by its URN.
    """
    for left in request.without:
        if not left.startswith("urn:pulumi:"):
            raise UsageError(
                f"--except {left[:80]!a} is not a resource of a stack.",
                code=Code.OPTION_INVALID,
                next="pulumi stack --show-urns  # shows the URNs to use",
            )
    settings = context.account.settings
    top = git.top(context.root)
    if not _STACK.fullmatch(request.stack or settings.environment):
        raise UsageError(
            f"--stack {request.stack[:80]!a} is not the name of a stack.",
            code=Code.OPTION_INVALID,
            next="Use the name without organization and project.",
        )
    folder = _folder(request.project) if request.project else str(context.root.resolve().relative_to(top))
    stack = request.stack or settings.environment
    engine = Engine.found(backend_url(settings))
    file = top / folder / PROJECT_FILE
    if not file.is_file():
        raise UsageError(
            f"There is no {PROJECT_FILE} in {folder}/ of this checkout.",
            code=Code.OPTION_INVALID,
            next="Set --project-dir to the project's folder, relative to the repository's top.",
        )
    project = update_history.project_name(safe_yaml.read(file, top))
    name = context.closing.enter_context(update_history.stack_name(engine, project, stack))
    own = stack == settings.environment and (top / folder).resolve() == context.root.resolve()
    where = Where(top=top, folder=folder, project=project, stack=stack)
    return StackReader(context=context, where=where, name=name, own=own)


def make(stack: StackReader, request: StackRequest, seconds: float) -> tuple[Plan[ResourceChange], Preview]:
    """The plan for `request`, and the preview that the update is bound to.

    Raises `UsageError` or `Refused` where there is no such commit or no target, and where another process
    holds the stack's lock; `RollbackError` where the commit's program does not run.
    """
    engine, ledger = stack.name.engine, stack.context.ledger
    quarantined = {
        quarantine.version for quarantine in ledger.quarantines() if quarantine.service == stack.subject
    }
    # Checks against the ledger and git come before any engine is started.
    named = None if request.commit == PREVIOUS else _named(stack, request.commit, quarantined)
    if named is not None:
        _below(stack, request, named.sha)
    with ThreadPoolExecutor() as pool:
        asked = pool.submit(engine.version)
        updates = pool.submit(_updates, stack)
        read = pool.submit(stack.exported)
        free(stack.locks.held())
        version, entries, exported = asked.result(), updates.result(), read.result()
    state = checkpoint.deployment(exported)
    commit = named or _previous(stack, entries, quarantined)
    below = _below(stack, request, commit.sha)
    now, last = update_history.left(entries, commit.sha), update_history.deployed(entries)
    Providers(engine=engine, where=stack.where).must_be_had(state, commit, now.commit if now else "")
    found = preview(stack.workspace(commit, state, request.without), state, seconds)
    names = renames(found)
    if names:
        found = _preview_renamed(stack, exported, found, names, seconds)
    if not found.ended.ok and not found.protected:
        raise broken(found)
    leaves = {stack.subject: now.commit} if now and now.commit and not now.dirty else {}
    facts = {
        "commit": commit.sha,
        "checkpoint": checkpoint.digest(state),
        "config": found.workspace.config,
        "engine": version,
        "stack": f"{stack.where.project}/{stack.where.stack}",
        "backend": _shown(engine.backend),
        **({RENAMES: json.dumps(names, sort_keys=True)} if names else {}),
        **floors.facts(below),
    }
    settings = stack.context.account.settings
    plan = Plan(
        kind=Kind.STACK,
        environment=settings.environment,
        account=settings.account,
        region=settings.region,
        # Stored resolved: `previous` may be another commit after this attempt.
        request=replace(request, commit=commit.sha),
        from_version=_label(now),
        to_version=commit.sha[:_SHORT],
        leaves=leaves,
        targets={stack.subject: commit.sha},
        quarantines=leaves if _is_backward(stack, commit.sha, leaves) else {},
        steps=found.changes,
        facts=facts,
        infrastructure=counts(found.changes),
        notices=(
            *floors.notices(below),
            *_notices(found, now, last, commit),
            *_renamed(names),
            *_misnamed(found, request),
        ),
        refusals=(
            *map(_is_protected, found.protected),
            *map(_is_one_object, physical_ids.same_objects(found.steps)),
            *weakenings(
                found.changes,
                {step.urn: (step.old or {}, step.new or {}) for step in found.steps},
                request.allow_destroy,
                settings.names,
                settings.holds_data,
            ),
        ),
    )
    return plan, found


def preview(
    made: Workspace,
    state: Deployment,
    seconds: float,
    stopping: Callable[[], bool] = lambda: False,
    *,
    save: bool = True,
) -> Preview:
    """Previews a workspace's program against the stack with the checkpoint `state`, within `seconds`. Raises what
    `stopping` raises.
    """
    events: list[tuple[str, Mapping[str, Any]]] = []
    watch = CommandWatch(
        seconds=seconds, event=lambda kind, data: events.append((kind, data)), stopping=stopping
    )
    ended = made.preview(watch, save=save)
    return Preview(
        workspace=made,
        state=state,
        ended=ended,
        steps=tuple(preview_events.steps(events)),
        drift=tuple(preview_events.drift(events)),
        references=tuple(preview_events.references(events)),
    )


def renames(found: Preview) -> dict[str, str]:
    """URN → the URN under which the program declares the same object, if only the name differs.

    A program can rename a resource with aliases; the earlier commit has no alias for the new name, and would delete the
    object and create it again. Empty if a resource is still being created: nothing is renamed then.
    """
    if checkpoint.pending(found.state):
        return {}
    return {pair.deleted: pair.created for pair in physical_ids.same_objects(found.steps) if pair.is_renamed}


def _preview_renamed(
    stack: StackReader,
    exported: Mapping[str, Any],
    found: Preview,
    names: Mapping[str, str],
    seconds: float,
) -> Preview:
    """What the program would do after these renames, previewed on a copy of the `exported` state."""
    state = checkpoint.renamed(found.state, names)
    with state_copy(stack.name, {**exported, "deployment": state}, found.references) as (engine, _):
        tried = preview(replace(found.workspace, engine=engine), found.state, seconds, save=False)
    # The update itself uses the stack's real state.
    return replace(tried, workspace=found.workspace)


def broken(found: Preview) -> EngineError:
    """The error for a program that fails."""
    commit = found.workspace.commit
    if found.ended.late:
        return EngineError(
            f"The program of commit {commit.sha[:_SHORT]} did not finish within the time limit.",
            changed="Nothing was changed.",
        )
    return failed(
        f"The preview of commit {commit.sha[:_SHORT]}",
        found.ended,
        changed="Nothing was changed.",
        next="Select another deployed commit with --to COMMIT (see history --kind stack).",
    )


def free(held: Sequence[BackendLock]) -> None:
    """Raises `Refused` where the stack is locked."""
    if held:
        dead = all(lock.host == here() and not began(lock.pid) for lock in held)
        raise Refused(
            f"The stack is being updated by {'; '.join(map(str, held))}"
            + (": that process has ended and left its lock." if dead else "."),
            code=Code.STATE_LOCKED,
            next="pulumi cancel  # removes the lock; then run the same command again"
            if dead
            else "Wait until that update has ended.",
        )


def change(step: PreviewStep, hashed: Callable[[Any], str]) -> ResourceChange:
    """A step as stored in the plan: with hashes instead of values."""
    changes = step.op != SAME or step.unprotects
    unknown = tuple(sorted(name for name, value in (step.new or {}).items() if preview_events.unknown(value)))
    return ResourceChange(
        urn=step.urn,
        type=step.type,
        op=step.op,
        name=step.name,
        properties=step.properties,
        content=hashed(step.old)[:_HALF] + _after(step, unknown, hashed) if changes else "",
        unknown=unknown if changes else (),
        unprotects=step.unprotects,
        retains=step.retains,
    )


def beyond(approved: Sequence[ResourceChange], left: Preview) -> list[str]:
    """The resources that would be changed more than was approved. Pure.

    Values that were unknown in the plan are known now; a resource that was to be created or
    replaced may be half done, and one that was adopted is updated to its planned state.
    """
    known: dict[str, list[ResourceChange]] = {}
    for one in approved:
        known.setdefault(one.urn, []).append(one)
    return [
        step.urn
        for step in left.steps
        if (step.op != SAME or step.unprotects)
        and step.type != preview_events.STACK_TYPE
        and not any(_within(step, one, left.hashed) for one in known.get(step.urn, ()))
    ]


def _within(step: PreviewStep, approved: ResourceChange, hashed: Callable[[Any], str]) -> bool:
    parts = {CREATE: (CREATE, UPDATE), REPLACE: (REPLACE, CREATE, UPDATE, DELETE)}
    if step.op not in parts.get(approved.op, (approved.op,)) or (step.unprotects and not approved.unprotects):
        return False
    return step.op == DELETE or _after(step, approved.unknown, hashed) == approved.content[_HALF:]


def _after(step: PreviewStep, unknown: Sequence[str], hashed: Callable[[Any], str]) -> str:
    """The hash of a resource's target values, as far as they were known."""
    inputs = {name: value for name, value in (step.new or {}).items() if name not in unknown}
    return hashed(inputs if step.new is not None else None)[:_HALF]


def _updates(stack: StackReader) -> list[Update]:
    """The stack's history. Raises `UsageError` where there is no such stack."""
    try:
        return list(islice(stack.name.updates(), 1000))
    except EngineError as error:
        if "no stack named" in error.what:
            raise UsageError(
                f"There is no stack {stack.where.stack!r} of project {stack.where.project!r} in "
                f"{stack.name.engine.variables['PULUMI_BACKEND_URL'].partition('?')[0]}.",
                code=Code.UNKNOWN_STACK,
                next="Deploy the stack first, or select another one with --stack.",
            ) from None
        raise


def _previous(stack: StackReader, entries: Sequence[Update], quarantined: set[str]) -> Commit:
    top = stack.where.top
    found = update_history.previous(
        entries, quarantined, lambda one, other: bool(git.is_ancestor(top, other, one))
    )
    return stack.commit(found.commit)


def _named(stack: StackReader, wanted: str, quarantined: set[str]) -> Commit:
    """The given commit. Raises `Refused` where it is quarantined, `UsageError` where it is not a commit of this
    project.
    """
    commit = stack.commit(wanted)
    if commit.sha in quarantined:
        raise Refused(
            f"Commit {commit.sha[:_SHORT]} is quarantined for the stack.",
            code=Code.QUARANTINED,
            next=f'rollback release lift {commit.sha[:_SHORT]} --env {stack.context.account.settings.environment} --reason "…"',
        )
    project_at(stack.where, commit)
    return commit


def _below(stack: StackReader, request: StackRequest, target: str) -> dict[str, Floor]:
    """The floor that a commit is below; only the environment's own stack has floors. Raises `Refused` where
    the request does not allow going below it.
    """
    if not stack.own:
        return {}
    timeline, top = stack.context.ledger.timeline(verified=True), stack.where.top
    deployed = timeline.all_deployed.get(STACK, "")
    below = floors.commit_below(
        timeline, STACK, target, deployed, lambda older, newer: git.is_ancestor(top, older, newer)
    )
    if below and not request.allow_below:
        raise floors.refused(below, {stack.subject: target})
    return below


def _is_backward(stack: StackReader, target: str, leaves: Mapping[str, str]) -> bool:
    """Whether the target is older: neither the deployed commit nor one after it."""
    deployed = leaves.get(stack.subject)
    return bool(deployed) and not git.is_ancestor(stack.where.top, str(deployed), target)


def _label(now: Update | None) -> str:
    if now is None or not now.commit:
        return "unknown"
    return now.commit[:_SHORT] + ("-dirty" if now.dirty else "")


def _is_protected(step: PreviewStep) -> Refusal:
    return Refusal(
        subject=step.urn,
        reason=f"it is protected and would be {step.op}d; rollback never removes a protection",
        remedy=f"use --except '{step.urn}' to leave it unchanged",
    )


def _is_one_object(pair: physical_ids.SameObject) -> Refusal:
    name = pair.created.rpartition("::")[2]
    return Refusal(
        subject=pair.deleted,
        reason=f"it would be deleted and {name} created, but both are the same object in the account ({pair.id})",
        remedy=f"select another commit; or commit an alias for {name} on top of that one, and select the new commit",
    )


def _renamed(names: Mapping[str, str]) -> list[str]:
    """The notice about renames."""
    shown = [f"{old.rpartition('::')[2]} → {new.rpartition('::')[2]}" for old, new in sorted(names.items())]
    return [f"Renamed in the state, not deleted: {some(shown, _NOTICES)}."] if shown else []


def _notices(found: Preview, now: Update | None, last: Update | None, commit: Commit) -> list[str]:
    notices = [f"Target commit {commit.sha[:_SHORT]}: {commit.subject}"]
    if now is None:
        notices.append("The deployed commit is unknown: the stack's history has no update.")
    elif now.dirty:
        notices.append(
            f"The deployed program is commit {now.commit[:_SHORT]} with uncommitted changes: "
            "you cannot roll back to it."
        )
    if last and last.result != "succeeded":
        notices.append(f"The last update, to {last.commit[:_SHORT]}, did not succeed ({last.result}).")
    moved = [
        f"{urn.rpartition('::')[2]} ({', '.join(properties) if properties else 'deleted'})"
        for urn, properties in found.drift
    ]
    if moved:
        notices.append(f"Drift detected: {some(moved, _NOTICES)}.")
    begun = [one["resource"]["urn"].rpartition("::")[2] for one in checkpoint.pending(found.state)]
    if begun:
        notices.append(
            f"An earlier update was interrupted at {', '.join(begun[:_NOTICES])}: it is unknown whether these exist."
        )
    return notices


def _misnamed(found: Preview, request: StackRequest) -> list[str]:
    named = {step.urn for step in found.steps}
    return [
        f"--allow-destroy {urn} matches no resource of this plan."
        for urn in request.allow_destroy
        if urn not in named
    ]


def _shown(backend: str) -> str:
    """The state's location, without query parameters."""
    return urlsplit(backend)._replace(query="").geturl()


def _folder(project: str) -> str:
    path = PurePosixPath(project)
    if path.is_absolute() or ".." in path.parts:
        raise UsageError(
            f"--project-dir {project[:80]!a} must be a folder below the repository's top.",
            code=Code.OPTION_INVALID,
            next="--project-dir infra/network",
        )
    return str(path)
