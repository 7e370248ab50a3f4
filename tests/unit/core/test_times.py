"""How times are shown: one format, whatever was stored."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollback.model.record import now_iso
from rollback.util.times import ago, shown_time


@pytest.mark.finding("A6")
@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        ("2026-11-24T21:05:16.375Z", "2026-11-24T21:05:16Z"),
        ("2026-11-24T21:05:16.999Z", "2026-11-24T21:05:16Z"),
        ("2026-11-24T21:05:16+00:00", "2026-11-24T21:05:16Z"),
        ("2026-11-24T22:05:16.375012+01:00", "2026-11-24T21:05:16Z"),
        (datetime(2026, 11, 24, 22, 5, 16, 5, timezone(timedelta(hours=1))), "2026-11-24T21:05:16Z"),
        ("not yet", "not yet"),
        ("", ""),
        ("2026-11-24T21:05:16", "2026-11-24T21:05:16"),
        ("0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00+14:00"),
        ("a\x1b[31mb", "ab"),
    ],
)
def test_a_time_is_shown_in_utc_to_the_second_and_other_text_as_it_is(
    stored: str | datetime, shown: str
) -> None:
    assert shown_time(stored) == shown


@given(st.datetimes(min_value=datetime(2000, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001 - hypothesis adds it
def test_what_is_shown_is_never_later_than_what_is_stored_and_shown_again_is_the_same(at: datetime) -> None:
    shown = shown_time(now_iso(at))

    assert datetime.fromisoformat(shown) <= at
    assert shown_time(shown) == shown


@pytest.mark.finding("A6")
@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-3, "0 s ago"),
        (0, "0 s ago"),
        (119, "119 s ago"),
        (120, "2 min ago"),
        (7199, "120 min ago"),
        (7200, "2 hours ago"),
        (172800, "2 days ago"),
    ],
)
def test_how_long_ago_has_one_form(seconds: float, text: str) -> None:
    assert ago(seconds) == text
