"""What leaves the command beside its output: the events, the team's messages, the report, and its codes."""

from __future__ import annotations

import html
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rollback.notify.ended import ENDS, detail
from rollback.notify.slack import message
from rollback.queries.report_data import gather, single
from rollback.reports.page import page
from rollback.util import errors
from tests.golden.situations import RECORDINGS
from tests.recorded.stage import recorded


def messages() -> Mapping[str, Any]:
    """For the newest record of each recording: the message to Slack, and the event on the bus if it has ended."""
    found: dict[str, Any] = {}
    for name in RECORDINGS:
        with tempfile.TemporaryDirectory() as folder, recorded(name, Path(folder)) as made:
            session = made.session()
            newest = next((entry.id for entry in made.timeline() if entry.kind == "opened"), None)
            if newest is None:
                continue
            record = session.ledger.load(newest).record
            found[name] = {
                "slack": message(session.seen(record), "https://ci.example/1"),
                "event": detail(record) if record.status in ENDS else None,
            }
    return found


def reports() -> Mapping[str, list[str]]:
    """The text of two HTML reports, line by line: of an estate and of one rollback."""
    with tempfile.TemporaryDirectory() as folder, recorded("aliases", Path(folder)) as made:
        session = made.session()
        newest = next(entry.id for entry in made.timeline() if entry.kind == "opened")
        return {
            "estate": _text(page(gather(session, 50))),
            "one rollback": _text(page(single(session, newest))),
        }


def _text(document: str) -> list[str]:
    without = re.sub(r"<(script|style)\b.*?</\1>", "", document, flags=re.DOTALL)
    words = html.unescape(re.sub(r"<[^>]+>", "\n", without))
    return [line for each in words.splitlines() if (line := re.sub(r"/tmp/\S+", "FOLDER", each.strip()))]


def codes() -> Mapping[str, Any]:
    """All error codes, and the exit code of each kind of error."""
    kinds = {
        name: one.exit_code
        for name, one in sorted(vars(errors).items())
        if isinstance(one, type) and issubclass(one, errors.RollbackError)
    }
    return {"codes": sorted(errors.Code), "exit_codes": kinds}
