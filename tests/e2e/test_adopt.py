"""An estate that others have made by hand, and partly by Terraform, becomes the stack's; nothing in it changes.

One estate for all of it, in three states: `strange`, which cannot be adopted; `ready`, and `adopted`.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest

from localaws import shell
from localaws.emulator import server
from rollback.config.naming import ROLLBACK
from tests import prepared
from tests.e2e.accounts_under_test import undeclared
from tests.e2e.estate_under_test import ADMIN, ALICE, DAN, FUNCTIONS, REASON, Person, Platform, Run, git
from tests.e2e.made_by_hand import TABLE, Hand, Made, declared
from tests.warm import Warm

ACCOUNT = "690000000003"
ADDRESS = 'aws_dynamodb_table.deployments["of the platform"]'
STATE = "access-management/terraform.tfstate"
PATIENCE = 180.0
# What somebody has had in Terraform so far; 3.39 of its provider knows no deletion protection.
LEGACY = """
resource "aws_dynamodb_table" "deployments" {
  for_each     = toset(["of the platform"])
  name         = "${local.stem}-ddb-deployments"
  billing_mode = "PAY_PER_REQUEST"
  hash_key     = "PK"
  range_key    = "SK"
  dynamic "attribute" {
    for_each = ["PK", "SK", "GSI1PK", "GSI1SK"]
    content {
      name = attribute.value
      type = "S"
    }
  }
  global_secondary_index {
    name            = "GSI1"
    hash_key        = "GSI1PK"
    range_key       = "GSI1SK"
    projection_type = "ALL"
  }
  lifecycle {
    ignore_changes = [tags]
  }
}
"""


@dataclass(frozen=True, kw_only=True)
class Estate:
    """An account with everything in it that the program declares, and two stacks with nothing in them."""

    platform: Platform
    hand: Hand
    declared: list[Made]
    no_stack: Run

    def adopt(self, *arguments: str, as_: Person = ADMIN, env: bool = True) -> Run:
        """By an administrator of the foundation, or by the deployer of the rest. Whatever it says, it leaves the
        checkout, the stacks and Terraform's state as they are.
        """
        before = self.kept()
        which = ["--foundation"] if as_ == ADMIN else []
        run = self.platform.rollback(
            "adopt", "--json", *which, *arguments, as_=as_, env=env, timeout=PATIENCE
        )
        assert self.kept() == before
        return run

    def kept(self) -> tuple[str, dict[str, str]]:
        """What differs in the checkout from its commit, and everything in the buckets of states."""
        names = self.platform.settings.names
        objects = {
            one["Key"]: one["ETag"]
            for bucket in (names.state_bucket, names.foundation_bucket)
            for one in self.hand("s3").list_objects_v2(Bucket=bucket).get("Contents", [])
        }
        return git(self.platform.root, "status", "--porcelain"), objects

    def typed(self, line: str, *, as_: Person = ADMIN) -> Run:
        """A line that was printed, typed as it is in the checkout's folder."""
        return self.platform.command(shlex.split(line), as_=as_, extra=self.terraforms).finish(PATIENCE)

    @property
    def terraforms(self) -> dict[str, str]:
        return {"TF_DATA_DIR": str(self.platform.folder / "terraform")}

    @property
    def table(self) -> str:
        return self.platform.settings.names.deployments_table

    def held_by_terraform(self) -> set[str]:
        """The names of what Terraform's state has."""
        bucket = self.platform.settings.names.state_bucket
        state = json.loads(self.hand("s3").get_object(Bucket=bucket, Key=STATE)["Body"].read())
        return {one["attributes"]["name"] for held in state["resources"] for one in held["instances"]}


@pytest.fixture(scope="module")
def estate(warm: Warm, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Estate]:
    """Everything but the ledger's table, under whose name another one stands."""
    prepared.account()
    prepared.terraform()
    folder = tmp_path_factory.mktemp("by-hand")
    with server.running(auth=True) as emulator:
        platform = undeclared(emulator.endpoint, "dev", ACCOUNT, folder)
        platform.warm, settings = warm, platform.settings
        hand, everything = Hand(emulator.endpoint, settings), declared(platform.root, settings)
        hand.make([one for one in everything if one.type != TABLE])
        no_stack = platform.rollback("adopt", as_=DAN)
        for person, stack in ((ADMIN, settings.names.foundation_stack), (DAN, "dev")):
            platform.pulumi("stack", "select", "--create", stack, as_=person)
        try:
            yield Estate(platform=platform, hand=hand, declared=everything, no_stack=no_stack)
        finally:
            platform.end()


@pytest.fixture(scope="module")
def strange(estate: Estate) -> Run:
    """What is said where a table of other keys has the ledger's name, a role another description, a policy too,
    a parameter is missing, and the stack has the identity provider already.
    """
    names = estate.platform.settings.names
    estate.hand("dynamodb").create_table(
        TableName=estate.table,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    estate.hand("iam").update_role(RoleName=names.role(ROLLBACK), Description="by hand")
    estate.hand("ssm").delete_parameter(Name=names.pulumi_commit)
    _in_the_stack(estate, "github")
    return estate.adopt("--write", "../adoption")


@pytest.fixture(scope="module")
def deployers(estate: Estate, strange: Run) -> Run:
    """What the deployer is told at the same time."""
    return estate.adopt(as_=DAN)


@pytest.fixture(scope="module")
def ready(estate: Estate, strange: Run, deployers: Run) -> Run:
    """What is said once that is put right, and the ledger's table is Terraform's."""
    names = estate.platform.settings.names
    estate.hand("dynamodb").delete_table(TableName=estate.table)
    _terraform(estate)
    for one in estate.declared:
        if one.type == TABLE:
            estate.hand.finish_table(estate.table, one.inputs["tags"])
        elif (
            one.inputs.get("name") in (names.pulumi_commit, names.role(ROLLBACK)) and "role" not in one.inputs
        ):
            _repaired(estate, one)
    return estate.adopt("--write", "../adoption")


@pytest.fixture(scope="module")
def adopted(estate: Estate, ready: Run) -> Mapping[str, Run]:
    """The printed lines, typed by whom they are for; and what the engine and this command say then."""
    runs = {}
    for person, stack in ((ADMIN, "dev-foundation"), (DAN, "dev")):
        run = ready if person == ADMIN else estate.adopt("--write", "../deployer", as_=DAN)
        assert run.code == 0, str(run)
        for line in run.json["commands"]:
            if "import" in line or "state rm" in line:
                runs[line] = estate.typed(line, as_=person)
        up = f"pulumi up --stack {stack} --yes --skip-preview --expect-no-changes --non-interactive"
        runs[up] = estate.typed(up, as_=person)
        runs[f"again: {stack}"] = estate.adopt("--write", "../again", as_=person)
    return runs


def test_what_cannot_be_adopted_is_refused_by_name_with_what_to_do_and_nothing_is_written(
    estate: Estate, strange: Run
) -> None:
    found = _versions(strange)

    assert strange.code == 3, str(strange)
    assert strange.json["status"] == "REFUSED"
    assert found[estate.table] == ("replaced", ["hashKey", "rangeKey"])
    assert f"table {estate.table}: hashKey, rangeKey." in strange.err
    assert "delete it when nothing uses it, and run adopt again" in strange.err
    assert "Nothing was changed." in strange.err
    assert not (estate.platform.folder / "adoption").exists()


def test_what_differs_is_reported_by_property_and_what_is_missing_is_made_by_pulumi(
    estate: Estate, strange: Run, deployers: Run
) -> None:
    names, found = estate.platform.settings.names, _versions(strange) | _versions(deployers)
    rest = {name: deployed for name, (deployed, _) in found.items()}
    different = (names.role(ROLLBACK), names.pulumi_commit, estate.table)

    assert found[names.role(ROLLBACK)] == ("differs", ["description"])
    assert found[names.pulumi_commit] == ("missing", [])
    assert {rest.pop(name) for name in different} == {"differs", "missing", "replaced"}
    assert set(rest.values()) == {"exists"}, "documents are compared by what they say"


def test_ctrl_c_while_the_engine_reads_ends_it_at_once(estate: Estate, deployers: Run) -> None:
    before = estate.kept()
    running = estate.platform.start("adopt", "--json", as_=DAN)
    running.wait_for("pulumi preview")

    running.interrupt()

    run = running.finish()
    assert run.error is not None
    assert (run.code, run.error["code"], run.error["changed"]) == (130, "ENDED", "Nothing was changed.")
    assert estate.kept() == before


def test_only_what_the_stack_does_not_have_is_listed(estate: Estate, deployers: Run, ready: Run) -> None:
    listed = [one["type"].rpartition(":")[2] for run in (ready, deployers) for one in run.json["resources"]]

    assert "OpenIdConnectProvider" not in listed
    assert len(listed) == len(estate.declared) - 1


def test_an_estate_is_adopted_by_the_lines_as_they_are_printed_and_the_next_up_changes_nothing(
    estate: Estate, ready: Run, adopted: Mapping[str, Run]
) -> None:
    assert set(dict(_versions(ready).values())) == {"exists"}
    assert ready.json["held_by_terraform"] == [ADDRESS]
    assert len(adopted) == 7, "two imports, one address, and what follows"
    for line, run in adopted.items():
        assert run.code == 0, f"{line}\n{run}"
    names = estate.platform.settings.names
    assert estate.held_by_terraform() == {names.table("ddb-access-management"), names.api("apigw")}, (
        "these stay Terraform's"
    )


def test_what_is_adopted_is_protected_as_the_program_declares(
    estate: Estate, adopted: Mapping[str, Run]
) -> None:
    stacks = {ADMIN: "dev-foundation", DAN: "dev"}
    exported = [
        json.loads(estate.platform.pulumi("stack", "export", "--stack", stack, as_=person))
        for person, stack in stacks.items()
    ]
    state = [one for stack in exported for one in stack["deployment"]["resources"]]
    kept = {(one["type"], one["urn"].rpartition("::")[2]): one.get("protect", False) for one in state}

    assert {(one.type, one.name): one.protect for one in estate.declared}.items() <= kept.items()


def test_where_everything_is_in_the_stack_there_is_nothing_to_adopt(
    estate: Estate, adopted: Mapping[str, Run]
) -> None:
    for stack in ("dev-foundation", "dev"):
        again = adopted[f"again: {stack}"]
        assert (again.code, again.json["status"]) == (0, "NOTHING_TO_ADOPT")
        assert again.json["resources"] == []
    assert not (estate.platform.folder / "again").exists()


def test_an_adopted_estate_is_given_a_past_and_can_be_rolled_back(
    estate: Estate, adopted: Mapping[str, Run]
) -> None:
    dev = estate.platform
    past = dev.rollback("release", "adopt", "--version", "v1.0.0", as_=DAN)
    assert past.code == 0, str(past)
    dev.release("v1.1.0", broken=["team_service"])

    run = dev.rollback("lambda", "--reason", REASON, "--json", as_=ALICE)
    shown = dev.rollback("status", as_=ALICE)

    assert run.code == 0, str(run)
    assert run.json["status"] == "COMPLETE"
    assert dev.versions() == dict.fromkeys(FUNCTIONS, "1")
    assert "v1.0.0" in shown.screen, str(shown)


def test_without_a_stack_and_in_another_account_it_is_reported_what_to_type(estate: Estate) -> None:
    elsewhere = estate.adopt("--env", "prod", as_=DAN, env=False)

    assert estate.no_stack.code == 2, str(estate.no_stack)
    assert "pulumi stack init dev" in estate.no_stack.err
    assert elsewhere.code == 3, "as of every verb"
    assert f"belong to account {ACCOUNT}" in elsewhere.err


def _versions(run: Run) -> dict[str, tuple[str, list[str]]]:
    """The name in the account → how it stands, and the properties that differ."""
    return {one["id"]: (one["state"], one["properties"]) for one in run.json["resources"]}


def _repaired(estate: Estate, one: Made) -> None:
    if "ssm" in one.type:
        estate.hand.make([one])
    else:
        estate.hand("iam").update_role(RoleName=one.inputs["name"], Description=one.inputs["description"])


def _in_the_stack(estate: Estate, name: str) -> None:
    """Somebody has begun by hand."""
    arn = f"arn:aws:iam::{ACCOUNT}:oidc-provider/token.actions.githubusercontent.com"
    entries = [
        {"type": "rollback:index:GithubRoles", "name": "github-roles", "component": True},
        {
            "type": "aws:iam/openIdConnectProvider:OpenIdConnectProvider",
            "name": name,
            "id": arn,
            "parent": "github-roles",
            "version": "7.51.1",
        },
    ]
    file = estate.platform.folder / "begun.json"
    file.write_text(json.dumps({"resources": entries}))
    arguments = ("--file", str(file), "--yes", "--skip-preview", "--generate-code=false")
    estate.platform.pulumi("import", *arguments, "--stack", "dev-foundation", as_=ADMIN)


def _terraform(estate: Estate) -> None:
    """Terraform makes its own, and the ledger's table as well."""
    platform = estate.platform
    folder, settings = platform.root / "terraform", platform.settings
    variables = folder / "environments" / "dev.tfvars"
    variables.write_text(re.sub(r"\d{12}", ACCOUNT, variables.read_text()))
    legacy = folder / "legacy.tf"
    legacy.write_text(LEGACY)
    options = {"bucket": settings.names.state_bucket, "region": settings.region, "use_path_style": "true"}
    backend = [f"-backend-config={name}={value}" for name, value in options.items()]
    for parts in (
        ["init", *backend],
        ["apply", "-auto-approve", "-var-file=environments/dev.tfvars"],
    ):
        done = subprocess.run(
            [str(prepared.terraform()), "-chdir=terraform", *parts, "-no-color", "-input=false"],
            cwd=platform.root,
            env={
                **shell.inherited(),
                **shell.environment(platform.endpoint, settings, folder=platform.folder),
                **estate.terraforms,
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    legacy.unlink()
