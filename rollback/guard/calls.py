"""The guard's AWS calls besides a rollback: reports to people, scheduled checks, smoke tests."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from rollback.aws.account import Account, explained
from rollback.config.naming import arn
from rollback.model.record import Check, now_iso
from rollback.util.sanitize import line

# Characters of a subject: https://docs.aws.amazon.com/sns/latest/api/API_Publish.html.
_SUBJECT = 100
_DETAIL = 200
# Seconds in which a message that was read is not shown again, so that the next read finds others.
_ASIDE = 2


def report(account: Account, subject: str, document: Mapping[str, Any]) -> None:
    """Publishes to the topic of reports. Raises `RollbackError` where SNS does not accept it."""
    settings = account.settings
    topic = arn("sns", settings.region, settings.account, settings.names.guard_reports)
    text = "".join(letter for letter in line(subject) if letter.isascii() and letter.isprintable())
    with explained("publishing the guard's report"):
        account.client("sns", connect_timeout=3, read_timeout=5).publish(
            TopicArn=topic, Subject=text[:_SUBJECT], Message=json.dumps(document, indent=1)
        )


def schedule(account: Account, name: str, at: datetime, payload: Mapping[str, Any]) -> None:
    """Schedules one invocation of the guard's function at a time (UTC) with `payload`. Idempotent.

    Raises `RollbackError` where EventBridge Scheduler does not accept it.
    """
    settings = account.settings
    names, client = settings.names, account.client("scheduler", connect_timeout=3, read_timeout=5)
    with explained("scheduling a check of the alarm"):
        try:
            client.create_schedule(
                Name=f"{names.guard}-{name}"[:64],
                ScheduleExpression=f"at({at:%Y-%m-%dT%H:%M:%S})",
                FlexibleTimeWindow={"Mode": "OFF"},
                ActionAfterCompletion="DELETE",
                Target={
                    "Arn": arn("lambda", settings.region, settings.account, f"function:{names.guard}"),
                    "RoleArn": arn("iam", settings.region, settings.account, f"role/{names.guard_schedule}"),
                    "Input": json.dumps(payload),
                },
            )
        except client.exceptions.ConflictException:
            return


def smoke(account: Account, function: str) -> Check:
    """Invokes a function through the alias: every response except an error is healthy."""
    settings = account.settings
    name, alias = settings.function(function), settings.alias
    with explained(f"invoking {name}:{alias}"):
        answer = account.client("lambda", read_timeout=60).invoke(
            FunctionName=name, Qualifier=alias, Payload=json.dumps({"smoke": settings.environment})
        )
        said = answer["Payload"].read(_DETAIL * 4).decode("utf-8", "replace")
    failed = answer.get("FunctionError")
    detail = f"{name}:{alias} responded" + (f" with {failed}: {line(said)[:_DETAIL]}" if failed else "")
    return Check(check="smoke", ok=not failed, detail=detail)


def invoke(account: Account, payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """The response of the guard's function to `payload`; `{"errorMessage": …}` if it fails. Raises `RollbackError` where
    it does not exist, or may not be invoked.
    """
    with explained(f"invoking {account.settings.names.guard}"):
        answer = account.client("lambda", read_timeout=120, retries={"total_max_attempts": 1}).invoke(
            FunctionName=account.settings.names.guard, Payload=json.dumps(payload)
        )
        found = json.loads(answer["Payload"].read() or b"null")
    return found if isinstance(found, dict) else {"errorMessage": str(found)}


def declared(account: Account) -> dict[str, Any]:
    """The guard's state in the account: `{"state", "runtime", "deployed_at", "code", "concurrency", "failed", "queue",
    "subscribed", "alarms": {name: {…}}}`.

    `code` is the SHA-256 of its package, in base64. `failed` has the times when it could not process messages which are
    still in the `queue` (its URL), `subscribed` says whether its topic invokes it; for each alarm `state`, and whether it
    `calls` the topic. Times are ISO 8601 in UTC. Raises `RollbackError` where AWS cannot be read.
    """
    settings, names = account.settings, account.settings.names
    functions, queues, topics = map(account.client, ("lambda", "sqs", "sns"))
    own = arn("lambda", settings.region, settings.account, f"function:{names.guard}")
    topic = arn("sns", settings.region, settings.account, names.guard_alarms)
    with explained("reading the state of the guard"):
        found = functions.get_function_configuration(FunctionName=names.guard)
        reserved = functions.get_function_concurrency(FunctionName=names.guard)
        url = queues.get_queue_url(QueueName=names.guard_failed)["QueueUrl"]
        failed = _failed(queues, url)
        subscriptions = topics.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
        wanted = list(settings.alarms)
        alarms: dict[str, dict[str, Any]] = {}
        for start in range(0, len(wanted), 100):
            answer = account.client("cloudwatch").describe_alarms(
                AlarmNames=wanted[start : start + 100],
                AlarmTypes=["MetricAlarm", "CompositeAlarm"],
                MaxRecords=100,
            )
            for one in (*answer.get("MetricAlarms", ()), *answer.get("CompositeAlarms", ())):
                calls = bool(one.get("ActionsEnabled")) and topic in one.get("AlarmActions", ())
                alarms[one["AlarmName"]] = {"state": one["StateValue"], "calls": calls}
    return {
        "state": str(found.get("State", "")),
        "runtime": str(found.get("Runtime", "")),
        "deployed_at": now_iso(datetime.fromisoformat(found["LastModified"]).astimezone(UTC)),
        "code": str(found.get("CodeSha256", "")),
        "concurrency": reserved.get("ReservedConcurrentExecutions"),
        "failed": failed,
        "queue": url,
        "subscribed": any(one["Endpoint"] == own for one in subscriptions),
        "alarms": alarms,
    }


def _failed(queues: Any, url: str) -> list[str]:
    """When each message came into the queue. One that another reader has just read is taken to be new."""
    counts = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
    waiting = queues.get_queue_attributes(QueueUrl=url, AttributeNames=list(counts))["Attributes"]
    count, seen = sum(int(waiting[name]) for name in counts), dict[str, str]()
    while len(seen) < count:
        read = queues.receive_message(
            QueueUrl=url, AttributeNames=["SentTimestamp"], MaxNumberOfMessages=10, VisibilityTimeout=_ASIDE,
            WaitTimeSeconds=1,
        ).get("Messages", ())  # fmt: skip
        found = {
            one["MessageId"]: now_iso(
                datetime.fromtimestamp(int(one["Attributes"]["SentTimestamp"]) / 1000, UTC)
            )
            for one in read
        }
        if found.keys() <= seen.keys():
            break
        seen |= found
    return [*seen.values(), *[now_iso(datetime.now(UTC))] * (count - len(seen))]
