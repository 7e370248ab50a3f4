"""Pruning under the deployer role: a preview, then the deletion; interrupted, and refused where it must be."""

from __future__ import annotations

import re
import shlex

import pytest
from botocore.exceptions import ClientError

from tests.e2e.estate_under_test import ALICE, DAN, FUNCTIONS, REASON, Platform
from tests.proxy import Proxy

USED = "role-service-get"
WHY = "the code storage is nearly full"


def numbers(dev: Platform, tail: str) -> list[str]:
    found = dev.root_client("lambda").list_versions_by_function(FunctionName=dev.name(tail))["Versions"]
    return [item["Version"] for item in found if item["Version"] != "$LATEST"]


def test_what_no_release_needs_is_deleted_and_the_rest_is_not(dev: Platform) -> None:
    dev.story()
    dev.root_client("lambda").create_alias(FunctionName=dev.name(USED), Name="canary", FunctionVersion="1")

    shown = dev.rollback("prune", "--keep", "2", "--reason", WHY, as_=DAN)
    untouched = numbers(dev, "team-service-get")
    typed = re.search(
        rf"next: rollback (prune --env dev --keep 2 --reason '{WHY}' --digest [0-9a-f]+)", shown.screen
    )
    assert typed, str(shown)
    run = dev.rollback(*shlex.split(typed[1]), "--json", as_=DAN, env=False)

    assert shown.code == 0, str(shown)
    assert "18 versions → 13 versions   5 to delete" in shown.screen
    assert untouched == ["1", "2", "3"]
    assert run.code == 0, str(run)
    assert (run.json["status"], run.json["kind"], run.json["reason"]) == ("COMPLETE", "prune", WHY)
    assert run.json["initiated_by"] == {"role": "bbws-access-dev-github-actions-role", "person": "dan"}
    assert {one["name"]: one["deleted"] for one in run.json["functions"]} == {
        dev.name(tail): [] if tail == USED else [1] for tail in FUNCTIONS
    }
    assert numbers(dev, USED) == ["1", "2", "3"], "another alias stands at it"
    assert {tuple(numbers(dev, tail)) for tail in FUNCTIONS if tail != USED} == {("2", "3")}
    answer = dev.rollback("history", "--kind", "prune", as_=ALICE)
    assert run.id in answer.screen
    assert "−5" in answer.screen
    gone = dev.rollback("lambda", "--to", "v1.0.0", "--reason", REASON, as_=ALICE)
    assert gone.code == 3, str(gone)
    assert f"version 1 no longer exists: deleted by prune {run.id}" in gone.err
    assert dev.rollback("lambda", "--reason", REASON, as_=ALICE).code == 0, "previous is there"
    assert dev.rollback("audit", as_=ALICE).code == 0


@pytest.mark.soak  # tests/integration/targets/prune/test_target.py kills it at any write; the next test here kills the process
def test_a_killed_one_blocks_others_and_goes_on_when_it_is_typed_again(dev: Platform, proxy: Proxy) -> None:
    dev.story()
    held = proxy.hold("DeleteFunction", nth=3)
    typed = ("prune", "--keep", "2", "--reason", WHY, "--yes", "--json")
    running = dev.start(*typed, as_=DAN, endpoint=proxy.endpoint)
    held.wait()
    running.kill()
    held.release(forward=False)

    quarantined = dev.rollback("lambda", "--to", "v1.0.0", "--reason", REASON, as_=ALICE)
    dev.rollback("freeze", "--reason", "looking into it", "--json", as_=ALICE)
    frozen = dev.rollback(*typed, as_=DAN)
    dev.rollback("unfreeze", "--reason", "seen enough", "--json", as_=ALICE)
    run = dev.rollback(*typed, as_=DAN)

    assert quarantined.code == 3, str(quarantined)
    assert "holds the lease" in quarantined.err
    assert frozen.code == 3, str(frozen)
    assert "dev is frozen: alice" in frozen.err
    assert run.code == 0, str(run)
    assert run.json["counts"]["moved"] == len(FUNCTIONS), "those of the killed process are among them"
    assert {tuple(numbers(dev, tail)) for tail in FUNCTIONS} == {("2", "3")}


@pytest.mark.finding("D1")
@pytest.mark.parametrize(
    "other",
    [
        ("--keep", "3", "--reason", WHY),
        pytest.param(("--keep", "2", "--reason", "another one"), marks=pytest.mark.soak),
    ],
    ids=["more kept", "another reason"],
)
def test_an_interrupted_one_goes_on_only_as_it_was_asked(
    dev: Platform, proxy: Proxy, other: tuple[str, ...]
) -> None:
    dev.story()
    held = proxy.hold("DeleteFunction", nth=2)
    typed = ("prune", "--keep", "2", "--reason", WHY, "--yes", "--json")
    running = dev.start(*typed, as_=DAN, endpoint=proxy.endpoint)
    held.wait()
    running.kill()
    held.release(forward=False)
    begun = dev.rollback("history", "--kind", "prune", "--json", as_=DAN).json[0]["rollback_id"]
    before = {tail: numbers(dev, tail) for tail in FUNCTIONS}

    refused = dev.rollback("prune", *other, "--yes", "--json", as_=DAN)
    shown = dev.rollback("prune", *other, as_=DAN)

    assert (refused.code, refused.error["code"]) == (3, "LEASE_HELD"), str(refused)
    assert {tail: numbers(dev, tail) for tail in FUNCTIONS} == before
    assert begun in refused.err
    assert shown.code == 0, str(shown)
    assert f"rollback resume {begun}" in shown.screen
    run = dev.rollback("resume", begun, "--json", as_=DAN)
    assert run.code == 0, str(run)
    assert {tuple(numbers(dev, tail)) for tail in FUNCTIONS} == {("2", "3")}


@pytest.mark.soak  # tests/integration/targets/prune/test_target.py has all that Lambda says uses a version
@pytest.mark.finding("D2")
def test_a_version_that_is_used_by_its_own_arn_stays(dev: Platform) -> None:
    dev.story()
    functions, queues = dev.root_client("lambda"), dev.root_client("sqs")
    mapped, permitted, configured, invoked, *others = FUNCTIONS
    queue = queues.create_queue(QueueName="orders")["QueueUrl"]
    source = queues.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"][
        "QueueArn"
    ]
    functions.create_event_source_mapping(
        EventSourceArn=source, FunctionName=f"{dev.name(mapped)}:1", Enabled=False
    )
    functions.add_permission(
        FunctionName=dev.name(permitted),
        Qualifier="1",
        StatementId="rule",
        Action="lambda:InvokeFunction",
        Principal="events.amazonaws.com",
    )
    functions.put_function_event_invoke_config(
        FunctionName=dev.name(configured), Qualifier="1", MaximumRetryAttempts=0
    )
    name = dev.name(invoked)
    dimensions = [{"Name": "FunctionName", "Value": name}, {"Name": "Resource", "Value": f"{name}:1"}]
    dev.root_client("cloudwatch").put_metric_data(
        Namespace="AWS/Lambda",
        MetricData=[{"MetricName": "Invocations", "Dimensions": dimensions, "Value": 1}],
    )

    run = dev.rollback("prune", "--keep", "2", "--reason", WHY, "--yes", "--json", as_=DAN)

    assert run.code == 0, str(run)
    kept = {one["name"]: one["kept"].get("1") for one in run.json["functions"]}
    assert kept == {
        dev.name(mapped): "an event source mapping",
        dev.name(permitted): "somebody is permitted to invoke it",
        dev.name(configured): "an event invoke configuration",
        name: "invoked within two weeks",
        **{dev.name(other): None for other in others},
    }
    assert {tail: "1" in numbers(dev, tail) for tail in FUNCTIONS} == {
        tail: tail not in others for tail in FUNCTIONS
    }


@pytest.mark.finding("D1")
def test_exactly_what_was_shown_is_deleted_or_nothing(dev: Platform) -> None:
    dev.story()
    typed = ("prune", "--keep", "2", "--reason", WHY, "--json")
    shown = dev.rollback(*typed, as_=DAN)
    dev.root_client("lambda").create_alias(FunctionName=dev.name(USED), Name="canary", FunctionVersion="1")

    refused = dev.rollback(*typed, "--digest", shown.json["digest"], as_=DAN)
    untouched = {tuple(numbers(dev, tail)) for tail in FUNCTIONS}
    again = dev.rollback(*typed, as_=DAN)
    run = dev.rollback(*typed, "--digest", again.json["digest"][:16], as_=DAN)

    assert (refused.code, refused.error["code"]) == (3, "DIGEST_MISMATCH"), str(refused)
    assert untouched == {("1", "2", "3")}
    assert run.code == 0, str(run)
    assert run.json["digest"] == again.json["digest"]
    assert {tuple(numbers(dev, tail)) for tail in FUNCTIONS if tail != USED} == {("2", "3")}


def test_the_roles_policies_let_versions_go_and_no_function(dev: Platform) -> None:
    dev.story()
    deployer, on_call = dev.client("lambda", DAN), dev.client("lambda", ALICE)
    name = dev.name("team-service-get")

    for client, more in ((deployer, {}), (on_call, {"Qualifier": "1"})):
        with pytest.raises(ClientError, match="AccessDenied"):
            client.delete_function(FunctionName=name, **more)
    assert dev.rollback("prune", "--keep", "2", "--reason", WHY, "--yes", as_=ALICE).code == 1
    assert dev.rollback("prune", "--keep", "2", "--yes", as_=DAN).code == 2, "a reason is needed"
    assert numbers(dev, "team-service-get") == ["1", "2", "3"]

    deployer.delete_function(FunctionName=name, Qualifier="1")
    assert numbers(dev, "team-service-get") == ["2", "3"]
