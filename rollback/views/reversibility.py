"""Shows whether a change could be rolled back: for a person, a pull request and a program."""

from __future__ import annotations

from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from rollback.actions.reversibility.rules import CheckAnswer, Judgement, Verdict
from rollback.views.report.markdown import code, escape, table
from rollback.views.rich_layout import hanging, text, unwrapped

_STYLES = {"✓": "green", "✗": "bold red", "!": "yellow", "–": "dim"}


def view(verdict: Verdict) -> RenderableType:
    """A line for each finding: what was checked, the answer, why; under it what to type next."""
    head = Text.assemble(
        (f"{verdict.environment}  ", "bold"), text(f"{verdict.commit[:12]}  {verdict.subject}")
    )
    widest = max((len(finding.check) for finding in verdict.findings), default=0)
    lines: list[RenderableType] = []
    following = [*verdict.findings[1:], None]
    for finding, after in zip(verdict.findings, following, strict=True):
        style = _STYLES[finding.mark]
        message = f"{finding.subject}: {finding.explanation}" if finding.subject else finding.explanation
        mark = f"{finding.mark} {finding.check:<{widest}}"
        lines.append(hanging(mark, text(message, "" if style == "green" else style), style))
        # Said once, after the last of those that it is the way out of.
        if _then(finding) and (after is None or _then(after) != _then(finding)):
            for index, each in enumerate(finding.next.splitlines()):
                before = ("  next: " if index == 0 else "        ", "dim")
                lines.append(unwrapped(Text.assemble(before, text(each, "cyan"))))
    # The other answer is an error's, which the verb ends with.
    end = [Text(), text(verdict.sentence, "green")] if verdict.reversible else []
    return Group(head, Text(), *lines, *end)


def _then(finding: Judgement) -> str:
    return "" if finding.answer is CheckAnswer.YES else finding.next


def markdown(verdict: Verdict) -> str:
    """The same for a job's summary or a pull request: a heading, the answer, and a table."""
    rows = [
        (
            finding.mark,
            escape(finding.check),
            " ".join([*([code(finding.subject)] if finding.subject else []), escape(finding.explanation)]),
            ", then ".join(map(code, _then(finding).splitlines())),
        )
        for finding in verdict.findings
    ]
    return "\n".join(
        [
            f"## {'✓' if verdict.reversible else '✗'} Could it be taken back?",
            "",
            escape(verdict.sentence),
            "",
            *table(("", "check", "found", "next"), rows),
            "",
        ]
    )


def document(verdict: Verdict) -> dict[str, Any]:
    """The same as JSON: `{"environment", "commit", "reversible": bool, "findings": [{"check", "subject",
    "answer", "against": bool, "why", "next"}]}`.
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
                "next": finding.next,
            }
            for finding in verdict.findings
        ],
    }
