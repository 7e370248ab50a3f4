"""A temporary clone in which a drill commits what is bad: at the checkout's protected branch, deleted with
the drill.

It borrows the checkout's objects and writes none there; nothing of the user's repository is touched.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rollback.config.settings import PROJECT_FILE, Settings, stack_file
from rollback.core import locked_tempdir
from rollback.core.errors import Code, Refused, RollbackError
from rollback.integrations import git

_AUTHOR = ("-c", "user.name=drill", "-c", "user.email=drill@localhost", "-c", "commit.gpgSign=false")
_VIRTUALENV = ".venv"
# The folder around a clone, and the clone itself.
_PREFIX, _CLONE = "rollback-drill-", "clone"


@dataclass(frozen=True, kw_only=True)
class Scratch:
    """`top` is the clone, `root` the project's folder in it, `branch` the protected branch."""

    top: Path
    root: Path
    branch: str

    @property
    def folder(self) -> str:
        return str(self.root.relative_to(self.top))

    @property
    def tip(self) -> str:
        """The commit that the protected branch is at."""
        return self._git(self.top, "rev-parse", "HEAD")

    def commit(self, message: str, on: str, files: Mapping[str, str]) -> str:
        """A commit on top of `on` with `files` (path in the project's folder → text); the protected branch
        has it, too.

        The files of the branch stay as they are. Returns all its digits.
        """
        with git.worktree(self.top, on, self.folder) as tree:
            for name, text in files.items():
                (tree / self.folder / name).write_text(text, encoding="utf-8")
            self._git(tree, *_AUTHOR, "commit", "--quiet", "--all", "--allow-empty", "--message", message)
            made = self._git(tree, "rev-parse", "HEAD")
        tip = self.tip
        joined = self._git(
            self.top, *_AUTHOR, "commit-tree", f"{tip}^{{tree}}", "-p", tip, "-p", made, "-m", message
        )
        self._git(self.top, "update-ref", f"refs/heads/{self.branch}", joined)
        return made

    def file(self, commit: str, name: str) -> str:
        """A file of the project's folder at a commit. Raises `Refused` where it has none."""
        text = git.read(self.top, commit, str(Path(self.folder) / name))
        if text is None:
            raise Refused(
                f"Commit {commit[:12]} has no {name}: this drill does not know how to make it bad.",
                code=Code.DRILL_REFUSED,
            )
        return text

    @staticmethod
    def _git(place: Path, *arguments: str) -> str:
        return _git(place, *arguments)


@contextmanager
def scratch(root: Path, settings: Settings) -> Iterator[Scratch]:
    """The clone, as long as the block lasts.

    Raises `Refused` where the checkout's settings are not those of the protected branch: what is drilled is
    what would be done on the bad day.
    """
    top = git.top(root)
    branch = settings.protected_branch
    tip = git.resolved(top, git.protected(top, branch)) or ""
    folder = root.resolve().relative_to(top.resolve())
    for name in (PROJECT_FILE, stack_file(root, settings.environment)):
        if git.read(top, tip, str(folder / name)) != (root / name).read_text(encoding="utf-8"):
            raise Refused(
                f"{name} here differs from branch '{branch}': a drill is of what is there.",
                code=Code.DRILL_REFUSED,
                next=f"Check out '{branch}', or commit it there.",
            )
    locked_tempdir.clear_dead(locked_tempdir.named(_PREFIX), lambda dead: git.clear_dead(dead / _CLONE))
    place = locked_tempdir.make(_PREFIX)
    clone = place / _CLONE
    with locked_tempdir.held(place):
        _git(place, "init", "--quiet", f"--initial-branch={branch}", "--template=", str(clone))
        objects = (top / _git(top, "rev-parse", "--git-path", "objects")).resolve()
        information = clone / ".git" / "objects" / "info"
        information.mkdir(parents=True, exist_ok=True)
        (information / "alternates").write_text(f"{objects}\n", encoding="utf-8")
        shallow = top / _git(top, "rev-parse", "--git-path", "shallow")
        if shallow.is_file():
            shutil.copy(shallow, clone / ".git" / "shallow")
        _git(clone, "update-ref", f"refs/heads/{branch}", tip)
        _git(clone, "reset", "--quiet", "--hard")
        (clone / ".git" / "info").mkdir(exist_ok=True)
        (clone / ".git" / "info" / "exclude").write_text(f"{_VIRTUALENV}\n", encoding="utf-8")
        if (root / _VIRTUALENV).exists() and not (clone / folder / _VIRTUALENV).exists():
            (clone / folder / _VIRTUALENV).symlink_to((root / _VIRTUALENV).resolve())
        yield Scratch(top=clone, root=clone / folder, branch=branch)


def _git(place: Path, *arguments: str) -> str:
    """`git WORDS` as `commits` asks it; its answer. Raises `RollbackError` with what it said."""
    options, rest = (
        (arguments[: len(_AUTHOR)], arguments[len(_AUTHOR) :])
        if arguments[: len(_AUTHOR)] == _AUTHOR
        else ((), arguments)
    )
    done: subprocess.CompletedProcess[str] = git._git(place, *rest, options=options)  # noqa: SLF001 - the one way in which git is asked
    if done.returncode:
        raise RollbackError(
            f"The clone for the drill could not be made: git {rest[0]}: {done.stderr.strip()[:300]}",
            code=Code.GIT_FAILED,
        )
    return done.stdout.strip()
