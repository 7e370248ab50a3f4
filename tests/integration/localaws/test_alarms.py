"""The local account's alarms, topics and asynchronous invocations are AWS's: by dimension, by time, by policy."""

import io
import json
import time
import uuid
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localaws import estate
from localaws.clients import connect
from localaws.emulator import server
from localaws.emulator.server import Emulator
from localaws.paths import ROOT
from rollback.config.naming import arn
from rollback.config.settings import Settings, load

FAILS = "def handler(event, context):\n    raise RuntimeError('bad')\n"
WRITES = """
import botocore.session, json
def handler(event, context):
    name = context.function_name
    botocore.session.get_session().create_client("ssm").put_parameter(Name=f"/seen/{name}", Value=json.dumps(event)[:4000], Type="String", Overwrite=True)
"""


@pytest.fixture(scope="module")
def dev() -> Settings:
    return load(ROOT, "dev")


@pytest.fixture(scope="module")
def account(dev: Settings) -> Iterator[Emulator]:
    with server.running(auth=True) as emulator:
        estate.establish(connect("iam", emulator.endpoint, dev), dev)
        connect("iam", emulator.endpoint, dev).put_role_policy(
            RoleName=estate.execution_role(dev),
            PolicyName="writes",
            PolicyDocument=json.dumps(
                {
                    "Version": "2012-10-17",
                    "Statement": [{"Effect": "Allow", "Action": "ssm:PutParameter", "Resource": "*"}],
                }
            ),
        )
        yield emulator


class Account:
    """Clients, and functions by their code."""

    def __init__(self, emulator: Emulator, settings: Settings) -> None:
        self.settings = settings
        self.client = lambda service: connect(service, emulator.endpoint, settings)
        self.functions, self.alarms, self.topics = map(self.client, ("lambda", "cloudwatch", "sns"))

    def function(self, code: str, **settings: Any) -> str:
        name = f"f-{uuid.uuid4().hex[:8]}"
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr("index.py", code)
        self.functions.create_function(
            FunctionName=name,
            Runtime="python3.12",
            Handler="index.handler",
            Role=arn(
                "iam",
                self.settings.region,
                self.settings.account,
                f"role/{estate.execution_role(self.settings)}",
            ),
            Code={"ZipFile": packed.getvalue()},
            Publish=True,
            Timeout=60,
            **settings,
        )
        self.functions.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
        return name

    def arn(self, function: str) -> str:
        return arn("lambda", self.settings.region, self.settings.account, f"function:{function}")

    def invoke(self, function: str, times: int = 1) -> None:
        for _ in range(times):
            self.functions.invoke(FunctionName=function, Qualifier="live")

    def total(self, metric: str, **dimensions: str) -> float:
        now = time.time()
        found = self.alarms.get_metric_statistics(
            Namespace="AWS/Lambda",
            MetricName=metric,
            Dimensions=[{"Name": name, "Value": value} for name, value in dimensions.items()],
            StartTime=now - 600,
            EndTime=now + 60,
            Period=3600,
            Statistics=["Sum"],
        )["Datapoints"]
        return float(sum(point["Sum"] for point in found))

    def alarm(
        self, function: str, *, resource: str | None = None, actions: tuple[str, ...] = (), **more: Any
    ) -> str:
        name = f"a-{uuid.uuid4().hex[:8]}"
        self.alarms.put_metric_alarm(
            **{
                "AlarmName": name,
                "Namespace": "AWS/Lambda",
                "MetricName": "Errors",
                "Dimensions": [
                    {"Name": "FunctionName", "Value": function},
                    {"Name": "Resource", "Value": resource or f"{function}:live"},
                ],
                "Statistic": "Sum",
                "Period": 60,
                "EvaluationPeriods": 1,
                "Threshold": 2.0,
                "ComparisonOperator": "GreaterThanOrEqualToThreshold",
                "TreatMissingData": "notBreaching",
                "AlarmActions": list(actions),
                **more,
            }
        )
        return name

    def state(self, alarm: str) -> str:
        found = self.alarms.describe_alarms(AlarmNames=[alarm], AlarmTypes=["MetricAlarm", "CompositeAlarm"])
        (one,) = found["MetricAlarms"] + found["CompositeAlarms"]
        return str(one["StateValue"])

    def until(self, true: Callable[[], object], seconds: float = 20.0) -> bool:
        end = time.monotonic() + seconds
        while not true():
            if time.monotonic() > end:
                return False
            time.sleep(0.1)
        return True

    def seen(self, function: str) -> Any:
        try:
            return json.loads(
                self.client("ssm").get_parameter(Name=f"/seen/{function}")["Parameter"]["Value"]
            )
        except ClientError:
            return None

    def topic(
        self, function: str, *, publisher: str = "cloudwatch.amazonaws.com", permit: bool = True
    ) -> str:
        """A topic that only CloudWatch of this account may publish to, and a function that it invokes."""
        topic = str(self.topics.create_topic(Name=f"t-{uuid.uuid4().hex[:8]}")["TopicArn"])
        alarms = arn("cloudwatch", self.settings.region, self.settings.account, "alarm:*")
        policy = {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"Service": publisher},
                    "Action": "sns:Publish",
                    "Resource": topic,
                    "Condition": {
                        "ArnLike": {"aws:SourceArn": alarms},
                        "StringEquals": {"aws:SourceAccount": self.settings.account},
                    },
                },
                {
                    "Effect": "Deny",
                    "Principal": "*",
                    "Action": "sns:Publish",
                    "Resource": topic,
                    "Condition": {"Bool": {"aws:PrincipalIsAWSService": "false"}},
                },
            ],
        }
        self.topics.set_topic_attributes(
            TopicArn=topic, AttributeName="Policy", AttributeValue=json.dumps(policy)
        )
        if permit:
            self.functions.add_permission(
                FunctionName=function,
                StatementId="sns",
                Action="lambda:InvokeFunction",
                Principal="sns.amazonaws.com",
                SourceArn=topic,
            )
        self.topics.subscribe(TopicArn=topic, Protocol="lambda", Endpoint=self.arn(function))
        return topic


@pytest.fixture(scope="module")
def aws(account: Emulator, dev: Settings) -> Account:
    return Account(account, dev)


def test_an_invocation_through_an_alias_is_reported_on_the_function_and_on_the_alias(aws: Account) -> None:
    function = aws.function(FAILS)

    aws.invoke(function, 2)
    aws.functions.invoke(FunctionName=function)

    both = {"FunctionName": function, "Resource": f"{function}:live"}
    assert {m: aws.total(m, **both) for m in ("Invocations", "Errors", "Throttles")} == {
        "Invocations": 2,
        "Errors": 2,
        "Throttles": 0,
    }
    assert aws.total("Duration", **both) > 0
    assert aws.total("Errors", FunctionName=function) == 3
    assert aws.total("Errors", Resource=both["Resource"]) == 0, "AWS reports nothing for Resource alone"
    assert aws.total("Errors", **both, ExecutedVersion="1") == 0, "the alias has no weights"


def test_an_alias_with_weights_reports_the_version_that_ran_too(aws: Account) -> None:
    function = aws.function(FAILS)
    aws.functions.update_function_configuration(FunctionName=function, Description="another")
    second = aws.functions.publish_version(FunctionName=function)["Version"]
    aws.functions.update_alias(
        FunctionName=function, Name="live", RoutingConfig={"AdditionalVersionWeights": {second: 0.1}}
    )

    aws.invoke(function)

    both = {"FunctionName": function, "Resource": f"{function}:live"}
    assert aws.total("Errors", **both) == 1
    assert sum(aws.total("Errors", **both, ExecutedVersion=one) for one in ("1", second)) == 1


def test_a_throttled_invocation_is_no_invocation(aws: Account) -> None:
    function = aws.function(FAILS)
    aws.functions.put_function_concurrency(FunctionName=function, ReservedConcurrentExecutions=0)

    with pytest.raises(aws.functions.exceptions.TooManyRequestsException):
        connect("lambda", aws.functions.meta.endpoint_url, aws.settings, attempts=1).invoke(
            FunctionName=function, Qualifier="live"
        )

    both = {"FunctionName": function, "Resource": f"{function}:live"}
    assert {m: aws.total(m, **both) for m in ("Invocations", "Errors", "Throttles")} == {
        "Invocations": 0,
        "Errors": 0,
        "Throttles": 1,
    }


def test_an_alarm_sees_its_own_dimensions_only_and_nobody_has_to_put_a_metric(aws: Account) -> None:
    function, other = aws.function(FAILS), aws.function(FAILS)
    mine, theirs = aws.alarm(function), aws.alarm(other)
    assert aws.until(lambda: aws.state(mine) == aws.state(theirs) == "OK"), "missing data do not breach"

    aws.invoke(function, 2)

    assert aws.until(lambda: aws.state(mine) == "ALARM")
    assert aws.state(theirs) == "OK"


def test_an_alarm_goes_back_when_its_period_has_passed(aws: Account) -> None:
    function = aws.function(FAILS)
    alarm = aws.alarm(function, Period=10)

    aws.invoke(function, 2)

    assert aws.until(lambda: aws.state(alarm) == "ALARM")
    assert aws.until(lambda: aws.state(alarm) == "OK", seconds=30)


def test_a_state_that_was_set_by_hand_is_the_alarms_own_again_at_the_next_evaluation(aws: Account) -> None:
    function = aws.function(FAILS)
    alarm = aws.alarm(function)
    assert aws.until(lambda: aws.state(alarm) == "OK")

    aws.alarms.set_alarm_state(AlarmName=alarm, StateValue="ALARM", StateReason="forged")

    assert aws.until(lambda: aws.state(alarm) == "OK")
    history = aws.alarms.describe_alarm_history(AlarmName=alarm, HistoryItemType="StateUpdate")[
        "AlarmHistoryItems"
    ]
    states = [json.loads(item["HistoryData"])["newState"]["stateValue"] for item in history]
    assert states[:2] == ["OK", "ALARM"], "the history keeps both, the latest first"


def test_the_history_tells_when_to_the_millisecond_and_of_composite_alarms_too(aws: Account) -> None:
    function = aws.function(FAILS)
    alarm = aws.alarm(function)
    service = f"s-{alarm}"
    aws.alarms.put_composite_alarm(AlarmName=service, AlarmRule=f'ALARM("{alarm}")')
    before = time.time()

    aws.invoke(function, 2)

    assert aws.until(lambda: aws.state(service) == "ALARM")
    for name, kind in ((alarm, "MetricAlarm"), (service, "CompositeAlarm")):
        items = aws.alarms.describe_alarm_history(
            AlarmName=name, AlarmTypes=[kind], HistoryItemType="StateUpdate"
        )
        latest = items["AlarmHistoryItems"][0]
        assert json.loads(latest["HistoryData"])["newState"]["stateValue"] == "ALARM"
        assert before - 0.01 <= latest["Timestamp"].timestamp() <= time.time()
        assert any(item["Timestamp"].microsecond for item in items["AlarmHistoryItems"])
    assert aws.alarms.describe_alarms(AlarmNames=[alarm])["MetricAlarms"][0][
        "StateUpdatedTimestamp"
    ].microsecond


def test_a_topic_that_only_cloudwatch_may_publish_to_invokes_its_function_upon_an_alarm(aws: Account) -> None:
    function, told = aws.function(FAILS), aws.function(WRITES)
    topic = aws.topic(told)
    alarm = aws.alarm(function, actions=(topic,))

    aws.invoke(function, 2)

    assert aws.until(lambda: aws.seen(told))
    message = json.loads(aws.seen(told)["Records"][0]["Sns"]["Message"])
    assert (message["AlarmName"], message["NewStateValue"]) == (alarm, "ALARM")
    with pytest.raises(ClientError) as caught:
        aws.topics.publish(TopicArn=topic, Message="forged")
    assert caught.value.response["Error"]["Code"] in ("AuthorizationError", "AccessDenied")


def test_an_alarm_cannot_publish_where_the_topics_policy_names_another_service(aws: Account) -> None:
    function, told = aws.function(FAILS), aws.function(WRITES)
    alarm = aws.alarm(function, actions=(aws.topic(told, publisher="s3.amazonaws.com"),))

    aws.invoke(function, 2)

    def failed() -> bool:
        items = aws.alarms.describe_alarm_history(AlarmName=alarm, HistoryItemType="Action")[
            "AlarmHistoryItems"
        ]
        return any(item["HistorySummary"].startswith("Failed") for item in items)

    assert aws.until(failed)
    assert aws.seen(told) is None


def test_a_topic_cannot_invoke_a_function_whose_policy_does_not_let_it(aws: Account) -> None:
    function, not_told, told = aws.function(FAILS), aws.function(WRITES), aws.function(WRITES)
    aws.alarm(function, actions=(aws.topic(not_told, permit=False), aws.topic(told)))

    aws.invoke(function, 2)

    assert aws.until(lambda: aws.seen(told))
    assert aws.seen(not_told) is None


def test_what_fails_asynchronously_is_tried_three_times_and_then_in_the_dead_letter_queue(
    aws: Account,
) -> None:
    queues = aws.client("sqs")
    queue = queues.create_queue(QueueName=f"q-{uuid.uuid4().hex[:8]}")["QueueUrl"]
    target = queues.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"][
        "QueueArn"
    ]
    function, told = aws.function(FAILS), aws.function(FAILS, DeadLetterConfig={"TargetArn": target})
    aws.alarm(function, actions=(aws.topic(told),))

    aws.invoke(function, 2)

    assert aws.until(lambda: aws.total("Errors", FunctionName=told) == 3)
    letters: list[Any] = []
    assert aws.until(
        lambda: letters.extend(queues.receive_message(QueueUrl=queue).get("Messages", [])) or letters
    )
    assert "Records" in letters[0]["Body"]


def test_a_schedule_invokes_its_function_once_with_its_input(aws: Account) -> None:
    told = aws.function(WRITES)
    schedules = aws.client("scheduler")
    at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() + 1))

    schedules.create_schedule(
        Name=f"once-{told}",
        ScheduleExpression=f"at({at})",
        FlexibleTimeWindow={"Mode": "OFF"},
        ActionAfterCompletion="DELETE",
        Target={
            "Arn": aws.arn(told),
            "RoleArn": arn("iam", aws.settings.region, aws.settings.account, "role/any"),
            "Input": json.dumps({"recovery": "rb-1"}),
        },
    )

    assert aws.until(lambda: aws.seen(told) == {"recovery": "rb-1"})
    assert aws.until(lambda: not schedules.list_schedules()["Schedules"])
