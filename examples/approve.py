"""Approves a waiting plan as another person, in a process other than the one that made the plan.

    python examples/approve.py ID --env prod                     what would be done, and its digest
    python examples/approve.py ID --env prod --digest DIGEST     approves exactly that plan

Run it under the approver role, with the digest of the plan that you have read. Then `rollback apply ID`, or
`Environment.apply`, applies it.
"""

from __future__ import annotations

import argparse
import sys

from rollback import Environment, RollbackError


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("id")
    parser.add_argument("--env", required=True)
    parser.add_argument("--digest", default="")
    asked = parser.parse_args()
    try:
        with Environment.open(asked.env) as env:
            if asked.digest:
                env.approve(asked.id, asked.digest)
                print(f"{env.caller} approved {asked.id}")
                return 0
            details = env.show(asked.id)
            print(f"{details.seen.status}, by {details.record.initiated_by}: {details.record.reason}")
            for outcome in details.outcomes:
                print(f"  {outcome['name']}: {outcome['from']} → {outcome['to']}")
            print(f"digest {details.record.digest}")
            return 0
    except RollbackError as error:
        print(f"{error} [{error.code}]\nnext: {error.next}", file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
