"""`rollback watch`: the decision of `model.automatic` again and again, in the foreground of a deployment's job."""

from __future__ import annotations

from dataclasses import dataclass, replace

from rollback.actions import automatic
from rollback.actions.lifecycle import Lifecycle
from rollback.actions.run import Finished, working
from rollback.config.settings import Settings
from rollback.core.deadline import timed_out
from rollback.core.errors import Code, Refused, Reverted, RollbackError, UsageError, VerificationFailed
from rollback.model import automatic as rules
from rollback.model.automatic import AlarmSeen, Decision, Facts, Take, decide
from rollback.model.record import Status

# Seconds between two looks: an alarm's shortest period is ten (PutMetricAlarm's Period,
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html).
_LOOK = 10
# What a red alarm does not say of the release that is watched.
_NOT_OF_IT = (rules.Why.NOT_RED, rules.Why.RED_BEFORE)
# Somebody else is working on it.
_ELSEWHERE = (Code.LEASE_HELD, Code.WRONG_STATUS, Code.STANDBY_ENDED, Code.LEDGER_BUSY)


@dataclass(frozen=True, kw_only=True, slots=True)
class Watched:
    """How it ended: the last `decision`, and the alarms as they were seen then. `finished` is the rollback that was made."""

    version: str
    minutes: int
    decision: Decision
    alarms: tuple[AlarmSeen, ...] = ()
    finished: Finished | None = None


def watch(flow: Lifecycle, version: str, minutes: int = 0) -> Watched:
    """Watches for so many minutes, by default those of the settings, and takes what is on standby where that is decided.

    What cannot be read at a look is read at the next one. Raises `UsageError` where nothing could ever be taken, `Refused` where
    `version` is not the release that was recorded last, `Reverted` where somebody else has rolled it back,
    `VerificationFailed` where an alarm is red in the end, and the error of the last look where that could not be made.
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
            f"--bake is at most {most} minutes, the setting `automatic.bake`: what turns red later is not the release's.",
            code=Code.OPTION_INVALID,
        )
    return minutes or most


def _first(flow: Lifecycle) -> Facts:
    """The first look. Raises `UsageError` where none could ever decide anything."""
    session, env = flow.session, flow.session.environment
    if not session.settings.automatic.takes:
        raise UsageError(
            f"No alarm may take anything in {env}: the setting `automatic.takes` is not on.",
            code=Code.NOT_CONFIGURED,
        )
    facts = automatic.facts(session)
    there = {alarm.name for alarm in facts.alarms}
    missing = [name for name in session.settings.automatic.alarms if name not in there]
    if facts.release is not None and not there and not _declared(session.settings):
        raise UsageError(
            "No alarm may take anything: none is named (the setting `automatic.alarms`), and no guard is configured (the "
            "setting `guard`).",
            code=Code.NOT_CONFIGURED,
            next="Name an alarm in the setting `automatic.alarms`, or configure the guard (docs/automatic.md).",
        )
    if facts.release is not None and (missing or not there):
        raise UsageError(
            f"CloudWatch has no alarm {', '.join(missing or facts.policy.alarms)[:300]}.",
            code=Code.NOT_CONFIGURED,
            next="Create it, or name another in the setting `automatic.alarms`.",
        )
    return facts


def _declared(settings: Settings) -> bool:
    """Whether the settings name an alarm, or have the guard's declared."""
    return bool(settings.automatic.alarms) or settings.guard is not None


def _again(flow: Lifecycle, before: Facts) -> tuple[Facts, RollbackError | None]:
    """The next look; where it cannot be made, the one before and why."""
    try:
        return automatic.facts(flow.session), None
    except RollbackError as error:
        flow.ui.notice(f"This look was not possible: {error.what}")
        return before, error


def _still(flow: Lifecycle, facts: Facts, version: str) -> None:
    """Raises `Refused` where another release was recorded, `Reverted` where this one is not deployed any more."""
    release, env = facts.release, flow.session.environment
    if release is None or release.version != version:
        raise Refused(
            f"{release.version if release else 'No release'} was recorded last, and not {version}.",
            code=Code.CHANGED_BY_OTHERS,
            next=f"rollback release list --env {env}",
        )
    record = flow.session.ledger.load(facts.taken).record if facts.taken else None
    ended = record is not None and record.status is Status.COMPLETE
    if ended or (record is None and facts.services_at != version):
        by = f"by {record.rollback_id}, {record.reason}" if record is not None else "by somebody else"
        raise Reverted(
            f"{version} was rolled back {by}.",
            code=Code.ROLLED_BACK,
            changed=f"{facts.services_at or 'Several releases'} is deployed.",
            next=f"rollback status --env {env}",
        )


def _wait(flow: Lifecycle, seconds: int) -> None:
    for _ in range(seconds):
        if timed_out(flow.stop):
            raise RollbackError(
                "The time of --timeout passed before that of --bake: nobody watches any more.",
                code=Code.TIMED_OUT,
                changed="Nothing was changed.",
                next=f"rollback status --env {flow.session.environment}",
            )
        if flow.stop.is_set():
            raise RollbackError(
                "Interrupted: the watching has ended.",
                code=Code.INTERRUPTED,
                changed="Nothing was changed.",
                next=f"rollback status --env {flow.session.environment}",
            )
        flow.session.clocks.sleep(1)


def _taken(flow: Lifecycle, found: Take, version: str) -> tuple[Finished | None, RollbackError | None]:
    """The rollback; None, and why, where somebody else is working on it: the next look tells how that ends."""
    flow.ui.notice(f"{found.reason}: {found.rollback_id} is taken.")
    try:
        finished = flow.take(found.reason, found.rollback_id, alarm=found.alarm)
    except RollbackError as error:
        if error.code not in _ELSEWHERE:
            raise
        flow.ui.notice(f"Somebody else is rolling back: {error.what}")
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
    return VerificationFailed(
        f"{version} is not healthy: alarm {found.alarm or 'unknown'} is red, and nothing was taken: {found.reason}.",
        code=Code.VERIFICATION_FAILED,
        changed="Nothing was changed.",
        next=f"rollback status --env {env}",
    )
