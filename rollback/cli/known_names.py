"""The ids and releases that commands have shown, kept on this machine for shell completion, which makes no calls.

One file per environment and checkout, in the user's cache folder, `~/.cache/rollback/names`. It is only a
convenience: if a file is missing or malformed, nothing is offered, and no verb fails.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from platformdirs.unix import Unix

from rollback.util import private_file
from rollback.util.bounded_file import UnreadableFile, content

# Only the newest of each are kept.
_KEPT = 50
_LARGEST = 100_000
# No characters that a shell interprets: zsh evaluates what it is offered.
_NAME = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,63}")


@dataclass(frozen=True, kw_only=True)
class Names:
    """Records' ids and releases' versions, the newest first."""

    ids: tuple[str, ...] = ()
    releases: tuple[str, ...] = ()


def known(root: Path, environment: str) -> Names:
    """The names kept for an environment of the checkout `root`; empty where there is no file."""
    try:
        found = json.loads(content(_path(root, environment), _LARGEST))
        return Names(ids=_fit(found["ids"]), releases=_fit(found["releases"]))
    except (UnreadableFile, ValueError, KeyError, TypeError, RuntimeError):
        return Names()


def keep(root: Path, environment: str, met: Names) -> None:
    """Adds names. Of the ids the newest are kept, which sort by time."""
    if not (met.ids or met.releases):
        return
    before = known(root, environment)
    names = Names(
        ids=_fit(sorted({*met.ids, *before.ids}, reverse=True)),
        releases=_fit([*met.releases, *before.releases]),
    )
    if names == before:
        return
    with suppress(OSError, RuntimeError):
        text = json.dumps({"ids": names.ids, "releases": names.releases})
        private_file.write(_path(root, environment), text)


def _fit(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for name in names if _NAME.fullmatch(name)))[:_KEPT]


def _path(root: Path, environment: str) -> Path:
    """Raises `RuntimeError` where the home folder is unknown."""
    of = hashlib.sha256(f"{root.resolve()}\n{environment}".encode()).hexdigest()[:16]
    return Unix("rollback").user_cache_path / "names" / f"{of}.json"
