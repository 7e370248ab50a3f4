"""Finds published versions that nobody needs, deletes them one by one, and records each.

Nothing is rolled back here, and what is deleted cannot be restored. So the plan only bounds what may be
deleted: each version is decided on again right before its turn, by the ledger as it is when the deleting
begins and by what Lambda says of its users then. Lambda itself refuses to delete a version that an alias
refers to (https://docs.aws.amazon.com/lambda/latest/api/API_DeleteFunction.html). The lease on the aliases is
held all the while: no rollback and no recording of a release runs beside it.

It is longer than 400 lines: what is deleted is decided, checked again and journalled version by version.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from rollback.aws.account import Account, code, explained
from rollback.aws.functions import weights_of
from rollback.config.naming import arn
from rollback.core.errors import Code, RollbackError, UsageError
from rollback.ledger.lease import ALIASES, LeaseLost
from rollback.model.deployed import Deployed
from rollback.model.events import Deleted, Spared, failed_subjects
from rollback.model.kind import Kind
from rollback.model.plan import Plan, Refusal
from rollback.model.record import Check, Event
from rollback.model.request import PruneRequest
from rollback.model.retention import (
    LEAST,
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

# Control-plane calls for each version when its turn comes: aliases, who uses it by its ARN (four), and its end.
_CALLS = 6
# What can become of a version.
_End = type[Deleted | Spared]
_MISSING = {"ProvisionedConcurrencyConfigNotFoundException", "ResourceNotFoundException"}


@dataclass(frozen=True, slots=True)
class _Turn:
    """One version's turn."""

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
        """None: nobody waits for it."""
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
        """Nothing: the plan says it all."""

    def forget(self, plan: Plan[Doomed], rollback_id: str, events: Sequence[Event], *, ended: bool) -> None:
        """Nothing: nothing was kept."""

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
        """Deletes nothing more, and finds out what an earlier process has deleted without having journalled
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
        return Outcome(not_undone=f"{count} deleted versions do not come back." if count else "")

    def verify(self, plan: Plan[Doomed]) -> Sequence[Check]:
        """Whether all of it is gone, but what somebody has come to need."""
        found = self._needs(_checked(plan.request.expected(PruneRequest).keep))

        def left(step: Doomed) -> tuple[int, list[str]]:
            """How many are still there, and those of them that nobody needs."""
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
        detail = f"{total - held} of {total} versions are gone"
        detail += f", {held - len(idle)} have come into use" if held > len(idle) else ""
        return [Check(check="versions", ok=not idle, detail="; ".join([detail, *idle[:10]]))]

    def publish(self, plan: Plan[Doomed], deployed: Mapping[str, Deployed], events: Sequence[Event]) -> None:
        """Nothing: what is deployed has not changed."""

    def counts(self, plan: Plan[Doomed], events: Sequence[Event]) -> Mapping[str, int]:
        gone, kept = deleted(events), spared(events)
        return {
            "planned": _planned(plan),
            "moved": sum(map(len, gone.values())),
            "confirmed": sum(map(len, kept.values())),
            "failed": len(failed_subjects(events) - {f"{name}:{n}" for name in gone for n in gone[name]}),
            "reverted": 0,
        }

    def outcomes(self, plan: Plan[Doomed], events: Sequence[Event]) -> Sequence[Mapping[str, Any]]:
        """One mapping a function: `{"name", "service", "planned": [version], "deleted": [version], "kept":
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
        """For versions with what became of them: one event a kind."""

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
        """The versions that the journal says nothing of yet."""
        gone, kept = deleted(events), spared(events)
        return [
            _Turn(step, version)
            for step in plan.steps
            for version in step.delete
            if version.number not in gone.get(step.function, ())
            and version.number not in kept.get(step.function, ())
        ]

    def _decided(self, function: str, service: str, found: Needs) -> Doomed | None:
        """One function as it is now; None where it does not exist."""
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
        """Deletes one version, unless somebody needs it by now; what has become of it."""
        function, number = turn.step.function, turn.version.number
        journal.check()
        now = self._decision(function, turn.step.service, [turn.version], found)
        if not now.delete or self._user(function, number):
            return Spared
        journal.check()
        with explained(f"deleting version {number} of {function}"):
            try:
                # Never without a version: that deletes the function.
                self._account.lambda_.delete_function(FunctionName=function, Qualifier=str(int(number)))
            except ClientError as error:
                if code(error) == "ResourceConflictException":  # an alias refers to it since we looked
                    return Spared
                # An earlier try of ours whose answer was lost, or somebody else's.
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
        """The first thing found that uses a version by its own ARN, in words; empty where there is none."""
        lambda_, qualified = self._account.lambda_, {"FunctionName": function, "Qualifier": str(number)}
        with explained(f"reading who uses version {number} of {function}"):
            if _is_there(lambda: lambda_.get_provisioned_concurrency_config(**qualified)):
                return "provisioned concurrency"
            if _is_there(lambda: lambda_.get_policy(**qualified)):
                return "somebody is permitted to invoke it"
            version = arn(
                "lambda", self._settings.region, self._settings.account, f"function:{function}:{number}"
            )
            pages = lambda_.get_paginator("list_event_source_mappings").paginate(FunctionName=version)
            if any(
                item.get("FunctionArn") == version for page in pages for item in page["EventSourceMappings"]
            ):
                return "an event source mapping"
        return ""


def _is_there(read: Callable[[], Any]) -> bool:
    """Whether Lambda has what is read."""
    try:
        read()
    except ClientError as error:
        if code(error) in _MISSING:
            return False
        raise
    return True


def _configured(account: Account, function: str) -> dict[int, str]:
    """The versions of a function that are configured for asynchronous invocation by themselves, with that in words."""
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
    return {int(one): "an event invoke configuration" for one in qualifiers if one.isdigit()}


def _aliases(account: Account, function: str) -> dict[str, set[int]]:
    """Every alias of a function with the versions that it has traffic on."""
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
    """How many releases are kept. Raises `UsageError` for too few."""
    if keep < LEAST:
        raise UsageError(
            f"'{keep}' is too few releases to keep: there has to be one to go back to.",
            code=Code.OPTION_INVALID,
            next=f"--keep {LEAST}, or more",
        )
    return keep


def _planned(plan: Plan[Doomed]) -> int:
    return sum(len(step.delete) for step in plan.steps)


def _notices(doomed: int, pace: float, missing: Sequence[str]) -> list[str]:
    notices = []
    if doomed:
        seconds = doomed * _CALLS / pace
        notices.append(
            f"What is deleted does not come back. It takes about {max(1, round(seconds))} s: six calls for "
            "each version, from a quota that others share."
        )
    if missing:
        notices.append(f"Not there: {', '.join(missing[:10])}.")
    return notices
