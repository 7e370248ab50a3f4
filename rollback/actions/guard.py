"""What the guard does about an alarm: it decides by what it reads itself, takes what is on standby, and tells people.

A message only wakes it: which alarm it names, and what it says of it, decides nothing. Nor does it act in doubt: where the
ledger or CloudWatch does not answer, it fails, is tried again twice by Lambda, and what it could not answer is in a queue.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from rollback.actions import automatic
from rollback.actions.context import Session
from rollback.actions.lifecycle import Lifecycle
from rollback.actions.quarantine import manual_entry
from rollback.actions.run import Finished
from rollback.config.sections import Guard
from rollback.core.errors import Code, Refused, RollbackError
from rollback.integrations import alarms, guard
from rollback.model import automatic as decisions
from rollback.model.automatic import OK, RED, AlarmSeen, Change, Facts, Take
from rollback.model.guarding import DECLINED, RECOVERY
from rollback.model.record import Check, Record, Status, now_iso
from rollback.model.release import Entry

# Somebody else is working on it, or has been: what a second look makes of it is the answer.
_AT_IT = (Code.LEASE_HELD, Code.WRONG_STATUS)
# Characters of an entry's text.
_TEXT = 300


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What the guard did. `code` is a `model.automatic.Why`, `TAKEN`, `RESUMED`, or that of the error that ended it;
    `why` says it in words. `alarm` is the alarm that it is about, `finished` the rollback, where it carried one out.
    """

    code: str
    why: str
    alarm: str = ""
    finished: Finished | None = None

    @property
    def record(self) -> Record | None:
        return self.finished.record if self.finished is not None else None


@dataclass(frozen=True, kw_only=True)
class Answering:
    """The guard, in one session. `told` gets, in words, what people could not be sent."""

    session: Session
    flow: Lifecycle
    told: Callable[[str], object] = field(default=lambda _: None)

    @property
    def settings(self) -> Guard:
        if self.session.settings.guard is None:
            raise Refused(
                f"No guard is configured in {self.session.environment}: the setting `guard` is empty.",
                code=Code.NOT_CONFIGURED,
            )
        return self.session.settings.guard

    def answer(self) -> Answer:
        """Goes on with what an earlier try was interrupted at; else decides, and takes what is on standby or says why not.

        Raises `RollbackError` where it does not know: what an interrupted try began is resumed by the next one.
        """
        facts = automatic.facts(self.session)
        if facts.taken and (own := self._interrupted(facts.taken)) is not None:
            return self._ended("RESUMED", own.alarm, own.reason, lambda: self.flow.resume(own.rollback_id))
        decision = decisions.decide(facts)
        if isinstance(decision, Take):
            name = decision.rollback_id
            return self._ended(
                "TAKEN",
                decision.alarm,
                decision.reason,
                lambda: self.flow.take(decision.reason, name, alarm=decision.alarm),
            )
        answer = Answer(code=decision.code, why=decision.reason, alarm=decision.alarm)
        self._declined(facts, answer)
        self._report(f"rolled nothing back: {answer.why}", answer)
        return answer

    def recovery(self, rollback_id: str) -> Answer:
        """Whether the alarm of a rollback that the guard took has recovered: in the ledger, and to people."""
        record = self.session.ledger.load(rollback_id).record
        if not record.alarm or record.taken_by is None or record.taken_by.role != self.session.caller.role:
            raise Refused(f"{rollback_id[:80]!a} is not a rollback of the guard.", code=Code.UNKNOWN_ROLLBACK)
        seen = alarms.seen(self.session.account, [record.alarm], self.session.now() - timedelta(hours=1))
        state = seen[0].state if seen else "gone"
        why = f"{record.alarm} is {state} after {rollback_id}, which is {record.status}"
        answer = Answer(code="RECOVERED" if state == OK else "NOT_RECOVERED", why=why, alarm=record.alarm)
        self._entered(RECOVERY, record.from_version, answer)
        self._report("the alarm has recovered" if state == OK else "the alarm has not recovered", answer)
        return answer

    def rehearse(self, alarm: str) -> dict[str, Any]:
        """What would be done if `alarm` turned red now; nothing is changed, and people get a report alone.

        `{"decision", "why", "alarm", "holds", "reported"}`: `holds` says whether what is on standby could be taken, with its
        refusals; the last two are None where it does not come to that.
        """
        names = self.session.settings.alarms
        name = alarm or names[0]
        facts = _if_red(automatic.facts(self.session), name, now_iso(self.session.now()))
        decision = decisions.decide(facts)
        document: dict[str, Any] = {"alarm": name, "decision": "TAKE", "why": decision.reason, "holds": None}
        if isinstance(decision, Take):
            opened = self.session.ledger.load(decision.rollback_id)
            target = self.session.target(opened.record.kind)
            plan = opened.plan(target.step)
            why = self.session.ledger.untrusted(opened)
            refusals = [one.reason for one in target.refusals(target.again(plan, decision.rollback_id))]
            document["holds"] = {"id": decision.rollback_id, "refusals": [*([why] if why else []), *refusals]}
        else:
            document["decision"] = str(decision.code)
        subject = f"{self.session.environment}: a test of the guard"
        try:
            guard.report(
                self.session.account,
                subject,
                {**document, "code": "TEST", "environment": self.session.environment},
            )
            document["reported"] = True
        except RollbackError as error:
            document |= {"reported": False, "report": str(error)}
        return document

    def _interrupted(self, rollback_id: str) -> Record | None:
        """The record if the guard took it and was ended before it was through."""
        record = self.session.ledger.load(rollback_id).record
        own = record.taken_by is not None and record.taken_by.role == self.session.caller.role
        return record if own and record.status is Status.IN_PROGRESS else None

    def _ended(self, code: str, alarm: str, why: str, work: Callable[[], Finished]) -> Answer:
        try:
            finished = work()
        except Refused as error:
            if error.code in _AT_IT:  # the next try sees what has become of it
                raise
            answer = Answer(code=str(error.code), why=f"{why}, but {error}", alarm=alarm)
            self._declined(automatic.facts(self.session), answer)
            self._report(f"could not roll back: {answer.why}", answer)
            return answer
        record = finished.record
        if record is None or record.status is Status.IN_PROGRESS:
            raise finished.error or RollbackError(
                "It was stopped before it was through.", code=Code.INTERRUPTED
            )
        answer = Answer(code=code, why=why, alarm=alarm, finished=finished)
        self._look_later(record)
        self._report(f"{record.from_version} to {record.to_version}: {record.status}, {why}", answer)
        return answer

    def _look_later(self, record: Record) -> None:
        at = self.session.now() + timedelta(minutes=self.settings.recovery_minutes)
        try:
            guard.schedule(
                self.session.account,
                record.rollback_id,
                at,
                {"recovery": {"rollback_id": record.rollback_id}},
            )
        except RollbackError as error:
            self.told(f"Whether the alarm recovers is not reported: {error}")

    def _declined(self, facts: Facts, answer: Answer) -> None:
        """Into the ledger, once for each alarm, release and reason: alarms come and go."""
        version = facts.release.version if facts.release else ""
        text = _text(answer)
        for entry in self.session.ledger.timeline():
            if entry.is_release:
                break
            if entry.kind == DECLINED and entry.status == text:
                return
        self._entered(DECLINED, version, answer)

    def _entered(self, kind: str, version: str, answer: Answer) -> Entry:
        made = manual_entry(self.session, kind, version, _text(answer), self.session.clocks.now())
        return self.session.ledger.append(made)

    def _report(self, what: str, answer: Answer) -> None:
        """To people. A report that nobody gets undoes nothing."""
        record = answer.record
        document: dict[str, Any] = {
            "environment": self.session.environment,
            "code": answer.code,
            "alarm": answer.alarm,
            "why": answer.why,
            "at": now_iso(self.session.now()),
        }
        if record is not None:
            document |= {
                "rollback_id": record.rollback_id,
                "status": str(record.status),
                "from": record.from_version,
                "to": record.to_version,
                "verification": [
                    {"check": one.check, "ok": one.ok, "detail": one.detail} for one in record.verification
                ],
                "show": f"rollback show {record.rollback_id} --env {self.session.environment}",
            }
        try:
            guard.report(self.session.account, f"{self.session.environment}: the guard {what}", document)
        except RollbackError as error:
            self.told(f"SNS did not take the report: {error}")


def prove(session: Session, _kind: str) -> tuple[Check, str]:
    """The smoke test of what the guard rolls back: a function that is invoked through the alias, or none."""
    configured = session.settings.guard
    if configured is None or not configured.smoke:
        return Check(check="smoke", ok=True, detail="not smoke-tested: `guard.smoke` names no function"), ""
    try:
        return guard.smoke(session.account, configured.smoke), ""
    except RollbackError as error:
        return Check(check="smoke", ok=False, detail=str(error)), ""


def declined(session: Session) -> list[Entry]:
    """Why alarms took nothing since the release that was recorded last, and whether they recovered; the newest first."""
    found: list[Entry] = []
    for entry in session.ledger.timeline(readable=True):
        if entry.is_release:
            break
        if entry.kind in (DECLINED, RECOVERY):
            found.append(entry)
    return found


def _text(answer: Answer) -> str:
    return f"{answer.code} {answer.alarm}: {answer.why}"[:_TEXT]


def _if_red(facts: Facts, name: str, now: str) -> Facts:
    """The facts if `name`, of the alarms that there are, had just turned red, and had been green before."""
    with suppress(StopIteration):
        seen = next(one for one in facts.alarms if one.name == name)
        red = AlarmSeen(
            name=name,
            state=RED,
            since=now,
            changes=(Change(at=now, state=RED, before=OK),),
            reason="a test",
        )
        return replace(facts, alarms=tuple(red if one is seen else one for one in facts.alarms))
    return facts


def message_of(event: Mapping[str, Any]) -> str:
    """The alarm that a message is about, as it says itself: for the log alone."""
    with suppress(KeyError, IndexError, TypeError, AttributeError):
        return str(event["Records"][0]["Sns"]["Subject"])[:200]
    return ""
