"""Runs Terraform or OpenTofu: finds the program, its environment, and limits its time.

The first SIGINT ends it gracefully, with its state written and its lock released; a second one does not
(`gated.process`).
"""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rollback.engines.gated.process import ended, gated
from rollback.util.errors import Code, RollbackError, UsageError
from rollback.util.process_identity import SHORT_LIVED, Process

NAMES = ("terraform", "tofu")
MINIMUM = (1, 10)  # the first with the S3 backend's `use_lockfile`, of both
# Only those of the caller's TF_ variables are passed on that define providers, modules and the keys of
# encrypted states; TF_CLI_ARGS, TF_LOG, TF_VAR_… and others would change or log what is planned.
_KEPT = re.compile(r"TF_(CLI_CONFIG_FILE|PLUGIN_CACHE_DIR|TOKEN_\w+|ENCRYPTION)")
_POLL = 0.05

# A line of `-json` output: {"type": "apply_start", "hook": {…}, "diagnostic": {…}, …},
# https://developer.hashicorp.com/terraform/internals/machine-readable-ui
Line = Mapping[str, Any]


class ToolFailed(RollbackError):
    """The tool failed, or exceeded its time limit."""

    code_default = Code.TERRAFORM_FAILED


@dataclass(frozen=True, kw_only=True, slots=True)
class Tool:
    """The tool on this machine: `name` is terraform or tofu, `platform` as in `linux_amd64`."""

    path: str
    name: str
    version: str
    platform: str

    @property
    def facts(self) -> dict[str, str]:
        """What must be the same to apply a saved plan: `{"tool", "version", "platform"}`."""
        return {"tool": self.name, "version": self.version, "platform": self.platform}


@dataclass(frozen=True, kw_only=True, slots=True)
class Diagnostic:
    """An error as the tool reports it."""

    summary: str
    detail: str = ""
    address: str = ""

    def __str__(self) -> str:
        detail = " ".join(self.detail.split())[:400]
        return f"{self.summary}: {detail}" if detail else self.summary


@dataclass(frozen=True, kw_only=True, slots=True)
class Done:
    """The result of a run: exit code and output."""

    code: int
    out: str
    errors: str = ""

    @property
    def lines(self) -> list[Line]:
        """The lines of `out` that are JSON."""
        return list(_lines(self.out))

    @property
    def diagnostics(self) -> list[Diagnostic]:
        return diagnostics(self.lines) or [Diagnostic(summary=_last(self.errors or self.out))]


def find() -> Tool:
    """The tool on PATH. Raises `UsageError` where there is none, or only older versions."""
    found = [path for name in NAMES if (path := shutil.which(name))]
    if not found:
        raise UsageError(
            "Neither terraform nor tofu is on the PATH.",
            code=Code.TOOL_MISSING,
            next="Install Terraform 1.10 or newer (https://developer.hashicorp.com/terraform/install) or OpenTofu "
            "(https://opentofu.org/docs/intro/install/); for the local account: make tools.",
        )
    for path in found:
        completed = run([path, "version", "-json"], environment={}, cwd=Path.cwd(), seconds=60)
        try:
            document = json.loads(completed.out)
            version, platform = str(document["terraform_version"]), str(document["platform"])
            numbers = tuple(int(part) for part in version.split(".")[:2])
        except (ValueError, KeyError):
            raise UsageError(
                f"{path} does not report its version: {_last(completed.errors)}.", code=Code.TOOL_MISSING
            ) from None
        if numbers >= MINIMUM:
            return Tool(path=path, name=Path(path).name, version=version, platform=platform)
    raise UsageError(
        f"{' and '.join(found)} on the PATH is older than 1.10, the first version that locks a state in S3 without DynamoDB.",
        code=Code.TOOL_MISSING,
        next="Install a newer version.",
    )


def inherited() -> dict[str, str]:
    """This process's environment variables, without those that would influence a plan."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("TF_") or _KEPT.fullmatch(name)
    }
    return SHORT_LIVED | kept | {"TF_IN_AUTOMATION": "1", "TF_INPUT": "0", "CHECKPOINT_DISABLE": "1"}


def run(arguments: Sequence[str], *, environment: Mapping[str, str], cwd: Path, seconds: float) -> Done:
    """Runs the tool and keeps its output, which may contain secrets, in memory. `seconds` is the time limit.

    `environment` are variables besides `inherited`. Raises `ToolFailed` if it takes longer; it is
    stopped then.
    """
    try:
        with (
            subprocess.Popen(
                arguments,
                cwd=cwd,
                env={**inherited(), **environment},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            ) as process,
            ended(process),
        ):
            out, errors = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        raise ToolFailed(
            f"{Path(arguments[0]).name} {arguments[1]} did not finish within {seconds / 60:.0f} minutes and was stopped.",
        ) from None
    return Done(code=process.returncode, out=_text(out), errors=_text(errors))


def follow(
    arguments: Sequence[str],
    *,
    environment: Mapping[str, str],
    cwd: Path,
    printed: Path,
    seconds: float,
    inherits: Sequence[int],
    started: Callable[[Process], None],
    on_lines: Callable[[list[Line]], None],
    stopping: Callable[[], bool],
) -> tuple[Done, bool]:
    """Runs the tool and passes on its JSON lines as they come; also returns whether it was asked to stop.

    `environment` are variables besides `inherited`, `seconds` is the time limit. `started` receives the process
    before it acts, and `on_lines` new lines while it runs; an exception of either stops it. It
    writes to the file `printed`, not to a pipe, so that it ends well if this process is killed.
    """
    with (
        printed.open("w", encoding="utf-8") as out,
        printed.open(encoding="utf-8", errors="replace") as tail,
        gated(
            arguments,
            cwd=cwd,
            env={**inherited(), **environment},
            stdout=out,
            stderr=subprocess.STDOUT,
            began=lambda pid: started(Process.of(pid)),
            pass_fds=inherits,
        ) as running,
    ):
        rest = ""

        def look() -> bool:
            nonlocal rest
            lives = running.process.poll() is None
            if lives:
                time.sleep(_POLL)
            # The last line may be incomplete.
            rest = _pass_on(rest + tail.read() + ("" if lives else "\n"), on_lines)
            return lives

        code = running.follow(seconds=seconds, stopping=stopping, look=look)
    return Done(code=code, out=printed.read_text(encoding="utf-8", errors="replace")), running.interrupted


def diagnostics(lines: Sequence[Line]) -> list[Diagnostic]:
    """The errors among lines of JSON."""
    found = (line["diagnostic"] for line in lines if line.get("type") == "diagnostic")
    return [
        Diagnostic(
            summary=str(one.get("summary", "")),
            detail=str(one.get("detail", "")),
            address=str(one.get("address", "")),
        )
        for one in found
        if one.get("severity") == "error"
    ]


def _pass_on(text: str, on_lines: Callable[[list[Line]], None]) -> str:
    """Passes on the complete lines of `text`; returns the rest."""
    whole, _, rest = text.rpartition("\n")
    on_lines(list(_lines(whole)))
    return rest


def _lines(text: str) -> Iterator[Line]:
    """The lines that are JSON; `init -json` also prints others."""
    for line in text.splitlines():
        with suppress(ValueError):
            if isinstance(one := json.loads(line), dict):
                yield one


def _text(printed: bytes) -> str:
    """Decoded like a pipe in text mode."""
    return io.TextIOWrapper(io.BytesIO(printed), encoding="utf-8", errors="replace").read()


def _last(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1].strip()[:300] if lines else "no output"
