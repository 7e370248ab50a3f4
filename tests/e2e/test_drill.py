"""Drills on an account of their own, under the drill role: to the end, in trouble, and killed half-way."""

from __future__ import annotations

from estate_under_test import DORA, Platform


def test_bad_code_is_put_back_measured_and_restored(dev: Platform) -> None:
    dev.story()
    before = dev.live()

    run = dev.rollback("drill", "--scenario", "code", "--services", "audit_service", "--json", as_=DORA)

    assert run.code == 0, str(run)
    assert dev.live() == before
