"""Command-line tools built from the Go module proxy, once for each machine and version.

No package registry carries these tools as binaries, but the module proxy has their source, and
`go.sum` pins every byte of it. A tool is a `NAME.mod` and a `NAME.sum` in this folder, because only
the main module's `replace` counts: `go install` would not honour the tool's own.
"""

from __future__ import annotations

import collections
import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from localaws.errors import LocalError
from localaws.paths import cache, locked

_HERE = Path(__file__).parent
_TICK = 1.0
_LAST_LINES = 15
# The binary is 115 MB; the compiler's cache needs about ten times that.
_FREE_BYTES = 500 * 1000 * 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class GoTool:
    """A tool's binary `name`, its `package`, and the address of its official installer (`installer`)."""

    name: str
    version: str
    package: str
    ldflags: str
    installer: str

    @property
    def place(self) -> Path:
        """The path of the built binary, in a folder with nothing else."""
        return cache() / f"{self.name}-{self.version}" / self.name


def find(tool: GoTool) -> Path | None:
    """The tool's binary that an earlier `ensure` built on this machine."""
    return tool.place if tool.place.exists() else None


def ensure(tool: GoTool, progress: Callable[[str], None], *, go: str = "go") -> Path:
    """The tool's binary, built if it is not there yet; minutes the first time.

    Built in a folder beside its place under a lock and then moved: it is complete as soon as it exists,
    and an interrupted build leaves nothing there. Raises `LocalError` without Go, with the
    last lines of a build that failed, and if the disk is full.
    """
    if tool.place.exists():
        return tool.place
    compiler = shutil.which(go)
    if compiler is None:
        raise LocalError(
            f"{tool.name} is not on PATH, and there is no Go compiler to build it.\n"
            f"Install {tool.name} ({tool.installer}) or Go (https://go.dev/doc/install)."
        )
    title = f"building {tool.name} {tool.version}"
    with locked(
        cache() / f"{tool.name}.lock", waiting=lambda: progress(f"{title}: waiting for another process")
    ):
        if tool.place.exists():
            return tool.place
        _room(cache(), tool)
        making = Path(tempfile.mkdtemp(prefix=f"{tool.name}-", suffix=".part", dir=cache()))
        try:
            _build(tool, compiler, making, lambda detail: progress(f"{title}: {detail}"))
            (making / "bin").chmod(0o755)
            # The folder can only exist without the binary: a build that was undone earlier.
            shutil.rmtree(tool.place.parent, ignore_errors=True)
            (making / "bin").rename(tool.place.parent)
        finally:
            shutil.rmtree(making, ignore_errors=True)
    return tool.place


def _build(tool: GoTool, compiler: str, folder: Path, progress: Callable[[str], None]) -> None:
    shutil.copyfile(_HERE / f"{tool.name}.mod", folder / "go.mod")
    shutil.copyfile(_HERE / f"{tool.name}.sum", folder / "go.sum")
    output = folder / "bin" / tool.name
    output.parent.mkdir()
    command = [compiler, "build", "-v", "-mod=readonly", "-trimpath", f"-ldflags={tool.ldflags}"]
    begun = time.monotonic()
    process = subprocess.Popen(
        [*command, "-o", str(output), tool.package],
        cwd=folder,
        env={**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": "-buildvcs=false", "GOWORK": "off"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None  # noqa: S101 - a pipe was asked for
    build_output = _BuildOutput(process.stdout)
    try:
        while True:
            progress(f"{time.monotonic() - begun:.0f} s, {build_output.at}")
            try:
                code = process.wait(timeout=_TICK)
            except subprocess.TimeoutExpired:
                continue
            break
    except BaseException:
        process.kill()
        process.wait()
        raise
    finally:
        build_output.join()
    if code or not output.exists():
        _explain(tool, build_output.lines, begun)


class _BuildOutput(threading.Thread):
    """Reads the compiler's output: `at` describes its progress, `lines` are the last lines."""

    def __init__(self, pipe: IO[str]) -> None:
        super().__init__(daemon=True)
        self._pipe = pipe
        self.lines: collections.deque[str] = collections.deque(maxlen=_LAST_LINES)
        self.compiled = 0
        self.at = "reading modules"
        self.start()

    def run(self) -> None:
        with self._pipe:
            for line in self._pipe:
                self.lines.append(line.rstrip())
                if line.startswith("go: "):
                    self.at = "downloading modules"
                elif " " not in line.strip():
                    self.compiled += 1
                    self.at = f"{self.compiled} packages compiled"


def _explain(tool: GoTool, lines: collections.deque[str], begun: float) -> None:
    last = "\n".join(f"  {line}" for line in lines)
    if any("no space left on device" in line.lower() for line in lines):
        raise LocalError(
            f"The disk is full: {tool.name} could not be built.\n{last}\n"
            f"Make room in {cache()} and in Go's cache (go env GOCACHE), and run the same command again."
        )
    raise LocalError(
        f"{tool.name} {tool.version} could not be built (after {time.monotonic() - begun:.0f} s). "
        f"The compiler's last lines:\n{last}\n"
        f"Nothing was installed. Run the same command again, or install {tool.name} from {tool.installer}"
    )


def _room(folder: Path, tool: GoTool) -> None:
    free = shutil.disk_usage(folder).free
    if free < _FREE_BYTES:
        raise LocalError(
            f"The disk is full: {free // 1_000_000} MB are left in {folder}, and building {tool.name} "
            f"takes {_FREE_BYTES // 1_000_000} MB. Make room, or set XDG_CACHE_HOME to another disk."
        )
