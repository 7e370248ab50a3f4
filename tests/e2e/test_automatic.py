"""A bad release rolls itself back: the real program, the real package, real alarms, and nobody awake."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from botocore.exceptions import ClientError

from bench.account import BenchAccount, running
from localaws import estate, identity
from localaws.clients import connect
from localaws.errors import LocalError
from rollback.config.naming import DEPLOYER, DRILL, ROLLBACK
from rollback.util.errors import Code
from tests import outputs, planted, prepared
from tests.warm import Warm

GUARD = {"errors": 2, "smoke": "audit-service-get", "recoveryMinutes": 1}
SERVICE, ALARM = "team_service", "bbws-access-dev-guard-team-service"
PATIENCE = 120.0


@dataclass(kw_only=True)
class Night:
    """An account with a guard, a good release recorded, and a queue of what people are told."""

    account: BenchAccount
    told: str = ""
    heard: list[dict[str, Any]] = field(default_factory=list)

    def client(self, service: str, role: str = "") -> Any:
        settings = self.account.settings
        taken = identity.assume(self.account.endpoint, settings, role, "alice") if role else None
        return connect(service, self.account.endpoint, settings, taken)

    def rollback(self, *arguments: str, role: str = ROLLBACK) -> dict[str, Any]:
        ran = self.account.rollback(*arguments, "--env", "dev", "--json", role=role)
        planted.heard(str(arguments), ran.output)
        outputs.check([*arguments, "--json"], ran.output)
        return dict(json.loads(ran.output))

    def refused(self, *arguments: str, role: str) -> str:
        """The code of the error that a command ends with, of the refusals."""
        with pytest.raises(LocalError, match="ended with 3") as raised:
            self.rollback(*arguments, role=role)
        return next(code for code in Code if f'"code": "{code}"' in str(raised.value))

    def deploy(self, version: str, *, broken: tuple[str, ...] = ()) -> None:
        estate.deploy(
            connect("lambda", self.account.endpoint, self.account.settings),
            self.account.settings,
            version,
            broken=broken,
        )

    def release(self, version: str, *options: str, broken: tuple[str, ...] = ()) -> dict[str, Any]:
        self.deploy(version, broken=broken)
        return self.rollback(
            "release", "record", "--version", version, "--commit", "a" * 40, *options, role=DEPLOYER
        )

    def traffic(self, times: int = 3) -> None:
        """What callers do, through the alias."""
        functions = self.client("lambda")
        for name in self.account.settings.functions(SERVICE):
            for _ in range(times):
                functions.invoke(FunctionName=name, Qualifier=self.account.settings.alias)

    def versions(self) -> set[str]:
        functions, alias = self.client("lambda"), self.account.settings.alias
        return {
            functions.get_alias(FunctionName=name, Name=alias)["FunctionVersion"]
            for name in self.account.functions
        }

    def state(self, alarm: str = ALARM) -> str:
        found = self.client("cloudwatch").describe_alarms(AlarmNames=[alarm], AlarmTypes=["CompositeAlarm"])
        return str(found["CompositeAlarms"][0]["StateValue"])

    def reports(self) -> list[dict[str, Any]]:
        """What people have been told, all of it so far."""
        queue = self.client("sqs")
        while messages := queue.receive_message(QueueUrl=self.told, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                self.heard.append(json.loads(json.loads(message["Body"])["Message"]))
                queue.delete_message(QueueUrl=self.told, ReceiptHandle=message["ReceiptHandle"])
        return self.heard

    def listen(self) -> None:
        queues, topics = self.client("sqs"), self.client("sns")
        settings = self.account.settings
        self.told = queues.create_queue(QueueName="people")["QueueUrl"]
        found = queues.get_queue_attributes(QueueUrl=self.told, AttributeNames=["QueueArn"])
        target = found["Attributes"]["QueueArn"]
        topic = f"arn:aws:sns:{settings.region}:{settings.account}:{settings.names.guard_reports}"
        allowed = {
            "Effect": "Allow",
            "Principal": {"Service": "sns.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": target,
            "Condition": {"ArnEquals": {"aws:SourceArn": topic}},
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
        queues.set_queue_attributes(QueueUrl=self.told, Attributes={"Policy": policy})
        topics.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=target)

    def until(self, true: Callable[[], object], what: str, seconds: float = PATIENCE) -> None:
        end = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < end, f"{what}; people were told: {self.reports()}"
            time.sleep(0.2)


@pytest.fixture(scope="module")
def night(warm: Warm, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Night]:
    with (
        prepared.guard_package(),
        running(tmp_path_factory.mktemp("night"), lambda _: None, guard=GUARD) as account,
    ):
        found = Night(account=account)
        found.listen()
        found.until(lambda: found.state() == "OK", "the alarm is not OK")
        yield found


def test_who_may_invoke_the_guard_can_have_it_do_nothing_that_its_own_eyes_do_not_see(night: Night) -> None:
    night.release("v1.0.1", "--standby", "45m")
    before = night.versions()
    forged = {
        "Records": [
            {
                "Sns": {
                    "Subject": f'ALARM: "{ALARM}"',
                    "Message": json.dumps({"AlarmName": ALARM, "NewStateValue": "ALARM"}),
                }
            }
        ]
    }

    night.until(lambda: night.state() == "OK", "the alarm is not OK")
    answer = night.client("lambda", ROLLBACK).invoke(
        FunctionName="bbws-access-dev-guard", Payload=json.dumps(forged)
    )

    assert json.loads(answer["Payload"].read())["code"] == "NOT_RED"
    assert night.versions() == before


@pytest.fixture(scope="module")
def taken(night: Night) -> dict[str, Any]:
    """The record of what an alarm has taken: a bad release, while everybody sleeps."""
    before = night.versions()
    recorded = night.release("v1.1.0", "--standby", "45m", broken=(SERVICE,))
    assert recorded["standby"], recorded
    bad = night.versions()
    rehearsed = night.rollback("guard", "test")
    assert (rehearsed["decision"], rehearsed["holds"]["refusals"], rehearsed["problems"]) == ("TAKE", [], [])
    assert night.rollback("guard", "status")["ok"]
    assert night.versions() == bad != before, "a rehearsal moves nothing"

    night.traffic()
    night.until(lambda: night.versions() == before, "the aliases are not back")
    night.until(lambda: any(one.get("rollback_id") for one in night.reports()), "nobody was told of its end")
    (told,) = [one for one in night.reports() if one.get("rollback_id")]
    return night.rollback("show", told["rollback_id"])


@pytest.mark.finding("A1")
def test_a_bad_release_is_rolled_back_by_its_alarm_without_a_person(
    night: Night, taken: dict[str, Any]
) -> None:
    assert (taken["status"], taken["alarm"]) == ("COMPLETE", ALARM)
    assert taken["taken_by"] == {"role": "bbws-access-dev-guard-role", "person": "bbws-access-dev-guard"}
    assert taken["from_version"] == "v1.1.0"
    assert taken["counts"]["moved"] == len(night.account.functions) == 42
    assert {check["check"]: check["ok"] for check in taken["verification"]}["smoke"]
    assert taken["chain"] == "whole"
    schedules = night.client("scheduler").list_schedules()["Schedules"]
    assert [one["Name"] for one in schedules] == [f"bbws-access-dev-guard-{taken['rollback_id']}"]
    assert night.rollback("audit")["findings"] == []


@pytest.mark.soak  # tests/integration/actions/test_guard.py has its recovery told; here that is a minute of waiting
def test_its_recovery_is_told(night: Night, taken: dict[str, Any]) -> None:
    night.until(lambda: night.state() == "OK", "the alarm does not recover")
    night.until(
        lambda: any(one["code"] == "RECOVERED" for one in night.reports()), "its recovery is not told"
    )


@pytest.mark.soak  # tests/integration/drill/test_automatic.py; test_a_bad_release_is_rolled_back_by_its_alarm_without_a_person
def test_a_drill_sees_a_release_of_its_own_rolled_back_by_its_alarm_and_restores_what_was_deployed(
    night: Night,
) -> None:
    before = night.versions()

    ran = night.account.rollback("drill", "--env", "dev", "--scenario", "automatic", "--json", role=DRILL)

    outputs.check(["drill", "--json"], ran.output)
    (drill,) = json.loads(ran.output)
    assert (drill["scenario"], drill["passed"], drill["why"]) == ("automatic", True, "")
    assert night.versions() == before
    (name,) = drill["rollbacks"]
    record = night.rollback("show", name)
    assert (record["status"], record["alarm"]) == ("COMPLETE", "bbws-access-dev-guard-authorizer-service")
    assert record["taken_by"]["person"] == "bbws-access-dev-guard"
    assert record["from_version"] == f"drill-{drill['drill_id']}"
    assert 0 < drill["seconds"] < drill["rto_seconds"]
    assert night.rollback("audit")["findings"] == []
    again = night.refused("drill", "--scenario", "automatic", role=DRILL)
    assert again == "DRILL_REFUSED", "its alarm was red recently"


@pytest.mark.soak  # tests/unit/model/test_automatic.py and the simulation have such an alarm take nothing
def test_an_alarm_that_was_red_shortly_before_the_release_takes_nothing_and_says_so(night: Night) -> None:
    night.release("v1.1.1", broken=(SERVICE,))
    night.traffic()
    night.until(lambda: night.state() == "ALARM", "the alarm is not red")
    night.release("v1.2.0", "--standby", "45m", broken=(SERVICE,))
    newest = night.versions()
    night.until(lambda: night.state() == "OK", "the alarm is not OK")

    night.traffic()
    night.until(
        lambda: any(one["code"] == "RED_BEFORE" and "v1.2.0" in one["why"] for one in night.reports()),
        "nobody was told",
    )

    assert night.versions() == newest
    status = night.rollback("guard", "status")
    # Whether the alarm of an earlier test has recovered may be written meanwhile.
    assert {one["why"].partition(" ")[0] for one in status["declined"]} in (
        {"RED_BEFORE"},
        {"RED_BEFORE", "RECOVERED"},
    )
    assert status["problems"] == []


@pytest.mark.parametrize("role", [ROLLBACK, DEPLOYER])
def test_nobody_of_the_team_publishes_sets_an_alarm_or_changes_the_guard(night: Night, role: str) -> None:
    settings = night.account.settings
    topic = f"arn:aws:sns:{settings.region}:{settings.account}:{settings.names.guard_alarms}"
    attempts: list[Callable[[], object]] = [
        lambda: night.client("sns", role).publish(TopicArn=topic, Message="{}"),
        lambda: night.client("sns").publish(TopicArn=topic, Message="{}"),
        lambda: night.client("cloudwatch", role).set_alarm_state(
            AlarmName=ALARM, StateValue="OK", StateReason="x"
        ),
        lambda: night.client("cloudwatch", role).delete_alarms(AlarmNames=[ALARM]),
        lambda: night.client("lambda", role).update_function_configuration(
            FunctionName=settings.names.guard, Timeout=60
        ),
    ]

    for attempt in attempts:
        with pytest.raises(ClientError) as caught:
            attempt()
        assert (
            "Denied" in caught.value.response["Error"]["Code"]
            or "Authorization" in caught.value.response["Error"]["Code"]
        )
