"""`rollback init` and `catalogue sync` on accounts that nobody has prepared for them: they read, propose, and write files."""

from __future__ import annotations

import functools
import io
import itertools
import json
import os
import pty
import subprocess
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml

from localaws import sam_estate
from localaws.emulator.server import Emulator
from rollback.config.settings import Settings, load
from tests import planted
from tests.e2e.estate_under_test import SCRIPT, git
from tests.warm import Run, Warm

REGION = "eu-central-1"
_ACCOUNTS = itertools.count(810_000_000_000 + os.getpid() % 100_000 * 1000)
_TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    ],
}


@functools.cache
def _client(service: str, endpoint: str, account: str) -> Any:
    return boto3.Session().client(
        service,
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id=account,
        aws_secret_access_key="local",
    )


@dataclass(frozen=True, kw_only=True)
class Stranger:
    """Somebody's account, and the folder in which they type."""

    endpoint: str
    account: str
    folder: Path
    warm: Warm

    def client(self, service: str) -> Any:
        return _client(service, self.endpoint, self.account)

    def deploy(self, environment: str = "staging", version: str = "v1", **more: Any) -> None:
        sam_estate.deploy(self.client("cloudformation"), environment, version, **more)

    def function(self, name: str, *, alias: str = "", publish: bool = True, **more: Any) -> None:
        code = io.BytesIO()
        with zipfile.ZipFile(code, "w") as file:
            file.writestr("index.py", "def handler(event, context):\n    return 1\n")
        client, iam = self.client("lambda"), self.client("iam")
        with suppress(iam.exceptions.EntityAlreadyExistsException):
            iam.create_role(RoleName="any", AssumeRolePolicyDocument=json.dumps(_TRUST))
        client.create_function(
            FunctionName=name,
            Runtime="python3.12",
            Role=f"arn:aws:iam::{self.account}:role/any",
            Handler="index.handler",
            Code={"ZipFile": code.getvalue()},
            Publish=publish,
            **more,
        )
        if alias:
            client.create_alias(FunctionName=name, Name=alias, FunctionVersion="1")

    def variables(self, **more: str) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PULUMI_"))}
        return {
            **kept,
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.account,
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "COLUMNS": "80",
            **more,
        }

    def rollback(self, *arguments: str, variables: Mapping[str, str] | None = None) -> Run:
        run = self.warm.run(arguments, self.variables() if variables is None else variables, self.folder)
        planted.heard(" ".join(arguments), run.out, run.err)
        return run

    def init(self, *arguments: str) -> Run:
        return self.rollback("init", "--env", "staging", "--yes", "--json", *arguments)

    def settings(self, environment: str = "staging") -> Settings:
        return load(self.folder, environment)

    def functions(self) -> dict[str, dict[str, str]]:
        """Function → alias → version, as the account has it."""
        client = self.client("lambda")
        names = [
            one["FunctionName"]
            for page in client.get_paginator("list_functions").paginate()
            for one in page["Functions"]
        ]
        return {
            name: {
                one["Name"]: one["FunctionVersion"]
                for one in client.list_aliases(FunctionName=name)["Aliases"]
            }
            for name in names
        }


@pytest.fixture
def stranger(emulator: Emulator, warm: Warm, tmp_path: Path) -> Stranger:
    folder = tmp_path / "shop"
    folder.mkdir()
    return Stranger(endpoint=emulator.endpoint, account=str(next(_ACCOUNTS)), folder=folder, warm=warm)


def files(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir() if path.is_file()}


def test_what_it_writes_loads_and_has_every_function_and_the_account_is_as_it_was(stranger: Stranger) -> None:
    stranger.deploy()
    before = stranger.functions()

    run = stranger.init()

    assert run.code == 0, str(run)
    settings = stranger.settings()
    assert sorted(settings.catalogue()) == sorted(before)
    assert {service: sorted(entries) for service, entries in settings.services.items()} == {
        service: sorted(names) for service, names in sam_estate.SERVICES.items()
    }
    assert (settings.alias, settings.declare_aliases, settings.production) == ("prod", False, False)
    assert (settings.account, settings.region) == (stranger.account, REGION)
    assert sorted(settings.cloudformation_stacks) == sorted(f"{name}-staging" for name in sam_estate.SERVICES)
    assert stranger.functions() == before
    assert (stranger.folder / "Pulumi.staging-foundation.yaml").readlink() == Path("Pulumi.staging.yaml")
    assert run.json["written"] is True


def test_one_person_without_tables_in_production_approves_nothing_and_nothing_is_missing(
    stranger: Stranger,
) -> None:
    stranger.function("newsletter-live-send")
    ada = f"arn:aws:iam::{stranger.account}:user/ada"

    run = stranger.rollback(
        "init", "--env", "live", "--yes", "--json", "--deployer", ada, "--on-call", ada, "--break-glass", ada
    )

    assert run.code == 0, str(run)
    settings = stranger.settings("live")
    assert (settings.production, settings.approvals, settings.tables) == (True, False, {})
    # Nobody has made an alias yet: the stack does.
    assert (settings.alias, settings.declare_aliases) == ("live", True)
    assert settings.people.deployers == (ada,)


def test_a_second_environment_of_the_same_account_shares_the_program_and_leaves_the_first_alone(
    stranger: Stranger,
) -> None:
    stranger.deploy("staging")
    stranger.deploy("production")
    first = stranger.init()
    before = files(stranger.folder)

    second = stranger.rollback("init", "--env", "production", "--yes", "--json")

    assert (first.code, second.code) == (0, 0), f"{first}\n{second}"
    assert len(stranger.settings().catalogue()) == len(stranger.settings("production").catalogue()) == 12
    assert not set(stranger.settings().catalogue()) & set(stranger.settings("production").catalogue())
    after = files(stranger.folder)
    assert {name: after[name] for name in before} == before


def test_beside_another_pulumi_project_it_has_a_folder_of_its_own(stranger: Stranger) -> None:
    stranger.deploy(services=["payments"])
    theirs = stranger.folder / "Pulumi.yaml"
    theirs.write_text("name: theirs\nruntime: nodejs\n")

    run = stranger.init()
    refused = stranger.init("--folder", ".")

    assert (run.code, refused.code) == (0, 2), f"{run}\n{refused}"
    assert len(load(stranger.folder / "rollbacks", "staging").catalogue()) == 3
    assert theirs.read_text() == "name: theirs\nruntime: nodejs\n"
    assert refused.error is not None
    assert refused.error["code"] == "FOLDER_IN_USE"
    assert run.json["next"][0] == "cd rollbacks"


def test_where_the_repositorys_branch_is_master_its_settings_count(stranger: Stranger) -> None:
    stranger.deploy(services=["payments"])
    git(stranger.folder, "init", "--quiet", "--initial-branch=master")
    git(stranger.folder, "commit", "--quiet", "--allow-empty", "--message", "as it was")

    run = stranger.init()

    assert run.code == 0, str(run)
    assert stranger.settings().protected_branch == "master"
    assert "git init --initial-branch main" not in run.json["next"]


def test_where_the_repositorys_branch_is_another_its_settings_count(stranger: Stranger) -> None:
    stranger.function("orders-get", alias="live")
    git(stranger.folder, "init", "--quiet", "--initial-branch=trunk")

    unborn = stranger.init("--dry-run")
    git(stranger.folder, "commit", "--quiet", "--allow-empty", "--message", "as it was")
    run = stranger.init()

    assert (unborn.code, run.code) == (0, 0), f"{unborn}\n{run}"
    assert unborn.json["settings"]["protectedBranch"] == "trunk"
    assert stranger.settings().protected_branch == "trunk"


def test_nothing_is_written_where_nobody_says_so(stranger: Stranger) -> None:
    stranger.deploy(services=["payments"])

    asked = stranger.rollback("init", "--env", "staging", "--json")
    shown = stranger.rollback("init", "--env", "staging", "--dry-run", "--json")

    assert (asked.code, shown.code) == (3, 0), f"{asked}\n{shown}"
    assert asked.error is not None
    assert asked.error["code"] == "CONFIRMATION_MISSING"
    assert {one["change"] for one in shown.json["files"]} == {"new"}
    assert files(stranger.folder) == {}


def test_a_file_that_somebody_has_changed_is_shown_and_overwritten_only_where_that_is_said(
    stranger: Stranger,
) -> None:
    stranger.deploy(services=["payments"])
    stranger.init()
    path = stranger.folder / "Pulumi.staging.yaml"
    path.write_text(path.read_text().replace("production: false", "production: true"))

    refused = stranger.rollback("init", "--env", "staging", "--yes")
    kept = path.read_text()
    done = stranger.init("--overwrite")

    assert (refused.code, done.code) == (3, 0), f"{refused}\n{done}"
    assert "production: true" in kept
    assert "-  shop:production: true" in refused.err
    assert stranger.settings().production is False


def test_again_after_pulumi_stack_init_it_changes_nothing_and_overwriting_keeps_what_others_put_there(
    stranger: Stranger,
) -> None:
    stranger.deploy(services=["payments"])
    stranger.init()
    path = stranger.folder / "Pulumi.staging.yaml"
    text = path.read_text().replace("production: false", 'production: "false"')
    own = "  shop:leaseSeconds: 30\n  other:token:\n    secure: v1:xyz\n"
    path.write_text(f"{text}{own}encryptionsalt: v1:abc\n")

    again = stranger.init()
    assert path.read_text() == f"{text}{own}encryptionsalt: v1:abc\n"
    done = stranger.init("--overwrite", "--production")

    assert (again.code, done.code) == (0, 0), f"{again}\n{done}"
    document = yaml.safe_load(path.read_text())
    assert document["encryptionsalt"] == "v1:abc"
    assert document["config"]["other:token"] == {"secure": "v1:xyz"}
    settings = stranger.settings()
    assert (settings.lease_seconds, settings.production) == (30, True)


def test_an_alias_that_some_lack_is_an_error_that_names_them_and_they_can_be_left_out(
    stranger: Stranger,
) -> None:
    stranger.function("orders-get", alias="live")
    stranger.function("orders-list")

    refused = stranger.init()
    done = stranger.init("--only-with-alias")

    assert (refused.code, done.code) == (2, 0), f"{refused}\n{done}"
    assert refused.error is not None
    assert refused.error["code"] == "ALIAS_MISSING"
    assert "orders-list" in refused.error["message"]
    assert "--only-with-alias" in refused.error["hint"]
    assert list(stranger.settings().catalogue()) == ["orders-get"]


def test_a_function_to_leave_out_that_is_not_there_is_an_error(stranger: Stranger) -> None:
    stranger.function("orders-get", alias="live")

    run = stranger.init("--except", "orders-gte")

    assert run.code == 2, str(run)
    assert run.error is not None
    assert (run.error["code"], files(stranger.folder)) == ("NOTHING_FOUND", {})
    assert "orders-gte" in run.error["message"]
    assert "orders-get" in run.error["message"]


def test_services_by_what_no_function_has_are_named_otherwise_and_a_note_says_so(stranger: Stranger) -> None:
    stranger.function("orders-get", alias="live")

    by_stack, by_prefix = (stranger.init("--dry-run", "--services-by", by) for by in ("stack", "prefix"))

    assert (by_stack.code, by_prefix.code) == (0, 0), f"{by_stack}\n{by_prefix}"
    assert any("--services-by stack" in note and "orders-get" in note for note in by_stack.json["notes"])
    assert not any("--services-by" in note for note in by_prefix.json["notes"])


def test_functions_that_are_all_another_environments_by_their_names_are_taken_with_a_warning(
    stranger: Stranger,
) -> None:
    for name in ("orders-dev-get", "orders-dev-put"):
        stranger.function(name, alias="live")

    other = stranger.rollback("init", "--env", "production", "--dry-run", "--json")
    own = stranger.rollback("init", "--env", "dev", "--dry-run", "--json")

    assert (other.code, own.code) == (0, 0), f"{other}\n{own}"
    assert any("'dev'" in note for note in other.json["notes"])
    assert not any("'dev'" in note for note in own.json["notes"])


def test_production_in_which_nobody_is_asked_is_warned_of(stranger: Stranger) -> None:
    stranger.function("orders-get", alias="live")
    ada = ("--approver", f"arn:aws:iam::{stranger.account}:user/ada")
    init = ("init", "--env", "production", "--dry-run", "--json")

    alone, asked = stranger.rollback(*init), stranger.rollback(*init, *ada)

    assert (alone.code, asked.code) == (0, 0), f"{alone}\n{asked}"
    assert alone.json["settings"]["approval"]["aliases"] == "none"
    assert any("--approver" in note for note in alone.json["notes"])
    assert not any("--approver" in note for note in asked.json["notes"])


def test_what_has_no_published_version_is_named_before_the_engine_trips_over_it(stranger: Stranger) -> None:
    stranger.function("orders-get")
    stranger.function("orders-list", publish=False)

    run = stranger.init()

    assert run.code == 2, str(run)
    assert run.error is not None
    assert run.error["code"] == "ALIAS_MISSING"
    assert "orders-list" in run.error["message"]
    assert "orders-get" not in run.error["message"]
    assert "--only-with-alias" not in run.error["hint"]


@pytest.mark.parametrize(
    ("arguments", "changed", "code"),
    [
        ((), {}, "NOTHING_FOUND"),
        ((), {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "NO_CREDENTIALS"),
        ((), {"AWS_DEFAULT_REGION": ""}, "OPTION_INVALID"),
        ((), {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "AWS_UNREACHABLE"),
        (("--env", "Prod!"), {}, "OPTION_INVALID"),
        (("--tag", "team"), {}, "OPTION_INVALID"),
        (("--on-call", "ada"), {}, "OPTION_INVALID"),
        (("--prefix", "Ac me"), {}, "OPTION_INVALID"),
        (("--alias", "a b"), {}, "OPTION_INVALID"),
    ],
)
def test_what_is_wrong_has_a_code(
    stranger: Stranger, arguments: tuple[str, ...], changed: dict[str, str], code: str
) -> None:
    variables = {name: value for name, value in stranger.variables(**changed).items() if value}
    run = stranger.rollback("init", "--env", "staging", "--yes", "--json", *arguments, variables=variables)

    assert run.code == 2, str(run)
    assert run.error is not None
    assert run.error["code"] == code
    assert files(stranger.folder) == {}
    if arguments[:1] in (("--on-call",), ("--prefix",), ("--alias",)):
        assert run.error["message"].startswith(arguments[0])


def test_bypasses_of_the_alias_and_deployers_that_delete_the_version_before_are_named(
    stranger: Stranger,
) -> None:
    stranger.deploy(services=["payments"], keeps=False)
    (charge,) = [name for name in stranger.functions() if "Charge" in name]
    stranger.function("orders-caller", alias="prod", Environment={"Variables": {"CHARGE": charge}})

    run = stranger.init()

    assert run.code == 0, str(run)
    assert [one["function"] for one in run.json["traffic"]["bypasses"]] == [charge]
    assert any("payments-staging" in note and "DeletionPolicy: Retain" in note for note in run.json["notes"])


def test_what_may_not_be_read_is_named_and_hides_nothing_else_and_the_caller_is_who_acts(
    stranger: Stranger,
) -> None:
    stranger.deploy(services=["payments"])
    allowed = ["lambda:ListFunctions", "lambda:ListAliases", "lambda:ListTags", "sts:GetCallerIdentity"]
    statement = {"Effect": "Allow", "Action": allowed, "Resource": "*"}
    iam = stranger.client("iam")
    iam.create_user(UserName="ada")
    iam.put_user_policy(
        UserName="ada",
        PolicyName="reads",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]}),
    )
    key = iam.create_access_key(UserName="ada")["AccessKey"]
    planted.also(key["SecretAccessKey"])
    keys = {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}

    run = stranger.rollback(
        "init", "--env", "staging", "--yes", "--json", variables=stranger.variables(**keys)
    )

    assert run.code == 0, str(run)
    settings = stranger.settings()
    assert sorted(settings.services) == ["payments"]
    assert settings.people.on_call == (f"arn:aws:iam::{stranger.account}:user/ada",)
    assert {one.split(": ")[1] for one in run.json["notes"] if one.startswith("Not checked")} >= {
        "tables",
        "stack payments-staging",
        "trails",
    }
    assert run.json["traffic"]["not_looked_at"]


def test_an_estate_of_more_than_a_page_is_found_as_a_whole(stranger: Stranger) -> None:
    for number in range(60):
        stranger.function(f"orders-{number}", alias="live")

    run = stranger.init("--name-prefix", "orders-")

    assert run.code == 0, str(run)
    assert len(stranger.settings().catalogue()) == 60


def typed(stranger: Stranger, answers: str) -> tuple[int, str]:
    """The exit code and what is on the screen, where somebody types `init` and answers on a terminal."""
    pid, terminal = pty.fork()
    if not pid:
        os.chdir(stranger.folder)
        os.execve(SCRIPT, [str(SCRIPT), "init", "--env", "staging"], stranger.variables())  # noqa: S606
    os.write(terminal, answers.encode())
    shown = b""
    try:
        while part := os.read(terminal, 65536):
            shown += part
    except OSError:  # Linux's word for the end of a pseudo-terminal
        pass
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status), shown.decode()


def test_on_a_terminal_it_asks_and_takes_the_answers(stranger: Stranger) -> None:
    stranger.function("orders-get", alias="live")
    user = f"arn:aws:iam::{stranger.account}:user/"
    # Alias, production, who deploys, who approves, prefix, and whether to write; those that are wrong are asked again.
    answers = [
        "a b",
        "",
        "perhaps",
        "yes",
        "ada",
        f"{user}ada, {user}bea",
        f"{user}cem",
        "Ac me",
        "acme",
        "maybe",
        "y",
        "",
    ]

    code, shown = typed(stranger, "\n".join(answers))

    assert code == 0, shown
    settings = stranger.settings()
    assert (settings.alias, settings.production, settings.prefix) == ("live", True, "acme")
    assert settings.people.on_call == (f"{user}ada", f"{user}bea")
    assert settings.people.approvers == (f"{user}cem",)
    assert settings.approval.aliases == "identity"


def test_on_a_terminal_ctrl_d_at_the_first_question_cancels_all(stranger: Stranger) -> None:
    stranger.function("orders-get", alias="live")

    code, shown = typed(stranger, "\x04")

    assert code == 3, shown
    assert "CONFIRMATION_MISSING" in shown
    assert "Nothing was changed." in shown
    assert files(stranger.folder) == {}


# -- catalogue sync ------------------------------------------------------------------------------------------


@pytest.fixture
def synced(stranger: Stranger) -> Stranger:
    """Declared, with lines of somebody's own, and then changed: a function is new, one is gone, one was replaced."""
    stranger.deploy(services=["payments", "orders"])
    assert stranger.init().code == 0
    path = stranger.folder / "Pulumi.staging.yaml"
    path.write_text(f"{path.read_text()}  # ours\n  shop:leaseSeconds: 30\nencryptionsalt: v1:abc\n")
    cloudformation = stranger.client("cloudformation")
    made = sam_estate.template("payments", "v2")
    resources = made["Resources"]
    for name in [one for one in resources if one.startswith("Capture")]:
        del resources[name]
    for name in [one for one in resources if one.startswith("Charge")]:
        text = json.dumps(resources[name]).replace("Charge", "Refund")
        resources[name.replace("Charge", "Refund")] = json.loads(text)
    cloudformation.update_stack(
        StackName="payments-staging", TemplateBody=json.dumps(made), Capabilities=["CAPABILITY_IAM"]
    )
    stranger.deploy(services=["catalogue"])
    return stranger


def test_new_and_gone_functions_are_shown_as_a_diff_and_written_after_a_yes(synced: Stranger) -> None:
    path = synced.folder / "Pulumi.staging.yaml"
    before, listed = path.read_text(), synced.settings()

    shown = synced.rollback("catalogue", "sync", "--env", "staging", "--dry-run", "--json")
    refused = synced.rollback("catalogue", "sync", "--env", "staging", "--json")
    assert path.read_text() == before
    done = synced.rollback("catalogue", "sync", "--env", "staging", "--yes", "--json")
    again = synced.rollback("catalogue", "sync", "--env", "staging", "--json")

    assert (shown.code, refused.code, done.code, again.code) == (0, 3, 0, 0), "\n".join(
        map(str, (shown, refused, done, again))
    )
    assert {service: sorted(entries) for service, entries in shown.json["new"].items()} == {
        "payments": ["Refund"]
    }
    assert {service: sorted(entries) for service, entries in shown.json["gone"].items()} == {
        "payments": ["Capture"]
    }
    assert shown.json["elsewhere"] == ["catalogue-staging"]
    now = synced.settings()
    assert sorted(now.services["payments"]) == ["Charge", "Refund", "Webhook"]
    assert now.services["orders"] == listed.services["orders"]
    assert again.json["written"] is False
    document = yaml.safe_load(path.read_text())
    assert document["encryptionsalt"] == "v1:abc"
    # Who declares the foundation is not who declares the environment.
    steps = done.json["next"]
    foundation, own = (steps.index(f"pulumi up --stack staging{one}") for one in ("-foundation", ""))
    assert "export AWS_PROFILE=deployer-staging" in steps[foundation:own]
    assert "  # ours\n  shop:leaseSeconds: 30\n" in path.read_text()


def test_a_stack_that_is_named_is_looked_at_too(synced: Stranger) -> None:
    run = synced.rollback(
        "catalogue", "sync", "--env", "staging", "--stack", "catalogue-staging", "--yes", "--json"
    )

    assert run.code == 0, str(run)
    assert sorted(synced.settings().services["catalogue"]) == sorted(sam_estate.SERVICES["catalogue"])
    assert "catalogue-staging" in synced.settings().cloudformation_stacks


def test_new_functions_without_a_stack_are_seen_by_their_names_and_others_are_named(
    stranger: Stranger,
) -> None:
    for name in ("orders-get", "orders-put"):
        stranger.function(name, alias="live")
    assert stranger.init().code == 0
    # Each is a service of its own: nothing in either begins alike.
    assert sorted(stranger.settings().services) == ["get", "put"]
    for name in ("orders-del", "orders-x", "billing-run"):
        stranger.function(name, alias="live")
    sync = ("catalogue", "sync", "--env", "staging")

    shown = stranger.rollback(*sync, "--dry-run", "--json")
    done = stranger.rollback(*sync, "--yes")
    again = stranger.rollback(*sync, "--json")
    taken = stranger.rollback(*sync, "--name-prefix", "billing-", "--yes", "--json")

    assert (shown.code, done.code, again.code, taken.code) == (0, 0, 0, 0), (
        f"{shown}\n{done}\n{again}\n{taken}"
    )
    new = {name for entries in shown.json["new"].values() for name in entries.values()}
    assert new == {"orders-del", "orders-x"}
    assert shown.json["unlisted"] == again.json["unlisted"] == ["billing-run"]
    assert any("billing-run" in note for note in again.json["notes"])
    assert "billing-run" in stranger.settings().catalogue()


def test_a_catalogue_of_all_environments_is_not_written_from_one_account(synced: Stranger) -> None:
    project, stack = synced.folder / "Pulumi.yaml", synced.folder / "Pulumi.staging.yaml"
    own = yaml.safe_load(stack.read_text())
    services = own["config"].pop("shop:services")
    stack.write_text(yaml.safe_dump(own))
    shared = yaml.safe_load(project.read_text())
    shared["config"]["services"] = {"type": "object", "default": services}
    project.write_text(yaml.safe_dump(shared))

    run = synced.rollback("catalogue", "sync", "--env", "staging", "--yes", "--json")

    assert run.code == 3, str(run)
    assert run.error is not None
    assert run.error["code"] == "NOT_CONFIGURED"


_SHA = "0123456789abcdef0123456789abcdef01234567"


def test_with_github_it_writes_the_lines_that_call_the_workflows_for_all_environments_of_the_folder(
    stranger: Stranger,
) -> None:
    stranger.deploy("staging", services=["payments"])
    stranger.deploy("production", services=["payments"])
    subprocess.run(["git", "init", "-q", str(stranger.folder)], check=True)
    ci = ("--github", f"acme/rollback-cli@{_SHA}", "--repository", "acme/shop", "--folder", "rollbacks")
    workflow = stranger.folder / ".github/workflows/rollback.yml"

    first = stranger.init(*ci)
    written = workflow.read_text()
    refused = stranger.rollback("init", "--env", "production", "--yes", "--json", *ci)
    second = stranger.rollback("init", "--env", "production", "--yes", "--overwrite", "--json", *ci)

    assert (first.code, refused.code, second.code) == (0, 3, 0), f"{first}\n{refused}\n{second}"
    assert yaml.safe_load(written)["jobs"]["rollback"]["uses"].endswith(f"/rollback.yml@{_SHA}")
    document = yaml.safe_load(workflow.read_text())
    assert document[True]["workflow_dispatch"]["inputs"]["environment"]["options"] == [
        "production",
        "staging",
    ]
    assert document["jobs"]["rollback"]["with"]["folder"] == "rollbacks"
    assert (
        document["jobs"]["rollback"]["with"]["source"] == f"git+https://github.com/acme/rollback-cli@{_SHA}"
    )
    assert load(stranger.folder / "rollbacks", "production").repository == "acme/shop"


def test_with_gitlab_it_writes_what_includes_the_component_and_the_projects_whose_jobs_take_the_roles(
    stranger: Stranger,
) -> None:
    stranger.deploy(services=["payments"])
    ci = ("--gitlab", f"git.acme.example/tools/rollback-cli@{_SHA}", "--gitlab-project", "acme/shop")

    run = stranger.init(*ci, "--gitlab-approvals", "acme/approvals", "--ci-source", "1.2.3")

    assert run.code == 0, str(run)
    first, *_ = yaml.safe_load((stranger.folder / ".gitlab/rollback.yml").read_text())["include"]
    assert first["component"] == f"$CI_SERVER_FQDN/tools/rollback-cli/rollback@{_SHA}"
    assert first["inputs"]["source"] == "1.2.3"
    gitlab = stranger.settings().gitlab
    assert gitlab is not None
    assert (gitlab.host, gitlab.project, gitlab.approvals) == (
        "git.acme.example",
        "acme/shop",
        "acme/approvals",
    )


@pytest.mark.parametrize(
    "ci",
    [
        ("--github", "acme/rollback-cli@main"),
        ("--github", f"acme/a@{_SHA}", "--gitlab", f"acme/a@{_SHA}"),
        ("--ci-source", "1.2.3"),
        ("--gitlab-approvals", "acme/approvals"),
    ],
)
def test_a_ci_that_is_not_pinned_or_not_one_is_refused_and_nothing_is_written(
    stranger: Stranger, ci: tuple[str, ...]
) -> None:
    stranger.deploy(services=["payments"])

    run = stranger.init(*ci)

    assert run.code == 2, str(run)
    assert run.error is not None
    assert run.error["code"] == "OPTION_INVALID"
    assert files(stranger.folder) == {}
