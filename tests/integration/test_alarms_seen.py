"""What is read of CloudWatch's alarms: their state, and how they came to it; of metrics' alarms and of composite ones."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from localaws.clients import connect
from localaws.emulator import server
from localaws.paths import ROOT
from rollback.aws import alarms
from rollback.config.settings import load
from rollback.util.errors import RollbackError


def test_the_state_and_the_history_are_what_cloudwatch_has() -> None:
    dev = load(ROOT, "dev")
    began = datetime.now(UTC)
    with server.running(auth=False) as emulator:
        watch = connect("cloudwatch", emulator.endpoint, dev)
        for name in ("errors", "latency"):
            watch.put_metric_alarm(
                AlarmName=name,
                Namespace="AWS/Lambda",
                MetricName="Errors",
                Statistic="Sum",
                Period=60,
                EvaluationPeriods=1,
                Threshold=1,
                ComparisonOperator="GreaterThanOrEqualToThreshold",
                TreatMissingData="ignore",  # what is set here stays, however long this takes
            )
            watch.set_alarm_state(AlarmName=name, StateValue="OK", StateReason="so")
        watch.put_composite_alarm(AlarmName="service", AlarmRule="ALARM(errors)")
        watch.set_alarm_state(AlarmName="errors", StateValue="ALARM", StateReason="bad")
        account: Any = SimpleNamespace(client=lambda name, **_: connect(name, emulator.endpoint, dev))

        found = {
            alarm.name: alarm
            for alarm in alarms.seen(
                account, ("errors", "latency", "service", "no such"), began - timedelta(minutes=5)
            )
        }

    assert set(found) == {"errors", "latency", "service"}
    assert (found["errors"].state, found["latency"].state) == ("ALARM", "OK")
    assert found["errors"].since >= found["latency"].since
    assert found["errors"].changes[0].state == "ALARM"
    assert found["errors"].changes[0].before == "OK"
    assert found["latency"].changes == ()


def test_where_cloudwatch_does_not_answer_it_is_an_error_of_ours() -> None:
    dev = load(ROOT, "dev")
    account: Any = SimpleNamespace(client=lambda name, **_: connect(name, "http://127.0.0.1:1", dev))

    with pytest.raises(RollbackError):
        alarms.seen(account, ("errors",), datetime.now(UTC))
