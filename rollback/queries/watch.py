"""`rollback watch`: repeats the decision of `model.automatic` in the foreground, for a deployment's job."""

from __future__ import annotations

from dataclasses import dataclass, replace

from rollback.config.settings import Settings
from rollback.lifecycle.lifecycle import Lifecycle
from rollback.lifecycle.run import Finished, working
from rollback.model import automatic as rules
from rollback.model.automatic import AlarmSeen, Decision, Facts, Take, decide
from rollback.model.grouping import some
from rollback.model.messages import unhealthy
from rollback.model.record import Status
from rollback.queries import automatic
from rollback.util.deadline import timed_out
from rollback.util.errors import (
    Code,
    Refused,
    Reverted,
    RollbackError,
    UsageError,
    VerificationFailed,
)

# Seconds between two checks: an alarm's shortest period is ten (PutMetricAlarm's Period,
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html).
_LOOK = 10
# Reasons that do not make the watched release unhealthy.
_NOT_OF_IT = (rules.Why.NOT_RED, rules.Why.RED_BEFORE)
# Another process is working on it.
_ELSEWHERE = (Code.LEASE_HELD, Code.WRONG_STATUS, Code.STANDBY_ENDED, Code.LEDGER_BUSY)


@dataclass(frozen=True, kw_only=True, slots=True)
class Watched:
    """The result: the last `decision`, and the alarms' states at that time. `finished` is the rollback, if there was one."""

    version: str
    minutes: int
    decision: Decision
    alarms: tuple[AlarmSeen, ...] = ()
    finished: Finished | None = None


def watch(flow: Lifecycle, version: str, minutes: int = 0) -> Watched:
    """Watches for `minutes` (0: the setting's), and takes the standby if that is the decision.

    What cannot be read is read again at the next check. Raises `UsageError` where no standby could ever be taken, `Refused` where
    `version` is not the newest release, `Reverted` where somebody else has rolled it back,
    `VerificationFailed` where an alarm is in ALARM at the end, and the last check's error if it failed.
    """
    minutes = _checked_minutes(flow, minutes)
    facts, failed = _first(flow), None
    clock = flow.session.clocks.monotonic
    end = clock() + minutes * 60
    with working(flow.ui, f"Watching {len(facts.alarms)} alarms of {version}", minutes * 60):
        while True:
            _still(flow, facts, version)
            found = decide(facts)
            if failed is None and isinstance(found, Take):
                finished, failed = _taken(flow, found, version)
                if finished is not None:
                    return Watched(
                        version=version,
                        minutes=minutes,
                        decision=found,
                        alarms=facts.alarms,
                        finished=finished,
                    )
            left = end - clock()
            flow.ui.progress(int(minutes * 60 - max(0.0, left)))
            if left <= 0:
                break
            _wait(flow, int(min(_LOOK, max(1.0, left))))
            facts, failed = _again(flow, facts)
    if failed is not None:
        raise failed
    if isinstance(found, Take) or found.code not in _NOT_OF_IT:
        raise _red(flow, found, version)
    return Watched(version=version, minutes=minutes, decision=found, alarms=facts.alarms)


def _checked_minutes(flow: Lifecycle, minutes: int) -> int:
    most = flow.session.settings.automatic.bake
    if not 0 <= minutes <= most:
        raise UsageError(
            f"--bake is at most {most} minutes (setting `automatic.bake`): later alarms are not attributed to the release.",
            code=Code.OPTION_INVALID,
        )
    return minutes or most


def _first(flow: Lifecycle) -> Facts:
    """The first check. Raises `UsageError` where no alarm could ever take a standby."""
    session, env = flow.session, flow.session.environment
    if not session.settings.automatic.takes:
        raise UsageError(
            f"No alarm may take a standby in {env}: the setting `automatic.takes` is off.",
            code=Code.NOT_CONFIGURED,
        )
    facts = automatic.facts(session)
    there = {alarm.name for alarm in facts.alarms}
    missing = [name for name in session.settings.automatic.alarms if name not in there]
    if facts.release is not None and not there and not _declared(session.settings):
        raise UsageError(
            "No alarm may take a standby: none is configured (setting `automatic.alarms`), and there is no guard "
            "(setting `guard`).",
            code=Code.NOT_CONFIGURED,
            next="Add an alarm to the setting `automatic.alarms`, or configure the guard (docs/automatic.md).",
        )
    if facts.release is not None and (missing or not there):
        raise UsageError(
            f"CloudWatch has no alarm {', '.join(missing or facts.policy.alarms)[:300]}.",
            code=Code.NOT_CONFIGURED,
            next="Create the alarm, or correct the setting `automatic.alarms`.",
        )
    if session.settings.guard is not None and (
        gone := [one for one in facts.policy.alarms if one not in there]
    ):
        flow.ui.notice(f"Not watched, because CloudWatch has no such alarm: {some(gone)}.")
    return facts


def _declared(settings: Settings) -> bool:
    """Whether the settings name an alarm, or declare the guard's alarms."""
    return bool(settings.automatic.alarms) or settings.guard is not None


def _again(flow: Lifecycle, before: Facts) -> tuple[Facts, RollbackError | None]:
    """The next check; if it fails, the facts of the last one and the error."""
    try:
        return automatic.facts(flow.session), None
    except RollbackError as error:
        flow.ui.notice(f"This check failed: {error.what}")
        return before, error


def _still(flow: Lifecycle, facts: Facts, version: str) -> None:
    """Raises `Refused` where another release was recorded, `Reverted` where this one is no longer deployed, and
    `VerificationFailed` if the rollback of it is not verified.
    """
    release, env = facts.release, flow.session.environment
    if release is None or release.version != version:
        raise Refused(
            f"{release.version if release else 'No release'} is the newest release, not {version}.",
            code=Code.CHANGED_BY_OTHERS,
            next=f"rollback release list --env {env}",
        )
    record = flow.session.ledger.load(facts.taken).record if facts.taken else None
    running = record is not None and record.status is Status.IN_PROGRESS
    if record is not None and record.status not in (Status.COMPLETE, Status.FAILED):
        record = None  # it has not rolled it back
    complete = record is not None and record.status is Status.COMPLETE
    if not complete and (running or facts.services_at == version):
        return
    by = f"by {record.rollback_id}: {record.reason}" if record is not None else "by somebody else"
    changed = f"{facts.services_at or 'Several releases'} is deployed."
    status = f"rollback status --env {env}"
    if record is not None and record.status is Status.FAILED:
        why = unhealthy(record.verification) or "it could not be undone"
        raise VerificationFailed(
            f"{version} was rolled back {by}. That rollback is FAILED: {why}.",
            code=Code.VERIFICATION_FAILED,
            changed=changed,
            next=f"rollback show {record.rollback_id} --env {env}\n{status}",
        )
    raise Reverted(f"{version} was rolled back {by}.", code=Code.ROLLED_BACK, changed=changed, next=status)


def _wait(flow: Lifecycle, seconds: int) -> None:
    for _ in range(seconds):
        if timed_out(flow.stop):
            raise RollbackError(
                "Timed out (--timeout) before the end of --bake: the release is no longer watched.",
                code=Code.TIMED_OUT,
                changed="Nothing was changed.",
                next=f"rollback status --env {flow.session.environment}",
            )
        if flow.stop.is_set():
            raise RollbackError(
                "Interrupted: the release is no longer watched.",
                code=Code.INTERRUPTED,
                changed="Nothing was changed.",
                next=f"rollback status --env {flow.session.environment}",
            )
        flow.session.clocks.sleep(1)


def _taken(flow: Lifecycle, found: Take, version: str) -> tuple[Finished | None, RollbackError | None]:
    """The rollback; or None and the error if another process is working on it: the next check shows the result."""
    flow.ui.notice(f"{found.reason}: taking standby {found.rollback_id}.")
    try:
        finished = flow.take(found.reason, found.rollback_id, alarm=found.alarm)
    except RollbackError as error:
        if error.code not in _ELSEWHERE:
            raise
        flow.ui.notice(f"Another rollback is running: {error.what}")
        return None, error
    record = finished.record
    if finished.error is None and record is not None:
        gone = Reverted(
            f"{version} was rolled back: {found.reason}.",
            code=Code.ROLLED_BACK,
            changed=f"{record.to_version} is deployed.",
            next=f"rollback show {record.rollback_id} --env {record.environment}",
        )
        finished = replace(finished, error=gone)
    return finished, None


def _red(flow: Lifecycle, found: Decision, version: str) -> VerificationFailed:
    env = flow.session.environment
    # A standby that was taken, and has not rolled it back.
    alarm = f"alarm {found.alarm} is in ALARM, but no standby was taken: " if found.alarm else ""
    return VerificationFailed(
        f"{version} is not healthy: {alarm}{found.reason}.",
        code=Code.VERIFICATION_FAILED,
        changed="Nothing was changed.",
        next=f"rollback status --env {env}",
    )
