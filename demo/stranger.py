"""Another company's account: from the wheel and an empty folder to a rolled back release, with nothing edited by hand.

Its functions were deployed by CloudFormation under SAM's names. It has no GitHub and no Terraform, and its people use
IAM Identity Center. The commands that `rollback init` lists next are typed unchanged.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3

from demo.engine_output import Summary
from demo.screen import shortly
from demo.stage import SHOWN, ClaimError, DemoResult, DemoStage
from localaws import identity_center, sam_estate, shell, wheel
from localaws.emulator.server import Emulator
from localaws.paths import locked
from rollback.config.naming import PERMISSION_SETS_PATH, permission_set_role
from rollback.config.settings import load

REGION = "eu-central-1"
ACCOUNTS = {"staging": "111122223333", "production": "444455556666"}
# Who has which permission set; olga administers the accounts.
PEOPLE = {"Deploy": "dana@example.com", "OnCall": "alice@example.com", "Approve": "bob@example.com"}
ADMIN = "olga@example.com"
_ADMINISTRATORS = permission_set_role("AdministratorAccess", "0123456789abcdef")
BAD = ("GetOrder", "CreateOrder")
_WAITING, _REFUSED = 10, 3
# Maximum lines of each step's output.
_SUMMARY = 3


def play(
    stage: DemoStage, emulator: Emulator, folder: Path, environments: Sequence[str] = tuple(ACCOUNTS)
) -> None:
    """Runs all chapters in `folder`; production has to be among `environments`. Raises `ClaimError` if a claim does not hold."""
    company = Company(stage=stage, emulator=emulator, folder=folder, environments=environments)
    company.installed()
    for environment in environments:
        company.adopted(environment)
    company.releases()
    company.rolled_back()


@dataclass(kw_only=True)
class Company:
    """A company with two accounts, and its people's machine."""

    stage: DemoStage
    emulator: Emulator
    folder: Path
    environments: Sequence[str]
    summary: Summary = field(default_factory=Summary)
    # Variables that `export` has set in the shell.
    exported: dict[str, str] = field(default_factory=dict)

    @property
    def work(self) -> Path:
        return self.folder / "shop"

    @property
    def profiles(self) -> Path:
        """`~/.aws/config` of its people, as `aws configure sso` writes it."""
        return self.folder / "aws-config"

    # -- chapters --------------------------------------------------------------------------------------------

    def installed(self) -> None:
        """Chapter 1, which the set-up has begun."""
        self.work.mkdir()
        for environment in self.environments:
            account = ACCOUNTS[environment]
            self._deploy(environment, "v1")
            client = self._client("iam", account)
            client.create_role(
                RoleName=_ADMINISTRATORS,
                Path=f"/{PERMISSION_SETS_PATH}{REGION}/",
                AssumeRolePolicyDocument=_document(
                    Principal={"AWS": f"arn:aws:iam::{account}:root"}, Action="sts:AssumeRole"
                ),
            )
            client.put_role_policy(
                RoleName=_ADMINISTRATORS, PolicyName="all", PolicyDocument=_document(Action="*", Resource="*")
            )
            self._signed_in(f"admin-{environment}", account, _ADMINISTRATORS, ADMIN)
            names = self._functions(account)
            self.stage.prove(
                f"{account} has {len(names)} functions of {environment}, deployed by CloudFormation, e.g. {names[0]}",
                len(names) == sum(map(len, sam_estate.SERVICES.values())),
                names,
            )
        self.stage.narrate("An empty folder, and the wheel in a virtual environment.")
        done = self._typed("rollback --version")
        self.stage.prove(
            "The command is the one from the wheel",
            str(self.folder / "venv") in self._which("rollback"),
            done.output,
        )
        self.stage.close(
            "The wheel was installed; two accounts with 12 functions each, deployed by CloudFormation"
        )

    def adopted(self, environment: str) -> None:
        """A chapter: `init`, and the commands that it lists next."""
        stage, account = self.stage, ACCOUNTS[environment]
        stage.chapter(f"rollback init, in {environment}")
        self.exported = {"AWS_PROFILE": f"admin-{environment}"}
        before = self._functions(account)
        done = self._typed(f"rollback init --env {environment} --yes", by=ADMIN)
        lines = done.output.splitlines()
        first = next(n for n, line in enumerate(lines) if line.startswith(("git init", "aws s3 mb")))
        steps = [line for line in lines[first:] if line.strip()]
        settings = load(self.work, environment)
        stage.prove(
            f"{len(settings.catalogue())} functions in {len(settings.services)} services, alias {settings.alias}; "
            "nothing was changed in the account",
            sorted(settings.catalogue()) == before and settings.alias == sam_estate.ALIAS,
            settings.services,
        )
        stage.close(f"In {environment} init found the functions, and wrote the program")
        stage.chapter(f"The commands that init lists are typed unchanged, in {environment}")
        for step in steps:
            self._step(step, environment)
            if step.startswith("pulumi up") and settings.names.foundation_stack in step:
                ledger = settings.names.deployments_table
                found = self._client("dynamodb", account).describe_table(TableName=ledger)["Table"]
                stage.prove(f"The ledger {ledger} exists", found["TableStatus"] == "ACTIVE", found)
                stage.close(f"In {environment} pulumi up created the ledger and the roles")
                stage.chapter(f"Aliases and the first release, in {environment}")
        stage.prove(
            "Release v1 is recorded, and pulumi up has not moved the aliases",
            set(self._deployed(account).values()) == {"v1"}
            and self._history(environment)[0]["version"] == "v1",
        )
        self.exported = {"AWS_PROFILE": f"admin-{environment}"}
        again = self._typed(f"rollback init --env {environment} --yes", by=ADMIN, quiet=True).output
        stage.prove(
            "A second init finds everything done",
            again.splitlines()[-1].startswith(f"rollback status --env {environment}"),
            again,
        )
        stage.close(f"In {environment} pulumi up deployed the stack, and v1 was recorded")

    def releases(self) -> None:
        """A chapter: v2 is deployed by CloudFormation, and it is bad."""
        stage = self.stage
        stage.chapter("A second release, and it is bad")
        self._deploy("production", "v2", broken=BAD)
        self._as("production", "Deploy")
        self._typed("git commit --quiet --allow-empty --message 'v2 of all services'")
        self._typed(
            "rollback release record --env production --version v2 --commit $(git rev-parse HEAD)",
            by="Deploy",
        )
        answer = self._invoke(f"{BAD[0]}")
        stage.prove(
            f"{BAD[0]} now fails when called through the alias {sam_estate.ALIAS}",
            "errorMessage" in answer,
            answer,
        )
        stage.close("CloudFormation deployed the bad release v2 in production, and it was recorded")

    def rolled_back(self) -> None:
        """The last chapter: one person plans the rollback, another approves it, and it is applied."""
        stage, account = self.stage, ACCOUNTS["production"]
        stage.chapter("Another person approves the rollback")
        before = self._deployed(account)
        self._as("production", "OnCall")
        self._typed(
            "rollback lambda --env production --reason 'orders raise since v2'", by="OnCall", expect=_WAITING
        )
        record = self._history("production")[0]
        identifier, digest = record["rollback_id"], record["digest"][:16]
        stage.prove(
            f"It waits for approval of digest {digest} and has moved nothing",
            record["status"] == "AWAITING_APPROVAL" and self._deployed(account) == before,
            record,
        )
        yes = f"rollback approve {identifier} --digest {digest} --env production"
        self._typed(yes, by="OnCall", expect=_REFUSED)
        self._as("production", "Approve")
        self._typed(yes, by="Approve")
        stage.close("Nothing was moved before another person approved exactly that plan")
        stage.chapter("Exactly the approved plan is applied")
        self._as("production", "OnCall")
        self._typed(f"rollback apply {identifier} --env production", by="OnCall")
        record = self._history("production")[0]
        people = (record["initiated_by"]["person"], record["approved_by"]["person"])
        stage.prove(
            f"COMPLETE: started by {people[0]}, approved by {people[1]}",
            record["status"] == "COMPLETE" and people == (PEOPLE["OnCall"], PEOPLE["Approve"]),
            record,
        )
        after = self._deployed(account)
        stage.prove(
            f"All {len(after)} aliases are at v1 again, and {BAD[0]} answers",
            set(after.values()) == {"v1"} and self._invoke(BAD[0]).get("version") == "v1",
            after,
        )
        self._typed("rollback status --env production", by="OnCall")
        self._typed("git status --short")
        stage.close(
            "v2 → v1 was COMPLETE in production after another person's approval; no file was edited by hand"
        )

    # -- the machine of anybody who types ------------------------------------------------------------------------

    def _step(self, line: str, environment: str) -> None:
        if line.startswith("export "):
            name, _, value = line.removeprefix("export ").partition("=")
            self.exported[name] = "".join(shlex.split(value))
            self._typed(line)
        elif "permissionSets" in line:
            self._assigned(environment, json.loads(self._typed(line, quiet=True).output))
        else:
            self._typed(line, summarised=line.startswith("pulumi up"), most=_SUMMARY)

    def _assigned(self, environment: str, sets: Mapping[str, Any]) -> None:
        """What an administrator of Identity Center does, in an account that the demo does not have."""
        self.stage.narrate(
            f"Identity Center's administrator creates these {len(sets)} permission sets, with the policies and the boundary "
            "as listed, and assigns them; everybody logs in."
        )
        settings = load(self.work, environment)
        for name, refers_to in sets.items():
            role = identity_center.assign(self.emulator.endpoint, settings, name, refers_to, region=REGION)
            person = next((who for does, who in PEOPLE.items() if name.endswith(does)), ADMIN)
            self._signed_in(name, settings.account, role, person)

    def _as(self, environment: str, does: str) -> None:
        """A person logs in with the permission set for their work."""
        name = next(
            one
            for one in load(self.work, environment).permission_sets.of_roles.values()
            if one.endswith(does)
        )
        self.exported["AWS_PROFILE"] = name

    def _signed_in(self, profile: str, account: str, role: str, person: str) -> None:
        arn = self._client("iam", account).get_role(RoleName=role)["Role"]["Arn"]
        keys = self._client("sts", account).assume_role(RoleArn=arn, RoleSessionName=person)["Credentials"]
        with self.profiles.open("a", encoding="utf-8") as file:
            file.write(
                f"[profile {profile}]\nregion = {REGION}\naws_access_key_id = {keys['AccessKeyId']}\n"
                f"aws_secret_access_key = {keys['SecretAccessKey']}\naws_session_token = {keys['SessionToken']}\n"
            )

    @property
    def variables(self) -> dict[str, str]:
        """The shell's variables: a virtual environment with the wheel, and nothing from this checkout."""
        kept = {name: value for name, value in shell.inherited().items() if not name.startswith("GIT_")}
        path = [str(self.folder / "venv" / "bin"), *shell.path()]
        person = {
            f"GIT_{who}_{what}": text
            for who in ("AUTHOR", "COMMITTER")
            for what, text in (("NAME", "Olga"), ("EMAIL", ADMIN))
        }
        return {
            **kept,
            **person,
            "GIT_CONFIG_GLOBAL": os.devnull,
            "AWS_ENDPOINT_URL": self.emulator.endpoint,
            "AWS_CONFIG_FILE": str(self.profiles),
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_PAGER": "",
            "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",
            "PULUMI_HOME": str(self.folder / "pulumi"),
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            # Nobody can read a preview and confirm it.
            "PULUMI_SKIP_CONFIRMATIONS": "true",
            "PULUMI_OPTION_SKIP_PREVIEW": "true",
            "NO_PROXY": "127.0.0.1,localhost",
            "PATH": os.pathsep.join(path),
            **self.exported,
        }

    def _typed(
        self,
        line: str,
        *,
        by: str = "",
        expect: int = 0,
        summarised: bool = False,
        quiet: bool = False,
        most: int = SHOWN,
    ) -> DemoResult:
        """A line as a person types it into their shell."""
        return self.stage.run(
            ["bash", "-c", line],
            cwd=self.work,
            env=self.variables,
            credentials=PEOPLE.get(by, by),
            expect=expect,
            show=self._of_the_update if summarised else (lambda _: []) if quiet else None,
            pipe=summarised or quiet,
            typed=line,
            most=most,
        )

    def _of_the_update(self, output: str) -> list[str]:
        """The lines of `pulumi up` about the update itself, without the preview and the outputs."""
        lines = self.summary(output[max(output.rfind("\nUpdating ("), 0) :])
        kept = (" + ", " ~ ", " - ", "Resources", "    +", "error")
        return shortly([line for line in lines if line.startswith(kept)], _SUMMARY)

    def _which(self, command: str) -> str:
        done = subprocess.run(
            ["bash", "-c", f"command -v {command}"],
            env=self.variables,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout

    # -- the accounts themselves -----------------------------------------------------------------------------

    def _client(self, service: str, account: str) -> Any:
        session: Any = boto3.Session()
        return session.client(
            service,
            endpoint_url=self.emulator.endpoint,
            region_name=REGION,
            aws_access_key_id=account,
            aws_secret_access_key="local",  # noqa: S106 - the emulator's
        )

    def _deploy(self, environment: str, version: str, broken: tuple[str, ...] = ()) -> None:
        sam_estate.deploy(
            self._client("cloudformation", ACCOUNTS[environment]), environment, version, broken=broken
        )

    def _functions(self, account: str) -> list[str]:
        pages = self._client("lambda", account).get_paginator("list_functions").paginate()
        return sorted(one["FunctionName"] for page in pages for one in page["Functions"])

    def _deployed(self, account: str) -> dict[str, str]:
        """Function → the description of the version that its alias points at."""
        client = self._client("lambda", account)
        return {
            name: client.get_function(FunctionName=name, Qualifier=sam_estate.ALIAS)["Configuration"][
                "Description"
            ]
            for name in self._functions(account)
        }

    def _invoke(self, entry: str) -> dict[str, Any]:
        name = load(self.work, "production").function(entry)
        answer = self._client("lambda", ACCOUNTS["production"]).invoke(
            FunctionName=name, Qualifier=sam_estate.ALIAS
        )
        found: dict[str, Any] = json.loads(answer["Payload"].read())
        return found

    def _history(self, environment: str) -> list[dict[str, Any]]:
        done = subprocess.run(
            ["rollback", "history", "--env", environment, "--json"],
            cwd=self.work,
            env=self.variables,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise ClaimError(
                f"rollback history ended with exit code {done.returncode}.\n{done.stderr.strip()}"
            )
        return [one for one in json.loads(done.stdout) if {"deployment_id", "rollback_id"} & one.keys()]


def install(folder: Path) -> None:
    """Installs this checkout's wheel in a virtual environment, `folder/venv`. Raises `LocalError`."""
    with locked(folder / "wheel.lock"):
        wheel.install(wheel.build(folder / "wheel"), folder / "venv", "components")


def _document(**statement: Any) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement}]})
