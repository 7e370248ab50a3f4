"""What the ledger and git know is refused before an engine is started: its process would tell of it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from rollback.ledger.lease import STACK as STACK_LEASE
from rollback.lifecycle.freeze import freeze
from rollback.lifecycle.lifecycle import Lifecycle
from rollback.lifecycle.quarantine import manual_entry
from rollback.model.release import STACK, Quarantine
from rollback.model.request import StackRequest
from rollback.util.errors import Code, RollbackError
from tests.coded import coded
from tests.doubles.world import ALICE, BOB, DAN, Quiet, World, texts

UNKNOWN = "f" * 40


@dataclass(frozen=True, kw_only=True)
class Checkout:
    """A repository with a project at `good`, and another project, or a branch of its own, at the others."""

    root: Path
    good: str
    other: str
    branch: str
    mark: Path

    @property
    def engine_started(self) -> bool:
        return self.mark.exists()


def git(root: Path, *arguments: str) -> str:
    actor = ("-c", "user.name=dan", "-c", "user.email=dan@example.org", "-c", "commit.gpgsign=false")
    done = subprocess.run(
        ["git", *actor, "-C", str(root), *arguments],
        env={**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def committed(root: Path, name: str) -> str:
    project, stack = texts()
    (root / "Pulumi.yaml").write_text(json.dumps({**json.loads(project), "name": name}))
    (root / "Pulumi.dev.yaml").write_text(stack)
    git(root, "add", ".")
    git(root, "commit", "-q", "--allow-empty", "-m", name)
    return git(root, "rev-parse", "HEAD")


@pytest.fixture
def checkout(world: World, monkeypatch: pytest.MonkeyPatch) -> Checkout:
    """The world's checkout, and on PATH a program that leaves a mark and fails, in the engine's place."""
    root, mark, tools = world.root, world.root.parent / "started", world.root.parent / "tools"
    tools.mkdir(exist_ok=True)
    (tools / "pulumi").write_text(f"#!/bin/sh\necho started >> {mark}\nexit 1\n")
    (tools / "pulumi").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PULUMI_BACKEND_URL", f"file://{world.root.parent}")
    git(root, "init", "-q", "-b", "main")
    other, good = committed(root, "other"), committed(root, "rollback")
    git(root, "checkout", "-q", "-b", "feature")
    branch = committed(root, "rollback")
    git(root, "checkout", "-q", "main")
    return Checkout(root=root, good=good, other=other, branch=branch, mark=mark)


def start(world: World, commit: str) -> None:
    session = world.session(DAN)
    with session.closing:
        flow = Lifecycle(session=session, ui=Quiet())
        flow.start("stack", StackRequest(commit=commit), "checkout fails", yes=True)


def frozen(world: World, checkout: Checkout) -> str:
    freeze(world.session(BOB), "an incident")
    return checkout.good


def lease_held(world: World, checkout: Checkout) -> str:
    world.session(BOB).leases.take(STACK_LEASE, "01OTHER")
    return checkout.good


def quarantined(world: World, checkout: Checkout) -> str:
    session = world.session(BOB)
    barred = Quarantine(service=STACK, version=checkout.good, reason="bad", by=ALICE, at=session.clocks.now())
    session.ledger.append(
        manual_entry(session, "quarantine", checkout.good, "bad", barred.at), quarantines=[barred]
    )
    return checkout.good


@pytest.mark.parametrize(
    ("prepared", "code"),
    [
        (frozen, Code.FROZEN),
        (lease_held, Code.LEASE_HELD),
        (quarantined, Code.QUARANTINED),
        (lambda _, __: UNKNOWN, Code.UNKNOWN_COMMIT),
        (lambda _, checkout: checkout.branch, Code.NOT_ON_PROTECTED_BRANCH),
        (lambda _, checkout: checkout.other, Code.COMMIT_UNUSABLE),
    ],
    ids=["frozen", "lease held", "quarantined", "unknown", "another branch", "another project"],
)
def test_no_engine_is_started_for_what_is_refused_without_it(
    world: World, checkout: Checkout, prepared: Callable[[World, Checkout], str], code: Code
) -> None:
    commit = prepared(world, checkout)

    with pytest.raises(RollbackError, check=coded(code)):
        start(world, commit)

    assert not checkout.engine_started


def test_an_engine_is_started_for_what_nothing_speaks_against(world: World, checkout: Checkout) -> None:
    with pytest.raises(RollbackError, check=coded(Code.TOOL_MISSING)):
        start(world, checkout.good)

    assert checkout.engine_started
