"""An environment with all that a release is made of: functions, a stack and a Terraform configuration.

    ground.goes_bad("stack", "terraform")
    run = ground.rollback("full", "--to", GOOD, "--yes")

Each test has it go bad in its own way and leaves nothing in flight, so that they share one.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rollback.config.naming import DEPLOYER
from tests.e2e.accounts_under_test import Kept
from tests.e2e.estate_under_test import DAN, REASON, Person, Platform, Run, Running, git
from tests.prepared import terraform
from tests.warm import Warm

GOOD = "v1.0.0"
# Seconds: several engines one after the other, on a machine that has other things to do.
PATIENCE = 180.0
_PARAMETERS, TAGGED = "components/release_parameters.py", "release-parameters"
_ROOT, OUTPUTS = "terraform/main.tf", "The access platform's API"
_DENIED = "denied-by-a-test"
_MAX_TEXT = ("--reason", REASON, "--json")


@dataclass(frozen=True, kw_only=True, slots=True)
class InfrastructureState:
    """What the account itself has: a tag of the parameters, what the API says of itself, functions' versions,
    and what the three parameters say.
    """

    tag: str
    subject: str
    versions: Mapping[str, str]
    commits: Mapping[str, str]


@dataclass(kw_only=True)
class InfrastructureEstate:
    """`good` is the commit of release `GOOD`; `main` is at its content again after every bad commit."""

    platform: Platform
    tool: str
    good: str = ""
    bad: str = ""
    version: str = ""
    before: InfrastructureState | None = None
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    # -- what is deployed --------------------------------------------------------------------------------

    def goes_bad(self, *what: str) -> str:
        """A commit that is bad for the stack, terraform or functions, deployed and released; its sha."""
        number = next(self._numbers)
        self.version = f"v1.{number}.0"
        if "stack" in what:
            self.edit(_PARAMETERS, f'"{TAGGED}")', f'"{TAGGED}-bad-{number}")')
        if "terraform" in what:
            self.edit(_ROOT, OUTPUTS, f"Bad, number {number}")
        self.bad = self.commit(f"a bad one, number {number}")
        if "stack" in what:
            self.up()
        if "terraform" in what:
            self.apply()
        if "functions" in what:
            self.platform.deploy(self.version, broken=["team_service"])
        self.released(self.version, self.bad if "terraform" in what else self.good)
        if what != ("functions",):
            git(self.platform.root, "revert", "--no-edit", "HEAD")
        self.before = self.state()
        return self.bad

    def edit(self, path: str, old: str, new: str) -> None:
        file = self.platform.root / path
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))

    def commit(self, message: str) -> str:
        git(self.platform.root, "add", ".")
        git(self.platform.root, "commit", "-q", "--allow-empty", "-m", message)
        return git(self.platform.root, "rev-parse", "HEAD")

    def released(self, version: str, terraform: str) -> None:
        run = self.platform.record(version, "--terraform-commit", terraform)
        assert run.code == 0, str(run)

    def up(self, *arguments: str, cwd: Path | None = None) -> None:
        """`pulumi up` of the checkout, as the deployer."""
        self.pulumi("up", "--skip-preview", *arguments, cwd=cwd)

    def pulumi(self, *arguments: str, ok: bool = True, cwd: Path | None = None) -> None:
        stack = ("--yes", "--non-interactive", "--stack", self.platform.settings.environment)
        run = self.platform.command(["pulumi", *arguments, *stack], as_=DAN, cwd=cwd).finish(timeout=PATIENCE)
        assert (run.code == 0) is ok, str(run)

    def apply(self) -> None:
        """`terraform apply` of the checkout, as the deployer."""
        self._terraform("apply", "-auto-approve", f"-var-file=environments/{self._environment}.tfvars")

    def init(self) -> None:
        settings = self.platform.settings
        options = {"bucket": settings.names.state_bucket, "region": settings.region, "use_path_style": "true"}
        self._terraform("init", *(f"-backend-config={name}={value}" for name, value in options.items()))

    # -- what is typed -----------------------------------------------------------------------------------

    def rollback(self, *arguments: str, as_: Person = DAN, **how: Any) -> Run:
        return self.platform.rollback(*arguments, *_MAX_TEXT, as_=as_, timeout=PATIENCE, **how)

    def start(self, *arguments: str, as_: Person = DAN, **how: Any) -> Running:
        return self.platform.start(*arguments, *_MAX_TEXT, as_=as_, **how)

    def goes_on(self, verb: str, run: Run, *arguments: str) -> Run:
        """`apply`, `resume` or `abort` of what an earlier run has left."""
        return self.platform.rollback(verb, run.id, "--json", *arguments, as_=DAN, timeout=PATIENCE)

    def waiting(self, verb: str, *arguments: str) -> Run:
        run = self.rollback(verb, *arguments)
        assert run.code == 10, str(run)
        confirmed = self.platform.settings.approval.infrastructure == "confirm"
        assert run.json["status"] == ("AWAITING_CONFIRMATION" if confirmed else "AWAITING_APPROVAL")
        return run

    # -- what stands -------------------------------------------------------------------------------------

    def state(self) -> InfrastructureState:
        platform = self.platform
        ssm, names = platform.root_client("ssm"), platform.settings.names
        tags = ssm.list_tags_for_resource(ResourceType="Parameter", ResourceId=names.deployed_version)
        apis = platform.root_client("apigateway").get_rest_apis()["items"]
        parameters = (names.deployed_version, names.pulumi_commit, names.terraform_commit)
        return InfrastructureState(
            tag=next(tag["Value"] for tag in tags["TagList"] if tag["Key"] == "component"),
            subject=next(str(api["description"]) for api in apis if api["name"] == names.api("apigw")),
            versions=platform.versions(),
            commits={
                name.rpartition("/")[2]: ssm.get_parameter(Name=name)["Parameter"]["Value"]
                for name in parameters
            },
        )

    def is_good(self, what: str) -> bool:
        """Whether the stack or the configuration is again as the good commit has it, and is said to be."""
        now = self.state()
        if what == "stack":
            return (now.tag, now.commits["pulumi-commit"]) == (TAGGED, self.good)
        return (now.subject, now.commits["terraform-commit"]) == (OUTPUTS, self.good)

    def checkout(self) -> tuple[str, str, str]:
        """All that a command could leave in the checkout and in its repository."""
        root = self.platform.root
        return (
            git(root, "status", "--porcelain", "--ignored"),
            git(root, "diff"),
            git(root, "worktree", "list", "--porcelain"),
        )

    @contextmanager
    def denied(self, action: str) -> Iterator[None]:
        """IAM denies an action to the deployer as long as the block lasts."""
        iam, role = self.platform.root_client("iam"), self.platform.settings.names.role(DEPLOYER)
        document = {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Deny", "Action": action, "Resource": "*"}],
        }
        iam.put_role_policy(RoleName=role, PolicyName=_DENIED, PolicyDocument=json.dumps(document))
        yield
        iam.delete_role_policy(RoleName=role, PolicyName=_DENIED)

    # -- helpers -----------------------------------------------------------------------------------------

    @property
    def _environment(self) -> str:
        return self.platform.settings.environment

    def _terraform(self, *arguments: str) -> None:
        """What it keeps is kept outside the checkout."""
        extra = {"TF_DATA_DIR": str(self.platform.folder / "terraform")}
        command = [self.tool, "-chdir=terraform", *arguments, "-no-color", "-input=false"]
        run = self.platform.command(command, as_=DAN, extra=extra).finish(timeout=PATIENCE)
        assert run.code == 0, str(run)


@contextmanager
def declared(kept: Kept, folder: Path, warm: Warm, *, up: bool = True) -> Iterator[InfrastructureEstate]:
    """An environment that is good: declared, deployed and recorded as `GOOD`, on an emulator of its own.

    Without `up` its stack is left as the commit before has deployed it, which is as good.
    """
    tool = terraform()
    with kept.awake(folder, warm) as platform:
        infrastructure = InfrastructureEstate(platform=platform, tool=str(tool))
        (platform.root / ".smoked").touch()
        platform.configure(minimumFunctions=len(platform.versions()))
        names = f"{platform.settings.environment}.tfvars"
        variables = platform.root / "terraform" / "environments" / names
        variables.write_text(re.sub(r"\d{12}", platform.settings.account, variables.read_text()))
        infrastructure.init()
        infrastructure.good = infrastructure.commit("lock Terraform's provider")
        if up:
            infrastructure.up()
        infrastructure.apply()
        infrastructure.released(GOOD, infrastructure.good)
        yield infrastructure
