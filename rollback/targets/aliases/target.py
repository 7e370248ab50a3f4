"""Rolls Lambda aliases back to a release: one conditional UpdateAlias per function.

One conditional write is also the read. Every control-plane call counts against 15 a second, so the plan takes
each alias's RevisionId and weights from the last record that wrote them, and execution makes exactly one
UpdateAlias per function, with that RevisionId, the target version and no weights. Only if the RevisionId is
stale does one GetAlias decide: an alias that still has the planned version and weights is updated;
anything else is drift and is not overwritten.

Every write puts a tag into the alias's description, a different one for execution and for undo,
so that it always changes the RevisionId: another process with an older RevisionId can then
change nothing, and a write of ours whose response was lost can be distinguished from drift.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from rollback.aws.account import code, explained, was_refused
from rollback.aws.functions import (
    alias_differs,
    all_at,
    observe_alias,
    provisioned_status,
    weights_of,
)
from rollback.ledger.lease import ALIASES, LeaseLost
from rollback.model.alias_moves import Move, State, drift, left_to_others, states
from rollback.model.deployed import Deployed, apart, known
from rollback.model.events import AliasesMoved, AliasesReverted, Found, failed_subjects
from rollback.model.kind import Kind
from rollback.model.plan import Plan, Refusal
from rollback.model.record import Check, Event
from rollback.model.release import label
from rollback.model.request import AliasesRequest
from rollback.targets.aliases import planner
from rollback.targets.aliases.recorded import moved_to, recorded
from rollback.targets.aliases.waking import Sleepers, Waits, asleep, journalled
from rollback.targets.base import Context, Failure, Journal, Outcome
from rollback.targets.progress import Batch, carry_out, counts
from rollback.util.errors import Code, RollbackError

if TYPE_CHECKING:
    from mypy_boto3_lambda.type_defs import AliasConfigurationResponseTypeDef

# Seconds between two checks of versions that are being activated.
_LOOK_SECONDS = 1.0


class _Drifted(Exception):
    """Somebody else has changed the alias; the message has its state."""


def _alias_state(alias: AliasConfigurationResponseTypeDef) -> tuple[str, str, dict[str, float]]:
    """Version, description and weights of an alias."""
    return alias["FunctionVersion"], alias.get("Description", ""), weights_of(alias)


class _Gone(Exception):
    """The function, its alias or the version does not exist."""


class Aliases:
    """The target `aliases`: updates the alias of the catalogue's functions."""

    kind = Kind.ALIASES
    verb = "lambda"
    doing = "Updating aliases"
    smoked = True
    step = Move

    def __init__(self, context: Context) -> None:
        self._account = context.account
        self._ledger = context.ledger
        self._settings = context.account.settings
        self._clock = context.clocks.monotonic
        self._sleep = context.clocks.sleep
        # The functions whose target version was Inactive when this process planned; None before that.
        self._asleep: frozenset[str] | None = None

    @property
    def minutes(self) -> int:
        return self._settings.rto.code

    def domains(self, request: AliasesRequest) -> tuple[str, ...]:  # noqa: ARG002 - the Protocol's
        return (ALIASES,)

    def plan(self, request: AliasesRequest) -> Plan[Move]:
        plan, self._asleep = planner.make(self._account, self._ledger, request)
        return plan

    def again(self, plan: Plan[Move], rollback_id: str) -> Plan[Move]:  # noqa: ARG002 - the Protocol's
        return self.plan(plan.request.expected(AliasesRequest))

    def refusals(self, plan: Plan[Move]) -> Sequence[Refusal]:
        return plan.refusals

    def keep(self, plan: Plan[Move], rollback_id: str) -> None:
        """Does nothing: the plan has everything."""

    def forget(self, plan: Plan[Move], rollback_id: str, events: Sequence[Event], *, ended: bool) -> None:
        """Does nothing: nothing was stored."""

    def execute(self, plan: Plan[Move], journal: Journal) -> Outcome:
        known = states(plan, journal.events)
        todo = [step for step in plan.steps if not known[step.function].moved]
        outcome = self._move(todo, self._asleep_there(todo), known, journal, back=False)
        if outcome.ok:
            outcome = replace(outcome, failures=self._await_provisioned(plan, journal))
        return replace(outcome, revert=bool(outcome.failures))

    def undo(self, plan: Plan[Move], journal: Journal) -> Outcome:
        """Reverts what was changed, and what a write without a response may have changed.

        After a takeover that is every function: an earlier process may still be about to update it, which fails
        once the RevisionId has changed.
        """
        known = states(plan, journal.events)
        todo = [
            step
            for step in plan.steps
            if not (state := known[step.function]).reverted
            and (state.moved or state.doubtful or journal.taken_over)
        ]
        # Versions that this process replaced are still Active.
        sleepers = self._asleep_back(todo, known) if journal.taken_over else []
        return self._move(todo, sleepers, known, journal, back=True)

    def verify(self, plan: Plan[Move]) -> Sequence[Check]:
        """Reads alias, version, code and weights of every function; returns one check that names differences."""

        def judged(step: Move) -> tuple[str, str]:
            why = alias_differs(
                self._account,
                step.function,
                step.to_version,
                step.code_sha256,
                {},
                gone="gone",
                otherwise="not",
            )
            return step.function, why

        with explained("verifying the aliases"):
            found = self._account.each(judged, plan.steps)
        return [all_at(found, "match the plan")]

    def publish(self, plan: Plan[Move], deployed: Mapping[str, Deployed], events: Sequence[Event]) -> None:
        timeline, services = self._ledger.timeline(readable=True), self._settings.catalogue()
        before = recorded(self._ledger, timeline, services, services, damaged=True).releases
        releases = {**before, **moved_to(plan, events)}
        merged = known({**timeline.all_deployed, **deployed})
        self._account.publish(
            self._settings.names.deployed_version, label(merged, apart(releases, services, merged))
        )

    def counts(self, plan: Plan[Move], events: Sequence[Event]) -> Mapping[str, int]:
        return counts(self.outcomes(plan, events))

    def outcomes(self, plan: Plan[Move], events: Sequence[Event]) -> Sequence[Mapping[str, Any]]:
        """One mapping per function: `{"name", "service", "from", "to", "outcome"}`, all text; `outcome` is moved,
        confirmed, reverted, failed or untouched, which is also what an undo wrote without changing it.
        """
        known = states(plan, events)
        failed, left = failed_subjects(events), left_to_others(events)

        def outcome(step: Move) -> str:
            state = known[step.function]
            if state.moved and step.function in left:
                return "failed"  # somebody else has changed it since
            if state.moved:
                return "moved" if step.to_version != step.from_version else "confirmed"
            if state.reverted:
                there = (state.version, dict(state.weights)) == (step.to_version, {})
                return "reverted" if state.changed and not there else "untouched"
            return "failed" if step.function in failed else "untouched"

        return [
            {
                "name": step.function,
                "service": step.service,
                "from": step.from_version,
                "to": step.to_version,
                "outcome": outcome(step),
            }
            for step in plan.steps
        ]

    # -- writing -------------------------------------------------------------------------------------

    def _move(
        self,
        todo: Sequence[Move],
        waits: Sequence[Waits],
        known: Mapping[str, State],
        journal: Journal,
        *,
        back: bool,
    ) -> Outcome:
        """Updates each alias of `todo` as soon as its versions are Active; `waits` are those to activate first, which is
        journalled before it is done.
        """
        for waking in journalled(waits):
            journal.append(waking)
        deadline = self._clock() + self._settings.rto.code * 60
        sleepers = Sleepers(account=self._account, asleep=waits, deadline=deadline)
        waiting = {step.function for step, _ in waits}
        awake = [step for step in todo if step.function not in waiting]
        done, failures = len(known) - len(todo), tuple[Failure, ...]()
        while True:
            woken, failed = sleepers.look(self._clock())
            awake, failures = [*awake, *woken], (*failures, *failed)
            if awake and (back or not failures):
                outcome = self._write_all(awake, known, journal, done=done, back=back)
                failures = (*failures, *outcome.failures)
                if outcome.interrupted:
                    return replace(outcome, failures=failures)
                done, awake = done + len(awake), []
            if not sleepers.asleep or (failures and not back):
                return Outcome(failures=failures)
            if journal.stopping():
                return Outcome(failures=failures, interrupted=True)
            journal.check()
            self._sleep(_LOOK_SECONDS)

    def _asleep_there(self, todo: Sequence[Move]) -> list[Waits]:
        """The steps whose target version must be activated, with that version."""
        moving, known = [step for step in todo if step.from_version != step.to_version], self._asleep
        if known is not None:
            return [(step, step.to_version) for step in moving if step.function in known]
        with explained("reading the target versions"):
            return asleep(self._account, [(step, step.to_version) for step in moving])

    def _asleep_back(self, todo: Sequence[Move], known: Mapping[str, State]) -> list[Waits]:
        """The steps of an undo with versions to activate, with each such version, weighted ones included. A version
        that cannot be read does not block the others.
        """
        versions = [
            (step, version)
            for step in todo
            for version in (known[step.function].version, *known[step.function].weights)
        ]
        return asleep(self._account, versions, lenient=True)

    def _write_all(
        self, todo: Sequence[Move], known: Mapping[str, State], journal: Journal, *, done: int, back: bool
    ) -> Outcome:
        """One write for each of `todo`, several at a time, journalled in batches. `done` were done before.

        Execution stops at the first failure; an undo continues, to revert as much as possible.
        """
        wrote = AliasesReverted if back else AliasesMoved
        written = Batch[tuple[str, str]](
            write=lambda batch: journal.append(wrote(functions=dict(batch))), clock=self._clock
        )

        def one(step: Move) -> tuple[str, str] | Failure:
            try:
                return step.function, self._write(step, known[step.function], journal, back=back)
            except LeaseLost:
                raise  # not a failure of one step
            except _Drifted as outside:
                return Failure(subject=step.function, reason=str(outside), foreign=True)
            except RollbackError as error:
                refused = was_refused(error)
                return Failure(subject=step.function, reason=error.what, refused=refused, part=step.service)

        def through(move: tuple[str, str]) -> None:
            nonlocal done
            done += 1
            journal.progress(done)
            written.add(move)

        with self._account.workers() as pool:
            outcome = carry_out(pool, todo, one, through, stopping=journal.stopping, go_on=back)
        written.flush()
        return outcome

    def _write(self, step: Move, state: State, journal: Journal, *, back: bool) -> str:
        """Sets one alias to the plan's target, or back, and returns its new RevisionId.

        Raises `_Drifted` where somebody else has changed it; that change is not overwritten.
        """
        version = state.version if back else step.to_version
        weights = state.weights if back else {}
        tag = f"{journal.tag}/back" if back else journal.tag
        journal.check()
        try:
            revision = self._update(step, version, weights, state.revision, tag) if state.revision else None
            if revision is None:
                revision = self._write_upon(self._alias(step), step, state, journal, back=back)
        except _Gone:
            if back and observe_alias(self._account, step.function, self._settings.alias):
                raise RollbackError(
                    f"Version {version}, the target, no longer exists.", code=Code.VERSION_DELETED
                ) from None
            raise _Drifted(f"the function, its alias or version {version} no longer exists") from None
        return revision

    def _write_upon(
        self,
        alias: AliasConfigurationResponseTypeDef,
        step: Move,
        state: State,
        journal: Journal,
        *,
        back: bool,
    ) -> str:
        """`_write` after a stale RevisionId: GetAlias decides."""
        version = state.version if back else step.to_version
        weights = state.weights if back else {}
        tag = f"{journal.tag}/back" if back else journal.tag
        current, description, found = _alias_state(alias)
        if (current, description, found) == (version, tag, weights):
            return alias["RevisionId"]  # ours: only the response was lost
        ours = description.startswith(journal.tag.rpartition("/")[0] + "/")
        if why := drift(step, state, current, found, ours=ours, back=back):
            raise _Drifted(why)
        # Journalled before it is overwritten.
        journal.append(
            Found(
                function=step.function,
                version=current,
                weights=found,
                revision=alias["RevisionId"],
                # An alias that somebody else already set to the target is not changed by an undo.
                start=not ours and not state.moved and not (back and state.doubtful),
                tag=description,
            )
        )
        revision = self._update(step, version, weights, alias["RevisionId"], tag)
        if revision is None:
            alias = self._alias(step)
            if _alias_state(alias) != (version, tag, weights):
                raise _Drifted("something else is changing it right now")
            revision = alias["RevisionId"]  # ours: two attempts, and only the second response arrived
        return revision

    def _alias(self, step: Move) -> AliasConfigurationResponseTypeDef:
        with explained(f"reading alias {self._settings.alias} of {step.function}"):
            try:
                return self._account.lambda_.get_alias(FunctionName=step.function, Name=self._settings.alias)
            except ClientError as error:
                if code(error) == "ResourceNotFoundException":
                    raise _Gone from None
                raise

    def _update(
        self, step: Move, version: str, weights: Mapping[str, float], revision: str, tag: str
    ) -> str | None:
        """One conditional UpdateAlias: the new RevisionId, or None if `revision` is stale.

        Raises `_Gone` where the function, its alias or the version does not exist.
        """
        with explained(f"updating the alias of {step.function}"):
            try:
                answer = self._account.lambda_.update_alias(
                    FunctionName=step.function,
                    Name=self._settings.alias,
                    FunctionVersion=version,
                    RoutingConfig={"AdditionalVersionWeights": dict(weights)},
                    Description=tag,
                    RevisionId=revision,
                )
            except ClientError as error:
                if code(error) == "PreconditionFailedException":
                    return None
                if code(error) == "ResourceNotFoundException":
                    raise _Gone from None
                raise
        if answer["RevisionId"] == revision:
            raise RollbackError(
                f"The alias of {step.function} was updated, but its RevisionId did not change.",
                code=Code.AWS_ERROR,
            )
        return str(answer["RevisionId"])

    def _await_provisioned(self, plan: Plan[Move], journal: Journal) -> tuple[Failure, ...]:
        """Waits until Lambda has moved the provisioned concurrency to the alias's new version."""
        deadline = self._clock() + self._settings.rto.code * 60
        waiting = [step for step in plan.steps if step.provisioned and step.changes]
        failures: list[Failure] = []
        while waiting and not failures and not journal.stopping():
            journal.check()
            still = []
            for step in waiting:
                with explained(f"reading the provisioned concurrency of {step.function}"):
                    status = provisioned_status(self._account, step.function, self._settings.alias)
                if status == "FAILED" or (status == "IN_PROGRESS" and self._clock() > deadline):
                    reason = f"its provisioned concurrency did not become ready ({status})"
                    failures.append(Failure(subject=step.function, reason=reason))
                elif status == "IN_PROGRESS":
                    still.append(step)
            waiting = still
            if waiting:
                self._sleep(2.0)
        return tuple(failures)
