"""Wherever a time is shown, it has the one format of `rollback.util.times`."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from rollback.model.record import Approval, Event, Record, Status
from rollback.model.release import Freeze
from rollback.model.situation import RecordSeen
from rollback.notify.slack import message
from rollback.queries.history import Moment
from rollback.queries.report_data import ReportData, ReportedRecord
from rollback.reports.page import page
from rollback.views.live_status import LiveScreen, change_line
from rollback.views.markdown import summary
from rollback.views.records import history_view, overview_view, record_view
from rollback.views.terminal import Terminal
from tests.doubles.records import a_record
from tests.doubles.world import ALICE
from tools import screens

_AT = "2026-11-24T12:00:00.375Z"
_SHOWN = "2026-11-24T12:00:00Z"
_ONE = re.compile(r"\b20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_ANY = re.compile(r"20\d\d-\d\d-\d\d|\b\d\d?:\d\d\b|\bUTC\b")


def record(**fields: Any) -> Record:
    return a_record(initiated_at=_AT, started_at=_AT, counts={"planned": 1}, **fields)


EVENT = Event(number=1, kind="planned", at=_AT, by=ALICE, data={"steps": 1}, previous="", hash="")
APPROVAL = Approval(rollback_id="R1", digest="d", by=ALICE, at=_AT, expires_at=_AT)
MOMENT = Moment(
    at=_AT,
    kind="aliases",
    what="R1",
    result="COMPLETE",
    actor="alice",
    document={},
)


def printed(view: Any, width: int = 100) -> str:
    output = io.StringIO()
    Console(file=output, width=width, height=50, highlight=False, markup=False, emoji=False).print(view)
    return output.getvalue()


def reported(one: Record) -> ReportedRecord:
    return ReportedRecord(
        seen=RecordSeen(record=one, approval=APPROVAL),
        plan=None,
        events=(EVENT,),
        approvals=(APPROVAL,),
        outcomes=(),
        broken="",
    )


def report() -> ReportData:
    done = record(completed_at=_AT, status=Status.COMPLETE)
    moments = (MOMENT, replace(MOMENT, what="R2"))
    return ReportData(
        environment="dev",
        account="111122223333",
        region="eu-west-1",
        at=_AT,
        now=replace(screens.overviews()["running"], frozen=Freeze(reason="audit", by=ALICE, at=_AT)),
        moments=moments,
        records={"R1": reported(done)},
        notices=(),
    )


STANDBY = record(status=Status.STANDBY, standby_until=_AT)
TAKEN = record(taken_by=ALICE, status=Status.COMPLETE, completed_at=_AT)
SCREENS: dict[str, Callable[[], str]] = {
    "a record": lambda: printed(record_view(RecordSeen(record=record(), approval=APPROVAL), [EVENT])),
    "a standby": lambda: printed(record_view(RecordSeen(record=STANDBY))),
    "a standby that was taken": lambda: printed(record_view(RecordSeen(record=TAKEN))),
    "history": lambda: printed(history_view([MOMENT])),
    "history, narrow": lambda: printed(history_view([MOMENT]), 40),
    **{
        f"status, {name}": lambda view=view: printed(overview_view(view))  # type: ignore[misc]
        for name, view in screens.overviews().items()
    },
    "status --watch": lambda: printed(LiveScreen(replace(screens.watched(), at=_AT), 2.0)),
    "a change": lambda: change_line({"changed_at": _AT, "subject": "state", "what": "HEALTHY"}),
    "the report": lambda: page(report()),
    "a summary": lambda: summary(reported(TAKEN)) + summary(reported(STANDBY)),
    "Slack": lambda: json.dumps(message(RecordSeen(record=STANDBY)), ensure_ascii=False),
    "a freeze": lambda: str(Freeze(reason="audit", by=ALICE, at=_AT)),
}


@pytest.mark.finding("A6")
@pytest.mark.parametrize("name", list(SCREENS))
def test_every_time_on_a_screen_has_the_one_format(name: str) -> None:
    text = SCREENS[name]().replace("\\", "")  # Markdown escapes hyphens

    assert _ONE.search(text) or name.startswith("status, ")
    assert not _ANY.findall(_ONE.sub("", text))


@pytest.mark.finding("A6")
def test_whoever_reads_when_a_holder_was_last_heard_of_reads_how_long_ago_that_is_too() -> None:
    views = (printed(overview_view(screens.overviews()["running"])), printed(LiveScreen(screens.watched())))

    assert all("last heartbeat 2026-11-28T02:14:02Z (3 s ago)" in " ".join(text.split()) for text in views)


@pytest.mark.finding("A6")
def test_json_has_the_same_format_but_for_events_which_are_hashed_as_they_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    event = {"created_at": _AT, "at": _AT}
    terminal = Terminal(json_output=True)

    terminal.show(
        "", {"initiated_at": _AT, "completed_at": None, "leases": [{"taken_at": _AT}], "events": [event]}
    )
    terminal.end()

    document = json.loads(capsys.readouterr().out)
    assert (document["initiated_at"], document["completed_at"]) == (_SHOWN, None)
    assert document["leases"] == [{"taken_at": _SHOWN}]
    assert document["events"] == [event]
