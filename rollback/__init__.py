"""Rolls a bad release back: one lifecycle of plan, approval, lease, execution, verification and record.

    from rollback import Environment

    with Environment.open("dev") as env:
        plan = env.stack.plan(to="previous")
        result = env.stack.roll_back(plan, reason="wrong cost centre")

`Environment` is the Python API, on which the command is built; `rollback.api.events` is what its callbacks get. All of
it is imported on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from rollback.util.version import __version__

if TYPE_CHECKING:
    from rollback.api.environment import Environment
    from rollback.api.kinds import StackUpdate
    from rollback.api.progress import Progress
    from rollback.api.results import Plan, Result
    from rollback.util.errors import (
        AwaitingApproval,
        Code,
        Refused,
        Reverted,
        RollbackError,
        StoppedAtOnce,
        UsageError,
        VerificationFailed,
    )

__all__ = [
    "AwaitingApproval",
    "Code",
    "Environment",
    "Plan",
    "Progress",
    "Refused",
    "Result",
    "Reverted",
    "RollbackError",
    "StackUpdate",
    "StoppedAtOnce",
    "UsageError",
    "VerificationFailed",
    "__version__",
]

_WHERE = {
    "Environment": "rollback.api.environment",
    "Plan": "rollback.api.results",
    "Progress": "rollback.api.progress",
    "Result": "rollback.api.results",
    "StackUpdate": "rollback.api.kinds",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_WHERE.get(name, "rollback.util.errors")), name)
