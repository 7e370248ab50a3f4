"""What invokes functions past their alias, made as people make it: `can`, `verify` and the report list it by name."""

from __future__ import annotations

import json

from tests.e2e.estate_under_test import ALICE, DAN, ROLLBACK, Platform, Run

GET = "team-service-get"


def bypasses(run: Run) -> set[tuple[str, str, str]]:
    """Kind, function and qualifier of all that `verify` has listed."""
    return {(one["kind"], one["function"], one["qualifier"]) for one in run.json["bypasses"]}


def test_traffic_that_no_rollback_would_move_is_named_by_can_verify_and_the_report(dev: Platform) -> None:
    dev.story()
    clean = dev.rollback("verify", "--json", as_=ALICE)
    past = everything_goes_past_the_alias(dev)

    verify = dev.rollback("verify", "--json", as_=ALICE)
    can = dev.rollback("can", "--json", as_=DAN)
    page = dev.rollback("report", "--file", "-", as_=ALICE)
    rolled_back = dev.rollback("lambda", "--reason", "500s", "--json", as_=ALICE)

    assert (clean.code, clean.json["bypasses"], clean.json["not_looked_at"]) == (0, [], [])
    name = dev.name(GET)
    assert verify.code == 5, str(verify)
    assert bypasses(verify) == {
        ("event source mapping", name, ""),
        ("function URL", name, ""),
        ("REST API", name, ""),
        ("REST API", name, "$LATEST"),
        ("HTTP API", name, "2"),
        ("environment variable", name, ""),
        ("EventBridge rule", name, ""),
        ("EventBridge schedule", name, ""),
    }
    assert [one["ok"] for one in verify.json["verification"] if one["check"] == "traffic"] == [False]
    assert past in verify.out, "the source is named"
    found = [one for one in can.json["findings"] if one["check"] == "traffic"]
    assert can.code == 3, str(can)
    assert len(found) == len(bypasses(verify))
    assert all(one["against"] and one["subject"] == name and f"{name}:live" in one["hint"] for one in found)
    assert past in page.out
    assert rolled_back.code == 0, "it keeps nobody from relief, and does not slow it"
    assert "bypass" not in rolled_back.screen


def test_what_a_role_may_not_look_at_is_named_and_never_taken_for_nothing(dev: Platform) -> None:
    dev.story()
    denied = {
        "Effect": "Deny",
        "Action": ["apigateway:GET", "events:ListEventBuses", "lambda:GetFunctionUrlConfig"],
        "Resource": "*",
    }
    dev.root_client("iam").put_role_policy(
        RoleName=dev.settings.names.role(ROLLBACK),
        PolicyName="less",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [denied]}),
    )

    verify = dev.rollback("verify", "--json", as_=ALICE)
    can = dev.rollback("can", "--json", as_=ALICE)

    unlooked = verify.json["not_looked_at"]
    assert [why.partition(":")[0] for why in unlooked] == ["APIs", "EventBridge rules", "function URLs"]
    traffic = next(one for one in verify.json["verification"] if one["check"] == "traffic")
    assert verify.code == 0, "what stands is as recorded"
    assert all(f"not checked: {why}" in traffic["detail"] for why in unlooked)
    assert {one["answer"] for one in can.json["findings"] if one["check"] == "traffic"} == {"not known"}
    assert can.code == 3, "what could not be asked is no yes"


def everything_goes_past_the_alias(dev: Platform) -> str:
    """Everything that invokes a function, once past the alias and once through it; returns the mapping's id."""
    name, account, region = dev.name(GET), dev.settings.account, dev.settings.region
    arn = f"arn:aws:lambda:{region}:{account}:function:{name}"
    uri = f"arn:aws:apigateway:{region}:lambda:path/2015-03-31/functions/{{}}/invocations"
    functions = dev.root_client("lambda")
    queues = dev.root_client("sqs")
    mappings = []
    for queue, target in (("teams", name), ("teams-live", f"{name}:live")):
        queues.create_queue(QueueName=queue)
        source = f"arn:aws:sqs:{region}:{account}:{queue}"
        made = functions.create_event_source_mapping(EventSourceArn=source, FunctionName=target)
        mappings.append(made["UUID"])
    functions.create_function_url_config(FunctionName=name, AuthType="AWS_IAM")
    functions.create_function_url_config(FunctionName=name, AuthType="AWS_IAM", Qualifier="live")
    variables = {"TEAMS": name, "TEAMS_LIVE": f"{arn}:live", "POWERTOOLS_SERVICE_NAME": name}
    functions.update_function_configuration(
        FunctionName=dev.name("audit-service-record"), Environment={"Variables": variables}
    )
    rest = dev.root_client("apigateway")
    api = rest.create_rest_api(name="teams")["id"]
    root = rest.get_resources(restApiId=api)["items"][0]["id"]
    for method, target in (("GET", arn), ("PUT", f"{arn}:live"), ("POST", f"{arn}:${{stageVariables.at}}")):
        of = {"restApiId": api, "resourceId": root, "httpMethod": method}
        rest.put_method(**of, authorizationType="AWS_IAM")
        rest.put_integration(**of, type="AWS_PROXY", integrationHttpMethod="POST", uri=uri.format(target))
    deployed = rest.create_deployment(restApiId=api)["id"]
    for stage, at in (("live", "live"), ("next", "$LATEST")):
        rest.create_stage(restApiId=api, stageName=stage, deploymentId=deployed, variables={"at": at})
    http = dev.root_client("apigatewayv2")
    web = http.create_api(Name="teams", ProtocolType="HTTP")["ApiId"]
    for target in (f"{arn}:2", f"{arn}:live"):
        http.create_integration(
            ApiId=web, IntegrationType="AWS_PROXY", IntegrationUri=target, PayloadFormatVersion="2.0"
        )
    events, scheduler = dev.root_client("events"), dev.root_client("scheduler")
    for rule, target, state in (
        ("a", arn, "ENABLED"),
        ("b", f"{arn}:live", "ENABLED"),
        ("c", arn, "DISABLED"),
    ):
        events.put_rule(Name=rule, ScheduleExpression="rate(1 day)", State=state)
        events.put_targets(Rule=rule, Targets=[{"Id": "1", "Arn": target}])
        scheduler.create_schedule(
            Name=rule,
            ScheduleExpression="rate(1 days)",
            FlexibleTimeWindow={"Mode": "OFF"},
            State=state,
            Target={"Arn": target, "RoleArn": f"arn:aws:iam::{account}:role/schedules"},
        )
    return str(mappings[0])
