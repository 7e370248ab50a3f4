"""The guard: alarms with an alias's dimensions, a topic that nobody else publishes to, a role that does not approve."""

from __future__ import annotations

import json
import sys
import zipfile
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pulumi
import pytest

from components.boundary import boundary
from components.guard import Guard, GuardArgs, parts_of, publishers, rule
from components.of_settings import scope_of
from components.permissions import function_policies, inline_policy
from components.policies import ATTACHMENTS, INLINE_LIMIT, MANAGED_LIMIT, Scope, text
from rollback.config.naming import GUARD, PACKAGE_RUNTIME, ROLES
from rollback.config.sections import Guard as Configured
from rollback.config.settings import Settings, load
from rollback.util.errors import Code
from tests.unit.components.pulumi_mocks import Run, run, walk
from tests.unit.config.test_settings import ROOT, refused

METRIC, COMPOSITE = "aws:cloudwatch/metricAlarm:MetricAlarm", "aws:cloudwatch/compositeAlarm:CompositeAlarm"
every_stack = pytest.mark.parametrize("stack", ["dev", "sit", "prod"])


def scope(stack: str) -> Scope:
    return replace(scope_of(load(ROOT, stack)), guard=True)


def settings() -> Settings:
    return load(ROOT, "dev")


@cache
def declared(package: Path, runtime: str = "python3.12") -> Run:
    one = settings()

    def program() -> None:
        Guard(
            "guard",
            GuardArgs(
                scope=scope("dev"),
                boundary="arn:aws:iam::536580886816:policy/boundary",
                services={service: one.functions(service) for service in one.services},
                thresholds={"errors": 5, "duration": 3000, "throttles": 10},
                minutes=2,
                package=package,
                runtime=runtime,
                timeout_seconds=300,
            ),
        )

    return run(program, stack="dev-foundation", config={}, account=one.account)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return declared(packaged(tmp_path_factory.mktemp("guard") / "guard.zip", "python3.12"))


def packaged(path: Path, runtime: str) -> Path:
    with zipfile.ZipFile(path, "w") as package:
        package.writestr(PACKAGE_RUNTIME, f"{runtime}\n")
    return path


def test_each_function_and_metric_has_an_alarm_with_exactly_an_aliases_dimensions(made: Run) -> None:
    alarms = made.of(METRIC)

    assert len(alarms) == 3 * len(settings().catalogue())
    for name in settings().catalogue():
        found = {
            alarm.inputs["metricName"]: alarm.inputs
            for alarm in alarms.values()
            if alarm.inputs["dimensions"] == {"FunctionName": name, "Resource": f"{name}:live"}
        }
        assert set(found) == {"Errors", "Duration", "Throttles"}
        assert {one["treatMissingData"] for one in found.values()} == {"notBreaching"}
        assert found["Duration"]["extendedStatistic"] == "p99"
        assert (found["Errors"]["threshold"], found["Errors"]["evaluationPeriods"]) == (5, 2)
        assert not any(one.get("alarmActions") for one in found.values()), "a service's alarm alone calls"


def test_each_service_has_one_alarm_that_calls_over_those_of_its_functions(made: Run) -> None:
    alarms, called = made.of(COMPOSITE), "arn:aws:sns:eu-west-1:536580886816:bbws-access-dev-guard-alarms"

    assert set(alarms) == {f"bbws-access-dev-guard-{name.replace('_', '-')}" for name in settings().services}
    for service in settings().services:
        inputs = alarms[f"bbws-access-dev-guard-{service.replace('_', '-')}"].inputs
        assert inputs["alarmActions"] == [called]
        assert all(
            f'ALARM("bbws-access-dev-guard-{name}-errors")' in inputs["alarmRule"]
            for name in settings().functions(service)
        )


def test_a_composite_alarm_holds_no_more_than_aws_takes() -> None:
    alarms = [f"acme-prod-guard-{'f' * 60}-{number:04d}-throttles" for number in range(250)]

    parts = list(parts_of(alarms))

    assert [name for part in parts for name in part] == alarms
    assert all(len(part) <= 100 and len(rule(part)) <= 10_240 for part in parts)


def test_the_function_is_alone_ends_in_a_queue_and_is_its_packages(made: Run) -> None:
    function = made.one("aws:lambda/function:Function").inputs
    retried = made.one("aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig").inputs

    assert function["reservedConcurrentExecutions"] == 1
    assert function["runtime"] == "python3.12"
    assert function["deadLetterConfig"]["targetArn"].endswith(":bbws-access-dev-guard-failed")
    assert retried["maximumRetryAttempts"] == 2
    permission = made.one("aws:lambda/permission:Permission").inputs
    assert permission["sourceArn"].endswith(":bbws-access-dev-guard-alarms")
    assert permission["sourceAccount"] == settings().account


def test_without_its_package_nothing_is_declared(tmp_path: Path) -> None:
    with pytest.raises(pulumi.RunError):
        declared(tmp_path / "none.zip")


@pytest.mark.finding("A1")
def test_a_package_for_another_runtime_than_the_functions_is_not_declared(tmp_path: Path) -> None:
    bare = tmp_path / "bare.zip"
    bare.write_bytes(b"PK")

    with pytest.raises(pulumi.RunError, match=r"python3\.13.*python3\.12"):
        declared(packaged(tmp_path / "guard.zip", "python3.13"))
    with pytest.raises(pulumi.RunError):
        declared(bare)


@pytest.mark.finding("A1")
def test_the_runtime_is_of_the_settings_or_of_the_python_that_runs() -> None:
    here = f"python{sys.version_info.major}.{sys.version_info.minor}"

    assert Configured.model_validate({}).python == here
    assert Configured.model_validate({"runtime": "python3.13"}).python == "python3.13"


def test_only_cloudwatch_of_this_account_publishes_for_the_guards_own_alarms() -> None:
    allowed, denied = publishers(scope("dev"))["Statement"]

    assert allowed["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
    assert allowed["Condition"] == {
        "ArnLike": {
            "aws:SourceArn": "arn:aws:cloudwatch:eu-west-1:536580886816:alarm:bbws-access-dev-guard-*"
        },
        "StringEquals": {"aws:SourceAccount": "536580886816"},
    }
    assert (denied["Effect"], denied["Principal"]) == ("Deny", "*")


def guard_statements(of: Scope) -> list[dict[str, Any]]:
    return [
        one for policy in (inline_policy(GUARD, of), *function_policies(GUARD, of)) for one in walk(policy)
    ]


@every_stack
def test_the_guard_neither_approves_nor_records_releases_nor_takes_another_role(stack: str) -> None:
    granted = json.dumps(guard_statements(scope(stack)))

    assert "APPROVAL#" not in json.dumps(
        [one for one in guard_statements(scope(stack)) if any("Put" in action for action in one["Action"])]
    )
    writes = next(one for one in guard_statements(scope(stack)) if one["Sid"] == "WriteRecords")
    assert writes["Condition"]["ForAllValues:StringLike"]["dynamodb:LeadingKeys"] == [
        "ROLLBACK#*", f"LOCK#{stack}", f"RELEASE#{stack}",
    ]  # fmt: skip
    assert "sts:AssumeRole" not in granted
    assert "UpdateFunction" not in granted


@every_stack
def test_nobody_of_the_teams_sets_or_puts_the_guards_alarms_or_the_guard_whatever_they_are_given(
    stack: str,
) -> None:
    of = scope(stack)
    denied = {one["Sid"]: one for one in walk(boundary(of)) if one["Effect"] == "Deny"}

    assert set(denied["LeaveAlarmsAlone"]["Action"]) == {
        f"cloudwatch:{verb}"
        for verb in (
            "DeleteAlarms",
            "DisableAlarmActions",
            "PutCompositeAlarm",
            "PutMetricAlarm",
            "SetAlarmState",
        )
    }
    assert denied["LeaveAlarmsAlone"]["Resource"] == [of.guard_alarms]
    assert "lambda:Update*" in denied["LeaveGuardAlone"]["Action"]
    assert denied["PassNoRole"]["NotResource"] == of.guard_schedule
    for role in ROLES:
        if role in of.roles:
            assert "PassRole" not in json.dumps(inline_policy(role, of)), (
                "the schedule's role is the guard's alone"
            )


@every_stack
def test_everything_of_the_guards_is_below_its_boundary_and_within_iams_limits(stack: str) -> None:
    of = scope(stack)
    ceiling = set(boundary(of)["Statement"][0]["Action"])

    assert {action for one in guard_statements(of) for action in one["Action"]} <= ceiling
    assert len(text(boundary(of))) <= MANAGED_LIMIT
    assert len(text(inline_policy(GUARD, of))) <= INLINE_LIMIT
    assert len(function_policies(GUARD, of)) <= ATTACHMENTS


@every_stack
def test_where_no_guard_is_configured_the_policies_say_nothing_of_one(stack: str) -> None:
    of = scope_of(load(ROOT, stack))

    said = json.dumps([boundary(of), *(inline_policy(role, of) for role in of.roles)])
    assert "guard" not in said
    assert "cloudwatch:DescribeAlarms" not in said


@pytest.mark.parametrize(
    "guard",
    [
        {"errors": 0},
        {"smoke": "team-service-gett"},
        {"package": "../guard.zip"},
        {"error": 5},
        {"runtime": "3.13"},
    ],
)
def test_a_guard_that_could_never_fire_or_smoke_what_is_not_there_is_refused(
    guard: dict[str, object],
) -> None:
    assert refused(guard=guard).code == Code.SETTINGS_INVALID
