"""Another company's accounts: from the wheel and an empty folder to a release that is rolled back, as the demo shows it."""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console

from demo import stranger
from demo.stage import DemoStage
from localaws import shell
from localaws.emulator import server


def test_from_an_empty_folder_to_a_rolled_back_release_nothing_is_edited_by_hand(tmp_path: Path) -> None:
    stage = DemoStage(console=Console(file=io.StringIO(), width=80))
    shell.tools(lambda _: None)
    stage.chapter("Accounts")
    stranger.install(tmp_path)

    with server.running(auth=True) as emulator:
        stranger.play(stage, emulator, tmp_path)

    # Each was checked on the account itself, and the first that does not hold ends it.
    assert [len(act.claims) for act in stage.acts] == [3, 1, 1, 2, 1, 1, 2, 1, 1, 2]
