"""The folder that a configuration is worked on in: where it is, whose it is, and that it goes away."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from rollback.engines.terraform import Tool
from rollback.targets.terraform.backend import below, platform
from rollback.targets.terraform.workspace import Work, opened
from rollback.util.errors import Code, Refused, RollbackError
from tests.coded import coded
from tests.doubles.world import settings
from tests.e2e.estate_under_test import git

TOOL = Tool(path="terraform", name="terraform", version="1.11.4", platform="linux_amd64")


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    return place


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A project in a subfolder of its repository."""
    root = tmp_path / "repository" / "platform"
    (root / "terraform").mkdir(parents=True)
    (root / "terraform" / "main.tf").write_text("# one\n")
    git(root.parent, "init", "-q", "-b", "main")
    git(root, "add", ".")
    git(root, "commit", "-qm", "one")
    return root


def head(checkout: Path) -> str:
    return git(checkout, "rev-parse", "HEAD")


def works(checkout: Path, place: str = "") -> Work:
    """The work as it was while it was open."""
    with opened(
        checkout, head(checkout), TOOL, settings(), platform(settings()), seconds=60, place=place
    ) as work:
        assert (work.root / "main.tf").read_text() == "# one\n"
        assert work.folder.stat().st_mode & 0o077 == 0
    return work


def test_a_project_in_a_subfolder_is_found_below_the_repositorys_top(checkout: Path) -> None:
    assert below(checkout, settings()) == "platform/terraform"
    assert below(checkout.parent, settings()) == "terraform"


def test_it_is_a_folder_of_its_own_that_goes_away(checkout: Path, temporary: Path) -> None:
    (checkout / "terraform" / "main.tf").write_text("# not committed\n")

    works(checkout)

    assert list(temporary.iterdir()) == []
    assert (checkout / "terraform" / "main.tf").read_text() == "# not committed\n"


def test_it_can_be_made_again_where_it_was(checkout: Path, temporary: Path) -> None:
    was = works(checkout).folder
    was.mkdir()
    (was / "left").touch()

    assert works(checkout, str(was)).folder == was


def test_it_is_not_made_over_another_folder(checkout: Path, tmp_path: Path) -> None:
    with pytest.raises(RollbackError, match="not a folder of this command", check=coded(Code.PLAN_OUTDATED)):
        works(checkout, str(tmp_path))

    assert tmp_path.exists()


def test_where_it_cannot_be_it_is_reported(checkout: Path, temporary: Path) -> None:
    with pytest.raises(
        Refused, match="cannot be created on this machine: No such file", check=coded(Code.PLAN_OUTDATED)
    ):
        works(checkout, str(temporary / "missing" / "access-rollback-terraform-12345678"))


def test_a_link_in_its_place_is_not_followed(checkout: Path, temporary: Path, tmp_path: Path) -> None:
    place = temporary / "access-rollback-terraform-12345678"
    place.symlink_to(tmp_path)

    with pytest.raises(Refused, match="another user", check=coded(Code.PLAN_OUTDATED)):
        works(checkout, str(place))


def test_what_a_killed_process_has_left_is_cleared_away(checkout: Path, temporary: Path) -> None:
    dead = temporary / "access-rollback-terraform-87654321"
    dead.mkdir()
    (dead / "held").touch()
    (dead / "plan.tfplan").touch()

    with opened(checkout, head(checkout), TOOL, settings(), platform(settings()), seconds=60) as alive:
        works(checkout)
        assert alive.folder.exists()

    assert not dead.exists()
