"""What the team is told on Slack, and that nothing depends on it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollback.model.identity import Actor
from rollback.model.record import Check, Status
from rollback.model.situation import RecordSeen
from rollback.notify.slack import (
    Bot,
    Hook,
    Notifier,
    message,
)
from tests.doubles.records import a_record
from tests.doubles.slack import Slack, slack

_RECORD = a_record(
    rollback_id="01K",
    reason="it went bad",
    initiated_by=Actor(role="rollback-role", person="alice"),
    digest="d" * 64,
    counts={"planned": 3, "moved": 2},
)
_DONE = replace(_RECORD, status=Status.COMPLETE, elapsed_seconds=3.2)


@pytest.fixture
def team() -> Iterator[Slack]:
    with slack() as running:
        yield running


def _shown(body: Any) -> str:
    return "\n".join(
        one["text"]
        for block in body["blocks"]
        for one in [
            *([block["text"]] if "text" in block else []),
            *block.get("fields", []),
            *block.get("elements", []),
        ]
    )


def test_a_bot_has_one_message_a_rollback_and_updates_it(team: Slack) -> None:
    messages: list[str] = []
    notifier = Notifier(
        make=lambda: Bot(token="xoxb-1", channel="#oncall", address=team.address), notice=messages.append
    )

    notifier.notify(RecordSeen(record=_RECORD))
    notifier.notify(RecordSeen(record=_DONE))
    notifier.close()

    assert (team.calls, messages) == (["chat.postMessage", "chat.update"], [])
    (body,) = team.messages.values()
    assert all(
        text in _shown(body)
        for text in ("dev", "v2 → v1", "alice", "it went bad", "3.2 s of 300 s", "COMPLETE")
    )


def test_another_process_updates_the_message_of_the_first(team: Slack) -> None:
    first = Bot(token="xoxb-1", channel="#oncall", address=team.address)
    first.send(_RECORD, message(RecordSeen(record=_RECORD)))
    channel, ts = first.messages["01K"]

    later = replace(_DONE, notified=f"{channel}/{ts}")
    Bot(token="xoxb-1", channel="#oncall", address=team.address).send(
        later, message(RecordSeen(record=later))
    )

    assert team.calls == ["chat.postMessage", "chat.update"]
    assert len(team.messages) == 1


def test_a_webhook_is_notified_of_the_beginning_and_of_the_end(team: Slack) -> None:
    notifier = Notifier(make=lambda: Hook(address=team.hook), notice=lambda _: None)

    for record in (_RECORD, replace(_RECORD, counts={"planned": 3, "moved": 3}), _DONE):
        notifier.notify(RecordSeen(record=record))
    notifier.close()

    assert team.calls == ["hook", "hook"]


def test_a_slack_that_fails_is_reported_and_nothing_more(team: Slack) -> None:
    team.broken = True
    messages: list[str] = []
    notifier = Notifier(make=lambda: Hook(address=team.hook), notice=messages.append)

    notifier.notify(RecordSeen(record=_RECORD))
    notifier.notify(RecordSeen(record=_DONE))
    notifier.close()

    assert len(messages) == 1
    assert "The Slack message could not be sent" in messages[0]


def test_a_slack_that_cannot_be_reached_is_reported_and_nothing_more() -> None:
    messages: list[str] = []
    notifier = Notifier(
        make=lambda: Bot(token="xoxb-1", channel="#oncall", address="http://127.0.0.1:9/"),
        notice=messages.append,
    )

    notifier.notify(RecordSeen(record=_DONE))
    notifier.close()

    assert "The Slack message could not be sent" in messages[0]
    assert "xoxb" not in messages[0]


def test_an_emergency_and_a_failed_check_are_loud() -> None:
    checks = (Check(check="smoke", ok=False, detail="exit 1"),)
    failed = replace(_RECORD, status=Status.FAILED, emergency=True, verification=checks)

    shown = _shown(message(RecordSeen(record=failed)))

    assert "EMERGENCY" in shown
    assert "smoke: exit 1" in shown


@given(st.text(min_size=1, max_size=4000), st.lists(st.text(min_size=1, max_size=60), max_size=80))
def test_whatever_a_record_states_slack_takes_it_and_takes_none_of_it_for_markup(
    reason: str, services: list[str]
) -> None:
    record = replace(_DONE, reason=reason, services=tuple(services), to_version=reason[:200])

    result = message(RecordSeen(record=record), "https://github.example/run/1")

    assert Slack(address="").answer("chat.postMessage", result)[1]["ok"], "within Slack's own limits"
    marked = [
        block["text"]["text"]
        for block in result["blocks"]
        if block["type"] == "section" and block.get("text", {}).get("type") == "mrkdwn"
    ]
    assert marked == ["<https://github.example/run/1|CI run with report>"]


@pytest.mark.finding("D3")
def test_a_reason_is_no_markup_in_the_text_that_notifications_show(team: Slack) -> None:
    """The text beside the blocks is mrkdwn: three characters are its control characters."""
    hostile = replace(_DONE, reason="<!channel> & <@U123> <http://x|click>")
    notifier = Notifier(
        make=lambda: Bot(token="xoxb-1", channel="#oncall", address=team.address), notice=print
    )

    notifier.notify(RecordSeen(record=hostile))
    notifier.close()

    (body,) = team.messages.values()
    assert body["text"].endswith("&lt;!channel&gt; &amp; &lt;@U123&gt; &lt;http://x|click&gt;")
