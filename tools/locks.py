"""The locked requirements: `python -m tools.locks` checks that they are up to date, `--write` compiles them.

The check lets uv resolve again with the locked versions as its preference, and expects the
same bytes: an added, removed or raised requirement is found, a newer release on the index is
not. Without a network the resolver uses its cache.
"""

from __future__ import annotations

import difflib
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from localaws.paths import ROOT

_UV = Path(sys.executable).with_name("uv")
_ALL = ("--generate-hashes", "--universal", "--python-version", "3.11", "--no-header", "--quiet")


@dataclass(frozen=True, kw_only=True, slots=True)
class LockFile:
    """A compiled file `path`, its source, and the options it was compiled with; paths from the root."""

    path: str
    source: str
    options: tuple[str, ...] = ()


LOCKS = (
    LockFile(path="requirements.txt", source="pyproject.toml", options=("--all-extras",)),
    LockFile(
        path="requirements-dev.txt",
        source="pyproject.toml",
        options=("--all-extras", "--group", "dev", "-c", "requirements.txt", "--allow-unsafe"),
    ),
    LockFile(
        path="rollback/guard/guard_requirements.txt",
        source="tools/guard_requirements.in",
        options=("-c", "requirements.txt"),
    ),
    LockFile(path="localaws/emulator/requirements.txt", source="localaws/emulator/requirements.in"),
    LockFile(path="localaws/toolchain/locks/npm.txt", source="localaws/toolchain/locks/npm.in"),
    LockFile(path="localaws/toolchain/locks/sam.txt", source="localaws/toolchain/locks/sam.in"),
    LockFile(path="localaws/toolchain/locks/aws.txt", source="localaws/toolchain/locks/aws.in"),
    LockFile(path="localaws/toolchain/locks/cdk.txt", source="localaws/toolchain/locks/cdk.in"),
)


def compiled(lock: LockFile, *, root: Path, upgrade: bool = False) -> tuple[str | None, str]:
    """The expected content of the lock, and the resolver's output; None if it could not resolve."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "lock.txt"
        if (root / lock.path).exists() and not upgrade:
            shutil.copyfile(root / lock.path, output)  # whose versions uv prefers
        command = [str(_UV), "pip", "compile", *_ALL, *lock.options, lock.source, "-o", str(output)]
        environ = {k: v for k, v in os.environ.items() if k != "VIRTUAL_ENV"}
        done = subprocess.run(command, cwd=root, env=environ, capture_output=True, text=True, check=False)
        if done.returncode:
            return None, done.stderr.strip()
        return output.read_text(encoding="utf-8"), ""


def main(arguments: list[str] | None = None) -> int:
    """0 if every lock is up to date or was written, 1 if not; prints the lines that differ."""
    parts = sys.argv[1:] if arguments is None else arguments
    wrong = 0
    for lock in LOCKS:
        text, output = compiled(lock, root=ROOT, upgrade="--upgrade" in parts)
        now = (ROOT / lock.path).read_text(encoding="utf-8") if (ROOT / lock.path).exists() else ""
        if text is None:
            wrong = 1
            print(f"{lock.path}: cannot be compiled.\n{output}", file=sys.stderr)
        elif "--write" in parts and text != now:
            (ROOT / lock.path).write_text(text, encoding="utf-8")
            print(f"{lock.path}: written", file=sys.stderr)
        elif text != now:
            wrong = 1
            print(f"{lock.path} does not match {lock.source}. Run: make lock", file=sys.stderr)
            print("\n".join(_difference(now, text)), file=sys.stderr)
    return wrong


def _difference(now: str, text: str) -> list[str]:
    lines = difflib.unified_diff(now.splitlines(), text.splitlines(), "now", "asked for", n=0, lineterm="")
    return [line for line in lines if "--hash=" not in line][:30]


if __name__ == "__main__":
    sys.exit(main())
