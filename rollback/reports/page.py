"""The report as one self-contained HTML page: no network, no other file.

Every text goes through htpy (https://htpy.dev), which escapes it; the page's content security policy forbids any script
and style except the two inside it.

It is longer than 400 lines: one page, in the order in which it is shown.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.resources
from collections import Counter
from collections.abc import Sequence
from typing import Any

import htpy as h
from markupsafe import Markup

from rollback.model.advice import Advice
from rollback.model.alias_moves import Move
from rollback.model.messages import counted, resources, without_drills
from rollback.model.record import MARKS, Check, Event, Record, Status
from rollback.model.resource_changes import ResourceChange, kind
from rollback.model.situation import Service, State
from rollback.queries.history import Moment
from rollback.queries.report_data import ReportData, ReportedRecord
from rollback.queries.status import Overview
from rollback.util.canonical import canonical
from rollback.util.sanitize import clean
from rollback.util.times import shown_time

# The class and the mark of a result; the mark is for those who cannot see the colour.
_RESULTS = {
    Status.COMPLETE: ("good", "✓"),
    Status.REVERTED: ("warn", "↺"),
    Status.ABORTED: ("", "–"),
    Status.FAILED: ("bad", "✗"),
    Status.IN_PROGRESS: ("wait", "…"),
    Status.AWAITING_APPROVAL: ("wait", "?"),
    State.AWAITING_CONFIRMATION: ("wait", "?"),
    Status.STANDBY: ("wait", "◷"),
    Status.EXPIRED: ("", "–"),
    "succeeded": ("good", "✓"),
    "failed": ("bad", "✗"),
    "in-progress": ("wait", "…"),
}
Row = Sequence[Any]  # the cells of a table's row
# Limits of events and of characters per event; `rollback show --json` has all.
_EVENTS, _DATA, _NOTICE = 200, 600, 600


def page(report: ReportData) -> str:
    """The whole document."""
    style, script = _asset("page.css"), _asset("page.js")
    only = next(iter(report.records.values())) if not report.moments and len(report.records) == 1 else None
    title = f"Rollback {only.record.rollback_id}" if only else f"Rollbacks of {report.environment}"
    policy = f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; base-uri 'none'; form-action 'none'"
    document = h.html(lang="en")[
        h.head[
            h.meta(charset="utf-8"),
            h.meta(http_equiv="Content-Security-Policy", content=policy),
            h.meta(name="viewport", content="width=device-width, initial-scale=1"),
            h.meta(name="referrer", content="no-referrer"),
            h.title[title],
            h.style[Markup(style)],  # noqa: S704 - a file of ours
        ],
        h.body[
            h.header[
                h.h1[title],
                h.p(".soft")[f"{report.environment}, account {report.account}, {report.region}"],
            ],
            h.main[
                [h.p(".notice")[_cut(notice, _NOTICE)] for notice in report.notices],
                _now(report.now) if report.now else None,
                _one(only) if only else _timeline(report),
            ],
            h.footer[
                f"As of {shown_time(report.at)}. For a complete record: ",
                h.code["rollback show ID --json"],
                ".",
            ],
            h.script[Markup(script)],  # noqa: S704 - as above
        ],
    ]
    # htpy has escaped it; what is left are bidirectional and zero-width characters.
    return clean("".join(document.iter_chunks()))


# -- what is deployed now -----------------------------------------------------------------------------------------


def _now(now: Overview) -> h.Element:
    return h.section(aria_labelledby="now")[
        h.h2("#now")["Deployed now"],
        h.p(".notice")[f"Frozen by {clean(str(now.frozen))}"] if now.frozen else None,
        [
            h.p(".notice")[
                _pill(seen.status),
                f" {seen.record.kind} {seen.record.from_version} → {seen.record.to_version}, ",
                f"by {seen.record.people}: ",
                clean(seen.record.reason),
            ]
            for seen in now.in_flight
        ],
        _table(
            "Deployed now",
            ("service", "deployed", "previous", "functions", "quarantined"),
            [
                *(_service(service) for service in now.services),
                *(
                    (
                        part.name,
                        h.code[part.stands[:12]] if part.stands else "–",
                        "",
                        clean(part.says),
                        ", ".join(commit[:12] for commit in part.quarantined),
                    )
                    for part in now.infrastructure
                ),
            ],
        ),
        [_advice(each) for each in now.advice],
    ]


def _advice(advice: Advice) -> h.Element:
    return h.p[
        clean(advice.what),
        [
            [
                h.br,
                "or: " if index else "Next: ",
                h.code[clean(step.command)],
                h.span(".soft")[f" {step.beside}"],
            ]
            for index, step in enumerate(advice.steps)
        ],
    ]


def _service(service: Service) -> Row:
    odd = [status.function for status in service.functions if not status.ok]
    return (
        service.name,
        h.strong[service.stands or "–"],
        service.previous or "nothing",
        [
            f"{len(service.functions) - len(odd)} of {len(service.functions)} as recorded",
            [h.br, h.span(".pill.bad")[f"✗ {len(odd)} not"], f" {', '.join(odd[:5])}"] if odd else None,
            [
                [h.br, h.span(".pill")["mixed"], f" {name} is at {version}"]
                for name, version in sorted(service.apart.items())[:5]
            ],
        ],
        without_drills(service.quarantined),
    )


# -- the timeline --------------------------------------------------------------------------------------------


def _timeline(report: ReportData) -> h.Element:
    kinds = sorted(Counter(moment.kind for moment in report.moments))
    results = sorted(Counter(str(moment.result) for moment in report.moments))
    rollbacks = sum("rollback_id" in moment.document for moment in report.moments)
    return h.section(aria_labelledby="past")[
        h.h2("#past")["Releases and rollbacks, newest first"],
        h.form(hidden=True, role="search")[
            _labelled(
                "words", h.input("#words", type="search", name="words", placeholder="who, why, what …")
            ),
            _labelled("kind", _choice("kind", kinds)),
            _labelled("result", _choice("result", results)),
            h.span(".soft")["Shown: ", h.output],
        ],
        h.p(".soft")[
            f"Open one of the newest {len(report.records)} rollbacks to see its plan and journal. For an older one: ",
            h.code[f"rollback report ID --env {report.environment}"],
            ".",
        ]
        if len(report.records) < rollbacks
        else None,
        h.ol(".moments")[
            [
                h.li(f"#{_anchor(moment.what)}", data_kind=moment.kind, data_result=str(moment.result))[
                    _moment(moment, report.records.get(moment.what))
                ]
                for moment in report.moments
            ]
        ]
        if report.moments
        else h.p["No releases or rollbacks recorded yet."],
        h.p(".paper")["Only the first 200 entries are printed. Filter the list to print others."],
    ]


def _labelled(name: str, field: h.Node) -> h.Element:
    return h.div(".field")[h.label(for_=name)[name.capitalize()], field]


def _choice(name: str, options: Sequence[str]) -> h.Element:
    return h.select(f"#{name}", name=name)[
        h.option(value="")["all"], [h.option(value=one)[one] for one in options]
    ]


def _moment(moment: Moment, record: ReportedRecord | None) -> h.Element:
    movement = moment.movement or " ".join(filter(None, (moment.what, moment.commit[:12])))
    head = (
        h.time(datetime=shown_time(moment.at))[shown_time(moment.at)],
        h.span(".kind")[moment.kind],
        h.span[h.strong[movement], " ", h.span(".soft")[f"by {clean(moment.actor)}"]],
        h.span[
            h.span(".pill.warn")["drill "] if moment.document.get("drill") else None,
            _emergency(moment.document),
            _pill(moment.result),
        ],
        h.div(".why")[clean(moment.subject)] if moment.subject else None,
    )
    if record is None:
        return h.div(".head")[head]
    return h.details[h.summary(".head")[head], _record(record)]


def _emergency(document: Any) -> h.Element | None:
    return h.span(".pill.bad")["⚠ emergency"] if document.get("emergency") else None


# -- one record ----------------------------------------------------------------------------------------------


def _one(reported: ReportedRecord) -> h.Element:
    record = reported.record
    return h.section(aria_labelledby="record")[
        h.h2("#record")[
            f"{record.kind}: {record.from_version or 'unknown'} → {record.to_version} ",
            _pill(reported.seen.status),
        ],
        h.p[clean(record.reason)],
        _record(reported),
    ]


def _record(reported: ReportedRecord) -> h.Element:
    record = reported.record
    return h.div(".body")[
        h.p(".alarm")["⚠ Done in an emergency, without ledger and approval."]
        if getattr(record, "emergency", False)
        else None,
        h.p(".alarm")[f"The integrity check failed: {clean(reported.broken)}."] if reported.broken else None,
        _facts(reported),
        _checks(record.verification),
        _steps(reported),
        _journal(reported.events),
    ]


def _facts(reported: ReportedRecord) -> h.Element:
    record = reported.record
    approvals = [
        h.div[
            f"{clean(str(one.by))} at {shown_time(one.at)}, digest ",
            h.code[one.digest[:16]],
            f", until {shown_time(one.expires_at)}",
        ]
        for one in reported.approvals
    ]
    rows: list[tuple[str, Any]] = [
        ("id", h.code[record.rollback_id]),
        ("reason", clean(record.reason)),
        ("goes below", clean(record.below)),
        ("services", ", ".join(record.services)),
        ("excluded", ", ".join(record.without)),
        (
            "prepared by" if record.taken_by else "started by",
            f"{clean(str(record.initiated_by))} at {shown_time(record.initiated_at)}",
        ),
        ("approved by", approvals),
        ("taken by", _taken(record)),
        ("ended", shown_time(record.completed_at) if record.completed_at else ""),
        ("took", _took(record)),
        (
            "aliases moved after",
            "" if record.relieved_seconds is None else f"{record.relieved_seconds:.1f} s",
        ),
        (
            "waited for approval" if record.approved_by else "waited",
            f"{record.waited_seconds:.0f} s" if record.waited_seconds and not record.taken_by else "",
        ),
        ("functions", counted(record) if not record.infrastructure else ""),
        ("resources", resources(record)),
        ("digest", h.code[record.digest]),
        (
            "journal",
            f"{len(reported.events)} events, hash chain valid" if not reported.broken else "",
        ),
    ]
    return h.dl[[(h.dt[name], h.dd[value]) for name, value in rows if value]]


def _taken(record: Record) -> str:
    """Who took a standby, when, and for which alarm; empty if nobody did."""
    if record.taken_by is None:
        return ""
    at = f" at {shown_time(record.started_at)}" if record.started_at else ""
    return clean(f"{record.taken_by}{at}{f', for alarm {record.alarm}' if record.alarm else ''}")


def _took(record: Record) -> Any:
    seconds, budget = record.elapsed_seconds, record.rto_seconds
    if seconds is None:
        return ""
    message = (
        f"{seconds:.1f} s of an RTO of {budget} s ({seconds / budget:.0%})" if budget else f"{seconds:.1f} s"
    )
    late = h.span(".pill.bad")["✗ over the RTO"] if budget and seconds > budget else None
    share = (
        h.meter(min="0", max=str(budget), value=str(seconds), aria_label="Share of the RTO")
        if budget
        else None
    )
    return [share, f" {message} ", late]


def _checks(checks: Sequence[Check]) -> h.Element | None:
    if not checks:
        return None
    rows: list[Row] = [
        (
            h.span(".pill.good")["✓ pass"] if check.ok else h.span(".pill.bad")["✗ fail"],
            clean(check.check),
            clean(check.detail),
        )
        for check in checks
    ]
    return _block("Verification", _table("Verification", ("result", "check", "seen"), rows))


def _steps(record: ReportedRecord) -> h.Element | None:
    plan = record.plan
    if plan is None:
        return None
    outcomes = {str(one["name"]): str(one.get("outcome", "")) for one in record.outcomes}
    notices = [h.p(".soft")[f"! {clean(notice)}"] for notice in plan.notices]
    moves = [step for step in plan.steps if isinstance(step, Move)]
    changes = [step for step in plan.steps if isinstance(step, ResourceChange) and step.changes]
    parts: list[Any] = [*notices]
    if moves:
        rows: list[Row] = [
            (
                step.service,
                step.function,
                step.from_version,
                step.to_version,
                outcomes.get(step.function, ""),
            )
            for step in moves
        ]
        parts.append(_table("Functions", ("service", "function", "from", "to", "outcome"), rows))
    if changes:
        rows = [
            (
                f"{MARKS.get(step.op, '')} {step.op}",
                h.code[kind(step.type)],
                h.code[clean(step.urn.rpartition("::")[2])],
                clean(", ".join(step.properties)),
            )
            for step in changes
        ]
        parts.append(_table("Resources", ("change", "type", "resource", "properties"), rows))
    if not moves and not changes:
        lines = [line for step in plan.steps for line in getattr(step, "lines", (step.subject,))]
        parts.append(h.ul[[h.li[clean(line)] for line in lines]])
    return _block(f"Plan, {len(plan.steps)} steps", parts)


def _journal(events: Sequence[Event]) -> h.Element:
    rows: list[Row] = [
        (
            str(event.number),
            shown_time(event.at),
            event.kind,
            clean(event.by.person),
            h.code[_cut(canonical(event.data))] if event.data else "",
        )
        for event in events[:_EVENTS]
    ]
    more = len(events) - _EVENTS
    return _block(
        "Journal",
        [
            _table("Journal", ("number", "when", "event", "by", "what"), rows),
            h.p(".soft")[f"and {more} more events"] if more > 0 else None,
        ],
    )


# -- helpers -------------------------------------------------------------------------------------------------


def _block(title: str, inside: Any) -> h.Element:
    return h.section[h.h3[title], inside]


def _table(label: str, names: Sequence[str], rows: Sequence[Row]) -> h.Element:
    """On a phone a row becomes a short list, with the column's name before each value."""
    return h.table(aria_label=label)[
        h.thead[h.tr[[h.th(scope="col")[name] for name in names]]],
        h.tbody[
            [
                h.tr[[h.td(data_name=name)[value] for name, value in zip(names, row, strict=True)]]
                for row in rows
            ]
        ],
    ]


def _pill(result: str) -> h.Element:
    style, mark = _RESULTS.get(result, ("", ""))
    return h.span(class_=f"pill {style}".strip())[f"{mark} {clean(str(result))}".strip()]


def _cut(text: str, length: int = _DATA) -> str:
    return clean(text if len(text) <= length else f"{text[:length]} …")


def _anchor(what: str) -> str:
    return "".join(char if char.isalnum() else "-" for char in what)


def _asset(name: str) -> str:
    return (importlib.resources.files(__package__) / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
