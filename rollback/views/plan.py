"""Shows a plan of any kind: for people, and as AWS CLI commands."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.filesize import decimal
from rich.text import Text

from rollback.model.alias_moves import Move
from rollback.model.composite_plan import parts
from rollback.model.plan import Plan
from rollback.model.record import MARKS
from rollback.model.release import another_stack
from rollback.model.request import stored
from rollback.model.resource_changes import CREATE, DELETE, REPLACE, SAME, UPDATE, ResourceChange, kind
from rollback.model.retention import Doomed, Reason, ranges, reasons
from rollback.util.errors import Code, RollbackError
from rollback.views.rich_layout import Blocks, Command, Tall, aligned, hanging, text, unwrapped

_PROPERTIES = 8
# Reasons for which versions are kept that are shown.
_REASONS = 12
# Blanks before from where to where.
_MARGIN = 6

# SAME: the resource only loses its protection.
_STYLES = {CREATE: "green", UPDATE: "yellow", REPLACE: "magenta", DELETE: "red", SAME: "yellow"}


def plan_view(plan: Plan[Any]) -> RenderableType:
    """The whole plan on one screen: versions, changes and notices."""
    head = Text.assemble(("Plan  ", "bold"), (plan.environment, "bold"), f" ({plan.account}, {plan.region})")
    notices = [hanging("!", text(notice, "yellow"), "yellow") for notice in plan.notices]
    digest = unwrapped(text(f"Digest {plan.digest()}", "dim"))
    several = parts(plan)
    again = hanging(f"{plan.environment} ", _change(plan, _counted(plan)), "bold")
    if several:
        bodies = [
            line for kind, part in several.items() for line in (text(kind, "bold"), *_body(part), Text())
        ]
        return Group(Tall(Group(head, _change_line(plan, ""), Text(), *bodies, *notices), again), digest)
    return Group(Tall(Group(head, *_body(plan), Text(), *notices), again), digest)


def _counted(plan: Plan[Any]) -> str:
    """How much a plan changes, of each of its parts where it has some."""
    if several := parts(plan):
        return ", ".join(f"{kind} {len(part.changing)}" for kind, part in several.items()) + " to change"
    if isinstance(next(iter(plan.steps), None), Doomed):
        return f"{plan.infrastructure.get(DELETE, 0)} to delete"
    return f"{len(plan.changing)} to change"


def _body(plan: Plan[Any]) -> list[RenderableType]:
    first = plan.steps[0] if plan.steps else None
    if isinstance(first, Move):
        return _moves(plan)
    if isinstance(first, ResourceChange):
        return _changes(plan)
    if isinstance(first, Doomed):
        return _doomed(plan)
    lines = [
        hanging("·", text(line)) for step in plan.steps for line in getattr(step, "lines", (step.subject,))
    ]
    return [_change_line(plan, ""), Text(), *lines]


def _change_line(plan: Plan[Any], summary: str) -> RenderableType:
    return hanging(" " * (_MARGIN - 1), _change(plan, summary))


def _change(plan: Plan[Any], summary: str) -> Text:
    """From where to where, and what that changes."""
    return Text.assemble(
        text(plan.from_version or "unknown", "red"),
        " → ",
        text(plan.to_version, "green"),
        f"   {summary}" if summary else "",
    )


def _moves(plan: Plan[Any]) -> list[RenderableType]:
    """Aliases: one line per function, grouped by service."""
    change_line = _change_line(
        plan, f"{len(plan.changing)} to change, {len(plan.steps) - len(plan.changing)} unchanged"
    )
    common = common_prefix([step.function for step in plan.steps])
    by_service: dict[str, list[Any]] = defaultdict(list)
    for step in plan.steps:
        by_service[step.service].append(step)
    blocks = Blocks([_service_block(service, steps, common, plan) for service, steps in by_service.items()])
    return [change_line, Text(), *prefix_line(common), blocks]


def _changes(plan: Plan[Any]) -> list[RenderableType]:
    """Resources: one line per change, with the changed properties."""
    rows = []
    for step in plan.changing:
        mark, style = MARKS[step.op], _STYLES[step.op]
        remark = "loses its protection" if step.unprotects else ""
        remark = "removed from the state, not deleted" if step.retains and step.op == DELETE else remark
        what = ", ".join(
            [*step.properties[:_PROPERTIES], *(["…"] if len(step.properties) > _PROPERTIES else [])]
        )
        rows.append(
            (
                text(f"  {mark}", style),
                text(kind(step.type), style),
                text(step.urn.rpartition("::")[2]),
                text(f"{what}{', ' if what and remark else ''}{remark}", "dim"),
            )
        )
    ops = (CREATE, UPDATE, REPLACE, DELETE)
    counted = [f"{plan.infrastructure[op]} to {op}" for op in ops if plan.infrastructure.get(op)]
    same = plan.infrastructure.get(SAME, 0)
    name = another_stack(plan.subjects, stored(plan.request).project)
    left = text(f"  {same} unchanged", "dim")
    head = [text(f"      stack {name}", "bold")] if name else []
    change_line = _change_line(plan, ", ".join(counted) or "nothing to change")
    return [*head, change_line, Text(), *aligned(rows), left]


def _doomed(plan: Plan[Any]) -> list[RenderableType]:
    """Published versions: by service a line a function that loses some; and why the others stay, the reason that keeps
    most first, each with what frees them.
    """
    common = common_prefix([step.function for step in plan.steps])
    by_service: dict[str, list[Any]] = defaultdict(list)
    for step in plan.steps:
        by_service[step.service].append(step)
    blocks = Blocks([_doomed_block(service, steps, common) for service, steps in by_service.items()])
    why = reasons(plan.steps, plan.environment)
    widest = len(str(max((one.versions for one in why), default=0)))
    kept = [line for one in why[:_REASONS] for line in _reason(one, widest)]
    rest = len(why) - _REASONS
    more = [text(f"  and {rest} more reasons, which --json lists", "dim")] if rest > 0 else []
    count = plan.infrastructure.get(DELETE, 0)
    freed = decimal(sum(step.frees for step in plan.steps))
    head = [_change_line(plan, f"{count} to delete, {freed} of code"), Text(), *prefix_line(common)]
    return [
        *head,
        blocks,
        Text(),
        text("Versions that stay, why, and what frees them", "bold"),
        *kept,
        *more,
    ]


def _reason(reason: Reason, widest: int) -> Iterator[RenderableType]:
    """One line; and what frees the versions below it, where there is something to type."""
    mark = f"  {reason.versions:>{widest}} "
    remark = f": {reason.beside}" if reason.beside and not reason.command else ""
    yield hanging(mark, Text.assemble(text(reason.why), text(remark, "dim")))
    if reason.command:
        yield Command(" " * (len(mark) + 1), reason.command, reason.beside)


def _doomed_block(service: str, steps: Sequence[Any], common: str) -> list[Text]:
    own = f"{service.replace('_', '-')}-"
    rows = [
        (
            text(f"  {step.function[len(common) :].removeprefix(own)}"),
            text(ranges(one.number for one in step.delete), "red"),
            text(f"({decimal(step.frees)})", "dim"),
        )
        for step in steps
        if step.delete
    ]
    same = len(steps) - len(rows)
    rest = [text(f"  {same} lose nothing", "dim")] if same else []
    return [text(service, "bold"), *aligned(rows, right=(2,)), *rest]


def prefix_line(common: str) -> list[Text]:
    """What the names of functions below it begin with."""
    return [text(f"Functions {common}…", "dim")] if common else []


def _service_block(service: str, steps: Sequence[Any], common: str, plan: Plan[Any]) -> list[Text]:
    """A service: its versions, and one line per function that changes.

    The common prefix of the plan and that of the service are left out of a function's name.
    """
    own = f"{service.replace('_', '-')}-"
    rows = []
    for step in steps:
        if step.changes:
            weights = " ".join(f"{share:.0%} on {version}" for version, share in sorted(step.weights.items()))
            start = f"{step.from_version}{f' ({weights})' if weights else ''}"
            rows.append(
                (
                    text(f"  {step.function[len(common) :].removeprefix(own)}"),
                    text(start, "red"),
                    text("→"),
                    text(step.to_version, "green"),
                )
            )
    head = Text.assemble(
        text(service, "bold"),
        "  ",
        text(plan.leaves.get(service, "?"), "red"),
        " → ",
        text(plan.targets[service], "green"),
    )
    same = len(steps) - len(rows)
    return [
        head,
        *aligned(rows, right=(1,)),
        *([text(f"  {same} unchanged", "dim")] if same else []),
    ]


def shell_lines(plan: Plan[Any], alias: str) -> list[str]:
    """The plan as AWS CLI commands, to be typed by hand; quoted for a POSIX shell.

    Raises `RollbackError` where a name has characters that cannot be typed.
    """
    from shlex import join  # noqa: PLC0415 - one verb's option

    lines = []
    for step in plan.steps:
        command = ["aws", "lambda", "update-alias", "--region", plan.region, "--function-name", step.function]
        command += ["--name", alias, "--function-version", step.to_version]
        command += ["--routing-config", '{"AdditionalVersionWeights":{}}']
        if step.revision_id:
            command += ["--revision-id", step.revision_id]
        if not join(command).isprintable():
            # Even quoted, a line break or an escape must not reach a terminal or a shell.
            raise RollbackError(
                f"The command for {step.function} cannot be written for a shell.", code=Code.OUTPUT_UNWRITABLE
            )
        lines.append(join(command))
    return lines


def common_prefix(names: Sequence[str]) -> str:
    """The common prefix of all names, up to and including a `-`."""
    if len(names) < 2:  # noqa: PLR2004 - a prefix is common to several
        return ""
    low, high = min(names), max(names)
    length = next(
        (i for i, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), min(len(low), len(high))
    )
    return low[: low[:length].rfind("-") + 1]
