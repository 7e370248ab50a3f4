"""Shows `status --watch`: one screen that fits the terminal, or one line per change."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.text import Text

from rollback.model.automatic import RED
from rollback.model.record import Record
from rollback.model.situation import LeaseSeen, RecordSeen, heartbeat
from rollback.util import sanitize
from rollback.util.times import shown_time
from rollback.views.plan import common_prefix
from rollback.views.records import (
    STATUS_STYLES,
    deployed_now,
    differs,
    freeze_of,
    heading,
    mark_of,
)
from rollback.views.rich_layout import aligned, shortened, text

if TYPE_CHECKING:
    from rollback.queries.live_status import RunSeen, Watched

_BAR = 30
_OUTCOMES: Mapping[str, tuple[str, str]] = {
    "moved": ("✓", "green"),
    "confirmed": ("✓", "dim"),
    "deleted": ("✓", "green"),
    "failed": ("✗", "bold red"),
    "reverted": ("↩", "yellow"),
}
# Failures first, then what is not done yet.
_ORDER = ("failed", "reverted", "untouched", "moved", "confirmed")
_GAP = 3
# The words of a command as they are typed, quotes included.
_WORDS = re.compile(r"""(?:[^\s"']|"[^"]*"|'[^']*')+""")
_REASON = 60


@dataclass(frozen=True, slots=True)
class LiveScreen:
    """One screen with as many lines as the terminal has; long lists are cut."""

    watched: Watched
    # Seconds between two updates; 0 for the last screen.
    every: float = 0.0

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        width, height = options.max_width, options.height or console.height
        above, below = _fitted(console, self._above(width), width), _fitted(console, self._below(), width)
        room = height - len(above) - len(below)
        lines = [*above, *self._lists(width, max(room, 0)), *below]
        yield from lines[:height]

    def _above(self, width: int) -> Iterator[Text]:
        watched = self.watched
        yield Text.assemble(
            (f"{watched.environment} ", "bold"),
            f"({watched.account}, {watched.region})  ",
            deployed_now(watched.stands),
            (f"   {shown_time(watched.at)}", "dim"),
        )
        if watched.unread:
            yield text(f"! could not be read: {watched.unread}", "bold red")
        if watched.functions is not None:
            yield from heading(watched.functions)
            yield from freeze_of(watched.functions)
        for each in watched.advice:
            yield text(f"→ {each.what}", "bold" if each.steps else "green")
            for index, step in enumerate(each.steps):
                yield from _command("next: " if index == 0 else "  or: ", step.command, width)
        for seen in watched.in_flight:
            yield _record(seen)
        for lease in watched.leases:
            yield text(
                f"Lease on {lease.domain}: {_lease(lease)}, {heartbeat(lease.beat_at, watched.at)}", "cyan"
            )
        for run in watched.runs:
            yield _bar(run)

    def _below(self) -> Iterator[Text]:
        watched = self.watched
        if watched.alarms:
            yield _alarms(watched)
        for record in watched.ended:
            yield text(_end(record), STATUS_STYLES.get(record.status, ""))
        if self.every:
            yield text(f"Updated every {self.every:g} s; Ctrl-C to quit. {rate_of(watched)}", "dim")

    def _lists(self, width: int, room: int) -> list[Text]:
        """The functions of a running rollback, else the services, in at most `room` lines."""
        if self.watched.runs:
            return [
                line
                for run in self.watched.runs
                for line in _steps(run, width, room // len(self.watched.runs))
            ]
        if self.watched.functions is None:
            return []
        rows = [
            (text(f"  {service.name}", "bold"), text(service.stands or "–"), mark_of(service))
            for service in self.watched.functions.services
        ]
        lines = aligned(rows)
        for line in lines:
            line.truncate(width, overflow="ellipsis")
        return _cut(lines, room, "services")


def rate_of(watched: Watched) -> str:
    """What is read from AWS, and how often."""
    if watched.busy:
        return "Only the ledger is read while a rollback runs: no Lambda calls."
    return "Functions are read every 30 s, at most 20 per second."


def _command(head: str, command: str, width: int) -> Iterator[Text]:
    """A command in lines that a shell reads as one: what is copied from a watched screen has its line breaks."""
    lines, room = [""], width - len(head)
    for word in _WORDS.findall(command):
        longer = f"{lines[-1]} {word}".lstrip()
        # Two columns for what continues it.
        if lines[-1] and len(longer) > room - 2 and len(command) > room:
            lines.append(word)
        else:
            lines[-1] = longer
    for index, line in enumerate(lines):
        before = head if index == 0 else " " * len(head)
        yield Text.assemble((before, "dim"), text(line if index == len(lines) - 1 else f"{line} \\", "cyan"))


def _fitted(console: Console, lines: Iterator[Text], width: int) -> list[Text]:
    """Wraps lines that are too long."""
    return [part for line in lines for part in line.wrap(console, width, overflow="fold")]


def _cut(lines: Sequence[Text], room: int, what: str) -> list[Text]:
    if len(lines) <= room:
        return list(lines)
    if room <= 0:
        return []
    return [*lines[: room - 1], text(f"  … and {len(lines) - room + 1} more {what}", "dim")]


def _steps(run: RunSeen, width: int, room: int) -> list[Text]:
    """The steps of a running rollback, in columns: failed ones first, then waiting ones, then done ones."""
    order = {name: place for place, name in enumerate(_ORDER)}
    steps = sorted(run.outcomes, key=lambda step: order.get(str(step.get("outcome", "")), len(_ORDER)))
    common = common_prefix([str(step["name"]) for step in steps])
    cells = [_step(step, common) for step in steps]
    if not cells or room <= 0:
        return []
    widest = min(max(cell.cell_len for cell in cells), width)
    columns = max(1, (width + _GAP) // (widest + _GAP))
    rows = -(-len(cells) // columns)
    if rows > room:
        fit = (room - 1) * columns
        return [
            *_in_columns(cells[:fit], widest, columns, width),
            text(f"  … and {len(cells) - fit} more", "dim"),
        ]
    return _in_columns(cells, widest, columns, width)


def _in_columns(cells: Sequence[Text], widest: int, columns: int, width: int) -> list[Text]:
    """Cells row by row, each column as wide as the widest cell."""
    lines = []
    for start in range(0, len(cells), columns):
        line = Text()
        for cell in cells[start : start + columns]:
            line.append_text(cell)
            line.append(" " * (widest - cell.cell_len + _GAP))
        line.rstrip()
        line.truncate(width, overflow="ellipsis")
        lines.append(line)
    return lines


def _step(step: Mapping[str, Any], common: str) -> Text:
    mark, style = _OUTCOMES.get(str(step.get("outcome", "")), ("·", "dim"))
    movement = f" {step['from']} → {step['to']}" if step.get("from") and step.get("to") else ""
    return Text.assemble((f"{mark} ", style), text(str(step["name"])[len(common) :]), text(movement, "dim"))


def _bar(run: RunSeen) -> Text:
    counts = run.counts
    planned = counts.get("planned", 0)
    done = counts.get("moved", 0) + counts.get("confirmed", 0)
    filled = _BAR * done // planned if planned else 0
    more = ", ".join(f"{counts[name]} {name}" for name in ("failed", "reverted") if counts.get(name))
    return Text.assemble(
        ("█" * filled, "green"),
        ("░" * (_BAR - filled), "dim"),
        f" {done} of {planned} done{f', {more}' if more else ''}",
    )


def _record(seen: RecordSeen) -> Text:
    record = seen.record
    given = seen.shown["approved_by"]
    approved = f", approved by {given}" if given else ""
    until = (
        f", until {shown_time(record.standby_until)}" if record.standby_until and not record.taken_by else ""
    )
    reason = shortened(sanitize.line(record.reason), _REASON)
    return text(
        f"{seen.status} {record.rollback_id}: {record.from_version} → {record.to_version}, by {record.people}"
        f"{approved}{until}: {reason}",
        STATUS_STYLES.get(seen.status, ""),
    )


def _lease(lease: LeaseSeen) -> str:
    return f"{lease.holder or 'unknown'} for {lease.owner}, {lease.life}"


def _end(record: Record) -> str:
    took = "" if record.elapsed_seconds is None else f" after {record.elapsed_seconds:.1f} s"
    return f"{record.rollback_id}: {record.from_version} → {record.to_version} is {record.status}{took}"


def _alarms(watched: Watched) -> Text:
    red = [alarm.name for alarm in watched.alarms if alarm.state == RED]
    if red:
        return text(f"Guard: {', '.join(red)} in ALARM", "bold red")
    return text(f"Guard: none of {len(watched.alarms)} alarms is in ALARM", "dim")


# -- changes -------------------------------------------------------------------------------------------------


def facts(watched: Watched) -> dict[str, str]:
    """The state as subject → text; a difference between two updates is a change. Pure.

    A heartbeat is not a change; a holder that stopped is one.
    """
    found = {"state": f"{watched.advice[0].state}: {watched.advice[0].what}", "deployed": watched.stands}
    functions = watched.functions
    if functions is not None:
        found["frozen"] = str(functions.frozen or "")
        if not watched.busy:
            found |= {
                status.function: differs(status)
                for service in functions.services
                for status in service.functions
                if not status.ok
            }
    for lease in watched.leases:
        found[f"lease on {lease.domain}"] = _lease(lease)
    for record in reversed(watched.ended):
        found[record.rollback_id] = _end(record).partition(": ")[2]
    for seen in watched.in_flight:
        found[seen.record.rollback_id] = _record(seen).plain
    for run in watched.runs:
        for step in run.outcomes:
            if (outcome := str(step.get("outcome", ""))) != "untouched":
                name = f"{run.seen.record.rollback_id} {step['name']}"
                found[name] = f"{outcome}{_step(step, str(step['name'])).plain[1:]}"
    for alarm in watched.alarms:
        found[f"alarm {alarm.name}"] = alarm.state
    found["not read"] = watched.unread
    return found


def changes(before: Watched | None, now: Watched) -> list[dict[str, str]]:
    """What has changed since the last update, as `{"changed_at", "subject", "what"}`; everything at the first one.

    `what` is empty for what no longer exists. Pure.
    """
    was, found = facts(before) if before is not None else {}, facts(now)
    changed = [(name, what) for name, what in found.items() if was.get(name, "") != what]
    # For a rollback that has ended its result is enough.
    runs = {seen.record.rollback_id for seen in (before.in_flight if before is not None else ())}
    gone = [name for name in was if name not in found and was[name] and name.partition(" ")[0] not in runs]
    return [
        {"changed_at": now.at, "subject": name, "what": what}
        for name, what in [*changed, *((name, "") for name in gone)]
    ]


def change_line(change: Mapping[str, str]) -> str:
    """A change as a line of text."""
    what = change["what"] or "ended"
    return sanitize.line(f"{shown_time(change['changed_at'])}  {change['subject']}: {what}")
