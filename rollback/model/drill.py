"""The data of a drill, and the summary table of the latest drills. Pure.

A drill is stored in the timeline's partition, so that a consistent read finds an interrupted one. Its
end is an entry of the timeline, whose hash covers the whole drill.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rollback.config.settings import Settings
from rollback.model.identity import Actor
from rollback.model.record import SCHEMA
from rollback.model.release import as_item
from rollback.util.canonical import digest, plain
from rollback.util.errors import Code, Refused, UsageError

BEGUN, PASSED, FAILED = "BEGUN", "PASSED", "FAILED"
# In the order of the table, which is that of the settings' budgets; the last one has the budget of the first.
CODE, CONFIGURATION, INFRASTRUCTURE, FULL, TABLE, AUTOMATIC = (
    "code",
    "configuration",
    "infrastructure",
    "full",
    "table",
    "automatic",
)
SCENARIOS = (CODE, CONFIGURATION, INFRASTRUCTURE, FULL, TABLE, AUTOMATIC)
NONE, FAILING, THROTTLED, KILLED = "none", "failing", "throttled", "killed"
FAULTS = (NONE, FAILING, THROTTLED, KILLED)
PREFIX = "DRILL#"


@dataclass(frozen=True, kw_only=True, slots=True)
class Drill:
    """A rehearsed rollback. `stood` is what was deployed before, as canonical JSON; `seq` the timeline's
    number then.

    `seconds` count from the decision (of `automatic`, from the alarm's transition) to verified COMPLETE, without
    `waited_seconds`, the time spent waiting for another person's approval; None if it did not get so far. `rollbacks` are the ids of the records that
    were measured, `why` is the error. `read_only` drills only planned.
    """

    drill_id: str
    environment: str
    scenario: str
    fault: str
    by: Actor
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
        """The version of the drill's bad release (`release.is_of_drill`)."""
        return f"drill-{self.drill_id}"

    @property
    def reason(self) -> str:
        """The reason of its rollbacks, by which they are found again."""
        return f"drill {self.drill_id}: {self.scenario}"

    def ended(
        self, at: str, *, seconds: float | None, waited: float, rollbacks: Sequence[str], why: str
    ) -> Drill:
        """The ended drill: passed if there was no error within the budget."""
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


def offered(settings: Settings) -> tuple[str, ...]:
    """The scenarios of an environment: `automatic` only if an alarm may take the standby."""
    guarded = settings.guard is not None and settings.automatic.takes
    return tuple(name for name in SCENARIOS if name != AUTOMATIC or guarded)


def guarded_service(settings: Settings, named: Sequence[str] = ()) -> str:
    """The service that the scenario `automatic` breaks: the first in `named`, or the smallest whose alarm may take
    the standby. Raises `Refused` where there is none, or no alarm for errors.
    """
    env, guard = settings.environment, settings.guard
    if guard is None or not settings.automatic.takes:
        missing = "no guard is declared (setting `guard`)"
        if guard is not None:
            missing = "no alarm may take a standby (setting `automatic.takes`)"
        raise Refused(
            f"{env} has no automatic rollback: {missing}.",
            code=Code.DRILL_REFUSED,
            next=f"rollback guard build --env {env}  # after adding `guard` and `automatic: {{takes: true}}` to the settings",
        )
    if not guard.errors:
        raise Refused(
            f"{env} has no alarm for errors (setting `guard.errors` is 0), which this drill needs.",
            code=Code.DRILL_REFUSED,
            next=f"rollback guard build --env {env}  # after setting `guard: {{errors: 5}}`; then pulumi up",
        )
    own = [name for name in settings.services if settings.names.alarm(name) in settings.alarms]
    if named:
        service = settings.service(named[0])
        if service not in own:
            raise Refused(
                f"The alarm of {service} may not take the standby (setting `automatic.services`).",
                code=Code.DRILL_REFUSED,
                next=f"--services {'|'.join(own)}",
            )
        return service
    return min(own, key=lambda name: len(settings.services[name]))


def only_planning(environment: str, text: str = "") -> str:
    """The command that plans the scenarios of `text` (as for `scenarios`), or `code` if that is not valid."""
    named = [name.strip() for name in text.split(",")]
    valid = named == ["all"] or all(name in SCENARIOS for name in named)
    return f"rollback drill --env {environment} --scenario {','.join(named) if valid else CODE} --read-only"


def scenarios(text: str, settings: Settings) -> tuple[str, ...]:
    """Parses `all` (the environment's scenarios), or names separated by commas.
    Raises `UsageError` for others.
    """
    named = [name.strip() for name in text.split(",") if name.strip()]
    if named == ["all"]:
        return offered(settings)
    strange = [name for name in named if name not in SCENARIOS]
    if strange or not named:
        raise UsageError(
            f"{strange[0][:80]!a} is not a scenario." if strange else "No scenario is given.",
            code=Code.OPTION_INVALID,
            next=f"--scenario {'|'.join((*SCENARIOS, 'all'))}, or --report",
        )
    return tuple(dict.fromkeys(named))


def drill_item(drill: Drill) -> dict[str, Any]:
    """A drill's DynamoDB item: `{"PK": "RELEASE#<env>", "SK": <prefix + drill id>, **fields of Drill}`."""
    return {"PK": f"RELEASE#{drill.environment}", "SK": f"{PREFIX}{drill.drill_id}", **as_item(drill)}


def drill_hash(drill: Drill) -> str:
    """The hash over every field of a drill."""
    return digest(drill)


def drill_document(drill: Drill) -> dict[str, Any]:
    """A drill as JSON: the fields of `Drill` without `stood`, `seq` and `schema`, `"passed": bool`, and what every entry of
    the history has: `"kind"`, `"id"`, `"created_at"`, `"created_by"`.
    """
    found = {name: value for name, value in plain(drill).items() if name not in ("stood", "seq", "schema")}
    return {
        "kind": "drill",
        "id": drill.drill_id,
        "created_at": drill.began_at,
        "created_by": found["by"],
        **found,
        "elapsed_seconds": found["seconds"],
        "passed": drill.status == PASSED,
    }


def budget(settings: Settings, scenario: str) -> int:
    """A scenario's budget in seconds; `automatic` has that of `code`."""
    return int(getattr(settings.rto, CODE if scenario == AUTOMATIC else scenario)) * 60


@dataclass(frozen=True, kw_only=True, slots=True)
class ScenarioSummary:
    """A scenario in the table: its budget, and its last real drill, if there is one.

    `planned` is the time of its last read-only drill.
    """

    scenario: str
    rto_seconds: int
    last: Drill | None
    planned: str | None


def table(settings: Settings, drills: Iterable[Drill]) -> list[ScenarioSummary]:
    """One row per scenario that the environment has, or that was drilled. `drills` are oldest first; unfinished ones
    are ignored.
    """
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
        ScenarioSummary(
            scenario=scenario,
            rto_seconds=budget(settings, scenario),
            last=last.get(scenario),
            planned=planned.get(scenario),
        )
        for scenario in SCENARIOS
        if scenario in offered(settings) or scenario in last or scenario in planned
    ]
