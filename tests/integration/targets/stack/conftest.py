"""The engine's plugins are forks."""

from __future__ import annotations

import pytest

from tests.warm import Warm


@pytest.fixture(scope="session", autouse=True)
def forks(warm: Warm) -> None: ...
