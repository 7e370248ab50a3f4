"""The state of every alias during a rollback, computed from plan and journal. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from rollback.model.events import AliasesMoved, AliasesReverted, Failed, Found, typed
from rollback.model.plan import Plan
from rollback.model.record import DeployedVersion, Event


@dataclass(frozen=True, kw_only=True, slots=True)
class Move:
    """One function's alias: from which version, to which, and what must be unchanged.

    `revision_id` and `weights` (version → share of the traffic, 0 to 1) are the alias's as last known;
    `revision_id` is only None in refused plans. `code_sha256` is the target version's.
    `provisioned` is the number of provisioned concurrent executions on the alias.
    """

    function: str
    service: str
    from_version: str
    to_version: str
    code_sha256: str
    revision_id: str | None
    weights: Mapping[str, float] = field(default_factory=dict)
    provisioned: int = 0

    @property
    def subject(self) -> str:
        return self.function

    @property
    def changes(self) -> bool:
        return self.from_version != self.to_version or bool(self.weights)


@dataclass(frozen=True, kw_only=True, slots=True)
class State:
    """A function's state according to the journal.

    `version` and `weights` (version → share of the traffic, 0 to 1) are those to revert to. `doubtful`: one
    of our writes had no response, so that it may have been done or not. `changed`: a write of this record, or of an
    earlier process, set it to the target.
    """

    version: str
    weights: Mapping[str, float]
    revision: str | None
    moved: bool = False
    reverted: bool = False
    doubtful: bool = False
    changed: bool = False


def states(plan: Plan[Move], events: Iterable[Event]) -> dict[str, State]:
    """Every function's state after `events`, oldest first. Pure."""
    known = {
        step.function: State(version=step.from_version, weights=step.weights, revision=step.revision_id)
        for step in plan.steps
    }
    for event in events:
        if event.kind == Found.kind:
            found = typed(event, Found)
            seen = replace(known[found.function], revision=found.revision)
            if found.start:
                seen = replace(seen, version=found.version, weights=found.weights)
            elif (found.version, dict(found.weights)) != (seen.version, dict(seen.weights)):
                seen = replace(seen, changed=True)
            known[found.function] = seen
        elif event.kind in (AliasesMoved.kind, AliasesReverted.kind):
            moved = event.kind == AliasesMoved.kind
            for name, revision in typed(event, AliasesMoved).functions.items():
                state = known[name]
                changed = state.changed or moved
                known[name] = replace(
                    state, revision=revision, moved=moved, reverted=not moved, changed=changed
                )
        elif event.kind == Failed.kind:
            for step in typed(event, Failed).failures:
                if not step.refused:
                    known[step.subject] = replace(known[step.subject], doubtful=not step.foreign)
    return known


def drift(
    step: Move, state: State, version: str, weights: Mapping[str, float], *, ours: bool, back: bool
) -> str:
    """How somebody else has changed an alias that is at `version` with `weights`; empty if it may be written. Pure.

    It may be written if version and weights are as planned, or as we write them; in an undo (`back`) what we never
    changed only if it is in its initial state. `ours`: its description is that of a write of this record. That is not enough:
    somebody who only changes the weights does not change the description.
    """
    start, end = (state.version, dict(state.weights)), (step.to_version, dict[str, float]())
    places = [start] if back and not ours and not (state.moved or state.doubtful) else [start, end]
    if (version, dict(weights)) in places:
        return ""
    if version not in {place for place, _ in places}:
        return f"somebody else changed it to version {version}"
    return f"somebody else changed its weights: {shares(weights)}"


def shares(weights: Mapping[str, float]) -> str:
    """An alias's weights as text. Pure."""
    return ", ".join(f"{share:.0%} to version {to}" for to, share in weights.items()) or "none"


def left_to_others(events: Iterable[Event]) -> set[str]:
    """The functions that an undo did not change because somebody else has changed them. Pure."""
    left: set[str] = set()
    undoing = False
    for event in events:
        undoing = undoing or event.kind == "reverting"
        if event.kind == "failed" and undoing:
            left |= {failure["subject"] for failure in event.data["failures"] if failure["foreign"]}
    return left


def deployed_versions(plan: Plan[Move], events: Iterable[Event]) -> dict[str, DeployedVersion]:
    """The final state of the aliases that a record wrote. After an undo the code hash is unknown: empty."""
    left: dict[str, DeployedVersion] = {}
    known = states(plan, events)
    for step in plan.steps:
        state = known[step.function]
        if state.moved or state.reverted:
            left[step.function] = DeployedVersion(
                version=step.to_version if state.moved else state.version,
                code_sha256=step.code_sha256 if state.moved else "",
                revision_id=state.revision,
                weights={} if state.moved else state.weights,
                provisioned=step.provisioned,
            )
    return left
