"""Which commits may be gone back to, and the worktree at one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from rollback.engines import git as commits
from rollback.lifecycle.record_names import checked_commit
from rollback.util.errors import Code, Refused, UsageError
from rollback.views.json_output import commands as typed
from tests.coded import coded

Git = Callable[..., str]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "checkout"


@pytest.fixture
def git(root: Path) -> Git:
    """`git` in a repository with two commits on main and one beside it."""
    root.mkdir()

    def run(*arguments: str, at: Path = root) -> str:
        actor = ("-c", "user.name=dan", "-c", "user.email=dan@example.org", "-c", "commit.gpgsign=false")
        done = subprocess.run(
            ["git", *actor, "-C", str(at), *arguments],
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


def test_head_a_branch_and_a_tag_name_the_commit_that_was_deployed(root: Path, git: Git) -> None:
    sha = git("rev-parse", "HEAD")

    assert [checked_commit(root, name) for name in ("HEAD", "main", sha[:7], sha)] == [sha] * 4
    assert checked_commit(root, "v1") == git("rev-parse", "v1^{commit}")
    with pytest.raises(UsageError, check=coded(Code.UNKNOWN_COMMIT)) as error:
        checked_commit(root, "--all")
    assert typed(error.value.next) == ["git fetch origin", "git log --oneline"]


def test_files_are_committed_where_the_last_commit_has_them_as_they_are(root: Path, git: Git) -> None:
    assert commits.is_committed(root, ["file"])
    (root / "other").write_text("new")
    assert not commits.is_committed(root, ["file", "other"])
    git("add", "other")
    assert not commits.is_committed(root, ["file", "other"])
    git("commit", "-qm", "write other")
    assert commits.is_committed(root, ["file", "other"])
    (root / "file").write_text("changed")
    assert not commits.is_committed(root, ["file"])


@pytest.mark.parametrize("wanted", ["f" * 40, "nothing", "--all", "-n", "HEAD:file", "HEAD@{0}", ""])
def test_what_is_no_commit_is_reported(root: Path, git: Git, wanted: str) -> None:
    git("status")

    with pytest.raises(UsageError, match="There is no commit", check=coded(Code.UNKNOWN_COMMIT)) as error:
        commits.find(root, wanted, "main")
    assert typed(error.value.next) == ["git fetch origin main", "git log --oneline main"]


def test_a_commit_beside_the_protected_branch_is_refused(root: Path, git: Git) -> None:
    with pytest.raises(Refused, match=r" main\.", check=coded(Code.NOT_ON_PROTECTED_BRANCH)):
        commits.find(root, git("rev-parse", "feature"), "main")


def test_the_remotes_branch_counts_more_than_a_local_one(root: Path, git: Git, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    git("clone", "-q", str(root), str(clone))
    git("commit", "-q", "--allow-empty", "-m", "not pushed", at=clone)

    with pytest.raises(Refused, match=r" origin/main\.", check=coded(Code.NOT_ON_PROTECTED_BRANCH)):
        commits.find(clone, git("rev-parse", "HEAD", at=clone), "main")


def test_a_shallow_clone_is_distinguished_from_a_commit_that_is_missing(
    root: Path, git: Git, tmp_path: Path
) -> None:
    clone = tmp_path / "clone"
    git("clone", "-q", "--depth", "1", root.as_uri(), str(clone))

    with pytest.raises(UsageError, match="shallow", check=coded(Code.UNKNOWN_COMMIT)) as error:
        commits.find(clone, git("rev-parse", "HEAD~1"), "main")

    assert error.value.next == "git fetch --unshallow"


def test_outside_a_checkout_and_without_the_branch_it_is_reported(
    root: Path, git: Git, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()

    with pytest.raises(UsageError, match="is not a git checkout", check=coded(Code.NO_CHECKOUT)):
        commits.find(elsewhere, "HEAD", "main")
    with pytest.raises(UsageError, match="'trunk'", check=coded(Code.UNKNOWN_COMMIT)):
        commits.find(root, git("rev-parse", "HEAD"), "trunk")


def test_a_commits_files_are_read_without_a_checkout(root: Path, git: Git) -> None:
    sha = git("rev-parse", "HEAD~1")

    assert commits.read(root, sha, "file") == "one"
    assert commits.read(root, sha, "none") is None
    assert commits.holds(root, sha, "file")
    assert not commits.holds(root, sha, "none")
    assert commits.subject(root, sha) == "write one"
    assert commits.subject(root, "f" * 40) == ""
    assert commits.subjects(root, ["f" * 40, sha, "", git("rev-parse", "HEAD"), "0" * 40, sha]) == {
        sha: "write one",
        git("rev-parse", "HEAD"): "write two",
    }
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
        assert git("-c", "filter.spy.required=false", "status", "--porcelain", at=place) == ""
        assert git("rev-parse", "--abbrev-ref", "HEAD", at=place) == "HEAD"

    assert not ran.exists()
    assert not place.parent.exists()
    assert git("worktree", "list").count("\n") == 0
    assert (root / "file").read_text() == "edited"
    assert git("-c", "filter.spy.required=false", "status", "--porcelain") == "M file"


@pytest.mark.parametrize("name", ["spy", "my=x", "Upper", "a.b"])
@pytest.mark.parametrize("kind", ["smudge", "process"])
def test_no_filter_runs_whatever_it_is_called(root: Path, git: Git, name: str, kind: str) -> None:
    ran = root.parent / "ran"
    _with_filter(root, git, name)
    git("config", f"filter.{name}.{kind}", f"touch {ran}; cat")

    with commits.worktree(root, git("rev-parse", "HEAD")) as place:
        assert (place / "file").read_text() == "two"

    assert not ran.exists()


def test_no_filter_runs_that_is_configured_for_worktrees_alone(root: Path, git: Git) -> None:
    ran, included = root.parent / "ran", root.parent / "included"
    _with_filter(root, git, "spy")
    included.write_text(f'[filter "spy"]\n\tsmudge = touch {ran}; cat\n')
    git("config", "includeIf.gitdir:**/worktrees/**.path", str(included))

    with commits.worktree(root, git("rev-parse", "HEAD")) as place:
        assert (place / "file").read_text() == "two"

    assert not ran.exists()


def test_neither_monitors_nor_any_hook_run(root: Path, git: Git) -> None:
    ran = root.parent / "ran"
    spy = root.parent / "spy"
    spy.write_text(f"#!/bin/sh\ntouch {ran}\n")
    spy.chmod(0o755)
    hooks = root / "hooks"
    hooks.mkdir()
    for name in ("post-checkout", "reference-transaction", "post-index-change", "fsmonitor-watchman"):
        (hooks / name).symlink_to(spy)
    git("config", "core.hooksPath", str(hooks))
    git("config", "core.fsmonitor", str(spy))
    git("config", "core.pager", str(spy))
    ran.unlink(missing_ok=True)

    commits.find(root, "HEAD", "main")
    with commits.worktree(root, "HEAD"):
        pass

    assert not ran.exists()


def test_a_clone_that_lacks_a_commit_asks_nobody_for_it(root: Path, git: Git) -> None:
    ran = root.parent / "ran"
    git("config", "core.repositoryformatversion", "1")
    git("config", "extensions.partialClone", "origin")
    git("config", "remote.origin.promisor", "true")
    git("config", "remote.origin.url", "ssh://nobody.invalid/it")
    git("config", "core.sshCommand", f"touch {ran}; false")

    assert commits.resolved(root, "a" * 40) is None
    assert commits.read(root, "a" * 40, "file") is None
    assert not commits.holds(root, "b" * 40, "file")
    assert commits.is_ancestor(root, "c" * 40, "main") is None

    assert not ran.exists()


@pytest.mark.parametrize("text", ["--output=ran", "--help", "-n1", "HEAD", "$(touch ran)", "a" * 10_000, "é"])
def test_what_a_record_calls_a_commit_is_no_option(root: Path, git: Git, text: str) -> None:
    assert commits.subject(root, text) == ""
    if text != "HEAD":
        assert commits.is_ancestor(root, text, "main") is None
        assert not commits.holds(root, text, "file")
        assert commits.read(root, text, "file") is None

    assert git("status", "--porcelain") == ""


def test_a_commit_is_what_its_digits_state_and_not_what_was_put_in_its_place(root: Path, git: Git) -> None:
    stranger, sha = git("rev-parse", "feature"), git("rev-parse", "HEAD~1")
    git("replace", sha, git("rev-parse", "HEAD"))
    (root / ".git" / "info").mkdir(exist_ok=True)
    (root / ".git" / "info" / "grafts").write_text(f"{git('rev-parse', 'main')} {stranger}\n")

    assert commits.read(root, sha, "file") == "one"
    assert commits.subject(root, sha) == "write one"
    assert commits.is_ancestor(root, stranger, "main") is False
    with commits.worktree(root, sha) as place:
        assert (place / "file").read_text() == "one"


def test_a_worktree_has_all_files_where_the_checkout_shows_only_some(root: Path, git: Git) -> None:
    (root / "below").mkdir()
    (root / "below" / "other").write_text("a\nb\n")
    git("add", "-A")
    git("commit", "-qm", "below")
    git("sparse-checkout", "set", "--no-cone", "/file")
    git("config", "core.autocrlf", "true")
    assert not (root / "below").exists()

    with commits.worktree(root, git("rev-parse", "HEAD")) as place:
        assert (place / "below" / "other").read_bytes() == b"a\nb\n"


@pytest.mark.parametrize("folder", [".", "below"])
@pytest.mark.parametrize("link", ["/etc/passwd", "../../../other", "round"])
def test_links_that_lead_out_of_a_commit_are_refused_where_it_is_worked(
    root: Path, git: Git, link: str, folder: str
) -> None:
    (root / "below").mkdir()
    (root / "below" / "inside").symlink_to("../file")
    (root / "below" / "out").symlink_to("../round" if link == "round" else link)
    (root / "round").symlink_to("/etc")
    git("add", "-A")
    git("commit", "-qm", "links")

    with (
        pytest.raises(Refused, match=r" .*below/out → /", check=coded(Code.COMMIT_UNUSABLE)) as error,
        commits.worktree(root, git("rev-parse", "HEAD"), folder),
    ):
        pass

    assert "inside" not in error.value.what
    assert git("worktree", "list").count("\n") == 0


def test_a_folder_that_is_itself_a_link_out_is_refused_and_links_elsewhere_are_not(
    root: Path, git: Git
) -> None:
    (root / "good").mkdir()
    (root / "good" / "file").write_text("good")
    (root / "good" / "inside").symlink_to("../file")
    (root / "bad").symlink_to("/tmp")
    git("add", "-A")
    git("commit", "-qm", "links")
    sha = git("rev-parse", "HEAD")

    with commits.worktree(root, sha, "good") as place:
        assert (place / "good" / "inside").read_text() == "two"
    with (
        pytest.raises(Refused, match="bad → ", check=coded(Code.COMMIT_UNUSABLE)),
        commits.worktree(root, sha, "bad"),
    ):
        pass
    with (
        pytest.raises(Refused, match="bad/below → ", check=coded(Code.COMMIT_UNUSABLE)),
        commits.worktree(root, sha, "bad/below"),
    ):
        pass


def test_submodules_are_not_fetched(root: Path, git: Git) -> None:
    ran = root.parent / "ran"
    (root / ".gitmodules").write_text(
        f'[submodule "evil"]\n\tpath = evil\n\turl = ext::touch {ran}\n\tupdate = !touch {ran}\n'
    )
    git("update-index", "--add", "--cacheinfo", f"160000,{'a' * 40},evil")
    git("add", ".gitmodules")
    git("commit", "-qm", "a submodule")
    for name, value in (
        ("submodule.recurse", "true"),
        ("submodule.evil.active", "true"),
        ("submodule.evil.url", f"ext::touch {ran}"),
        ("submodule.evil.update", f"!touch {ran}"),
        ("protocol.ext.allow", "always"),
    ):
        git("config", name, value)

    with commits.worktree(root, git("rev-parse", "HEAD")) as place:
        assert list((place / "evil").iterdir()) == []

    assert not ran.exists()


@pytest.mark.parametrize(("name", "value"), [("core.worktree", "/usr"), ("core.bare", "true")])
def test_a_repository_that_states_its_files_are_elsewhere_is_reported(
    root: Path, git: Git, name: str, value: str
) -> None:
    git("config", name, value)

    with pytest.raises(
        UsageError, match="is not a work tree of its repository", check=coded(Code.NO_CHECKOUT)
    ):
        commits.top(root)


def test_a_repository_among_a_commits_files_has_no_effect(root: Path, git: Git) -> None:
    ran = root.parent / "ran"
    below = root / "below"
    git("init", "-q", "--bare", str(below))
    git("config", "-f", str(below / "config"), "core.fsmonitor", f"touch {ran}")

    with pytest.raises(UsageError, match="is not a git checkout", check=coded(Code.NO_CHECKOUT)):
        commits.top(below)

    assert not ran.exists()


def test_the_callers_variables_point_at_no_other_repository(
    root: Path, git: Git, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sha, other = git("rev-parse", "main"), tmp_path / "other"
    git("init", "-q", str(other))
    for name in ("GIT_DIR", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY"):
        monkeypatch.setenv(name, str(other / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))
    monkeypatch.setenv("GIT_NAMESPACE", "other")
    monkeypatch.setenv("GIT_CONFIG_PARAMETERS", "nonsense")
    monkeypatch.setenv("GIT_TRACE", str(tmp_path / "traced"))

    assert commits.find(root, "main", "main").sha == sha
    assert not (tmp_path / "traced").exists()


def _with_filter(root: Path, git: Git, name: str) -> None:
    (root / ".gitattributes").write_text(f"file filter={name}\n")
    git("add", "-A")
    git("commit", "-qm", "a filter")


def test_what_a_killed_process_has_left_is_cleared_away(root: Path, git: Git, tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from rollback.engines import git as commits\n"
        "with commits.worktree(Path(sys.argv[1]), 'HEAD') as place:\n"
        "    print(place, flush=True); os.kill(os.getpid(), 9)\n"
    )
    killed = subprocess.run(
        [sys.executable, "-c", code, str(root)],
        cwd=Path(__file__).parents[3],
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


def test_the_commits_between_two_are_listed_newest_first_and_none_of_what_is_not_known(
    root: Path, git: Git
) -> None:
    older, newer = git("rev-parse", "HEAD~1"), git("rev-parse", "HEAD")

    assert [sha for sha, _ in commits.between(root, older, newer, 10)] == [newer]
    assert commits.between(root, newer, older, 10) == []
    assert commits.between(root, "f" * 40, newer, 10) == []
    assert commits.between(root, "--all", newer, 10) == []
