"""The integrity checks of drills in the ledger: an ended drill must match its timeline entry.
Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rollback.ledger.finding import Finding, differing
from rollback.ledger.schema import model
from rollback.ledger.store import Item
from rollback.model.drill import BEGUN, PREFIX, Drill, drill_hash, drill_item
from rollback.util.errors import RollbackError


def drill_findings(environment: str, covers: Mapping[str, str], items: Sequence[Item]) -> Iterator[Finding]:
    """The findings about drills. `covers` maps a drill's id to the hash in the entry of its end; `items`
    are those of the drills, as in `model.drill.drill_item`.
    """
    left = dict(covers)
    for item in items:
        here = {"pk": str(item["PK"]), "sk": str(item["SK"])}
        covered = left.pop(here["sk"].removeprefix(PREFIX), None)
        try:
            drill = model(Drill, item)
        except RollbackError as error:
            yield Finding(**here, what=error.what)
            continue
        if (name := differing(item, drill_item(drill))) is not None:
            yield Finding(**here, what=f"its {name} is not as this command writes it")
        elif drill.status == BEGUN and covered is None:
            continue
        elif covered != drill_hash(drill):
            yield Finding(**here, what="it does not match the timeline's entry of its end")
    for identifier in left:
        pk = f"RELEASE#{environment}"
        yield Finding(
            pk=pk, sk=f"{PREFIX}{identifier}", what="it is missing, but the timeline has an entry for it"
        )
