"""Rolls a Pulumi stack back to an earlier commit.

The commit's program runs in a worktree against the deployed stack. One preview under the lease
is used for the plan and for the update, which is bound to the preview's saved plan. What an
interrupted update left is cleaned up before planning again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rollback.engines.pulumi.checkpoint import Deployment
from rollback.engines.pulumi.workspace import Workspace
from rollback.ledger import lease
from rollback.model import resource_changes
from rollback.model.deployed import UNKNOWN, Deployed
from rollback.model.kind import Kind
from rollback.model.plan import Plan, Refusal
from rollback.model.record import Check, Event
from rollback.model.release import STACK
from rollback.model.request import StackRequest
from rollback.model.resource_changes import CREATE, REPLACE, ResourceChange
from rollback.targets.base import Context, Failure, Journal, Outcome
from rollback.targets.progress import counts
from rollback.targets.stack import planner, recovery
from rollback.targets.stack import progress as stack_progress
from rollback.targets.stack.planner import Preview
from rollback.targets.stack.progress import UpdateProgress

_SHOWN = 10


@dataclass(kw_only=True)
class _Ready:
    """A plan of this process, which can be executed without planning again."""

    digest: str
    preview: Preview


class Stack:
    """The target `stack`. `patience` is the time limit of a preview or an update, in seconds."""

    kind = Kind.STACK
    verb = "stack"
    doing = "Updating"
    smoked = True
    step = ResourceChange

    def __init__(self, context: Context, *, patience: float | None = None) -> None:
        self._context = context
        self._settings = context.account.settings
        self._patience = self.minutes * 60 if patience is None else patience
        self._found: dict[tuple[str, str], planner.StackReader] = {}
        self._ready: _Ready | None = None
        self._deployed: Workspace | None = None

    @property
    def minutes(self) -> int:
        return self._settings.rto.infrastructure

    def domains(self, request: StackRequest) -> tuple[str, ...]:  # noqa: ARG002 - the Protocol's
        return (lease.STACK,)

    def plan(self, request: StackRequest) -> Plan[ResourceChange]:
        plan, preview = planner.make(self._stack(request), request, self._patience)
        self._ready = _Ready(digest=plan.digest(), preview=preview)
        self._deployed = preview.workspace
        return plan

    def again(self, plan: Plan[ResourceChange], rollback_id: str) -> Plan[ResourceChange]:  # noqa: ARG002 - the Protocol's
        return self.plan(plan.request.expected(StackRequest))

    def refusals(self, plan: Plan[ResourceChange]) -> Sequence[Refusal]:
        guards = self._guards(plan.steps, plan.request.expected(StackRequest).allow_destroy)
        protected = {refusal.subject for refusal in plan.refusals}
        return (*plan.refusals, *(guard for guard in guards if guard.subject not in protected))

    def keep(self, plan: Plan[ResourceChange], rollback_id: str) -> None:
        """Does nothing: another machine makes its own worktree, and plans again."""

    def forget(
        self, plan: Plan[ResourceChange], rollback_id: str, events: Sequence[Event], *, ended: bool
    ) -> None:
        """Does nothing: nothing was stored."""

    def execute(self, plan: Plan[ResourceChange], journal: Journal) -> Outcome:
        ready, self._ready = self._ready, None
        names = json.loads(plan.facts.get(planner.RENAMES, "{}"))
        if ready is not None and ready.digest == plan.digest() and not journal.taken_over and not names:
            return self._update(plan, ready.preview, journal)
        (subject, commit) = next(iter(plan.targets.items()))
        preview = self._resumed(plan, commit, journal, names)
        if journal.stopping():
            return Outcome(interrupted=True)
        if not preview.ended.ok:
            return Outcome(failures=(Failure(subject=subject, reason=planner.broken(preview).what),))
        if more := planner.beyond(plan.steps, preview):
            reason = f"it would change more than was approved: {', '.join(more[:_SHOWN])}"
            return Outcome(failures=(Failure(subject=subject, reason=reason),), anew=True)
        return self._update(plan, preview, journal)

    def undo(self, plan: Plan[ResourceChange], journal: Journal) -> Outcome:
        """Deploys the commit that was deployed before, if known; what this rollback created may
        be deleted.
        """
        if not stack_progress.acted(journal.events):
            return Outcome()
        subject = next(iter(plan.targets))
        left = plan.leaves.get(subject)
        if not left:
            reason = "the commit that was deployed before is unknown: deploy the right one"
            return Outcome(failures=(Failure(subject=subject, reason=reason),))
        preview = self._resumed(plan, left, journal)
        if journal.stopping():
            return Outcome(interrupted=True)
        if not preview.ended.ok:
            return Outcome(failures=(Failure(subject=subject, reason=planner.broken(preview).what),))
        created = tuple(step.urn for step in plan.steps if step.op in (CREATE, REPLACE))
        allowed = (*plan.request.expected(StackRequest).allow_destroy, *created)
        # The protections are restored.
        back = [replace(change, unprotects=False) for change in preview.changes]
        if refused := self._guards(back, allowed):
            return Outcome(
                failures=tuple(
                    Failure(subject=one.subject, reason=one.reason, refused=True) for one in refused
                )
            )
        return self._update(plan, preview, journal, back=True)

    def verify(self, plan: Plan[ResourceChange]) -> Sequence[Check]:
        """Checks that a preview of the program has nothing to change."""
        (commit,) = plan.targets.values()
        made = self._deployed
        if made is None or made.commit.sha != commit:
            stack = self._stack(plan.request.expected(StackRequest))
            made = stack.workspace(stack.commit(commit), stack.state(), plan.request.without)
        found = planner.preview(made, {}, self._patience, save=False)
        left = [change for change in found.changes if change.changes]
        if not found.ended.ok:
            detail = f"the program failed: {found.ended.why}"
        elif left:
            names = ", ".join(f"{change.urn.rpartition('::')[2]} ({change.op})" for change in left[:_SHOWN])
            detail = f"{len(left)} of {len(found.changes)} resources differ from the program: {names}"
        else:
            detail = f"{len(found.changes)} resources as commit {plan.to_version} declares them"
        return [Check(check="stack", ok=found.ended.ok and not left, detail=detail)]

    def publish(
        self,
        plan: Plan[ResourceChange],  # noqa: ARG002 - the Protocol's
        deployed: Mapping[str, Deployed],
        events: Sequence[Event],  # noqa: ARG002 - the Protocol's
    ) -> None:
        commit = deployed.get(STACK, UNKNOWN)
        if commit is not UNKNOWN:
            self._context.account.publish(self._settings.names.pulumi_commit, commit)

    def counts(self, plan: Plan[ResourceChange], events: Sequence[Event]) -> Mapping[str, int]:
        return counts(self.outcomes(plan, events))

    def outcomes(self, plan: Plan[ResourceChange], events: Sequence[Event]) -> Sequence[Mapping[str, Any]]:
        """See `progress.outcomes`."""
        return stack_progress.outcomes(plan, events)

    # -- updating --------------------------------------------------------------------------------------

    def _update(
        self, plan: Plan[ResourceChange], preview: Preview, journal: Journal, *, back: bool = False
    ) -> Outcome:
        """Runs `up` with the preview's saved plan; shows and journals its progress."""
        subject = next(iter(plan.targets))
        progress = UpdateProgress(
            journal=journal,
            locks=self._stack(plan.request.expected(StackRequest)).locks.held,
            changing={step.urn for step in plan.changing},
            before=stack_progress.touched(journal.events, back=back),
            back=back,
        )
        if any(change.changes for change in preview.changes):
            ended = preview.workspace.up(progress.watch(self._patience))
            progress.ended(ended)
            if ended.locked:
                held = (
                    "; ".join(map(str, self._stack(plan.request.expected(StackRequest)).locks.held()))
                    or "somebody"
                )
                return Outcome(
                    failures=(
                        Failure(
                            subject=subject,
                            reason=f"the stack was locked by {held} a moment earlier",
                            refused=True,
                        ),
                    ),
                    revert=not back and not stack_progress.acted(journal.events),
                )
            if ended.late:
                reason = f"it did not finish within {self._patience / 60:.0f} minutes and was stopped"
                return Outcome(failures=(Failure(subject=subject, reason=reason),))
            if not ended.ok:
                if ended.stopped:
                    return Outcome(interrupted=True)
                return Outcome(failures=stack_progress.failures(subject, ended, progress))
        begun = stack_progress.touched(journal.events) if back else None
        progress.all_through(step for step in plan.changing if begun is None or step.urn in begun)
        return Outcome()

    def _resumed(
        self,
        plan: Plan[ResourceChange],
        commit: str,
        journal: Journal,
        names: Mapping[str, str] | None = None,
    ) -> Preview:
        """The remaining changes until `commit` is deployed, after cleaning up what an earlier engine left, and after
        the planned renames in `names` (URN → URN); None: as needed.
        """
        stack = self._stack(plan.request.expected(StackRequest))
        made: list[Workspace] = []

        def workspace(state: Deployment) -> Workspace:
            if not made:
                made.append(stack.workspace(stack.commit(commit), state, plan.request.without))
            return made[0]

        recovery.clear(stack, journal)
        state = recovery.adopt(stack, journal, self._patience, workspace)
        self._deployed = deployed = workspace(state)

        def preview(state: Deployment) -> Preview:
            return planner.preview(deployed, state, self._patience, stopping=stack_progress.stopping(journal))

        if names and recovery.rename(stack, journal, names, self._patience):
            state = stack.state()
        found = preview(state)
        if names is None and recovery.rename(stack, journal, planner.renames(found), self._patience):
            found = preview(stack.state())
        return found

    def _guards(self, steps: Sequence[ResourceChange], allow_destroy: Sequence[str]) -> list[Refusal]:
        return resource_changes.refusals(
            steps, allow_destroy, self._settings.names, self._settings.holds_data
        )

    def _stack(self, request: StackRequest) -> planner.StackReader:
        key = (request.project, request.stack)
        if key not in self._found:
            self._found[key] = planner.find(self._context, request)
        return self._found[key]
