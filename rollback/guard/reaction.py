"""The guard's reaction to an alarm: it reads the facts itself, decides, takes the standby, and notifies people.

A message only starts it: its content does not influence the decision. If the
ledger or CloudWatch is not available, it fails; Lambda retries twice, and then puts the message in a queue.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from rollback.aws import alarms
from rollback.config.sections import Guard
from rollback.guard import calls as guard
from rollback.lifecycle.context import Session
from rollback.lifecycle.lifecycle import Lifecycle
from rollback.lifecycle.quarantine import manual_entry
from rollback.lifecycle.run import Finished
from rollback.model import automatic as decisions
from rollback.model.automatic import OK, RED, AlarmSeen, Change, Facts, Take
from rollback.model.guarding import DECLINED, RECOVERY
from rollback.model.record import Check, Record, Status, now_iso
from rollback.model.release import Entry
from rollback.queries import automatic
from rollback.util.errors import Code, Refused, RollbackError

# Another process is or was working on it: the next try sees the result.
_AT_IT = (Code.LEASE_HELD, Code.WRONG_STATUS)
# Characters of an entry's text.
_TEXT = 300


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What the guard did. `code` is a `model.automatic.Why`, `TAKEN`, `RESUMED`, `NOT_AN_ALARM`, or an error's code;
    `why` is the reason in words. `alarm` is the alarm's name, `finished` the rollback, if there was one.
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
    """The guard, in one session. `told` receives a text for every notification that failed."""

    session: Session
    flow: Lifecycle
    told: Callable[[str], object] = field(default=lambda _: None)

    @property
    def settings(self) -> Guard:
        if self.session.settings.guard is None:
            raise Refused(
                f"{self.session.environment} has no guard: the setting `guard` is missing.",
                code=Code.NOT_CONFIGURED,
            )
        return self.session.settings.guard

    def answer(self) -> Answer:
        """Resumes an interrupted rollback of an earlier try; otherwise decides, and takes the standby or reports why not.

        Raises `RollbackError` where it cannot decide or was interrupted: the next try resumes.
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

    def no_alarm(self, event: object) -> Answer:
        """Reports an invocation with JSON that no alarm's message can be. Nothing is read, decided or recorded."""
        kind = {list: "a list", str: "a text", type(None): "null", bool: "true or false"}.get(
            type(event), "a number"
        )
        answer = Answer(code="NOT_AN_ALARM", why=f"it was invoked with {kind}, which is not an alarm")
        self._report(f"rolled nothing back: {answer.why}", answer)
        return answer

    def recovery(self, rollback_id: str) -> Answer:
        """Records and reports whether the alarm has recovered after a rollback of the guard."""
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

    def rehearse(self, alarm: str, *, report: bool = True) -> dict[str, Any]:
        """What would be done if `alarm` went into ALARM now; nothing is changed, only a report is sent, if `report`.

        `{"decision", "why", "alarm", "holds", "reported"}`: `holds` says whether the standby could be taken, with its
        refusals; the last two are None if they do not apply.
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
        if not report:
            return {**document, "reported": None}
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
        """The record, if the guard took it and was interrupted."""
        record = self.session.ledger.load(rollback_id).record
        own = record.taken_by is not None and record.taken_by.role == self.session.caller.role
        return record if own and record.status is Status.IN_PROGRESS else None

    def _ended(self, code: str, alarm: str, why: str, work: Callable[[], Finished]) -> Answer:
        try:
            finished = work()
        except Refused as error:
            if error.code in _AT_IT:  # the next try sees the result
                raise
            answer = Answer(code=str(error.code), why=f"{why}, but {error}", alarm=alarm)
            self._declined(automatic.facts(self.session), answer)
            self._report(f"could not roll back: {answer.why}", answer)
            return answer
        record = finished.record
        if record is None or record.status is Status.IN_PROGRESS:
            raise finished.error or RollbackError("The rollback was interrupted.", code=Code.INTERRUPTED)
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
            self.told(f"The alarm's recovery will not be reported: {error}")

    def _declined(self, facts: Facts, answer: Answer) -> None:
        """Records it in the ledger, once for each alarm, release and reason, because alarms change often."""
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
        """Sends a report. A failure to send it does not affect the rollback."""
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
            self.told(f"The report could not be published to SNS: {error}")


def prove(session: Session, _kind: str) -> tuple[Check, str]:
    """The smoke test of what the guard rolls back: a function that is invoked through the alias, or none."""
    configured = session.settings.guard
    if configured is None or not configured.smoke:
        return Check(check="smoke", ok=True, detail="not smoke-tested: `guard.smoke` names no function"), ""
    try:
        return guard.smoke(session.account, configured.smoke), ""
    except RollbackError as error:
        return Check(check="smoke", ok=False, detail=str(error)), ""


def _text(answer: Answer) -> str:
    return f"{answer.code} {answer.alarm}: {answer.why}"[:_TEXT]


def _if_red(facts: Facts, name: str, now: str) -> Facts:
    """The facts as if the alarm `name` had just changed from OK to ALARM."""
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
    """The alarm that a message claims to be about; only for the log."""
    with suppress(KeyError, IndexError, TypeError, AttributeError):
        return str(event["Records"][0]["Sns"]["Subject"])[:200]
    return ""
