"""A Terraform configuration goes back for real: the tool, the emulator and the deployer's own role."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.boundary import boundary, trust
from components.of_settings import scope_of
from components.permissions import inline_policy
from components.policies import text
from localaws import estate, identity, shell
from localaws.clients import connect, root
from localaws.emulator import server
from localaws.paths import ROOT
from rollback.ci import verbs as ci
from rollback.config.naming import DEPLOYER, GITHUB_OIDC_HOST
from rollback.config.settings import Settings, load
from rollback.engines import terraform
from rollback.lifecycle import context as sessions
from rollback.lifecycle.lifecycle import Lifecycle
from rollback.lifecycle.run import Finished
from rollback.model.record import COUNTS, Status
from rollback.model.release import TERRAFORM
from rollback.model.request import TerraformRequest
from rollback.releases.record_release import Commits, record
from rollback.util.errors import Code, Refused
from tests import prepared
from tests.coded import coded
from tests.doubles.github_runs import serving
from tests.doubles.world import Quiet, create_table, previewed
from tests.e2e.estate_under_test import SCRIPT, checkout, git

SECRET = "hunter2-never-shown"
STATE = "access-management/terraform.tfstate"
LOCK = f"{STATE}.tflock"
API = "aws_api_gateway_rest_api.access"
TABLE = "aws_dynamodb_table.access_management"
ACCOUNT = "536580886816"
# A resource whose making takes as long as a file is there.
SLOW = """
resource "terraform_data" "slow" {
  provisioner "local-exec" {
    command = "touch %s/began; while [ -e %s/wait ]; do sleep 0.1; done"
  }
  depends_on = [aws_api_gateway_rest_api.more]
}
resource "aws_api_gateway_rest_api" "more" {
  name = "${local.stem}-apigw-more"
}
"""
HIDDEN = """
resource "terraform_data" "secret" {
  input = sensitive("%s")
}
"""


@dataclass(kw_only=True)
class Place:
    """An account with a deployed configuration, and the checkout it came from."""

    endpoint: str
    settings: Settings
    root: Path
    commits: dict[str, str]

    @contextlib.contextmanager
    def flow(self, answer: bool | None = None, confirm_dead: str = "") -> Iterator[Lifecycle]:
        """One run of the command."""
        begun = sessions.begin("dev", self.root)
        session = sessions.session_of(self.root, begun.account, None, confirm_dead=confirm_dead)
        with session.closing:
            yield Lifecycle(session=session, ui=Quiet(answer=answer), stop=threading.Event())

    def go(self, to: str, **request: Any) -> Finished:
        with self.flow() as flow:
            return flow.start("terraform", TerraformRequest(commit=to, **request), "it went bad", yes=True)

    def commit(self, name: str, change: Callable[[str], str]) -> str:
        """A commit on main, with `main.tf` changed."""
        main = self.root / "terraform" / "main.tf"
        main.write_text(change(main.read_text()))
        git(self.root, "add", ".")
        git(self.root, "commit", "-q", "--allow-empty", "-m", name)
        self.commits[name] = git(self.root, "rev-parse", "HEAD")
        return self.commits[name]

    def aside(self, name: str, change: Callable[[str], str]) -> str:
        """A commit on main, which goes on as it was before it."""
        commit = self.commit(name, change)
        git(self.root, "checkout", "-q", f"{commit}~", "--", "terraform")
        self.commit(f"{name}, reverted", lambda main: main)
        return commit

    def forward(self, name: str, change: Callable[[str], str]) -> None:
        """Such a commit is deployed."""
        finished = self.go(self.aside(name, change))
        assert finished.error is None, finished.error

    def client(self, service: str) -> Any:
        return connect(service, self.endpoint, self.settings)

    def description(self) -> str:
        apis = self.client("apigateway").get_rest_apis()["items"]
        return next(
            str(api["description"]) for api in apis if api["name"] == self.settings.names.api("apigw")
        )

    def ledger_text(self) -> str:
        """All that the ledger holds, as text."""
        pages = (
            self.client("dynamodb")
            .get_paginator("scan")
            .paginate(TableName=self.settings.names.deployments_table)
        )
        return json.dumps([page["Items"] for page in pages])

    def object(self, key: str) -> Any:
        return self.client("s3").get_object(Bucket=self.settings.names.state_bucket, Key=key)

    def put(self, key: str, body: bytes) -> None:
        self.client("s3").put_object(Bucket=self.settings.names.state_bucket, Key=key, Body=body)

    def kept(self, rollback_id: str) -> list[str]:
        """The versions of a record's saved plan that there still are."""
        bucket, prefix = self.settings.names.state_bucket, f"rollback/{rollback_id}/plan.tfplan"
        listed = self.client("s3").list_object_versions(Bucket=bucket, Prefix=prefix)
        return [one["VersionId"] for one in listed.get("Versions", [])]

    def state(self) -> Any:
        return json.loads(self.object(STATE)["Body"].read())

    def parameter(self) -> str:
        name = self.settings.names.terraform_commit
        return str(self.client("ssm").get_parameter(Name=name)["Parameter"]["Value"])


def described(text_: str) -> Callable[[str], str]:
    return lambda main: (
        "\n".join(
            f'  description = "{text_}"' if line.startswith("  description") else line
            for line in main.splitlines()
        )
        + "\n"
    )


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Commits good and bad are deployed by the deployer, and good is recorded with a release."""
    prepared.terraform()
    folder = tmp_path_factory.mktemp("terraform")
    where = folder / "checkout"
    checkout(where, "dev", ACCOUNT)
    project = yaml.safe_load((where / "Pulumi.yaml").read_text())
    project["config"]["minimumFunctions"]["default"] = 6
    project["config"]["smoke"]["default"] = []
    (where / "Pulumi.yaml").write_text(yaml.safe_dump(project, sort_keys=False))
    shutil.copytree(ROOT / "terraform", where / "terraform", ignore=shutil.ignore_patterns(".terraform*"))
    settings = load(where, "dev")
    with server.running(auth=True) as emulator, pytest.MonkeyPatch.context() as patch:
        shell.make_bucket(connect("s3", emulator.endpoint, settings), settings)
        create_table(connect("dynamodb", emulator.endpoint, settings), settings.names.deployments_table)
        estate.establish(connect("iam", emulator.endpoint, settings), settings)
        estate.deploy(connect("lambda", emulator.endpoint, settings), settings, "v1.0.0", create_alias=True)
        ssm = connect("ssm", emulator.endpoint, settings)
        for name in (settings.names.deployed_version, settings.names.terraform_commit):
            ssm.put_parameter(Name=name, Value="none", Type="String")
        for name in list(os.environ):
            if name.startswith(("AWS_", "PULUMI_", "TF_")):
                patch.delenv(name)
        variables = shell.environment(
            emulator.endpoint, settings, identity=deployer(emulator.endpoint, settings), folder=folder
        )
        for name, value in variables.items():
            patch.setenv(name, value)
        made = Place(endpoint=emulator.endpoint, settings=settings, root=where, commits={})
        good = made.commit("good", lambda main: described("good")(main) + HIDDEN % SECRET)
        assert made.go(good).error is None
        with made.flow() as flow:
            record(flow.session, "v1.0.0", Commits(code=good, terraform=good), flow.ui)
        yield made


# Another team's: nothing in it is the platform's, and its state is where they want it.
_ORDERS = """
terraform {
  required_version = ">= 1.10.0"
  backend "s3" {
    bucket = "acme-orders-states"
    key    = "orders/dev.tfstate"
    region = "eu-west-1"
  }
}
variable "stage" {
  type = string
}
resource "terraform_data" "queue" {
  input = "%(value)s"
}
resource "terraform_data" "worker" {
  input = "%(value)s"
}
resource "terraform_data" "same" {
  input = var.stage
}
"""


@dataclass(kw_only=True)
class Orders:
    """Another team's configuration, which they have always applied by hand."""

    place: Place
    variables: dict[str, str]

    def applied(self, name: str, value: str) -> str:
        commit = self.place.commit(name, lambda _: _ORDERS % {"value": value})
        self.by_hand("init", "-input=false", "-backend-config=use_path_style=true")
        self.by_hand("apply", "-input=false", "-auto-approve", "-var-file=environments/dev.tfvars")
        return commit

    def by_hand(self, *arguments: str) -> None:
        done = subprocess.run(
            [str(prepared.terraform()), *arguments, "-no-color"],
            cwd=self.place.root / "terraform",
            env={**shell.inherited(), **self.variables},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def values(self) -> set[str]:
        """What the queue and the worker have, by the state."""
        kept = self.place.client("s3").get_object(Bucket="acme-orders-states", Key="orders/dev.tfstate")
        return {
            one["instances"][0]["attributes"]["output"]["value"]
            for one in json.loads(kept["Body"].read())["resources"]
            if one["name"] != "same"
        }


@pytest.fixture
def orders(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Orders]:
    where = tmp_path / "orders"
    checkout(where, "dev", ACCOUNT)
    project = yaml.safe_load((where / "Pulumi.yaml").read_text())
    project["config"]["prefix"]["default"] = "orders"
    project["config"]["smoke"]["default"] = []
    for name in ("minimumFunctions", "terraformChecks"):
        project["config"].pop(name, None)
    (where / "Pulumi.yaml").write_text(yaml.safe_dump(project, sort_keys=False))
    (where / ".gitignore").write_text(".terraform/\n")
    (where / "terraform" / "environments").mkdir(parents=True)
    (where / "terraform" / "environments" / "dev.tfvars").write_text('stage = "dev"\n')
    (where / "terraform" / "main.tf").touch()
    settings = load(where, "dev")
    s3 = connect("s3", place.endpoint, settings)
    shell.make_bucket(s3, settings)
    s3.create_bucket(
        Bucket="acme-orders-states", CreateBucketConfiguration={"LocationConstraint": settings.region}
    )
    create_table(connect("dynamodb", place.endpoint, settings), settings.names.deployments_table)
    monkeypatch.delenv("AWS_SESSION_TOKEN")
    variables = shell.environment(place.endpoint, settings, folder=tmp_path)
    for name, value in {**variables, **root(settings)}.items():
        monkeypatch.setenv(name, value)
    yield Orders(
        place=Place(endpoint=place.endpoint, settings=settings, root=where, commits={}), variables=variables
    )
    for bucket in (settings.names.state_bucket, "acme-orders-states"):
        for one in s3.list_object_versions(Bucket=bucket).get("Versions", []):
            s3.delete_object(Bucket=bucket, Key=one["Key"], VersionId=one["VersionId"])
        for item in s3.list_objects_v2(Bucket=bucket).get("Contents", []):
            s3.delete_object(Bucket=bucket, Key=item["Key"])
        s3.delete_bucket(Bucket=bucket)
    connect("dynamodb", place.endpoint, settings).delete_table(TableName=settings.names.deployments_table)


def deployer(endpoint: str, settings: Settings) -> dict[str, str]:
    """The variables of the deployer role, with its real trust, boundary and policy."""
    names = settings.names
    scope = scope_of(settings)
    iam = connect("iam", endpoint, settings)
    iam.create_open_id_connect_provider(
        Url=f"https://{GITHUB_OIDC_HOST}", ClientIDList=["sts.amazonaws.com"], ThumbprintList=["0" * 40]
    )
    ceiling = iam.create_policy(PolicyName=names.boundary, PolicyDocument=text(boundary(scope)))
    iam.create_role(
        RoleName=names.role(DEPLOYER),
        AssumeRolePolicyDocument=text(
            trust(scope, settings.repository, names.github_environment(DEPLOYER), people=())
        ),
        PermissionsBoundary=ceiling["Policy"]["Arn"],
    )
    iam.put_role_policy(
        RoleName=names.role(DEPLOYER),
        PolicyName="permissions",
        PolicyDocument=text(inline_policy(DEPLOYER, scope)),
    )
    return identity.assume(endpoint, settings, DEPLOYER, "dora")


def test_terraform_rollback_restores_infrastructure_state_proves_it_and_shows_no_secret(place: Place) -> None:
    before, described_as = place.parameter(), place.description()
    place.forward("bad", lambda main: described("bad")(main).replace(SECRET, f"{SECRET}-2"))

    finished = place.go("previous")

    assert finished.error is None
    made, plan = finished.record, finished.plan
    assert made
    assert plan
    assert made.status is Status.COMPLETE
    assert made.infrastructure == {"create": 0, "update": 2, "replace": 0, "delete": 0, "same": 1}
    assert made.counts == dict.fromkeys(COUNTS, 0) | {"planned": 2, "moved": 2}
    assert [check.check for check in made.verification if check.ok] == [
        "terraform",
        "table",
        "api",
        "functions",
    ]
    assert place.description() == described_as
    assert place.parameter() == before == plan.targets[TERRAFORM]
    assert not git(place.root, "status", "--porcelain", "--ignored", "terraform")
    assert len(git(place.root, "worktree", "list").splitlines()) == 1
    assert place.kept(made.rollback_id) == []
    assert SECRET in json.dumps(place.state())
    assert SECRET not in place.ledger_text()
    with place.flow() as flow:
        quarantined = [
            quarantine.version
            for quarantine in flow.session.ledger.quarantines()
            if quarantine.service == TERRAFORM
        ]
    assert quarantined == [place.commits["bad"]]


def test_a_kept_plan_is_applied_elsewhere_only_if_everything_is_the_same(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = place.aside("kept", described("kept"))
    with place.flow() as flow:
        waiting = flow.start("terraform", TerraformRequest(commit=wanted), "it went bad")
    assert waiting.record
    waits, digest = waiting.record.rollback_id, waiting.record.digest
    here = terraform.find()
    kept = place.object(f"rollback/{waits}/plan.tfplan")
    assert kept["ServerSideEncryption"] == "AES256"
    assert waiting.plan
    assert hashlib.sha256(kept["Body"].read()).hexdigest() == waiting.plan.facts["plan"]

    def apply() -> Finished:
        with place.flow() as flow:
            return flow.apply(waits, digest)

    with monkeypatch.context() as patch:
        patch.setattr(terraform, "find", lambda: replace(here, version="1.10.0"))
        with pytest.raises(
            Refused,
            match=f"version is 1.10.0 here, {here.version} was recorded",
            check=coded(Code.PLAN_OUTDATED),
        ):
            apply()
    state = place.object(STATE)["Body"].read()
    moved = json.loads(state) | {"serial": json.loads(state)["serial"] + 1}
    place.put(STATE, json.dumps(moved).encode())
    with pytest.raises(Refused, match=digest[:16], check=coded(Code.PLAN_OUTDATED)):
        apply()
    place.put(STATE, state)
    for name, what in (("plan.tfplan", "plan"), (".terraform.lock.hcl", "lock file")):
        kept = f"rollback/{waits}/{name}"
        body = place.object(kept)["Body"].read()
        place.put(kept, b"another")
        with pytest.raises(Refused, match=f"saved {what} of {waits} ", check=coded(Code.PLAN_OUTDATED)):
            apply()
        place.put(kept, body)
    done = apply()

    assert done.error is None
    assert done.record
    assert done.record.digest == digest
    assert place.description() == "kept"


@pytest.mark.finding("plan.tfplan")
@pytest.mark.parametrize("how", ["done", pytest.param("failed", marks=pytest.mark.soak), "aborted"])
def test_a_saved_plan_is_gone_with_its_secrets_once_it_is_used_or_given_up(place: Place, how: str) -> None:
    # One more API is more than the deployer may make.
    more = SLOW.partition("\n}\n")[2]
    wanted = place.aside(f"kept, {how}", lambda main: described(how)(main) + more * (how == "failed"))
    with place.flow() as flow:
        waiting = flow.start("terraform", TerraformRequest(commit=wanted), "it went bad")
    assert waiting.record
    waits, digest = waiting.record.rollback_id, waiting.record.digest
    assert len(place.kept(waits)) == 1
    with place.flow() as flow:
        also = flow.start("terraform", TerraformRequest(commit=wanted), "it went bad, says another")
    assert also.record
    other = also.record.rollback_id

    with place.flow() as flow:
        ended = flow.abort(waits) if how == "aborted" else flow.apply(waits, digest)

    assert ended.record
    assert ended.record.status == {"done": "COMPLETE", "failed": "FAILED", "aborted": "ABORTED"}[how]
    assert place.kept(waits) == []
    assert len(place.kept(other)) == (how == "aborted"), (
        "what waited for a state that is no more is of no use"
    )
    with place.flow() as flow:
        if how == "done":
            with pytest.raises(Refused, check=coded(Code.PLAN_OUTDATED)):
                flow.apply(other, also.record.digest)
        assert flow.abort(other).error is None
    if how == "failed":
        with place.flow() as flow:
            assert flow.abort(waits).error is None


def test_destroying_the_table_is_refused_unless_it_is_named(place: Place) -> None:
    without = place.commit(
        "no table", lambda main: re.sub(r"(?ms)^resource .aws_dynamodb_table.*?^}\n", "", main)
    )
    outputs = place.root / "terraform" / "outputs.tf"
    kept = outputs.read_text()
    outputs.write_text(re.sub(r"(?ms)^output .table_name.*?^}\n", "", kept))
    without = place.commit("no output", lambda main: main)
    outputs.write_text(kept)
    git(place.root, "checkout", "-q", place.commits["good"], "--", "terraform")
    place.commit("as it was", lambda main: main)

    with place.flow() as flow:
        with pytest.raises(Refused, match="holds data and would be deleted", check=coded(Code.PLAN_REFUSED)):
            previewed(flow, "terraform", TerraformRequest(commit=without))
        allowed = previewed(flow, "terraform", TerraformRequest(commit=without, allow_destroy=(TABLE,)))

    assert allowed.infrastructure["delete"] == 1


@pytest.mark.finding("S11")
def test_switching_off_the_tables_recovery_is_refused_unless_it_is_named(place: Place) -> None:
    off = place.aside(
        "no recovery",
        lambda main: re.sub(r"(?s)(point_in_time_recovery \{\s*enabled\s*= )true", r"\1false", main),
    )

    with place.flow() as flow:
        with pytest.raises(
            Refused, match="point-in-time recovery would be disabled", check=coded(Code.PLAN_REFUSED)
        ):
            previewed(flow, "terraform", TerraformRequest(commit=off))
        allowed = previewed(flow, "terraform", TerraformRequest(commit=off, allow_destroy=(TABLE,)))

    assert TABLE in [step.urn for step in allowed.steps if step.op == "update"]


def test_a_configuration_whose_state_is_elsewhere_is_refused(place: Place) -> None:
    versions = place.root / "terraform" / "versions.tf"
    kept = versions.read_text()
    versions.write_text(re.sub(r'(?ms)^  backend "s3".*?^  }\n', "", kept))
    elsewhere = place.commit("no backend", lambda main: main)
    versions.write_text(kept)
    place.commit("a backend again", lambda main: main)

    with (
        place.flow() as flow,
        pytest.raises(Refused, match="does not keep its state", check=coded(Code.COMMIT_UNUSABLE)),
    ):
        previewed(flow, "terraform", TerraformRequest(commit=elsewhere))


@pytest.mark.finding("P2")
def test_a_configuration_whose_state_is_another_object_is_refused(place: Place) -> None:
    versions = place.root / "terraform" / "versions.tf"
    kept = versions.read_text()
    versions.write_text(kept.replace(STATE, "elsewhere/terraform.tfstate"))
    elsewhere = place.commit("another key", lambda main: main)
    versions.write_text(kept)
    place.commit("the key again", lambda main: main)

    with (
        place.flow() as flow,
        pytest.raises(Refused, match=r"elsewhere/terraform\.tfstate", check=coded(Code.COMMIT_UNUSABLE)),
    ):
        previewed(flow, "terraform", TerraformRequest(commit=elsewhere))


@pytest.mark.finding("P2")
def test_a_state_that_is_gone_is_refused_and_nothing_is_made_anew(place: Place) -> None:
    state = place.object(STATE)["Body"].read()
    place.client("s3").delete_object(Bucket=place.settings.names.state_bucket, Key=STATE)

    try:
        with place.flow() as flow, pytest.raises(Refused, match=STATE, check=coded(Code.STATE_INVALID)):
            previewed(flow, "terraform", TerraformRequest(commit=place.commits["good"]))
    finally:
        place.put(STATE, state)


@pytest.mark.finding("P2")
@pytest.mark.finding("P3")
def test_another_teams_configuration_goes_back_in_its_own_state_and_is_not_asked_for_our_table(
    place: Place, orders: Orders
) -> None:
    good = orders.applied("good", "one")
    orders.applied("bad", "two")

    with orders.place.flow() as flow:
        plan = previewed(flow, "terraform", TerraformRequest(commit=good))
    finished = orders.place.go(good)

    assert plan.infrastructure == {"create": 0, "update": 2, "replace": 0, "delete": 0, "same": 1}
    assert finished.error is None, finished.error
    assert finished.record
    assert finished.record.status is Status.COMPLETE
    assert [check.check for check in finished.record.verification] == ["terraform"]
    assert orders.values() == {"one"}


@pytest.mark.finding("P6")
def test_what_only_has_another_address_was_not_changed_by_somebody_else(orders: Orders) -> None:
    orders.applied("good", "one")
    moved = "moved {\n  from = terraform_data.queue\n  to = terraform_data.line\n}\n"
    renamed = orders.place.commit(
        "renamed", lambda main: main.replace('"terraform_data" "queue"', '"terraform_data" "line"') + moved
    )

    with orders.place.flow() as flow:
        plan = previewed(flow, "terraform", TerraformRequest(commit=renamed))

    assert plan.infrastructure == {"create": 0, "update": 0, "replace": 0, "delete": 0, "same": 3}
    assert [step.properties for step in plan.steps if step.type == "state"] == [
        ("terraform_data.queue → terraform_data.line",)
    ]
    assert not [notice for notice in plan.notices if "outside Terraform" in notice]


def test_another_ones_lock_is_left_alone(place: Place) -> None:
    good = place.commits["good"]
    place.put(LOCK, b'{"ID": "1", "Who": "alice@elsewhere", "Created": "2026-11-24T00:00:00Z"}')

    try:
        with (
            place.flow() as flow,
            pytest.raises(Refused, match="alice@elsewhere", check=coded(Code.STATE_LOCKED)),
        ):
            previewed(flow, "terraform", TerraformRequest(commit=good))
    finally:
        place.client("s3").delete_object(Bucket=place.settings.names.state_bucket, Key=LOCK)


# Resumed: the next attempt of a run, below, finishes one.
@pytest.mark.parametrize("verb", [pytest.param("resume", marks=pytest.mark.soak), "abort"])
def test_an_apply_that_was_killed_is_finished_or_undone(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    waits = killed(place, tmp_path, monkeypatch)

    with place.flow() as flow:
        finished = flow.resume(waits) if verb == "resume" else flow.abort(waits)

    assert finished.error is None
    assert finished.record
    more = [
        api for api in place.client("apigateway").get_rest_apis()["items"] if api["name"].endswith("-more")
    ]
    if verb == "resume":
        assert finished.record.status is Status.COMPLETE
        assert len(more) == 1
        place.forward("tidy", lambda main: main)
    else:
        assert finished.record.status is Status.REVERTED
        assert more == []


@pytest.mark.finding("S7")
def test_the_next_attempt_of_a_run_finishes_what_a_dead_runner_has_left(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = {"4711": "in_progress", "4711/attempts/1": "completed", "4711/attempts/2": "in_progress"}
    with serving(runs) as variables:
        for name, value in {**variables, "GITHUB_RUN_ID": "4711"}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("GITHUB_RUN_ATTEMPT", "1")
        waits = killed(place, tmp_path, monkeypatch)
        locked = place.object(LOCK)["Body"].read()
        # The next attempt runs elsewhere: of that process nothing is seen there.
        monkeypatch.setattr(socket, "gethostname", lambda: "the-next-runner")
        monkeypatch.setenv("GITHUB_RUN_ATTEMPT", "2")
        monkeypatch.chdir(place.root)

        ci.apply(waits, "dev")

    with place.flow() as flow:
        opened = flow.session.ledger.load(waits)
    assert locked
    assert opened.record.status is Status.COMPLETE
    (unlocked,) = (event.data for event in opened.events if event.kind == "unlocked")
    assert unlocked["proof"] == "it belongs to this record, and its CI run 4711/attempts/1 has ended"
    assert [event.data["run"] for event in opened.events if event.kind == "applying"] == [
        "4711/attempts/1",
        "4711/attempts/2",
    ]
    monkeypatch.undo()
    for name, value in root(place.settings).items():
        monkeypatch.setenv(name, value)
    place.forward("tidy again", lambda main: main)


def killed(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The id of a rollback that was killed together with its apply, which had made one API and held the state's lock."""
    # One more API is more than the deployer may make.
    monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)
    for name, value in root(place.settings).items():
        monkeypatch.setenv(name, value)
    hold = tmp_path / "wait"
    hold.touch()
    slow = place.aside("slow", lambda main: main + SLOW % (tmp_path, tmp_path))
    arguments = ("terraform", "--env", "dev", "--to", slow, "--reason", "x", "--yes", "--json")
    process = subprocess.Popen(
        [str(SCRIPT), *arguments], cwd=place.root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    until((tmp_path / "began").exists)
    with place.flow() as flow:
        (in_flight,) = flow.session.ledger.history(1)
        waits = in_flight.rollback_id
        until(lambda: "apigw-more" in str(place.client("apigateway").get_rest_apis()))
        until(lambda: any(event.kind == "changed" for event in flow.session.ledger.load(waits).events))
        (ran,) = (e.data["process"] for e in flow.session.ledger.load(waits).events if e.kind == "applying")
    process.kill()
    process.wait()
    os.killpg(ran["pid"], signal.SIGKILL)
    hold.unlink()
    return waits


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120  # only a machine under load takes long
    while not holds():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.05)
