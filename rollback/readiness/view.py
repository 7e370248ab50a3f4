"""Shows whether a change could be rolled back: on a terminal, in a pull request, as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from rollback.model.grouping import together
from rollback.readiness.rules import CheckAnswer, Judgement, Verdict
from rollback.views.json_output import commands
from rollback.views.markdown import code, escape, table
from rollback.views.rich_layout import following, hanging, text

_NAMED = 3
# Stored and JSON names that read better otherwise.
_SHOWN_AS = {"in flight": "in progress"}
_STYLES = {"✓": "green", "✗": "bold red", "!": "yellow", "–": "dim"}


def view(verdict: Verdict) -> RenderableType:
    """One line per finding: check, result, reason; below it what to type next."""
    head = Text.assemble(
        (f"{verdict.environment}  ", "bold"), text(f"{verdict.commit[:12]}  {verdict.subject}")
    )
    widest = max((len(_check(finding)) for finding in verdict.findings), default=0)
    lines: list[RenderableType] = []
    groups = verdict.lines
    for group, after in zip(groups, [*groups[1:], None], strict=True):
        finding = group[0]
        style = _STYLES[finding.mark]
        mark = f"{finding.mark} {_check(finding):<{widest}}"
        lines.append(hanging(mark, text(_message(group), "" if style == "green" else style), style))
        # Shown once, after the last of the findings that it solves.
        if (then := _then(group)) and (after is None or _then(after) != then):
            lines += following(then)
    # The negative result is the error that the verb ends with.
    end = [Text(), text(verdict.sentence, "green")] if verdict.reversible else []
    return Group(head, Text(), *lines, *end)


def _check(finding: Judgement) -> str:
    return _SHOWN_AS.get(finding.check, finding.check)


def _message(group: Sequence[Judgement]) -> str:
    """A finding's text, with all its subjects."""
    (line,) = together((one.subject, group[0].explanation) for one in group)
    return line


def _then(group: Sequence[Judgement]) -> list[str]:
    """What to type next, shown for the first subject only."""
    if group[0].answer is CheckAnswer.YES:
        return []
    every = [one.next.splitlines() for one in group]
    if all(each == every[0] for each in every):
        return every[0]
    commands = [[line.partition("  #")[0] for line in each] for each in every]
    if all(each == commands[0] for each in commands):
        return [f"{line}  # shows them" for line in commands[0]]
    more = f"  # the same for {len(every) - 1} more"
    return [f"{line}{more}" if line == every[0][-1] else line for line in every[0]]


def markdown(verdict: Verdict) -> str:
    """The same for a job's summary or a pull request: a heading, the answer, and a table."""
    rows = [
        (
            group[0].mark,
            escape(_check(group[0])),
            " ".join([*_subjects(group), escape(group[0].explanation)]),
            ", then ".join(map(code, _then(group))),
        )
        for group in verdict.lines
    ]
    return "\n".join(
        [
            f"## {'✓' if verdict.reversible else '✗'} Can it be rolled back?",
            "",
            escape(verdict.sentence),
            "",
            *table(("", "check", "found", "next"), rows),
            "",
        ]
    )


def _subjects(group: Sequence[Judgement]) -> list[str]:
    """The first subjects of a group, and how many more there are."""
    named = [code(one.subject) for one in group[:_NAMED] if one.subject]
    more = len(group) - _NAMED
    return [*named, *([f"and {more} more"] if named and more > 0 else [])]


def document(verdict: Verdict) -> dict[str, Any]:
    """The same as JSON: `{"environment", "commit", "reversible": bool, "findings": [{"check", "subject",
    "answer", "against": bool, "why", "next": [command], "hint"}]}`.
    """
    return {
        "environment": verdict.environment,
        "commit": verdict.commit,
        "reversible": verdict.reversible,
        "findings": [
            {
                "check": finding.check,
                "subject": finding.subject,
                "answer": finding.answer.value,
                "against": finding.against,
                "why": finding.why,
                "next": commands(finding.next),
                "hint": finding.next,
            }
            for finding in verdict.findings
        ],
    }
