"""How a schedule ends: everybody finishes or dies, what is left is resumed or aborted, and all must agree."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollback.ledger.lease import ALIASES, STACK, TERRAFORM
from rollback.ledger.repository import Ledger
from rollback.ledger.store import LedgerTable
from rollback.lifecycle.freeze import unfreeze as end_freeze
from rollback.model.record import chain_break
from rollback.model.release import entry_hash, label
from rollback.releases.record_release import Commits
from rollback.releases.record_release import record as record_release
from rollback.util.errors import RollbackError
from tests.doubles.world import SHA, TABLE
from tests.simulation.process import Process
from tests.simulation.truth import LOCK

if TYPE_CHECKING:
    from tests.simulation.world import World

ENDS = ("COMPLETE", "REVERTED", "ABORTED", "EXPIRED")
# A person tries again a few times before they call for help.
_TRIES = 4


def finish(process: Process) -> None:
    """Lets a process run to its end."""
    if not process.ended:
        process.run(lambda _: False)
    check(process.world)


def check(world: World) -> None:
    """Raises what anything that ran has broken."""
    if world.broken is not None:
        raise world.broken


def settle(world: World, *, abort: bool) -> None:
    """Brings a schedule to its end, with nothing more going wrong."""
    world.dynamodb.index_lag = 0
    for process in world.processes:
        if not process.ended:
            world.note(f"{process.name} goes on to its end")
            finish(process)
            world.note(f"… which is {ending(process)}")
    world.deliver()
    check(world)
    unfreeze(world)
    # Who is under way bars the others.
    for unfinished in ("IN_PROGRESS", "AWAITING_APPROVAL", "STANDBY", "FAILED"):
        for record, status in reversed(list(world.truth.records())):
            if status == unfinished:
                _end(world, record, abort=abort)
        if unfinished != "FAILED":
            _free(world)
    _record_again(world)
    agree(world)


def unfreeze(world: World) -> None:
    """Somebody ends the freeze that there is."""
    if world.truth.frozen_by:
        world.note("dan unfreezes")
        finish(world.begin("dan", "unfreeze", lambda flow: end_freeze(flow.session, "so")))
        if world.truth.frozen_by:
            raise world.violated("a freeze cannot be ended")


def ending(process: Process) -> str:
    """How a process ended, in few words."""
    if process.dead:
        return "that it was killed"
    error = process.error or getattr(process.result, "error", None)
    return "done" if error is None else f"{type(error).__name__}: {str(error).splitlines()[0]}"


def _end(world: World, record: str, *, abort: bool) -> None:
    """Somebody else resumes or aborts what is unfinished, until it has ended."""
    for number in range(_TRIES):
        status = world.truth._status(record)
        if status in ENDS:
            return
        verb = "resume" if status == "IN_PROGRESS" and not abort and number < 2 else "abort"
        world.note(f"carol's {verb} ends {record}, which is {status}")
        process = world.begin("carol", verb, lambda flow, verb=verb: getattr(flow, verb)(record))
        finish(process)
        world.note(f"… with {ending(process)}")
        if world.truth._status(record) == "FAILED" and (
            _hopeless(world, record) or _superseded(world, record)
        ):
            return
    status = world.truth._status(record)
    if status not in ENDS:
        raise world.violated(f"{record} can neither be resumed nor aborted to an end: it is {status}")


def _superseded(world: World, record: str) -> bool:
    """Whether something later has written what a closed record wrote: it is past."""
    services = set(world.truth.stories[record].head["targets"])
    for entry in reversed(world.truth.timeline):
        if entry["id"] == record:
            return False
        if services & set(entry["services"]):
            return True
    return False


def _hopeless(world: World, record: str) -> bool:
    """Whether a way back is gone: the version to go back to was deleted meanwhile."""
    return any(
        step["from_version"] not in world.functions._functions[name].versions
        or world.truth.history[name][0].seen is None
        for name, step in world.truth.stories[record].steps.items()
        if name in world.functions._functions
    )


def _record_again(world: World) -> None:
    """A recording that ended before it could say what is deployed is begun again, as a deployment's job is."""
    begun = [process for process in world.processes if process.verb == "record"]
    failed = [process for process in begun if process.dead or process.error]
    if not failed or _published(world) == label(world.truth.timeline[-1]["stands"]):
        return
    for version in (begun[-1].said, "v3.0.0"):
        if version == "v3.0.0":
            world.note(f"dan deploys {version}")
            world.release(version)
        world.note(f"dan records {version} again")
        process = world.begin(
            "dan",
            "record",
            lambda flow, version=version: record_release(flow.session, version, Commits(code=SHA), flow.ui),
        )
        finish(process)
        world.note(f"… with {ending(process)}")
        if process.error is None:
            return
    # Where a function is missing nobody can record: the parameter waits until it is there again.
    if any(world.alias(name) is None for name in world.names):
        world.truth.excused = True


def _published(world: World) -> str | None:
    return world.parameters.snapshot().get(world.settings.names.deployed_version)


def _free(world: World) -> None:
    """What nobody needs any more does not bar anybody."""
    for domain in (ALIASES, STACK, TERRAFORM):
        _free_domain(world, domain)


def _free_domain(world: World, domain: str) -> None:
    lock = world.item(LOCK[0], domain) or {}
    if "owner" in lock:
        owner = str(lock["owner"])
        process = world.begin("carol", "abort", lambda flow: flow.abort(owner))
        finish(process)
        world.note(f"carol frees the lease of {owner}: {ending(process)}")
    if "owner" in (world.item(LOCK[0], domain) or {}):
        raise world.violated(f"the lease of {lock['owner']} cannot be freed")


def agree(world: World) -> None:
    """Records, their chains, the timeline, the parameter and the aliases tell the same."""
    ledger = Ledger(LedgerTable(world.dynamodb, TABLE), "dev")  # type: ignore[arg-type] # a model
    entries = list(ledger.timeline())
    previous = ""
    for number, entry in enumerate(reversed(entries), start=1):
        if (entry.seq, entry.previous, entry.hash) != (number, previous, entry_hash(entry)):
            raise world.violated(f"timeline entry {number} does not follow the one before it")
        previous = entry.hash
    covered = {entry.id: entry for entry in reversed(entries)}
    for record, status in world.truth.records():
        if not status:
            continue
        try:
            opened = ledger.load(record)
        except RollbackError as error:
            raise world.violated(f"{record} cannot be read: {error.what}") from error
        if (wrong := chain_break(opened.record, opened.events)) is not None:
            raise world.violated(f"the chain of {record} is broken: {wrong}")
        if status in (*ENDS, "FAILED"):
            entry = covered.get(record)
            if entry is None or (entry.covers, entry.status) != (opened.record.head, status):
                raise world.violated(f"the timeline does not tell how {record} ended")
    _is_deployed(world, dict(entries[0].stands))
    result = _published(world)
    if result != label(entries[0].stands) and not world.truth.excused:
        raise world.violated(f"the parameter says {result}, the ledger {label(entries[0].stands)}")


def _is_deployed(world: World, deployed: dict[str, str]) -> None:
    """What the timeline says of a service is where its aliases stand, but for what others have moved."""
    manifests = {
        entry["version"]: world.partition(f"DEPLOYMENT#{entry['id']}")
        for entry in world.truth.timeline
        if entry["kind"] == "deployment"
    }
    for service, version in deployed.items():
        if service.startswith("@"):
            continue
        manifest = world.manifest(manifests[version])
        for name in world.settings.functions(service):
            past = world.truth.history[name]
            last = past[-1]
            if not last.record or last.seen is None or last.seen.version == manifest[name]:
                continue
            # Put back to where somebody else had moved it meanwhile, which no record of ours tells.
            if not (last.tag.endswith("/back") and any(s.at == last.at and not s.record for s in past)):
                raise world.violated(
                    f"the ledger says that {service} stands at {version}, but {name} is at {last.at}"
                )
