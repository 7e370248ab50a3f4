"""The plan and the outcome of one record as Markdown, for a job's summary or a ticket."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from rollback.model.advice import for_record
from rollback.model.alias_moves import Move
from rollback.model.messages import counted, resources
from rollback.model.record import MARKS
from rollback.model.resource_changes import ResourceChange, kind
from rollback.queries.report_data import ReportedRecord
from rollback.util.sanitize import clean
from rollback.util.times import shown_time

# Characters with a meaning in GitHub's Markdown: mentions, references and HTML included.
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>()#+\-.!|~@:$&])")
_ROWS = 100


def summary(reported: ReportedRecord) -> str:
    """One record: a table of facts, the checks, and what the plan changes."""
    record, plan = reported.record, reported.plan
    lines = [
        f"## {escape(record.environment)}: {escape(record.kind)} rollback is {escape(reported.seen.status)}",
        "",
    ]
    if getattr(record, "emergency", False):
        lines += ["> **Done in an emergency, without ledger and approval**", ""]
    if reported.broken:
        lines += [f"> **The integrity check failed:** {escape(reported.broken)}", ""]
    took = (
        ""
        if record.elapsed_seconds is None
        else f"{record.elapsed_seconds:.1f} s"
        + (f" of an RTO of {record.rto_seconds} s" if record.rto_seconds else "")
        + (
            ""
            if record.relieved_seconds is None
            else f", aliases moved after {record.relieved_seconds:.1f} s"
        )
    )
    facts = (
        *([("stack", record.stack)] if record.stack else []),
        ("from → to", f"{record.from_version or 'unknown'} → {record.to_version}"),
        ("reason", record.reason),
        ("goes below", record.below),
        ("services", ", ".join(record.services)),
        (
            "prepared by" if record.taken_by else "started by",
            f"{record.initiated_by}, {shown_time(record.initiated_at)}",
        ),
        ("approved by", str(reported.seen.shown["approved_by"] or "")),
        (
            "standby until",
            "" if record.taken_by or not record.standby_until else shown_time(record.standby_until),
        ),
        ("taken by", f"{record.taken_by}, {shown_time(record.started_at or '')}" if record.taken_by else ""),
        ("for alarm", record.alarm),
        ("counts", counted(record)),
        ("resources", resources(record)),
        ("took", took),
        ("digest", record.digest),
        ("id", record.rollback_id),
    )
    lines += table(("", ""), [(f"**{escape(name)}**", escape(value)) for name, value in facts if value])
    if record.verification:
        checks = [
            ("✓" if one.ok else "✗", escape(one.check), escape(one.detail)) for one in record.verification
        ]
        lines += ["", "### Verification", "", *table(("", "check", "seen"), checks)]
    if plan is not None:
        lines += ["", f"### Plan, {len(plan.steps)} steps", "", *_steps(reported)]
        lines += [f"- {escape(notice)}" for notice in plan.notices]
    steps = for_record(reported.seen).steps
    lines += [
        "",
        *(f"- Next: {code(step.command)} {escape(step.beside)}" for step in steps),
        "",
    ]
    return "\n".join(lines)


def _steps(record: ReportedRecord) -> list[str]:
    assert record.plan is not None  # noqa: S101 - the caller looked
    outcomes = {str(one["name"]): str(one.get("outcome", "")) for one in record.outcomes}
    rows: list[tuple[str, ...]] = []
    for step in record.plan.steps:
        if isinstance(step, Move):
            movement = f"{step.from_version} → {step.to_version}"
            rows.append((code(step.function), escape(movement), escape(outcomes.get(step.function, ""))))
        elif isinstance(step, ResourceChange):
            if step.changes:
                what = f"{MARKS.get(step.op, '')} {step.op}"
                name = f"{kind(step.type)} {step.urn.rpartition('::')[2]}"
                rows.append((escape(what), code(name), escape(", ".join(step.properties))))
        else:
            rows.extend(("", escape(line), "") for line in getattr(step, "lines", (step.subject,)))
    more = len(rows) - _ROWS
    shown = table(("", "", ""), rows[:_ROWS]) if rows else ["Nothing to change."]
    return [*shown, *(["", f"and {more} more"] if more > 0 else []), ""]


def escape(text: object) -> str:
    """`text` on one line, with the special characters of Markdown and HTML escaped."""
    return _SPECIAL.sub(r"\\\1", clean(" ".join(str(text).split())))


def code(text: str) -> str:
    """`text` as inline code, also in a table: no backtick or bar can end it."""
    return f"`{clean(' '.join(text.split())).replace('`', 'ˋ').replace('|', '¦')}`"


def table(names: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A table's lines; its cells are already Markdown."""

    def line(cells: Sequence[str]) -> str:
        return f"| {' | '.join(cells)} |"

    return [line(names), line(["---"] * len(names)), *map(line, rows)]
