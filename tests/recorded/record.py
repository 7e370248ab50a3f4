"""Records ledgers for the tests that read them with every later version: `python -m tests.recorded.record [NAME…]`.

What is here was recorded once, by the version whose format it is, and is not recorded anew: a version that writes
otherwise gets recordings of its own beside these.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rollback.emergency.importer import JournalImport
from rollback.emergency.journal import found
from rollback.emergency.run import Emergency
from rollback.lifecycle import drill_store, freeze
from rollback.lifecycle.lifecycle import Lifecycle
from rollback.lifecycle.quarantine import lift, quarantine
from rollback.lifecycle.record_lease import Finished
from rollback.model.drill import CODE, Drill
from rollback.model.identity import Actor
from rollback.model.record import Status
from rollback.model.request import AliasesRequest, PruneRequest, StackRequest, StoredRequest, read
from rollback.releases.record_release import Commits, record
from rollback.targets.base import Failure
from rollback.targets.table import copy_back, table_settings
from tests.doubles.dying import Killed, Life
from tests.doubles.functions import client_error, nothing
from tests.doubles.infrastructure import NEW, OLD
from tests.doubles.tables import PEOPLE, Stopping
from tests.doubles.world import ALICE, BOB, DAN, SHA, Quiet
from tests.recorded.stage import FOLDER, Stage, stage, text_of, written

OLGA = Actor(role="acme-dev-break-glass-role", person="olga")
BAD_SMOKE = ["python", "-c", "raise SystemExit(1)"]


@dataclass(frozen=True)
class Scene:
    play: Callable[[Stage], None]
    tables: bool = False


def ended(finished: Finished, status: Status) -> str:
    """The id of a run that ended like this."""
    assert finished.record is not None
    assert finished.record.status is status, (finished.record, finished.error)
    return finished.record.rollback_id


def released(made: Stage, *versions: str, **commits: str) -> None:
    for version in versions:
        made.clock.sleep(60)
        made.release(version)
        record(made.session(DAN), version, Commits(code=SHA, **commits), Quiet())


def killed(made: Stage, at: int, act: Callable[[Life], Any]) -> None:
    """Something in a process that dies right before its write number `at`."""
    try:
        act(Life(at=at))
    except Killed:
        return
    raise AssertionError("it lived")


def flow(made: Stage, caller: Actor = ALICE, **how: Any) -> Lifecycle:
    made.clock.sleep(1)
    return Lifecycle(session=made.session(caller), ui=Quiet(), stop=how.pop("stop", threading.Event()))


# -- aliases -----------------------------------------------------------------------------------------------


def aliases(made: Stage) -> None:
    """An adoption, releases, a quarantine and a freeze with their ends, drills, and a rollback of every end."""
    made.release("v0.9.0")
    made.adopt("v0.9.0")
    released(made, "v1.0.0", "v1.1.0", "v1.2.0", "v1.3.0")
    made.clock.sleep(60)
    quarantine(made.session(ALICE), "v1.1.0", ("teams",), "it leaks")
    lift(made.session(ALICE), "v1.1.0", (), "mended")
    quarantine(made.session(ALICE), "v1.0.0", ("roles",), "it leaks as well")
    freeze.freeze(made.session(ALICE), "looking into it")
    freeze.unfreeze(made.session(BOB), "seen")
    for scenario in (CODE, CODE):
        made.clock.sleep(60)
        rehearsal = Drill(
            drill_id=made.identifier(),
            environment="dev",
            scenario=scenario,
            fault="failing",
            by=ALICE,
            began_at=made.clock.iso(),
            rto_seconds=300,
            stood='{"release":"v1.3.0"}',
            seq=1,
        )
        drill_store.begin(made.session().ledger, rehearsal)
    over = rehearsal.ended(made.clock.iso(), seconds=1.5, waited=0.5, rollbacks=["01M"], why="")
    drill_store.end(made.session(), over)
    made.functions.point(made.names[0], "5", {"4": 0.25}, "a canary")
    ended(flow(made).start("aliases", AliasesRequest(adopt_current=True), "it went bad"), Status.COMPLETE)
    refusals = iter([client_error("UpdateAlias", "AccessDeniedException")])

    def refused(operation: str, function: str) -> None:
        if operation == "UpdateAlias" and function == made.names[2] and (error := next(refusals, None)):
            raise error

    made.functions.before = refused
    ended(flow(made).start("aliases", AliasesRequest(release="v1.1.0"), "still bad"), Status.REVERTED)
    made.functions.before = nothing
    waiting = flow(made).start("aliases", AliasesRequest(services=("teams",)), "never mind", hold=True)
    flow(made).abort(ended(waiting, Status.AWAITING_APPROVAL), "it was not that")
    teams = AliasesRequest(services=("teams",), without=(made.names[1],))
    ended(flow(made).start("aliases", teams, "teams alone"), Status.COMPLETE)


def awaiting(made: Stage) -> None:
    """A rollback that another person has approved, and that nobody has applied."""
    released(made, "v1.0.0", "v1.1.0")
    made.configure(approval="identity")
    waiting = flow(made).start("aliases", AliasesRequest(), "it went bad")
    assert waiting.record is not None
    flow(made, BOB).approve(ended(waiting, Status.AWAITING_APPROVAL), waiting.record.digest)


def approved(made: Stage) -> None:
    """The same, applied."""
    awaiting(made)
    made.clock.sleep(120)
    (waiting,) = (entry.id for entry in made.timeline() if entry.kind == "opened")
    ended(flow(made).apply(waiting), Status.COMPLETE)


def failed(made: Stage) -> None:
    """Moved, and not verified."""
    released(made, "v1.0.0", "v1.1.0")
    made.configure(smoke=BAD_SMOKE)
    ended(flow(made).start("aliases", AliasesRequest(), "it went bad"), Status.FAILED)
    made.configure()


def interrupted(made: Stage) -> None:
    """The process died after one of three moves, before it was journalled."""
    released(made, "v1.0.0", "v1.1.0")
    made.functions.point(made.names[1], "2", {"1": 0.25})
    killed(
        made,
        5,
        lambda life: made.flow(ALICE, life).start(
            "aliases", AliasesRequest(adopt_current=True), "it went bad"
        ),
    )


def reverting(made: Stage) -> None:
    """The process that was to undo it died as well."""
    interrupted(made)
    (begun,) = (entry.id for entry in made.timeline() if entry.kind == "opened")
    killed(made, 5, lambda life: made.flow(BOB, life).abort(begun, "not that"))


def resumed(made: Stage) -> None:
    """Another process went on."""
    interrupted(made)
    (begun,) = (entry.id for entry in made.timeline() if entry.kind == "opened")
    ended(flow(made, BOB).resume(begun), Status.COMPLETE)


def standby(made: Stage) -> None:
    """Ways back on standby with every end: given up, ended by the next release, taken for an alarm."""
    released(made, "v1.0.0", "v1.1.0")
    never = ended(flow(made, DAN).prepare(45), Status.STANDBY)
    flow(made).abort(never, "not needed")
    ended(flow(made, DAN).prepare(30), Status.STANDBY)
    released(made, "v1.2.0")
    ended(flow(made, DAN).prepare(45), Status.STANDBY)
    ended(flow(made).take("alarm errors is red", alarm="errors"), Status.COMPLETE)


def standby_approved(made: Stage) -> None:
    """One that another person has approved, and that nobody has taken."""
    released(made, "v1.0.0", "v1.1.0")
    made.configure(approval="identity")
    waiting = flow(made, DAN).prepare(45)
    assert waiting.record is not None
    flow(made, BOB).approve(ended(waiting, Status.STANDBY), waiting.record.digest)


# -- infrastructure ----------------------------------------------------------------------------------------


def infrastructure(kind: str) -> Callable[[Stage], None]:
    def play(made: Stage) -> None:
        released(made, "v1", stack=OLD, terraform=OLD)
        released(made, "v2", stack=NEW, terraform=NEW)
        ended(
            flow(made, DAN).start(kind, read(kind, StoredRequest()), "the queue was lost", yes=True),
            Status.COMPLETE,
        )

    return play


def infrastructure_stopped(kind: str) -> Callable[[Stage], None]:
    """Somebody has asked to stop after one resource of three."""

    def play(made: Stage) -> None:
        released(made, "v1", stack=OLD, terraform=OLD)
        released(made, "v2", stack=NEW, terraform=NEW)
        stop = threading.Event()
        last = made.grounds["terraform" if kind == "terraform" else "stack"]
        last.trouble = lambda _: stop.set()  # type: ignore[func-returns-value,return-value] # no failure
        finished = flow(made, DAN, stop=stop).start(
            kind, read(kind, StoredRequest()), "the queue was lost", yes=True
        )
        ended(finished, Status.IN_PROGRESS)

    return play


def half_way(made: Stage) -> None:
    """One resource of a stack failed: it is neither here nor there."""
    made.grounds["stack"].trouble = lambda urn: (
        Failure(subject=urn, reason="it said no") if urn == "queue" else None
    )
    ended(flow(made, DAN).start("stack", StackRequest(), "the queue was lost", yes=True), Status.FAILED)


# -- tables ------------------------------------------------------------------------------------------------


def people(made: Stage) -> Any:
    """An hour ago alice was an admin and bob was there; since then alice was changed and carol is new."""
    estate = made.estate
    assert estate is not None
    estate.put("alice", role={"S": "admin"})
    estate.put("bob", role={"S": "reader"})
    estate.put("dave", role={"S": "admin"})
    estate.history.keep(estate.at(-60))
    estate.put("alice", role={"S": "nobody"})
    estate.put("carol", role={"S": "reader"})
    estate.put("dave", role={"S": "reader"})
    estate.dynamodb.delete_item(TableName=PEOPLE, Key={"id": {"S": "bob"}})
    estate.history.keep(estate.at(-20))
    return estate


def table(made: Stage) -> None:
    """Restored, and copied back."""
    estate = people(made)
    restore = estate.restored(estate.at(-30))
    ended(restore, Status.COMPLETE)
    ended(estate.cut_over(restore, "copy-back"), Status.COMPLETE)


def pointed(made: Stage) -> None:
    """Restored, and the parameter pointed to it."""
    estate = people(made)
    restore = estate.restored(estate.at(-30))
    estate.point(PEOPLE)
    ended(estate.cut_over(restore, "parameter"), Status.COMPLETE)


def table_stopped(made: Stage) -> None:
    """Somebody asked to stop while the copy was being made."""
    estate = people(made)
    original = table_settings.active
    table_settings.active = lambda *_: estate.stop.set()  # type: ignore[assignment] # once
    try:
        ended(estate.restored(estate.at(-30)), Status.IN_PROGRESS)
    finally:
        table_settings.active = original


def cutover_stopped(made: Stage) -> None:
    """Somebody asked to stop while the items were written back."""
    estate = people(made)
    restore = estate.restored(estate.at(-30))
    batch, copy_back.BATCH = copy_back.BATCH, 2
    healthy = estate.clients["dynamodb"]
    estate.clients["dynamodb"] = Stopping(healthy, estate.stop, "put_item", dies=False)
    try:
        ended(estate.cut_over(restore, "copy-back"), Status.IN_PROGRESS)
    finally:
        copy_back.BATCH, estate.clients["dynamodb"] = batch, healthy


# -- pruned versions ---------------------------------------------------------------------------------------


def prune(made: Stage) -> None:
    released(made, *(f"v{number}" for number in range(1, 7)))
    ended(
        flow(made, DAN).start("prune", PruneRequest(keep=2), "the storage is full", yes=True), Status.COMPLETE
    )


def prune_stopped(made: Stage) -> None:
    released(made, *(f"v{number}" for number in range(1, 7)))
    killed(
        made,
        9,
        lambda life: made.flow(DAN, life).start(
            "prune", PruneRequest(keep=2), "the storage is full", yes=True
        ),
    )


# -- emergencies -------------------------------------------------------------------------------------------


def acting(made: Stage, life: Life | None = None) -> Emergency:
    made.clock.sleep(1)
    session = made.session(OLGA, life)
    archive = session.ledger.archive
    assert archive is not None
    return Emergency(session=session, ui=Quiet(), archive=archive, place=made.journals)


def begin(made: Stage, life: Life | None = None) -> Finished:
    one = acting(made, life)
    return one.start(one.plan(AliasesRequest()), "the ledger is gone")


def emergency(made: Stage) -> None:
    """Ended, and not in the ledger yet."""
    released(made, "v1.0.0", "v1.1.0")
    ended(begin(made), Status.COMPLETE)


def emergency_interrupted(made: Stage) -> None:
    """The process died at the second of three moves."""
    released(made, "v1.0.0", "v1.1.0")
    made.functions.point(made.names[2], "2", {"1": 0.25})
    killed(made, 2, lambda life: begin(made, life))


def emergency_imported(made: Stage) -> None:
    """One that was undone, in the ledger."""
    emergency(made)
    (path,) = found(made.journals, "dev", made.settings.account)
    ended(acting(made).undo(path, "not that"), Status.REVERTED)
    JournalImport(session=made.session(ALICE), ui=Quiet()).adopt(path)


SCENES = {
    "aliases": Scene(aliases),
    "aliases-awaiting": Scene(awaiting),
    "aliases-approved": Scene(approved),
    "aliases-failed": Scene(failed),
    "aliases-interrupted": Scene(interrupted),
    "aliases-resumed": Scene(resumed),
    "aliases-reverting": Scene(reverting),
    "standby": Scene(standby),
    "standby-approved": Scene(standby_approved),
    **{kind: Scene(infrastructure(kind)) for kind in ("stack", "terraform", "full")},
    **{f"{kind}-interrupted": Scene(infrastructure_stopped(kind)) for kind in ("stack", "terraform", "full")},
    "stack-failed": Scene(half_way),
    "table": Scene(table, tables=True),
    "table-interrupted": Scene(table_stopped, tables=True),
    "cutover-parameter": Scene(pointed, tables=True),
    "cutover-interrupted": Scene(cutover_stopped, tables=True),
    "prune": Scene(prune),
    "prune-interrupted": Scene(prune_stopped),
    "emergency": Scene(emergency),
    "emergency-interrupted": Scene(emergency_interrupted),
    "emergency-imported": Scene(emergency_imported),
}


def play(name: str) -> str:
    """The text of one recording."""
    root = Path(tempfile.mkdtemp())
    try:
        with stage(root, tables=SCENES[name].tables) as made:
            SCENES[name].play(made)
            return text_of(written(made))
    finally:
        shutil.rmtree(root)


if __name__ == "__main__":
    for scene in sys.argv[1:] or SCENES:
        (FOLDER / f"{scene}.json").write_text(play(scene), encoding="utf-8")
        sys.stdout.write(f"{scene}\n")
