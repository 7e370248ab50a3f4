"""What the script that this project replaces does, call by call, through the AWS CLI.

`rollback-service.sh`, service `all`, version `previous`: one `aws` process a call, one call at a time. It
ends at its first function (`((TOTAL++))` under `set -e`); here it goes on, as it was meant to.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from bench import commands
from localaws.errors import LocalError
from rollback.config.settings import Settings


def roll_back(settings: Settings, folder: Path, env: Mapping[str, str]) -> float:
    """Moves every function of the environment to the version before its current one; the seconds taken.

    Raises `LocalError` where a call fails or an alias does not stand where it was put.
    """

    def aws(*arguments: str) -> list[str]:
        return commands.run(["aws", "lambda", *arguments, "--output", "text"], folder, env).split()

    def current_version(name: str) -> str:
        where = ("--function-name", name, "--name", settings.alias)
        return aws("get-alias", *where, "--query", "FunctionVersion")[0]

    began = time.monotonic()
    query = f"Functions[?starts_with(FunctionName, '{settings.names.function_prefix}')].FunctionName"
    for name in aws("list-functions", "--query", query):
        current = current_version(name)
        versions = aws("list-versions-by-function", "--function-name", name, "--query", "Versions[*].Version")
        numbers = [version for version in versions if version != "$LATEST"]
        before = numbers[numbers.index(current) - 1]
        where = ("--function-name", name, "--name", settings.alias)
        aws("update-alias", *where, "--function-version", before, "--routing-config", "{}")
        if current_version(name) != before:
            raise LocalError(f"{name} does not stand at {before}")
    return time.monotonic() - began
