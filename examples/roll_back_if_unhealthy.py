"""Rolls functions back when your own health check fails.

    python examples/roll_back_if_unhealthy.py --env dev --services team_service -- ./check.sh

The check is any command. It runs again after the rollback: exit 5 if it still fails.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence

from rollback import Environment, RollbackError
from rollback.api.events import Event, WorkBegan


def healthy(command: Sequence[str]) -> bool:
    """Whether the check passes, within a minute."""
    try:
        return subprocess.run(command, timeout=60, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def heard(event: Event) -> None:
    """Prints what is being done."""
    if isinstance(event, WorkBegan):
        print(f"{event.what} …")


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--env", required=True)
    parser.add_argument("--services", nargs="*", default=[])
    parser.add_argument("check", nargs="+")
    asked = parser.parse_args()
    if healthy(asked.check):
        print("healthy")
        return 0
    try:
        with Environment.open(asked.env, on_event=heard) as env:
            plan = env.functions.plan(to="previous", services=asked.services)
            result = env.functions.roll_back(plan, reason=f"unhealthy by {asked.check[0]}")
            print(f"{result.rollback_id} {result.status}: {plan.from_version} → {plan.to_version}")
    except RollbackError as error:
        print(f"{error} [{error.code}]\nnext: {error.next}", file=sys.stderr)
        return error.exit_code
    if result.waiting:
        print("next:", *result.next, sep="\n  ")
        return result.waiting.exit_code
    return 0 if healthy(asked.check) else 5


if __name__ == "__main__":
    sys.exit(main())
