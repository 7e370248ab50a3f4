"""A deadline stops what has not begun; only a person stops what has."""

from __future__ import annotations

import threading

from rollback.util.deadline import Deadline, asked, timed_out


def test_it_is_set_by_time_or_by_a_person_and_tells_which() -> None:
    now = [100.0]
    late, early = Deadline(60, clock=lambda: now[0]), Deadline(60, clock=lambda: now[0])

    assert (late.is_set(), late.left) == (False, 60)
    early.set()
    assert (early.is_set(), asked(early).is_set(), timed_out(early)) == (True, True, False)

    now[0] += 60

    assert (late.is_set(), late.left) == (True, 0)
    assert (asked(late).is_set(), timed_out(late)) == (False, True)


def test_who_waits_for_it_waits_no_longer_than_until_then() -> None:
    assert Deadline(0).wait(60)
    assert Deadline(0).wait()
    assert not Deadline(60).wait(0)


def test_an_event_without_a_time_is_what_it_was() -> None:
    stop = threading.Event()

    assert asked(stop) is stop
    stop.set()
    assert not timed_out(stop)
