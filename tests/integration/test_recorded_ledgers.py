"""Ledgers that earlier versions wrote (`tests/recorded`) are read, shown, gone on with and audited by this one."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console, Group

from rollback.emergency.importer import JournalImport
from rollback.emergency.journal import found, read
from rollback.emergency.run import Emergency
from rollback.ledger.audit_bucket import entry_key
from rollback.ledger.schema import (
    METADATA,
    approval_item,
    entry_item,
    event_item,
    manifest_in,
    manifest_items,
    model,
    plan_items,
    quarantine_item,
    record_item,
    release_item,
)
from rollback.ledger.store import Item, _read, _written
from rollback.lifecycle.freeze import frozen
from rollback.lifecycle.lifecycle import Lifecycle
from rollback.lifecycle.record_lease import Finished
from rollback.model.drill import Drill, drill_item
from rollback.model.plan import to_chunks
from rollback.model.record import Approval, Event, Record, Status, chain_break
from rollback.model.release import Entry, Quarantine, Release
from rollback.model.request import AliasesRequest
from rollback.queries.audit import Audited, audit
from rollback.queries.history import past
from rollback.queries.report_data import gather, single
from rollback.queries.status import overview
from rollback.reports.page import page
from rollback.util.canonical import canonical
from rollback.util.errors import Reverted
from rollback.views.documents import record_document
from rollback.views.markdown import summary
from rollback.views.plan import plan_view
from rollback.views.records import history_view, overview_view, record_view
from tests.doubles.infrastructure import NEW, OLD
from tests.doubles.tables import PEOPLE
from tests.doubles.world import ALICE, BOB, DAN, Quiet
from tests.recorded.stage import FOLDER, Stage, recorded

NAMES = sorted(path.stem for path in FOLDER.glob("*.json"))
IN_PROGRESS, COMPLETE, FAILED = Status.IN_PROGRESS, Status.COMPLETE, Status.FAILED
REVERTED, ABORTED = Status.REVERTED, Status.ABORTED
# What each of them ends as when it is resumed, and when it is aborted.
UNFINISHED = {
    "aliases-failed": (COMPLETE, REVERTED),
    "aliases-interrupted": (REVERTED, REVERTED),
    "aliases-reverting": (REVERTED, REVERTED),
    "stack-failed": (COMPLETE, REVERTED),
    "stack-interrupted": (COMPLETE, REVERTED),
    "terraform-interrupted": (COMPLETE, REVERTED),
    "full-interrupted": (COMPLETE, REVERTED),
    "table-interrupted": (COMPLETE, REVERTED),
    "cutover-interrupted": (COMPLETE, REVERTED),
    "prune-interrupted": (COMPLETE, ABORTED),
}


@pytest.fixture
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stage]:
    with recorded(request.param, tmp_path) as one:
        yield one


def each(names: Any = NAMES) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("made", names, indirect=True)


def flow(made: Stage, actor: Any = BOB) -> Lifecycle:
    return Lifecycle(session=made.session(actor), ui=Quiet())


def audited(made: Stage) -> Audited:
    session = made.session()
    return audit(session.ledger, session.account.each, Quiet())


def ids(made: Stage) -> list[str]:
    """The records, oldest first."""
    return [entry.id for entry in reversed(list(made.timeline())) if entry.kind == "opened"]


def last(made: Stage) -> Record:
    return made.session().ledger.load(ids(made)[-1]).record


def where(made: Stage) -> dict[str, Any]:
    """What a rollback moves: aliases and their weights, infrastructure, and people."""
    there: dict[str, Any] = {
        "functions": made.functions.deployed(),
        "resources": {kind: dict(double.resources) for kind, double in made.grounds.items()},
    }
    if made.estate is not None:
        there["people"] = made.estate.items(PEOPLE)
    return there


def reached(made: Stage, kind: str) -> None:
    """All of what the recorded rollbacks move is where they go to."""
    if kind in ("aliases", "full"):
        assert list(made.functions.deployed().values()) == [("1", {})] * 3
    for name, double in made.grounds.items():
        assert set(double.resources.values()) == {OLD if kind in (name, "full") else NEW}
    if kind == "cutover":
        assert made.estate is not None
        assert made.estate.items(PEOPLE) == {
            "alice": {"role": {"S": "admin"}},
            "bob": {"role": {"S": "reader"}},
            "carol": {"role": {"S": "reader"}},
            "dave": {"role": {"S": "admin"}},
        }
    if kind == "prune":
        assert {tuple(map(int, one)) for one in made.functions.versions.values()} == {(5, 6)}


def settled(made: Stage, finished: Finished, status: Status) -> None:
    """It ended like this: record, chain, lease, parameter and audit agree."""
    assert finished.error is None, finished.error
    assert finished.record is not None
    assert finished.record.status is status
    opened = made.session().ledger.load(finished.record.rollback_id)
    assert opened.record == finished.record
    assert chain_break(opened.record, opened.events) is None
    assert made.session().leases.holders() == {}
    if made.deployed is not None:
        assert made.deployed == made.to_publish
    assert audited(made).findings == ()


# -- read --------------------------------------------------------------------------------------------------


def test_there_is_one_of_every_kind_and_of_every_end() -> None:
    items = [
        item
        for name in NAMES
        for item in json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))["items"]
    ]
    records = [_read(item) for item in items if item["PK"]["S"].startswith("ROLLBACK#")]
    kinds = {"aliases", "stack", "terraform", "full", "table", "cutover", "prune"}
    assert {(item["kind"], item["status"]) for item in records if item["SK"] == METADATA} >= {
        *((kind, COMPLETE) for kind in kinds),
        *((kind, IN_PROGRESS) for kind in kinds),
        *(("aliases", end) for end in (Status.AWAITING_APPROVAL, FAILED, REVERTED, ABORTED)),
    }
    entries = {item["kind"]["S"] for item in items if item["SK"]["S"].startswith("SEQ#")}
    assert entries >= {"deployment", "adoption", "opened", "rollback", "drill"}
    assert entries >= {"quarantine", "lift", "freeze", "unfreeze"}


@each()
def test_what_is_read_is_written_again_byte_for_byte(made: Stage) -> None:
    for stored in made.items():
        item = _read(stored)
        again = rewritten(made, item)
        assert again is None or _written(again) == {name: stored[name] for name in again}, item["SK"]
        assert again is None or set(stored) - set(again) <= {"lifted_at", "lifted_by", "chunks"}


def rewritten(made: Stage, item: Item) -> Item | None:
    """An item as this version writes what it reads of it; None for a lease."""
    sk = str(item["SK"]).partition("#")[0]
    if sk == "FUNCTIONS":
        release = made.session().ledger.release(str(item["PK"]).partition("#")[2])
        assert release.manifest == manifest_in(item)
        return manifest_items(release)[0]
    if sk == "PLAN":
        opened = made.session().ledger.load(str(item["PK"]).partition("#")[2])
        plan = opened.plan(made.session().target(opened.record.kind).step)
        assert plan.digest() == opened.record.digest
        assert tuple(to_chunks(plan)) == opened.plan_chunks
        return plan_items(opened.record.rollback_id, to_chunks(plan))[int(str(item["SK"])[-4:]) - 1]
    if sk == METADATA and str(item["PK"]).startswith("DEPLOYMENT#"):
        return release_item(model(Release, item | {"manifest": {}}))
    if str(item["PK"]).startswith("APPROVAL#"):
        return approval_item(model(Approval, item))
    writers: dict[str, Callable[[], Item]] = {
        METADATA: lambda: record_item(model(Record, item)),
        "EVENT": lambda: event_item(str(item["PK"]).partition("#")[2], model(Event, item)),
        "SEQ": lambda: entry_item("dev", model(Entry, item)),
        "QUARANTINE": lambda: quarantine_item("dev", model(Quarantine, item)),
        "DRILL": lambda: drill_item(model(Drill, item)),
    }
    return writers[sk]() if sk in writers else None


@each()
def test_every_record_is_shown_with_its_plan_and_its_journal(made: Stage) -> None:
    session = made.session()
    for identifier in ids(made):
        (one,) = single(session, identifier).records.values()
        assert one.broken == ""
        assert one.plan is not None
        console = Console(width=120, record=True, file=None, quiet=False, force_terminal=False)
        with console.capture() as shown:
            console.print(Group(plan_view(one.plan), record_view(one.seen, one.events)))
        assert identifier in shown.get()
        assert identifier in summary(one)
        assert record_document(one.seen, one.outcomes)["rollback_id"] == identifier


@each()
def test_status_history_and_report_report_all_of_it(made: Stage) -> None:
    session = made.session()
    happened = past(session, 100)
    assert happened.broken == ()
    report = gather(session, 100)
    assert set(report.records) == set(ids(made))
    assert report.now is not None
    console = Console(width=120)
    with console.capture() as shown:
        console.print(Group(overview_view(overview(session)), history_view(happened.moments)))
    assert all(identifier in shown.get() for identifier in ids(made))
    assert all(identifier in page(report) for identifier in ids(made))


@each()
def test_an_audit_finds_nothing(made: Stage) -> None:
    seen = audited(made)
    assert seen.findings == ()
    assert seen.entries == made.timeline().newest.seq
    assert seen.records == len(ids(made))


# -- gone on with ------------------------------------------------------------------------------------------


@each([name for name in UNFINISHED if name != "aliases-interrupted"])
def test_what_was_interrupted_is_resumed(made: Stage, request: pytest.FixtureRequest) -> None:
    name = request.node.callspec.params["made"]

    settled(made, flow(made).resume(ids(made)[-1]), UNFINISHED[name][0])

    if name != "aliases-reverting":
        reached(made, last(made).kind)


@each(["aliases-interrupted"])
def test_a_canary_that_no_record_knew_when_it_was_interrupted_is_kept(made: Stage) -> None:
    was = where(made)["functions"]

    finished = flow(made).resume(ids(made)[-1])

    assert isinstance(finished.error, Reverted)
    settled(made, replace(finished, error=None), REVERTED)
    assert where(made)["functions"] == was | {made.names[0]: ("2", {})}
    assert was[made.names[1]] == ("2", {"1": 0.25})


@each(UNFINISHED)
def test_what_was_interrupted_is_aborted(made: Stage, request: pytest.FixtureRequest) -> None:
    name = request.node.callspec.params["made"]
    was = where(made)

    settled(made, flow(made).abort(ids(made)[-1], "not that"), UNFINISHED[name][1])

    now, kind = where(made), last(made).kind
    assert now["resources"] == {"stack": dict.fromkeys(was["resources"]["stack"], NEW)} | {
        "terraform": dict.fromkeys(was["resources"]["terraform"], NEW)
    }
    if kind == "aliases":
        canary = {} if name == "aliases-failed" else {"1": 0.25}
        assert now["functions"][made.names[1]] == ("2", canary)
    if kind in ("aliases", "full"):
        assert {version for version, _ in now["functions"].values()} == {"2"}
    if made.estate is not None:
        assert now["people"] == {
            "alice": {"role": {"S": "nobody"}},
            "carol": {"role": {"S": "reader"}},
            "dave": {"role": {"S": "reader"}},
        }


@each(["aliases-failed"])
def test_what_was_not_verified_is_verified_again(made: Stage) -> None:
    settled(made, flow(made).verify(ids(made)[-1]), COMPLETE)


@each(["standby-approved"])
def test_a_recorded_standby_is_taken_by_the_approval_that_it_was_given(made: Stage) -> None:
    made.configure(approval="identity")

    finished = flow(made, ALICE).take("it went bad")

    settled(made, finished, COMPLETE)
    assert finished.record is not None
    assert (finished.record.approved_by, finished.record.taken_by) == (BOB, ALICE)
    reached(made, "aliases")


@each(["aliases-awaiting"])
def test_what_was_approved_is_applied(made: Stage) -> None:
    finished = flow(made, ALICE).apply(ids(made)[-1])

    settled(made, finished, COMPLETE)
    assert finished.record is not None
    assert finished.record.approved_by == BOB
    reached(made, "aliases")


@each(["aliases-awaiting"])
def test_what_was_approved_is_given_up(made: Stage) -> None:
    settled(made, flow(made).abort(ids(made)[-1], "it was not that"), ABORTED)
    assert not made.functions.writes


@each(["aliases"])
def test_what_was_quarantined_and_what_was_let_go_is_so_still(made: Stage) -> None:
    session = made.session()
    assert frozen(session.ledger) is None
    assert {(quarantine.service, quarantine.version) for quarantine in session.ledger.quarantines()} == {
        ("roles", "v1.0.0"),
        ("roles", "v1.3.0"),
        ("teams", "v1.3.0"),
        ("teams", "v1.2.0"),
    }
    assert made.timeline().all_deployed == {"roles": "v1.2.0", "teams": "v1.1.0"}
    finished = flow(made, ALICE).start("aliases", AliasesRequest(services=("roles",)), "it goes on")
    settled(made, finished, COMPLETE)
    assert made.timeline().all_deployed == {"roles": "v1.1.0", "teams": "v1.1.0"}


# -- emergencies -------------------------------------------------------------------------------------------


def acting(made: Stage) -> Emergency:
    session = made.session(DAN)
    assert session.ledger.archive is not None
    return Emergency(session=session, ui=Quiet(), archive=session.ledger.archive, place=made.journals)


def journal(made: Stage) -> Path:
    (path,) = made.journals.glob("*")
    return path


@each([name for name in NAMES if name.startswith("emergency")])
def test_a_journal_is_read_and_each_of_its_lines_is_written_again(made: Stage) -> None:
    seen = read(journal(made))

    head, *lines = journal(made).read_text(encoding="utf-8").splitlines()
    assert [canonical(event) for event in seen.events] == lines
    assert json.loads(head)["plan"] == to_chunks(seen.plan)
    assert seen.plan.digest() == seen.record.digest


@each(["emergency", "emergency-interrupted"])
@pytest.mark.parametrize(
    ("option", "status", "version"), [("resume", COMPLETE, "1"), ("undo", REVERTED, "2"), ("", COMPLETE, "1")]
)
def test_an_emergency_is_gone_on_with_and_imported(
    made: Stage, option: str, status: Status, version: str
) -> None:
    (path,) = found(made.journals, "dev", made.settings.account)
    interrupted = read(path).record.status is IN_PROGRESS
    if option == "undo":
        assert acting(made).undo(path, "not that").error is None
    elif option == "resume" and interrupted:
        assert acting(made).resume(path).error is None
    adopted = JournalImport(session=made.session(ALICE), ui=Quiet()).adopt(path)

    if not option and interrupted:
        assert adopted.record.status is FAILED
        settled(made, flow(made).resume(adopted.record.rollback_id), COMPLETE)
    else:
        assert adopted.record.status is status
    assert {one for one, _ in made.functions.deployed().values()} == {version}
    assert made.deployed == made.to_publish
    assert audited(made).findings == ()


@pytest.mark.finding("S20")
@each(["aliases", "aliases-awaiting", "emergency-imported"])
def test_what_the_audit_bucket_has_under_the_keys_of_an_earlier_version_is_kept_and_audited(
    made: Stage,
) -> None:
    before = {key: list(versions) for key, versions in made.bucket.versions.items()}
    assert all(
        re.fullmatch(r"timeline/SEQ-[0-9]{10}\.json", key) for key in before if key.startswith("timeline/")
    )
    archive = made.archive()

    assert list(archive.entries()) == sorted(made.timeline(), key=lambda entry: entry.seq)
    whole = audited(made)
    assert (whole.findings, whole.unkept, whole.put) == ((), (), 0)
    assert made.bucket.versions == before

    made.release("v9.0.0")
    made.record("v9.0.0")
    newest = made.timeline().newest
    assert entry_key(newest) in made.bucket.versions
    assert list(archive.entries())[-1] == newest
    assert audited(made).findings == ()

    key = max(key for key in before if key.startswith("timeline/"))
    made.bucket.versions[key] = [("v1", b"{}")]
    (found, *_) = audited(made).findings
    assert (found.sk, found.what.partition(" from ")[0]) == (key, "it differs")
