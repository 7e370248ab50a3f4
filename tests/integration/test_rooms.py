"""A room can be taken away: without its folder and its lines the command still starts, and rolls back."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from localaws.paths import ROOT
from rollback.rooms import ROOMS

# What a rollback passes through, in a process that knows only the copy of the product beside it.
_CORE = """
import sys
from pathlib import Path
import tempfile
from unittest import mock
import rollback
assert Path(rollback.__file__).is_relative_to(Path(sys.argv[1])), rollback.__file__
from typer.testing import CliRunner
from rollback.cli.app import app
from rollback.lifecycle import context
from tests.doubles.world import World, create_table, settings
from tests.simulation.aws.dynamodb_model import DynamoDB

def typed(world, *line):
    session = lambda *_, **__: world.session()
    with mock.patch.object(context, "begin", session), mock.patch.object(context, "session_of", session):
        run = CliRunner().invoke(app, [*line, "--env", "dev"])
    assert run.exit_code == 0, (line, run.output, run.exception)
    return run.output

model = DynamoDB()
create_table(model)
with tempfile.TemporaryDirectory() as folder:
    world = World(dynamodb=model, root=Path(folder), settings=settings())
    for number, version in enumerate(("v1.0.0", "v1.1.0"), 1):
        world.release(version)
        if {releases}:
            world.record(version)
        else:
            sys.exit(0)
    typed(world, "status")
    typed(world, "lambda", "--dry-run")
    typed(world, "lambda", "--reason", "it went bad")
    assert set(world.versions().values()) == {{"1"}}
    typed(world, "show", "last")
    typed(world, "verify")
    typed(world, "audit")
"""


@pytest.mark.parametrize("room", ROOMS)
def test_without_a_room_and_its_lines_the_rest_starts_and_rolls_back(room: str, tmp_path: Path) -> None:
    product = tmp_path / "rollback"
    shutil.copytree(ROOT / "rollback", product, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.rmtree(product / room)
    for name in ("rooms.py", "api/environment.py"):
        place = product / name
        lines = place.read_text(encoding="utf-8").splitlines(keepends=True)
        place.write_text("".join(line for line in lines if not _is_its(room, line)), encoding="utf-8")
    (tmp_path / "tests").symlink_to(ROOT / "tests")

    run = subprocess.run(
        [sys.executable, "-P", "-c", _CORE.format(releases=room != "releases"), str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    helped = subprocess.run(
        [sys.executable, "-P", "-c", "from rollback.cli.app import app; app(['help', 'all'])"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode == 0, run.stderr
    assert helped.returncode == 0, helped.stderr
    assert "status" in helped.stdout


def _is_its(room: str, line: str) -> bool:
    return bool(re.search(rf'^    "{room}",$|Of\("{room}\.|from rollback\.{room}\.', line))
