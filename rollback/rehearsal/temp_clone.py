"""A temporary clone for a drill's bad commits: at the checkout's protected branch, deleted after
the drill.

It borrows the checkout's objects and does not change the user's repository.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rollback.config.settings import PROJECT_FILE, Settings, stack_file
from rollback.engines import git
from rollback.util import locked_tempdir
from rollback.util.errors import Code, Refused, RollbackError

_AUTHOR = ("-c", "user.name=drill", "-c", "user.email=drill@localhost", "-c", "commit.gpgSign=false")
_VIRTUALENV = ".venv"
# The prefix of a clone's folder, and the clone's name in it.
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
        """The newest commit of the protected branch."""
        return self._git(self.top, "rev-parse", "HEAD")

    def commit(self, message: str, on: str, files: Mapping[str, str]) -> str:
        """Makes a commit on top of `on` with `files` (path in the project's folder → text), also on the protected branch
        of the clone.

        Other files are not changed. Returns its 40 digits.
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
        """A file of the project's folder at a commit. Raises `Refused` where it does not exist."""
        text = git.read(self.top, commit, str(Path(self.folder) / name))
        if text is None:
            raise Refused(
                f"Commit {commit[:12]} has no {name}, so this drill cannot change it.",
                code=Code.DRILL_REFUSED,
            )
        return text

    @staticmethod
    def _git(place: Path, *arguments: str) -> str:
        return _git(place, *arguments)


@contextmanager
def scratch(root: Path, settings: Settings) -> Iterator[Scratch]:
    """The clone, until the end of the block.

    Raises `Refused` where the checkout's settings differ from those of the protected branch: a drill must do
    what a real rollback would do.
    """
    top = git.top(root)
    branch = settings.protected_branch
    tip = git.resolved(top, git.protected(top, branch)) or ""
    folder = root.resolve().relative_to(top.resolve())
    for name in (PROJECT_FILE, stack_file(root, settings.environment)):
        if git.read(top, tip, str(folder / name)) != (root / name).read_text(encoding="utf-8"):
            raise Refused(
                f"{name} differs from branch '{branch}': a drill needs the branch's version.",
                code=Code.DRILL_REFUSED,
                next=f"Check out branch '{branch}', or merge the change into it.",
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
    """Runs git in the clone and returns its output. Raises `RollbackError` with its error."""
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
