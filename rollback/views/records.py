"""Shows records, releases, history and environments on a terminal.

Everything from outside (reasons, names, responses) is shown as text, never as markup, and without
control characters.

It is longer than 400 lines: one view for each kind of record.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from rollback.model.advice import Advice
from rollback.model.grouping import some, together
from rollback.model.messages import counted, resources, without_drills
from rollback.model.record import MARKS, Check, Event, Record, Status
from rollback.model.release import NOTHING
from rollback.model.resource_changes import SAME
from rollback.model.situation import FunctionStatus, RecordSeen, Service, State, heartbeat
from rollback.util import sanitize
from rollback.util.errors import RollbackError
from rollback.util.times import shown_time
from rollback.views.plan import common_prefix, plan_view
from rollback.views.rich_layout import (
    Cell,
    Command,
    Either,
    Listing,
    hanging,
    shortened,
    text,
    unwrapped,
)

if TYPE_CHECKING:
    from rollback.queries.history import Moment
    from rollback.queries.record_details import RecordDetails
    from rollback.queries.recovery_options import NoWayBack, RecoveryOption
    from rollback.queries.status import Overview

STATUS_STYLES: Mapping[str, str] = {
    Status.COMPLETE: "green",
    Status.REVERTED: "yellow",
    Status.ABORTED: "dim",
    Status.FAILED: "bold red",
    Status.IN_PROGRESS: "cyan",
    Status.AWAITING_APPROVAL: "magenta",
    State.AWAITING_CONFIRMATION: "magenta",
    Status.STANDBY: "blue",
    Status.EXPIRED: "dim",
}
# Results of Pulumi's updates.
_RESULTS = {str(status): style for status, style in STATUS_STYLES.items()} | {
    "succeeded": "green",
    "failed": "bold red",
    "in-progress": "cyan",
}
_LOUD = "bold white on red"
# Terminal widths that tables of two, three and six columns need.
_TWO, _THREE, SIX = 50, 76, 100
_NARROW_BY = 14
# Characters of a commit's subject in a list; `show` shows all of it.
_SUBJECT = 56
# Characters shown of an event's data that this tool did not write.
_STRANGE = 200


def _time(record: Record) -> Iterator[tuple[str, Text]]:
    """How long it took, against its RTO; nothing while it runs."""
    if (seconds := record.elapsed_seconds) is None:
        return
    within = not record.rto_seconds or seconds <= record.rto_seconds
    budget = f" of {record.rto_seconds} s RTO" if within else f", over the RTO of {record.rto_seconds} s"
    relief = (
        "" if record.relieved_seconds is None else f", aliases moved after {record.relieved_seconds:.1f} s"
    )
    # A standby waits by design: that is not waiting for an approval.
    waits = record.waited_seconds and not record.taken_by
    waited = f", {record.waited_seconds:.0f} s waiting" if waits else ""
    waited += " for approval" if waited and record.approved_by else ""
    took = f"{seconds:.1f} s{budget if record.rto_seconds else ''}{relief}{waited}"
    yield "time", text(took, "green" if within else "red")


def _kind(record: Record) -> str:
    """The kind, and the stack if it is not the environment's."""
    return f"{record.kind} {record.stack}" if record.stack else record.kind


def record_view(seen: RecordSeen, events: Iterable[Event] = ()) -> RenderableType:
    """One record with its result and journal."""
    record = seen.record
    grid = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column()
    rows: list[tuple[str, Text]] = [
        ("status", text(seen.status, STATUS_STYLES.get(seen.status, ""))),
        (
            "what",
            text(f"{_kind(record)} of {record.environment}: {record.from_version} → {record.to_version}"),
        ),
        ("reason", text(record.reason)),
        (
            "prepared by" if record.taken_by else "by",
            text(f"{record.initiated_by} at {shown_time(record.initiated_at)}"),
        ),
        ("counts", text(counted(record))),
    ]
    if record.services:
        rows.insert(2, ("services", text(", ".join(record.services))))
    changed = resources(record)
    if changed:
        rows.append(("resources", text(changed)))
    if record.below:
        rows.append(("goes below", text(record.below, "yellow")))
    if record.without:
        rows.append(("except", text(", ".join(record.without), "yellow")))
    rows.extend(_approved(seen))
    rows.extend(_standby(record))
    rows.extend(_time(record))
    rows.extend(
        (item.check, text(f"{'✓' if item.ok else '✗'} {item.detail}", "green" if item.ok else "red"))
        for item in record.verification
    )
    for name, value in rows:
        grid.add_row(name, value)
    head = text(f"Rollback {record.rollback_id}", "bold")
    digest = unwrapped(text(f"Digest {record.digest}", "dim"))
    parts: list[RenderableType] = [Text(), *_alarm(record), head, grid, digest]
    journal = list(events)
    if journal:
        wide, narrow = _journal(record, journal), _journal(record, journal, by=_NARROW_BY)
        parts.extend([Text(), Either(SIX, wide, narrow)])
    return Group(*parts)


def _journal(record: Record, journal: Sequence[Event], *, by: int | None = None) -> Table:
    """The events, those alike on one line; the name of who did it in lines of at most `by` characters."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for name in ("#", "at", "event", "by", "what"):
        folded = name == "what" or (name == "by" and by is not None)
        table.add_column(name, no_wrap=not folded, overflow="fold", max_width=by if name == "by" else None)
    common = common_prefix([name for event in journal for name in _functions(event)])
    for several in _runs(journal):
        event, last = several[0], several[-1]
        table.add_row(
            str(event.number) if event is last else f"{event.number}–{last.number}",
            text(shown_time(event.at)),
            text(event.kind),
            text(_by(event)),
            text(_together(several, common) + _entered_by(event, record)),
        )
    return table


def _approved(seen: RecordSeen) -> Iterator[tuple[str, Text]]:
    """Who approved it; while it waits also until when the approval is valid."""
    if seen.record.approved_by:
        yield "approved", text(seen.record.approved_by)
    elif seen.approval:
        yield "approved", text(f"{seen.approval.by}, until {shown_time(seen.approval.expires_at)}")


def _standby(record: Record) -> Iterator[tuple[str, Text]]:
    """Until when the standby can be taken, or who took it."""
    if record.taken_by:
        at = f" at {shown_time(record.started_at)}" if record.started_at else ""
        yield (
            "taken by",
            text(f"{record.taken_by}{at}{f', for alarm {record.alarm}' if record.alarm else ''}"),
        )
    elif record.standby_until:
        yield "standby", text(f"until {shown_time(record.standby_until)}")


def _alarm(record: Record) -> list[Text]:
    message = "EMERGENCY: without lease and approval, with a journal on one machine"
    return [text(message, _LOUD)] if record.emergency else []


def _functions(event: Event) -> list[str]:
    found = event.data.get("functions", ())
    return [str(name) for name in found] if isinstance(found, (list, dict)) else []


def _by(event: Event) -> str:
    """The person behind an event. An approval is the approver's, although the person who applies the plan writes the event."""
    given = event.data.get("by") if event.kind == "approved" else None
    return str(given.get("person", "")) if isinstance(given, Mapping) else event.by.person


def _entered_by(event: Event, record: Record) -> str:
    """Who applied an approved plan; empty for any other event."""
    did = "taken by" if record.taken_by else "applied by"
    return f", {did} {event.by.person}" if event.kind == "approved" else ""


def _runs(journal: Sequence[Event]) -> list[list[Event]]:
    """The events, those of one kind that say of a function each how it was found and follow each other in one."""
    runs: list[list[Event]] = []
    for event in journal:
        if runs and event.kind == "found" == runs[-1][0].kind and event.by == runs[-1][0].by:
            runs[-1].append(event)
        else:
            runs.append([event])
    return runs


def _together(events: Sequence[Event], common: str) -> str:
    """The same as one text."""
    first, *more = [_event_text(event, common) for event in events]
    if not more:
        return first
    names = [str(event.data.get("function", "")).removeprefix(common) for event in events[1:]]
    return f"{first}; and {len(more)} more like it ({some(names)})"


def _event_text(event: Event, common: str) -> str:
    """An event's data in a few words; unchanged if this tool did not write it."""
    try:
        return _event_summary(event, common)
    except (KeyError, TypeError):
        return str(dict(event.data))[:_STRANGE]


def _event_summary(event: Event, common: str) -> str:
    """The functions' common prefix is left out. Raises `KeyError` or `TypeError` for unknown data."""
    data = event.data
    if "functions" in data:
        names = [name[len(common) :] for name in _functions(event)]
        return f"{len(names)}: {', '.join(names[:3])}{' …' if len(names) > 3 else ''}"  # noqa: PLR2004
    if event.kind == "planned":
        return f"{data['steps']} steps" if "steps" in data else ""
    if event.kind == "failed":
        return "; ".join(f"{item['subject']}: {item['reason']}" for item in data["failures"][:3])
    if event.kind == "found":
        return f"{str(data['function']).removeprefix(common)} was at version {data['version']}, weights {data['weights'] or 'none'}"
    shown = {key: value for key, value in data.items() if not isinstance(value, (list, dict)) and value != ""}
    if "digest" in shown:
        shown["digest"] = f"{shown['digest'][:16]}…"
    return ", ".join(f"{key} {value}" for key, value in shown.items())


def opened_view(details: RecordDetails) -> RenderableType:
    """One record with its plan, its journal and what to type next."""
    parts: list[RenderableType] = [plan_view(details.plan)] if details.plan is not None else []
    parts.append(record_view(details.seen, details.events))
    if details.broken:
        parts.append(text(f"The integrity check failed: {details.broken}.", "bold red"))
    if details.chain not in ("whole", details.broken):
        parts.append(text(f"Hash chain: {details.chain}.", "yellow"))
    parts.append(advice_view([details.advice]))
    return Group(*parts)


def advice_view(advice: Sequence[Advice]) -> Group:
    """The state, and what to type next; commands are not wrapped, so that they can be copied."""
    lines: list[RenderableType] = []
    for each in advice:
        if each.steps or each.state is State.FROZEN:
            lines.append(hanging("→", text(each.what), "bold"))
        for index, step in enumerate(each.steps):
            lines.append(Command("next: " if index == 0 else "  or: ", step.command, step.beside))
    return Group(*lines)


def checks_view(checks: Sequence[Check]) -> RenderableType:
    """One line per check."""
    return Group(
        *(
            hanging("✓" if one.ok else "✗", text(f"{one.check}: {one.detail}"), "green" if one.ok else "red")
            for one in checks
        )
    )


def history_view(
    moments: Sequence[Moment], broken: Sequence[RollbackError] = (), kind: str = ""
) -> RenderableType:
    """Releases, rollbacks and stack updates, newest first; all of one `kind`, if it is given."""
    rows: list[tuple[str, Cell, Cell]] = [
        ("", [[("malformed", "bold red")]], [[(sanitize.line(error.what), "red")]]) for error in broken
    ]
    named: set[str] = set()
    rows += [(moment.at, _what(moment), _how(moment, named)) for moment in moments]
    if not rows:
        found = f"entries of kind {kind}" if kind else "releases or rollbacks"
        return text(f"No {found} recorded yet.", "dim")
    # An id has 26 characters and must be complete, to be copied; a mixed environment's version is longer.
    wide = Listing(
        ("when", "what", "how"),
        [([[(shown_time(at), "")]], what, how) for at, what, how in rows],
        least=(0, 26, 0),
    )
    narrow = Listing(
        ("when", "what and how"),
        [([[(shown_time(at), "")]], [*what, *how]) for at, what, how in rows],
        least=(0, 0),
    )
    # Beside a time there is no room for an id.
    narrowest = Listing(
        ("", "when, what and how"),
        [([[("", "")]], [[(shown_time(at), "")], *what, *how]) for at, what, how in rows],
        least=(0, 0),
    )
    return Either(_THREE, wide, Either(_TWO, narrow, narrowest))


def _what(moment: Moment) -> Cell:
    """What an entry is, with the id that `show` takes."""
    head = [
        (sanitize.line(moment.movement or moment.what), "bold"),
        (" ", ""),
        (sanitize.line(moment.kind), "blue"),
    ]
    if moment.deployed:
        head.append(("  ● deployed", "green"))
    if moment.document.get("emergency"):
        head.append(("  EMERGENCY", _LOUD))
    return [head, [(sanitize.line(moment.what), "dim")]] if moment.movement else [head]


def _how(moment: Moment, named: set[str]) -> Cell:
    """How an entry ended, by whom and why; with the commit's subject unless it is in `named`."""
    result = moment.result if moment.movement or not moment.document.get("deployment_id") else ""
    counted = " ".join(
        f"{mark}{moment.changes[op]}" for op, mark in MARKS.items() if op != SAME and moment.changes.get(op)
    )
    elapsed = "" if moment.seconds is None else f" in {moment.seconds:.1f} s"
    commit = (
        f"commit {moment.commit[:12]}{' and more (dirty)' if moment.dirty else ''}" if moment.commit else ""
    )
    details = [part for part in (f"by {moment.actor}" if moment.actor else "", counted, commit) if part]
    ended = [
        (sanitize.line(f"{result}{elapsed}{', ' if result else ''}"), _RESULTS.get(result, "")),
        (sanitize.line(", ".join(details)), ""),
    ]
    subject = sanitize.line(moment.subject)
    if moment.commit:
        subject = "" if moment.commit in named else shortened(subject, _SUBJECT)
        named.add(moment.commit)
    return [ended, [(subject, "")]] if subject else [ended]


def headed(*names: str) -> Table:
    """A table whose first column is never wrapped; the others wrap instead of being cut."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for name in names:
        table.add_column(name, no_wrap=name == names[0], overflow="fold")
    return table


def deployed_now(stands: str) -> Text:
    """The release that is deployed, for the first line of a screen."""
    if stands == NOTHING:
        return Text("no recorded release is deployed", "bold")
    return Text.assemble("deployed ", text(stands, "bold green"))


def overview_view(view: Any) -> RenderableType:
    """The current state of an environment (`rollback.queries.status.Overview`)."""
    head = Text.assemble(
        (f"{view.environment} ", "bold"),
        f"({view.account}, {view.region})  ",
        deployed_now(view.stands),
    )
    table = headed("service", "deployed", "functions", "back to", "quarantined")
    narrow = headed("service", "deployed")
    odd: list[Text] = []
    common = common_prefix([status.function for service in view.services for status in service.functions])
    for service in view.services:
        mark = mark_of(service)
        name, back = text(service.name), text(service.previous or "–")
        deployed = text(f"{service.stands or '–'}{' (mixed)' if service.apart else ''}")
        quarantined = text(without_drills(service.quarantined), "yellow")
        table.add_row(name, deployed, mark, back, quarantined)
        below = Text.assemble("\nquarantined ", quarantined) if quarantined else Text()
        narrow.add_row(name, Text.assemble(deployed, ", back to ", back, ", ", mark, below))
    odd.extend(_odd(view.services, common))
    if odd and common:
        odd.insert(0, text(f"Functions {common}…", "dim"))
    parts: list[RenderableType] = [
        *heading(view),
        head,
        Text(),
        Either(_THREE, table, narrow),
        Text(),
        *odd,
        *map(_infrastructure, view.infrastructure),
    ]
    parts.extend(_under_way(view.services))
    if view.ways:
        parts.extend([Text(), _recovery_options(view.ways)])
    if view.no_way_back:
        parts.extend([Text(), *_no_way_back(view.no_way_back, len(view.services))])
    if view.ways or view.no_way_back:
        parts.append(Text())
    for domain, item in view.holders.items():
        holder, beat = item.get("holder", {}), heartbeat(str(item.get("beat_at", "")), view.at)
        parts.append(
            text(
                f"Lease on {domain}: held by {holder.get('person')} on {holder.get('host')} for {item['owner']}, "
                f"{beat}",
                "cyan",
            )
        )
    parts.extend(
        text(
            f"{seen.status}: {seen.record.rollback_id}, {seen.record.from_version} → {seen.record.to_version}, by "
            f"{seen.record.people}: {seen.record.reason}",
            STATUS_STYLES.get(seen.status, ""),
        )
        for seen in view.in_flight
    )
    if view.strangers:
        parts.append(hanging("!", text(f"Not in the catalogue: {', '.join(view.strangers)}", "dim"), "dim"))
    if view.pending:
        parts.append(text("Reading traffic weights…", "dim"))
    elif not view.exact:
        parts.append(text("Traffic weights not shown; use --exact.", "dim"))
    # At the end, because the top of a small screen has scrolled away.
    parts.extend(freeze_of(view))
    parts.append(advice_view(view.advice))
    return Group(*parts)


def heading(view: Overview) -> Iterator[Text]:
    """What must not be overlooked: emergencies, problems of the ledger, and a freeze."""
    for line in view.emergencies:
        yield text(line, _LOUD)
    for line in view.warnings:
        yield text(f"! {line}", "bold red")


def freeze_of(view: Overview) -> list[Text]:
    """Who froze the environment, since when and why; empty if it is not frozen."""
    return [text(f"FROZEN by {view.frozen}", "bold cyan")] if view.frozen else []


def mark_of(service: Service) -> Text:
    """How many of a service's functions are as recorded, and what differs."""
    count = len(service.functions)
    differ = sum(not status.ok for status in service.functions)
    moved = sum(bool(status.moved_by) for status in service.functions)
    if service.stands is None and all(status.expected is None for status in service.functions):
        return Text(f"{count} not recorded", "yellow")
    if differ:
        mark = Text(f"{differ} differ", "bold red")
    elif moved:
        rest = f"{count - moved} as recorded, " if count > moved else ""
        mark = Text(f"{rest}{moved} moved", "cyan")
    else:
        mark = Text(f"{count} as recorded")
    if service.apart:
        mark = Text.assemble(mark, Text(f", {len(service.apart)} at another release", "yellow"))
    return mark


def _recovery_options(options: Sequence[RecoveryOption]) -> Group:
    """What can be rolled back to what, how long that takes, and what to type."""
    lines: list[RenderableType] = []
    widest = max(len(recovery.kind) for recovery in options)
    for option in options:
        took = [f"about {option.about:.0f} s"] if option.about is not None else []
        took += [f"{option.last:.0f} s last time"] if option.last is not None else []
        text_parts = ", ".join([*took, f"RTO {option.rto_seconds // 60} min"])
        text_parts += f", under {option.under}" if option.under else ""
        what = Text.assemble(text(f"back to {option.to}", "bold"), text(f"  {text_parts}", "dim"))
        lines.append(hanging(f"{option.kind:<{widest}} ", what, "bold"))
        lines.extend(
            unwrapped(Text.assemble(" " * (widest + 2), text(command, "cyan")))
            for command in (option.login, option.command)
            if command
        )
    return Group(*lines)


def _under_way(services: Sequence[Service]) -> list[Text]:
    """How many functions an unfinished rollback has changed: one line per record."""
    by = [status.moved_by for service in services for status in service.functions if status.moved_by]
    return [
        text(f"{by.count(name)} functions were changed by {name}, which is not finished.", "cyan")
        for name in dict.fromkeys(by)
    ]


def _no_way_back(missing: Sequence[NoWayBack], services: int) -> Iterator[RenderableType]:
    """The services that cannot be rolled back, why, and what would change that."""
    for each in missing:
        some = "" if len(each.services) == services else f" for {', '.join(each.services)}"
        yield hanging("!", text(f"No previous release{some}: {each.why}."), "yellow")
        if each.command:
            under = f", under {each.under}" if each.under else ""
            yield hanging(" ", text(f"{each.so[0].upper()}{each.so[1:]}{under}:", "dim"))
        for command in filter(None, (each.login, each.command)):
            yield unwrapped(Text.assemble("  ", text(command, "cyan")))


def _infrastructure(part: Any) -> RenderableType:
    says = shortened(sanitize.line(part.says), _SUBJECT)
    deployed = f"{part.stands[:12]} {says}".strip() if part.stands else "–"
    quarantined = (
        f"   quarantined: {', '.join(commit[:12] for commit in part.quarantined)}" if part.quarantined else ""
    )
    return hanging(f"{part.name:<9}", Text.assemble(text(deployed), text(quarantined, "yellow")), "bold")


def _odd(services: Sequence[Service], common: str) -> Iterator[Text]:
    """The functions that are not as recorded, and those at another release than their service: one line per finding.

    The functions' common prefix is left out.
    """
    wrong = [status for service in services for status in service.functions if not status.ok]
    for line in together((status.function[len(common) :], differs(status)) for status in wrong):
        yield text(f"  {line}", "red")
    apart = [
        (name[len(common) :], f"at {version}{' (quarantined)' if version in service.quarantined else ''}")
        for service in services
        for name, version in service.apart.items()
    ]
    for line in together(apart):
        yield text(f"  {line}", "yellow")


def differs(status: FunctionStatus) -> str:
    """How a function differs from what is recorded."""
    if status.version is None:
        return "no alias"
    if status.weights:
        return "weights: " + ", ".join(
            f"{share:.0%} on version {name}" for name, share in status.weights.items()
        )
    return f"at version {status.version}, expected {status.expected}"


def some_of(chosen: Sequence[str], everything: Sequence[str]) -> str:
    """Names, or `all`."""
    return "all" if chosen and len(chosen) == len(everything) else ", ".join(chosen)
