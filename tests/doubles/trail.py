"""A ledger with a past of 20 records, and a table in memory that an audit reads without any client between."""

from __future__ import annotations

import json
import subprocess
from bisect import insort
from collections.abc import Iterable, Iterator

from rollback.ledger.store import Item, _read
from rollback.lifecycle.quarantine import lift, quarantine
from rollback.model.request import AliasesRequest
from tests.doubles.functions import nothing
from tests.doubles.world import ALICE, BOB, TABLE, World, settings, texts

Key = tuple[str, str]
_BAD = ["python", "-c", "raise SystemExit(1)"]


class Shelf:
    """What `rollback.ledger.store.Table` is to somebody who reads, of items as they come out of it."""

    name = TABLE

    def __init__(self, items: Iterable[Item]) -> None:
        self.items: dict[Key, Item] = {}
        self._order: dict[str, list[str]] = {}
        for item in items:
            self.put(item)

    def put(self, item: Item) -> None:
        key = (str(item["PK"]), str(item["SK"]))
        if key not in self.items:
            insort(self._order.setdefault(key[0], []), key[1])
        self.items[key] = item

    def remove(self, key: Key) -> None:
        del self.items[key]
        self._order[key[0]].remove(key[1])

    def get(self, pk: str, sk: str) -> Item | None:
        return self.items.get((pk, sk))

    def query(
        self, pk: str, prefix: str = "", *, newest_first: bool = False, page: int = 0
    ) -> Iterator[Item]:
        found = [sk for sk in self._order.get(pk, ()) if sk.startswith(prefix)]
        yield from (self.items[pk, sk] for sk in (reversed(found) if newest_first else found))

    def index(self, pk: str, *, page: int = 0, only: Iterable[str] = ()) -> Iterator[Item]:
        """As with an index: items of which both keys are strings, and no others."""
        for item in self.items.values():
            if item.get("GSI1PK") == pk and isinstance(item.get("GSI1SK"), str):
                yield item


def items_of(world: World) -> list[Item]:
    """All of a world's ledger but its leases, in memory."""
    # Through JSON, as over the wire.
    found = [_read(json.loads(json.dumps(item))) for item in world.dynamodb.items(TABLE)]
    return [item for item in found if not item["PK"].startswith("LOCK#")]


def past(world: World) -> None:
    """20 records: six releases and an adoption; rollbacks that ended well, failed, were verified later, were
    undone, met a stranger, were approved and applied, given up with an approval and without; two that wait.
    Between them people bar a release and let it go again.
    """
    world.story()
    world.begin()
    _released(world, "v1.3.0")
    _failing(world)
    world.flow().verify(_newest(world))
    _released(world, "v1.4.0")
    _failing(world)
    world.flow().abort(_newest(world), "it is not better")
    _stranger(world)
    _released(world, "v1.5.0")
    quarantine(world.session(), "v1.0.0", ["teams"], "leaks")
    lift(world.session(), "v1.0.0", (), "it does not")
    quarantine(world.session(), "v1.1.0", ["roles"], "slow")
    for name in world.names:
        world.functions.publish(name, "v0.9.0")
    world.adopt("v0.9.0")
    for to in ("v1.4.0", "v0.9.0", "v1.5.0", "v1.2.0"):
        world.begin(to=to)
        world.clock.sleep(60)
        _lifted(world)
    _asking(world)
    applied, aborted, given_up = (_waiting(world, to) for to in ("v1.5.0", "v0.9.0", "v1.4.0"))
    for waiting in (applied, aborted):
        world.flow(BOB).approve(*waiting)
        world.clock.sleep(60)
    world.flow(BOB).approve(*applied)  # said twice
    world.flow().apply(applied[0])
    world.flow().abort(aborted[0], "too late")
    world.flow().abort(given_up[0])
    world.flow(BOB).approve(*_waiting(world, "v1.2.0"))
    _waiting(world, "v1.4.0")


def _released(world: World, version: str) -> None:
    world.release(version)
    world.record(version)


def _failing(world: World) -> None:
    ordinary, world.settings = world.settings, settings(smoke=_BAD)
    world.begin()
    world.settings = ordinary


def _newest(world: World) -> str:
    return str(world.timeline().newest.id)


def _stranger(world: World) -> None:
    name = world.names[-1]

    def stranger(operation: str, function: str) -> None:
        if operation == "UpdateAlias":
            world.functions.before = nothing
            world.functions.point(name, world.functions.publish(name, "theirs"))

    world.functions.before = stranger
    world.begin()


def _lifted(world: World) -> None:
    """Whatever is barred may come back: the next one can go anywhere."""
    for version in {entry.version for entry in world.session().ledger.quarantines()}:
        lift(world.session(), version, (), "again")


def _asking(world: World) -> None:
    """From now on somebody else has to say yes."""
    world.settings = settings(approval="identity")
    for name, content in zip(("Pulumi.yaml", "Pulumi.dev.yaml"), texts(approval="identity"), strict=True):
        (world.root / name).write_text(content, encoding="utf-8")
    author = ("-c", "user.name=t", "-c", "user.email=t@example.com")
    for parts in (["init", "-q", "-b", "main"], ["add", "."], [*author, "commit", "-qm", "settings"]):
        subprocess.run(["git", "-C", str(world.root), *parts], check=True)


def _waiting(world: World, to: str) -> tuple[str, str]:
    finished = world.flow(ALICE).start("aliases", AliasesRequest(release=to), "it went bad")
    assert finished.record is not None
    return finished.record.rollback_id, finished.record.digest
