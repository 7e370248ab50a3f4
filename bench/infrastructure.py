"""Rollbacks of infrastructure, compared with what a careful operator types for the same."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from bench import account, commands, programs
from bench.account import ENVIRONMENT, MeasuredRun
from bench.table import Measurement
from localaws import shell
from localaws.clients import connect
from localaws.emulator import server
from localaws.errors import LocalError
from localaws.paths import ROOT
from localaws.toolchain import terraform
from rollback.config.settings import Settings, load

_TRACKED = ("requirements.txt", "Pulumi.yaml", f"Pulumi.{ENVIRONMENT}.yaml")
_FOLDERS = ("components", "rollback", "terraform")
_GIT = ("-c", "user.name=bench", "-c", "user.email=bench@localhost", "-c", "commit.gpgsign=false")
# From this number of resources on the ratio counts; below it, the additional seconds.
_LARGE = 100
_RATIO, _SECONDS = 1.10, 2.0


@dataclass(frozen=True, kw_only=True)
class Repository:
    """A git checkout with a stack and a Terraform root of `size` resources each, at revisions 1 and 2."""

    folder: Path
    settings: Settings
    environment: dict[str, str]
    good: str
    size: int

    def run(self, *arguments: str, cwd: str = ".") -> None:
        """Runs a command without measuring it. Raises `LocalError` if it fails."""
        commands.run(arguments, self.folder / cwd, self.environment)

    def measured(self, *arguments: str) -> MeasuredRun:
        ran = account.measured(arguments, self.folder, self.environment)
        if ran.code:
            raise LocalError(f"{shlex.join(arguments)} ended with {ran.code}:\n{ran.output[-2000:]}")
        return ran

    def roll_back(self, kind: str, changed: int) -> float:
        """`rollback KIND` to the good commit, checked to have changed what it should; the seconds taken."""
        arguments = ("--env", ENVIRONMENT, "--to", self.good, "--reason", "measuring", "--yes", "--json")
        ran = self.measured(str(Path(sys.executable).parent / "rollback"), kind, *arguments)
        record = json.loads(ran.output)
        if record["status"] != "COMPLETE" or record["infrastructure"]["update"] != changed:
            raise LocalError(
                f"The rollback did not change what it should: {record['status']}, {record['infrastructure']}"
            )
        return ran.seconds

    def by_hand(self, script: str) -> float:
        """A script in a worktree at the good commit, which the script creates and removes."""
        lines = (
            f"git worktree add -q --detach work {self.good}",
            "ln -s ../.venv work/.venv",
            f"(cd work && {script})",
            "git worktree remove --force work",
        )
        return self.measured("sh", "-ec", "\n".join(lines)).seconds


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """What is rolled back: by `rollback WORD`, or by a script; after it was deployed again by `forward`.

    `changed` is how many of its resources a revision changes.
    """

    word: str
    changed: int
    script: str
    forward: Callable[[], None]


def rows(scratch: Path, progress: Callable[[str], None], size: int, pairs: int) -> Iterator[Measurement]:
    """Ours and theirs, for a stack and for a Terraform configuration of `size` resources.

    Of `pairs` measurements (an odd number) it yields the one with the median ratio.
    """
    with server.running(auth=True) as emulator:
        where = _repository(scratch / f"repository-{size}", emulator.endpoint, size)
        progress(f"stack of {size}: pulumi up")
        where.run("pulumi", "--non-interactive", "stack", "init", ENVIRONMENT)
        for kind in (_stack(where), _terraform(where, str(terraform.ensure_terraform(progress)))):
            yield _pairs(kind, where, progress, pairs)


def _pairs(kind: Benchmark, where: Repository, progress: Callable[[str], None], pairs: int) -> Measurement:
    ours: list[float] = []
    baseline: list[float] = []

    def again(number: int, seconds: list[float], name: str, back: Callable[[], float]) -> None:
        progress(f"{where.size} resources: deploying what is rolled back next")
        kind.forward()
        progress(f"{where.size} resources: {name}, {number} of {pairs}")
        seconds.append(back())

    # Work that only the first run has (a backend's folders, a provider's link) is not measured.
    kind.forward()
    for number in range(1, pairs + 1):
        again(number, ours, f"rollback {kind.word}", lambda: where.roll_back(kind.word, kind.changed))
        again(number, baseline, f"{kind.word} by hand", lambda: where.by_hand(kind.script))
    # If the machine is slower for a while, that affects both measurements of a pair.
    own, hand = sorted(zip(ours, baseline, strict=True), key=lambda pair: pair[0] / pair[1])[pairs // 2]
    return Measurement(
        name=f"rollback {kind.word} of {where.size} resources, against plan, apply and check by hand",
        ours=own,
        theirs=hand,
        bar=_RATIO if where.size >= _LARGE else round((hand + _SECONDS) / hand, 3),
    )


def _stack(where: Repository) -> Benchmark:
    def pulumi(arguments: str) -> str:
        return f"pulumi --non-interactive {arguments} --stack {ENVIRONMENT}"

    steps = ("preview", "up --yes --skip-preview", "preview --expect-no-changes")
    return Benchmark(
        word="stack",
        changed=where.size - programs.OWN,
        script=" && ".join(map(pulumi, steps)),
        forward=lambda: where.run(*shlex.split(pulumi("up --yes --skip-preview"))),
    )


def _terraform(where: Repository, tool: str) -> Benchmark:
    options = {
        "bucket": where.settings.names.state_bucket,
        "region": where.settings.region,
        "use_path_style": "true",
    }
    backend = " ".join(f"-backend-config={name}={value}" for name, value in options.items())
    var = f"-input=false -var-file=environments/{ENVIRONMENT}.tfvars"
    apply = (
        f"cd terraform && {tool} init -input=false {backend} && {tool} plan {var} -out=f && {tool} apply "
        "-input=false f"
    )
    return Benchmark(
        word="terraform",
        changed=where.size - programs.ROOTS,
        script=f"{apply} && {tool} plan {var} -detailed-exitcode",
        forward=lambda: where.run("sh", "-ec", apply),
    )


def _repository(folder: Path, endpoint: str, size: int) -> Repository:
    for name in _FOLDERS:
        shutil.copytree(
            ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", ".terraform*")
        )
    for name in _TRACKED:
        shutil.copy(ROOT / name, folder / name)
    (folder / ".gitignore").write_text(".venv\n.local\n__pycache__\n.terraform*\nf\n", encoding="utf-8")
    (folder / ".venv").symlink_to(sys.prefix)
    project: dict[str, Any] = yaml.safe_load((folder / "Pulumi.yaml").read_text(encoding="utf-8"))
    values = {"smoke": [], "services": {"bench_service": ["bench-one"]}, "minimumFunctions": 0}
    for name, value in values.items():
        project["config"][name]["default"] = value
    (folder / "Pulumi.yaml").write_text(yaml.safe_dump(project, sort_keys=False), encoding="utf-8")
    settings = load(folder, ENVIRONMENT)
    shell.make_bucket(connect("s3", endpoint, settings), settings)
    kept = {
        **shell.inherited(),
        **shell.environment(endpoint, settings, folder=folder / ".local"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    where = Repository(folder=folder, settings=settings, environment=kept, good="", size=size)
    where.run("git", "init", "-q", "-b", "main")
    commits = [_commit(where, revision) for revision in ("1", "2")]
    return Repository(folder=folder, settings=settings, environment=kept, good=commits[0], size=size)


def _commit(where: Repository, revision: str) -> str:
    """Both programs at a revision; the commit."""
    program = programs.STACK.format(more=where.size - programs.OWN, revision=revision)
    (where.folder / "__main__.py").write_text(program, encoding="utf-8")
    more = programs.TERRAFORM.format(more=where.size - programs.ROOTS, revision=revision)
    (where.folder / "terraform" / "bench.tf").write_text(more, encoding="utf-8")
    where.run("git", "add", ".")
    where.run("git", *_GIT, "commit", "-q", "-m", f"Revision {revision}")
    completed = subprocess.run(
        ["git", "-C", str(where.folder), "rev-parse", "HEAD"], capture_output=True, text=True, check=True
    )
    return completed.stdout.strip()
