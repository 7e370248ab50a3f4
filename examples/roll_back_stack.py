"""Rolls a Pulumi stack back to the previous commit.

    python examples/roll_back_stack.py --env dev --reason "wrong cost centre"

Exit codes are the command's: 0 done, 3 refused, 10 waiting for another person, and so on.
"""

from __future__ import annotations

import argparse
import sys

from rollback import Environment, RollbackError


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--env", required=True)
    parser.add_argument("--reason", required=True)
    asked = parser.parse_args()
    try:
        with Environment.open(asked.env) as env:
            plan = env.stack.plan(to="previous")
            print(f"{plan.from_version} → {plan.to_version}, digest {plan.digest[:16]}")
            for change in plan.changes:
                print(f"  {change.op} {change.urn}")
            for refusal in plan.refusals:
                print(f"  refused: {refusal.subject}: {refusal.reason}")

            result = env.stack.roll_back(plan, reason=asked.reason)
            print(f"{result.rollback_id} {result.status}")
            for line in result.next:
                print(f"next: {line}")
            return result.waiting.exit_code if result.waiting else 0
    except RollbackError as error:
        print(f"{error} [{error.code}] {error.changed}\nnext: {error.next}", file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
