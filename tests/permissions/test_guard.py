"""Where a guard is declared: what it may, what nobody else may to it and to its alarms; decided by a simulator of IAM."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest

from components.boundary import boundary
from components.of_settings import scope_of
from components.permissions import function_policies, inline_policy
from components.policies import Document, Scope, document, statement
from localaws.paths import ROOT
from rollback.config.naming import APPROVER, DEPLOYER, DRILL, GUARD, RESTORE, ROLLBACK
from rollback.config.settings import load
from tests.permissions.simulator.judging import Request, Verdict, judge

TEAMS = (DEPLOYER, ROLLBACK, APPROVER, RESTORE, DRILL)
ACCOUNT, REGION = "536580886816", "eu-west-1"
_HERE = f"{REGION}:{ACCOUNT}"
LEDGER = f"arn:aws:dynamodb:{_HERE}:table/bbws-access-dev-ddb-deployments"
FUNCTION = f"arn:aws:lambda:{_HERE}:function:bbws-access-dev-lambda-team-service-get"
OWN = f"arn:aws:lambda:{_HERE}:function:bbws-access-dev-guard"
ALARM = f"arn:aws:cloudwatch:{_HERE}:alarm:bbws-access-dev-guard-team-service"
OTHER_ALARM = f"arn:aws:cloudwatch:{_HERE}:alarm:payments"
ALARMS_TOPIC, REPORTS = (
    f"arn:aws:sns:{_HERE}:bbws-access-dev-guard-{name}" for name in ("alarms", "reports")
)
FAILED = f"arn:aws:sqs:{_HERE}:bbws-access-dev-guard-failed"
SCHEDULE = f"arn:aws:scheduler:{_HERE}:schedule/default/bbws-access-dev-guard-01J"
NIGHTLY = f"arn:aws:scheduler:{_HERE}:schedule/default/nightly"
ITS_ROLE, ROLE = (
    f"arn:aws:iam::{ACCOUNT}:role/bbws-access-dev-{name}" for name in ("guard-schedule-role", "rollback-role")
)
SCHEDULER = {"iam:PassedToService": "scheduler.amazonaws.com"}
TRAIL = "arn:aws:s3:::bbws-access-dev-audit-trail-536580886816"


def key(name: str) -> dict[str, tuple[str, ...]]:
    return {"dynamodb:LeadingKeys": (name,)}


# What, its actions, on what, under which condition keys, and who may of the teams' roles and the guard.
# fmt: off
ROWS = (
    ("move an alias", "lambda:UpdateAlias", FUNCTION, {}, {DEPLOYER, ROLLBACK, GUARD}),
    ("write a record", "dynamodb:PutItem", LEDGER, key("ROLLBACK#01J"), {DEPLOYER, ROLLBACK, GUARD}),
    ("record a release", "dynamodb:PutItem", LEDGER, key("DEPLOYMENT#01J"), {DEPLOYER}),
    ("approve", "dynamodb:PutItem", LEDGER, key("APPROVAL#01J"), {APPROVER}),
    ("read an approval", "dynamodb:Query", LEDGER, key("APPROVAL#01J"), {DEPLOYER, ROLLBACK, GUARD}),
    ("deploy", "lambda:UpdateFunctionCode", FUNCTION, {}, {DEPLOYER}),
    ("assume the restore role", "sts:AssumeRole", f"arn:aws:iam::{ACCOUNT}:role/bbws-access-dev-restore-role", {}, {ROLLBACK}),
    ("see alarms", "cloudwatch:DescribeAlarms", ALARM, {}, {DEPLOYER, ROLLBACK, GUARD}),
    ("see what alarms were", "cloudwatch:DescribeAlarmHistory", ALARM, {}, {DEPLOYER, ROLLBACK, GUARD}),
    ("try the guard", "lambda:InvokeFunction", OWN, {}, {ROLLBACK}),
    ("see the guard", "lambda:GetFunctionConfiguration", OWN, {}, {ROLLBACK}),
    ("see what it could not answer", "sqs:GetQueueAttributes", FAILED, {}, {ROLLBACK}),
    ("see since when", "sqs:ReceiveMessage", FAILED, {}, {ROLLBACK}),
    ("delete what it could not answer", "sqs:DeleteMessage", FAILED, {}, set()),
    ("delete all that it could not answer", "sqs:PurgeQueue", FAILED, {}, set()),
    ("hide what it could not answer", "sqs:ChangeMessageVisibility", FAILED, {}, set()),
    ("report", "sns:Publish", REPORTS, {}, {GUARD}),
    ("hand on what it could not answer", "sqs:SendMessage", FAILED, {}, {GUARD}),
    ("look later", "scheduler:CreateSchedule", SCHEDULE, {}, {GUARD}),
    ("schedule something else", "scheduler:CreateSchedule", NIGHTLY, {}, set()),
    ("have the schedule invoke it", "iam:PassRole", ITS_ROLE, SCHEDULER, {GUARD}),
    ("have another service act as the schedule", "iam:PassRole", ITS_ROLE, {"iam:PassedToService": "lambda.amazonaws.com"}, set()),
    ("write to the trail's approvals", "s3:PutObject", f"{TRAIL}/approvals/01J/bob.json", {}, {APPROVER}),
)
# What nobody may whatever they are given: not under the boundary.
NEVER = (
    *((f"{verb} of a guard's alarm", f"cloudwatch:{verb}", ALARM)
      for verb in ("SetAlarmState", "PutMetricAlarm", "PutCompositeAlarm", "DeleteAlarms", "DisableAlarmActions")),
    ("publish as an alarm", "sns:Publish", ALARMS_TOPIC),
    ("let others publish as alarms", "sns:SetTopicAttributes", ALARMS_TOPIC),
    *((f"{verb} of the guard", f"lambda:{verb}", OWN)
      for verb in ("UpdateFunctionCode", "UpdateFunctionConfiguration", "AddPermission", "PutFunctionConcurrency", "DeleteFunction")),
    ("pass another role", "iam:PassRole", ROLE),
    ("set another alarm", "cloudwatch:SetAlarmState", OTHER_ALARM),
)
# fmt: on


def scope() -> Scope:
    of = scope_of(load(ROOT, "dev"))
    functions = (of.names.function("team-service-get"), of.names.function("role-service-list"))
    return replace(of, functions=functions, guard=True, alarms=True)


@cache
def verdicts() -> dict[tuple[str, str], Verdict]:
    """(role, what) → what IAM says; of `NEVER` for roles that are given everything."""
    of = scope()
    known: dict[str, Document] = {
        "boundary": boundary(of),
        "everything": document([statement("Ceiling", ["*"], "*")]),
    }
    held: dict[str, tuple[str, ...]] = {}
    for role in (*TEAMS, GUARD):
        made = [inline_policy(role, of), *function_policies(role, of)]
        known |= {f"{role} {number}": one for number, one in enumerate(made)}
        held[role] = tuple(f"{role} {number}" for number in range(len(made)))
    asked: dict[tuple[str, str], Request] = {}

    def ask(role: str, what: str, action: str, on: str, keys: dict[str, object], *more: str) -> None:
        name = of.names.role(role)
        asked[role, what] = Request(
            principal=f"arn:aws:sts::{ACCOUNT}:assumed-role/{name}/somebody",
            action=action,
            resource=on,
            account=ACCOUNT,
            context={"aws:PrincipalArn": of.role(role), **keys},  # type: ignore[dict-item] # texts and tuples of them
            identity=(*held[role], *more),
            boundary="boundary",
        )

    for role in (*TEAMS, GUARD):
        for what, action, on, keys, _ in ROWS:
            ask(role, what, action, on, dict(keys))
        for what, action, on in NEVER:
            ask(role, what, action, on, {}, "everything")
    return dict(zip(asked, judge(asked.values(), known), strict=True))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_who_may_where_a_guard_is_declared(row: tuple[str, str, str, dict[str, object], set[str]]) -> None:
    what, *_, may = row

    assert {role for role in (*TEAMS, GUARD) if verdicts()[role, what].allowed} == may
    assert not {verdicts()[role, what].problem for role in TEAMS} - {None, ""}, "AWS knows the action"


@pytest.mark.parametrize("row", NEVER, ids=lambda row: row[0])
def test_nobody_under_the_boundary_touches_the_guard_or_its_alarms_whatever_they_are_given(
    row: tuple[str, str, str],
) -> None:
    assert [role for role in (*TEAMS, GUARD) if verdicts()[role, row[0]].allowed] == []
