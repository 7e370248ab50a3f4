"""How an apply ends, what its journal says then, and whose lock may be removed."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pytest

from rollback.engines.terraform import Diagnostic, Done
from rollback.model.plan import Plan
from rollback.model.request import TerraformRequest
from rollback.model.resource_changes import UPDATE, ResourceChange
from rollback.targets.terraform import apply as terraform_apply
from rollback.targets.terraform.apply import apply, overtaken, touched, unlock
from rollback.targets.terraform.events import ApplyEnded, Applying, StateLocked
from rollback.targets.terraform.plan_json import CHANGED, REVERTED
from rollback.targets.terraform.state_bucket import StateBucket, StateLock, position
from rollback.targets.terraform.workspace import Work
from rollback.util.errors import Code, Refused
from rollback.util.process_identity import Process
from tests.coded import coded
from tests.doubles.journal import Memory

API = "aws_api_gateway_rest_api.access"
DEAD = Process(user="root", host="somewhere", pid=4711, began="long ago")
HERE = replace(Process.of(1), pid=2**22 + 1, began="long ago")
HELD = StateLock(id="L1", who="root@somewhere", created="2026-11-24T12:00:00Z", operation="apply")
STATE = {"serial": 7, "lineage": "of-this-state"}


@dataclass
class Tool:
    """A folder whose apply says `lines` and ends with `code`."""

    code: int = 0
    lines: Sequence[Mapping[str, Any]] = ()
    errors: Sequence[Diagnostic] = ()
    asked: bool = False
    seconds: float = 900
    saved: Path = Path("plan.tfplan")
    unlocked: list[str] = field(default_factory=list)

    def sha256(self, file: Path) -> str:
        return f"sha256 of {file}"

    def apply(
        self,
        *,
        started: Callable[[Process], None],
        on_lines: Callable[[Sequence[Any]], None],
        stopping: Callable[[], bool],  # noqa: ARG002 - Work's
    ) -> tuple[Any, bool]:
        started(DEAD)
        on_lines(self.lines)
        done = Done(code=self.code, out="")
        return (done if not self.errors else _Failed(code=self.code, diagnostics=self.errors)), self.asked

    def unlock(self, lock: str) -> None:
        self.unlocked.append(lock)


@dataclass
class _Failed:
    code: int
    diagnostics: Sequence[Diagnostic]


@dataclass
class Bucket:
    lock: StateLock | None = None

    def held(self) -> StateLock | None:
        return self.lock

    def state(self) -> Mapping[str, Any]:
        return STATE


def hook(type_: str, action: str = "update", identifier: str = "") -> Mapping[str, Any]:
    resource = {"resource": {"addr": API}, "action": action, "id_key": "id", "id_value": identifier}
    return {"type": type_, "hook": resource}


def applied(tool: Tool, journal: Memory, *, lock: StateLock | None = None, kind: str = CHANGED) -> Any:
    plan = Plan(
        kind="terraform",
        environment="dev",
        account="111122223333",
        region="eu-west-1",
        request=TerraformRequest(),
        from_version="bad",
        to_version="good",
        leaves={},
        targets={},
        quarantines={},
        steps=(ResourceChange(urn=API, type="aws_api_gateway_rest_api", op=UPDATE),),
    )
    return apply(cast("Work", tool), cast("StateBucket", Bucket(lock)), plan, journal, kind)


def begun(process: Process, *, lock: str = "", ended: bool = False) -> Memory:
    journal = Memory()
    journal.append(Applying(process=process, sha256="", towards=CHANGED))
    if lock:
        journal.append(StateLocked(id=lock, who=process.who))
    if ended:
        journal.append(ApplyEnded(code=1, touched=True, all=False, **position(STATE)))
    return journal


def freed(journal: Memory, held: StateLock | None, confirmed: str = "") -> list[str]:
    tool = Tool()
    unlock(cast("Work", tool), held, journal, confirmed)
    return tool.unlocked


def test_an_apply_journals_its_process_its_lock_and_what_it_changed() -> None:
    journal = Memory()

    outcome = applied(
        Tool(lines=[hook("apply_start"), hook("apply_complete", identifier="x")]), journal, lock=HELD
    )

    assert outcome.ok
    assert journal.kinds() == ["applying", "locked", "changed", "ended"]
    assert journal.events[1].data["id"] == "L1"
    assert journal.events[2].data["resources"] == [{"address": API, "action": "update", "id": "x"}]
    assert journal.events[3].data["all"] is True


def test_a_stale_plan_is_reported_in_our_messages_and_touched_nothing() -> None:
    journal = Memory()

    outcome = applied(Tool(code=1, errors=[Diagnostic(summary="Saved plan is stale")]), journal)

    (failure,) = outcome.failures
    assert "the Terraform state was changed" in failure.reason
    assert failure.refused
    assert not touched(journal.events)


def test_a_lock_that_somebody_took_meanwhile_is_reported_with_its_holder() -> None:
    diagnostic = Diagnostic(
        summary="Error acquiring the state lock", detail="Lock Info:\n  ID:  1\n  Who:   a@b\n"
    )

    outcome = applied(Tool(code=1, errors=[diagnostic]), Memory())

    assert outcome.failures[0].reason == "the Terraform state is locked by a@b"


def test_a_resource_that_failed_is_named_and_nothing_is_reverted_by_itself() -> None:
    errors = [Diagnostic(summary="No", detail="not allowed", address=API)]

    outcome = applied(Tool(code=1, lines=[hook("apply_start")], errors=errors), journal := Memory())

    assert [(one.subject, one.reason, one.refused) for one in outcome.failures] == [
        (API, "No: not allowed", False)
    ]
    assert not outcome.revert
    assert touched(journal.events)


def test_a_person_who_asks_to_stop_interrupts_it() -> None:
    journal = Memory()
    journal.stop.set()

    assert applied(Tool(code=1, asked=True), journal).interrupted


def test_an_apply_beyond_its_time_has_failed() -> None:
    (failure,) = applied(Tool(code=1, asked=True), Memory()).failures

    assert "did not finish within 15 minutes" in failure.reason


def test_an_apply_that_went_through_although_it_was_to_stop_is_done() -> None:
    journal = Memory()
    journal.stop.set()

    assert applied(Tool(asked=True), journal).ok


def test_a_killed_apply_may_have_changed_anything() -> None:
    assert touched(begun(DEAD).events)
    assert not touched(Memory().events)


def test_going_back_is_distinguished_from_going_there() -> None:
    journal = Memory()

    applied(Tool(lines=[hook("apply_start"), hook("apply_complete")]), journal, kind=REVERTED)

    assert "put-back" in journal.kinds()
    assert journal.events[-1].data["all"] is False


def test_somebody_elses_apply_since_is_noticed() -> None:
    journal = begun(DEAD, ended=True)

    assert not overtaken(journal.events, STATE)
    assert overtaken(journal.events, {**STATE, "serial": 8})
    assert overtaken(journal.events, {**STATE, "lineage": "another"})
    assert not overtaken(begun(DEAD).events, {**STATE, "serial": 8})


# -- whose lock it is ----------------------------------------------------------------------------------------


def test_no_lock_is_no_trouble() -> None:
    assert freed(begun(HERE), None) == []


def test_a_lock_of_ours_is_removed_once_its_process_is_dead() -> None:
    journal = begun(HERE, lock="L1")

    assert freed(journal, HELD) == ["L1"]
    assert journal.events[-1].kind == "unlocked"


@pytest.mark.finding("S12")
@pytest.mark.parametrize("journal", [Memory(), begun(HERE), begun(HERE, lock="L2")])
def test_a_lock_that_the_journal_does_not_name_may_be_somebodys_at_work_by_hand(journal: Memory) -> None:
    by_hand = replace(HELD, who=HERE.who)

    with pytest.raises(Refused, match=HERE.who, check=coded(Code.STATE_LOCKED)) as raised:
        freed(journal, by_hand)
    with pytest.raises(Refused, check=coded(Code.STATE_LOCKED)):
        freed(journal, by_hand, confirmed=str(HERE))

    assert raised.value.next.endswith("--confirm-dead L1")
    assert freed(journal, by_hand, confirmed="L1") == ["L1"]
    assert journal.events[-1].data["proof"] == "a person confirmed that it is dead"


@pytest.mark.finding("S12")
def test_a_lock_of_ours_stays_while_the_apply_that_took_it_lives() -> None:
    alive = begun(Process.of(os.getpid()), lock="L1")
    alive.append(Applying(process=HERE, sha256="", towards=CHANGED))

    with pytest.raises(Refused, check=coded(Code.STATE_LOCKED)):
        freed(alive, HELD)


def test_of_another_machines_apply_a_person_reports_that_it_is_dead() -> None:
    journal = begun(DEAD, lock="L1")

    with pytest.raises(Refused, check=coded(Code.STATE_LOCKED)) as raised:
        freed(journal, HELD)
    with pytest.raises(Refused, check=coded(Code.STATE_LOCKED)):
        freed(journal, HELD, confirmed="somewhere:1")

    assert "--confirm-dead somewhere:4711" in raised.value.next
    assert freed(journal, HELD, confirmed="somewhere:4711") == ["L1"]
    assert journal.events[-1].data["confirmed"] == "somewhere:4711"


@pytest.mark.finding("S7")
@pytest.mark.parametrize("status", ["completed", "in_progress", None])
def test_of_a_dead_runners_apply_github_is_asked_about_the_very_attempt(
    github_runs: dict[str, str], status: str | None
) -> None:
    journal = Memory()
    journal.append(Applying(process=DEAD, sha256="", towards=CHANGED, run="4711/attempts/1"))
    journal.append(StateLocked(id="L1", who=DEAD.who))
    # The run itself goes on: this is its next attempt.
    github_runs.update({"4711": "in_progress", **({"4711/attempts/1": status} if status else {})})

    if status == "completed":
        assert freed(journal, HELD) == ["L1"]
        assert (
            journal.events[-1].data["proof"]
            == "it belongs to this record, and its CI run 4711/attempts/1 has ended"
        )
        return
    with pytest.raises(Refused, check=coded(Code.STATE_LOCKED)):
        freed(journal, HELD)


@pytest.mark.finding("S7")
def test_an_apply_journals_the_attempt_of_the_run_that_it_belongs_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_RUN_ID", "4711")
    monkeypatch.setenv("GITHUB_RUN_ATTEMPT", "2")

    applied(Tool(), journal := Memory())

    assert journal.events[0].data["run"] == "4711/attempts/2"


def test_the_newest_process_is_the_one_that_counts() -> None:
    journal = begun(DEAD)
    journal.append(Applying(process=HERE, sha256="", towards=CHANGED))

    assert terraform_apply.begun(journal.events) == HERE
