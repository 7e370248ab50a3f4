"""`python -m tools.versions`: tests with the lowest and with the newest versions of the dependencies that resolve.

pyproject.toml has the ranges of allowed versions; the lock is one choice of them. In a
separate environment for each end of the ranges, `.local/versions/…`, this runs the unit tests and the simulation.
Arguments go to pytest; `lowest-direct` or `highest` before them chooses one end.

https://docs.astral.sh/uv/concepts/resolution/#resolution-strategy
"""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

from localaws.paths import LOCAL, ROOT

ENDS = ("lowest-direct", "highest")
_UV = str(Path(sys.executable).with_name("uv"))
# Development dependencies that these tests need. Others would restrict boto3's version.
_NEEDED = {
    "check-jsonschema",
    "hypothesis",
    "mkdocstrings-python",
    "moto",
    "pytest",
    "pytest-xdist",
    "setuptools",
    "time-machine",
    "uv",
    "zensical",
    "zizmor",
}
_TESTS = (
    "-q",
    "-n",
    "auto",
    "--dist",
    "worksteal",
    "-m",
    "not slow and not soak",
    "tests/unit",
    "tests/simulation",
)


def main() -> int:
    """The first exit code of pytest or uv that is not 0; 0 if both ends pass."""
    arguments = sys.argv[1:]
    ends = [arguments.pop(0)] if arguments and arguments[0] in ENDS else list(ENDS)
    for end in ends:
        print(f"== {end}", flush=True)
        if code := _run(end, arguments or list(_TESTS)):
            return code
    return 0


def needed() -> list[str]:
    """The tests' requirements from the group `dev` of pyproject.toml."""
    document = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return [text for text in document["dependency-groups"]["dev"] if Requirement(text).name in _NEEDED]


def _run(end: str, arguments: list[str]) -> int:
    place = LOCAL / "versions" / end
    place.parent.mkdir(parents=True, exist_ok=True)
    lock, python = place.with_suffix(".txt"), str(place / "bin" / "python")
    commands = (
        [_UV, "pip", "compile", "-q", "--all-extras", "--resolution", end, "pyproject.toml", "-o", str(lock)],
        [_UV, "venv", "-q", "--clear", "--python", sys.executable, str(place)],
        [_UV, "pip", "install", "-q", "--python", python, "-r", str(lock), *needed()],
        [_UV, "pip", "install", "-q", "--python", python, "--no-deps", "--no-build-isolation", "-e", "."],
        [python, "-m", "pytest", *arguments],
    )
    # Neither the lock nor an active environment may affect this.
    lock.unlink(missing_ok=True)
    environ = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTHONPATH")}
    codes = (subprocess.run(one, cwd=ROOT, env=environ, check=False).returncode for one in commands)
    return next(filter(None, codes), 0)


if __name__ == "__main__":
    sys.exit(main())
