"""A run leaves an account as it was: at its end, after an interruption, and of what an earlier run has left."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError
from moto import mock_aws

from localaws import quota, shell
from localaws.clients import root
from localaws.emulator.server import Emulator
from rollback.aws.account import Account, connect
from rollback.config.settings import Settings, parse
from rollback.rehearsal.acceptance import function_facts, names, removal
from rollback.rehearsal.acceptance.fact import Fact, Outcome, Report
from rollback.rehearsal.acceptance.names import Kind, Resource, SandboxNames
from rollback.rehearsal.acceptance.run import FACTS, Acceptance, judged
from rollback.rehearsal.acceptance.sandbox import Sandbox
from rollback.util.errors import (
    Code,
    Refused,
    RollbackError,
    StoppedAtOnce,
    VerificationFailed,
)
from tests.doubles.world import texts
from tests.integration.actions.acceptance.conftest import IDENTIFIER, now, things

NAMES = [fact.name for fact in FACTS]


def run(account: Account, **more: Any) -> Acceptance:
    of = account.settings
    return Acceptance(
        **{
            "account": account,
            "names": SandboxNames(of, names.new_run(IDENTIFIER())),
            "now": now,
            "stop": threading.Event(),
            "notice": lambda _: None,
            "older_than": 60,
            **more,
        }
    )


def by_outcome(report: Report) -> dict[Outcome, set[str]]:
    return {outcome: {one.fact.name for one in found} for outcome in Outcome if (found := report.of(outcome))}


def then(fact: Fact, do: Callable[[], None]) -> Fact:
    """The fact, after which something happens."""

    def tried(sandbox: Sandbox) -> str:
        detail = fact.tried(sandbox)
        do()
        return detail

    return Fact(name=fact.name, says=fact.says, why=fact.why, source=fact.source, tried=tried)


def test_with_the_permissions_that_are_listed_every_fact_is_tried_and_nothing_is_left(
    emulator: Emulator, administrator: Account, of: Settings
) -> None:
    before, making = things(emulator.endpoint, of), list[str]()

    acceptance = run(administrator, notice=making.append)
    report = acceptance.run()

    assert by_outcome(report) == {
        Outcome.HOLDS: set(NAMES) - {"missing-version", "inactive-version", "audit-bucket", "stated-quotas"},
        Outcome.DIFFERS: {"missing-version"},
        Outcome.SKIPPED: {"inactive-version", "audit-bucket", "stated-quotas"},
    }
    assert (report.left, things(emulator.endpoint, of)) == ([], before)
    # `--dry-run` lists all that is made.
    assert sorted(making) == sorted(f"Creating {one}" for one in acceptance.names.resources)
    with pytest.raises(VerificationFailed) as raised:
        judged(report)
    assert raised.value.code is Code.FACT_DIFFERS


def test_who_may_nothing_makes_nothing_and_is_refused(
    emulator: Emulator, person: Callable[..., Account], of: Settings
) -> None:
    before = things(emulator.endpoint, of)

    report = run(person("nobody")).run()

    assert {*by_outcome(report)} == {Outcome.DENIED, Outcome.SKIPPED, Outcome.HOLDS}
    assert (by_outcome(report)[Outcome.HOLDS], report.left) == ({"clocks"}, [])
    assert things(emulator.endpoint, of) == before
    with pytest.raises(Refused) as raised:
        judged(report)
    assert raised.value.code is Code.ACCESS_DENIED


@pytest.mark.soak  # test_who_asks_twice_is_named_what_may_be_left; here its lines are typed
def test_what_cannot_be_removed_is_named_with_lines_that_remove_it(
    emulator: Emulator, person: Callable[..., Account], of: Settings, tmp_path: Path
) -> None:
    before = things(emulator.endpoint, of)
    kept = [
        "iam:DeleteRole",
        "lambda:DeleteFunction",
        "dynamodb:DeleteTable",
        "s3:DeleteBucket",
        "s3:BypassGovernanceRetention",
    ]
    policy = names.policy(of)
    policy["Statement"] = [*policy["Statement"], {"Effect": "Deny", "Action": kept, "Resource": "*"}]  # type: ignore[misc] # a list
    wanted = [one for one in FACTS if one.name in ("revision-changes", "locked-version", "conditional-put")]

    report = run(person("careful", policy), facts=wanted).run()

    assert {one.resource.kind for one in report.left} == set(Kind)
    assert all(one.why for one in report.left)
    with pytest.raises(RollbackError) as raised:
        judged(report)
    assert raised.value.code is Code.SANDBOX_LEFT
    here = shell.environment(emulator.endpoint, of, identity=root(of), folder=tmp_path)
    for line in raised.value.next.splitlines():
        done = subprocess.run(
            ["bash", "-ec", line],
            env={**shell.inherited(), **here},
            capture_output=True,
            text=True,
            check=False,
        )
        # Only the second and third role have a policy, perhaps.
        assert done.returncode == 0 or "NoSuchEntity" in done.stderr, f"{line}\n{done.stderr}"
    assert things(emulator.endpoint, of) == before


def test_a_run_that_is_killed_is_cleared_away_by_the_next_one_an_hour_later(
    emulator: Emulator, administrator: Account, new: Callable[..., Sandbox], of: Settings
) -> None:
    before = things(emulator.endpoint, of)
    killed = new(administrator)
    assert all((killed.function, killed.table, killed.bucket, killed.second_role))
    FACTS[NAMES.index("locked-version")].tried(killed)
    said: list[str] = []

    early = run(administrator, facts=(), notice=said.append).run()
    late = run(administrator, facts=(), notice=said.append, now=lambda: now() + timedelta(minutes=61)).run()

    assert (early.removed, early.left, late.left) == ([], [], [])
    assert sorted(late.removed) == sorted(map(str, killed.names.resources))
    assert len(said) == len(late.removed)
    assert things(emulator.endpoint, of) == before


def test_nothing_that_another_has_made_is_taken_for_a_leftover(of: Settings) -> None:
    old = SandboxNames(of, names.new_run("01JDHXQ0000000000000000000"))
    mine, another = old.base, "acme-dev-acceptance-tests"

    class Listed:
        def get_paginator(self, operation: str) -> Any:
            pages = {
                "list_functions": {"Functions": [{"FunctionName": mine}, {"FunctionName": another}]},
                "list_tables": {"TableNames": [mine, f"{mine}-copy", "acme-dev-ddb-deployments"]},
                "list_roles": {"Roles": [{"RoleName": f"{mine}-first"}, {"RoleName": f"{mine}-third"}]},
            }
            return type("Pages", (), {"paginate": lambda _: [pages[operation]]})()

        def list_buckets(self) -> Any:
            return {"Buckets": [{"Name": "acme-sit-acceptance-01jdhxq000000000"}, {"Name": mine}]}

    assert removal.abandoned(lambda _: Listed(), of, now()) == [
        Resource(Kind.FUNCTION, mine),
        Resource(Kind.BUCKET, mine),
        Resource(Kind.TABLE, mine),
        Resource(Kind.ROLE, f"{mine}-first"),
    ]


def test_who_asks_to_stop_finds_everything_removed(
    emulator: Emulator, administrator: Account, of: Settings
) -> None:
    before, stop = things(emulator.endpoint, of), threading.Event()
    facts = (*function_facts.FACTS[:1], then(function_facts.FACTS[1], stop.set), *function_facts.FACTS[2:])

    report = run(administrator, facts=facts, stop=stop).run()

    assert report.stopped
    assert by_outcome(report)[Outcome.HOLDS] == {"stale-revision", "revision-changes"}
    assert things(emulator.endpoint, of) == before
    with pytest.raises(RollbackError) as raised:
        judged(report)
    assert (raised.value.code, raised.value.exit_code) == (Code.INTERRUPTED, 1)


def test_who_asks_twice_is_named_what_may_be_left(
    emulator: Emulator, administrator: Account, of: Settings
) -> None:
    def twice() -> None:
        raise KeyboardInterrupt

    acceptance = run(administrator, facts=[then(function_facts.FACTS[0], twice)])

    with pytest.raises(StoppedAtOnce) as raised:
        acceptance.run()

    made = [
        Resource(Kind.ROLE, f"{acceptance.names.base}-runs"),
        Resource(Kind.FUNCTION, acceptance.names.base),
    ]
    try:
        assert all(str(one) in raised.value.changed for one in made)
        assert all(
            line in raised.value.next.splitlines() for one in made for line in removal.commands(of, one)
        )
    finally:
        assert removal.remove(lambda service: client(administrator, service), of, made) == []


def client(account: Account, service: str) -> Any:
    return account.lambda_ if service == "lambda" else account.client(service)


def test_where_no_answer_comes_any_more_what_may_be_left_is_named(
    emulator: Emulator, person: Callable[..., Account], of: Settings
) -> None:
    before, said = things(emulator.endpoint, of), list[str]()
    with quota.running(emulator.endpoint) as proxy:
        account = person("administrator", endpoint=proxy.endpoint)

        def cut(**_: Any) -> None:
            raise EndpointConnectionError(endpoint_url=proxy.endpoint)

        facts = [then(function_facts.FACTS[0], cut), *FACTS]
        acceptance = run(account, facts=facts, notice=said.append)
        events = account.lambda_.meta.events
        events.register("before-call.lambda.DeleteFunction", cut)
        with pytest.raises(RollbackError) as raised:
            acceptance.run()
        events.unregister("before-call.lambda.DeleteFunction", cut)

        made = Resource(Kind.FUNCTION, acceptance.names.base)
        assert raised.value.code is Code.AWS_UNREACHABLE
        assert [one for one in said if one.startswith(f"Not removed: {made}")]
        assert removal.remove(lambda service: client(account, service), of, [made]) == []
    assert things(emulator.endpoint, of) == before


def test_a_fault_of_its_own_leaves_nothing_either(
    emulator: Emulator, administrator: Account, of: Settings
) -> None:
    before = things(emulator.endpoint, of)

    def fault() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(administrator, facts=[then(function_facts.FACTS[0], fault)]).run()

    assert things(emulator.endpoint, of) == before


@pytest.mark.soak  # above, an account differs in one fact; test_facts.py has one that differs in each
def test_another_account_that_forgets_revisions_policies_and_trust_is_reported_as_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """moto carries out an UpdateAlias with a stale RevisionId, and evaluates neither policies nor trust."""
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    project, stack = texts(pace={"writes": 14.9, "burst": 13, "reads": 95})
    of = parse("dev", project, stack.replace("111122223333", "123456789012"))
    with mock_aws(config={"lambda": {"use_docker": False}}):
        session = boto3.Session(
            region_name=of.region, aws_access_key_id="testing", aws_secret_access_key="testing"
        )
        account = connect(of, session)
        acceptance = run(account)
        report = acceptance.run()

    found = by_outcome(report)
    assert {"stale-revision", "session-name", "source-identity", "leading-keys"} <= found[Outcome.DIFFERS]
    assert {"conditional-put", "transaction", "weights-cleared"} <= found[Outcome.HOLDS]
    assert report.left == []
