"""The lease on a table: one holder, who is seen to live, and whose heirs he cannot disturb."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import pytest

from rollback.ledger.lease import ALIASES, Lease, LeaseHeld, LeaseLost
from rollback.ledger.store import Conflict, Write
from rollback.util.clocks import in_a_thread
from rollback.util.errors import Code, RollbackError
from tests.coded import coded
from tests.doubles.world import ALICE, DAN, World

LOCK = {"PK": {"S": "LOCK#dev"}, "SK": {"S": ALIASES}}


def quiet(left: float) -> None:
    """Nobody watches."""


class Silent:
    """A table that does not answer."""

    name = "silent"

    def update(self, write: Write) -> Any:
        raise RollbackError(f"no answer while writing {write.name}")


def item(world: World) -> dict[str, Any]:
    found = world.table().get("LOCK#dev", ALIASES)
    assert found is not None
    return found


def can_write(world: World, lease: Lease) -> bool:
    mark = Write(name="mark", item={"PK": "ROLLBACK#x", "SK": f"FENCE#{lease.nonce}"})
    try:
        world.table().transact([mark, lease.proof()])
    except Conflict as conflict:
        return conflict.what != "lease"
    return True


def test_a_free_lease_is_taken_and_a_held_one_names_its_holder(world: World) -> None:
    lease = world.session(ALICE).leases.take(ALIASES, "R1")

    with pytest.raises(LeaseHeld) as raised:
        world.session(DAN).leases.take(ALIASES, "R2")

    assert raised.value.exit_code == 3
    assert "R1 holds the lease on dev/aliases: alice on " in raised.value.what
    assert raised.value.next.startswith("rollback status --env dev"), "it goes on: a resume would be refused"
    assert can_write(world, lease)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("beat", {"S": "soon"}),
        ("fence", {"NULL": True}),
        ("owner", {"B": b"\xff"}),
        ("owner", {"M": {}}),
        ("holder", {"S": "alice"}),
        ("lease_seconds", {"L": []}),
        ("beat_at", {"N": "1E125"}),
    ],
)
def test_a_lease_item_that_was_tampered_with_is_named(world: World, name: str, value: Any) -> None:
    world.session(ALICE).leases.take(ALIASES, "R1")
    stored = world.dynamodb.get_item(TableName=world.table().name, Key=LOCK)["Item"]
    world.dynamodb.put_item(TableName=world.table().name, Item={**stored, name: value})
    leases = world.session(DAN).leases

    for act in (
        lambda: leases.take(ALIASES, "R2"),
        lambda: leases.take_over(ALIASES, "R1", quiet),
        leases.holders,
    ):
        with pytest.raises(
            RollbackError, match=f"LOCK#dev / aliases is malformed: {name}", check=coded(Code.LEDGER_DAMAGED)
        ):
            act()


def test_a_lease_that_states_it_lasts_for_ever_is_watched_for_an_hour(world: World) -> None:
    world.session(ALICE).leases.take(ALIASES, "R1")
    stored = world.dynamodb.get_item(TableName=world.table().name, Key=LOCK)["Item"]
    world.dynamodb.put_item(
        TableName=world.table().name, Item={**stored, "lease_seconds": {"N": "999999999"}}
    )

    class Told(Exception):
        pass

    def waiting(left: float) -> None:
        raise Told(left)

    with pytest.raises(Told) as raised:
        world.session(DAN).leases.take_over(ALIASES, "R1", waiting)

    assert raised.value.args[0] <= 3600


def test_a_lease_that_was_given_back_is_free_and_its_fence_only_grows(world: World) -> None:
    first = world.session().leases.take(ALIASES, "R1")
    first.release()

    second = world.session().leases.take(ALIASES, "R2")

    assert second.fence == first.fence + 1
    assert not can_write(world, first)


def test_of_many_takers_one_wins_and_all_others_name_the_winner(world: World) -> None:
    def take(number: int) -> str:
        try:
            return world.session().leases.take(ALIASES, f"R{number}").owner
        except LeaseHeld as held:
            return f"held by {held.owner}"

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(take, range(8)))

    won = [answer for answer in answers if not answer.startswith("held")]
    assert len(won) == 1
    assert set(answers) == {won[0], f"held by {won[0]}"}


def test_a_take_whose_answer_got_lost_is_known_as_ones_own(world: World) -> None:
    leases = world.session().leases
    table = world.table()

    class Unheard:
        name = table.name

        def update(self, write: Write) -> Any:
            table.update(write)
            raise Conflict(write.name)  # what a retry is answered

        def get(self, pk: str, sk: str) -> Any:
            return table.get(pk, sk)

    lease = replace(leases, table=Unheard()).take(ALIASES, "R1")  # type: ignore[arg-type]

    assert lease.owner == "R1"
    assert can_write(world, lease)


def test_a_renewal_moves_the_beat_and_keeps_the_lease(world: World) -> None:
    lease = world.session().leases.take(ALIASES, "R1")

    for _ in range(4):
        world.clock.sleep(40)
        lease.renew()
        lease.check()

    assert item(world)["beat"] == 4


def test_a_process_that_was_paused_continues_where_nobody_has_taken_its_lease(world: World) -> None:
    lease = world.session().leases.take(ALIASES, "R1")

    world.clock.sleep(600)

    lease.check()
    assert can_write(world, lease)
    assert item(world)["beat"] == 1, "who watches it sees that it lives"


def test_a_process_that_was_paused_has_lost_the_lease_that_another_has_taken(world: World) -> None:
    lease = world.session(ALICE).leases.take(ALIASES, "R1")
    heir = world.session(DAN).leases.take_over(ALIASES, "R1", quiet)

    world.clock.sleep(46)

    with pytest.raises(LeaseLost, match="another process has taken it"):
        lease.check()
    assert can_write(world, heir)
    assert item(world)["beat"] == 0, "the old holder has not renewed the lease of its successor"


def test_a_process_that_was_paused_finds_its_lease_lost_after_another_has_ended_the_record(
    world: World,
) -> None:
    paused = world.session(ALICE).leases.take(ALIASES, "R1")
    world.session(DAN).leases.take_over(ALIASES, "R1", quiet).release()

    with pytest.raises(LeaseLost):
        paused.check()

    assert world.session().leases.holder(ALIASES) is None


def test_a_takeover_that_has_watched_for_a_whole_lease_yields_to_a_holder_that_wakes_up(world: World) -> None:
    paused = world.session(ALICE).leases.take(ALIASES, "R1")
    world.clock.meanwhile = lambda _: paused.check() if world.clock.seconds >= 60 else None

    with pytest.raises(LeaseHeld):
        world.session(DAN).leases.take_over(ALIASES, "R1", quiet)

    assert can_write(world, paused)


def test_a_lease_that_can_not_be_renewed_in_time_is_lost_for_good(world: World) -> None:
    lease = world.session().leases.take(ALIASES, "R1")
    table = lease.table
    lease.table = Silent()  # type: ignore[assignment]

    world.clock.sleep(46)

    with pytest.raises(LeaseLost, match="could not be renewed in time"):
        lease.check()
    lease.table = table
    lease.renew()
    with pytest.raises(LeaseLost):
        lease.check()


@dataclass
class Slow:
    """A table whose answers come late: each after the first of these numbers of seconds, then the next."""

    world: World
    seconds: list[float]

    def __post_init__(self) -> None:
        self.table = self.world.table()
        self.name = self.table.name

    def update(self, write: Write) -> Any:
        answer = self.table.update(write)
        self.world.clock.sleep(self.seconds.pop(0) if self.seconds else 0)
        return answer


def test_a_lease_is_as_old_as_the_moment_before_it_was_asked_for(world: World) -> None:
    lease = replace(world.session().leases, table=Slow(world, [50])).take(ALIASES, "R1")  # type: ignore[arg-type]

    lease.check()

    assert item(world)["beat"] == 1, "it was overdue when it came, and was renewed"


@pytest.mark.parametrize(("late", "kept"), [([50, 50], True), ([50, 50, 50, 50], False)])
def test_a_machine_that_stands_still_while_it_renews_tries_again(
    world: World, late: list[float], *, kept: bool
) -> None:
    lease = replace(world.session().leases, table=Slow(world, late)).take(ALIASES, "R1")  # type: ignore[arg-type]

    if not kept:
        with pytest.raises(LeaseLost, match="could not be renewed in time"):
            lease.check()
        return
    lease.check()
    assert can_write(world, lease)


def test_a_takeover_watches_a_whole_lease_and_fences_the_old_holder_off(world: World) -> None:
    old = world.session(ALICE).leases.take(ALIASES, "R1")
    began = world.clock.seconds

    heir = world.session(DAN).leases.take_over(ALIASES, "R1", quiet)

    assert world.clock.seconds - began >= 60
    assert heir.fence == old.fence + 1
    assert not can_write(world, old)
    assert can_write(world, heir)
    old.renew()
    with pytest.raises(LeaseLost, match="another process has taken it"):
        old.check()
    old.release()
    assert can_write(world, heir), "the old holder cannot give away what is no longer his"


def test_a_takeover_is_refused_at_the_first_sign_of_life(world: World) -> None:
    holder = world.session(ALICE).leases.take(ALIASES, "R1")
    world.clock.meanwhile = lambda _: holder.renew() if world.clock.seconds >= 30 else None
    began = world.clock.seconds

    with pytest.raises(LeaseHeld):
        world.session(DAN).leases.take_over(ALIASES, "R1", quiet)

    assert world.clock.seconds - began < 40
    assert can_write(world, holder)


@pytest.mark.parametrize("watched", [1, 59])
def test_a_takeover_on_a_machine_that_was_suspended_still_finds_a_sign_of_life(
    world: World, watched: int
) -> None:
    holder = world.session(ALICE).leases.take(ALIASES, "R1")

    def suspended_once(_: float) -> None:
        if watched <= world.clock.seconds < 3600:
            world.clock.seconds += 3600
        elif world.clock.seconds >= 3615:
            holder.renew()

    world.clock.meanwhile = suspended_once

    with pytest.raises(LeaseHeld):
        world.session(DAN).leases.take_over(ALIASES, "R1", quiet)

    assert can_write(world, holder)


def test_a_takeover_of_another_records_lease_is_refused_at_once(world: World) -> None:
    world.session(ALICE).leases.take(ALIASES, "R1")

    with pytest.raises(LeaseHeld) as raised:
        world.session(DAN).leases.take_over(ALIASES, "R2", quiet)

    assert raised.value.owner == "R1"
    assert world.clock.seconds == 0


def test_a_holder_with_a_longer_lease_is_watched_for_as_long_as_his(world: World) -> None:
    replace(world.session(ALICE).leases, seconds=300).take(ALIASES, "R1")

    world.session(DAN).leases.take_over(ALIASES, "R1", quiet)

    assert world.clock.seconds >= 300


def test_a_parked_lease_blocks_others_and_is_handed_over_at_once(world: World) -> None:
    parked = world.session(ALICE).leases.take(ALIASES, "R1")
    parked.in_flight = True
    parked.release()

    with pytest.raises(LeaseHeld, match="interrupted at"):
        world.session(DAN).leases.take(ALIASES, "R2")
    assert not can_write(world, parked)
    heir = world.session(DAN).leases.take_over(ALIASES, "R1", quiet)

    assert world.clock.seconds == 0
    assert can_write(world, heir)


def test_of_two_heirs_one_takes_over(world: World) -> None:
    parked = world.session(ALICE).leases.take(ALIASES, "R1")
    parked.in_flight = True
    parked.release()
    together = threading.Barrier(2)

    def inherit(_: int) -> str:
        together.wait(60)
        try:
            world.session(DAN).leases.take_over(ALIASES, "R1", quiet)
        except LeaseHeld:
            return "held"
        return "taken"

    with ThreadPoolExecutor(2) as pool:
        answers = sorted(pool.map(inherit, range(2)))

    assert answers in (["held", "taken"], ["taken", "taken"])
    if answers == ["taken", "taken"]:  # one after the other: the second found a dead holder's lease
        assert world.clock.seconds >= 60


def test_a_farewell_gives_the_lease_back_only_with_what_it_is_written_with(world: World) -> None:
    lease = world.session().leases.take(ALIASES, "R1")
    taken = Write(name="mark", item={"PK": "ROLLBACK#x", "SK": "A"}, condition="attribute_exists(PK)")

    with pytest.raises(Conflict, match="mark"):
        world.table().transact([taken, lease.farewell()])
    assert can_write(world, lease)
    world.table().transact([replace(taken, condition=None), lease.farewell()])

    assert not can_write(world, lease)
    assert world.session().leases.holder(ALIASES) is None


def test_a_table_that_does_not_answer_is_no_error_when_a_lease_is_given_back(world: World) -> None:
    lease = world.session().leases.take(ALIASES, "R1")
    lease.table = Silent()  # type: ignore[assignment]
    lease.renew()
    lease.check()
    lease.release()

    with pytest.raises(LeaseLost, match="could not be released"):
        lease.check()


def test_the_beat_is_kept_in_the_background_until_it_is_given_back(world: World) -> None:
    real = replace(world.session().clocks, beating=in_a_thread)
    leases = replace(world.session().leases, seconds=0.02, clocks=real)  # type: ignore[arg-type]
    beaten = threading.Event()
    table = world.table()

    class Counted:
        name = table.name

        def update(self, write: Write) -> Any:
            answer = table.update(write)
            if "beat + " in str(write.update) and int(answer["beat"]) >= 2:
                beaten.set()
            return answer

    lease = replace(leases, table=Counted()).take(ALIASES, "R1").start()  # type: ignore[arg-type]
    assert beaten.wait(20)
    lease.release()

    assert "owner" not in item(world)
