"""Reads every environment's history, and prints which commit is deployed where.

    python examples/deployed_where.py

Each environment is a separate account, with the credentials of the AWS profile of the same name.
"""

from __future__ import annotations

import os
import sys

from rollback import Environment, RollbackError


def main() -> int:
    """The exit code: 0, or that of the last environment that could not be read."""
    code = 0
    for name in Environment.names():
        # One environment after the other, since programs that one starts use this process's variables.
        os.environ["AWS_PROFILE"] = name
        try:
            with Environment.open(name) as env:
                history = env.history(limit=100)
        except RollbackError as error:
            print(f"{name}: {error} [{error.code}]", file=sys.stderr)
            code = error.exit_code
            continue
        for moment in history.moments:
            if moment.deployed:
                what = "functions" if moment.kind in ("release", "adoption") else "stack"
                print(
                    f"{name} {what} {moment.commit or 'unknown'} {moment.what} {moment.at} by {moment.actor}"
                )
        for notice in history.notices:
            print(f"{name}: {notice}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
