"""The engine is built once, whole or not at all, and says what is missing where it cannot be."""

import os
import stat
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from localaws.errors import LocalError
from localaws.toolchain import build, gotool

# Stands for the compiler: a count of its runs, and an output that is seen half-written if it is
# not moved into place.
_COMPILER = """#!/bin/sh
echo run >> "$COUNT"
echo some/package
while [ "$1" != -o ]; do shift; done
printf half > "$2"
{then}
printf whole > "$2"
"""


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with an empty cache and nothing but the system's own tools on PATH."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setenv("COUNT", str(tmp_path / "count"))
    return tmp_path


def _executable(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def _compiler(machine: Path, then: str = "") -> None:
    _executable(machine / "bin" / "go", _COMPILER.format(then=then))


def test_many_that_need_the_engine_at_once_build_it_once(machine: Path) -> None:
    _compiler(machine)
    together = threading.Barrier(6)
    messages: list[str] = []

    def ensure(_: int) -> str:
        together.wait()
        return gotool.ensure(build.PULUMI, messages.append).read_text()

    with ThreadPoolExecutor(6) as pool:
        contents = list(pool.map(ensure, range(6)))

    assert contents == ["whole"] * 6
    assert (machine / "count").read_text().count("run") == 1
    assert not list((machine / "cache" / "rollback-cli").glob("*.part"))
    assert any("building pulumi" in line for line in messages)


def test_a_build_that_fails_leaves_nothing_and_shows_the_compilers_errors(machine: Path) -> None:
    _compiler(machine, then="echo 'undefined: Foo' >&2; exit 1")

    with pytest.raises(LocalError, match=r"(?s)could not be built.*undefined: Foo.*pulumi.com/docs/install"):
        gotool.ensure(build.PULUMI, lambda _: None)

    assert build.built_engine() is None
    assert not list((machine / "cache" / "rollback-cli").glob("*.part"))
    _compiler(machine)
    assert gotool.ensure(build.PULUMI, lambda _: None).read_text() == "whole", "a failure must not stick"


def test_a_full_disk_is_called_a_full_disk(machine: Path) -> None:
    _compiler(machine, then="echo 'write x.o: no space left on device' >&2; exit 1")

    with pytest.raises(LocalError, match="The disk is full"):
        gotool.ensure(build.PULUMI, lambda _: None)


def test_without_an_engine_and_without_go_the_official_installer_is_named(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(machine / "bin"))

    with pytest.raises(LocalError, match=r"https://www\.pulumi.com/docs/install/"):
        build.ensure_engine()


def test_an_engine_on_path_is_used_first(machine: Path) -> None:
    _executable(machine / "bin" / "pulumi", "#!/bin/sh\necho v3.180.0\n")

    assert build.ensure_engine() == machine / "bin" / "pulumi"


def test_an_engine_of_another_major_version_is_not_used(machine: Path) -> None:
    _executable(machine / "bin" / "pulumi", "#!/bin/sh\necho v4.0.0\n")
    _compiler(machine)

    assert build.ensure_engine() == build.PULUMI.place


def test_our_own_engine_on_path_is_not_taken_for_an_official_one(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build.PULUMI.place.parent.mkdir(parents=True)
    _executable(build.PULUMI.place, "#!/bin/sh\necho v3.259.0\n")
    monkeypatch.setenv("PATH", f"{build.PULUMI.place.parent}:{os.environ['PATH']}")

    assert build.official_engine() is None
    assert build.built_engine() == build.PULUMI.place


def test_the_language_host_of_ours_makes_room_for_an_official_one(machine: Path) -> None:
    folder = build.ensure_plugins(machine / "plugins")
    assert sorted(p.name for p in folder.iterdir()) == ["pulumi-language-python", "pulumi-resource-aws"]
    assert f"exec {sys.executable} -I" in (folder / "pulumi-resource-aws").read_text()

    _executable(machine / "bin" / "pulumi-language-python", "#!/bin/sh\n")
    build.ensure_plugins(folder)

    assert sorted(p.name for p in folder.iterdir()) == ["pulumi-resource-aws"]
