"""What is written down of a drill, and what the table of the last ones says. Pure.

A drill stands in the timeline's partition: whoever looks for one that was interrupted reads it consistently.
Its end is an entry of the timeline, which covers all of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rollback.config.settings import Settings
from rollback.core.canonical import digest, plain
from rollback.core.errors import Code, UsageError
from rollback.model.identity import Who
from rollback.model.record import SCHEMA
from rollback.model.release import as_item

BEGUN, PASSED, FAILED = "BEGUN", "PASSED", "FAILED"
# In the order of the table, which is that of the settings' budgets.
CODE, CONFIGURATION, INFRASTRUCTURE, FULL, TABLE = (
    "code",
    "configuration",
    "infrastructure",
    "full",
    "table",
)
SCENARIOS = (CODE, CONFIGURATION, INFRASTRUCTURE, FULL, TABLE)
NONE, FAILING, THROTTLED, KILLED = "none", "failing", "throttled", "killed"
FAULTS = (NONE, FAILING, THROTTLED, KILLED)
PREFIX = "DRILL#"


@dataclass(frozen=True, kw_only=True, slots=True)
class Drill:
    """A rehearsed rollback. `stood` is what stood before, as canonical JSON; `seq` the timeline's number then.

    `seconds` are those from the decision to verified COMPLETE, without `waited_seconds`, which somebody else's
    approval took; None where it did not come so far. `rollbacks` are the ids of the records that were measured,
    `why` says what went wrong. `read_only` ones only planned.
    """

    drill_id: str
    environment: str
    scenario: str
    fault: str
    by: Who
    began_at: str
    rto_seconds: int
    stood: str
    seq: int
    read_only: bool = False
    status: str = BEGUN
    ended_at: str | None = None
    seconds: float | None = None
    waited_seconds: float = 0.0
    rollbacks: tuple[str, ...] = ()
    why: str = ""
    schema: int = SCHEMA

    @property
    def release(self) -> str:
        """What the release that goes bad on purpose is called."""
        return f"drill-{self.drill_id}"

    @property
    def reason(self) -> str:
        """The reason that its rollbacks give, by which they are found again."""
        return f"drill {self.drill_id}: {self.scenario}"

    def ended(
        self, at: str, *, seconds: float | None, waited: float, rollbacks: Sequence[str], why: str
    ) -> Drill:
        """The same, closed: passed where nothing went wrong within the budget."""
        if not why and (seconds is None or seconds > self.rto_seconds):
            why = f"it took longer than {self.rto_seconds} s"
        return replace(
            self,
            status=FAILED if why else PASSED,
            ended_at=at,
            seconds=seconds,
            waited_seconds=waited,
            rollbacks=tuple(rollbacks),
            why=why,
        )


def scenarios(words: str) -> tuple[str, ...]:
    """The scenarios that are meant by `all`, or by names with commas between. Raises `UsageError` for others."""
    named = [word.strip() for word in words.split(",") if word.strip()]
    if named == ["all"]:
        return SCENARIOS
    strange = [word for word in named if word not in SCENARIOS]
    if strange or not named:
        raise UsageError(
            f"{strange[0][:80]!a} is no scenario." if strange else "Say what goes bad.",
            code=Code.OPTION_INVALID,
            next=f"--scenario {'|'.join((*SCENARIOS, 'all'))}; or --report",
        )
    return tuple(dict.fromkeys(named))


def drill_item(drill: Drill) -> dict[str, Any]:
    """A drill's item."""
    return {"PK": f"RELEASE#{drill.environment}", "SK": f"{PREFIX}{drill.drill_id}", **as_item(drill)}


def drill_hash(drill: Drill) -> str:
    """Over everything that a drill says."""
    return digest(drill)


def told(drill: Drill) -> dict[str, Any]:
    """A drill as JSON, without what stood before it."""
    found = {name: value for name, value in plain(drill).items() if name not in ("stood", "seq", "schema")}
    return {**found, "passed": drill.status == PASSED}


def budget(settings: Settings, scenario: str) -> int:
    """Seconds that a scenario may take."""
    return int(getattr(settings.rto, scenario)) * 60


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """A scenario in the table: its budget, and the last drill of it that was more than a plan, if there is one.

    `planned` is when it was last planned only, by a drill that changes nothing.
    """

    scenario: str
    rto_seconds: int
    last: Drill | None
    planned: str | None


def table(settings: Settings, drills: Iterable[Drill]) -> list[Row]:
    """A row a scenario. `drills` are oldest first; those that have not ended do not count."""
    last: dict[str, Drill] = {}
    planned: dict[str, str] = {}
    for drill in drills:
        if drill.status == BEGUN:
            continue
        if not drill.read_only:
            last[drill.scenario] = drill
        elif drill.status == PASSED:
            planned[drill.scenario] = drill.began_at
    return [
        Row(
            scenario=scenario,
            rto_seconds=budget(settings, scenario),
            last=last.get(scenario),
            planned=planned.get(scenario),
        )
        for scenario in SCENARIOS
    ]
