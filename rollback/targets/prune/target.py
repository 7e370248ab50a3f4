"""Finds published versions that are not needed, deletes them one by one, and records each.

Deleted versions cannot be restored. So the plan only limits what may be
deleted: each version is checked again right before its deletion, against the ledger at the start
of the deletion and against its users in Lambda at that time. Lambda refuses to delete a version that an alias
refers to (https://docs.aws.amazon.com/lambda/latest/api/API_DeleteFunction.html). The lease on the aliases is
held the whole time: no rollback and no recording of a release runs in parallel.

It is longer than 400 lines: each version is decided on, checked again, deleted and journalled.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from rollback.aws.account import Account, code, explained
from rollback.aws.functions import weights_of
from rollback.config.naming import arn
from rollback.ledger.lease import ALIASES, LeaseLost
from rollback.model.deployed import Deployed
from rollback.model.events import Deleted, Spared, failed_subjects
from rollback.model.kind import Kind
from rollback.model.plan import Plan, Refusal
from rollback.model.record import Check, Event
from rollback.model.request import PruneRequest
from rollback.model.retention import (
    CONFIGURED,
    INVOCABLE,
    LEAST,
    MAPPED,
    PROVISIONED,
    Doomed,
    Published,
    PublishedVersions,
    decide,
    deleted,
    spared,
)
from rollback.targets.base import Context, Failure, Journal, Outcome
from rollback.targets.progress import Batch, carry_out
from rollback.targets.prune.references import Needs, needs
from rollback.util.errors import Code, RollbackError, UsageError

# Control-plane calls per version: aliases, users of its ARN (four), and the deletion.
_CALLS = 6
# The possible results for a version.
_End = type[Deleted | Spared]
_MISSING = {"ProvisionedConcurrencyConfigNotFoundException", "ResourceNotFoundException"}


@dataclass(frozen=True, slots=True)
class _Turn:
    """One version to delete."""

    step: Doomed
    version: Published

    @property
    def subject(self) -> str:
        return f"{self.step.function}:{self.version.number}"


class Prune:
    """The target `prune`: deletes published versions of the catalogue's functions."""

    kind = Kind.PRUNE
    verb = "prune"
    doing = "Deleting versions"
    smoked = False
    step = Doomed

    def __init__(self, context: Context) -> None:
        self._account = context.account
        self._ledger = context.ledger
        self._settings = context.account.settings
        self._clock = context.clocks.monotonic

    @property
    def minutes(self) -> int:
        """0: a prune has no RTO."""
        return 0

    def domains(self, request: PruneRequest) -> tuple[str, ...]:  # noqa: ARG002 - the Protocol's
        return (ALIASES,)

    def plan(self, request: PruneRequest) -> Plan[Doomed]:
        keep = _checked(request.keep)
        settings, found = self._settings, self._needs(keep)
        catalogue = settings.catalogue()
        read = self._account.each(lambda name: self._decided(name, catalogue[name], found), catalogue)
        steps = tuple(step for step in read if step is not None)
        total = sum(len(step.delete) + len(step.kept) for step in steps)
        doomed = sum(len(step.delete) for step in steps)
        missing = [name for name, step in zip(catalogue, read, strict=True) if step is None]
        return Plan(
            kind=Kind.PRUNE,
            environment=settings.environment,
            account=settings.account,
            region=settings.region,
            request=request,
            from_version=f"{total} versions",
            to_version=f"{total - doomed} versions",
            leaves={},
            targets={},
            quarantines={},
            steps=steps,
            facts={"keep": str(keep)},
            infrastructure={"delete": doomed},
            notices=(*found.notices, *_notices(doomed, settings.pace.writes, missing)),
        )

    def again(self, plan: Plan[Doomed], rollback_id: str) -> Plan[Doomed]:  # noqa: ARG002 - the Protocol's
        return self.plan(plan.request.expected(PruneRequest))

    def refusals(self, plan: Plan[Doomed]) -> Sequence[Refusal]:
        return plan.refusals

    def keep(self, plan: Plan[Doomed], rollback_id: str) -> None:
        """Does nothing: the plan has everything."""

    def forget(self, plan: Plan[Doomed], rollback_id: str, events: Sequence[Event], *, ended: bool) -> None:
        """Does nothing: nothing was stored."""

    def execute(self, plan: Plan[Doomed], journal: Journal) -> Outcome:
        found = self._needs(_checked(plan.request.expected(PruneRequest).keep))
        turns = self._left(plan, journal.events)
        ended, done = self._batch(journal), _planned(plan) - len(turns)

        def one(turn: _Turn) -> tuple[_Turn, _End] | Failure:
            try:
                return turn, self._delete(turn, found, journal)
            except LeaseLost:
                raise
            except RollbackError as error:
                return Failure(subject=turn.subject, reason=error.what)

        def through(turn: tuple[_Turn, _End]) -> None:
            nonlocal done
            done += 1
            journal.progress(done)
            ended.add(turn)

        with self._account.workers() as pool:
            outcome = carry_out(pool, turns, one, through, stopping=journal.stopping)
        ended.flush()
        return outcome

    def undo(self, plan: Plan[Doomed], journal: Journal) -> Outcome:
        """Deletes nothing more, and detects what an earlier process deleted without journalling
        it.
        """
        left = self._left(plan, journal.events)
        ended, done = self._batch(journal), _planned(plan) - len(left)
        functions = list(dict.fromkeys(turn.step.function for turn in left))
        there = dict(zip(functions, self._account.each(self._published, functions), strict=True))
        for turn in left:
            if turn.version.number not in {one.number for one in there[turn.step.function] or ()}:
                done += 1
                journal.progress(done)
                ended.add((turn, Deleted))
        ended.flush()
        count = sum(map(len, deleted(journal.events).values()))
        return Outcome(not_undone=f"{count} deleted versions cannot be restored." if count else "")

    def verify(self, plan: Plan[Doomed]) -> Sequence[Check]:
        """Checks that all planned versions are deleted, except those now in use."""
        found = self._needs(_checked(plan.request.expected(PruneRequest).keep))

        def left(step: Doomed) -> tuple[int, list[str]]:
            """How many still exist, and those of them that are not needed."""
            there = {one.number for one in self._published(step.function) or ()}
            held = [one for one in step.delete if one.number in there]
            if not held:
                return 0, []
            idle = self._decision(step.function, step.service, held, found).delete
            return len(held), [
                f"{step.function}:{one.number}" for one in idle if not self._user(step.function, one.number)
            ]

        read = self._account.each(left, plan.changing)
        total, held = _planned(plan), sum(count for count, _ in read)
        idle = [name for _, names in read for name in names]
        detail = f"{total - held} of {total} versions are deleted"
        detail += f", {held - len(idle)} are in use now" if held > len(idle) else ""
        return [Check(check="versions", ok=not idle, detail="; ".join([detail, *idle[:10]]))]

    def publish(self, plan: Plan[Doomed], deployed: Mapping[str, Deployed], events: Sequence[Event]) -> None:
        """Does nothing: what is deployed has not changed."""

    def counts(self, plan: Plan[Doomed], events: Sequence[Event]) -> Mapping[str, int]:
        gone, kept = deleted(events), spared(events)
        ended = {
            "moved": sum(map(len, gone.values())),
            "confirmed": sum(map(len, kept.values())),
            "failed": len(failed_subjects(events) - {f"{name}:{n}" for name in gone for n in gone[name]}),
            "reverted": 0,
        }
        planned = _planned(plan)
        return {"planned": planned, **ended, "untouched": max(0, planned - sum(ended.values()))}

    def outcomes(self, plan: Plan[Doomed], events: Sequence[Event]) -> Sequence[Mapping[str, Any]]:
        """One mapping per function: `{"name", "service", "planned": [version], "deleted": [version], "kept":
        {version: why}}`.
        """
        gone = deleted(events)
        return [
            {
                "name": step.function,
                "service": step.service,
                "planned": [version.number for version in step.delete],
                "deleted": sorted(gone.get(step.function, ())),
                "kept": dict(step.kept),
            }
            for step in plan.steps
        ]

    # -- helpers -------------------------------------------------------------------------------------

    def _batch(self, journal: Journal) -> Batch[tuple[_Turn, _End]]:
        """A batch of versions with their results, written as one event per kind of result."""

        def write(batch: Sequence[tuple[_Turn, _End]]) -> None:
            found: dict[_End, dict[str, list[int]]] = {}
            for turn, end in batch:
                found.setdefault(end, {}).setdefault(turn.step.function, []).append(turn.version.number)
            for end, versions in found.items():
                numbers = {function: tuple(of) for function, of in versions.items()}
                journal.append(end(count=sum(map(len, numbers.values())), versions=numbers))

        return Batch(write=write, clock=self._clock)

    def _needs(self, keep: int) -> Needs:
        return needs(self._account, self._ledger, keep)

    def _left(self, plan: Plan[Doomed], events: Sequence[Event]) -> list[_Turn]:
        """The versions that are not in the journal yet."""
        gone, kept = deleted(events), spared(events)
        return [
            _Turn(step, version)
            for step in plan.steps
            for version in step.delete
            if version.number not in gone.get(step.function, ())
            and version.number not in kept.get(step.function, ())
        ]

    def _decided(self, function: str, service: str, found: Needs) -> Doomed | None:
        """The current step of one function; None where it does not exist."""
        published = self._published(function)
        if published is None:
            return None
        step = self._decision(function, service, published, found)
        used = {one.number: self._user(function, one.number) for one in step.delete}
        known = {number: user for number, user in used.items() if user}
        return self._decision(function, service, published, found, known) if known else step

    def _decision(
        self,
        function: str,
        service: str,
        published: Sequence[Published],
        found: Needs,
        used: Mapping[int, str] | None = None,
    ) -> Doomed:
        known = PublishedVersions(
            published=published,
            aliases=_aliases(self._account, function),
            needed=found.of(function),
            newest=found.newest.get(function),
            used={**_configured(self._account, function), **(used or {})},
        )
        return decide(function, service, known)

    def _delete(self, turn: _Turn, found: Needs, journal: Journal) -> _End:
        """Deletes one version, unless it is needed now; returns the result."""
        function, number = turn.step.function, turn.version.number
        journal.check()
        now = self._decision(function, turn.step.service, [turn.version], found)
        if not now.delete or self._user(function, number):
            return Spared
        journal.check()
        with explained(f"deleting version {number} of {function}"):
            try:
                # Never without a Qualifier: that deletes the function.
                self._account.lambda_.delete_function(FunctionName=function, Qualifier=str(int(number)))
            except ClientError as error:
                if code(error) == "ResourceConflictException":  # an alias refers to it since the check
                    return Spared
                # Deleted by an earlier attempt whose response was lost, or by somebody else.
                if code(error) != "ResourceNotFoundException":
                    raise
        return Deleted

    def _published(self, function: str) -> list[Published] | None:
        """A function's published versions; None where it does not exist."""
        with explained(f"listing the versions of {function}"):
            try:
                pages = list(
                    self._account.lambda_.get_paginator("list_versions_by_function").paginate(
                        FunctionName=function
                    )
                )
            except ClientError as error:
                if code(error) == "ResourceNotFoundException":
                    return None
                raise
        return [
            Published(number=int(item["Version"]), size=int(item.get("CodeSize", 0)))
            for page in pages
            for item in page["Versions"]
            if item["Version"].isdigit()
        ]

    def _user(self, function: str, number: int) -> str:
        """The first user of a version's ARN that is found, in words; empty if there is none."""
        lambda_, qualified = self._account.lambda_, {"FunctionName": function, "Qualifier": str(number)}
        with explained(f"reading what uses version {number} of {function}"):
            if _is_there(lambda: lambda_.get_provisioned_concurrency_config(**qualified)):
                return PROVISIONED
            if _is_there(lambda: lambda_.get_policy(**qualified)):
                return INVOCABLE
            version = arn(
                "lambda", self._settings.region, self._settings.account, f"function:{function}:{number}"
            )
            pages = lambda_.get_paginator("list_event_source_mappings").paginate(FunctionName=version)
            if any(
                item.get("FunctionArn") == version for page in pages for item in page["EventSourceMappings"]
            ):
                return MAPPED
        return ""


def _is_there(read: Callable[[], Any]) -> bool:
    """Whether Lambda finds the resource."""
    try:
        read()
    except ClientError as error:
        if code(error) in _MISSING:
            return False
        raise
    return True


def _configured(account: Account, function: str) -> dict[int, str]:
    """The versions of a function that have their own configuration for asynchronous invocation, with that as reason."""
    with explained(f"listing the event invoke configurations of {function}"):
        try:
            pages = list(
                account.lambda_.get_paginator("list_function_event_invoke_configs").paginate(
                    FunctionName=function
                )
            )
        except ClientError as error:
            if code(error) == "ResourceNotFoundException":
                return {}
            raise
    qualifiers = [
        item["FunctionArn"].rpartition(":")[2]
        for page in pages
        for item in page["FunctionEventInvokeConfigs"]
    ]
    return {int(one): CONFIGURED for one in qualifiers if one.isdigit()}


def _aliases(account: Account, function: str) -> dict[str, set[int]]:
    """Every alias of a function with the versions that it sends traffic to."""
    with explained(f"listing the aliases of {function}"):
        try:
            pages = list(account.lambda_.get_paginator("list_aliases").paginate(FunctionName=function))
        except ClientError as error:
            if code(error) == "ResourceNotFoundException":
                return {}
            raise
    return {
        item["Name"]: {
            int(version) for version in (item["FunctionVersion"], *weights_of(item)) if version.isdigit()
        }
        for page in pages
        for item in page["Aliases"]
    }


def _checked(keep: int) -> int:
    """The number of releases to keep. Raises `UsageError` if it is too small."""
    if keep < LEAST:
        raise UsageError(
            f"--keep {keep} is too small: one previous release must be kept.",
            code=Code.OPTION_INVALID,
            next=f"--keep {LEAST}",
        )
    return keep


def _planned(plan: Plan[Doomed]) -> int:
    return sum(len(step.delete) for step in plan.steps)


def _notices(doomed: int, pace: float, missing: Sequence[str]) -> list[str]:
    notices = []
    if doomed:
        seconds = doomed * _CALLS / pace
        notices.append(
            f"Deleted versions cannot be restored. This takes about {max(1, round(seconds))} s: six calls per "
            "version, from a quota that others share."
        )
    if missing:
        notices.append(f"These functions do not exist: {', '.join(missing[:10])}.")
    return notices
