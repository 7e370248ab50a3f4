"""A stack put back by the real engine: done, undone, cut off at any moment, and gone on with.

One stack in a bucket, its project in a subfolder, and two commits that have both been deployed. Each test
finds one of them standing, at rest, and is about the way to the other: which one is which is nothing to it.
"""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest

from localaws.emulator import server
from rollback.config.settings import parse
from rollback.engines.pulumi.update_history import deployed_commit, history
from rollback.model.plan import Plan
from rollback.model.release import STACK
from rollback.model.request import StackRequest
from rollback.model.resource_changes import ResourceChange
from rollback.targets.base import Outcome
from rollback.targets.stack.events import EngineBegan
from rollback.targets.stack.target import Stack
from rollback.util.errors import Code, Refused
from rollback.util.process_identity import Process
from tests.coded import coded
from tests.doubles.journal import Memory
from tests.doubles.world import texts
from tests.integration.stack_under_test import REGION, Estate, engine_path
from tests.proxy import Held, Proxy
from tests.sharing import Shared

OLD = 'parameter("a", "one")\nparameter("gone", "was")\ntable("data")\n'
NEW = 'parameter("a", "two")\nparameter("b", "new")\ntable("data")\npulumi.export("rev", 2)\n'
BUCKET = "stack-update-state"
T = TypeVar("T")


@dataclass(kw_only=True)
class World:
    """The stack and its two commits. `deployed` is the one that a test which passes has left, at rest."""

    estate: Estate
    proxy: Proxy
    old: str
    new: str
    deployed: str
    threads: list[threading.Thread] = field(default_factory=list)

    @property
    def other(self) -> str:
        return self.old if self.deployed == self.new else self.new

    def end(self) -> None:
        """Nothing waits any more, nothing runs any more."""
        self.proxy.forget()
        while self.threads:
            self.threads.pop().join()
        self.estate.close()

    def beside(self, do: Callable[[], T]) -> Callable[[], T]:
        """Runs `do` in a thread; what is returned waits for it."""
        found: list[T] = []
        thread = threading.Thread(target=lambda: found.append(do()))
        self.threads.append(thread)
        thread.start()

        def wait() -> T:
            thread.join()
            return found[0]

        return wait

    def values(self, commit: str) -> dict[str, str]:
        """The parameters that a commit declares."""
        return {"a": "one", "gone": "was"} if commit == self.old else {"a": "two", "b": "new"}

    def created(self, commit: str) -> str:
        """The parameter that is made on the way to a commit."""
        return "gone" if commit == self.old else "b"


@contextmanager
def made(folder: Path) -> Iterator[World]:
    path = engine_path()
    with (
        server.running(auth=False) as emulator,
        Proxy(emulator.endpoint) as proxy,
        pytest.MonkeyPatch.context() as patch,
    ):
        backend = f"s3://{BUCKET}?endpoint={emulator.endpoint}&s3ForcePathStyle=true&region={REGION}"
        estate = Estate.create(
            folder, path=path, endpoint=proxy.endpoint, backend=backend, bucket=BUCKET, project="infra"
        )
        for name, value in estate.environment.items():
            patch.setenv(name, value)
        old, new = estate.deploy(OLD, "the first"), estate.deploy(NEW, "the second")
        yield World(estate=estate, proxy=proxy, old=old, new=new, deployed=new)


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared[World]]:
    with Shared(lambda: made(tmp_path_factory.mktemp("update"))) as shared:
        yield shared


@pytest.fixture
def world(worlds: Shared[World], request: pytest.FixtureRequest) -> Iterator[World]:
    with worlds.lent(request) as world:
        yield world
        world.end()


def test_it_goes_back_and_is_verified_and_the_history_shows_which_commit_is_deployed(world: World) -> None:
    estate, target, journal, goal = world.estate, world.estate.target(), Memory(), world.other
    plan = target.plan(StackRequest())

    outcome = target.execute(plan, journal)

    assert outcome == Outcome()
    assert estate.values() == world.values(goal)
    assert [(check.check, check.ok) for check in target.verify(plan)] == [("stack", True)]
    assert target.counts(plan, journal.events) == {
        "planned": 4,
        "moved": 4,
        "confirmed": 0,
        "failed": 0,
        "reverted": 0,
        "untouched": 0,
    }
    target.publish(plan, plan.left(undone=False), journal.events)
    assert estate.parameters.values == {"/acme/dev/pulumi-commit": goal}
    newest, *others = _history(estate)
    assert newest == ("update", "succeeded", goal, False, True)
    assert ("update", "succeeded", world.deployed, False, False) in others
    assert not any(one[4] for one in others)
    world.deployed = goal


def test_a_history_of_more_than_the_engines_ten_is_reported_to_its_end(world: World) -> None:
    s3, prefix = world.estate.aws("s3"), ".pulumi/history/rollback/dev/"
    keys = [item["Key"] for item in s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix)["Contents"]]
    entries = [key for key in keys if key.endswith(".history.json")]
    earlier = [f"{prefix}dev-{number:019}.history.json" for number in range(1, 11)]
    for key in earlier:
        s3.copy_object(Bucket=BUCKET, Key=key, CopySource={"Bucket": BUCKET, "Key": min(entries)})

    updates = _history(world.estate)

    for key in earlier:
        s3.delete_object(Bucket=BUCKET, Key=key)
    assert len(updates) == len(entries) + 10
    assert updates[-10:] == [updates[-11]] * 10


def test_a_person_who_deploys_meanwhile_is_named_and_nothing_is_done(world: World) -> None:
    """The person deploys the commit which the rollback was to go to as well."""
    estate, target, journal, goal = world.estate, world.estate.target(), Memory(), world.other
    plan = target.plan(StackRequest(commit=goal))
    held = world.proxy.hold("PutParameter")
    estate.git("checkout", "-q", goal)
    deployed = world.beside(estate.up)
    held.wait()

    outcome = target.execute(plan, journal)
    with pytest.raises(
        Refused, match=r"The stack is being updated by .*@.* \(pid \d+\)", check=coded(Code.STATE_LOCKED)
    ):
        estate.plan(world.deployed)

    assert outcome.revert
    assert "locked by" in outcome.failures[0].reason
    assert target.undo(plan, journal) == Outcome()
    held.release()
    deployed()
    estate.git("checkout", "-q", "main")
    world.deployed = goal


def test_ctrl_c_lets_the_engine_end_in_good_order_and_resume_goes_on(world: World) -> None:
    estate, target, journal, goal = world.estate, world.estate.target(), Memory(), world.other
    plan = target.plan(StackRequest(commit=goal))
    held = world.proxy.hold_answers("PutParameter")

    done = world.beside(lambda: target.execute(plan, journal))
    held.wait()
    journal.stop.set()
    threading.Timer(0.5, held.release).start()
    interrupted = done()
    resumed = estate.target().execute(plan, journal.next_holder())

    assert interrupted == Outcome(interrupted=True)
    assert _locks(estate) == []
    assert resumed == Outcome()
    assert estate.values() == world.values(goal)
    world.deployed = goal


@pytest.mark.parametrize("option", ["resume", "abort"])
def test_an_engine_that_was_killed_while_it_created_is_cleared_away_and_gone_on_with(
    world: World, option: str
) -> None:
    estate, target, journal, goal = world.estate, world.estate.target(), Memory(), world.other
    plan = target.plan(StackRequest(commit=goal))
    created = world.created(goal)
    held = world.proxy.hold_answers("PutParameter", containing=f"/demo/{created}".encode())

    killed = _killed(world, target, plan, journal, held)
    assert killed.failures
    assert len(_locks(estate)) == 1
    again = journal.next_holder()
    other = estate.target()
    outcome = other.execute(plan, again) if option == "resume" else other.undo(plan, again)

    assert outcome == Outcome()
    assert _locks(estate) == []
    assert [event.data["proof"] for event in again.events if event.kind == "unlocked"] == [
        "it belongs to this record, and its process has ended"
    ]
    (adopted,) = [event.data for event in again.events if event.kind == "adopted"]
    assert [urn.rpartition("::")[2] for urn in adopted["urns"]] == [created]
    assert option == "abort" or "untouched" not in {
        one["outcome"] for one in other.outcomes(plan, again.events)
    }
    deployed = goal if option == "resume" else world.deployed
    assert estate.values() == world.values(deployed)
    world.deployed = deployed


def test_a_lock_of_another_machine_needs_a_persons_confirmation(world: World) -> None:
    estate, target, journal, goal = world.estate, world.estate.target(), Memory(), world.other
    plan = target.plan(StackRequest(commit=goal))
    elsewhere = Process(user="dan", host="elsewhere", pid=7, began="1", space="")
    journal.append(EngineBegan(process=elsewhere, run="", back=False))
    key = ".pulumi/locks/organization/rollback/dev/0f1e.json"
    lock = {"pid": 7, "username": "dan", "hostname": "elsewhere", "timestamp": "2026-11-24T18:28:52Z"}
    estate.aws("s3").put_object(Bucket=BUCKET, Key=key, Body=json.dumps(lock).encode())
    again = journal.next_holder()

    with pytest.raises(Refused, match="another machine", check=coded(Code.STATE_LOCKED)) as refused:
        estate.target().execute(plan, again)
    assert "--confirm-dead elsewhere:7" in refused.value.next
    assert _locks(estate) == [key]

    assert estate.target(confirm_dead="elsewhere:7").execute(plan, again) == Outcome()
    assert [event.data for event in again.events if event.kind == "unlocked"] == [
        {"uuid": "0f1e", "holder": "elsewhere:7", "proof": "a person confirmed that it is dead"}
    ]
    world.deployed = goal


def test_an_engine_that_fails_half_way_names_the_step_and_resume_does_the_rest(world: World) -> None:
    estate, target, journal, goal = world.estate, world.estate.target(), Memory(), world.other
    plan = target.plan(StackRequest(commit=goal))
    name = world.created(goal)

    body = f"/demo/{name}".encode()
    world.proxy.refuse("PutParameter", status=400, code="ParameterLimitExceeded", containing=body)

    outcome = target.execute(plan, journal)
    journal.failed(outcome.failures)

    assert [one.subject.rpartition("::")[2] for one in outcome.failures] == [name]
    assert "ParameterLimitExceeded" in outcome.failures[0].reason
    assert not outcome.revert
    assert target.counts(plan, journal.events)["failed"] == 1
    assert _history(estate)[0][:3] == ("update", "failed", goal)
    assert estate.target().execute(plan, journal.next_holder()) == Outcome()
    assert estate.values() == world.values(goal)
    world.deployed = goal


def test_more_than_was_approved_is_planned_anew_and_a_dirty_update_is_nothing_to_come_back_to(
    world: World,
) -> None:
    """Somebody deploys what stands with something more in it after the plan to leave it was made."""
    estate, journal, deployed = world.estate, Memory(), world.deployed
    plan = estate.target().plan(StackRequest(commit=world.other))
    elsewhere = Process(user="dan", host="x", pid=1, began="1", space="")
    journal.append(EngineBegan(process=elsewhere, run="", back=False))
    estate.git("checkout", "-q", deployed)
    estate.write("__main__.py", (estate.program / "__main__.py").read_text() + 'parameter("more", "than")\n')
    estate.up()
    estate.git("checkout", "-q", "--force", "main")
    estate.pulumi("refresh", "--yes", "--skip-preview", "--stack", "dev")

    anew = estate.target().execute(plan, journal.next_holder())
    target, journal = estate.target(), Memory()
    plan = target.plan(StackRequest())
    done = target.execute(plan, journal)
    failed = estate.target().undo(plan, journal.next_holder())

    assert anew.anew
    assert "more than was approved" in anew.failures[0].reason
    assert plan.targets == {STACK: deployed}
    assert (plan.leaves, plan.quarantines, plan.from_version) == ({}, {}, f"{deployed[:12]}-dirty")
    assert done == Outcome()
    assert "commit that was deployed before is unknown" in failed.failures[0].reason
    updates = _history(estate)
    assert [(one[0], one[3], one[4]) for one in updates[:3]] == [
        ("update", False, True),
        ("refresh", False, False),
        ("update", True, False),
    ]
    assert not any(one[4] for one in updates[3:])
    assert deployed_commit(estate.program, parse("dev", *texts())) == (deployed, "")
    world.deployed = deployed


def _history(estate: Estate) -> list[tuple[str, str, str, bool, bool]]:
    """The engine's history: kind, result, commit, whether dirty, whether it stands."""
    updates = history(estate.program, parse("dev", *texts()), 100)
    return [(one.kind, one.result, one.commit, one.dirty, one.stands) for one in updates]


def _locks(estate: Estate) -> list[str]:
    listed = estate.aws("s3").list_objects_v2(Bucket=BUCKET, Prefix=".pulumi/locks/")
    return [item["Key"] for item in listed.get("Contents", [])]


def _killed(world: World, target: Stack, plan: Plan[ResourceChange], journal: Memory, held: Held) -> Outcome:
    """An update whose engine gets SIGKILL while it creates a parameter that is there already."""
    done = world.beside(lambda: target.execute(plan, journal))
    held.wait()
    pid: Any = next(event.data["process"]["pid"] for event in journal.events if event.kind == "began")
    os.kill(pid, signal.SIGKILL)
    outcome = done()
    held.release()
    return outcome
