"""Cleans up after an interrupted update of this tool: its engine, its lock, and the resources it was
create.

A killed engine leaves its lock and, in the checkpoint, what it was creating, which may exist
or not. The engine would only forget that, or try to create it again. Here it is added to the
checkpoint under the id that it would have; a refresh then drops it if it does not exist.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from rollback.engines.pulumi import checkpoint
from rollback.engines.pulumi.backend import BackendLock
from rollback.engines.pulumi.checkpoint import Deployment
from rollback.engines.pulumi.engine import failed
from rollback.engines.pulumi.physical_ids import physical_id
from rollback.engines.pulumi.workspace import Workspace
from rollback.targets.base import Journal
from rollback.targets.proof_of_death import proof
from rollback.targets.stack import progress as stack_progress
from rollback.targets.stack.events import EngineUnlocked, StackAdopted, StackRenamed
from rollback.targets.stack.planner import StackReader
from rollback.targets.stack.progress import UpdateProgress
from rollback.util.errors import Code, Refused, RollbackError
from rollback.util.extras import extra
from rollback.util.process_identity import Process

with extra("pulumi"):
    from rollback.engines.gated.pulumi_command import QuietStack

_GRACE = 60.0
_POLL = 0.1


def clear(stack: StackReader, journal: Journal) -> None:
    """Ends our engines that still run and removes their locks.

    Raises `Refused` for a lock that is not proved to be ours and its holder dead: a process on another machine cannot be
    seen from here, and a person must confirm that it has exited.
    """
    ours = stack_progress.processes(journal.events)
    runs = stack_progress.locks(journal.events)
    for process in ours:
        if process.is_here:
            _end(process, journal)
    for lock in stack.locks.held():
        why = _proof(lock, ours, runs, stack.context.confirm_dead)
        if not why:
            raise _locked(lock, journal.rollback_id, stack, own=_is_own(lock, ours, runs))
        journal.append(EngineUnlocked(uuid=lock.uuid, holder=f"{lock.host}:{lock.pid}", proof=why))
        stack.locks.remove(lock)


def adopt(
    stack: StackReader, journal: Journal, seconds: float, workspace: Callable[[Deployment], Workspace]
) -> Deployment:
    """Imports what an engine had started and not finished, and returns the resulting checkpoint.

    `seconds` is how long the refresh may take. Raises `RollbackError` where the engine cannot read what
    exists.
    """
    exported = stack.exported()
    state = checkpoint.deployment(exported)
    begun = checkpoint.pending(state)
    if not begun:
        return state
    journal.check()
    repaired, taken = repair(state)
    stack.name.imported({**exported, "deployment": repaired})
    progress = UpdateProgress(journal=journal, locks=stack.locks.held)
    ended = workspace(state).refresh(progress.watch(seconds))
    progress.ended(ended)
    if not ended.ok:
        raise failed("Reading what an interrupted update left", ended)
    state = stack.state()
    there = {resource["urn"] for resource in checkpoint.resources(state)}
    journal.append(
        StackAdopted(
            urns=tuple(urn for urn in taken if urn in there),
            gone=tuple(urn for urn in taken if urn not in there),
            unknown=tuple(one["resource"]["urn"] for one in begun if one["resource"]["urn"] not in there),
        )
    )
    return state


def rename(stack: StackReader, journal: Journal, names: Mapping[str, str], seconds: float) -> bool:
    """Renames resources (URN → URN) in the checkpoint; whether any were left to rename.

    The engine takes the stack's lock for each. `seconds` is the time limit of each. Raises `EngineError` where it
    fails; renames done before that are journalled.
    """
    if not names:
        return False
    there = {resource["urn"] for resource in checkpoint.resources(stack.state())}
    left = {old: new for old, new in names.items() if old in there and new not in there}
    if not left:
        return False
    journal.append(StackRenamed(urns=left))
    for old, new in sorted(left.items()):
        journal.check()
        progress = UpdateProgress(journal=journal, locks=stack.locks.held)
        name = new.rpartition("::")[2]
        ended = stack.name.engine.run(
            stack.name.folder,
            stack.name.stack,
            partial(QuietStack.rename_resource, urn=old, name=name),
            watch=progress.watch(seconds),
            variables={},
        )
        progress.ended(ended)
        if not ended.ok:
            raise failed(f"Renaming {old.rpartition('::')[2]} to {name} in the state", ended)
    return True


def repair(state: Deployment) -> tuple[dict[str, Any], list[str]]:
    """The checkpoint `state` with resources that were being created added as existing, and their URNs. Pure.

    A resource whose id cannot be derived from its inputs is dropped; creating it again fails
    if it exists.
    """
    resources = [dict(resource) for resource in checkpoint.resources(state)]
    known = {resource["urn"] for resource in resources if not resource.get("delete")}
    taken = []
    for operation in checkpoint.pending(state):
        resource = operation["resource"]
        if operation.get("type") != "creating" or resource["urn"] in known:
            continue
        id_ = physical_id(resource["type"], resource.get("inputs", {}))
        if id_:
            resources.append({**resource, "id": id_, "outputs": dict(resource.get("inputs", {}))})
            taken.append(resource["urn"])
    return {**state, "resources": resources, "pending_operations": []}, taken


def _end(process: Process, journal: Journal) -> None:
    """Ends an engine whose command has died: gracefully, after a minute by force."""
    for number in (signal.SIGINT, signal.SIGKILL):
        if not process.alive():
            return
        with suppress(ProcessLookupError):
            os.kill(process.pid, number)
        until = time.monotonic() + _GRACE
        while process.alive() and time.monotonic() < until:
            journal.check()
            time.sleep(_POLL)
    if process.alive():
        raise RollbackError(
            f"The engine process {process} of this rollback did not exit.", code=Code.STATE_LOCKED
        )


def _is_own(lock: BackendLock, ours: Sequence[Process], runs: Mapping[str, str]) -> bool:
    return lock.uuid in runs or any((one.host, one.pid) == (lock.host, lock.pid) for one in ours)


def _proof(lock: BackendLock, ours: Sequence[Process], runs: Mapping[str, str], confirmed: str) -> str:
    """The proof that a lock's holder is dead; empty if there is none."""
    holders = [one for one in ours if (one.host, one.pid) == (lock.host, lock.pid)]
    return proof(holders, runs.get(lock.uuid, ""), names={f"{lock.host}:{lock.pid}"}, confirmed=confirmed)


def _locked(lock: BackendLock, rollback_id: str, stack: StackReader, *, own: bool) -> Refused:
    env = stack.context.account.settings.environment
    owner = "an engine of this rollback on another machine" if own else "not an engine of this rollback"
    return Refused(
        f"The stack is locked by {lock}: {owner}.",
        code=Code.STATE_LOCKED,
        changed="Nothing was changed by this command.",
        next=f"rollback resume {rollback_id} --env {env} --confirm-dead {lock.host}:{lock.pid}  # only if you are certain "
        "that it is dead",
    )
