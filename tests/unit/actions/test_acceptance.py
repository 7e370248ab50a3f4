"""What a run of the acceptance makes is found again by its name, and its outcomes decide how the command ends."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from rollback.config.settings import Settings
from rollback.rehearsal.acceptance import names, removal
from rollback.rehearsal.acceptance import view as views
from rollback.rehearsal.acceptance.fact import (
    Fact,
    Finding,
    Outcome,
    Report,
)
from rollback.rehearsal.acceptance.names import Kind, Resource, SandboxNames
from rollback.rehearsal.acceptance.run import (
    FACTS,
    found,
    idle_version,
    judged,
)
from rollback.rehearsal.acceptance.sandbox import Left
from rollback.util.clocks import Clocks
from rollback.util.errors import Code, RollbackError, UsageError
from tests.doubles.world import settings

LONGEST = "a" * 20
RUN = "01m8hxtf0117x5z2"
LEFT = Left(Resource(Kind.TABLE, "t"), "not allowed", ("aws dynamodb delete-table --table-name t",))


def fact(name: str) -> Fact:
    return next(one for one in FACTS if one.name == name)


def reported(*outcomes: Outcome, **more: Any) -> Report:
    findings = [
        Finding(fact=one, outcome=outcome, detail="so it is")
        for one, outcome in zip(FACTS, outcomes, strict=False)
    ]
    return Report(
        run=RUN,
        environment="dev",
        account="111122223333",
        region="eu-west-1",
        endpoint="https://lambda.eu-west-1.amazonaws.com",
        findings=findings,
        **more,
    )


@pytest.mark.parametrize("prefix", ["acme", LONGEST, f"{'a' * 18}-b"])
def test_every_name_fits_where_it_is_given_and_is_known_again(prefix: str) -> None:
    of = settings(prefix=prefix)
    made = SandboxNames(of, names.new_run(Clocks(now=str).identifier()))

    for one in made.resources:
        # "Bucket naming rules", Amazon S3 User Guide; "Lambda quotas" and "IAM and AWS STS quotas" for the others.
        assert len(one.name) <= (63 if one.kind is Kind.BUCKET else 64)
        assert one.name == one.name.lower()
        at = names.begun(of, one.name)
        assert at is not None
        assert abs(at - datetime.now(UTC)) < timedelta(minutes=1)
    assert len({one.kind for one in made.resources}) == len(Kind)


@pytest.mark.parametrize(
    "name",
    [
        "acme-dev-acceptance-",
        "acme-dev-acceptance-tests",
        f"acme-dev-acceptance-{RUN}-",
        f"acme-dev-acceptance-{RUN}-third",
        f"acme-dev-acceptance-{RUN}x",
        f"acme-sit-acceptance-{RUN}",
        f"acme-dev-acceptance-u{RUN[1:]}",
        f"acme-dev-acceptance-z{RUN[1:]}",
        "acme-dev-lambda-teams-get",
    ],
)
def test_a_name_that_no_run_gives_is_nobodys_leftover(name: str) -> None:
    assert names.begun(settings(), name) is None


def test_names_of_facts_are_words_that_tell_them_apart_and_each_has_a_page() -> None:
    assert len({one.name for one in FACTS}) == len(FACTS)
    assert all(one.source.startswith("https://docs.aws.amazon.com/") for one in FACTS)
    assert all(text.endswith(".") for one in FACTS for text in (one.says, one.why))


@pytest.mark.parametrize(
    ("report", "code", "exit_code"),
    [
        (reported(Outcome.HOLDS, Outcome.DIFFERS, Outcome.DENIED, left=[LEFT]), Code.FACT_DIFFERS, 5),
        (reported(Outcome.HOLDS, Outcome.FAILED, stopped=True), Code.INTERRUPTED, 1),
        (reported(Outcome.HOLDS, Outcome.DENIED, Outcome.FAILED), Code.ACCESS_DENIED, 3),
        (reported(Outcome.HOLDS, Outcome.FAILED), Code.AWS_ERROR, 1),
        (reported(Outcome.HOLDS, Outcome.SKIPPED, left=[LEFT]), Code.SANDBOX_LEFT, 1),
    ],
)
def test_the_worst_outcome_decides_the_exit_code(report: Report, code: Code, exit_code: int) -> None:
    with pytest.raises(RollbackError) as raised:
        judged(report)

    assert (raised.value.code, raised.value.exit_code) == (code, exit_code)
    assert all(str(one.resource) in raised.value.changed for one in report.left)


def test_facts_that_hold_beside_some_that_cannot_be_tried_here_are_exit_0() -> None:
    judged(reported(Outcome.HOLDS, Outcome.SKIPPED))


@pytest.mark.parametrize(
    "text", ["name", ":7", "name:", "name:$LATEST", "name:live", "name:७", "na\x1b[2Jme:7"]
)
def test_an_idle_version_is_a_function_and_a_number(text: str) -> None:
    with pytest.raises(UsageError) as raised:
        idle_version(text)

    assert raised.value.code is Code.OPTION_INVALID


def test_an_idle_version_may_be_named_by_a_functions_arn() -> None:
    arn = "arn:aws:lambda:eu-west-1:111122223333:function:orders"

    assert (idle_version(f"{arn}:7"), idle_version("")) == ((arn, "7"), None)


def stated(
    of: Settings, control_plane: float, get_function: float, *, name: str = "Rate of {} API requests"
) -> Any:
    """The outcome where Service Quotas states these."""
    client = boto3.client(
        "service-quotas", region_name="eu-west-1", aws_access_key_id="x", aws_secret_access_key="x"
    )
    stub = Stubber(client)
    for kind, value in (("control plane", control_plane), ("GetFunction", get_function)):
        stub.add_response("get_service_quota", {"Quota": {"QuotaName": name.format(kind), "Value": value}})
    sandbox: Any = SimpleNamespace(account=SimpleNamespace(settings=of, client=lambda *_, **__: client))
    with stub:
        return found(fact("stated-quotas"), sandbox)[0]


def test_the_pace_of_the_settings_has_to_be_within_the_quotas_that_are_stated() -> None:
    of = settings(pace={"writes": 14.9, "burst": 13, "reads": 95})

    assert stated(of, 15, 100) is Outcome.HOLDS
    assert stated(of, 10, 100) is Outcome.DIFFERS
    assert stated(of, 15, 50) is Outcome.DIFFERS
    assert stated(of, 15, 100, name="Concurrent executions") is Outcome.SKIPPED


def test_what_is_not_there_any_more_counts_as_removed_and_the_functions_role_goes_last() -> None:
    of, asked = settings(), list[str]()

    def gone(service: str) -> Any:
        def call(**request: Any) -> Any:
            asked.append(service)
            error = {"iam": "NoSuchEntity", "s3": "NoSuchBucket"}.get(service, "ResourceNotFoundException")
            raise boto3.client("iam", region_name="x").exceptions.ClientError(
                {"Error": {"Code": error}}, "Any"
            )

        pages = SimpleNamespace(paginate=call)
        return SimpleNamespace(
            delete_function=call,
            delete_table=call,
            list_role_policies=call,
            get_paginator=lambda _: pages,
        )

    assert removal.remove(gone, of, SandboxNames(of, RUN).resources) == []
    assert asked == ["lambda", "s3", "dynamodb", "iam", "iam", "iam"]


def test_a_table_that_is_still_being_made_is_removed_as_soon_as_it_can_be() -> None:
    answers, slept = ["ResourceInUseException", "ResourceInUseException", ""], list[float]()

    def delete_table(**request: Any) -> None:
        if error := answers.pop(0):
            raise boto3.client("iam", region_name="x").exceptions.ClientError(
                {"Error": {"Code": error}}, "Any"
            )

    dynamodb = SimpleNamespace(delete_table=delete_table)

    left = removal.remove(lambda _: dynamodb, settings(), [Resource(Kind.TABLE, "t")], sleep=slept.append)

    assert (left, answers, len(slept)) == ([], [], 2)


def test_the_document_says_of_each_fact_what_came_of_it_and_why_nothing_did() -> None:
    document = views.document(
        reported(Outcome.HOLDS, Outcome.DIFFERS, Outcome.SKIPPED, Outcome.DENIED, Outcome.FAILED, left=[LEFT])
    )

    assert [(one["outcome"], one["because"]) for one in document["facts"]] == [
        ("holds", None),
        ("does-not-hold", None),
        ("not-tried", "skipped"),
        ("not-tried", "denied"),
        ("not-tried", "failed"),
    ]
    assert document["counts"] == {"holds": 1, "does-not-hold": 1, "not-tried": 3}
    assert document["left"] == [
        {"resource": "table t", "why": "not allowed", "commands": list(LEFT.commands)}
    ]
