"""What all targets share: batches, the loop over many, and how outcomes are counted."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from rollback.model.record import COUNTS
from rollback.targets.base import Failure
from rollback.targets.progress import Batch, carry_out, counts
from rollback.util.thread_pool import workers


def test_a_batch_is_written_when_it_is_full_when_a_second_is_over_and_at_the_end() -> None:
    now, written = 0.0, list[Sequence[int]]()
    batch = Batch[int](write=written.append, clock=lambda: now)

    for number in range(26):
        batch.add(number)
    assert [len(one) for one in written] == [25]

    now = 1.0
    batch.flush_if_due()
    assert written[1:] == [[25]]

    batch.flush()
    assert len(written) == 2, "nothing is written twice, nor an empty batch"


def test_the_first_failure_ends_it_unless_the_rest_is_wanted_too() -> None:
    def do(number: int) -> int | Failure:
        return Failure(subject=str(number), reason="no") if number == 0 else number

    with workers() as pool:
        through: list[int] = []
        outcome = carry_out(pool, range(500), do, through.append, stopping=lambda: False, go_on=True)
        assert (sorted(through), len(outcome.failures)) == (list(range(1, 500)), 1)

    with workers() as pool:
        outcome = carry_out(pool, range(500), do, through.append, stopping=lambda: False)
        assert (len(outcome.failures), outcome.interrupted) == (1, False)


def test_one_that_is_to_stop_begins_nothing_new() -> None:
    with workers() as pool:
        done: list[int] = []
        outcome = carry_out(pool, [1, 2], lambda one: one, done.append, stopping=lambda: True)

    assert (done, outcome.interrupted, outcome.failures) == ([], True, ())


def test_what_goes_on_after_a_failure_is_interrupted_all_the_same_when_it_is_to_stop() -> None:
    failed: list[int] = []

    def do(number: int) -> int | Failure:
        failed.append(number)
        return Failure(subject=str(number), reason="no")

    with workers() as pool:
        outcome = carry_out(pool, range(500), do, lambda _: None, stopping=lambda: bool(failed), go_on=True)

    assert len(outcome.failures) < 500
    assert outcome.interrupted, "what was skipped is neither done nor failed"


def test_an_error_that_is_no_steps_failure_is_raised() -> None:
    def do(_: int) -> int:
        raise KeyError("the lease is lost")

    with workers() as pool, pytest.raises(KeyError, match="lease"):
        carry_out(pool, [1], do, lambda _: None, stopping=lambda: False)


@pytest.mark.parametrize("text", ["moved", "created", "updated", "replaced", "deleted", "unprotected"])
def test_what_was_done_counts_as_moved_whatever_its_outcome_is_called(text: str) -> None:
    lines = [{"outcome": one} for one in (text, "confirmed", "failed", "reverted", "untouched", text)]

    found = {"planned": 6, "moved": 2, "confirmed": 1, "failed": 1, "reverted": 1, "untouched": 1}
    assert counts(lines) == found
    assert tuple(counts([])) == COUNTS
