"""What can be rolled back, one class for each kind: each makes plans and applies them."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar

from rollback.api.progress import Progress
from rollback.api.results import Plan, Result
from rollback.ledger import lease
from rollback.ledger.stored_record import Opened
from rollback.lifecycle import approval, freeze
from rollback.lifecycle.context import Session
from rollback.model import advice, messages, retention
from rollback.model.kind import Kind
from rollback.model.record import Record
from rollback.model.release import PREVIOUS
from rollback.model.request import (
    AliasesRequest,
    CutoverRequest,
    FullRequest,
    PruneRequest,
    StackRequest,
    TableRequest,
    TerraformRequest,
)
from rollback.util.errors import Code, Refused, UsageError
from rollback.util.times import shown_time

if TYPE_CHECKING:
    from rollback.api.environment import Environment


@dataclass(frozen=True)
class Target:
    """The base class of all kinds."""

    environment: Environment
    kinds: ClassVar[tuple[Kind, ...]]

    def roll_back(self, plan: Plan, *, reason: str) -> Result:
        """Applies exactly `plan`; passing it confirms it. `reason` is one line for the record.

        If the environment requires another identity nothing is changed yet: `status` is `AWAITING_APPROVAL`, and
        continue with `approve` and `apply`. Raises as `Environment.roll_back` does.
        """
        self._of_this_kind(plan)
        return self.environment.roll_back(plan, reason=reason)

    def rolling_back(self, plan: Plan, *, reason: str) -> Progress[Result]:
        """The same as an iterator over its events, which has the `result` at the end (`Environment.following`)."""
        self._of_this_kind(plan)
        return self.environment.following(
            lambda env: replace(self, environment=env).roll_back(plan, reason=reason)
        )

    def _of_this_kind(self, plan: Plan) -> None:
        if plan.kind not in self.kinds:
            raise UsageError(
                f"The plan is of the kind {plan.kind}, not {self.kinds[0]}.", code=Code.OPTION_INVALID
            )


@dataclass(frozen=True)
class Functions(Target):
    """The aliases of the catalogue's Lambda functions."""

    kinds = (Kind.ALIASES,)

    def plan(
        self,
        to: str = PREVIOUS,
        *,
        services: Sequence[str] = (),
        without: Sequence[str] = (),
        adopt_current: bool = False,
        allow_below: bool = False,
    ) -> Plan:
        """Plans aliases back to an earlier release: of all services or of some, `without` some functions.

        `to` is a release's version, or `previous`: for each service, the newest earlier one that is not quarantined.
        `adopt_current` starts from where aliases are now, even if somebody else has moved them. `allow_below` goes
        below a release that sets a floor (`--not-below`): an exception that is recorded, and that needs approval
        wherever an approver is configured. Raises `UsageError` for what does not exist, `Refused` if there is nothing
        to go back to, or if others have moved an alias.
        """
        return self.environment.plan(
            self.request(
                to,
                services=services,
                without=without,
                adopt_current=adopt_current,
                allow_below=allow_below,
            )
        )

    def request(
        self,
        to: str = PREVIOUS,
        *,
        services: Sequence[str] = (),
        without: Sequence[str] = (),
        adopt_current: bool = False,
        allow_below: bool = False,
    ) -> AliasesRequest:
        """The request that `plan` plans: `without` takes the catalogue's names too."""
        settings = self.environment.settings
        return AliasesRequest(
            release=to,
            services=tuple(services),
            without=tuple(map(settings.function, without)),
            adopt_current=adopt_current,
            allow_below=allow_below,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class StackUpdate:
    """One update of a stack, from the engine's own history.

    `when` and `ended` are ISO 8601 in UTC. `commit` has 40 digits, or is "" if the update ran outside of a git
    checkout; `dirty`: it was deployed with uncommitted changes. `changes` counts resources, e.g. `{"update": 2}`.
    `kind` is `update`, `refresh`, `destroy` or another of the engine's kinds, `result` `succeeded`, `failed` or
    `in-progress`. `deployed`: this update is deployed now.
    """

    when: str
    ended: str
    kind: str
    result: str
    commit: str
    dirty: bool
    who: str
    subject: str
    changes: Mapping[str, int] = field(default_factory=dict)
    deployed: bool = False


@dataclass(frozen=True)
class Stack(Target):
    """A Pulumi stack: the environment's own, or another one of a program in the checkout."""

    kinds = (Kind.STACK,)

    def plan(
        self,
        to: str = PREVIOUS,
        *,
        stack: str = "",
        project_dir: str = "",
        allow_destroy: Sequence[str] = (),
        without: Sequence[str] = (),
        allow_below: bool = False,
    ) -> Plan:
        """Plans a deployment of the stack as it was at an earlier commit.

        `to` is a commit, or `previous`: the newest earlier one that was deployed completely and is not quarantined.
        `stack` and `project_dir` (the program's folder in the repository) name a stack other than the environment's
        own. `allow_destroy` names resources with data that may be deleted or replaced, `without` resources to leave as
        they are, both by URN or name; `allow_below` as in `Functions`. Raises `UsageError` and `Refused` as
        `Environment.plan` does, and `RollbackError` (`ENGINE_FAILED`) if the engine fails.
        """
        return self.environment.plan(
            StackRequest(
                commit=to,
                stack=stack,
                project=project_dir,
                allow_destroy=tuple(allow_destroy),
                without=tuple(without),
                allow_below=allow_below,
            )
        )

    def history(self, limit: int = 20, *, stack: str = "", project: str = "") -> tuple[StackUpdate, ...]:
        """The newest `limit` updates, newest first; of another `stack` of another `project` (its name) if given.

        Raises `RollbackError` if the engine fails, e.g. under a role that may not read the state.
        """
        from rollback.engines.pulumi import update_history  # noqa: PLC0415 - an extra, and much

        with self.environment.operation() as session:
            found = update_history.history(
                session.root, session.settings, limit, stack=stack, project=project
            )
        return tuple(
            StackUpdate(
                when=update.at,
                ended=update.ended,
                kind=update.kind,
                result=update.result,
                commit=update.commit,
                dirty=update.dirty,
                who=update.who,
                subject=update.subject,
                changes=update.changes,
                deployed=update.stands,
            )
            for update in found
        )


@dataclass(frozen=True)
class Terraform(Target):
    """The Terraform configuration."""

    kinds = (Kind.TERRAFORM,)

    def plan(
        self, to: str = PREVIOUS, *, allow_destroy: Sequence[str] = (), allow_below: bool = False
    ) -> Plan:
        """Plans the configuration as it was at an earlier commit; `to`, `allow_destroy` (addresses) and `allow_below`
        as in `Stack`.
        """
        return self.environment.plan(
            TerraformRequest(commit=to, allow_destroy=tuple(allow_destroy), allow_below=allow_below)
        )


@dataclass(frozen=True)
class Full(Target):
    """Everything of a release: aliases first, then infrastructure."""

    kinds = (Kind.FULL,)

    def plan(
        self, to: str = PREVIOUS, *, allow_destroy: Sequence[str] = (), allow_below: bool = False
    ) -> Plan:
        """Plans aliases, the stack and the Terraform configuration back to release `to`; the rest as in `Stack`."""
        return self.environment.plan(
            FullRequest(release=to, allow_destroy=tuple(allow_destroy), allow_below=allow_below)
        )


@dataclass(frozen=True)
class Table(Target):
    """A DynamoDB table. The cutover to the restored table is a second step, with a second plan."""

    name: str
    kinds = (Kind.TABLE, Kind.CUTOVER)

    def plan(self, to: str) -> Plan:
        """Plans to restore the table beside the live one, as it was at `to`: ISO 8601, `before:ROLLBACK_ID` or
        `release:VERSION`.
        """
        return self.environment.plan(TableRequest(table=self.name, at=to))

    def plan_cutover(self, restore: str, how: str, *, delete_new: bool = False) -> Plan:
        """Plans a cutover to the table that the rollback `restore` has restored: `how` is `copy-back` or `parameter`.

        `delete_new`, with copy-back, deletes items that exist only in the live table.
        """
        return self.environment.plan(
            CutoverRequest(table=self.name, restore=restore, cutover=how, delete_new=delete_new)
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class InterruptedPrune:
    """A prune that has begun and not ended: how many releases it keeps, and its digest, from its record."""

    record: Record
    keep: int

    @property
    def described(self) -> str:
        """A short description, enough to recognise it."""
        record = self.record
        return (
            f"{record.rollback_id} (--keep {self.keep}, {record.initiated_by.person}, "
            f"{shown_time(record.initiated_at)}: {record.reason})"
        )


@dataclass(frozen=True)
class Prune(Target):
    """Published versions that are no longer needed."""

    kinds = (Kind.PRUNE,)

    def plan(self, keep: int) -> Plan:
        """Plans to delete versions older than the newest `keep` releases of their service. They cannot be restored."""
        return self.environment.plan(PruneRequest(keep=keep))

    def roll_back(self, plan: Plan, *, reason: str) -> Result:
        """Deletes exactly what `plan` says; resumes an interrupted prune with the same plan.

        Raises as `Environment.roll_back` does, and `Refused` if a different prune was interrupted.
        """
        self._of_this_kind(plan)
        plan.check()
        return self.delete(plan.details.request.expected(PruneRequest), reason=reason, digest=plan.digest)

    def delete(self, request: PruneRequest, *, reason: str, digest: str = "", yes: bool = False) -> Result:
        """The same for the plan with this `digest` (12 digits or more), or with `yes` (in dev) for any plan."""
        reason = messages.checked_reason(reason)
        with self.environment.operation() as session:
            begun = _interrupted(session)
            if begun is not None:
                _as_begun(begun, request, reason, digest)
                freeze.respected(session)
        if begun is not None:
            identifier = begun.record.rollback_id
            self.environment.reporter.notice(f"{identifier} was interrupted. Resuming it.")
            return self.environment.carried_out(lambda flow: flow.resume(identifier))
        return self.environment.carried_out(
            lambda flow: flow.start(Kind.PRUNE, request, reason, yes=yes, digest=digest)
        )

    def interrupted(self) -> InterruptedPrune | None:
        """The prune that holds the lease on the aliases, of any person; None if there is none."""
        with self.environment.operation() as session:
            begun = _interrupted(session)
            return None if begun is None else _described(begun)


def prune_command(environment: str, request: PruneRequest, reason: str, digest: str) -> str:
    """The command that deletes exactly what was shown."""
    why = shlex.quote(reason) if reason else '"…"'
    return f"rollback prune --env {environment} --keep {request.keep} --reason {why} --digest {digest[:16]}"


def _interrupted(session: Session) -> Opened | None:
    """The prune that holds the lease on the aliases, of any person."""
    holder = session.leases.holder(lease.ALIASES)
    if holder is None:
        return None
    try:
        opened = session.ledger.load(str(holder["owner"]))
    except UsageError:  # a recording of a release, which has no record
        return None
    return opened if opened.record.kind == Kind.PRUNE else None


def _described(begun: Opened) -> InterruptedPrune:
    request = begun.plan(retention.Doomed).request.expected(PruneRequest)
    return InterruptedPrune(record=begun.record, keep=request.keep)


def _as_begun(begun: Opened, request: PruneRequest, reason: str, digest: str) -> None:
    """Raises `Refused` if the interrupted prune differs from the request: it deletes what its own plan showed."""
    record, found = begun.record, _described(begun)
    same = found.keep == request.keep and record.reason == reason
    if same and (not digest or approval.is_digest_of(digest.lower(), record.digest)):
        return
    again = prune_command(record.environment, PruneRequest(keep=found.keep), record.reason, record.digest)
    raise Refused(
        f"Another prune was interrupted: {found.described}. It differs from this request.",
        code=Code.LEASE_HELD,
        next=f"{advice.next_for(record)}\n{again}  # continues the interrupted prune",
    )
