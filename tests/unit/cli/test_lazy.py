"""Modules that are executed when they are first used."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import rollback
from rollback.cli import lazy

_NAME = "rollback.executed_at_first_use"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where modules of the package `rollback` are found, too."""
    monkeypatch.setattr(rollback, "__path__", [*rollback.__path__, str(tmp_path)])
    yield tmp_path
    sys.modules.pop(_NAME, None)
    vars(rollback).pop(_NAME.partition(".")[2], None)


def _module(folder: Path, text: str) -> ModuleType:
    (folder / f"{_NAME.partition('.')[2]}.py").write_text(text)
    with lazy._first_use():
        import rollback.executed_at_first_use as module  # noqa: PLC0415 - imported under the loader that is tested

    return module


def test_threads_that_use_a_module_at_once_all_find_it_whole(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, asked = threading.Event(), threading.Event()
    monkeypatch.setattr(rollback, "events_of_a_test", (begun, asked), raising=False)
    # Its execution gives the other thread the time to find what is not there yet.
    module = _module(
        folder,
        "import rollback\nbegun, asked = rollback.events_of_a_test\nbegun.set()\nasked.wait(0.2)\nvalue = 1\n",
    )
    found: list[object] = []

    def ask() -> None:
        found.append(getattr(module, "value", "nothing yet"))
        asked.set()

    first = threading.Thread(target=ask)
    first.start()
    assert begun.wait(30)
    ask()
    first.join()

    assert found == [1, 1]


def test_a_module_whose_execution_fails_is_executed_again(folder: Path) -> None:
    module = _module(folder, "import rollback\nvalue = rollback.set_by_a_test\n")
    with pytest.raises(AttributeError):
        _ = module.value

    vars(rollback)["set_by_a_test"] = 2
    try:
        assert module.value == 2
        assert type(module) is ModuleType
    finally:
        del vars(rollback)["set_by_a_test"]
