"""Whose process it is where machines have one name, as those made from one image do."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from rollback.model.events import stored, typed
from rollback.model.record import Entered
from rollback.targets.terraform.events import Applying
from rollback.util.process_identity import Process, machine
from tests.doubles.world import ALICE

pytestmark = pytest.mark.finding("machine-id")


def test_a_process_of_another_machine_of_the_same_name_is_not_here_and_so_not_dead() -> None:
    ours = replace(Process.of(os.getpid()), machine="0123456789abcdef")
    theirs = replace(ours, machine="fedcba9876543210")

    here = [one.is_here for one in (Process.of(os.getpid()), replace(ours, machine=""), theirs)]

    assert here == [True, True, False]


def test_the_machines_own_id_is_not_told(tmp_path: Path) -> None:
    file, other = tmp_path / "one", tmp_path / "other"
    file.write_text("3d1219c7c4c5404aaa1f6d2a48adfda4\n")
    other.write_text("3d1219c7c4c5404aaa1f6d2a48adfda5\n")

    assert len(machine(file)) == 16
    assert machine(file) != machine(other)
    assert machine(file) not in file.read_text()
    assert machine(tmp_path / "none") == ""


def test_a_journal_of_an_earlier_version_is_read() -> None:
    process = replace(Process.of(os.getpid()), machine="")
    data = stored(Applying(process=process, sha256="", towards="changed"))
    del data["process"]["machine"]

    read = typed(Entered(kind="applying", at="", by=ALICE, data=data), Applying)

    assert read.process == process
    assert read.process.is_here
