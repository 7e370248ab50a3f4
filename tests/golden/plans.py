"""The digests of 200 plans of all kinds, on platforms that a seed makes: an approval is bound to a digest, so it may not
change for what is the same.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rollback.model.request import StoredRequest, read
from rollback.releases.record_release import Commits, record
from rollback.util.errors import RollbackError
from tests.doubles.infrastructure import NEW, OLD
from tests.doubles.tables import PEOPLE
from tests.doubles.world import ALICE, DAN, SHA, Quiet
from tests.recorded.record import flow, people
from tests.recorded.stage import Stage, stage

SEEDS = range(200)
_KINDS = ("aliases", "aliases", "aliases", "full", "stack", "terraform", "prune")


def digests() -> Mapping[str, str]:
    """Seed and request → the plan's digest, or the code of why there is none."""
    found = {}
    for seed in SEEDS:
        with tempfile.TemporaryDirectory() as folder, stage(Path(folder)) as made:
            dice = random.Random(seed)  # noqa: S311 - the same each time, on purpose
            kind = dice.choice(_KINDS)
            _platform(made, dice)
            request = _request(kind, dice)
            found[f"{seed:03d} {kind} {request}"] = _digest(made, kind, request)
    with tempfile.TemporaryDirectory() as folder, stage(Path(folder), tables=True) as made:
        estate = people(made)
        at = estate.at(-30).isoformat()
        found[f"table {at}"] = _digest(made, "table", {"table": PEOPLE, "to": at})
    return found


def _platform(made: Stage, dice: random.Random) -> None:
    """Two to five releases, of which each publishes some functions; a weight, and a quarantine, here and there."""
    for number in range(dice.randint(2, 5)):
        made.clock.sleep(60)
        changed = None if number == 0 else dice.sample(made.names, dice.randint(1, len(made.names)))
        made.release(f"v{number}.0", changed)
        commits = (
            {} if dice.random() < 0.3 else dict.fromkeys(("stack", "terraform"), OLD if number < 2 else NEW)
        )
        record(made.session(DAN), f"v{number}.0", Commits(code=SHA, **commits), Quiet())
    if dice.random() < 0.3:
        name = dice.choice(made.names)
        alias = made.functions.aliases[name]
        made.functions.point(name, alias.version, {"1": 0.25} if alias.version != "1" else {})
    if dice.random() < 0.3:
        for double in made.grounds.values():
            double.drifted = "drift"


def _request(kind: str, dice: random.Random) -> dict[str, Any]:
    asked: dict[str, Any] = {}
    if kind in ("aliases", "full") and dice.random() < 0.5:
        asked["to"] = f"v{dice.randint(0, 4)}.0"
    if kind == "aliases":
        if dice.random() < 0.4:
            asked["services"] = (dice.choice(("teams", "roles")),)
        if dice.random() < 0.3:
            asked["without"] = ("acme-dev-lambda-teams-get",)
        if dice.random() < 0.5:
            asked["adopt_current"] = True
    if kind in ("stack", "terraform") and dice.random() < 0.5:
        asked["to"] = dice.choice((OLD, NEW))
    if kind in ("stack", "terraform", "full") and dice.random() < 0.3:
        asked["allow_destroy"] = ("queue",)
    if kind == "prune":
        asked["to"] = str(dice.randint(2, 3))
    return asked


def _digest(made: Stage, kind: str, asked: Mapping[str, Any]) -> str:
    caller = ALICE if kind in ("aliases", "table") else DAN
    try:
        plan, refusals = flow(made, caller).planned(kind, read(kind, StoredRequest(**asked)))
    except RollbackError as error:
        return str(error.code)
    return plan.digest() + (f" ({len(refusals)} refusals)" if refusals else "")
