"""What every verb answers as JSON, on platforms that were recorded (`tests/recorded`): a net under changes of the code.

Each situation sets up a recording, types one line as one person, and keeps what comes: the exit code, the document, and
the ledger after it (a hash). Clocks, ids and revisions are counted, so that the same code answers the same.
"""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from moto import mock_aws
from typer.testing import CliRunner

from rollback.cli.app import app
from rollback.lifecycle import context
from rollback.model.identity import Actor
from tests.doubles.world import ALICE, BOB, DAN
from tests.recorded.stage import FOLDER, Stage, recorded, text_of, written

RECORDINGS = sorted(path.stem for path in FOLDER.glob("*.json"))
PEOPLE = {"alice": ALICE, "bob": BOB, "dan": DAN}
# On every recording.
_EVERYWHERE = ("status", "history", "show last", "audit", "release list")
# What sets up moto's tables takes long.
_OF_TABLES = ("status", "show last")
_ENDS = ("resume last", "abort last --reason x")


@dataclass(frozen=True, order=True)
class Situation:
    """One line, typed by one person on one recorded platform. `last` in it is the newest record's id."""

    recording: str
    line: str
    person: str = "alice"

    @property
    def name(self) -> str:
        return f"{self.person}: {self.line}"


def situations() -> list[Situation]:
    found = [
        Situation(recording, line)
        for recording in RECORDINGS
        for line in (_OF_TABLES if recording.startswith(("table", "cutover")) else _EVERYWHERE)
    ]
    unfinished = ("interrupted", "failed", "reverting")
    for recording in RECORDINGS:
        if recording.endswith(unfinished) and not recording.startswith("emergency"):
            person = "dan" if recording.startswith(("stack", "terraform", "full", "prune")) else "alice"
            found += [Situation(recording, line, person) for line in _ENDS]
    for line, person in _LINES:
        found.append(Situation("aliases", line, person))
    found += [
        Situation("aliases-awaiting", "apply last"),
        Situation("aliases-awaiting", "abort last --reason x"),
        Situation("aliases-awaiting", "approve LAST --digest 0123456789abcdef", "bob"),
        Situation("aliases-awaiting", "lambda --reason x"),
        Situation("aliases-interrupted", "lambda --reason x"),
        Situation("aliases-interrupted", "apply last"),
        Situation("standby-approved", "standby take --reason x"),
        Situation("standby-approved", "apply last"),
        Situation("standby", "standby take --reason x"),
        Situation("prune", "prune --keep 2", "dan"),
        Situation("prune-interrupted", "prune --keep 2 --reason x", "dan"),
        Situation("full", "full --reason x", "dan"),
        Situation("stack", "stack --dry-run", "dan"),
        Situation("terraform", "terraform --dry-run", "dan"),
    ]
    return found


_LINES: tuple[tuple[str, str], ...] = (
    ("status --exact", "alice"),
    ("status --commit aaaaaaaa", "alice"),
    ("history --kind aliases", "alice"),
    ("history --limit 3", "alice"),
    ("diff", "alice"),
    ("diff v1.0.0 v1.3.0", "alice"),
    ("verify", "alice"),
    ("verify last", "alice"),
    ("can", "alice"),
    ("lambda --dry-run", "alice"),
    ("lambda --dry-run --to v1.0.0", "alice"),
    ("lambda --dry-run --to v1.2.0", "alice"),
    ("lambda --dry-run --to v9", "alice"),
    ("lambda --dry-run --services teams", "alice"),
    ("lambda --dry-run --services nobody", "alice"),
    ("lambda --dry-run --adopt-current", "alice"),
    ("lambda --to v1.3.0 --reason x", "alice"),
    ("lambda --reason x --adopt-current", "alice"),
    ("lambda --to v1.0.0 --reason x", "bob"),
    ("lambda", "alice"),
    ("freeze --reason x", "alice"),
    ("unfreeze", "alice"),
    ("release quarantine v1.3.0 --reason x", "alice"),
    ("release quarantine v9 --reason x", "alice"),
    ("release lift v1.0.0 --reason x", "alice"),
    ("release record --version v2.0.0 --commit aaaaaaaa", "dan"),
    ("release record --version v1.3.0 --commit aaaaaaaa", "dan"),
    ("release adopt --version v1.0.0 --commit aaaaaaaa", "dan"),
    ("standby prepare --for 45m", "dan"),
    ("standby take --reason x", "alice"),
    ("prune --keep 2", "dan"),
    ("prune --keep 0", "dan"),
    ("report last --markdown --file -", "alice"),
    ("resume last", "alice"),
    ("abort last --reason x", "alice"),
    ("apply last", "alice"),
    ("show 01ARZ3NDEKTSV4RRFFQ69G5FAV", "alice"),
    ("show zz", "alice"),
    ("guard status", "alice"),
    ("drill --report", "alice"),
    ("ledger mend", "alice"),
    ("nothing", "alice"),
    ("lambda --nothing", "alice"),
)
# What no clock of ours counts, and where a temporary folder is.
_UNCOUNTED = (
    (re.compile(r"/tmp/[^\s\"':,\\]+"), "FOLDER"),
    (re.compile(r"\d+:\d\d:\d\d\b(?!Z|\.)"), "0:00:00"),
)


@contextmanager
def _in_place_of_aws(made: Stage, caller: Actor, state: Path, typed: list[str]) -> Iterator[None]:
    """The command's session is that of the recorded platform; `typed` is its command line."""

    def session(*_: Any, **__: Any) -> Any:
        return made.session(caller)

    with ExitStack() as stack:
        stack.enter_context(mock_aws())
        stack.enter_context(mock.patch("sys.argv", ["rollback", *typed]))
        stack.enter_context(mock.patch.object(context, "begin", session))
        stack.enter_context(mock.patch.object(context, "session_of", session))
        stack.enter_context(
            mock.patch.dict("os.environ", {"XDG_STATE_HOME": str(state), "XDG_CACHE_HOME": str(state)})
        )
        yield


def answer(situation: Situation) -> Mapping[str, Any]:
    """How it ends: `exit`, `document` (or `text` where it is none), and `ledger`, a hash of all that is stored."""
    with (
        tempfile.TemporaryDirectory() as folder,
        recorded(situation.recording, Path(folder)) as made,
    ):
        made.configure(**made.changed)
        before = text_of(written(made))
        # An approver may not search: the line has the whole id.
        newest = next((entry.id for entry in made.timeline() if entry.kind == "opened"), "NONE")
        typed = [*situation.line.replace("LAST", newest).split(), "--env", "dev", "-o", "json"]
        with _in_place_of_aws(made, PEOPLE[situation.person], Path(folder) / "state", typed):
            run = CliRunner().invoke(app, typed)
        after = text_of(written(made))
    found: dict[str, Any] = {"exit": run.exit_code}
    try:
        found["document"] = json.loads(_counted(run.stdout))
    except ValueError:
        found["text"] = _counted(run.stdout)
    found["ledger"] = "unchanged" if after == before else hashlib.sha256(after.encode()).hexdigest()[:16]
    if run.exception is not None and not isinstance(run.exception, SystemExit):
        raise run.exception
    return found


def _counted(text: str) -> str:
    for what, instead in _UNCOUNTED:
        text = what.sub(instead, text)
    return text
