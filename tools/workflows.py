"""Checks the workflows: `python -m tools.workflows` runs actionlint and zizmor over them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from localaws.errors import LocalError
from localaws.paths import ROOT
from localaws.progress import BuildProgress
from localaws.toolchain import gotool
from localaws.toolchain.tools import ACTIONLINT_TOOL

_ZIZMOR = Path(sys.executable).with_name("zizmor")


def main() -> int:
    """0 if neither finds anything, 1 otherwise; prints their findings."""
    progress = BuildProgress(sys.stderr)
    try:
        actionlint = gotool.ensure(ACTIONLINT_TOOL, progress)
    except LocalError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    finally:
        progress.done()
    commands = (
        [str(actionlint)],
        [str(_ZIZMOR), "--quiet", "--offline", "--persona", "auditor", ".github"],
    )
    codes = [subprocess.run(command, cwd=ROOT, check=False).returncode for command in commands]
    return int(any(codes))


if __name__ == "__main__":
    sys.exit(main())
