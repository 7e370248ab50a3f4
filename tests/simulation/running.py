"""Runs schedules by the thousand, and tells what they met."""

from __future__ import annotations

from collections import Counter
from contextlib import redirect_stdout
from io import StringIO
from typing import ClassVar

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.simulation.aws.answers import Unmodelled
from tests.simulation.calls import PHASES
from tests.simulation.faults import CELLS, FAULTS, IMPOSSIBLE
from tests.simulation.machine import Schedules
from tests.simulation.truth import Violation

_STEPS = 8


def run(
    schedules: int,
    number: int | None,
    *,
    first: tuple[str, str] | None = None,
    shrink: bool = True,
    kind: type[Schedules] = Schedules,
) -> type[Schedules]:
    """Runs so many schedules; those of a seed `number` are always the same, as are those of None.

    They are of a `kind`; each begins with the cell `first`. Returns the machine with what it counted. Raises `Violation` for the
    first that breaks an invariant, the shortest like it that can be found where `shrink` says so.
    """

    class Machine(kind):  # type: ignore[valid-type,misc] # chosen here
        struck: ClassVar[Counter[tuple[str, str]]] = Counter()
        schedules: ClassVar[int] = 0

    Machine.first = first
    Machine.__name__ = Machine.__qualname__ = "Schedules"
    wished = settings(
        max_examples=schedules,
        stateful_step_count=_STEPS,
        deadline=None,
        database=None,
        derandomize=number is None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, *([Phase.shrink] if shrink else [])],
        print_blob=False,
        report_multiple_bugs=False,
    )
    chosen = Machine if number is None else seed(number)(Machine)
    run_state_machine_as_test(chosen, settings=wished)
    return Machine


def part(
    cell: tuple[str, str] | None, schedules: int, seed: int, kind: type[Schedules] = Schedules
) -> tuple[int, Counter[tuple[str, str]], str]:
    """How many were run that begin with a cell, what they met, and the shortest that broke something."""
    with redirect_stdout(StringIO()):
        try:
            machine = run(schedules, seed, first=cell, kind=kind)
        except Violation as violation:
            return schedules, Counter(), f"{' in '.join(cell or (kind.__name__,))}, seed {seed}:{violation}"
    return machine.schedules, machine.struck, ""


def caught_after(
    schedules: int,
    number: int,
    first: tuple[str, str] | None = None,
) -> int | None:
    """After how many schedules, each beginning with `first`, an invariant was broken; None where none was."""
    counted: Counter[str] = Counter()

    class Machine(Schedules):
        def teardown(self) -> None:
            counted["schedules"] += 1
            super().teardown()

    Machine.first = first
    wished = settings(
        max_examples=schedules,
        stateful_step_count=_STEPS,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
        report_multiple_bugs=False,
    )
    try:
        run_state_machine_as_test(seed(number)(Machine), settings=wished)
    except (Violation, Unmodelled):
        return counted["schedules"]
    return None


def missing(struck: Counter[tuple[str, str]]) -> list[tuple[str, str]]:
    """The cells that no schedule met."""
    return [cell for cell in CELLS if not struck[cell]]


def table(struck: Counter[tuple[str, str]]) -> str:
    """How often each fault struck in each phase; what cannot be is a dash, and why follows."""
    width = max(map(len, FAULTS)) + 2
    lines = [" " * width + "".join(f"{phase:>9}" for phase in PHASES)]
    for fault in FAULTS:
        cells = ["-" if (fault, phase) in IMPOSSIBLE else str(struck[fault, phase]) for phase in PHASES]
        lines.append(f"{fault:<{width}}" + "".join(f"{cell:>9}" for cell in cells))
    reasons: dict[str, list[str]] = {}
    for (fault, phase), why in IMPOSSIBLE.items():
        reasons.setdefault(why, []).append(f"{fault} in {phase}")
    lines += [f"- {', '.join(cells)}: {why}" for why, cells in reasons.items()]
    return "\n".join(lines)
