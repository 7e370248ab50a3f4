"""Files are written beside what a folder has, and nothing that somebody else wrote is lost unseen."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollback.setup.catalogue.files import (
    FOLDER,
    File,
    changes,
    choose_folder,
    write,
)
from rollback.util.errors import Code, Refused, UsageError
from tests.coded import coded

OURS = "name: shop\nruntime: python\nconfig:\n  rto: {code: 5}\n"


def test_an_empty_folder_takes_it_and_one_with_something_has_a_folder_of_its_own(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    empty = choose_folder(tmp_path)
    (tmp_path / "template.yaml").touch()

    assert (empty, choose_folder(tmp_path)) == (tmp_path, tmp_path / FOLDER)


def test_the_next_environment_goes_where_the_first_is(tmp_path: Path) -> None:
    place, below = tmp_path / FOLDER, tmp_path / "src" / "orders"
    place.mkdir()
    below.mkdir(parents=True)
    (place / "Pulumi.yaml").write_text(OURS)

    assert choose_folder(tmp_path) == choose_folder(place) == place


@pytest.mark.parametrize("named", ["x" * 10_000, "a\0b", "file"])
def test_what_is_no_folder_is_refused(tmp_path: Path, named: str) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(UsageError, check=coded(Code.FOLDER_IN_USE)):
        choose_folder(tmp_path, named)


def test_what_lies_above_the_repository_is_not_its_own(tmp_path: Path) -> None:
    (tmp_path / "Pulumi.yaml").write_text(OURS)
    repository, folder = tmp_path / "shop", tmp_path / "none"
    (repository / ".git").mkdir(parents=True)
    folder.mkdir()

    assert (choose_folder(repository), choose_folder(folder)) == (repository, folder)


def test_a_folder_with_another_program_is_refused(tmp_path: Path) -> None:
    (tmp_path / "Pulumi.yaml").write_text("name: theirs\nruntime: nodejs\n")

    assert choose_folder(tmp_path) == tmp_path / FOLDER
    with pytest.raises(UsageError, check=coded(Code.FOLDER_IN_USE)):
        choose_folder(tmp_path, ".")


def test_a_change_says_whether_something_would_be_lost_and_what(tmp_path: Path) -> None:
    (tmp_path / "same").write_text("a\n")
    (tmp_path / "other").write_text("a\nb\n")
    (tmp_path / "link").symlink_to("same")

    made = changes(
        tmp_path,
        [
            File(path="new", text="x\n"),
            File(path="same", text="a\n"),
            File(path="other", text="a\nc\n"),
            File(path="link", link="same"),
        ],
    )

    assert [one.kind for one in made] == ["new", "unchanged", "differs", "unchanged"]
    assert [line for line in made[2].diff.splitlines() if line[:1] in "+-" and len(line) == 2] == ["-b", "+c"]


def test_what_is_written_is_there_as_a_whole_and_links_are_links(tmp_path: Path) -> None:
    written = write(changes(tmp_path, [File(path="a/b.yaml", text="x\n"), File(path="l", link="a/b.yaml")]))

    assert written == (tmp_path / "a/b.yaml", tmp_path / "l")
    assert (tmp_path / "l").read_text() == "x\n"
    assert {one.name for one in tmp_path.rglob("*")} == {"a", "b.yaml", "l"}


def test_what_was_changed_since_it_was_shown_is_not_overwritten(tmp_path: Path) -> None:
    made = changes(tmp_path, [File(path="a", text="x\n")])
    (tmp_path / "a").write_text("somebody's\n")

    with pytest.raises(Refused, check=coded(Code.CHANGED_BY_OTHERS)):
        write(made)
    assert (tmp_path / "a").read_text() == "somebody's\n"
