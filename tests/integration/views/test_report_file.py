"""Where a report is written to: a file, and nothing that would wait for a reader."""

from __future__ import annotations

import os
from pathlib import Path
from unittest import mock

import pytest
from typer.testing import CliRunner

from rollback.cli.app import app
from rollback.lifecycle import context
from tests.recorded.stage import recorded


@pytest.mark.finding("B15")
def test_a_pipe_is_no_file_to_write_a_report_to(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with recorded("aliases", tmp_path) as made:

        def session(*_: object, **__: object) -> object:
            return made.session()

        with mock.patch.object(context, "begin", session), mock.patch.object(context, "session_of", session):
            run = CliRunner().invoke(app, ["report", "last", "--env", "dev", "--file", str(pipe)])

    assert run.exit_code == 2
    assert "[OUTPUT_UNWRITABLE]" in run.output
