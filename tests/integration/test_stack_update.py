"""A stack put back by the real engine: done, undone, cut off at any moment, and gone on with.

One stack in a bucket, its project in a subfolder, deployed once: the tests of this module run in their order
and share what stands. Each goes from one of two commits to the other.
"""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from stack_under_test import REGION, Estate

from local.emulator import server
from local.engine.build import ensure_engine, ensure_plugins
from rollback.engine import deployed_commit, history
from rollback.errors import Refused
from rollback.plan import Plan, Request
from rollback.processes import Process
from rollback.releases import STACK
from rollback.settings import parse
from rollback.targets.changes import Change
from rollback.targets.protocol import Outcome
from rollback.targets.stack import Stack
from tests.doubles.journal import Memory
from tests.doubles.world import texts
from tests.proxy import Held, Proxy

pytestmark = pytest.mark.xdist_group("stack-update")

OLD = 'parameter("a", "one")\nparameter("gone", "was")\ntable("data")\n'
NEW = 'parameter("a", "two")\nparameter("b", "new")\ntable("data")\npulumi.export("rev", 2)\n'
BUCKET = "stack-update-state"


@dataclass(kw_only=True)
class World:
    """The stack and its two commits; `stands` is where the last test has left it."""

    estate: Estate
    proxy: Proxy
    old: str
    new: str
    stands: str

    @property
    def other(self) -> str:
        return self.old if self.stands == self.new else self.new

    def values(self, commit: str) -> dict[str, str]:
        """The parameters that a commit declares."""
        return {"a": "one", "gone": "was"} if commit == self.old else {"a": "two", "b": "new"}

    def created(self, commit: str) -> str:
        """The parameter that is made on the way to a commit."""
        return "gone" if commit == self.old else "b"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    path = os.pathsep.join((str(ensure_plugins()), str(ensure_engine().parent), os.environ["PATH"]))
    with (
        server.running(auth=False) as emulator,
        Proxy(emulator.endpoint) as proxy,
        pytest.MonkeyPatch.context() as patch,
    ):
        backend = f"s3://{BUCKET}?endpoint={emulator.endpoint}&s3ForcePathStyle=true&region={REGION}"
        folder = tmp_path_factory.mktemp("update")
        estate = Estate.create(
            folder, path=path, endpoint=proxy.endpoint, backend=backend, bucket=BUCKET, project="infra"
        )
        for name, value in estate.environment.items():
            patch.setenv(name, value)
        old, new = estate.deploy(OLD, "the first"), estate.deploy(NEW, "the second")
        yield World(estate=estate, proxy=proxy, old=old, new=new, stands=new)


@pytest.fixture(autouse=True)
def _closed(world: World) -> Iterator[None]:
    yield
    world.estate.close()


def test_it_goes_back_and_is_verified_and_the_history_tells_which_commit_stands(world: World) -> None:
    estate, target, journal = world.estate, world.estate.target(), Memory()
    plan = target.plan(Request())

    outcome = target.execute(plan, journal)

    assert outcome == Outcome()
    assert estate.values() == world.values(world.old)
    assert [(check.check, check.ok) for check in target.verify(plan)] == [("stack", True)]
    assert target.counts(plan, journal.events) == {
        "planned": 4,
        "moved": 4,
        "confirmed": 0,
        "failed": 0,
        "reverted": 0,
    }
    target.publish(plan, undone=False)
    assert estate.parameters.values == {"/acme/dev/pulumi-commit": world.old}
    assert _told(estate)[:3] == [
        ("update", "succeeded", world.old, False, True),
        ("update", "succeeded", world.new, False, False),
        ("update", "succeeded", world.old, False, False),
    ]
    world.stands = world.old


def test_a_person_who_deploys_meanwhile_is_named_and_nothing_is_done(world: World) -> None:
    """The person deploys the new commit, which the rollback was to go to as well."""
    estate, target, journal = world.estate, world.estate.target(), Memory()
    plan = target.plan(Request(to=world.new))
    held = world.proxy.hold("PutParameter")
    other = threading.Thread(target=estate.up)
    other.start()
    held.wait()

    outcome = target.execute(plan, journal)
    with pytest.raises(Refused, match=r"The stack is being updated by .*@.* \(pid \d+\)"):
        estate.plan(world.old)

    assert outcome.put_back
    assert "locked by" in outcome.failures[0].reason
    assert target.undo(plan, journal) == Outcome()
    held.release()
    other.join()
    world.stands = world.new


def test_ctrl_c_lets_the_engine_end_in_good_order_and_resume_goes_on(world: World) -> None:
    estate, target, journal, goal = world.estate, world.estate.target(), Memory(), world.other
    plan = target.plan(Request(to=goal))
    held = world.proxy.hold_answers("PutParameter")

    done = _beside(lambda: target.execute(plan, journal))
    held.wait()
    journal.stop.set()
    threading.Timer(0.5, held.release).start()
    interrupted = done()
    resumed = estate.target().execute(plan, journal.next_holder())

    assert interrupted == Outcome(interrupted=True)
    assert _locks(estate) == []
    assert resumed == Outcome()
    assert estate.values() == world.values(goal)
    world.stands = goal


@pytest.mark.parametrize("way", ["resume", "abort"])
def test_an_engine_that_was_killed_while_it_created_is_cleared_away_and_gone_on_with(
    world: World, way: str
) -> None:
    estate, target, journal, goal = world.estate, world.estate.target(), Memory(), world.other
    plan = target.plan(Request(to=goal))
    created = world.created(goal)
    held = world.proxy.hold_answers("PutParameter", containing=f"/demo/{created}".encode())

    killed = _killed(target, plan, journal, held)
    assert killed.failures
    assert len(_locks(estate)) == 1
    again = journal.next_holder()
    other = estate.target()
    outcome = other.execute(plan, again) if way == "resume" else other.undo(plan, again)

    assert outcome == Outcome()
    assert _locks(estate) == []
    assert [event.data["proof"] for event in again.events if event.kind == "unlocked"] == [
        "ours, and its process has ended"
    ]
    (adopted,) = [event.data for event in again.events if event.kind == "adopted"]
    assert [urn.rpartition("::")[2] for urn in adopted["urns"]] == [created]
    if way == "resume":
        world.stands = goal
        assert "untouched" not in {one["outcome"] for one in other.outcomes(plan, again.events)}
    assert estate.values() == world.values(world.stands)


def test_a_lock_of_another_machine_needs_a_persons_word(world: World) -> None:
    estate, target, journal, goal = world.estate, world.estate.target(), Memory(), world.other
    plan = target.plan(Request(to=goal))
    elsewhere = Process(user="dan", host="elsewhere", pid=7, began="1", space="")
    journal.append("began", {"process": elsewhere, "run": "", "back": False})
    key = ".pulumi/locks/organization/rollback/dev/0f1e.json"
    lock = {"pid": 7, "username": "dan", "hostname": "elsewhere", "timestamp": "2026-11-24T18:28:52Z"}
    estate.aws("s3").put_object(Bucket=BUCKET, Key=key, Body=json.dumps(lock).encode())
    again = journal.next_holder()

    with pytest.raises(Refused, match="another machine") as refused:
        estate.target().execute(plan, again)
    assert "--confirm-dead elsewhere:7" in refused.value.next
    assert _locks(estate) == [key]

    assert estate.target(confirm_dead="elsewhere:7").execute(plan, again) == Outcome()
    assert [event.data for event in again.events if event.kind == "unlocked"] == [
        {"uuid": "0f1e", "holder": "elsewhere:7", "proof": "a person says that it is dead"}
    ]
    world.stands = goal


def test_an_engine_that_fails_half_way_says_at_what_and_resume_does_the_rest(world: World) -> None:
    estate, target, journal, goal = world.estate, world.estate.target(), Memory(), world.other
    plan = target.plan(Request(to=goal))
    name = world.created(goal)

    body = f"/demo/{name}".encode()
    world.proxy.refuse("PutParameter", status=400, code="ParameterLimitExceeded", containing=body)

    outcome = target.execute(plan, journal)
    journal.failed(outcome.failures)

    assert [one.subject.rpartition("::")[2] for one in outcome.failures] == [name]
    assert "ParameterLimitExceeded" in outcome.failures[0].reason
    assert not outcome.put_back
    assert target.counts(plan, journal.events)["failed"] == 1
    assert _told(estate)[0][:3] == ("update", "failed", goal)
    assert estate.target().execute(plan, journal.next_holder()) == Outcome()
    assert estate.values() == world.values(goal)
    world.stands = goal


def test_what_is_more_than_was_approved_is_planned_anew(world: World) -> None:
    """Somebody deploys the new commit with something more in it after the plan to leave it was made."""
    assert world.stands == world.new
    estate, target, journal = world.estate, world.estate.target(), Memory()
    plan = target.plan(Request(to=world.old))
    elsewhere = Process(user="dan", host="x", pid=1, began="1", space="")
    journal.append("began", {"process": elsewhere, "run": "", "back": False})
    estate.git("checkout", "-q", world.new)
    estate.write("__main__.py", (estate.program / "__main__.py").read_text() + 'parameter("more", "than")\n')
    estate.up()
    estate.git("checkout", "-q", "--force", "main")

    outcome = estate.target().execute(plan, journal.next_holder())

    assert outcome.anew
    assert "more than was approved" in outcome.failures[0].reason
    assert _told(estate)[0][3] is True


def test_a_dirty_update_is_no_commit_to_come_back_to_and_a_refresh_deploys_none(world: World) -> None:
    """What stands is the new commit with something more, as the test before has left it."""
    estate, target, journal = world.estate, world.estate.target(), Memory()
    estate.pulumi("refresh", "--yes", "--skip-preview", "--stack", "dev")

    plan = target.plan(Request())

    assert plan.targets == {STACK: world.new}
    assert (plan.leaves, plan.quarantines, plan.from_version) == ({}, {}, f"{world.new[:12]}-dirty")
    assert target.execute(plan, journal) == Outcome()
    failed = estate.target().undo(plan, journal.next_holder())
    assert "not known which commit stood there" in failed.failures[0].reason
    told = _told(estate)
    assert [one[0] for one in told[:3]] == ["update", "refresh", "update"]
    assert [one[4] for one in told] == [True] + [False] * (len(told) - 1)
    assert len(told) > 10
    assert deployed_commit(estate.program, parse("dev", *texts())) == (world.new, "")


def _told(estate: Estate) -> list[tuple[str, str, str, bool, bool]]:
    """The engine's history: kind, result, commit, whether dirty, whether it stands."""
    told = history(estate.program, parse("dev", *texts()), 100)
    return [(one.kind, one.result, one.commit, one.dirty, one.stands) for one in told]


def _locks(estate: Estate) -> list[str]:
    listed = estate.aws("s3").list_objects_v2(Bucket=BUCKET, Prefix=".pulumi/locks/")
    return [item["Key"] for item in listed.get("Contents", [])]


def _beside(do: Callable[[], Outcome]) -> Callable[[], Outcome]:
    """Runs `do` in a thread; what is returned waits for it."""
    found: list[Outcome] = []
    thread = threading.Thread(target=lambda: found.append(do()))
    thread.start()

    def wait() -> Outcome:
        thread.join()
        return found[0]

    return wait


def _killed(target: Stack, plan: Plan[Change], journal: Memory, held: Held) -> Outcome:
    """An update whose engine gets SIGKILL while it creates a parameter that is there already."""
    done = _beside(lambda: target.execute(plan, journal))
    held.wait()
    pid: Any = next(event.data["process"]["pid"] for event in journal.events if event.kind == "began")
    os.kill(pid, signal.SIGKILL)
    outcome = done()
    held.release()
    return outcome
