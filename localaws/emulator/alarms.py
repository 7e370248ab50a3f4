"""Teaches the emulator's alarms dimensions, time, and whom a topic lets publish.

It evaluates an alarm only when somebody puts a metric, over all that has the metric's name. Here an alarm sees the
metric with exactly its dimensions, every second: so it goes back by itself too, as one does that `SetAlarmState` has
set. A period ends now, where AWS's end with the minute: what AWS sees within a minute or two is seen at once. Missing
data are treated as the alarm says. History and states have milliseconds, and an action that a topic's policy
refuses is in the history, as on AWS. Runs inside the emulator's process; imports nothing of this project.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/AlarmThatSendsEmail.html
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/US_SetupSNS.html
"""

from __future__ import annotations

import importlib
import json
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

_EVERY_SECONDS = 1.0
_ALARM, _OK, _UNKNOWN = "ALARM", "OK", "INSUFFICIENT_DATA"
_ACTIONS = {_ALARM: "AlarmActions", _OK: "OKActions", _UNKNOWN: "InsufficientDataActions"}
_BREACHES: Mapping[str, Callable[[float, float], bool]] = {
    "GreaterThanOrEqualToThreshold": lambda value, threshold: value >= threshold,
    "GreaterThanThreshold": lambda value, threshold: value > threshold,
    "LessThanThreshold": lambda value, threshold: value < threshold,
    "LessThanOrEqualToThreshold": lambda value, threshold: value <= threshold,
}


def install() -> None:
    """Puts the evaluation in place, in this process, and begins it.

    Raises AttributeError where a newer emulator has moved what is replaced.
    """
    alarms: Any = importlib.import_module("ministack.services.cloudwatch")
    topics: Any = importlib.import_module("ministack.services.sns")
    ours = _Alarms(alarms, topics)
    alarms._evaluate_alarm = ours.evaluate  # noqa: SLF001 - there is no other way in, here and below
    alarms._dispatch_alarm_actions = ours.act  # noqa: SLF001
    alarms._transition_composite = ours.transition  # noqa: SLF001
    alarms._ts_iso = precise  # noqa: SLF001
    alarms._json_timestamp = ours.seconds  # noqa: SLF001
    threading.Thread(target=ours.watch, name="alarms", daemon=True).start()


class _Alarms:
    """What is put in the place of functions of the emulator's CloudWatch and SNS, which are `alarms` and `topics`."""

    def __init__(self, alarms: Any, topics: Any) -> None:
        self._alarms, self._topics = alarms, topics
        self._scope: Any = importlib.import_module("ministack.core.responses").request_scope
        self._dispatch = alarms._dispatch_alarm_actions  # noqa: SLF001
        self._transition = alarms._transition_composite  # noqa: SLF001
        # One evaluation at a time: two would act twice upon one transition.
        self._evaluating = threading.RLock()

    def values(self, alarm: Mapping[str, Any], now: float) -> list[float | None]:
        """The statistic of each of the alarm's periods, the latest first."""
        wanted = {one["Name"]: one["Value"] for one in alarm.get("Dimensions") or ()}
        key = (alarm["Namespace"], alarm["MetricName"], self._alarms._dims_key(wanted))  # noqa: SLF001
        points = self._alarms._metrics.get(key) or []  # noqa: SLF001
        statistic = alarm.get("ExtendedStatistic") or alarm.get("Statistic", "Average")
        found: list[float | None] = []
        for start in periods(now, alarm):
            within = [one for one in points if start < one["Timestamp"] <= start + alarm["Period"]]
            stats = self._alarms._calc_stats(within)  # noqa: SLF001
            found.append(self._alarms._stat_value(stats, statistic, within) if stats else None)  # noqa: SLF001
        return found

    def evaluate(self, alarm: Any) -> None:
        """In the place of `_evaluate_alarm`."""
        if not alarm.get("Namespace") or alarm.get("ComparisonOperator") not in _BREACHES:
            return
        with self._evaluating:
            now = time.time()
            seen = self.values(alarm, now)
            state = state_of(alarm, seen)
            old = alarm["StateValue"]
            if state == old:
                return
            reason = reason_of(alarm, state, seen)
            alarm.update(
                StateValue=state,
                StateReason=reason,
                StateReasonData=json.dumps(reason_data(alarm, seen, now)),
                StateUpdatedTimestamp=now,
                StateTransitionedTimestamp=now,
            )
            self._alarms._record_history(alarm["AlarmName"], old, state, reason)  # noqa: SLF001
            self.act(alarm, old, state, reason)
            self._alarms._evaluate_parent_alarms(alarm)  # noqa: SLF001

    def act(self, alarm: Any, old: str, new: str, reason: str) -> None:
        """In the place of `_dispatch_alarm_actions`."""
        asked = alarm.get(_ACTIONS.get(new, ""), ()) if alarm.get("ActionsEnabled", True) else ()
        source, account = alarm["AlarmArn"], alarm["AlarmArn"].split(":")[4]
        allowed = [
            one
            for one in asked
            if self._topics.topic_policy_allows(one, "cloudwatch.amazonaws.com", source, account)
        ]
        for one in asked:
            verb = "Successfully executed" if one in allowed else "Failed to execute"
            self._alarms._history_entries().append(  # noqa: SLF001
                {
                    "AlarmName": alarm["AlarmName"],
                    "AlarmType": "CompositeAlarm" if "AlarmRule" in alarm else "MetricAlarm",
                    "Timestamp": precise(time.time()),
                    "HistoryItemType": "Action",
                    "HistorySummary": f"{verb} action {one}",
                    "HistoryData": json.dumps({"actionState": "Succeeded" if one in allowed else "Failed"}),
                }
            )
        self._dispatch({**alarm, _ACTIONS[new]: allowed}, old, new, reason)

    def seconds(self, value: Any) -> Any:
        """In the place of `_json_timestamp`, which cuts what is below a second off."""
        epoch = self._alarms._parse_ts(value) if isinstance(value, str) else value  # noqa: SLF001
        return value if epoch is None else epoch

    def transition(self, alarm: Any, *how: Any) -> None:
        """In the place of `_transition_composite`, which tells whole seconds."""
        now = time.time()
        self._transition(alarm, *how)
        alarm.update(StateUpdatedTimestamp=now, StateTransitionedTimestamp=now)

    def watch(self) -> None:
        """Evaluates every alarm of every account, for as long as the process lasts."""
        while True:
            time.sleep(_EVERY_SECONDS)
            kept = self._alarms._alarms._data  # noqa: SLF001
            for account, region, name in list(kept):
                try:
                    with self._scope(account, region):
                        self.evaluate(kept[account, region, name])
                except Exception:  # one that is deleted meanwhile, or is none that can be evaluated
                    logging.getLogger("cloudwatch").debug("alarm %s", name, exc_info=True)


def precise(epoch: float) -> str:
    """A time as CloudWatch writes it, with milliseconds."""
    at = datetime.fromtimestamp(epoch, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z"


def periods(now: float, alarm: Mapping[str, Any]) -> list[float]:
    """When each period of the alarm began, in seconds of the epoch, the latest first."""
    return [now - alarm["Period"] * (past + 1) for past in range(alarm["EvaluationPeriods"])]


def state_of(alarm: Mapping[str, Any], values: Sequence[float | None]) -> str:
    """The state that the alarm is in by its periods' values, the latest first; None where there are no data.

    As CloudWatch: `DatapointsToAlarm` of them must breach. `missing` data count for nothing, and where there are none
    at all the alarm knows nothing; `ignore` leaves it as it is.
    """
    treat = alarm.get("TreatMissingData") or "missing"
    breaches = _BREACHES[alarm["ComparisonOperator"]]
    if treat == "ignore" and all(value is None for value in values):
        return str(alarm["StateValue"])
    if treat in ("breaching", "notBreaching"):
        judged = [treat == "breaching" if v is None else breaches(v, alarm["Threshold"]) for v in values]
    else:
        judged = [breaches(v, alarm["Threshold"]) for v in values if v is not None]
    if not judged:
        return _UNKNOWN
    needed = alarm.get("DatapointsToAlarm") or alarm["EvaluationPeriods"]
    return _ALARM if sum(judged) >= needed else _OK


def reason_of(alarm: Mapping[str, Any], state: str, values: Sequence[float | None]) -> str:
    """Why the alarm is in its new state, as CloudWatch words it."""
    known = [value for value in values if value is not None]
    if not known:
        return f"Threshold Crossed: no datapoints were received for {len(values)} period(s)."
    verb = "was" if state == _ALARM else "was not"
    return (
        f"Threshold Crossed: {len(known)} datapoint(s) {known} {verb} {alarm['ComparisonOperator']} "
        f"({alarm['Threshold']})."
    )


def reason_data(alarm: Mapping[str, Any], values: Sequence[float | None], now: float) -> dict[str, Any]:
    """The same as data: `StateReasonData`."""
    return {
        "version": "1.0",
        "queryDate": precise(now),
        "startDate": precise(periods(now, alarm)[-1]),
        "statistic": alarm.get("ExtendedStatistic") or alarm.get("Statistic"),
        "period": alarm["Period"],
        "recentDatapoints": [value for value in reversed(values) if value is not None],
        "threshold": alarm["Threshold"],
    }
