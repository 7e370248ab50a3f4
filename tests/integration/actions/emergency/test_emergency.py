"""Emergencies from beginning to end over doubles: made without the ledger, imported, and what is said of a ledger
that has lost something.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError

from rollback.emergency.importer import Adopted, JournalImport
from rollback.emergency.journal import found, read
from rollback.emergency.repair_ledger import mend
from rollback.emergency.run import Emergency, under_its_role
from rollback.ledger.audit_bucket import number
from rollback.ledger.health import LostEntries, ask, protections
from rollback.ledger.store import GONE, THROTTLED, UNREACHABLE, Unanswered
from rollback.lifecycle.run import Finished
from rollback.model.identity import Actor
from rollback.model.record import Status, chain_break
from rollback.model.release import label
from rollback.model.request import PREVIOUS, AliasesRequest
from rollback.queries.situation import without
from rollback.util.errors import (
    Code,
    Refused,
    RollbackError,
    UsageError,
)
from tests.coded import coded
from tests.doubles.dying import Killed, Life
from tests.doubles.functions import no_answer, nothing
from tests.doubles.world import ALICE, DAN, TABLE, Quiet, World, create_table, previewed, settings
from tests.simulation.aws.dynamodb_model import DynamoDB

OLGA = Actor(role="acme-dev-break-glass-role", person="olga")
GET, LIST, ROLES = (f"acme-dev-lambda-{tail}" for tail in ("teams-get", "teams-list", "roles-get"))


class Down:
    """A DynamoDB that answers everything with `error`."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def fail(**_: Any) -> Any:
            raise self._error

        return fail


def error_of(code: str, status: int = 400) -> ClientError:
    response = {"Error": {"Code": code, "Message": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response, "Query")  # type: ignore[arg-type] # what is read of it


NO_TABLE = error_of("ResourceNotFoundException")


@dataclass
class Night:
    """A platform whose ledger can go and come back, and what an emergency leaves on the machine."""

    world: World
    place: Path
    table: DynamoDB
    stop: threading.Event = field(default_factory=threading.Event)

    def ledger_gone(self, error: Exception = NO_TABLE) -> None:
        self.world.dynamodb = Down(error)

    def ledger_back(self, table: DynamoDB | None = None) -> None:
        self.world.dynamodb = table or self.table

    def acting(self, life: Life | None = None) -> Emergency:
        session = self.world.session(OLGA, life)
        archive = session.ledger.archive
        assert archive is not None
        return Emergency(session=session, ui=Quiet(), archive=archive, place=self.place, stop=self.stop)

    def begin(self, life: Life | None = None, to: str = PREVIOUS, **request: Any) -> Finished:
        acting = self.acting(life)
        return acting.start(acting.plan(AliasesRequest(release=to, **request)), "the ledger is gone")

    @property
    def journal(self) -> Path:
        (path,) = found(self.place, "dev", self.world.settings.account)
        return path

    def adopt(self, path: Path | None = None, life: Life | None = None, **how: Any) -> Adopted:
        adoption = JournalImport(session=self.world.session(ALICE, life), ui=Quiet())
        return adoption.adopt(path or self.journal, **how)

    def restored(self, seq: int) -> DynamoDB:
        """The table as it was when its timeline ended with entry `seq`."""
        restored = DynamoDB()
        create_table(restored)
        later = [f"SEQ#{number:010d}" for number in range(seq + 1, 100)]
        for item in self.table.items(TABLE):
            if item["SK"]["S"] not in later:
                restored.force(TABLE, item)
        return restored


@pytest.fixture
def night(tmp_path: Path) -> Night:
    """v1.0.0 to v1.2.0 are recorded; the ledger answers yet."""
    table = DynamoDB()
    create_table(table)
    world = World(dynamodb=table, root=tmp_path, settings=settings())
    world.story()
    return Night(world=world, place=tmp_path / "journals", table=table)


def agrees(night: Night, adopted: Adopted, status: Status) -> None:
    """Record, chain, timeline, parameter and lease say the same, and that it was an emergency."""
    opened = night.world.session().ledger.load(adopted.record.rollback_id)
    assert opened.record == adopted.record
    assert (opened.record.status, opened.record.emergency) == (status, True)
    assert chain_break(opened.record, opened.events) is None
    assert opened.adopted
    newest = night.world.timeline().newest
    assert (newest.id, newest.covers) == (opened.record.rollback_id, opened.record.head)
    assert night.world.deployed == label(newest.stands)
    assert not night.world.session().leases.holders()


# -- made without the ledger ------------------------------------------------------------------------------


@pytest.mark.finding("M1")
def test_its_record_names_what_is_left_out_at_another_release_as_a_rollback_with_the_ledger_does(
    night: Night,
) -> None:
    usual = previewed(night.world.flow(), "aliases", AliasesRequest(without=(GET,)))
    night.ledger_gone()

    plan = night.acting().plan(AliasesRequest(without=(GET,)))
    named = night.acting().plan(AliasesRequest(release="v1.1.0", services=("teams",), without=(GET,)))

    assert plan.to_version == usual.to_version == f"v1.1.0+{GET}@v1.2.0"
    assert named.to_version == f"v1.1.0+{GET}@v1.2.0"
    assert night.acting().plan(AliasesRequest(services=("roles",), without=(GET,))).to_version == "v1.1.0"


def test_its_record_claims_nothing_of_what_is_left_out_at_no_known_release(night: Night) -> None:
    night.world.functions.point(GET, night.world.functions.publish(GET, "by hand"))
    night.ledger_gone()

    assert night.acting().plan(AliasesRequest(without=(GET,))).to_version == "v1.1.0"


def test_previous_is_rolled_back_to_without_a_single_answer_of_the_ledger(night: Night) -> None:
    night.ledger_gone()

    finished = night.begin()

    assert finished.error is None
    assert finished.record is not None
    assert (finished.record.status, finished.record.emergency) == (Status.COMPLETE, True)
    assert night.world.versions() == dict.fromkeys((GET, LIST, ROLES), "2")
    assert night.world.parameters.written.count("/acme/dev/deployed-version") == 3, (
        "only the releases wrote it"
    )


def test_the_plan_shows_what_cannot_be_known(night: Night) -> None:
    night.ledger_gone()

    plan = night.acting().plan(AliasesRequest())

    assert plan.notices[0].startswith(
        "Unknown without the ledger: releases quarantined, or recorded with --not-below, since"
    )
    assert (plan.from_version, plan.to_version) == ("v1.2.0", "v1.1.0")
    assert plan.quarantines == {"teams": "v1.2.0", "roles": "v1.2.0"}


def test_one_write_a_function_and_every_one_under_a_tag_of_the_record(night: Night) -> None:
    night.ledger_gone()
    seen = night.world.functions.called("GetAlias")

    finished = night.begin()

    assert finished.record is not None
    assert sorted(written.function for written in night.world.functions.writes) == sorted((GET, LIST, ROLES))
    assert len(night.world.functions.called("GetAlias")) == len(seen) + 6, (
        "the plan's and the verification's, and none before a write"
    )
    assert all(
        written.description.startswith(f"rollback/{finished.record.rollback_id}/")
        for written in night.world.functions.writes
    )


@pytest.mark.finding("S3")
def test_an_inactive_version_is_woken_in_an_emergency_as_well(night: Night) -> None:
    night.ledger_gone()
    night.world.functions.versions[ROLES]["2"].state = "Inactive"

    finished = night.begin()

    assert finished.error is None, finished.error
    assert finished.plan is not None
    assert any("Inactive" in notice for notice in finished.plan.notices)
    assert night.world.functions.called("Invoke") == [ROLES]
    assert [event.kind for event in finished.events][:2] == ["planned", "waking"]


@pytest.mark.finding("S3")
def test_the_undo_of_an_emergency_wakes_what_has_become_inactive_since(night: Night) -> None:
    night.ledger_gone()
    night.begin()
    night.world.functions.versions[ROLES]["3"].state = "Inactive"

    finished = night.acting().undo(night.journal, "it was not that")

    assert finished.error is None
    assert night.world.functions.called("Invoke") == [ROLES]
    assert set(night.world.versions().values()) == {"3"}


def test_an_undo_brings_versions_and_weights_back(night: Night) -> None:
    night.world.functions.point(ROLES, "3", {"2": 0.25})
    before = night.world.functions.deployed()
    night.ledger_gone()
    night.begin()

    finished = night.acting().undo(night.journal, "it was not that")

    assert finished.error is None
    assert finished.record is not None
    assert finished.record.status is Status.REVERTED
    assert night.world.functions.deployed() == before


def test_an_outside_write_meanwhile_reverts_everything_and_is_left_alone(night: Night) -> None:
    functions = night.world.functions
    functions.publish(LIST, "somebody else's")
    night.ledger_gone()
    acting = night.acting()
    plan = acting.plan(AliasesRequest())
    functions.point(LIST, "4")

    finished = acting.start(plan, "the ledger is gone")

    assert finished.error is not None
    assert finished.error.exit_code == 4
    assert night.world.versions() == {GET: "3", LIST: "4", ROLES: "3"}


def test_a_release_that_the_archive_knows_as_quarantined_is_refused_unless_it_is_confirmed_twice(
    night: Night,
) -> None:
    night.world.begin()
    night.ledger_gone()

    with pytest.raises(Refused, match=r"v1\.2\.0 is quarantined according to the archive"):
        night.acting().plan(AliasesRequest(release="v1.2.0"))

    assert (
        night.acting().plan(AliasesRequest(release="v1.2.0"), although_quarantined=True).to_version
        == "v1.2.0"
    )


def test_a_version_with_other_code_and_one_that_is_gone_are_refused_by_function(night: Night) -> None:
    night.world.functions.versions[GET]["2"].sha = "other"
    del night.world.functions.versions[ROLES]["2"]
    night.ledger_gone()

    with pytest.raises(Refused) as raised:
        night.acting().plan(AliasesRequest())

    assert f"{GET}: version 2 has different code" in raised.value.what
    assert f"{ROLES}: version 2 no longer exists  (--except {ROLES})" in raised.value.what
    assert night.acting().plan(AliasesRequest(without=(GET, ROLES))).steps[0].function == LIST


def test_an_archive_whose_manifest_was_changed_is_not_followed(night: Night) -> None:
    for key in [key for key in night.world.bucket.versions if key.startswith("releases/")]:
        version, body = night.world.bucket.versions[key][0]
        assert body is not None
        night.world.bucket.versions[key] = [(version, body.replace(b'"version":"2"', b'"version":"1"'))]
    night.ledger_gone()

    with pytest.raises(RollbackError, match="differs from the recorded one"):
        night.acting().plan(AliasesRequest())


def test_a_failed_smoke_test_is_reported_with_the_recovery_options(night: Night) -> None:
    night.world.settings = settings(smoke=["python", "-c", "raise SystemExit(1)"])
    night.ledger_gone()

    finished = night.begin()

    assert finished.error is not None
    assert finished.error.exit_code == 5
    assert f"--undo {night.journal}" in finished.error.next


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("at", [1, 2, 3])
@pytest.mark.parametrize("ending", ["resume", "undo"])
def test_killed_at_any_write_it_is_resumed_or_undone(
    night: Night, at: int, before: bool, ending: str
) -> None:
    night.world.functions.point(ROLES, "3", {"2": 0.25})
    start = night.world.functions.deployed()
    night.ledger_gone()
    with pytest.raises(Killed):
        night.begin(Life(at=at, before=before))

    acting = night.acting()
    finished = acting.resume(night.journal) if ending == "resume" else acting.undo(night.journal, "no")

    assert finished.error is None
    goal = {name: ("2", {}) for name in (GET, LIST, ROLES)}
    assert night.world.functions.deployed() == (goal if ending == "resume" else start)


def test_a_process_that_wakes_up_after_an_undo_moves_nothing(night: Night) -> None:
    """The one that is stopped has sent its request for LIST; it arrives after somebody undid all."""
    functions = night.world.functions
    arrived, go = threading.Event(), threading.Event()

    def wait(operation: str, function: str) -> None:
        if (operation, function) == ("UpdateAlias", LIST) and not arrived.is_set():
            arrived.set()
            assert go.wait(30)

    functions.before = wait
    night.ledger_gone()
    acting = night.acting()
    plan = acting.plan(AliasesRequest())
    start = functions.deployed()
    stopped: list[RollbackError] = []

    def sleep() -> None:
        try:
            acting.start(plan, "the ledger is gone")
        except RollbackError as error:
            stopped.append(error)

    sleeper = threading.Thread(target=sleep)
    sleeper.start()
    assert arrived.wait(30)
    # Another machine has a copy of the journal: there is no lock between the two.
    copy = night.place / "copy.jsonl"
    copy.write_bytes(night.journal.read_bytes())

    finished = night.acting().undo(copy, "no")
    go.set()
    sleeper.join()

    assert finished.error is None
    assert functions.deployed() == start
    assert "with a copy of the journal" in stopped[0].what


def test_an_interrupted_emergency_shows_how_to_go_on(night: Night) -> None:
    night.ledger_gone()
    night.stop.set()

    finished = night.begin()

    assert finished.error is not None
    assert finished.error.next.startswith('rollback lambda --emergency --env dev --reason "…" --resume ')
    night.stop.clear()
    resumed = night.acting().resume(night.journal)
    assert resumed.record is not None
    assert resumed.record.status is Status.COMPLETE


def test_what_is_over_is_not_gone_on_with(night: Night) -> None:
    night.ledger_gone()
    night.begin()

    with pytest.raises(Refused, match="is COMPLETE"):
        night.acting().resume(night.journal)

    night.acting().undo(night.journal, "no")
    with pytest.raises(Refused, match="already undone"):
        night.acting().undo(night.journal, "no")


def test_only_the_break_glass_role_acts(night: Night) -> None:
    under_its_role(night.world.session(OLGA))

    with pytest.raises(Refused, match="acme-dev-break-glass-role", check=coded(Code.WRONG_ROLE)):
        under_its_role(night.world.session(ALICE))


# -- imported ---------------------------------------------------------------------------------------------


def test_an_imported_journal_is_a_record_like_any_other_and_loud(night: Night) -> None:
    night.ledger_gone()
    night.begin()
    journal = night.journal
    night.ledger_back()

    adopted = night.adopt()

    agrees(night, adopted, Status.COMPLETE)
    assert adopted.deployed == "v1.1.0"
    assert {
        (quarantine.service, quarantine.version) for quarantine in night.world.session().ledger.quarantines()
    } == {
        ("teams", "v1.2.0"),
        ("roles", "v1.2.0"),
    }
    assert adopted.record.initiated_by == OLGA
    file = read(journal.with_name(f"{journal.name}.imported"))
    assert [event.kind for event in adopted.events] == [*(event.kind for event in file.events), "imported"]
    assert adopted.events[-1].data["head"] == file.head
    assert not found(night.place, "dev", night.world.settings.account)


def test_the_next_rollback_goes_on_from_an_imported_one(night: Night) -> None:
    night.ledger_gone()
    night.begin()
    night.ledger_back()
    night.adopt()

    finished = night.world.begin()

    assert finished.record is not None
    assert (finished.record.status, finished.record.to_version) == (Status.COMPLETE, "v1.0.0")


def test_a_second_import_changes_nothing_but_a_parameter_that_was_not_written(night: Night) -> None:
    night.ledger_gone()
    night.begin()
    night.ledger_back()
    path = night.journal
    night.world.parameters.fail = error_of("InternalServerError", 500)
    with pytest.raises(RollbackError) as raised:
        night.adopt(path)
    items = night.table.items(TABLE)
    night.world.parameters.fail = None

    again = night.adopt(path)

    assert raised.value.changed == "The journal is in the ledger."
    assert not again.new
    assert night.table.items(TABLE) == items
    assert night.world.deployed == "v1.1.0"


def test_killed_at_any_write_an_import_is_gone_on_with_and_ends_the_same(night: Night) -> None:
    night.ledger_gone()
    night.begin()
    path = night.journal
    copy = path.read_bytes()
    before = night.table.items(TABLE)
    life = Life()
    night.ledger_back()
    night.adopt(life=life)
    assert len(life.seen) > 5

    for at, dies_before in itertools.product(range(1, len(life.seen) + 1), (True, False)):
        table = DynamoDB()
        create_table(table)
        for item in before:
            table.force(TABLE, item)
        night.world.dynamodb = night.table = table
        night.world.bucket.versions = {
            key: kept for key, kept in night.world.bucket.versions.items() if not _later(key)
        }
        path.write_bytes(copy)
        with pytest.raises(Killed):
            night.adopt(path, Life(at=at, before=dies_before))

        known = path if path.exists() else path.with_name(f"{path.name}.imported")
        adopted = night.adopt(known)

        agrees(night, adopted, Status.COMPLETE)
        assert len(adopted.events) == len(read(path.with_name(f"{path.name}.imported")).events) + 1


def _later(key: str) -> bool:
    """Whether the archive has it since the three releases were recorded."""
    return (number(key) or 0) > 3


def test_a_half_imported_record_is_neither_resumed_nor_aborted(night: Night) -> None:
    night.ledger_gone()
    night.begin()
    night.ledger_back()
    with pytest.raises(Killed):
        night.adopt(life=Life(at=4))
    identifier = read(night.journal).record.rollback_id

    for act in (night.world.flow().resume, night.world.flow().abort):
        with pytest.raises(Refused, match="only partly imported"):
            act(identifier)


def test_an_unfinished_journal_becomes_a_failed_record_that_is_resumed_or_aborted(night: Night) -> None:
    night.world.functions.point(ROLES, "3", {"2": 0.25})
    start = night.world.functions.deployed()
    night.ledger_gone()
    with pytest.raises(Killed):
        night.begin(Life(at=2))
    night.ledger_back()

    adopted = night.adopt()

    agrees(night, adopted, Status.FAILED)
    finished = night.world.flow().abort(adopted.record.rollback_id)
    assert finished.record is not None
    assert finished.record.status is Status.REVERTED
    assert night.world.functions.deployed() == start


def test_an_undone_emergency_is_imported_as_reverted_and_quarantines_nothing(night: Night) -> None:
    night.ledger_gone()
    night.begin()
    night.acting().undo(night.journal, "no")
    night.ledger_back()

    adopted = night.adopt()

    agrees(night, adopted, Status.REVERTED)
    assert adopted.deployed == "v1.2.0"
    assert not night.world.session().ledger.quarantines()


def test_a_tampered_journal_is_refused(night: Night) -> None:
    night.ledger_gone()
    night.begin()
    night.ledger_back()
    night.journal.write_bytes(
        night.journal.read_bytes().replace(b"the ledger is gone", b"the ledger is fine")
    )

    with pytest.raises(Refused, match="was changed or damaged"):
        night.adopt()

    assert night.world.timeline().newest.seq == 3


def test_another_environments_journal_is_refused(night: Night) -> None:
    night.ledger_gone()
    night.begin()
    night.ledger_back()
    night.world.settings = night.world.settings.model_copy(update={"account": "999922223333"})

    with pytest.raises(Refused, match="in account 111122223333, not of"):
        night.adopt(next(iter(night.place.iterdir())))


def test_aliases_that_were_moved_since_are_named_and_only_adopted_when_confirmed(night: Night) -> None:
    night.ledger_gone()
    night.begin()
    night.ledger_back()
    night.world.functions.point(ROLES, "3")

    with pytest.raises(Refused, match=rf"{ROLES}: the journal left it at version 2.*is at version 3"):
        night.adopt()
    adopted = night.adopt(although_moved=True)

    agrees(night, adopted, Status.COMPLETE)
    assert "roles" not in night.world.timeline().all_deployed
    assert adopted.events[-1].data["moved_since"] == [ROLES]
    assert {quarantine.service for quarantine in night.world.session().ledger.quarantines()} == {"teams"}


def test_a_journal_that_went_on_after_its_import_is_refused(night: Night) -> None:
    night.ledger_gone()
    night.begin()
    copy = night.place / "copy.jsonl"
    copy.write_bytes(night.journal.read_bytes())
    night.ledger_back()
    night.adopt()
    night.acting().undo(copy, "no")

    with pytest.raises(Refused, match="has newer entries"):
        night.adopt(copy)


def test_an_import_waits_for_nobody_elses_lease(night: Night) -> None:
    night.ledger_gone()
    night.begin()
    night.ledger_back()
    night.world.session().leases.take("aliases", "SOMEBODY")

    with pytest.raises(Refused, match="SOMEBODY holds the lease"):
        night.adopt()


# -- what is said of the ground -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "how", "text"),
    [
        (NO_TABLE, GONE, "does not exist"),
        (error_of("ProvisionedThroughputExceededException"), THROTTLED, "is throttled"),
        (error_of("ThrottlingException"), THROTTLED, "is throttled"),
        (error_of("InternalServerError", 500), UNREACHABLE, "cannot be reached"),
        (error_of("ServiceUnavailable", 503), UNREACHABLE, "cannot be reached"),
        (ConnectTimeoutError(endpoint_url="http://127.0.0.1"), UNREACHABLE, "cannot be reached"),
        (no_answer(), UNREACHABLE, "cannot be reached"),
    ],
)
def test_why_a_ledger_does_not_answer_is_distinguished(
    night: Night, error: Exception, how: str, text: str
) -> None:
    night.ledger_gone(error)

    with pytest.raises(Unanswered, match=text) as raised:
        night.world.timeline().newest  # noqa: B018 - reads it

    assert raised.value.how == how
    assert "rollback lambda --emergency --env dev" in without(night.world.session(), raised.value).next
    assert not ask(night.world.session(OLGA).ledger.timeline).usable


class DeniedBecauseGone(Down):
    """A role with a condition on the table's keys is denied everything about a table that is gone."""

    def describe_table(self, **_: Any) -> Any:
        raise NO_TABLE


def test_of_a_table_that_is_gone_it_is_not_said_that_access_was_denied(night: Night) -> None:
    night.world.dynamodb = DeniedBecauseGone(error_of("AccessDeniedException"))

    with pytest.raises(Unanswered, match=f"{TABLE} does not exist") as raised:
        night.world.timeline().newest  # noqa: B018 - reads it

    assert raised.value.how == GONE
    assert "enied" not in raised.value.what
    assert "role" not in raised.value.next


def test_a_ledger_that_may_not_be_read_is_no_ledger_that_does_not_answer(night: Night) -> None:
    night.ledger_gone(error_of("AccessDeniedException"))

    with pytest.raises(RollbackError, check=coded(Code.ACCESS_DENIED)):
        ask(night.world.session(OLGA).ledger.timeline)


def test_a_whole_ledger_costs_one_call_to_the_archive_a_session(night: Night) -> None:
    session = night.world.session()
    night.world.bucket.asked.clear()

    for _ in range(3):
        session.ledger.timeline().newest  # noqa: B018 - reads it

    assert night.world.bucket.asked == ["ListObjectVersions"]
    assert session.alarms == ()


def test_previous_is_never_resolved_from_a_timeline_that_has_lost_its_end(night: Night) -> None:
    night.ledger_back(night.restored(2))
    before = night.world.versions()

    with pytest.raises(LostEntries) as raised:
        night.world.begin()

    assert "ends with entry 2" in raised.value.what
    assert "has entry 3" in raised.value.what
    assert "rollback ledger mend --env dev" in raised.value.next
    assert raised.value.changed == "Nothing was changed."
    assert night.world.versions() == before
    assert not ask(night.world.session(OLGA).ledger.timeline).usable, "relief needs no second word then"


def test_a_new_and_empty_table_is_recognised(night: Night) -> None:
    night.ledger_back(night.restored(0))

    with pytest.raises(LostEntries, match="new and empty"):
        night.world.begin()


def test_what_is_only_shown_is_shown_and_reported(night: Night) -> None:
    night.ledger_back(night.restored(2))
    session = night.world.session()

    session.watch_first(strict=False)

    assert session.ledger.timeline().newest.seq == 2
    (alarm,) = session.alarms
    assert "was restored to a point in time" in alarm
    assert "\n" not in alarm
    assert "rollback ledger mend" in alarm


@pytest.mark.parametrize("trouble", ["unreachable", "undeclared"])
def test_without_an_archive_nothing_is_claimed(night: Night, trouble: str) -> None:
    night.ledger_back(night.restored(2))
    night.world.bucket.exists = trouble != "undeclared"
    night.world.bucket.fail = no_answer() if trouble == "unreachable" else None

    assert night.world.session().ledger.timeline().newest.seq == 2


def test_somebody_who_writes_between_the_two_reads_is_no_loss(night: Night) -> None:
    session = night.world.session()
    watch = session.watch
    assert watch is not None
    old = night.world.timeline().newest
    night.world.release("v1.3.0")
    night.world.record("v1.3.0")

    watch.look(old)

    assert session.alarms == ()


def test_a_mended_ledger_shows_what_was(night: Night) -> None:
    night.world.begin()
    whole = {entry.seq: entry for entry in night.world.timeline()}
    deployed = dict(night.world.timeline().all_deployed)
    lost = night.restored(2)
    for item in night.table.items(TABLE):
        if item["PK"]["S"].startswith("ROLLBACK#") or item["SK"]["S"].startswith("QUARANTINE#"):
            lost.remove(TABLE, item["PK"]["S"], item["SK"]["S"])
    newest = next(entry for entry in whole.values() if entry.version == "v1.2.0")
    for item in night.table.items(TABLE):
        if item["PK"]["S"] == f"DEPLOYMENT#{newest.id}":
            lost.remove(TABLE, item["PK"]["S"], item["SK"]["S"])
    night.ledger_back(lost)

    repaired = mend(night.world.session(DAN), "restored", Quiet())

    ledger = night.world.session().ledger
    assert {entry.seq: entry for entry in ledger.timeline()} == whole
    assert dict(ledger.timeline().all_deployed) == deployed
    assert repaired.releases == ("v1.2.0",)
    assert len(repaired.lost) == 1, "the record of the rollback is not in the archive"
    assert ledger.release(newest.id).version == "v1.2.0"
    assert {(quarantine.service, quarantine.version) for quarantine in ledger.quarantines()} == {
        ("teams", "v1.2.0"),
        ("roles", "v1.2.0"),
    }
    assert mend(night.world.session(DAN), "again", Quiet()).entries == 0


def test_an_empty_table_is_mended_from_the_first_entry_on(night: Night) -> None:
    empty = DynamoDB()
    create_table(empty)
    whole = list(night.world.timeline())
    night.ledger_back(empty)

    repaired = mend(night.world.session(DAN), "new table", Quiet())

    assert (repaired.entries, set(repaired.releases)) == (3, {"v1.0.0", "v1.1.0", "v1.2.0"})
    assert list(night.world.timeline()) == whole
    finished = night.world.begin()
    assert finished.record is not None
    assert (finished.record.status, finished.record.to_version) == (Status.COMPLETE, "v1.1.0")


def test_a_table_that_was_written_to_after_its_loss_is_not_mended_over(night: Night) -> None:
    night.ledger_back(night.restored(1))
    night.world.bucket.exists = False
    night.world.functions.publish(ROLES)
    for name in night.world.names:
        night.world.functions.point(name, "1")
    night.world.record("v0.9.0")
    night.world.bucket.exists = True

    with pytest.raises(Refused, match="does not follow entry 2"):
        mend(night.world.session(DAN), "restored", Quiet())


def test_what_a_restored_table_lacks_is_named() -> None:
    class Client:
        def describe_table(self, **_: Any) -> Any:
            return {
                "Table": {
                    "DeletionProtectionEnabled": False,
                    "GlobalSecondaryIndexes": [{"IndexName": "GSI1"}],
                }
            }

        def describe_continuous_backups(self, **_: Any) -> Any:
            recovery = {"PointInTimeRecoveryStatus": "DISABLED"}
            return {"ContinuousBackupsDescription": {"PointInTimeRecoveryDescription": recovery}}

    assert protections(Client(), TABLE) == ["deletion protection", "point-in-time recovery"]
    assert protections(Down(error_of("AccessDeniedException")), TABLE) == []


def test_a_file_that_is_no_journal_is_not_imported(night: Night) -> None:
    night.place.mkdir()
    (night.place / "x").write_text("{}")

    with pytest.raises(UsageError, match="is not an emergency journal"):
        night.adopt(night.place / "x")
    assert night.world.functions.before is nothing


def test_an_emergency_goes_below_a_release_that_must_not_be_rolled_back_past_only_where_it_is_allowed(
    night: Night,
) -> None:
    night.world.record("v1.2.0", "v1.2.0")
    night.ledger_gone()

    with pytest.raises(Refused) as refused:
        night.begin()
    done = night.begin(allow_below=True)

    assert refused.value.code is Code.BELOW_FLOOR
    assert done.record is not None
    assert done.record.status is Status.COMPLETE
    assert "v1.2.0" in done.record.below
    assert done.plan is not None
    assert any("recorded with --not-below" in notice for notice in done.plan.notices)
