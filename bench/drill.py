"""`python -m bench.drill`: runs every drill scenario in a local account, and compares its time with its budget.

make drill                 prints the table
make drill ARGS=--publish  also writes docs/drills.json and docs/benchmarks.md
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from bench import account
from bench.table import machine
from demo.stage import ClaimError, DemoStage
from demo.world import PEOPLE, World, checkout, dirty
from localaws import estate, quota, shell
from localaws.emulator import server
from localaws.errors import LocalError
from localaws.paths import LOCAL, ROOT, locked
from localaws.progress import BuildProgress
from localaws.toolchain.terraform import ensure_terraform
from rollback.config.naming import APPROVER, DEPLOYER, DRILL, ROLLBACK
from rollback.util.errors import RollbackError
from tools.generated import show

FOLDER = LOCAL / "drill"
RESULT, PAGE = ROOT / "docs" / "drills.json", ROOT / "docs" / "benchmarks.md"
MARKERS = ("<!-- drills:begin -->", "<!-- drills:end -->")
ENVIRONMENT, GOOD = "dev", "v1.1.0"
# The specification's five, the automatic one, and the faults for the first.
DRILLED = (("all", ""), ("code", "killed"), ("code", "throttled"))
_PROFILE = "approver"
# As lines of the environment's settings. The threshold is above the errors that earlier drills cause.
_GUARD = (
    "  rollback:guard: {errors: 5, package: build/guard.zip}\n",
    "  rollback:automatic: {takes: true}\n",
)
_FIX = "make drill ARGS=--publish"


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0 all passed, 1 one did not, or the account could not be set up."""
    parser = argparse.ArgumentParser(prog="python -m bench.drill", description=__doc__)
    parser.add_argument(
        "--publish", action="store_true", help="also write docs/drills.json and docs/benchmarks.md"
    )
    parser.add_argument(
        "--check", action="store_true", help="only check that docs/benchmarks.md shows docs/drills.json"
    )
    options = parser.parse_args(arguments)
    if options.check:
        return check()
    stage, began = DemoStage(), time.monotonic()
    try:
        with locked(
            LOCAL / "drill.lock", waiting=lambda: stage.narrate("Waiting for another drill in this checkout.")
        ):
            drills = _drilled(stage)
    except (ClaimError, LocalError, RollbackError, OSError) as error:
        stage.failed("The drills stopped.", f"{type(error).__name__}: {error}")
        return 1
    stage.narrate(f"{len(drills)} drills in {time.monotonic() - began:.0f} s, their account included.")
    if options.publish:
        publish(drills)
    return int(not all(drill["passed"] for drill in drills))


def _drilled(stage: DemoStage) -> list[dict[str, Any]]:
    stage.opening(
        "Incidents, rehearsed",
        "A local account on this machine: every scenario breaks something on purpose and rolls it back.",
    )
    if changed := dirty(ROOT):
        stage.note(f"{changed} files have uncommitted changes: the drills use the last commit.")
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    work, progress = FOLDER / "checkout", BuildProgress(sys.stdout)
    checkout(work)
    try:
        shell.tools(progress)
        emulator = server.start(FOLDER / "state", auth=True, log=FOLDER / "account.log")
    finally:
        progress.done()
    try:
        world = World(stage=stage, emulator=emulator, work=work, folder=FOLDER)
        _declare(world)
        drills = [drill for scenario, fault in DRILLED for drill in _drill(world, scenario, fault)]
        stage.run(
            ["rollback", "drill", "--env", ENVIRONMENT, "--report"],
            cwd=work,
            env=world.variables(ENVIRONMENT, ROLLBACK, PEOPLE[ROLLBACK]),
        )
        return drills
    finally:
        server.stop(emulator)


def _declare(world: World) -> None:
    """An environment with a release that is good: functions, stack and Terraform configuration; shown if it fails."""
    stage = world.stage
    stage.chapter("A healthy environment")
    behind = dataclasses.replace(world, stage=stage.behind())
    try:
        settings = world.settings(ENVIRONMENT)
        shell.prepare(world.emulator.endpoint, settings)
        _guard(behind)
        behind.declare(ENVIRONMENT)
        tool, names = ensure_terraform().name, settings.names
        options = {"bucket": names.state_bucket, "region": settings.region, "use_path_style": "true"}
        backend = [f"-backend-config={name}={value}" for name, value in options.items()]
        behind.run([tool, "-chdir=terraform", "init", "-no-color", *backend], ENVIRONMENT, DEPLOYER)
        behind.run(["git", "add", "terraform/.terraform.lock.hcl"], ENVIRONMENT, DEPLOYER)
        behind.run(["git", "commit", "--quiet", "--message", "Lock the provider"], ENVIRONMENT, DEPLOYER)
        variables = f"-var-file=environments/{ENVIRONMENT}.tfvars"
        apply = ["-chdir=terraform", "apply", "-auto-approve", "-no-color", variables]
        behind.run([tool, *apply], ENVIRONMENT, DEPLOYER)
        estate.deploy(world.client("lambda", ENVIRONMENT, DEPLOYER), settings, GOOD)
        record = ["rollback", "release", "record", "--env", ENVIRONMENT, "--version", GOOD]
        head = (world.work / ".git" / "refs" / "heads" / "main").read_text(encoding="ascii").strip()
        behind.run([*record, "--commit", head, "--terraform-commit", head], ENVIRONMENT, DEPLOYER)
    except ClaimError:
        stage.whole(behind.stage)
        raise
    stage.narrate(f"{ENVIRONMENT} is at {GOOD}: {len(settings.catalogue())} functions, a stack, a table.")


def _guard(world: World) -> None:
    """Declares a guard in the settings, commits them, and makes its function's package. Raises `LocalError`."""
    stack = world.work / f"Pulumi.{ENVIRONMENT}.yaml"
    lines = stack.read_text(encoding="utf-8").splitlines(keepends=True)
    at = lines.index("config:\n") + 1
    stack.write_text("".join([*lines[:at], *_GUARD, *lines[at:]]), encoding="utf-8")
    world.run(["git", "commit", "--quiet", "--message", "Declare the guard", stack.name], ENVIRONMENT, None)
    account.package(world.work)


def _drill(world: World, scenario: str, fault: str) -> list[dict[str, Any]]:
    """One `rollback drill`, shown; what the ledger has of it."""
    stage, person = world.stage, PEOPLE[ROLLBACK]
    stage.chapter(f"{scenario}{f', {fault}' if fault else ''}")
    before = {drill["drill_id"] for drill in _recorded_drills(world)}
    with _quotas(world) if fault == "throttled" else _as_it_is(world) as there:
        variables = there.variables(ENVIRONMENT, DRILL, person) | _approver(world)
        arguments = ["--scenario", scenario, *(["--fault", fault] if fault else [])]
        stage.run(
            ["rollback", "drill", "--env", ENVIRONMENT, *arguments, "--approver-profile", _PROFILE],
            cwd=world.work,
            env=variables,
            credentials=f"{person}, on call, under {world.settings(ENVIRONMENT).names.role(DRILL)}",
        )
    return [drill for drill in _recorded_drills(world) if drill["drill_id"] not in before]


def _recorded_drills(world: World) -> list[dict[str, Any]]:
    """All drills that the ledger has, oldest first."""
    drills = world.query("history --kind drill --limit 100", ENVIRONMENT)
    return list(reversed(drills))


def _approver(world: World) -> dict[str, str]:
    """An AWS profile of the other person, in a separate file."""
    credentials = world.credentials(ENVIRONMENT, APPROVER, PEOPLE[APPROVER])
    file = FOLDER / "aws" / "credentials"
    file.parent.mkdir(exist_ok=True)
    lines = [f"[{_PROFILE}]", *(f"{name.lower()} = {value}" for name, value in credentials.items())]
    file.touch(mode=0o600)
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return {"AWS_SHARED_CREDENTIALS_FILE": str(file)}


@contextmanager
def _quotas(world: World) -> Iterator[World]:
    """The account with Lambda's quotas in front of it."""
    with quota.running(world.emulator.endpoint, quota.AWS) as proxy:
        there = dataclasses.replace(world.emulator, endpoint=proxy.endpoint)
        yield dataclasses.replace(world, emulator=there)


@contextmanager
def _as_it_is(world: World) -> Iterator[World]:
    yield world


# -- what is published ---------------------------------------------------------------------------------------


def publish(drills: Sequence[Mapping[str, Any]]) -> None:
    """Writes the measurements to docs/drills.json and docs/benchmarks.md."""
    rows = [
        {
            name: drill[name]
            for name in ("scenario", "fault", "seconds", "waited_seconds", "rto_seconds", "passed")
        }
        for drill in drills
    ]
    document = {"machine": machine(), "at": datetime.now(UTC).date().isoformat(), "drills": rows}
    RESULT.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    _shown(write=True)


def check() -> int:
    """0 if the page shows what was published, else 1."""
    return _shown(write=False)


def _shown(*, write: bool) -> int:
    return show(
        PAGE,
        MARKERS,
        lambda: section(json.loads(RESULT.read_text(encoding="utf-8"))),
        what="the figures of docs/drills.json",
        write=write,
        fix=_FIX,
    )


def section(document: Mapping[str, Any]) -> str:
    """The measurements, as a Markdown table."""
    lines = [
        f"Drilled on {document['machine']}, on {document['at']}, on the local account (`make drill`).",
        "",
        "| scenario | fault | measured | RTO | pass |",
        "|---|---|--:|--:|---|",
        *(
            f"| {row['scenario']} | {row['fault']} | {row['seconds']:.1f} s | {row['rto_seconds'] // 60} min | "
            f"{'yes' if row['passed'] else 'no'} |"
            for row in document["drills"]
        ),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
