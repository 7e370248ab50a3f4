"""Posts the progress of a rollback to Slack; a failure never stops a rollback.

With a bot token there is one message per rollback, which is updated; with an incoming
webhook, which cannot update messages, one at the start and one at the end. An error is reported once,
with no retry.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from rollback.aws.account import Account, explained
from rollback.engines import ci
from rollback.model.advice import for_record
from rollback.model.messages import counted, unhealthy
from rollback.model.record import MARKS, WAITING, Record, Status
from rollback.model.situation import RecordSeen
from rollback.util.errors import Code, RollbackError
from rollback.util.extras import extra
from rollback.util.sanitize import line
from rollback.util.times import shown_time

# Limits in characters: https://docs.slack.dev/reference/block-kit/blocks and …/block-kit/composition-objects.
_HEADER, _FIELD, _SECTION = 150, 2000, 3000
# Timeouts in seconds: at the end, and per call.
_PATIENCE, _CALL = 5.0, 4
# Seconds between messages: about one per second and channel (https://docs.slack.dev/apis/web-api/rate-limits). States
# in between are skipped.
_APART = 1.0
_API = "https://slack.com/api/"
_MARKS = {
    Status.PLANNED: "📝",
    Status.AWAITING_APPROVAL: "✋",
    Status.STANDBY: "🛟",
    Status.IN_PROGRESS: "⏪",
    Status.COMPLETE: "✅",
    Status.FAILED: "❌",
    Status.REVERTED: "↩️",
    Status.ABORTED: "🚫",
    Status.EXPIRED: "⌛",
}
_ENDS = (Status.COMPLETE, Status.FAILED, Status.REVERTED, Status.ABORTED, Status.EXPIRED)


class Sender(Protocol):
    """Sends a record's message (made by `message`). May raise any error."""

    def send(self, record: Record, message: Mapping[str, Any]) -> None: ...


def message(seen: RecordSeen, run: str = "") -> dict[str, Any]:
    """The Slack message of a record, with what to type next: `{"text": <for notifications>, "blocks": [{"type":
    "header", …}, …]}`. Pure.

    Everything from outside is plain text, in which Slack interprets no markup, link or mention.
    """
    record = seen.record
    movement = f"{record.from_version or 'unknown'} → {record.to_version}"
    title = f"{_MARKS[record.status]} {record.environment}: {record.kind} {movement} {seen.status}"
    loud = [_section("*⚠ EMERGENCY: without ledger and approval*")] if record.emergency else []
    facts = {
        "Environment": record.environment,
        "From → to": movement,
        "What": ", ".join(record.services) if record.services else _changes(record),
        "Counts": counted(record),
        "Started by": str(record.initiated_by),
        "Approved by": str(record.approved_by or ""),
        "Standby": _standby(record),
        "Reason": record.reason,
        "Took": _took(record),
        "Failed": unhealthy(record.verification),
        "Next": for_record(seen).next,
    }
    shown = [_plain(f"{name}\n{value}", _FIELD) for name, value in facts.items() if value]
    blocks = [
        {"type": "header", "text": _plain(title, _HEADER)},
        *loud,
        {"type": "section", "fields": shown},
        {
            "type": "context",
            "elements": [_plain(f"{record.rollback_id}  digest {record.digest[:16]}", _FIELD)],
        },
    ]
    if run:
        blocks.append(_section(f"<{run}|CI run with report>"))
    return {"text": _escaped(_cut(line(f"{title}: {record.reason}"), _SECTION)), "blocks": blocks}


@dataclass(kw_only=True)
class Bot:
    """Sends with a bot token: one message per record, then updates. `messages` maps a record's id to its
    message's (channel, timestamp).
    """

    token: str
    channel: str
    address: str
    messages: dict[str, tuple[str, str]] = field(default_factory=dict)

    def send(self, record: Record, message: Mapping[str, Any]) -> None:
        with extra("slack"):
            from slack_sdk import WebClient  # noqa: PLC0415 - a quarter of a second, for who has configured it

        client = WebClient(token=self.token, base_url=self.address, timeout=_CALL)
        known = self.messages.get(record.rollback_id) or _reference(record.notified)
        if known is None:
            answer = client.chat_postMessage(channel=self.channel, unfurl_links=False, **message)
            self.messages[record.rollback_id] = (str(answer["channel"]), str(answer["ts"]))
        else:
            client.chat_update(channel=known[0], ts=known[1], **message)


@dataclass(frozen=True, kw_only=True)
class Hook:
    """Sends with an incoming webhook: one message for a rollback's start and one for its end."""

    address: str
    begun: set[str] = field(default_factory=set)

    def send(self, record: Record, message: Mapping[str, Any]) -> None:
        with extra("slack"):
            from slack_sdk.webhook import WebhookClient  # noqa: PLC0415 - as above

        begins = record.status in WAITING or (
            record.status is Status.IN_PROGRESS and record.started_at is None
        )
        if record.status in _ENDS or (begins and record.rollback_id not in self.begun):
            self.begun.add(record.rollback_id)
            answer = WebhookClient(self.address, timeout=_CALL).send(
                text=message["text"], blocks=message["blocks"]
            )
            if answer.status_code != 200:  # noqa: PLR2004 - HTTP
                raise RollbackError(
                    f"the webhook returned {answer.status_code}: {answer.body[:100]}", code=Code.SLACK_FAILED
                )


@dataclass
class Notifier:
    """Sends messages in a separate thread; a message replaced by a newer one before it is sent is dropped.

    The sender is also made in that thread, so that nothing waits for it.
    """

    make: Callable[[], Sender]
    notice: Callable[[str], None]
    monotonic: Callable[[], float] = time.monotonic
    _waiting: queue.SimpleQueue[RecordSeen | threading.Event | None] = field(
        default_factory=queue.SimpleQueue
    )
    _sender: Sender | None = None
    _wrong: str = ""
    _thread: threading.Thread | None = None
    _starting: threading.Lock = field(default_factory=threading.Lock)

    def notify(self, seen: RecordSeen) -> None:
        """Queues the message of a changed record."""
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="slack", daemon=True)
                self._thread.start()
        self._waiting.put(seen)

    def place(self, record: Record) -> str:
        """The id of a record's Slack message; empty if not posted."""
        done = threading.Event()
        self._waiting.put(done)
        done.wait(_PATIENCE)
        return (
            "/".join(self._sender.messages.get(record.rollback_id, ()))
            if isinstance(self._sender, Bot)
            else ""
        )

    def close(self) -> None:
        """Waits a few seconds for queued messages, and reports an error."""
        if self._thread is not None:
            self._waiting.put(None)
            self._thread.join(_PATIENCE)
            late = "no response in time" if self._thread.is_alive() else ""
            self._thread = None  # a later message starts a new thread
            if wrong := self._wrong or late:
                self.notice(
                    f"The Slack message could not be sent: {wrong}. This does not affect the rollback."
                )

    def _work(self) -> None:
        sent = float("-inf")
        try:
            self._sender = self.make()
        except RollbackError as error:
            self._wrong = error.what
        while (seen := self._waiting.get()) is not None:
            if isinstance(seen, threading.Event):
                seen.set()
                continue
            middle = seen.record.status is Status.IN_PROGRESS and sent > float("-inf")
            if self._sender is None or (middle and self.monotonic() - sent < _APART):
                continue
            try:
                self._sender.send(seen.record, message(seen, ci.current().address))
            except Exception as error:  # noqa: BLE001 - a failing Slack never fails a rollback, however it fails
                self._wrong = line(f"{type(error).__name__}: {error}")[:300]
            sent = self.monotonic()


def notifier(account: Account, notice: Callable[[str], None]) -> Notifier | None:
    """The Slack notifier; None if neither the settings nor the environment configure Slack."""
    if account.settings.slack_channel or _given():
        return Notifier(make=lambda: _sender(account), notice=notice)
    return None


def _sender(account: Account) -> Sender:
    """The sender for the secret in the environment, else in the SecureString parameter.

    Raises `RollbackError` where that cannot be read, or where a bot has no channel.
    """
    channel, parameter, secret = account.settings.slack_channel, account.settings.names.slack, _given()
    if not secret:
        with explained(f"reading the parameter {parameter}"):
            answer = account.ssm.get_parameter(Name=parameter, WithDecryption=True)
        secret = answer["Parameter"].get("Value", "")
    if secret.startswith(("https://", "http://127.0.0.1:")):
        return Hook(address=secret)
    if not channel:
        raise RollbackError(
            "a bot token needs a channel", code=Code.SLACK_FAILED, next="Set slackChannel in Pulumi.yaml."
        )
    return Bot(token=secret, channel=channel, address=os.environ.get("SLACK_API_URL", _API))


def _given() -> str:
    return os.environ.get("SLACK_BOT_TOKEN") or os.environ.get("SLACK_WEBHOOK_URL") or ""


def _reference(notified: str) -> tuple[str, str] | None:
    """The channel and timestamp of a record's message, from its journal."""
    channel, _, ts = notified.partition("/")
    return (channel, ts) if ts else None


def _changes(record: Record) -> str:
    return " ".join(f"{mark}{record.infrastructure.get(op, 0)}" for op, mark in MARKS.items() if op != "same")


def _standby(record: Record) -> str:
    if record.taken_by:
        return f"taken by {record.taken_by}" + (f", for alarm {record.alarm}" if record.alarm else "")
    return f"until {shown_time(record.standby_until)}" if record.standby_until else ""


def _took(record: Record) -> str:
    if record.elapsed_seconds is None:
        return ""
    if not record.rto_seconds:
        return f"{record.elapsed_seconds:.1f} s"
    late = " (over the RTO)" if record.elapsed_seconds > record.rto_seconds else ""
    return f"{record.elapsed_seconds:.1f} s of {record.rto_seconds} s{late}"


def _plain(text: str, length: int) -> dict[str, Any]:
    lines = "\n".join(line(part) for part in text.split("\n"))
    return {"type": "plain_text", "text": _cut(lines, length), "emoji": False}


def _escaped(text: str) -> str:
    """Without Slack's control characters: https://docs.slack.dev/messaging/formatting-message-text/#escaping."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": True}}


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"
