"""Which commits may be gone back to, and the worktree at one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from rollback import commits
from rollback.errors import Refused, UsageError

Git = Callable[..., str]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "checkout"


@pytest.fixture
def git(root: Path) -> Git:
    """`git` in a repository with two commits on main and one beside it."""
    root.mkdir()

    def run(*words: str, at: Path = root) -> str:
        who = ("-c", "user.name=dan", "-c", "user.email=dan@example.org", "-c", "commit.gpgsign=false")
        done = subprocess.run(
            ["git", *who, "-C", str(at), *words],
            env={**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    run("init", "-q", "-b", "main")
    for text in ("one", "two"):
        (root / "file").write_text(text)
        run("add", "-A")
        run("commit", "-qm", f"write {text}")
    run("tag", "v1", "HEAD~1")
    run("checkout", "-q", "-b", "feature")
    run("commit", "-q", "--allow-empty", "-m", "beside")
    run("checkout", "-q", "main")
    return run


def test_a_commit_is_found_by_its_digits_and_by_a_tag(root: Path, git: Git) -> None:
    sha = git("rev-parse", "HEAD~1")

    assert commits.find(root, sha[:8], "main") == commits.Commit(sha=sha, subject="write one")
    assert commits.find(root, "v1", "main").sha == sha


@pytest.mark.parametrize("wanted", ["f" * 40, "nothing", "--all", "-n", "HEAD:file", "HEAD@{0}", ""])
def test_what_is_no_commit_is_told_so(root: Path, git: Git, wanted: str) -> None:
    git("status")

    with pytest.raises(UsageError, match="There is no commit"):
        commits.find(root, wanted, "main")


def test_a_commit_beside_the_protected_branch_is_refused(root: Path, git: Git) -> None:
    with pytest.raises(Refused, match=r"is not part of main\."):
        commits.find(root, git("rev-parse", "feature"), "main")


def test_the_remotes_branch_counts_more_than_a_local_one(root: Path, git: Git, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    git("clone", "-q", str(root), str(clone))
    git("commit", "-q", "--allow-empty", "-m", "not pushed", at=clone)

    with pytest.raises(Refused, match=r"is not part of origin/main\."):
        commits.find(clone, git("rev-parse", "HEAD", at=clone), "main")


def test_a_shallow_clone_is_told_apart_from_a_commit_that_is_missing(
    root: Path, git: Git, tmp_path: Path
) -> None:
    clone = tmp_path / "clone"
    git("clone", "-q", "--depth", "1", root.as_uri(), str(clone))

    with pytest.raises(UsageError, match="which is shallow") as error:
        commits.find(clone, git("rev-parse", "HEAD~1"), "main")

    assert error.value.next == "git fetch --unshallow"


def test_outside_a_checkout_and_without_the_branch_it_is_told_so(
    root: Path, git: Git, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()

    with pytest.raises(UsageError, match="is no git checkout"):
        commits.find(elsewhere, "HEAD", "main")
    with pytest.raises(UsageError, match="There is no branch 'trunk'"):
        commits.find(root, git("rev-parse", "HEAD"), "trunk")


def test_a_commits_files_are_read_without_a_checkout(root: Path, git: Git) -> None:
    sha = git("rev-parse", "HEAD~1")

    assert commits.read(root, sha, "file") == "one"
    assert commits.read(root, sha, "none") is None
    assert commits.holds(root, sha, "file")
    assert not commits.holds(root, sha, "none")
    assert commits.subject(root, sha) == "write one"
    assert commits.subject(root, "f" * 40) == ""
    assert commits.is_ancestor(root, sha, "main") is True
    assert commits.is_ancestor(root, "main", sha) is False
    assert commits.is_ancestor(root, "f" * 40, sha) is None


def test_a_worktree_runs_no_hook_and_no_filter_and_leaves_nothing(root: Path, git: Git) -> None:
    ran = root.parent / "ran"
    (root / ".gitattributes").write_text("file filter=spy\n")
    git("add", "-A")
    git("commit", "-qm", "a filter")
    git("config", "filter.spy.smudge", f"tee {ran}")
    git("config", "filter.spy.required", "true")
    hook = root / ".git" / "hooks" / "post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {ran}\n")
    hook.chmod(0o755)
    (root / "file").write_text("edited")

    with commits.worktree(root, git("rev-parse", "HEAD")) as place:
        assert (place / "file").read_text() == "two"
        assert not commits.dirty(place)
        assert git("rev-parse", "--abbrev-ref", "HEAD", at=place) == "HEAD"

    assert not ran.exists()
    assert not place.parent.exists()
    assert git("worktree", "list").count("\n") == 0
    assert (root / "file").read_text() == "edited"
    assert commits.dirty(root)


def test_what_a_killed_process_has_left_is_cleared_away(root: Path, git: Git, tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from rollback import commits\n"
        "with commits.worktree(Path(sys.argv[1]), 'HEAD') as place:\n"
        "    print(place, flush=True); os.kill(os.getpid(), 9)\n"
    )
    killed = subprocess.run(
        [sys.executable, "-c", code, str(root)],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    left = Path(killed.stdout.strip())
    assert left.is_dir()

    with commits.worktree(root, "HEAD") as place:
        with commits.worktree(root, "HEAD") as other:
            assert other.is_dir()
        assert place.is_dir()

    assert not left.exists()
    assert git("worktree", "list").count("\n") == 0
