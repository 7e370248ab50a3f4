"""An infrastructure in memory: resources by name, each at a commit, and a target that puts them back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rollback.model.deployed import Deployed
from rollback.model.events import Happened
from rollback.model.plan import Plan, Refusal
from rollback.model.record import Check, Event
from rollback.model.release import STACK
from rollback.model.request import StackRequest, TerraformRequest
from rollback.model.resource_changes import SAME, UPDATE, ResourceChange, counts
from rollback.targets.base import Context, Failure, Journal, Outcome

OLD, NEW = "0" * 40, "1" * 40


@dataclass(frozen=True, kw_only=True, slots=True)
class _Changed(Happened):
    kind = "changed"
    name: str


@dataclass(frozen=True, kw_only=True, slots=True)
class _Unchanged(Happened):
    kind = "unchanged"
    name: str


@dataclass
class StackDouble:
    """`resources` maps names to the commit they are at. `trouble` is asked before each is written."""

    resources: dict[str, str] = field(default_factory=lambda: dict.fromkeys(("table", "api", "queue"), NEW))
    trouble: Callable[[str], Failure | None] = lambda _: None
    drifted: str = ""
    published: list[Deployed] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)

    def target(self, kind: str, subject: str) -> Callable[[Context], Target]:
        return lambda context: Target(context, self, kind, subject)


class Target:
    """Moves every resource to the commit asked for. Where it has drifted, what is left needs a new plan."""

    doing = "Updating"
    smoked = False
    step = ResourceChange
    minutes = 15

    def __init__(
        self, context: Context, double: StackDouble, kind: str = "stack", subject: str = STACK
    ) -> None:
        self.kind = self.verb = kind
        self._subject, self._context, self._double = subject, context, double

    def domains(self, request: StackRequest | TerraformRequest) -> tuple[str, ...]:
        return (self.kind,)

    def plan(self, request: StackRequest | TerraformRequest) -> Plan[ResourceChange]:
        settings, double = self._context.account.settings, self._double
        to = OLD if request.commit == "previous" else request.commit
        steps = tuple(
            ResourceChange(urn=name, type="aws_x", op=SAME if at == to else UPDATE, content=double.drifted)
            for name, at in sorted(double.resources.items())
        )
        return Plan(
            kind=self.kind,
            environment=settings.environment,
            account=settings.account,
            region=settings.region,
            request=request,
            from_version=NEW[:7],
            to_version=to[:7],
            leaves={self._subject: NEW},
            targets={self._subject: to},
            quarantines={self._subject: NEW},
            steps=steps,
            facts={"state": str(sorted(double.resources.items()))},
            infrastructure=counts(steps),
        )

    def again(self, plan: Plan[ResourceChange], rollback_id: str) -> Plan[ResourceChange]:
        return self.plan(plan.request)

    def refusals(self, plan: Plan[ResourceChange]) -> Sequence[Refusal]:
        return plan.refusals

    def keep(self, plan: Plan[ResourceChange], rollback_id: str) -> None:
        self._double.kept.append(rollback_id)

    def forget(
        self, plan: Plan[ResourceChange], rollback_id: str, events: Sequence[Event], *, ended: bool
    ) -> None:
        if ended:
            self._double.forgotten.append(rollback_id)

    def execute(self, plan: Plan[ResourceChange], journal: Journal) -> Outcome:
        if journal.taken_over and self._double.drifted:
            return Outcome(failures=(Failure(subject="table", reason="it has drifted"),), anew=True)
        return self._write(plan, journal, plan.targets[self._subject], _Changed)

    def undo(self, plan: Plan[ResourceChange], journal: Journal) -> Outcome:
        return self._write(plan, journal, plan.leaves[self._subject], _Unchanged)

    def _write(
        self, plan: Plan[ResourceChange], journal: Journal, commit: str, wrote: type[_Changed | _Unchanged]
    ) -> Outcome:
        for step in plan.changing:
            if journal.stopping():
                return Outcome(interrupted=True)
            failure = self._double.trouble(step.urn)
            if failure is not None:
                return Outcome(failures=(failure,))
            self._double.resources[step.urn] = commit
            journal.append(wrote(name=step.urn))
        return Outcome()

    def verify(self, plan: Plan[ResourceChange]) -> Sequence[Check]:
        passed = set(self._double.resources.values()) == {plan.targets[self._subject]}
        return [Check(check=self.kind, ok=passed, detail=str(self._double.resources))]

    def publish(
        self, plan: Plan[ResourceChange], deployed: Mapping[str, Deployed], events: Sequence[Event]
    ) -> None:
        self._double.published.append(deployed[self._subject])

    def counts(self, plan: Plan[ResourceChange], events: Sequence[Event]) -> Mapping[str, int]:
        done = {event.data["name"] for event in events if event.kind == "changed"}
        back = {event.data["name"] for event in events if event.kind == "unchanged"}
        return {"planned": len(plan.changing), "moved": len(done - back), "reverted": len(back)} | {
            "confirmed": 0,
            "failed": 0,
            "untouched": len(plan.changing) - len(done | back),
        }

    def outcomes(self, plan: Plan[ResourceChange], events: Sequence[Event]) -> Sequence[Mapping[str, Any]]:
        done = {event.data["name"] for event in events if event.kind == "changed"}
        return [
            {"name": step.urn, "outcome": "moved" if step.urn in done else "untouched"} for step in plan.steps
        ]
