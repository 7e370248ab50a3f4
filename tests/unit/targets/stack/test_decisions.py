"""What the stack's target decides, without an engine: guards, what was approved, what a dead engine left."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rollback.config.naming import Names
from rollback.engines.git import Commit
from rollback.engines.pulumi.backend import BackendLock, BackendLocks
from rollback.engines.pulumi.engine import CommandResult
from rollback.engines.pulumi.preview_events import PreviewStep
from rollback.engines.pulumi.workspace import Where, project_at, stack_config
from rollback.model.plan import Plan
from rollback.model.request import StackRequest
from rollback.model.resource_changes import (
    CREATE,
    DELETE,
    REPLACE,
    SAME,
    UPDATE,
    ResourceChange,
    kind,
    refusals,
    weakenings,
)
from rollback.targets.base import Failure
from rollback.targets.progress import counts
from rollback.targets.stack import planner, recovery
from rollback.targets.stack import progress as stack_progress
from rollback.targets.stack.events import EngineBegan, EngineLocked
from rollback.targets.stack.planner import Preview, beyond
from rollback.targets.stack.progress import UpdateProgress
from rollback.util.canonical import digest
from rollback.util.errors import Code, Refused, UsageError
from rollback.util.process_identity import Process
from tests.coded import coded
from tests.doubles.journal import Memory

NAMES = Names("acme", "dev")
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
TABLE = "aws:dynamodb/table:Table"
ALIAS = "aws:lambda/alias:Alias"
PARAMETER = "aws:ssm/parameter:Parameter"


def change(op: str, type_: str = PARAMETER, **fields: Any) -> ResourceChange:
    return ResourceChange(urn=fields.pop("urn", "urn:x"), type=type_, op=op, **fields)


# -- guards ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("type_", "spelled"),
    [
        ("aws:cloudwatch/logGroup:LogGroup", "cloudwatch_log_group"),
        ("aws:s3/bucketV2:BucketV2", "s3_bucket_v2"),
        ("aws:iam/openIdConnectProvider:OpenIdConnectProvider", "iam_open_id_connect_provider"),
        ("github:index/repositoryEnvironment:RepositoryEnvironment", "repository_environment"),
        ("aws-native:dynamodb:Table", "dynamodb_table"),
        ("acme:Thing", "thing"),
        ("aws_dynamodb_table", "dynamodb_table"),
    ],
)
def test_a_type_has_one_spelling(type_: str, spelled: str) -> None:
    assert kind(type_) == spelled


@pytest.mark.parametrize(
    ("one", "why"),
    [
        (change(DELETE, TABLE), "it holds data and would be deleted"),
        (change(REPLACE, "aws:rds/instance:Instance"), "it holds data and would be replaced"),
        (change(DELETE, "acme:index/vault:Vault"), "it holds data and would be deleted"),
        (change(DELETE, retains=True), "retain_on_delete"),
        (change(SAME, unprotects=True), "it would lose its protection"),
        (change(UPDATE, ALIAS, properties=("functionVersion",)), "undoes a release or a rollback"),
        (change(DELETE, ALIAS), "undoes a release or a rollback"),
        (
            change(UPDATE, name=NAMES.deployed_version, properties=("value",)),
            "the value written by releases and rollbacks would be overwritten",
        ),
    ],
)
def test_what_destroys_is_refused_until_it_is_named(one: ResourceChange, why: str) -> None:
    (refusal,) = refusals([one], (), NAMES, ["vault"])

    assert why in refusal.reason
    assert "--allow-destroy" in refusal.remedy
    assert not refusals([one], (one.urn,), NAMES, ["vault"])


@pytest.mark.parametrize(
    "one",
    [
        change(CREATE, TABLE),
        change(UPDATE, TABLE, properties=("tags",)),
        change(DELETE),
        change(UPDATE, ALIAS, properties=("description",)),
        change(UPDATE, name="/acme/dev/other", properties=("value",)),
        change(UPDATE, "aws:iam/role:Role", name=NAMES.role("deployer"), properties=("tags", "tagsAll")),
    ],
)
def test_what_destroys_nothing_goes_through(one: ResourceChange) -> None:
    assert not refusals([one], (), NAMES)


@pytest.mark.parametrize(
    "one",
    [
        change(DELETE, TABLE, name=NAMES.deployments_table),
        change(SAME, TABLE, name=NAMES.deployments_table, unprotects=True),
        change(UPDATE, "aws:iam/role:Role", name=NAMES.role("approver"), properties=("assumeRolePolicy",)),
        change(REPLACE, "aws:iam/rolePolicy:RolePolicy", name=f"{NAMES.role('rollback')}:inline"),
        change(
            UPDATE,
            "aws:iam/policy:Policy",
            name=f"arn:aws:iam::1:policy/{NAMES.boundary}",
            properties=("policy",),
        ),
        change(UPDATE, "github:index/repositoryEnvironment:RepositoryEnvironment", properties=("reviewers",)),
        change(DELETE, "aws:s3/bucket:Bucket", name=NAMES.audit_bucket("1")),
        change(
            UPDATE,
            "aws:s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration",
            name=NAMES.audit_bucket("1"),
            properties=("rule",),
        ),
        change(DELETE, "aws_s3_bucket_versioning", name=NAMES.audit_bucket("1")),
        # An older commit, of before the foundation was apart, makes them once more.
        change(CREATE, TABLE, name=NAMES.deployments_table),
        change(CREATE, "aws:iam/role:Role", name=NAMES.role("deployer")),
        change(DELETE, "aws:s3/bucket:Bucket", name=NAMES.foundation_bucket),
    ],
)
def test_nobody_saws_off_the_branch_that_they_sit_on(one: ResourceChange) -> None:
    (refusal,) = refusals([one], (one.urn,), NAMES)

    assert "this tool needs it" in refusal.reason
    assert "--except 'urn:x'" in refusal.remedy


@pytest.mark.finding("S10")
@pytest.mark.parametrize("role", ["break-glass", "drill"])
@pytest.mark.parametrize(
    ("type_", "name", "op"),
    [
        ("aws:iam/role:Role", "{}", UPDATE),
        ("aws:iam/role:Role", "{}", DELETE),
        ("aws:iam/rolePolicy:RolePolicy", "{}:permissions", DELETE),
        ("aws:iam/rolePolicyAttachment:RolePolicyAttachment", "{}/arn:aws:iam::1:policy/x", DELETE),
        ("aws_iam_role_policy_attachment", "{}-20261128", DELETE),
    ],
)
def test_a_rollback_changes_neither_the_break_glass_role_nor_the_drill_role(
    role: str, type_: str, name: str, op: str
) -> None:
    one = change(op, type_, name=name.format(NAMES.role(role)), properties=("assumeRolePolicy",))

    (refusal,) = refusals([one], (one.urn,), NAMES)

    assert "this tool needs it" in refusal.reason


_SAFE = {"deletionProtectionEnabled": True, "pointInTimeRecovery": {"enabled": True}}
_SAFE_THERE = {"deletion_protection_enabled": True, "point_in_time_recovery": [{"enabled": True}]}


@pytest.mark.finding("S11")
@pytest.mark.parametrize(
    ("type_", "safe", "then", "why"),
    [
        (TABLE, _SAFE, {"pointInTimeRecovery": {"enabled": False}}, "point-in-time recovery"),
        (TABLE, _SAFE, {"pointInTimeRecovery": None}, "point-in-time recovery"),
        (TABLE, _SAFE, {"deletionProtectionEnabled": False}, "deletion protection"),
        (TABLE, _SAFE, {"deletionProtectionEnabled": None}, "deletion protection"),
        (TABLE, _SAFE, {"ttl": {"attributeName": "at", "enabled": True}}, "expire by at"),
        ("aws_dynamodb_table", _SAFE_THERE, {"point_in_time_recovery": []}, "point-in-time recovery"),
        ("aws_dynamodb_table", _SAFE_THERE, {"deletion_protection_enabled": None}, "deletion protection"),
        (
            "aws_dynamodb_table",
            {**_SAFE_THERE, "ttl": [{"attribute_name": "at", "enabled": True}]},
            {"ttl": [{"attribute_name": "other", "enabled": True}]},
            "expire by other",
        ),
        ("aws_db_instance", {"deletion_protection": True}, {"deletion_protection": False}, "protection"),
    ],
)
def test_data_is_not_kept_less_safe_until_the_resource_is_named(
    type_: str, safe: dict[str, Any], then: dict[str, Any], why: str
) -> None:
    one = change(UPDATE, type_, name="acme-dev-ddb-orders")
    values = {one.urn: (safe, safe | then)}

    (refusal,) = weakenings([one], values, (), NAMES)

    assert why in refusal.reason
    assert "--allow-destroy 'urn:x'" in refusal.remedy
    assert not weakenings([one], values, (one.urn,), NAMES)
    assert not weakenings([one], {one.urn: (safe | then, safe)} if "ttl" not in then else {}, (), NAMES)


def test_the_ledger_is_spoken_of_by_the_guard_that_nothing_lifts() -> None:
    one = change(UPDATE, TABLE, name=NAMES.deployments_table, properties=("pointInTimeRecovery",))

    assert not weakenings([one], {one.urn: (_SAFE, {})}, (), NAMES)
    assert refusals([one], (one.urn,), NAMES)


# -- what was approved -----------------------------------------------------------------------------------


def step(op: str, *, name: str = "a", new: Any = None, **fields: Any) -> PreviewStep:
    return PreviewStep(
        urn=f"urn:pulumi:dev::demo::{PARAMETER}::{name}", type=PARAMETER, op=op, new=new, **fields
    )


def found(*steps: PreviewStep) -> Preview:
    return Preview(workspace=None, state={}, ended=CommandResult(), steps=steps, drift=())  # type: ignore[arg-type] # never asked


def left(approved: Sequence[PreviewStep], now: Sequence[PreviewStep]) -> list[str]:
    """The names of what is more than was approved."""
    return [urn.rpartition("::")[2] for urn in beyond(found(*approved).changes, found(*now))]


def test_what_is_left_of_a_plan_is_within_it() -> None:
    approved = [
        step(UPDATE, new={"v": 2}),
        step(DELETE, name="b"),
        step(SAME, name="c", new={"v": 1}),
        step(REPLACE, name="d", new={"v": 1}),
        step(CREATE, name="e", new={"v": 1}),
    ]

    assert left(approved, approved) == []
    assert left(approved, []) == []
    assert left(approved, [step(DELETE, name="b"), step(SAME, new={"v": 2})]) == []
    # A replacement that was cut off: the new one is there, or the old one is gone.
    assert left(approved, [step(DELETE, name="d")]) == []
    assert left(approved, [step(CREATE, name="d", new={"v": 1})]) == []
    # One that was found there and taken in becomes what it was to be.
    assert left(approved, [step(UPDATE, name="e", new={"v": 1})]) == []


def test_what_was_not_known_to_the_plan_has_a_value_since() -> None:
    approved = [step(CREATE, new={"name": "x", "arn": UNKNOWN})]

    assert left(approved, [step(CREATE, new={"name": "x", "arn": "arn:aws:x"})]) == []
    assert left(approved, [step(CREATE, new={"name": "y", "arn": "arn:aws:x"})]) == ["a"]


@pytest.mark.parametrize(
    "more",
    [
        step(UPDATE, new={"v": 3}),
        step(DELETE),
        step(REPLACE, new={"v": 2}),
        step(UPDATE, name="c", new={"v": 2}),
        step(CREATE, name="new", new={}),
        step(SAME, name="c", new={"v": 1}, unprotects=True),
        step(UPDATE, new={"v": 2}, unprotects=True),
    ],
)
def test_anything_more_needs_a_plan_of_its_own(more: PreviewStep) -> None:
    approved = [step(UPDATE, new={"v": 2}), step(SAME, name="c", new={"v": 1})]

    assert left(approved, [more])


def test_a_change_holds_no_value_but_its_hashes() -> None:
    secret = {
        "4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270",
        "ciphertext": "[secret]",
    }
    made = planner.change(step(UPDATE, old={"v": "was"}, new={"v": "will", "s": secret}), digest)

    assert len(made.content) == 64
    assert not {"was", "will"} & set(made.content)
    assert planner.change(step(SAME, new={"v": 1}), digest).content == ""


# -- what the journal tells ------------------------------------------------------------------------------


def plan(*steps: PreviewStep) -> Plan[ResourceChange]:
    return Plan(
        kind="stack",
        environment="dev",
        account="1",
        region="eu-west-1",
        request=StackRequest(),
        from_version="new",
        to_version="old",
        leaves={"@stack": "b" * 40},
        targets={"@stack": "a" * 40},
        quarantines={},
        steps=found(*steps).changes,
    )


def step_event(kind_: str, one: PreviewStep, op: str) -> tuple[str, Any]:
    return kind_, {"metadata": {"op": op, "urn": one.urn, "type": one.type}}


def ours(pid: int = 77, host: str = "") -> Process:
    """An engine on this machine, unless `host` is another one."""
    here = Process.of(os.getpid())
    return replace(here, user="dan", host=host or here.host, pid=pid, began="1")


def test_a_record_shows_resource_by_resource_how_far_it_came() -> None:
    a, b, c = step(UPDATE, new={"v": 2}), step(DELETE, name="b"), step(CREATE, name="c", new={})
    wanted, journal = plan(a, b, c, step(SAME, name="d")), Memory()
    lock = BackendLock(uuid="0f1e", user="dan", host=ours().host, pid=77, at="", place="")
    progress = UpdateProgress(journal=journal, changing={a.urn, b.urn, c.urn}, locks=lambda: [lock])

    progress.began(ours())
    progress.event("preludeEvent", {})
    for event in (step_event("resOutputsEvent", a, "update"), step_event("resOpFailedEvent", b, "delete")):
        progress.event(*event)
    progress.event("diagnosticEvent", {"severity": "error", "urn": b.urn, "message": "deleting b:\nno\n"})
    progress.event(
        "diagnosticEvent",
        {"severity": "error", "urn": c.urn, "message": "expected resource operations for c but none"},
    )
    progress.ended(CommandResult(code=1))
    failures = stack_progress.failures("@stack", CommandResult(code=1), progress)
    journal.failed(failures)

    assert failures == (Failure(subject=b.urn, reason="no"),)
    assert [one["outcome"] for one in stack_progress.outcomes(wanted, journal.events)] == [
        "updated",
        "failed",
        "untouched",
    ]
    assert counts(stack_progress.outcomes(wanted, journal.events)) == {
        "planned": 3,
        "moved": 1,
        "confirmed": 0,
        "failed": 1,
        "reverted": 0,
        "untouched": 1,
    }
    assert journal.kinds() == ["began", "lock", "changed", "ended", "failed"]
    assert stack_progress.locks(journal.events) == {"0f1e": ""}
    assert stack_progress.processes(journal.events) == [ours()]


def test_what_was_reverted_is_reverted() -> None:
    a = step(UPDATE, new={"v": 2})
    wanted, journal = plan(a), Memory()

    for back in (False, True):
        progress = UpdateProgress(journal=journal, changing={a.urn}, locks=list, back=back)
        progress.all_through(wanted.changing)

    assert counts(stack_progress.outcomes(wanted, journal.events))["reverted"] == 1
    assert counts(stack_progress.outcomes(wanted, journal.events))["moved"] == 0


def test_an_engine_that_was_locked_out_has_done_nothing() -> None:
    journal = Memory()
    progress = UpdateProgress(journal=journal, locks=list)
    assert not stack_progress.acted(journal.events)

    progress.began(ours())
    assert stack_progress.acted(journal.events)
    progress.ended(CommandResult(code=1, output=["error: the stack is currently locked by 1 lock(s)."]))

    assert not stack_progress.acted(journal.events)
    progress.began(ours())
    progress.ended(CommandResult(code=1))
    assert stack_progress.acted(journal.events)


# -- what a dead engine left -----------------------------------------------------------------------------


def test_what_was_being_created_is_put_into_the_checkpoint_under_its_id() -> None:
    def begun(logical: str, type_: str, operation: str = "creating", **inputs: Any) -> dict[str, Any]:
        resource = {"urn": f"urn::{logical}", "type": type_, "inputs": inputs, "parent": "urn::stack"}
        return {"type": operation, "resource": resource}

    state = {
        "resources": [{"urn": "urn::stack"}, {"urn": "urn::there", "id": "there"}],
        "pending_operations": [
            begun("p", PARAMETER, name="/demo/p"),
            begun("r", "aws:iam/rolePolicy:RolePolicy", role="worker", name="inline"),
            begun("there", PARAMETER, name="there"),
            begun("no", "aws:x/y:Y", size=3),
            begun("changed", PARAMETER, "updating", name="changed"),
        ],
    }

    repaired, taken = recovery.repair(state)

    assert taken == ["urn::p", "urn::r"]
    assert [(one["urn"], one.get("id")) for one in repaired["resources"]] == [
        ("urn::stack", None),
        ("urn::there", "there"),
        ("urn::p", "/demo/p"),
        ("urn::r", "worker:inline"),
    ]
    assert repaired["resources"][2]["outputs"] == {"name": "/demo/p"}
    assert repaired["pending_operations"] == []
    assert len(state["resources"]) == 2


def held(folder: Path, confirmed: str) -> Any:
    """A stack as far as its locks go."""
    settings = SimpleNamespace(environment="dev")
    context = SimpleNamespace(confirm_dead=confirmed, account=SimpleNamespace(settings=settings))
    locks = BackendLocks(url=f"file://{folder}", project="demo", stack="dev", s3=lambda: None)
    return SimpleNamespace(locks=locks, context=context)


def write_lock(folder: Path, *, pid: int, host: str) -> None:
    place = folder / ".pulumi/locks/organization/demo/dev"
    place.mkdir(parents=True)
    text = {"pid": pid, "username": "dan", "hostname": host, "timestamp": "2026-11-24T18:28:52Z"}
    (place / "0f1e.json").write_text(json.dumps(text))


def dead_engine(folder: Path, *, confirmed: str = "", host: str = "", own: bool = True) -> Memory:
    """A journal whose engine is dead, and its lock, which `clear` is asked to clear away."""
    process = ours(pid=2**22 + 1, host=host)
    journal = Memory(taken_over=True)
    if own:
        journal.append(EngineBegan(process=process, run="", back=False))
    write_lock(folder, pid=process.pid, host=process.host)
    recovery.clear(held(folder, confirmed), journal)
    return journal


def test_the_lock_of_an_engine_of_ours_that_is_dead_is_removed(tmp_path: Path) -> None:
    journal = dead_engine(tmp_path)

    assert journal.kinds() == ["began", "unlocked"]
    assert not list(tmp_path.rglob("*.json"))


@pytest.mark.parametrize(
    ("case", "text"),
    [({"own": False}, "not an engine of this rollback"), ({"host": "elsewhere"}, "on another machine")],
)
def test_any_other_lock_stays_until_a_person_reports_that_its_holder_is_dead(
    tmp_path: Path, case: dict[str, Any], text: str
) -> None:
    with pytest.raises(Refused, match=text, check=coded(Code.STATE_LOCKED)) as refused:
        dead_engine(tmp_path / "one", **case)

    assert list((tmp_path / "one").rglob("*.json"))
    holder = shlex.split(refused.value.next, comments=True)[-1]
    journal = dead_engine(tmp_path / "two", confirmed=holder, **case)
    assert [event.data["proof"] for event in journal.events if event.kind == "unlocked"] == [
        "a person confirmed that it is dead"
    ]


@pytest.mark.finding("S7")
@pytest.mark.parametrize("run", ["4711", "4711/attempts/1"])  # without its attempt: of an earlier version
@pytest.mark.parametrize("status", ["completed", "in_progress", None])
def test_the_lock_of_another_machine_is_removed_once_its_run_has_ended(
    tmp_path: Path, github_runs: dict[str, str], status: str | None, run: str
) -> None:
    process, journal = ours(host="runner"), Memory(taken_over=True)
    journal.append(EngineBegan(process=process, run=run, back=False))
    journal.append(EngineLocked(uuid="0f1e"))
    write_lock(tmp_path, pid=process.pid, host="runner")
    # Of an attempt, the run itself says nothing: its next attempt goes on.
    github_runs.update({"4711": "in_progress", **({run: status} if status else {})})

    if status == "completed":
        recovery.clear(held(tmp_path, ""), journal)
        assert (
            journal.events[-1].data["proof"] == f"it belongs to this record, and its CI run {run} has ended"
        )
        assert not list(tmp_path.rglob("*.json"))
        return
    with pytest.raises(Refused, match="on another machine", check=coded(Code.STATE_LOCKED)):
        recovery.clear(held(tmp_path, ""), journal)
    assert list(tmp_path.rglob("*.json"))


# -- a commit's configuration ----------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Repository:
    """A project of today, whose salt is `v1:today`; `commit` has the files that it is given instead."""

    where: Where

    def commit(self, **files: str) -> Commit:
        top, names = self.where.top, [name.replace("__", "/").replace("_", ".") for name in files]
        git(top, "rm", "-q", "-r", "--cached", "--ignore-unmatch", ".")
        for name, text in zip(names, files.values(), strict=True):
            blob = git(top, "hash-object", "-w", "--stdin", feed=text)
            git(top, "update-index", "--add", "--cacheinfo", f"100644,{blob},{name}")
        git(top, "commit", "-q", "--allow-empty", "-m", "a commit")
        return Commit(sha=git(top, "rev-parse", "HEAD"), subject="")


def git(top: Path, *arguments: str, feed: str = "") -> str:
    actor = ("-c", "user.name=dan", "-c", "user.email=dan@example.org", "-c", "commit.gpgsign=false")
    command = ["git", *actor, "-C", str(top), *arguments]
    return subprocess.run(command, input=feed, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def project(tmp_path: Path) -> Repository:
    git(tmp_path, "init", "-q", "-b", "main")
    (tmp_path / "Pulumi.dev.yaml").write_text("encryptionsalt: v1:today\n")
    return Repository(where=Where(top=tmp_path, folder=".", project="demo", stack="dev"))


def test_a_commit_keeps_its_values_and_gets_todays_encryption(project: Repository) -> None:
    commit = project.commit(Pulumi_dev_yaml="encryptionsalt: v1:then\nconfig: {demo:v: 1}\nother: [kept]\n")

    config = stack_config(project.where, commit, {"name": "demo"}, {})

    assert config == {"encryptionsalt": "v1:today", "config": {"demo:v": 1}, "other": ["kept"]}


def test_where_today_does_not_mention_encryption_the_checkpoint_does(project: Repository) -> None:
    commit = project.commit(Pulumi_dev_yaml="config: {}\n")
    (project.where.top / "Pulumi.dev.yaml").unlink()
    salted = {"secrets_providers": {"type": "passphrase", "state": {"salt": "v1:state"}}}
    wrapped = {"secrets_providers": {"type": "cloud", "state": {"url": "awskms://k", "encryptedkey": "x"}}}

    assert stack_config(project.where, commit, {}, salted) == {"config": {}, "encryptionsalt": "v1:state"}
    assert stack_config(project.where, commit, {}, wrapped) == {
        "config": {},
        "secretsprovider": "awskms://k",
        "encryptedkey": "x",
    }


def test_a_secret_under_another_salt_is_named(project: Repository) -> None:
    commit = project.commit(
        config__Pulumi_dev_yaml="encryptionsalt: v1:then\n"
        "config: {demo:plain: 1, demo:deep: {a: [{secure: v1:x}]}}\n"
    )

    with pytest.raises(
        UsageError, match=r"^demo:deep in config/Pulumi\.dev\.yaml ", check=coded(Code.COMMIT_UNUSABLE)
    ):
        stack_config(project.where, commit, {"stackConfigDir": "config"}, {})


@pytest.mark.parametrize(
    ("files", "code", "text"),
    [
        ({}, Code.COMMIT_UNUSABLE, r" \./"),
        ({"Pulumi_yaml": "name: other\n"}, Code.COMMIT_UNUSABLE, "'other', not 'demo'"),
        ({"Pulumi_yaml": "- demo\n"}, Code.SETTINGS_INVALID, "mapping"),
        ({"Pulumi_yaml": "a: ["}, Code.SETTINGS_INVALID, "YAML"),
    ],
)
def test_a_commit_without_the_project_is_reported(
    project: Repository, files: dict[str, str], code: Code, text: str
) -> None:
    with pytest.raises(UsageError, match=text, check=coded(code)):
        project_at(project.where, project.commit(**files))


@pytest.mark.finding("S17")
@pytest.mark.parametrize(
    "type_",
    [
        "aws:apigateway/restApi:RestApi",
        "aws:iam/openIdConnectProvider:OpenIdConnectProvider",
        "aws:iam/policy:Policy",
        "aws:s3/bucketObjectv2:BucketObjectv2",
        "aws:sns/topic:Topic",
        "aws:sqs/queue:Queue",
    ],
)
def test_what_gets_its_id_from_aws_is_never_adopted_by_its_name(type_: str) -> None:
    resource = {"urn": f"urn:pulumi:dev::p::{type_}::x", "type": type_}
    inputs = {"name": "x", "url": "https://x", "bucket": "x"}
    state = {"pending_operations": [{"type": "creating", "resource": {**resource, "inputs": inputs}}]}

    repaired, taken = recovery.repair(state)

    assert (repaired["resources"], repaired["pending_operations"], taken) == ([], [], [])
