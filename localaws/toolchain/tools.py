"""The one list of what tests use and a checkout does not have: how it is found, how it is made, who needs it.

`make tools` makes all of it, and `make demo` what the local account needs. Tests only find it (`tests/prepared.py`).
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from localaws.emulator.tool import ensure_tool, find_tool
from localaws.errors import LocalError
from localaws.toolchain import build, deployers, gotool, guard_wheels, iam_simulator, terraform
from localaws.toolchain import terraform_provider as provider
from localaws.toolchain.gotool import GoTool

ACTIONLINT_TOOL = GoTool(
    name="actionlint",
    version="1.7.12",
    package="github.com/rhysd/actionlint/cmd/actionlint",
    ldflags="-s -w",
    installer="https://github.com/rhysd/actionlint/blob/main/docs/install.md",
)
_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
# Downloads and their unpacking beside one compiler, which uses every core.
_DOWNLOADS = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Tool:
    """`find` says where it is, and makes nothing. `make` makes it, or raises `LocalError` with how to get it.

    `tests` are those that are not tried without it. `get` is what to type or install.
    """

    name: str
    find: Callable[[], Path | None]
    make: Callable[[Callable[[str], None]], object]
    tests: str
    get: str = "make tools"
    compiled: bool = False


def find_browser() -> Path | None:
    """A Chromium on PATH."""
    return next((Path(found) for name in _BROWSERS if (found := shutil.which(name))), None)


def _no_browser(_: Callable[[str], None]) -> None:
    raise LocalError(
        "There is no Chromium on PATH. Install it: apt-get install chromium (Debian), dnf install chromium (Fedora), "
        "brew install --cask google-chrome and a link named google-chrome on PATH (macOS)."
    )


ENGINE = Tool(
    name="Pulumi",
    find=build.find_engine,
    make=build.ensure_engine,
    tests="nothing works without it",
    compiled=True,
)
EMULATOR = Tool(
    name="the local AWS account", find=find_tool, make=ensure_tool, tests="nothing works without it"
)
TERRAFORM = Tool(
    name="Terraform",
    find=terraform.find_terraform,
    make=terraform.ensure_terraform,
    tests="tests of Terraform, and of everything that deploys it",
    compiled=True,
)
PROVIDER = Tool(
    name="Terraform's AWS provider",
    find=provider.present_provider,
    make=provider.ensure_provider,
    tests=TERRAFORM.tests,
)
YAML_HOST = Tool(
    name="Pulumi's language host for YAML",
    find=build.find_yaml_host,
    make=build.ensure_yaml_host,
    tests="a stack whose program is YAML",
    compiled=True,
)
ACTIONLINT = Tool(
    name="actionlint",
    find=lambda: gotool.find(ACTIONLINT_TOOL),
    make=lambda progress: gotool.ensure(ACTIONLINT_TOOL, progress),
    tests="the workflows that `rollback init` writes",
    compiled=True,
)
SIMULATOR = Tool(
    name="the IAM simulator",
    find=iam_simulator.find_simulator,
    make=iam_simulator.ensure_simulator,
    tests="tests/permissions",
)
GUARD_WHEELS = Tool(
    name="the guard's wheels",
    find=guard_wheels.find_wheels,
    make=guard_wheels.ensure_wheels,
    tests="the guard's package, and alarms that roll back",
)
SAM, AWS, CDK = (
    Tool(name=name, find=one.find, make=one.ensure, tests=f"the recipe of {name}")
    for name, one in (
        ("AWS SAM", deployers.SAM),
        ("the AWS CLI", deployers.AWS),
        ("AWS CDK", deployers.CDK),
    )
)
CHROMIUM = Tool(
    name="Chromium on PATH",
    find=find_browser,
    make=_no_browser,
    tests="the report in a browser",
    get="apt-get install chromium",
)
# On another machine Terraform asks its registry.
_OF_TERRAFORM = (TERRAFORM, *([PROVIDER] if provider.offered() else []))
NECESSARY = (ENGINE, EMULATOR)
ACCOUNT = (*NECESSARY, *_OF_TERRAFORM)
ALL = (*ACCOUNT, YAML_HOST, ACTIONLINT, SIMULATOR, GUARD_WHEELS, SAM, AWS, CDK, CHROMIUM)


def prepare(tools: Sequence[Tool], progress: Callable[[str], None]) -> list[tuple[Tool, LocalError]]:
    """Makes those that are missing, beside each other. Returns those that could not be made, and why."""
    missing = [tool for tool in tools if tool.find() is None]
    state = _State(progress, len(missing))
    failed: list[tuple[Tool, LocalError]] = []
    with ThreadPoolExecutor(1) as compiler, ThreadPoolExecutor(_DOWNLOADS) as downloads:
        try:
            running = [
                (tool, (compiler if tool.compiled else downloads).submit(state.make, tool))
                for tool in missing
            ]
            for tool, future in running:
                try:
                    future.result()
                except LocalError as error:
                    failed.append((tool, error))
        except BaseException:
            state.stopped.set()
            raise
    return failed


def missing(tool: Tool, error: LocalError) -> str:
    """What is not there, which tests are not tried and how to get it: one line, before those of an installer that failed."""
    first, *rest = str(error).splitlines()
    line = f"Not prepared: {tool.name}. Not tried: {tool.tests}. {first}"
    # Only an installer's own lines make it longer than two.
    return "\n".join((line, *rest)) if rest[1:] else " ".join((line, *rest))


class _State:
    """What is being made, in one line. After `stopped`, nothing more begins, and a compiler ends at its next message."""

    def __init__(self, progress: Callable[[str], None], count: int) -> None:
        self._progress, self._count, self._done = progress, count, 0
        self._lock, self._now = threading.Lock(), dict[str, str]()
        self.stopped = threading.Event()

    def make(self, tool: Tool) -> None:
        self._goes_on()
        try:
            tool.make(lambda message: self._show(tool, message))
        finally:
            with self._lock:
                self._done += 1
                self._now.pop(tool.name, None)

    def _show(self, tool: Tool, message: str) -> None:
        self._goes_on()
        with self._lock:
            self._now[tool.name] = message
            now = "; ".join(self._now.values())
            self._progress(
                f"preparing tools, once for each machine: {self._done} of {self._count} done, {now}"
            )

    def _goes_on(self) -> None:
        if self.stopped.is_set():
            raise LocalError("It was interrupted.")
