"""Rolls a Terraform configuration back: plans at a commit, applies exactly that plan, and verifies it.

It is longer than 400 lines: apply, resume and undo share the journal's format.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from rollback.engines import git, terraform
from rollback.engines.terraform import Tool, ToolFailed
from rollback.ledger.lease import TERRAFORM as DOMAIN
from rollback.model import floors, resource_changes
from rollback.model.deployed import UNKNOWN, Deployed, known
from rollback.model.kind import Kind
from rollback.model.plan import Plan, Refusal
from rollback.model.record import Check, Event, Record, Status
from rollback.model.release import PREVIOUS, TERRAFORM, Quarantine, previous_position
from rollback.model.request import TerraformRequest
from rollback.model.resource_changes import ResourceChange
from rollback.targets.base import Context, Failure, Journal, Outcome
from rollback.targets.progress import counts
from rollback.targets.terraform import apply, backend, plan_json, workspace
from rollback.targets.terraform.backend import Backend
from rollback.targets.terraform.events import Replanned, TerraformReverted
from rollback.targets.terraform.plan_json import CHANGED, REVERTED
from rollback.targets.terraform.post_checks import checks
from rollback.targets.terraform.state_bucket import LOCK_FILE, PLAN, POSITION, StateBucket, position
from rollback.targets.terraform.workspace import Work
from rollback.util.errors import (
    Code,
    Refused,
    RollbackError,
    UsageError,
)

# How many entries back waiting records are searched for.
_RECENT = 50


class Terraform:
    """The target `terraform`: the configuration at a commit of the protected branch."""

    kind, verb = Kind.TERRAFORM, DOMAIN
    doing = "Applying"
    smoked = True
    step = ResourceChange

    def __init__(self, context: Context) -> None:
        self._context = context
        self._account = context.account
        self._ledger = context.ledger
        self._settings = context.account.settings
        self._root: Path = context.root
        self._work: Work | None = None

    @property
    def minutes(self) -> int:
        return self._settings.rto.infrastructure

    def domains(self, request: TerraformRequest) -> tuple[str, ...]:  # noqa: ARG002 - the Protocol's
        return (DOMAIN,)

    def plan(self, request: TerraformRequest) -> Plan[ResourceChange]:
        """The plan at the requested commit, saved in a folder that the session removes.

        Raises `UsageError` for a commit without a usable configuration, `Refused` for one that is not allowed.
        """
        backend.configured(self._settings)
        with ThreadPoolExecutor(1) as pool:
            # In parallel: both the tool and the ledger are slow.
            found = pool.submit(terraform.find)
            timeline, quarantined = self._ledger.timeline(verified=True), self._ledger.quarantines()
            wanted = request.commit
            if wanted == PREVIOUS:
                wanted = previous_position(timeline, TERRAFORM, quarantined, allow_below=request.allow_below)
            commit = git.find(self._root, wanted, self._settings.protected_branch)
            self._require(commit.sha)
            deployed = timeline.deployed(TERRAFORM)
            below = floors.commit_below(
                timeline, TERRAFORM, commit.sha, str(deployed), partial(git.is_ancestor, self._root)
            )
            if below and not request.allow_below:
                raise floors.refused(below, {TERRAFORM: commit.sha})
            where = backend.shared(self._root, commit.sha, deployed, self._settings)
            state = self._known(where, deployed)
            tool = found.result()
        with _changing_nothing():
            work = self._fresh(commit.sha, tool, where)
            work.plan()
            shown = work.show()
        steps = plan_json.steps(shown, str(state.get("lineage") or secrets.token_hex()))
        back = (
            deployed not in (UNKNOWN, commit.sha)
            and git.is_ancestor(self._root, str(deployed), commit.sha) is not True
        )
        self._work = work
        return Plan(
            kind=self.kind,
            environment=self._settings.environment,
            account=self._settings.account,
            region=self._settings.region,
            # A tag or branch is stored as its commit, so that planning again gives the same plan.
            request=replace(request, commit=commit.sha),
            from_version=str(deployed)[:12],
            to_version=commit.sha[:12],
            leaves=known({TERRAFORM: deployed}),
            targets={TERRAFORM: commit.sha},
            quarantines=known({TERRAFORM: deployed}) if back else {},
            steps=steps,
            facts={
                "commit": commit.sha,
                "plan": work.sha256(work.saved),
                "lock-file": work.sha256(work.lock_file),
                "folder": str(work.folder),
                "state": str(where),
                **tool.facts,
                **position(state),
                **floors.facts(below),
            },
            infrastructure=plan_json.counted(steps),
            notices=(*floors.notices(below), *_notices(shown, commit, str(deployed) if back else "")),
            refusals=(
                *_quarantine_refusals(quarantined, commit.sha, self._settings.environment),
                *resource_changes.weakenings(
                    steps,
                    plan_json.values(shown),
                    request.allow_destroy,
                    self._settings.names,
                    self._settings.holds_data,
                ),
            ),
        )

    def again(self, plan: Plan[ResourceChange], rollback_id: str) -> Plan[ResourceChange]:
        """The same plan, if it is still valid and this machine can apply its file.

        A saved plan is applied unchanged or not at all: planning again would make another file. Raises
        `Refused` where the state has changed since, or where the file cannot be applied here.
        """
        git.find(self._root, plan.facts["commit"], self._settings.protected_branch)
        if position(self._bucket(plan).free()) != {name: plan.facts[name] for name in POSITION}:
            raise Refused(
                f"The plan of digest {plan.digest()[:16]} is out of date: the Terraform state was changed "
                "since it was made.",
                code=Code.PLAN_OUTDATED,
                next=f"rollback abort {rollback_id} --env {plan.environment}  # then plan again",
            )
        self._ready(plan, rollback_id)
        quarantined = _quarantine_refusals(self._ledger.quarantines(), plan.facts["commit"], plan.environment)
        return replace(plan, refusals=quarantined)

    def refusals(self, plan: Plan[ResourceChange]) -> Sequence[Refusal]:
        return [
            *plan.refusals,
            *self._against(plan.steps, plan.request.expected(TerraformRequest).allow_destroy),
        ]

    def keep(self, plan: Plan[ResourceChange], rollback_id: str) -> None:
        """Stores the plan's file and the lock file in the state bucket, encrypted."""
        assert self._work is not None  # noqa: S101 - it made this plan
        self._bucket(plan).keep(rollback_id, self._work.saved, self._work.lock_file)

    def forget(
        self,
        plan: Plan[ResourceChange],  # noqa: ARG002 - the Protocol's
        rollback_id: str,
        events: Sequence[Event],
        *,
        ended: bool,
    ) -> None:
        """Deletes the plan's file, which contains secrets, as soon as its apply has started: the rest is planned again.

        Also deletes the files of waiting records: their plans are for an older state and cannot be applied.
        """
        begun = apply.begun(events) is not None
        if not (ended or begun):
            return
        bucket = StateBucket(self._account, backend.platform(self._settings))
        for one in [rollback_id, *(self._waiting() if begun else ())]:
            bucket.forget(one)

    def _waiting(self) -> list[str]:
        """The waiting records with a saved plan."""
        return [
            record.rollback_id
            for record in self._ledger.history(_RECENT)
            if isinstance(record, Record)
            and record.kind in (Kind.TERRAFORM, Kind.FULL)
            and record.status is Status.AWAITING_APPROVAL
        ]

    def execute(self, plan: Plan[ResourceChange], journal: Journal) -> Outcome:
        """Applies the saved plan. After an interrupted apply, the remaining changes are planned again."""
        if apply.begun(journal.events) is None:
            return self._apply(self._ready(plan, journal.rollback_id), plan, journal, CHANGED)
        if not self._over(journal):
            return Outcome(interrupted=True)
        try:
            work = self._ready(plan, journal.rollback_id, anew=True)
            self._unlock(work, plan, journal)
            self._adopt(work.commit, plan, journal, CHANGED)
            remaining = self._planned(work)
        except (ToolFailed, UsageError) as error:
            return Outcome(failures=(Failure(subject=self.kind, reason=error.what, refused=True),))
        more = plan_json.beyond(remaining, plan.steps)
        if more or self._against(remaining, plan.request.expected(TerraformRequest).allow_destroy):
            return Outcome(
                failures=tuple(
                    Failure(subject=change.urn, reason=f"it would be {change.op}d now", refused=True)
                    for change in more or remaining
                    if change.changes
                ),
                anew=True,
            )
        left = tuple(change.urn for change in remaining if change.changes)
        journal.append(Replanned(remaining=left, sha256=work.sha256(work.saved)))
        return self._apply(work, plan, journal, CHANGED) if left else Outcome()

    def undo(self, plan: Plan[ResourceChange], journal: Journal) -> Outcome:
        """Applies the commit that was deployed before, if anything was applied."""
        if not apply.touched(journal.events):
            return Outcome()
        left = plan.left(undone=True)[TERRAFORM]
        if left is UNKNOWN:
            return _failed("the commit that was deployed before is not recorded; select one with --to COMMIT")
        if not self._over(journal):
            return Outcome(interrupted=True)
        if apply.overtaken(journal.events, self._bucket(plan).state()):
            return _failed(
                "the Terraform state was changed since, and an undo would also revert that; to review "
                f"and apply it: rollback terraform --to {left[:12]}"
            )
        try:
            work, steps = self._back_to(left, plan, journal)
        except (ToolFailed, UsageError) as error:
            return _failed(error.what)
        ours = plan_json.created(journal.events)
        allowed = (*plan.request.expected(TerraformRequest).allow_destroy, *ours)
        outcome = Outcome(
            failures=tuple(
                Failure(subject=one.subject, reason=one.reason, refused=True)
                for one in self._against(steps, allowed)
            )
        )
        if outcome.ok and any(change.changes for change in steps):
            outcome = self._apply(work, plan, journal, REVERTED)
        if outcome.ok:
            journal.append(TerraformReverted(commit=left))
        return outcome

    def verify(self, plan: Plan[ResourceChange]) -> Sequence[Check]:
        """Checks that a new plan is empty, and the account's tables, APIs and functions."""
        with ThreadPoolExecutor(1) as pool:
            others = pool.submit(checks, self._account)
            return [self._is_as_planned(plan), *others.result()]

    def publish(
        self,
        plan: Plan[ResourceChange],  # noqa: ARG002 - the Protocol's
        deployed: Mapping[str, Deployed],
        events: Sequence[Event],  # noqa: ARG002 - the Protocol's
    ) -> None:
        self._account.publish(self._settings.names.terraform_commit, str(deployed[TERRAFORM]))

    def counts(self, plan: Plan[ResourceChange], events: Sequence[Event]) -> Mapping[str, int]:
        return counts(self.outcomes(plan, events))

    def outcomes(self, plan: Plan[ResourceChange], events: Sequence[Event]) -> Sequence[Mapping[str, Any]]:
        """See `plan_json.outcomes`."""
        return plan_json.outcomes(plan, events)

    # -- helpers ---------------------------------------------------------------------------------------

    def _against(self, steps: Sequence[ResourceChange], allow_destroy: Sequence[str]) -> list[Refusal]:
        found = resource_changes.refusals(
            steps, allow_destroy, self._settings.names, self._settings.holds_data
        )
        return [
            replace(one, remedy="select a commit that does not change it")
            if one.remedy.startswith("--except")
            else one
            for one in found
        ]

    def _apply(self, work: Work, plan: Plan[ResourceChange], journal: Journal, kind: str) -> Outcome:
        return apply.apply(work, self._bucket(plan), plan, journal, kind)

    def _is_as_planned(self, plan: Plan[ResourceChange]) -> Check:
        """Checks that a new plan at the commit is empty. Fails if no plan can be made."""
        work, commit = self._work, plan.facts["commit"]
        try:
            if work is None or work.commit != commit:
                work = self._fresh(commit, terraform.find(), self._backend(plan))
            differing = work.differs()
        except (ToolFailed, UsageError) as error:
            return Check(check="terraform", ok=False, detail=error.what)
        detail = (
            f"a new plan would change {', '.join(differing[:10])}" if differing else "a new plan is empty"
        )
        return Check(check="terraform", ok=not differing, detail=detail)

    def _require(self, commit: str) -> None:
        """Raises `UsageError` where a commit does not have the environment's configuration."""
        folder = backend.below(self._root, self._settings)
        values = backend.configured(self._settings).values(self._settings.environment)
        for path in (folder, *([f"{folder}/{values}"] if values else [])):
            if not git.holds(self._root, commit, path):
                raise UsageError(
                    f"Commit {commit[:12]} has no {path}.",
                    code=Code.COMMIT_UNUSABLE,
                    next=f"git log --oneline {self._settings.protected_branch} -- {folder}  # lists commits to use with --to",
                )

    def _backend(self, plan: Plan[ResourceChange]) -> Backend:
        """The location of a plan's state. Raises `Refused` where it has changed since the plan was made."""
        found = backend.declared(self._root, plan.facts["commit"], self._settings)
        # Plans of earlier versions do not have it.
        if plan.facts.get("state", str(found)) != str(found):
            raise Refused(
                f"The plan was made for the state {plan.facts['state']}, but with these settings it would be {found}.",
                code=Code.PLAN_OUTDATED,
                next="Apply it with the settings it was made with, or abort it and plan again.",
            )
        return found

    def _bucket(self, plan: Plan[ResourceChange]) -> StateBucket:
        return StateBucket(self._account, self._backend(plan))

    def _known(self, where: Backend, deployed: Deployed) -> Mapping[str, Any]:
        """The unlocked state. Raises `Refused` where a deployment is recorded, but there is no state:
        everything would be created again.
        """
        state = StateBucket(self._account, where).free()
        if deployed is not UNKNOWN and not state.get("lineage"):
            raise Refused(
                f"There is no state at {where}, although commit {deployed[:12]} is deployed.",
                code=Code.STATE_INVALID,
                next="Restore an earlier version of the object in the bucket.",
            )
        return state

    def _fresh(self, commit: str, tool: Tool, where: Backend) -> Work:
        """A commit's configuration with `init` done, for the state at `where`."""
        work = self._opened(commit, tool, where)
        locked = git.holds(self._root, commit, f"{backend.below(self._root, self._settings)}/{LOCK_FILE}")
        work.init(as_committed=locked)
        return work

    def _opened(self, commit: str, tool: Tool, where: Backend, place: str = "") -> Work:
        """A commit's configuration, until the session ends."""
        seconds = self.minutes * 60
        return self._context.closing.enter_context(
            workspace.opened(self._root, commit, tool, self._settings, where, seconds=seconds, place=place)
        )

    def _ready(self, plan: Plan[ResourceChange], rollback_id: str, *, anew: bool = False) -> Work:
        """The folder of the saved plan, restored; without the plan if it is made `anew`. Raises `Refused`
        where it cannot be restored.
        """
        if self._work is not None and str(self._work.folder) == plan.facts["folder"]:
            return self._work
        tool = terraform.find()
        differs = [
            f"{fact} is {here} here, {plan.facts[fact]} was recorded"
            for fact, here in tool.facts.items()
            if here != plan.facts[fact]
        ]
        if differs:
            raise Refused(
                f"The saved plan can only be applied by the tool that made it: {'; '.join(differs)}.",
                code=Code.PLAN_OUTDATED,
                next=f"rollback abort {rollback_id} --env {plan.environment}  # then plan again; or apply it on a machine where these are "
                "the same",
            )
        where = self._backend(plan)
        work = self._opened(plan.facts["commit"], tool, where, plan.facts["folder"])
        names = (LOCK_FILE,) if anew else (PLAN, LOCK_FILE)
        StateBucket(self._account, where).fetch(plan, rollback_id, work.folder, names)
        if plan.facts["lock-file"]:
            work.lock_file.write_bytes((work.folder / LOCK_FILE).read_bytes())
        work.init(as_committed=bool(plan.facts["lock-file"]))
        self._work = work
        return work

    def _planned(self, work: Work) -> tuple[ResourceChange, ...]:
        """The changes of a new plan, which replaces the saved one."""
        work.plan()
        return plan_json.steps(work.show(), secrets.token_hex())

    def _back_to(
        self, left: str, plan: Plan[ResourceChange], journal: Journal
    ) -> tuple[Work, tuple[ResourceChange, ...]]:
        """The changes that restore the replaced commit, with everything that was done imported."""
        self._require(left)
        where = backend.shared(self._root, left, plan.facts["commit"], self._settings)
        work = self._fresh(left, terraform.find(), where)
        self._unlock(work, plan, journal)
        self._adopt(plan.facts["commit"], plan, journal, CHANGED)
        self._adopt(left, plan, journal, REVERTED)
        return work, self._planned(work)

    def _over(self, journal: Journal) -> bool:
        """Waits until an earlier run has ended; false on Ctrl-C."""
        process = apply.begun(journal.events)
        deadline = time.monotonic() + self.minutes * 60
        while process is not None and process.is_here and process.alive():
            journal.check()
            if journal.stopping():
                return False
            if time.monotonic() > deadline:
                raise RollbackError(
                    f"The earlier apply (process {process}) is still running.", code=Code.STATE_LOCKED
                )
            time.sleep(0.2)
        return True

    def _unlock(self, work: Work, plan: Plan[ResourceChange], journal: Journal) -> None:
        apply.unlock(work, self._bucket(plan).held(), journal, self._context.confirm_dead)

    def _adopt(self, commit: str, plan: Plan[ResourceChange], journal: Journal, kind: str) -> None:
        """Imports into the state what a killed run created, with the configuration that declares it."""
        where = self._backend(plan)
        state = StateBucket(self._account, where).state()
        if lost := plan_json.lost(journal.events, state, kind):
            work = self._fresh(commit, terraform.find(), where)
            apply.adopt(work, state, lost, journal)


@contextmanager
def _changing_nothing() -> Iterator[None]:
    try:
        yield
    except RollbackError as error:
        error.changed = error.changed or "Nothing was changed."
        raise


def _failed(reason: str) -> Outcome:
    return Outcome(failures=(Failure(subject=DOMAIN, reason=reason),))


def _notices(shown: Mapping[str, Any], commit: git.Commit, left: str) -> tuple[str, ...]:
    notices = [f"Target commit {commit.sha[:12]}: {commit.subject}"] if commit.subject else []
    if left:
        notices.append(f"Will be quarantined: {left[:12]}.")
    if drift := plan_json.drifted(shown):
        notices.append(f"Changed outside Terraform: {', '.join(drift[:50])}.")
    return tuple(notices)


def _quarantine_refusals(
    quarantined: Sequence[Quarantine], commit: str, environment: str
) -> tuple[Refusal, ...]:
    return tuple(
        Refusal(
            subject=TERRAFORM,
            reason=f"{commit[:12]} is quarantined: {quarantine.reason}",
            remedy=f'rollback release lift {commit} --env {environment} --reason "…"',
        )
        for quarantine in quarantined
        if (quarantine.service, quarantine.version) == (TERRAFORM, commit)
    )
