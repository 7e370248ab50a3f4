"""The commits of the checkout: whether one may be gone back to, and what it holds.

Git is asked with its hooks and filters off: a commit's files are read as they were committed, and
nothing of the checkout, of its configuration's commands or of its index has a say in that or is written.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from rollback.errors import Refused, RollbackError, UsageError

# A worktree's folder, and the file beside the worktree that is locked while the process that made it lives.
_PREFIX, _HELD = "access-rollback-", "held"
_QUIET = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_LFS_SKIP_SMUDGE": "1",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "LC_ALL": "C",
}
# Variables by which whoever calls us (a hook, say) points git at another repository.
_FOREIGN = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_PREFIX")
_REVISION = re.compile(r"[0-9a-fA-F]{4,40}|[A-Za-z0-9_][A-Za-z0-9._/+-]*([~^][0-9]*)*")


@dataclass(frozen=True, kw_only=True, slots=True)
class Commit:
    """A commit: its 40 digits, and the first line of its message."""

    sha: str
    subject: str


def find(root: Path, wanted: str, branch: str) -> Commit:
    """The commit `wanted` (digits, or a tag's or branch's name) of the checkout in `root`.

    Raises `UsageError` where there is none, or where `root` is no checkout; `Refused` where it is not part
    of the protected branch: nobody goes back to a stranger's branch.
    """
    _must_be_a_checkout(root)
    known = _git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{wanted}^{{commit}}")
    if not _REVISION.fullmatch(wanted) or known.returncode:
        clone = "in this clone, which is shallow" if is_shallow(root) else "here"
        raise UsageError(f"There is no commit {wanted[:80]!r} {clone}.", next=_where_else(root, branch))
    sha = known.stdout.strip()
    ref = protected(root, branch)
    merged = _git(root, "merge-base", "--is-ancestor", sha, ref)
    if merged.returncode:
        shallow = is_shallow(root)
        raise Refused(
            f"Commit {sha[:12]} is not part of {ref.split('/', 2)[2]}"
            + (", as far as this shallow clone goes back." if shallow else "."),
            next=_where_else(root, branch)
            if shallow
            else f"Name a commit of '{branch}': git log --oneline {branch}",
        )
    return Commit(sha=sha, subject=subject(root, sha))


def protected(root: Path, branch: str) -> str:
    """The protected branch's ref, the remote's before a local one. Raises `UsageError` where there is none."""
    for ref in (f"refs/remotes/origin/{branch}", f"refs/heads/{branch}"):
        if _git(root, "rev-parse", "--verify", "--quiet", ref).returncode == 0:
            return ref
    raise UsageError(
        f"There is no branch '{branch}' here, which is the protected one.",
        next=f"git fetch origin {branch}:refs/remotes/origin/{branch}",
    )


def is_shallow(root: Path) -> bool:
    """Whether the clone lacks the older part of its history."""
    return _git(root, "rev-parse", "--is-shallow-repository").stdout.strip() == "true"


def is_ancestor(root: Path, older: str, newer: str) -> bool | None:
    """Whether `older` is part of the history of `newer`; None where either is not known here."""
    code = _git(root, "merge-base", "--is-ancestor", older, newer).returncode
    return {0: True, 1: False}.get(code)


def holds(root: Path, sha: str, path: str) -> bool:
    """Whether a commit has a file or folder at `path`, which is below the repository's top."""
    return _git(root, "cat-file", "-e", f"{sha}:{path}").returncode == 0


def read(root: Path, sha: str, path: str) -> str | None:
    """A file as a commit has it; None where it has none there, or where it is no text."""
    shown = _git(root, "cat-file", "blob", f"{sha}:{path}")
    return None if shown.returncode or "\0" in shown.stdout else shown.stdout


def subject(root: Path, sha: str) -> str:
    """The first line of a commit's message; empty where the commit is not known here."""
    return _git(root, "show", "-s", "--no-show-signature", "--format=%s", sha, "--").stdout.strip()


def dirty(root: Path) -> bool:
    """Whether the checkout differs from its commit, untracked files included."""
    return bool(_git(root, "status", "--porcelain").stdout.strip())


def top(root: Path) -> Path:
    """The top folder of the repository that `root` is in. Raises `UsageError` where it is in none."""
    _must_be_a_checkout(root)
    return Path(_git(root, "rev-parse", "--show-toplevel").stdout.strip())


@contextmanager
def worktree(root: Path, sha: str) -> Iterator[Path]:
    """A folder with the files of a commit, which is removed again however the block ends.

    It stands in a folder that nobody else may read; what is put beside it goes with it.
    What processes that were killed have left behind is cleared away, too. Raises `UsageError` where git
    cannot check the commit out (a partial clone lacks its files).
    """
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    place = folder / "tree"
    with (folder / _HELD).open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        try:
            _clear_dead(root)
            added = _git(root, "worktree", "add", "--detach", "--force", str(place), sha)
            if added.returncode:
                raise UsageError(
                    f"Commit {sha[:12]} cannot be checked out: {_last(added.stderr)}.",
                    next=f"git fetch origin {sha}",
                )
            yield place
        finally:
            _git(root, "worktree", "remove", "--force", "--force", str(place))
            shutil.rmtree(folder, ignore_errors=True)
            _git(root, "worktree", "prune")


def _clear_dead(root: Path) -> None:
    """Removes the worktrees of ours whose process has died: nobody holds their lock any more."""
    listed = _git(root, "worktree", "list", "--porcelain").stdout
    for line in listed.splitlines():
        place = Path(line.removeprefix("worktree "))
        if not line.startswith("worktree ") or not place.parent.name.startswith(_PREFIX):
            continue
        with suppress(OSError), (place.parent / _HELD).open() as held:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _git(root, "worktree", "remove", "--force", "--force", str(place))
            shutil.rmtree(place.parent, ignore_errors=True)
    _git(root, "worktree", "prune")


def _must_be_a_checkout(root: Path) -> None:
    try:
        inside = _git(root, "rev-parse", "--git-dir")
    except FileNotFoundError:
        raise UsageError("git is not on PATH.", next="Install git.") from None
    if inside.returncode:
        raise UsageError(
            f"{root} is no git checkout: {_last(inside.stderr)}.",
            next="Run it inside a checkout of the platform's repository.",
        )


def _where_else(root: Path, branch: str) -> str:
    if is_shallow(root):
        return "git fetch --unshallow"
    return f"git fetch origin {branch}, if it is newer than this checkout; git log --oneline {branch} shows what there is."


def _last(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1].removeprefix("fatal: ").rstrip(".")[:300] if lines else "git says nothing"


def _git(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    filters = _filters(root) if words[:2] == ("worktree", "add") else ()
    options = ["core.hooksPath=/dev/null", "core.fsmonitor=false", "advice.detachedHead=false", *filters]
    environment = {name: value for name, value in os.environ.items() if name not in _FOREIGN}
    try:
        return subprocess.run(
            ["git", "-C", str(root), *(word for option in options for word in ("-c", option)), *words],
            env=environment | _QUIET,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            check=False,
            timeout=120,
        )
    except subprocess.TimeoutExpired:
        raise RollbackError(f"git {words[0]} did not answer within two minutes.") from None


def _filters(root: Path) -> list[str]:
    """Options by which no filter that is configured here runs on a checkout."""
    named = _git(root, "config", "--name-only", "--get-regexp", r"^filter\..*\.(smudge|process|required)$")
    off = {"smudge": "", "process": "", "required": "false"}
    return [f"{name}={off[name.rpartition('.')[2]]}" for name in set(named.stdout.split())]
