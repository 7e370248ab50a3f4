"""A program that renamed resources by aliases: going back renames them again, and deletes nothing that is in use."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from rollback.model.plan import Plan
from rollback.model.request import StackRequest
from rollback.model.resource_changes import ResourceChange
from rollback.targets.base import Outcome
from rollback.targets.stack.planner import RENAMES
from rollback.util.errors import RollbackError
from tests.doubles.journal import Memory
from tests.integration.stack_under_test import Estate, alone, ops
from tests.sharing import Shared

pytestmark = pytest.mark.finding("P1")

PROGRAM = """
import json
def once(*names):
    return pulumi.ResourceOptions(aliases=[pulumi.Alias(name=name) for name in names])
def object_(name, *aliases):
    return aws.ssm.Parameter(
        name, name="/demo/kept", type="String", insecure_value=VALUE, opts=once(*aliases))
bucket = aws.s3.Bucket("bucket", bucket="rename-" + ACCOUNT)
role = aws.iam.Role("role", name="rename", assume_role_policy=json.dumps({
    "Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole",
    "Principal": {"Service": "lambda.amazonaws.com"}}]}))
policy = json.dumps({"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "*"}]})
def block(name, *aliases):
    aws.s3.BucketPublicAccessBlock(name, bucket=bucket.bucket, block_public_acls=True,
        block_public_policy=True, ignore_public_acls=True, restrict_public_buckets=True, opts=once(*aliases))
def inline(name, *aliases):
    aws.iam.RolePolicy(name, name="app", role=role.name, policy=policy, opts=once(*aliases))
"""
OLD = """
object_("parameter"); block("pab"); inline("rp")
"""
NEW = """
object_("renamed", "parameter"); block("block", "pab"); inline("inline", "rp")
"""


@contextmanager
def made(folder: Path) -> Iterator[tuple[Estate, str, str]]:
    with alone(folder) as estate:
        head = f'ACCOUNT = "{estate.account}"\n'
        old = estate.deploy(f'{head}VALUE = "one"\n{PROGRAM}{OLD}', "the first")
        new = estate.deploy(f'{head}VALUE = "two"\n{PROGRAM}{NEW}', "the second, by other names")
        yield estate, old, new


@pytest.fixture(scope="module")
def estates(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared[tuple[Estate, str, str]]]:
    with Shared(lambda: made(tmp_path_factory.mktemp("renames"))) as shared:
        yield shared


@pytest.fixture
def deployed(
    estates: Shared[tuple[Estate, str, str]], request: pytest.FixtureRequest
) -> Iterator[tuple[Estate, str, str]]:
    """The second commit is deployed, and is so again after a test that passes."""
    with estates.lent(request) as (estate, old, new):
        yield estate, old, new
        estate.close()
        assert names(estate) == NEWER


OLDER, NEWER = {"parameter", "pab", "rp"}, {"renamed", "block", "inline"}


def names(estate: Estate) -> set[str]:
    return {*estate.resources()} & (OLDER | NEWER)


def objects(estate: Estate) -> dict[str, Any]:
    """What of the account has to be there all the while; a parameter's version counts its writes."""
    parameter = estate.aws("ssm").get_parameter(Name="/demo/kept")["Parameter"]
    block = estate.aws("s3").get_public_access_block(Bucket=f"rename-{estate.account}")
    return {
        "parameter": (parameter["Value"], parameter["Version"]),
        "block": block["PublicAccessBlockConfiguration"]["BlockPublicAcls"],
        "policies": estate.aws("iam").list_role_policies(RoleName="rename")["PolicyNames"],
    }


def back(estate: Estate, plan: Plan[ResourceChange], journal: Memory) -> None:
    """As `abort` does it: in a process of its own, which reads the journal."""
    journal.taken_over = True
    assert estate.target().undo(plan, journal) == Outcome()


def test_objects_are_renamed_and_updated_and_none_is_deleted_and_abort_names_them_as_before(
    deployed: tuple[Estate, str, str],
) -> None:
    estate, _, _ = deployed
    before, journal = objects(estate), Memory()
    version = before["parameter"][1]
    target = estate.target()

    plan = target.plan(StackRequest())

    assert ops(plan) == {"parameter": "update"}
    assert len(json.loads(plan.facts[RENAMES])) == 3
    assert target.refusals(plan) == ()
    assert target.execute(plan, journal) == Outcome()
    assert all(check.ok for check in target.verify(plan))
    assert names(estate) == OLDER
    assert objects(estate) == {**before, "parameter": ("one", version + 1)}

    back(estate, plan, journal)

    assert objects(estate) == {**before, "parameter": ("two", version + 2)}


def test_what_was_cut_off_while_it_renamed_is_gone_on_with(
    deployed: tuple[Estate, str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    estate, _, _ = deployed
    before, journal = objects(estate), Memory()
    target = estate.target()
    plan = target.plan(StackRequest())
    began: list[str] = []

    class Cut(Exception):
        """The process dies."""

    real = journal.append

    def append(event: Any) -> Any:
        began.append(event.kind)
        if began.count("began") == 2:
            raise Cut
        return real(event)

    with monkeypatch.context() as patch:
        patch.setattr(journal, "append", append)
        with pytest.raises(Cut):
            target.execute(plan, journal)
    assert len(names(estate) & OLDER) == 1
    assert objects(estate) == before

    journal.taken_over = True
    assert estate.target().execute(plan, journal) == Outcome()
    assert names(estate) == OLDER
    back(estate, plan, journal)


def test_an_object_that_moves_to_another_type_or_parent_is_refused_by_name(
    deployed: tuple[Estate, str, str],
) -> None:
    estate, _, new = deployed
    head = f'ACCOUNT = "{estate.account}"\nVALUE = "two"\n'
    moved = NEW.replace('inline("inline", "rp")', "") + (
        "class Group(pulumi.ComponentResource):\n"
        "    def __init__(self):\n"
        '        super().__init__("demo:index:Group", "group")\n'
        '        aws.iam.RolePolicy("inline", name="app", role=role.name, policy=policy,\n'
        "            opts=pulumi.ResourceOptions(parent=self))\n"
        "Group()\n"
    )
    commit = estate.commit(f"{head}{PROGRAM}{moved}", "another parent")
    try:
        target = estate.target()
        plan = target.plan(StackRequest(commit=commit))

        (refusal,) = target.refusals(plan)
        assert refusal.subject.endswith("::inline")
        assert RENAMES not in plan.facts
    finally:
        estate.git("reset", "-q", "--hard", new)


def test_nothing_is_renamed_while_the_engine_says_no(deployed: tuple[Estate, str, str]) -> None:
    """A plan whose program does not run is none."""
    estate, _, new = deployed
    commit = estate.commit(
        f'ACCOUNT = "{estate.account}"\nVALUE = "x"\n{PROGRAM}{OLD}\nraise ValueError("no")'
    )
    try:
        with pytest.raises(RollbackError):
            estate.target().plan(StackRequest(commit=commit))
    finally:
        estate.git("reset", "-q", "--hard", new)
