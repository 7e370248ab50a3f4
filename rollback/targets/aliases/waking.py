"""Wakes versions that Lambda has set Inactive, before their aliases move to them.

Lambda reclaims what it had set up for a version that nobody has invoked for long, and the version to go back to is
such a one. An invocation fails, and begins to set it up again
(https://docs.aws.amazon.com/lambda/latest/dg/functions-states.html).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from rollback.aws.account import Account
from rollback.aws.functions import ASLEEP, observe, wake
from rollback.core.errors import RollbackError
from rollback.model.alias_moves import Move
from rollback.targets.base import Failure


@dataclass(kw_only=True)
class Sleepers:
    """The steps that wait for their version. `deadline` is a monotonic time: after it who waits has failed."""

    account: Account
    steps: Sequence[Move]
    deadline: float
    _woken: set[str] = field(default_factory=set)

    def look(self, now: float) -> tuple[list[Move], tuple[Failure, ...]]:
        """The steps whose version is Active by now, which wait no longer, and what failed. Wakes each that is Inactive,
        once.
        """
        if not self.steps:
            return [], ()
        found = self.account.each(self._state, self.steps)
        states = {step.function: state for step, state in zip(self.steps, found, strict=True)}
        failures = [state for state in states.values() if isinstance(state, Failure)]
        waiting = [step for step in self.steps if states[step.function] in ASLEEP]
        if now > self.deadline:
            failures += [
                _failure(step, f"version {step.to_version} is still {states[step.function]}")
                for step in waiting
            ]
        active = [step for step in self.steps if states[step.function] == "Active"]
        self.steps = waiting
        return active, tuple(failures)

    def _state(self, step: Move) -> str | Failure:
        version = step.to_version
        try:
            seen = observe(self.account, step.function, version)
            if seen is None:
                return _failure(step, f"version {version} is gone")
            if seen.state == "Inactive" and step.function not in self._woken:
                # Its next attempt might be answered by the function itself: there is none.
                once = self.account.client("lambda", retries={"total_max_attempts": 1, "mode": "standard"})
                if wake(once, step.function, version):
                    self._woken.add(step.function)
            elif seen.state not in (*ASLEEP, "Active"):
                return _failure(step, f"version {version} is {seen.state}")
        except RollbackError as error:
            return _failure(step, error.what)
        return seen.state


def _failure(step: Move, reason: str) -> Failure:
    """Its alias was not written."""
    return Failure(subject=step.function, reason=reason, refused=True, part=step.service)
