"""The checkout's commits: whether one may be deployed, and its files.

Anybody who can write into a repository's `.git` can put commands there: hooks, filters, monitors, remotes.
Git runs with all of them disabled, and without network access: a commit's files are read as they
were committed; the checkout and its index have no influence and are not written.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from rollback.util import locked_tempdir
from rollback.util.errors import (
    Code,
    Refused,
    RollbackError,
    UsageError,
)

# The prefix of a worktree's folder, and of its line in git's list.
_PREFIX, _NOTICED = "access-rollback-", "worktree "
_QUIET = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_LFS_SKIP_SMUDGE": "1",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    # No protocols: a partial clone would fetch missing objects with a command from its configuration.
    "GIT_ALLOW_PROTOCOL": "",
    # Replacement objects are ignored.
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_GRAFT_FILE": "/dev/null/none",
    "LC_ALL": "C",
}
# A caller (a hook, for example) may point git at another repository; only the place of git's settings is kept.
_KEPT = re.compile(
    r"GIT_(EXEC_PATH|CEILING_DIRECTORIES|CONFIG_(GLOBAL|SYSTEM|NOSYSTEM|COUNT|(KEY|VALUE)_\d+))"
)
_OFF = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "safe.bareRepository=explicit",
    "advice.detachedHead=false",
)
# Check out all files, exactly as they were committed.
_WHOLE = ("core.sparseCheckout=false", "core.autocrlf=false", "submodule.recurse=false")
_SHA = re.compile(r"[0-9a-fA-F]{4,64}")
_LINK = "120000"
_NAMED = 5
# The values that disable a filter.
_EMPTY, _FALSE = "ROLLBACK_GIT_EMPTY", "ROLLBACK_GIT_FALSE"
_VALUES = {_EMPTY: "", _FALSE: "false"}
_REVISION = re.compile(r"[0-9a-fA-F]{4,40}|[A-Za-z0-9_][A-Za-z0-9._/+-]*([~^][0-9]*)*")


@dataclass(frozen=True, kw_only=True, slots=True)
class Commit:
    """A commit: its 40 hexadecimal digits, and the first line of its message."""

    sha: str
    subject: str


def find(root: Path, wanted: str, branch: str) -> Commit:
    """The commit `wanted` (digits, tag or branch) of the checkout in `root`.

    Raises `UsageError` where there is none, or where `root` is not a checkout; `Refused` where it is not part
    of the protected branch: only reviewed commits can be a rollback's target.
    """
    _must_be_a_checkout(root)
    sha = resolved(root, wanted)
    if sha is None:
        clone = "in this clone, which is shallow" if is_shallow(root) else "here"
        raise UsageError(
            f"There is no commit {wanted[:80]!a} {clone}.",
            code=Code.UNKNOWN_COMMIT,
            next=_where_else(root, branch),
        )
    ref = protected(root, branch)
    merged = _git(root, "merge-base", "--is-ancestor", sha, ref)
    if merged.returncode:
        shallow = is_shallow(root)
        raise Refused(
            f"Commit {sha[:12]} is not part of {ref.split('/', 2)[2]}"
            + (", as far as this shallow clone goes back." if shallow else "."),
            code=Code.NOT_ON_PROTECTED_BRANCH,
            next=_where_else(root, branch)
            if shallow
            else f"git log --oneline {branch}  # lists the commits of '{branch}'",
        )
    return Commit(sha=sha, subject=subject(root, sha))


def of_this_checkout(root: Path, wanted: str, branch: str) -> Commit:
    """The commit `wanted`, if it is part of what is checked out in `root`, or of the protected branch.

    Its program may be run for a preview, so that other commits are refused. Raises `UsageError` where there is none, `Refused`
    where it is in neither.
    """
    _must_be_a_checkout(root)
    sha = resolved(root, wanted)
    if sha is not None and is_ancestor(root, sha, "HEAD"):
        return Commit(sha=sha, subject=subject(root, sha))
    return find(root, wanted, branch)


def files(root: Path, sha: str, folder: str) -> list[str]:
    """The paths of all of a commit's files below `folder`, relative to the repository's top."""
    listed = _git(root, "ls-tree", "-r", "-z", "--full-tree", "--name-only", sha, "--", folder)
    return [path for path in listed.stdout.split("\0") if path]


def resolved(root: Path, wanted: str) -> str | None:
    """All digits of the commit `wanted` (digits, HEAD, tag or branch); None if there
    is none.
    """
    if not _REVISION.fullmatch(wanted):
        return None
    known = _git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{wanted}^{{commit}}")
    return None if known.returncode else known.stdout.strip()


def branch(root: Path, symbolic: str = "HEAD") -> str:
    """The branch of a symbolic ref (`HEAD`, `refs/remotes/origin/HEAD`), even without commits; empty without a branch."""
    known = _git(root, "symbolic-ref", "--quiet", "--short", symbolic)
    return "" if known.returncode else known.stdout.strip().removeprefix("origin/")


def protected(root: Path, branch: str) -> str:
    """The protected branch's ref: the remote's, or else a local one. Raises `UsageError` where there is none."""
    for ref in (f"refs/remotes/origin/{branch}", f"refs/heads/{branch}"):
        if _git(root, "rev-parse", "--verify", "--quiet", ref).returncode == 0:
            return ref
    raise UsageError(
        f"The protected branch '{branch}' does not exist in this clone.",
        code=Code.UNKNOWN_COMMIT,
        next=f"git fetch origin {branch}:refs/remotes/origin/{branch}",
    )


def is_shallow(root: Path) -> bool:
    """Whether the clone is shallow."""
    return _git(root, "rev-parse", "--is-shallow-repository").stdout.strip() == "true"


def is_ancestor(root: Path, older: str, newer: str) -> bool | None:
    """Whether `older` is part of the history of `newer`; None if either does not exist here."""
    code = _git(root, "merge-base", "--is-ancestor", "--end-of-options", older, newer).returncode
    return {0: True, 1: False}.get(code)


def holds(root: Path, sha: str, path: str) -> bool:
    """Whether a commit has a file or folder at `path`, relative to the repository's top."""
    return _git(root, "cat-file", "-e", f"{sha}:{path}").returncode == 0


def read(root: Path, sha: str, path: str) -> str | None:
    """A file's text in a commit; None if it does not exist or is not text."""
    shown = _git(root, "cat-file", "blob", f"{sha}:{path}")
    return None if shown.returncode or "\0" in shown.stdout else shown.stdout


def has_remote_branches(root: Path) -> bool:
    """Whether there are branches of `origin`."""
    return bool(_git(root, "for-each-ref", "--count=1", "--format=%(refname)", "refs/remotes/origin/").stdout)


def subject(root: Path, sha: str) -> str:
    """The first line of a commit's message; empty if the commit does not exist here."""
    return subjects(root, [sha]).get(sha, "")


def between(root: Path, older: str, newer: str, most: int) -> list[tuple[str, str]]:
    """The commits in `newer` that are not in `older`, newest first, as (40 digits, first line of the message); empty
    if one of them does not exist here.
    """
    if not (_SHA.fullmatch(older) and _SHA.fullmatch(newer)):
        return []
    listed = _git(
        root,
        "log",
        "-s",
        f"--max-count={most}",
        "--no-show-signature",
        "--format=%H %s",
        f"{older}..{newer}",
        "--",
    )
    lines = listed.stdout.splitlines() if not listed.returncode else []
    return [(sha, text.strip()) for sha, _, text in (line.partition(" ") for line in lines)]


def subjects(root: Path, shas: Iterable[str]) -> dict[str, str]:
    """Commit, by all its digits, → the first line of its message, for those that exist here, in one call of git."""
    # From records or the engine's history, which may contain anything.
    wanted = [sha for sha in dict.fromkeys(shas) if _SHA.fullmatch(sha)]
    if not wanted:
        return {}
    arguments = (
        "log",
        "-s",
        "--no-walk=unsorted",
        "--ignore-missing",
        "--no-show-signature",
        "--format=%H %s",
    )
    completed = _git(root, *arguments, *wanted, "--").stdout.splitlines()
    return {sha: text.strip() for sha, _, text in (line.partition(" ") for line in completed)}


def is_committed(root: Path, paths: Iterable[str]) -> bool:
    """Whether files (paths relative to `root`) are the same in the last commit."""
    known = [*dict.fromkeys(paths)]
    tracked = _git(root, "ls-files", "--error-unmatch", "--", *known)
    changed = _git(root, "status", "--porcelain", "--", *known)
    return not (tracked.returncode or changed.returncode or changed.stdout.strip())


@cache
def top(root: Path) -> Path:
    """The top folder of the repository of `root`. Raises `UsageError` where there is none."""
    _must_be_a_checkout(root)
    completed = _git(root, "rev-parse", "--show-toplevel")
    found = Path(completed.stdout.removesuffix("\n"))
    if completed.returncode or not root.resolve().is_relative_to(found.resolve()):
        raise UsageError(
            f"{root} is not a work tree of its repository.",
            code=Code.NO_CHECKOUT,
            next="git config --show-origin --get-regexp '^core'  # check core.worktree and core.bare",
        )
    return found


@contextmanager
def worktree(root: Path, sha: str, folder: str = ".") -> Iterator[Path]:
    """A folder with a commit's files, which is always removed at the end of the block.

    It is in a folder that only its owner can read; everything in that folder is removed, too.
    Folders of killed processes are also removed. Raises `UsageError` where git
    cannot check the commit out (a partial clone lacks its files), and `Refused` where links at or below
    `folder`, the working folder, lead out of it: their targets are not part of the commit.
    """
    around = locked_tempdir.make(_PREFIX)
    place = around / "tree"
    try:
        with locked_tempdir.held(around):
            clear_dead(root)
            made = _git(
                root, "worktree", "add", "--detach", "--force", "--no-checkout", "--", str(place), sha
            )
            if not made.returncode:
                # The configured filters are read inside: an include may apply only to this folder.
                made = _git(
                    place, "reset", "--hard", "--quiet", options=(*_options(_WHOLE), *_filters(place))
                )
            if made.returncode:
                raise UsageError(
                    f"Commit {sha[:12]} cannot be checked out: {_last(made.stderr)}.",
                    code=Code.COMMIT_UNUSABLE,
                    next=f"git fetch origin {sha}",
                )
            _must_be_its_own(place, sha, folder)
            yield place
    finally:
        _git(root, "worktree", "remove", "--force", "--force", str(place))
        _git(root, "worktree", "prune")


def restore(place: Path) -> None:
    """Restores a worktree to its commit's files, without other files that git sees, after something was
    installed in it: new folders are kept and ignored, new files are removed.
    """
    listed = _git(place, "status", "--porcelain", "-z", "--no-renames").stdout.split("\0")
    for path in (place / entry[3:] for entry in listed if entry.startswith("?? ")):
        if path.is_dir() and not path.is_symlink():
            (path / ".gitignore").write_text("*\n", encoding="utf-8")
        else:
            path.unlink(missing_ok=True)
    if any(entry and not entry.startswith("?? ") for entry in listed):
        _git(place, "reset", "--hard", "--quiet", options=(*_options(_WHOLE), *_filters(place)))


def _must_be_its_own(place: Path, sha: str, folder: str) -> None:
    """Raises `Refused` where a link at or below `folder` leads out of the worktree."""
    listed = _git(place, "ls-tree", "-r", "-z", "--full-tree", sha, "--", folder).stdout.split("\0")
    links = [path for entry, _, path in (one.partition("\t") for one in listed) if entry.startswith(_LINK)]
    home = os.path.realpath(place)

    def leads(path: str) -> str:
        return os.path.realpath(place / path)

    out = [path for path in (folder, *links) if os.path.commonpath([home, leads(path)]) != home]
    if out:
        raise Refused(
            f"Commit {sha[:12]} has links that lead out of it: "
            + ", ".join(f"{path} → {leads(path)}" for path in out[:_NAMED])
            + (" …" if len(out) > _NAMED else "."),
            code=Code.COMMIT_UNUSABLE,
            next="Select a commit without such links, with --to COMMIT.",
        )


def clear_dead(root: Path) -> None:
    """Removes this tool's worktrees whose process has died, so that their lock is free."""
    listed = _git(root, "worktree", "list", "--porcelain").stdout
    places = [Path(line[len(_NOTICED) :]) for line in listed.splitlines() if line.startswith(_NOTICED)]
    ours = {place.parent: place for place in places if place.parent.name.startswith(_PREFIX)}
    locked_tempdir.clear_dead(
        ours, lambda around: _git(root, "worktree", "remove", "--force", "--force", str(ours[around]))
    )
    _git(root, "worktree", "prune")


@cache
def _must_be_a_checkout(root: Path) -> None:
    try:
        inside = _git(root, "rev-parse", "--git-dir")
    except FileNotFoundError:
        raise UsageError("git is not on the PATH.", code=Code.TOOL_MISSING, next="Install git.") from None
    if inside.returncode:
        raise UsageError(
            f"{root} is not a git checkout: {_last(inside.stderr)}.",
            code=Code.NO_CHECKOUT,
            next="Run the command inside a checkout of the repository.",
        )


def _where_else(root: Path, branch: str) -> str:
    if is_shallow(root):
        return "git fetch --unshallow"
    return (
        f"git fetch origin {branch}  # if the commit is newer than this clone\n"
        f"git log --oneline {branch}  # lists the commits"
    )


def _last(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1].removeprefix("fatal: ").rstrip(".")[:300] if lines else "no output of git"


def _git(root: Path, *arguments: str, options: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("GIT_") or _KEPT.fullmatch(name)
    }
    try:
        return subprocess.run(
            ["git", "-C", str(root), *_options(_OFF), *options, *arguments],
            env=environment | _QUIET | _VALUES,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            check=False,
            timeout=120,
        )
    except subprocess.TimeoutExpired:
        raise RollbackError(
            f"git {arguments[0]} did not finish within two minutes.", code=Code.GIT_FAILED
        ) from None


def _options(settings: Sequence[str]) -> list[str]:
    return [text for setting in settings for text in ("-c", setting)]


def _filters(place: Path) -> list[str]:
    """Options that disable all configured filters for a checkout.

    As variables, because a filter may have any name: after `-c` a name ends at its first `=`.
    """
    named = _git(
        place, "config", "-z", "--name-only", "--get-regexp", r"^filter\..*\.(smudge|process|required)$"
    )
    off = {"smudge": _EMPTY, "process": _EMPTY, "required": _FALSE}
    return [
        f"--config-env={name}={off[name.rpartition('.')[2]]}"
        for name in set(named.stdout.split("\0"))
        if name
    ]
