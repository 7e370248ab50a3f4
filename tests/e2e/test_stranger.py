"""Another company's accounts: from the wheel and an empty folder to a release that is rolled back, as the demo shows it."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import pytest
from rich.console import Console

from demo import stranger
from demo.stage import DemoStage
from localaws.emulator import server
from tests.warm import Warm


# With two accounts each chapter of the first is played twice: tests/e2e/test_init.py has a second environment.
@pytest.mark.parametrize(
    ("environments", "claims"),
    [
        (["production"], [2, 1, 1, 2, 1, 1, 2]),
        pytest.param(["staging", "production"], [3, 1, 1, 2, 1, 1, 2, 1, 1, 2], marks=pytest.mark.soak),
    ],
    ids=["one account", "two accounts"],
)
def test_from_an_empty_folder_to_a_rolled_back_release_nothing_is_edited_by_hand(
    warm: Warm, tmp_path: Path, environments: Sequence[str], claims: list[int]
) -> None:
    stage = DemoStage(console=Console(file=io.StringIO(), width=80))
    stage.chapter("Accounts")
    stranger.install(tmp_path)

    with server.running(auth=True) as emulator:
        stranger.play(stage, emulator, tmp_path, environments)

    # Each was checked on the account itself, and the first that does not hold ends it.
    assert [len(act.claims) for act in stage.acts] == claims
