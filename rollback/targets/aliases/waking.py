"""Activates versions that Lambda has set Inactive, before aliases are set to them.

Lambda reclaims the resources of a version that was not invoked for a long time, and a rollback's target is often
such a version. An invocation fails, and starts to set it up again
(https://docs.aws.amazon.com/lambda/latest/dg/functions-states.html).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from rollback.aws.account import Account
from rollback.aws.functions import ASLEEP, observe, wake
from rollback.model.alias_moves import Move
from rollback.model.events import Waking
from rollback.targets.base import Failure
from rollback.util.errors import RollbackError

# A step, and a version that must be Active first.
Waits = tuple[Move, str]
# Functions per event.
_JOURNALLED = 200


def asleep(account: Account, versions: Sequence[Waits], *, lenient: bool = False) -> list[Waits]:
    """The versions that must be activated. With `lenient`, versions that cannot be read are left out."""

    def sleeps(waits: Waits) -> bool:
        step, version = waits
        try:
            seen = observe(account, step.function, version)
        except RollbackError:
            if not lenient:
                raise
            return False
        return seen is not None and seen.state in ASLEEP

    found = account.each(sleeps, versions)
    return [waits for waits, yes in zip(versions, found, strict=True) if yes]


def journalled(waits: Sequence[Waits]) -> list[Waking]:
    """The events to journal before activating these; each event names a function once. Pure."""
    found: list[dict[str, str]] = []
    for step, version in waits:
        open_ = (one for one in found if step.function not in one and len(one) < _JOURNALLED)
        if (free := next(open_, None)) is None:
            found.append(free := {})
        free[step.function] = version
    return [Waking(functions=functions) for functions in found]


@dataclass(kw_only=True)
class Sleepers:
    """Steps waiting for versions; a step with weights waits for more than one.
    `deadline` is a monotonic time, after which waiting steps fail.
    """

    account: Account
    asleep: Sequence[Waits]
    deadline: float
    _woken: set[tuple[str, str]] = field(default_factory=set)

    def look(self, now: float) -> tuple[list[Move], tuple[Failure, ...]]:
        """The steps whose versions are all Active now, and failures. Activates each version that
        is Inactive, once.
        """
        if not self.asleep:
            return [], ()
        steps = {step.function: step for step, _ in self.asleep}
        found = self.account.each(lambda waits: self._state(*waits), self.asleep)
        seen = list(zip(self.asleep, found, strict=True))
        failures = {state.subject: state for _, state in seen if isinstance(state, Failure)}
        waiting = [((step, version), state) for (step, version), state in seen if state in ASLEEP]
        if now > self.deadline:
            for (step, version), state in waiting:
                failures.setdefault(step.function, _failure(step, f"version {version} is still {state}"))
        self.asleep = [waits for waits, _ in waiting if waits[0].function not in failures]
        still = {step.function for step, _ in self.asleep}
        active = [step for name, step in steps.items() if name not in still and name not in failures]
        return active, tuple(failures.values())

    def _state(self, step: Move, version: str) -> str | Failure:
        try:
            seen = observe(self.account, step.function, version)
            if seen is None:
                return _failure(step, f"version {version} no longer exists")
            if seen.state == "Inactive" and (step.function, version) not in self._woken:
                # No retries: the next attempt might already reach the function.
                once = self.account.client("lambda", retries={"total_max_attempts": 1, "mode": "standard"})
                if wake(once, step.function, version):
                    self._woken.add((step.function, version))
            elif seen.state not in (*ASLEEP, "Active"):
                return _failure(step, f"version {version} is {seen.state}")
        except RollbackError as error:
            return _failure(step, error.what)
        return seen.state


def _failure(step: Move, reason: str) -> Failure:
    """The failure of a step whose alias was not written."""
    return Failure(subject=step.function, reason=reason, refused=True, part=step.service)
