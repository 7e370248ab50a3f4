"""Errors, where they are shown as a notice."""

from __future__ import annotations

import pytest

from rollback.util.errors import RollbackError


@pytest.mark.parametrize(
    ("then", "shown"),
    [
        ("", "It failed."),
        ("Log in again.", "It failed. Log in again."),
        ("rollback status --env dev\nrollback audit --env dev", "It failed."),
    ],
)
def test_a_notice_has_what_to_do_next_only_if_that_is_one_line(then: str, shown: str) -> None:
    assert RollbackError("It failed.", next=then).notice == shown
