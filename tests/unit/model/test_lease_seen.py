"""A lease as it is shown: whatever its item has."""

from __future__ import annotations

import pytest

from rollback.model.situation import lease_seen


@pytest.mark.finding("B14")
@pytest.mark.parametrize("name", ["owner", "beat_at", "person", "host"])
def test_a_text_of_a_lease_does_not_fill_the_screen(name: str) -> None:
    long = "x" * 300_000
    holder = {"person": "alice", "host": "laptop"}
    item = {"owner": "R1", "beat_at": "2026-11-24T12:00:00.000Z", "beat": 1, "fence": 1, "holder": holder}
    (holder if name in holder else item)[name] = long  # type: ignore[index] # one of the two

    seen = lease_seen("aliases", item, "2026-11-24T12:00:01.000Z")

    assert max(map(len, (seen.owner, seen.holder, seen.beat_at))) <= 200
