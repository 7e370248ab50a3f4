"""Shows a proposed environment, the files that would be written, and what to type next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from rollback.model.grouping import some
from rollback.queries.traffic import Traffic, remedy
from rollback.setup.api import Preview
from rollback.setup.catalogue.files import Change
from rollback.setup.proposal import LISTED_FUNCTIONS, Proposal, settings_of
from rollback.util.canonical import plain
from rollback.util.sanitize import lines
from rollback.views.json_output import typed
from rollback.views.plan import common_prefix
from rollback.views.rich_layout import lines_to_copy, text

_SHOWN = 8
_STYLES = {"+": "green", "-": "red", "@": "cyan"}


def view(preview: Preview, folder: str) -> RenderableType:
    """The proposal line by line, then notes and files."""
    proposal = preview.proposal
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for head, what in _rows(preview):
        table.add_row(text(head, "bold"), text(what))
    services = Table.grid(padding=(0, 2))
    services.add_column(no_wrap=True)
    services.add_column(justify="right")
    services.add_column(overflow="fold")
    common = common_prefix([entry for entries in proposal.services.values() for entry in entries])
    for service, entries in proposal.services.items():
        names = [entry.removeprefix(common) for entry in entries]
        services.add_row(text(f"  {service}", "bold"), text(len(entries)), text(few(names)))
    return Group(
        table,
        *([text(f"Functions {common}…", "dim")] if common else []),
        services,
        *(text(one, "yellow") for one in notes(preview)),
        _traffic(preview.traffic, proposal.alias),
        Text(),
        text(f"Files in {folder}:", "bold"),
        *_files(preview.changes),
    )


def _rows(preview: Preview) -> Iterator[tuple[str, str]]:
    proposal, details = preview.proposal, preview.details
    kind, _, name = preview.found.caller.split(":", 5)[5].partition("/")
    role, _, person = name.rpartition("/")
    yield "account", f"{proposal.account}, {proposal.region}"
    yield "you", f"{person} ({role})" if role else name or kind
    yield "production", "yes" if proposal.production else "no"
    made = "created by this program" if proposal.declares else "created by your deployment"
    yield "alias", f"{proposal.alias}, {made}"
    yield "prefix", f"{proposal.prefix}: {proposal.prefix}-{proposal.environment}-rollback-role"
    yield "approval", _approval(proposal)
    yield "people", _people(proposal)
    yield "tables", few(list(proposal.tables)) if proposal.tables else "none"
    yield "time budget", f"{proposal.rto_minutes} minutes for functions"
    yield "trails", few(details.trails) if details.trails else "none"
    yield "functions", f"{len(proposal.functions)} in {len(proposal.services)} services"


def _approval(proposal: Proposal) -> str:
    usual = (
        ("another person",) * 3 if proposal.production else ("nobody", "the same person", "the same person")
    )
    words = {"none": "nobody", "confirm": "the same person", "identity": "another person"}
    kinds = {
        kind: words.get(proposal.approval.get(kind, ""), by)
        for kind, by in zip(("aliases", "infrastructure", "table"), usual, strict=True)
        if kind != "table" or proposal.tables
    }
    return ", ".join(f"{kind}: {by}" for kind, by in kinds.items())


def _people(proposal: Proposal) -> str:
    if proposal.permission_sets:
        sets = ", ".join(proposal.permission_sets.values())
        return f"permission sets {sets}"
    named = {role: [str(one).rpartition("/")[2] for one in who] for role, who in proposal.people.items()}
    return "; ".join(f"{role}: {few(who)}" for role, who in named.items()) or "nobody yet"


def notes(preview: Preview) -> list[str]:
    """Notes to read before writing, one sentence each."""
    proposal, details, of_others = preview.proposal, preview.details, preview.of_others
    found: list[str] = []
    if of_others:
        found.append(
            f"Excluded, because their names belong to other environments: {len(of_others)} functions ({few(of_others, 3)})."
        )
    if proposal.called:
        found.append(
            f"All {len(proposal.functions)} functions have {proposal.called!r} in their names or stacks, and none has "
            f"{proposal.environment!r}: is this the account and region of {proposal.environment}?"
        )
    if proposal.by and proposal.ungrouped:
        found.append(
            f"--services-by {proposal.by.value}: {len(proposal.ungrouped)} of {len(proposal.functions)} functions have none "
            f"({few(proposal.ungrouped, 3)}). They are grouped by a tag or by their names instead."
        )
    found += [one.advice for one in details.deletes]
    found += [
        f"Table {table.name} is not listed: it has no point-in-time recovery."
        for table in details.tables
        if table.recoverable is False
    ]
    if not (proposal.people or proposal.permission_sets or proposal.repository):
        found.append(
            "Nobody can assume the roles yet: use --deployer, --on-call, --break-glass, --permission-sets or --repository."
        )
    if proposal.production and proposal.approval.get("aliases") == "none":
        found.append(
            "ROLLBACKS IN PRODUCTION NEED NO APPROVAL: no approver is named, so the person who starts a rollback "
            "decides alone. Name an approver with --approver ARN."
        )
    if len(proposal.functions) > LISTED_FUNCTIONS:
        found.append(
            f"{len(proposal.functions)} functions are more than a role's policies can list: they are allowed by "
            "name prefix (docs/settings.md, functionAccess)."
        )
    return [*found, *(f"Not checked: {why}" for why in (*preview.found.unlooked, *details.unlooked))]


def _traffic(traffic: Traffic, alias: str) -> RenderableType:
    """What invokes functions without the alias, and what to change; empty where nothing does."""
    if not traffic.lines:
        return text(f"Everything that was found invokes alias {alias}.", "green")
    shown: list[RenderableType] = [
        text(
            f"{len(traffic.bypasses)} invoke functions without alias {alias}: a rollback does not affect their traffic.",
            "yellow",
        )
    ]
    shown += [text(f"  {one}: {remedy(one, alias)}") for one in traffic.bypasses]
    shown += [text(f"  not checked: {why}") for why in traffic.unlooked]
    return Group(*shown)


def _files(changes: Sequence[Change]) -> Iterator[RenderableType]:
    """The files and what would happen to each, with diffs of files that exist."""
    for one in changes:
        yield text(f"  {one.kind:<10}{one.file.path}")
        if one.kind == "differs":
            yield diff_view(one)


def diff_view(change: Change) -> RenderableType:
    """A coloured diff."""
    return Group(*(text(f"    {each}", _STYLES.get(each[:1], "")) for each in lines(change.diff)))


def steps_view(steps: Sequence[str]) -> RenderableType:
    """What to type next, as lines to copy."""
    return lines_to_copy(*(["", *steps] if steps else []))


def document(preview: Preview, steps: Sequence[str], *, written: bool) -> dict[str, Any]:
    """The same as JSON: `{"environment", "account", "region", "prefix", "alias", "settings", "notes", "traffic",
    "files": [{"path", "change"}], "written", "next"}`.
    """
    proposal = preview.proposal
    return {
        "environment": proposal.environment,
        "account": proposal.account,
        "region": proposal.region,
        "prefix": proposal.prefix,
        "alias": proposal.alias,
        "settings": plain(settings_of(proposal)),
        "notes": notes(preview),
        "traffic": preview.traffic.document(),
        "files": [{"path": str(one.place), "change": one.kind} for one in preview.changes],
        "written": written,
        "next": typed(steps),
    }


def few(names: Sequence[str], shown: int = _SHOWN) -> str:
    """The first names with commas, and how many more."""
    return some(names, shown)
