"""What is kept for the tab key: bounded, its owner's, fit for a shell, and never a reason for an error."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from rollback.cli.known_names import Names, keep, known


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that it is kept in."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "rollback" / "names"


def test_the_newest_are_first_and_the_oldest_make_room(kept: Path, tmp_path: Path) -> None:
    keep(tmp_path, "dev", Names(ids=("01A", "01C"), releases=("v2", "v1")))
    keep(tmp_path, "dev", Names(ids=("01B",), releases=("v3", "v2")))

    assert known(tmp_path, "dev") == Names(ids=("01C", "01B", "01A"), releases=("v3", "v2", "v1"))
    keep(tmp_path, "dev", Names(ids=tuple(f"02{number:03}" for number in range(500))))
    assert len(known(tmp_path, "dev").ids) == 50
    assert known(tmp_path, "dev").ids[0] == "02499"


def test_each_environment_and_checkout_has_its_own(kept: Path, tmp_path: Path) -> None:
    keep(tmp_path, "dev", Names(ids=("01A",)))

    assert known(tmp_path, "prod") == known(tmp_path / "other", "dev") == Names()
    (file,) = kept.iterdir()
    assert [stat.S_IMODE(path.stat().st_mode) for path in (kept, file)] == [0o700, 0o600]


def test_what_a_shell_would_act_upon_is_not_kept_and_not_offered(kept: Path, tmp_path: Path) -> None:
    wrong = ("$(id)", "a b", "`id`", "'", '"', "x;y", "-x", "a\nb", "x" * 65, "")

    keep(tmp_path, "dev", Names(ids=(*wrong, "01A"), releases=wrong))

    assert known(tmp_path, "dev") == Names(ids=("01A",))
    (file,) = kept.iterdir()
    file.write_text('{"ids": ["$(id)", 7, "01B"], "releases": []}')
    assert known(tmp_path, "dev") == Names()
    file.write_text('{"ids": ["$(id)", "01B"], "releases": []}')
    assert known(tmp_path, "dev") == Names(ids=("01B",))


@pytest.mark.parametrize("text", ["", "{", "[]", "7", '{"ids": 7, "releases": []}', "\x00", "x" * 200_000])
def test_a_broken_file_offers_nothing_and_is_written_anew(kept: Path, tmp_path: Path, text: str) -> None:
    keep(tmp_path, "dev", Names(ids=("01A",)))
    (file,) = kept.iterdir()
    file.write_text(text)

    assert known(tmp_path, "dev") == Names()
    keep(tmp_path, "dev", Names(ids=("01B",)))
    assert known(tmp_path, "dev") == Names(ids=("01B",))


def test_where_nothing_can_be_written_nothing_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "rollback").write_text("a file where the folder should be")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    keep(tmp_path, "dev", Names(ids=("01A",)))

    assert known(tmp_path, "dev") == Names()


def test_nothing_is_written_where_nothing_is_new(kept: Path, tmp_path: Path) -> None:
    keep(tmp_path, "dev", Names())
    assert not kept.exists()
    keep(tmp_path, "dev", Names(ids=("01A",)))
    (file,) = kept.iterdir()
    before = file.stat().st_ino

    keep(tmp_path, "dev", Names(ids=("01A",)))

    assert file.stat().st_ino == before
