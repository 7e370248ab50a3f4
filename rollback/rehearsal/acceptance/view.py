"""Shows the results of the acceptance tests, for people and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from rollback.rehearsal.acceptance import names
from rollback.rehearsal.acceptance.fact import Finding, Outcome, Report
from rollback.rehearsal.acceptance.names import SandboxNames
from rollback.views.rich_layout import hanging, lines_to_copy, text

_MARKS = {Outcome.HOLDS: ("✓", "green"), Outcome.DIFFERS: ("✗", "bold red")}
_UNKNOWN = ("–", "yellow")
# The key `because` in JSON for facts with `"outcome": "not-tried"`.
_BECAUSE = {Outcome.SKIPPED: "skipped", Outcome.DENIED: "denied", Outcome.FAILED: "failed"}
_OUTCOMES = {Outcome.HOLDS: "holds", Outcome.DIFFERS: "does-not-hold"}


def view(report: Report) -> RenderableType:
    """Each fact with its measurement; for a failed one also what relies on it, and the page of the AWS documentation."""
    table = Table.grid(padding=(0, 1))
    for column in ("mark", "name"):
        table.add_column(column, no_wrap=True)
    table.add_column("says", overflow="fold")
    for finding in report.findings:
        mark, style = _MARKS.get(finding.outcome, _UNKNOWN)
        first, *more = _lines(finding)
        table.add_row(Text(mark, style=style), text(finding.fact.name), first)
        for each in more:
            table.add_row("", "", each)
    return Group(table, Text(), text(_counted(report)), *_leftovers(report))


def _lines(finding: Finding) -> Iterator[Text]:
    fact, detail = finding.fact, finding.detail
    yield text(fact.says)
    if finding.outcome is Outcome.DIFFERS:
        yield text(f"failed: {detail}", "red")
        yield text(fact.why)
        yield text(fact.source)
    elif finding.outcome is Outcome.HOLDS:
        yield text(detail, "dim")
    else:
        yield text(f"skipped: {detail}", "yellow")


def _counted(report: Report) -> str:
    hold, differ = len(report.of(Outcome.HOLDS)), len(report.of(Outcome.DIFFERS))
    unknown = len(report.findings) - hold - differ
    return (
        f"{len(report.findings)} facts at {report.endpoint} ({report.account}, {report.region}): "
        f"{hold} passed, {differ} failed, {unknown} skipped."
    )


def _leftovers(report: Report) -> Iterator[RenderableType]:
    for one in report.left:
        yield text(f"Not removed: {one.resource}: {one.why}")
        yield lines_to_copy(*one.commands)


def document(report: Report) -> dict[str, Any]:
    """The same as JSON: `{"run", "environment", "account", "region", "endpoint", "facts", "counts", "removed", "left"}`.

    A fact is `{"name", "says", "why", "source", "outcome", "because", "detail", "elapsed_seconds"}`: `outcome` is `holds`,
    `does-not-hold` or `not-tried`, `because` null or `skipped`, `denied`, `failed`. `removed` are names of resources that earlier
    runs had left; `left` is `[{"resource", "why", "commands"}]`.
    """
    facts = [
        {
            "name": finding.fact.name,
            "says": finding.fact.says,
            "why": finding.fact.why,
            "source": finding.fact.source,
            "outcome": _OUTCOMES.get(finding.outcome, "not-tried"),
            "because": _BECAUSE.get(finding.outcome),
            "detail": finding.detail,
            "elapsed_seconds": round(finding.seconds, 3),
        }
        for finding in report.findings
    ]
    outcomes = [str(fact["outcome"]) for fact in facts]
    return {
        "run": report.run,
        "environment": report.environment,
        "account": report.account,
        "region": report.region,
        "endpoint": report.endpoint,
        "facts": facts,
        "counts": {name: outcomes.count(name) for name in ("holds", "does-not-hold", "not-tried")},
        "removed": list(report.removed),
        "left": [
            {"resource": str(one.resource), "why": one.why, "commands": list(one.commands)}
            for one in report.left
        ],
    }


def planned_view(planned: SandboxNames) -> RenderableType:
    """What a run would create, and the permissions that it needs."""
    settings = planned.settings
    lines: list[RenderableType] = [
        text(
            f"In {settings.environment} ({settings.account}, {settings.region}) it creates, and removes afterwards:"
        ),
        *(text(f"  {resource}") for resource in planned.resources),
        text("It needs these permissions, which no role of this tool has:"),
    ]
    for one in names.permissions(settings):
        lines.append(hanging(" ", text(", ".join(one.actions))))
        lines += [hanging("   on", text(resource)) for resource in one.resources]
    return Group(*lines)


def planned_document(planned: SandboxNames) -> dict[str, Any]:
    """The same as JSON: `{"environment", "account", "region", "makes": [{"kind", "name"}], "policy"}`; `policy` is one
    of IAM's.
    """
    settings = planned.settings
    return {
        "environment": settings.environment,
        "account": settings.account,
        "region": settings.region,
        "makes": [{"kind": str(one.kind), "name": one.name} for one in planned.resources],
        "policy": names.policy(settings),
    }
