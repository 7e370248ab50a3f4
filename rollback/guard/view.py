"""Shows the guard on a terminal: whether it would act on an alarm, and how."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType

from rollback.guard.api import GuardState
from rollback.util.canonical import plain
from rollback.util.sanitize import line
from rollback.util.times import shown_time
from rollback.views.rich_layout import text


def built(path: Path, runtime: str) -> RenderableType:
    """The package's path, runtime and size."""
    size = f"{path.stat().st_size / 1e6:.1f} MB"
    return text(f"{path}: {size}, for {runtime}. `pulumi up` of the foundation deploys it.")


def state(found: GuardState) -> RenderableType:
    """The guard's state."""
    red = [name for name, state in found.alarms.items() if state != "OK"]
    lines = [
        f"The guard {_acts(found)}",
        *(f"  {problem}" for problem in found.problems),
        *(
            [f"Messages that it could not process: {found.missed} new, {found.failed - found.missed} settled"]
            if found.failed
            else []
        ),
        f"{len(found.alarms)} alarms can start the guard"
        + (f"; not OK: {', '.join(f'{name} ({found.alarms[name]})' for name in red)}" if red else ", all OK"),
        f"Now: {found.decision}, {found.why}",
        *(f"{shown_time(at)}  {why}" for at, why in found.declined),
    ]
    return Group(*(text(line(one)) for one in lines))


def _acts(found: GuardState) -> str:
    if found.problems and found.acts:
        return "would act on an alarm, except for:"
    if found.problems:
        return "would not act on an alarm:"
    return (
        "may not act on an alarm: its function was not seen to run."
        if found.unknown
        else "would act on an alarm."
    )


def document(found: GuardState) -> dict[str, Any]:
    """The same as JSON: the fields of `GuardState` but those of its error, and whether it is `ok`."""
    return {
        **without_error(plain(found)),
        "ok": found.ok,
        "alarms": [{"name": name, "state": state} for name, state in found.alarms.items()],
        "declined": [{"created_at": at, "why": why} for at, why in found.declined],
    }


def without_error(found: Mapping[str, Any]) -> dict[str, Any]:
    """A state or a test without what the error shows that the command ends with."""
    return {key: value for key, value in found.items() if key not in ("code", "next")}


def rehearsed(found: Mapping[str, Any]) -> RenderableType:
    """What the guard would do if an alarm went off."""
    holds = found["holds"]
    lines = [
        f"If {found['alarm']} went into ALARM now: {found['decision']}, {found['why']}",
        *([f"Standby {holds['id']} could be taken"] if holds and not holds["refusals"] else []),
        *(
            [f"Standby {holds['id']} would be refused: {reason}" for reason in holds["refusals"]]
            if holds
            else []
        ),
        "A report was published."
        if found["reported"]
        else f"No report was published: {found.get('report', '')}",
        *(f"problem: {problem}" for problem in found["problems"]),
    ]
    return Group(*(text(line(str(one))) for one in lines))
