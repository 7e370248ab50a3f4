"""What watches a release, through its whole life on the emulator, under the real engine: alarms, topics, a queue, a
function."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from localaws.emulator import server
from localaws.toolchain.build import ensure_plugins
from localaws.toolchain.tools import ENGINE
from tests.integration.provider_stack import REGION, Stack
from tests.prepared import prepared

PROGRAM = """
import base64, hashlib, json
import pulumi
import pulumi_aws as aws

REV = "1"
account = aws.get_caller_identity().account_id
tags = {"rev": REV}
def document(statement):
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})
role = aws.iam.Role("role", name="watcher", assume_role_policy=document(
    {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}))
topic = aws.sns.Topic("topic", name="alarms", tags=tags)
policy = aws.sns.TopicPolicy("policy", arn=topic.arn, policy=topic.arn.apply(lambda arn: document(
    {"Sid": "S" + REV, "Effect": "Allow", "Principal": {"Service": "cloudwatch.amazonaws.com"},
     "Action": "sns:Publish", "Resource": arn})))
queue = aws.sqs.Queue("queue", name="failed", message_retention_seconds=3600 * int(REV), tags=tags)
code = f"CODE-{REV}.zip"
function = aws.lambda_.Function("function", name="watcher", code=pulumi.FileArchive(code),
    source_code_hash=base64.b64encode(hashlib.sha256(open(code, "rb").read()).digest()).decode(),
    role=role.arn, handler="index.handler", runtime="python3.12", memory_size=256, timeout=30 * int(REV),
    environment={"variables": {"REV": REV}}, dead_letter_config={"target_arn": queue.arn},
    reserved_concurrent_executions=1, tags=tags)
config = aws.lambda_.FunctionEventInvokeConfig("config", function_name=function.name, maximum_retry_attempts=int(REV))
permission = aws.lambda_.Permission("permission", function=function.name, statement_id="sns",
    action="lambda:InvokeFunction", principal="sns.amazonaws.com", source_arn=topic.arn, source_account=account)
subscription = aws.sns.TopicSubscription("subscription", topic=topic.arn, protocol="lambda", endpoint=function.arn)
errors = aws.cloudwatch.MetricAlarm("errors", name="errors", namespace="AWS/Lambda", metric_name="Errors",
    dimensions={"FunctionName": "work", "Resource": "work:live"}, statistic="Sum", period=60, evaluation_periods=1,
    threshold=float(REV), comparison_operator="GreaterThanOrEqualToThreshold", treat_missing_data="notBreaching",
    tags=tags)
slow = aws.cloudwatch.MetricAlarm("slow", name="slow", namespace="AWS/Lambda", metric_name="Duration",
    dimensions={"FunctionName": "work"}, extended_statistic="p99", period=60, evaluation_periods=2,
    threshold=1000, comparison_operator="GreaterThanThreshold", treat_missing_data="notBreaching")
service = aws.cloudwatch.CompositeAlarm("service", alarm_name="service", alarm_actions=[topic.arn], tags=tags,
    alarm_rule=pulumi.Output.concat('ALARM("', errors.name, '") OR ALARM("', slow.name, '")'))
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("guard")
    with server.running(auth=False) as emulator:
        made = Stack.create(
            folder,
            pulumi=prepared(ENGINE),
            plugins=ensure_plugins(folder / "bin"),
            endpoint=emulator.endpoint,
        )
        for rev in ("1", "2"):
            _package(made.folder / f"CODE-{rev}.zip", rev)
        yield made


def _package(path: Path, rev: str) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(zipfile.ZipInfo("index.py"), f"def handler(event, context):\n    return {rev!r}\n")


def test_what_watches_a_release_is_made_changed_seen_when_it_drifts_and_removed(stack: Stack) -> None:
    stack.program(PROGRAM)
    stack.up()
    assert stack.up("--refresh").counts() == {}, "what was made is what was asked for"
    functions, topics, alarms = stack.aws("lambda"), stack.aws("sns"), stack.aws("cloudwatch")
    made = stack.resources()
    topic = made["topic"]["outputs"]["arn"]

    assert json.loads(functions.invoke(FunctionName="watcher")["Payload"].read()) == "1"
    assert functions.get_function_concurrency(FunctionName="watcher")["ReservedConcurrentExecutions"] == 1
    (subscribed,) = topics.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    assert subscribed["Endpoint"] == f"arn:aws:lambda:{REGION}:{stack.account}:function:watcher"

    stack.program(PROGRAM.replace('REV = "1"', 'REV = "2"'))
    changed = stack.up("--refresh")
    assert changed.counts() == {"update": 7}, changed.steps
    assert stack.up("--refresh").counts() == {}
    assert json.loads(functions.invoke(FunctionName="watcher")["Payload"].read()) == "2"
    settings = functions.get_function_configuration(FunctionName="watcher")
    assert (settings["Timeout"], settings["Environment"]["Variables"]) == (60, {"REV": "2"})
    assert alarms.describe_alarms(AlarmNames=["errors"])["MetricAlarms"][0]["Threshold"] == 2
    policy = json.loads(topics.get_topic_attributes(TopicArn=topic)["Attributes"]["Policy"])
    assert policy["Statement"][0]["Sid"] == "S2"

    alarms.delete_alarms(AlarmNames=["service"])
    functions.remove_permission(FunctionName="watcher", StatementId="sns")
    functions.delete_function_concurrency(FunctionName="watcher")
    assert stack.up("--refresh").counts() == {"create": 2, "update": 1}, (
        "what was changed by hand is made right"
    )

    assert stack.run("destroy", "--yes", "--skip-preview").code == 0
    assert alarms.describe_alarms()["MetricAlarms"] == []
    assert functions.list_functions()["Functions"] == []
    assert topics.list_topics()["Topics"] == []
