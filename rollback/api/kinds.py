"""What can be rolled back, a class a kind: each plans, and carries out the plan that was seen."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar

from rollback.actions import approval, freeze
from rollback.actions.context import Session
from rollback.api.progress import Progress
from rollback.api.results import Plan, Result
from rollback.core.errors import Code, Refused, UsageError
from rollback.ledger import lease
from rollback.ledger.stored_record import Opened
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

if TYPE_CHECKING:
    from rollback.api.environment import Environment


@dataclass(frozen=True)
class Target:
    """What all kinds have in common."""

    environment: Environment
    kinds: ClassVar[tuple[Kind, ...]]

    def roll_back(self, plan: Plan, *, reason: str) -> Result:
        """Carries out exactly `plan`, which is confirmed by being handed over; `reason` is one line for the record.

        Where the environment asks for another identity nothing is changed yet: `status` is `AWAITING_APPROVAL`, and
        `approve` and `apply` go on. Raises as `Environment.roll_back` does.
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
                f"That is a plan of {plan.kind}, and not of {self.kinds[0]}.", code=Code.OPTION_INVALID
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
        """Aliases back to an earlier release: of all services, or of some, `without` some functions.

        `to` is a release's version, or `previous`: per service, the newest earlier one that is not quarantined.
        `adopt_current` starts from where aliases are now, also where somebody else has moved them. `allow_below` goes below
        a release that must not be rolled back past: an exception that is recorded, and approved wherever anybody is
        configured who approves. Raises `UsageError`
        for what does not exist, `Refused` where there is nothing to go back to, or an alias was moved by others.
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
        """The request that `plan` plans: functions to leave out may be called as the catalogue calls them."""
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
    """One update of a stack, by the engine's own history.

    `when` and `ended` are ISO 8601 in UTC. `commit` has 40 digits, or is empty where the update ran outside of a git
    checkout; `dirty`: not all of what was deployed is in it. `changes` counts resources, e.g. `{"update": 2}`. `kind`
    is `update`, `refresh`, `destroy` or another word of the engine's, `result` `succeeded`, `failed` or `in-progress`.
    `deployed`: it is the one that is deployed now.
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
    """A Pulumi stack: the environment's own, or another one of any program in the checkout."""

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
        """The stack deployed as an earlier commit had it.

        `to` is a commit, or `previous`: the newest earlier one that was deployed whole and is not quarantined. `stack`
        and `project_dir` (the program's folder in the repository) name another stack than the environment's own.
        `allow_destroy` names resources that may be deleted or replaced although they hold data, `without` those to
        leave as they are, both by URN or name; `allow_below` as of `Functions`. Raises `UsageError` and `Refused` as `Environment.plan` does, and
        `RollbackError` (`ENGINE_FAILED`) where the engine fails.
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
        """The newest `limit` updates, the newest first; of another `stack` of another `project` (its name) if given.

        Raises `RollbackError` where the engine cannot be asked, e.g. under a role that may not read the state.
        """
        from rollback.integrations.pulumi import update_history  # noqa: PLC0415 - an extra, and much

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
        """The configuration applied as an earlier commit had it; `to`, `allow_destroy` (addresses) and `allow_below` as of
        `Stack`.
        """
        return self.environment.plan(
            TerraformRequest(commit=to, allow_destroy=tuple(allow_destroy), allow_below=allow_below)
        )


@dataclass(frozen=True)
class Full(Target):
    """All that a release was made with: aliases first, then infrastructure."""

    kinds = (Kind.FULL,)

    def plan(
        self, to: str = PREVIOUS, *, allow_destroy: Sequence[str] = (), allow_below: bool = False
    ) -> Plan:
        """Aliases, the stack and the Terraform configuration back to release `to`; the rest as of `Stack`."""
        return self.environment.plan(
            FullRequest(release=to, allow_destroy=tuple(allow_destroy), allow_below=allow_below)
        )


@dataclass(frozen=True)
class Table(Target):
    """A DynamoDB table. A cutover to what was restored is a second step, with a plan of its own."""

    name: str
    kinds = (Kind.TABLE, Kind.CUTOVER)

    def plan(self, to: str) -> Plan:
        """The table restored beside the live one, as it was at `to`: ISO 8601, `before:ROLLBACK_ID` or
        `release:VERSION`.
        """
        return self.environment.plan(TableRequest(table=self.name, at=to))

    def plan_cutover(self, restore: str, how: str, *, delete_new: bool = False) -> Plan:
        """A cutover to what the rollback `restore` has restored: `how` is `copy-back` or `parameter`.

        `delete_new`, with copy-back, deletes items that only the live table has.
        """
        return self.environment.plan(
            CutoverRequest(table=self.name, restore=restore, cutover=how, delete_new=delete_new)
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class InterruptedPrune:
    """A prune that was begun and has not ended: how many releases it keeps, and its digest by its record."""

    record: Record
    keep: int

    @property
    def described(self) -> str:
        """In words, so that who reads it knows it again."""
        record = self.record
        return (
            f"{record.rollback_id} (--keep {self.keep}, {record.initiated_by.person}, "
            f"{record.initiated_at[:16]}: {record.reason})"
        )


@dataclass(frozen=True)
class Prune(Target):
    """Published versions that nobody needs any more."""

    kinds = (Kind.PRUNE,)

    def plan(self, keep: int) -> Plan:
        """Versions deleted that are older than the newest `keep` releases of their service. They do not come back."""
        return self.environment.plan(PruneRequest(keep=keep))

    def roll_back(self, plan: Plan, *, reason: str) -> Result:
        """Deletes exactly what `plan` says; one that was interrupted and is the same is resumed.

        Raises as `Environment.roll_back` does, and `Refused` where another prune was interrupted.
        """
        self._of_this_kind(plan)
        plan.check()
        return self.delete(plan.details.request.expected(PruneRequest), reason=reason, digest=plan.digest)

    def delete(self, request: PruneRequest, *, reason: str, digest: str = "", yes: bool = False) -> Result:
        """The same for a plan that is known by its `digest` (12 digits or more), or unseen with `yes` (in dev)."""
        reason = messages.checked_reason(reason)
        with self.environment.operation() as session:
            begun = _interrupted(session)
            if begun is not None:
                _as_begun(begun, request, reason, digest)
                freeze.respected(session)
        if begun is not None:
            identifier = begun.record.rollback_id
            self.environment.reporter.notice(f"{identifier} was interrupted, and is resumed.")
            return self.environment.carried_out(lambda flow: flow.resume(identifier))
        return self.environment.carried_out(
            lambda flow: flow.start(Kind.PRUNE, request, reason, yes=yes, digest=digest)
        )

    def interrupted(self) -> InterruptedPrune | None:
        """The prune that holds the lease on the aliases, no matter who began it; None where there is none."""
        with self.environment.operation() as session:
            begun = _interrupted(session)
            return None if begun is None else _described(begun)


def prune_command(environment: str, request: PruneRequest, reason: str, digest: str) -> str:
    """What to type so that exactly what was shown is deleted."""
    why = shlex.quote(reason) if reason else '"…"'
    return f"rollback prune --env {environment} --keep {request.keep} --reason {why} --digest {digest[:16]}"


def _interrupted(session: Session) -> Opened | None:
    """The prune that holds the lease on the aliases, no matter who began it."""
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
    """Raises `Refused` where an interrupted prune is not what is asked for: it deletes what was shown for it."""
    record, found = begun.record, _described(begun)
    same = found.keep == request.keep and record.reason == reason
    if same and (not digest or approval.is_digest_of(digest.lower(), record.digest)):
        return
    again = prune_command(record.environment, PruneRequest(keep=found.keep), record.reason, record.digest)
    raise Refused(
        f"{found.described} was interrupted, and is not what is asked for.",
        code=Code.LEASE_HELD,
        next=f"{advice.next_for(record)}\n{again}  # as it was begun",
    )
