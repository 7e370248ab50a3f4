"""An account to measure in: a real stack for functions with releases, and a checkout for it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from bench import commands, measure, screen
from localaws import estate, identity, shell
from localaws.clients import connect
from localaws.emulator import server
from localaws.errors import LocalError
from localaws.paths import ROOT
from rollback.config.naming import DEPLOYER, ROLLBACK
from rollback.config.settings import Settings, load
from rollback.guard import api as guard_package

ENVIRONMENT = "dev"
GOOD = "v1.0.0"
_FILES = ("Pulumi.yaml", f"Pulumi.{ENVIRONMENT}.yaml", f"Pulumi.{ENVIRONMENT}-foundation.yaml")
_PROGRAM = ("components", "rollback")
_COMMIT = "0" * 40
# Aliases that the engine declares: it writes its whole state for each.
_DECLARED = 1000
_BATCH = 25
# No pacing for steps that are not measured.
_UNPACED = {"writes": 1000, "burst": 1000, "reads": 10000}


@dataclass(frozen=True, kw_only=True, slots=True)
class MeasuredRun:
    """A command's result, time and memory: `memory` is its peak, in bytes."""

    code: int
    seconds: float
    memory: int
    output: str


@dataclass(kw_only=True)
class BenchAccount:
    """A started account with the release `GOOD` recorded; `checkout` has the environment's own pace."""

    endpoint: str
    settings: Settings
    checkout: Path
    unpaced: Path
    roles: bool
    releases: int = field(default=0)

    @property
    def functions(self) -> tuple[str, ...]:
        return tuple(self.settings.catalogue())

    def release(self) -> str:
        """Deploys and records another release, which changes every function."""
        self.releases += 1
        version = f"v1.1.{self.releases}"
        estate.deploy(connect("lambda", self.endpoint, self.settings), self.settings, version)
        self._record(version)
        return version

    def rollback(
        self, *arguments: str, endpoint: str | None = None, paced: bool = True, role: str = ROLLBACK
    ) -> MeasuredRun:
        """Runs and measures the console script under a role. Raises `LocalError` if it fails."""
        command = [str(Path(sys.executable).parent / "rollback"), *arguments]
        folder = self.checkout if paced else self.unpaced
        ran = measured(command, folder, self.environment(role, endpoint))
        if ran.code:
            raise LocalError(f"{' '.join(command)} ended with {ran.code}:\n{ran.output[-2000:]}")
        return ran

    def first_screen(self, *arguments: str, sign: str, endpoint: str) -> float:
        """Seconds until the console script has shown `sign` on a terminal. Raises `LocalError` as `screen.first` does."""
        command = [str(Path(sys.executable).parent / "rollback"), *arguments]
        return screen.first(command, self.checkout, self.environment(ROLLBACK, endpoint), sign)[0]

    def roll_back(self, *, endpoint: str | None = None, paced: bool = True) -> MeasuredRun:
        """`rollback lambda` to the previous release, checked to have moved every function."""
        ran = self.rollback(
            "lambda",
            "--env",
            ENVIRONMENT,
            "--reason",
            "measuring",
            "--json",
            endpoint=endpoint,
            paced=paced,
        )
        record = json.loads(ran.output)
        if record["status"] != "COMPLETE" or record["counts"]["moved"] != len(self.functions):
            raise LocalError(
                f"The rollback did not move every function: {record['status']}, {record['counts']}"
            )
        return ran

    def remember(self, count: int) -> None:
        """Adds `count` records and releases to the history, alternately: copies of the newest of each."""
        table = self.settings.names.deployments_table
        client = connect("dynamodb", self.endpoint, self.settings)
        found = client.query(
            TableName=table,
            IndexName="GSI1",
            ScanIndexForward=False,
            KeyConditionExpression="GSI1PK = :pk",
            ExpressionAttributeValues={":pk": {"S": f"ENV#{ENVIRONMENT}"}},
        )["Items"]
        kinds = [
            next(item for item in found if item["PK"]["S"].startswith(kind))
            for kind in ("ROLLBACK#", "DEPLOYMENT#")
        ]
        copies = [_copy(kinds[number % 2], number) for number in range(count)]
        for start in range(0, count, _BATCH):
            puts = [{"PutRequest": {"Item": item}} for item in copies[start : start + _BATCH]]
            client.batch_write_item(RequestItems={table: puts})

    def largest_item(self) -> int:
        """Bytes of the ledger's largest item, as JSON."""
        client = connect("dynamodb", self.endpoint, self.settings)
        pages = client.get_paginator("scan").paginate(TableName=self.settings.names.deployments_table)
        return max(len(json.dumps(item).encode()) for page in pages for item in page["Items"])

    def environment(self, role: str, endpoint: str | None = None) -> dict[str, str]:
        """A process's environment in this account, under a role that was really assumed.

        As the account's root if there are no roles.
        """
        credentials = identity.assume(self.endpoint, self.settings, role, "bench") if self.roles else None
        return _environment(endpoint or self.endpoint, self.settings, self.unpaced, credentials)

    def _record(self, version: str) -> None:
        arguments = ("release", "record", "--env", ENVIRONMENT, "--version", version, "--commit", _COMMIT)
        self.rollback(*arguments, paced=False, role=DEPLOYER)


@contextlib.contextmanager
def running(
    folder: Path,
    progress: Callable[[str], None],
    services: Mapping[str, Sequence[str]] | None = None,
    *,
    guard: Mapping[str, Any] | None = None,
) -> Iterator[BenchAccount]:
    """An account while the block runs, with `services` or this project's own catalogue.

    Functions at `GOOD`, the environment declared around them by a real `pulumi up`, policies evaluated, the release
    recorded, no smoke command. With `services` of its own it has no roles, and the aliases of more than a thousand
    functions are made with them (`program`). `guard` is that setting: with it an alarm may take what is on standby.
    Raises `LocalError`.
    """
    more: dict[str, Any] = {"guard": dict(guard), "automatic": {"takes": True}} if guard is not None else {}
    checkout = _checkout(folder / "checkout", services, **more)
    unpaced = _checkout(folder / "unpaced", services, pace=_UNPACED, **more)
    settings = load(checkout, ENVIRONMENT)
    count = len(settings.catalogue())
    with server.running(auth=True) as emulator:
        progress(f"{count} functions: deploying")
        shell.make_bucket(connect("s3", emulator.endpoint, settings), settings)
        estate.establish(connect("iam", emulator.endpoint, settings), settings)
        declared = count <= _DECLARED
        functions = connect("lambda", emulator.endpoint, settings)
        estate.deploy(functions, settings, GOOD, create_alias=not declared)
        if guard is not None:
            progress("the guard's package")
            # As people are paced, so is the guard.
            package(checkout, unpaced)
        progress(f"{count} functions: pulumi up")
        env = _environment(emulator.endpoint, settings, unpaced, None)
        env["BENCH_ALIASES"] = "declared" if declared else "there"
        _up(settings.names.foundation_stack if services is None else ENVIRONMENT, unpaced, env)
        if services is None:
            deployer = identity.assume(emulator.endpoint, settings, DEPLOYER, "bench")
            _up(ENVIRONMENT, unpaced, _environment(emulator.endpoint, settings, unpaced, deployer))
        account = BenchAccount(
            endpoint=emulator.endpoint,
            settings=settings,
            checkout=checkout,
            unpaced=unpaced,
            roles=services is None,
        )
        account._record(GOOD)  # noqa: SLF001 - this module's own
        yield account


def generated(count: int) -> dict[str, list[str]]:
    """A catalogue of `count` functions in ten services."""
    return {
        f"bench{number}_service": [f"bench{number}-service-{index}" for index in range(number, count, 10)]
        for number in range(min(10, count))
    }


def measured(command: Sequence[str], folder: Path, env: Mapping[str, str]) -> MeasuredRun:
    """Runs a command in `folder`; returns its standard output, or all of its output if it failed."""
    ours, child_end = os.pipe()
    with os.fdopen(ours) as report:
        try:
            done = subprocess.run(
                [sys.executable, "-I", "-S", measure.__file__, str(child_end), *command],
                cwd=folder,
                env=env,
                pass_fds=(child_end,),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
            )
        finally:
            os.close(child_end)
        text = report.read()
    if not text:
        raise LocalError(f"{command[0]} could not be started:\n{done.stderr[-2000:]}")
    document = json.loads(text)
    return MeasuredRun(**document, output=done.stdout if not document["code"] else done.stderr + done.stdout)


def _copy(item: Mapping[str, Any], number: int) -> dict[str, Any]:
    """A METADATA item of another id, an hour and more before it."""
    identifier, at = (
        f"{number:026d}",
        f"2026-01-01T{number // 3600:02d}:{number // 60 % 60:02d}:{number % 60:02d}.000Z",
    )
    kind = item["PK"]["S"].partition("#")[0]
    fields = {"ROLLBACK": ("rollback_id", "initiated_at"), "DEPLOYMENT": ("deployment_id", "recorded_at")}[
        kind
    ]
    return {
        **item,
        "PK": {"S": f"{kind}#{identifier}"},
        "GSI1SK": {"S": f"{at}#{identifier}"},
        fields[0]: {"S": identifier},
        fields[1]: {"S": at},
    }


def package(checkout: Path, *others: Path) -> None:
    """The guard's package with the settings of `checkout`, where the program looks for it."""
    made, _ = guard_package.build(ENVIRONMENT, folder=checkout)
    for other in others:
        shutil.copy(made, other / made.name)


def _checkout(
    folder: Path,
    services: Mapping[str, Sequence[str]] | None,
    *,
    pace: Mapping[str, float] | None = None,
    **more: Any,
) -> Path:
    """A git checkout of this project with settings of its own."""
    folder.mkdir(parents=True)
    for name in _FILES:
        shutil.copy(ROOT / name, folder / name, follow_symlinks=False)
    for name in _PROGRAM:
        (folder / name).symlink_to(ROOT / name)
    program = ROOT / "__main__.py" if services is None else Path(__file__).parent / "program.py"
    (folder / "__main__.py").symlink_to(program)
    (folder / ".venv").symlink_to(sys.prefix)
    project: dict[str, Any] = yaml.safe_load((folder / "Pulumi.yaml").read_text(encoding="utf-8"))
    config = project["config"]
    config["smoke"]["default"] = []
    if services is not None:
        config["services"]["default"] = {name: list(tails) for name, tails in services.items()}
    if pace is not None:
        config["pace"]["default"] = dict(pace)
    for name, value in more.items():
        config[name] = {"type": "object", "default": value}
    (folder / "Pulumi.yaml").write_text(yaml.safe_dump(project, sort_keys=False), encoding="utf-8")
    author = ("-c", "user.name=bench", "-c", "user.email=bench@localhost", "-c", "commit.gpgsign=false")
    for parts in (
        ("init", "-q", "-b", "main"),
        ("add", *_FILES),
        (*author, "commit", "-q", "-m", "The settings to measure with"),
    ):
        subprocess.run(["git", "-C", str(folder), *parts], check=True, capture_output=True)
    return folder


def _up(stack: str, folder: Path, env: Mapping[str, str]) -> None:
    commands.run(["pulumi", "--non-interactive", "stack", "init", stack], folder, env)
    options = ("--yes", "--skip-preview", "--stack", stack)
    commands.run(["pulumi", "--non-interactive", "up", *options], folder, env)


def _environment(
    endpoint: str, settings: Settings, folder: Path, credentials: Mapping[str, str] | None
) -> dict[str, str]:
    return {
        **shell.inherited(),
        **shell.environment(endpoint, settings, identity=credentials, folder=folder / ".local"),
    }
