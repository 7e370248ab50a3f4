"""A checkout with a Pulumi program of its own, deployed by the real engine, and the target that puts it back."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml

from localaws import shell
from localaws.emulator import server
from rollback.aws.account import Account
from rollback.aws.pacing import Throttles
from rollback.config.settings import parse
from rollback.engines.pulumi.workspace import Workspace
from rollback.model.plan import Plan
from rollback.model.release import Entry, Timeline
from rollback.model.request import StackRequest
from rollback.model.resource_changes import ResourceChange
from rollback.targets.base import Context
from rollback.targets.stack.target import Stack
from rollback.util.clocks import Clocks
from tests.doubles.world import ALICE, Parameters, texts
from tests.prepared import engine

ROOT = Path(__file__).resolve().parents[2]
REGION = "eu-west-1"
# An account of its own for each estate: the emulator takes it from the access key.
_ACCOUNTS = itertools.count(600_000_000_000)
SALT = "v1:cQm81ZfgtVE=:v1:89ucGvXHd571Bf2j:RH0D1bv/QzzJId4ptWg5Y7DfS0wWEQ=="
HEAD = """
import pulumi
import pulumi_aws as aws

def parameter(name, value, **options):
    return aws.ssm.Parameter(
        name, name="/demo/" + name, type="String", insecure_value=value,
        opts=pulumi.ResourceOptions(**options))

def table(name, **options):
    return aws.dynamodb.Table(
        name, name=name, billing_mode="PAY_PER_REQUEST", hash_key="PK",
        attributes=[{"name": "PK", "type": "S"}], opts=pulumi.ResourceOptions(**options))

"""


class Quarantines:
    """The ledger as far as this target reads it: what is quarantined, and the timeline's entries, newest first."""

    def __init__(self) -> None:
        self.barred: list[Any] = []
        self.entries: list[Entry] = []

    def timeline(self, *, verified: bool = False) -> Timeline:
        assert verified, "it decides by it"
        return Timeline(iter(self.entries))

    def quarantines(self) -> list[Any]:
        return self.barred


@dataclass(kw_only=True)
class Estate:
    """One repository, one stack, one account. `environment` is that of `pulumi`."""

    folder: Path
    environment: dict[str, str]
    account: str
    project: str = ""
    ledger: Quarantines = field(default_factory=Quarantines)
    parameters: Parameters = field(default_factory=Parameters)
    workspace: Workspace | None = None
    _open: list[ExitStack] = field(default_factory=list)

    @classmethod
    def create(
        cls,
        folder: Path,
        *,
        path: str,
        endpoint: str,
        backend: str = "",
        bucket: str = "",
        project: str = "",
    ) -> Estate:
        """An empty stack `dev`, its state in a folder or in a `bucket` that `backend` names."""
        root, account = folder / "checkout", str(next(_ACCOUNTS))
        for part in (root / project, folder / "home", folder / "state"):
            part.mkdir(parents=True)
        environment = {
            "PATH": path,
            "HOME": str(folder / "home"),
            "XDG_CACHE_HOME": str(folder / "cache"),
            "PULUMI_HOME": str(folder / "home"),
            "PULUMI_BACKEND_URL": backend or f"file://{folder}/state",
            "PULUMI_CONFIG_PASSPHRASE": "passphrase",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_ACCESS_KEY_ID": account,
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",
        }
        estate = cls(folder=folder, environment=environment, account=account, project=project)
        (root / ".gitignore").write_text("__pycache__\n")
        text, stack = map(json.loads, texts())
        options = {"toolchain": "pip", "virtualenv": str(ROOT / ".venv")}
        text["runtime"] = {"name": "python", "options": options}
        stack["config"]["aws:allowedAccountIds"] = [account]
        stack["encryptionsalt"] = SALT
        estate.write("Pulumi.yaml", json.dumps(text))
        estate.write("Pulumi.dev.yaml", json.dumps(stack))
        estate.git("init", "-q", "-b", "main")
        if bucket:
            place: Any = {"LocationConstraint": REGION}
            estate.aws("s3").create_bucket(Bucket=bucket, CreateBucketConfiguration=place)
        estate.pulumi("stack", "init", "dev")
        return estate

    @property
    def root(self) -> Path:
        return self.folder / "checkout"

    @property
    def program(self) -> Path:
        return self.root / self.project

    # -- the checkout --------------------------------------------------------------------------------

    def write(self, name: str, text: str) -> None:
        (self.program / name).write_text(text)

    def config(self, **values: Any) -> None:
        """Sets configuration of the stack; other keys of its file with `top`."""
        stack = json.loads((self.program / "Pulumi.dev.yaml").read_text())
        stack |= values.pop("top", {})
        stack["config"] |= {f"rollback:{name}": value for name, value in values.items()}
        self.write("Pulumi.dev.yaml", json.dumps(stack))

    def secret(self, name: str, value: str) -> None:
        """Sets a secret of the stack's configuration, encrypted as the engine does it."""
        self.pulumi("config", "set", "--secret", f"rollback:{name}", value, "--stack", "dev")
        stack = yaml.safe_load((self.program / "Pulumi.dev.yaml").read_text())
        self.write("Pulumi.dev.yaml", json.dumps(stack))

    def git(self, *arguments: str) -> str:
        actor = ("-c", "user.name=dan", "-c", "user.email=dan@example.org", "-c", "commit.gpgsign=false")
        done = subprocess.run(
            ["git", *actor, "-C", str(self.root), *arguments],
            env={**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def commit(self, program: str, message: str = "a change") -> str:
        """Commits the program (after the helpers in HEAD) and everything else; its sha."""
        self.write("__main__.py", HEAD + program)
        self.git("add", "-A")
        self.git("commit", "-qm", message)
        return self.git("rev-parse", "HEAD")

    def pulumi(self, *arguments: str, ok: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            ["pulumi", *arguments, "--non-interactive"],
            cwd=self.program,
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert not ok or done.returncode == 0, done.stdout + done.stderr
        return done

    def up(self, *arguments: str, ok: bool = True) -> subprocess.CompletedProcess[str]:
        """Deploys the checkout, as anybody does."""
        return self.pulumi("up", "--yes", "--skip-preview", "--stack", "dev", *arguments, ok=ok)

    def deploy(self, program: str, message: str = "a change") -> str:
        sha = self.commit(program, message)
        self.up()
        return sha

    # -- the target ----------------------------------------------------------------------------------

    def target(
        self,
        *,
        patience: float | None = None,
        confirm_dead: str = "",
        working: Callable[[str], object] = lambda _: None,
    ) -> Stack:
        """The target as a process of its own has it."""
        closing = ExitStack()
        self._open.append(closing)
        project, stack = texts()
        account = Account(
            settings=parse("dev", project, stack),
            caller=ALICE,
            lambda_=None,  # type: ignore[arg-type] # never asked
            dynamodb=None,  # type: ignore[arg-type] # never asked
            throttles=Throttles(),
            client=lambda service, **_: self.parameters if service == "ssm" else self.aws(service),
        )
        context = Context(
            account=account,
            ledger=self.ledger,  # type: ignore[arg-type] # a double
            root=self.program,
            clocks=Clocks(now=lambda: ""),
            closing=closing,
            confirm_dead=confirm_dead,
            working=lambda what: nullcontext(working(what)),
        )
        return Stack(context, patience=patience)

    def plan(self, to: str = "previous", **request: Any) -> Plan[ResourceChange]:
        target = self.target()
        plan = target.plan(StackRequest(commit=to, **request))
        self.workspace = target._deployed
        return plan

    def close(self) -> None:
        """Ends the processes' sessions."""
        while self._open:
            self._open.pop().close()

    # -- the account ---------------------------------------------------------------------------------

    def aws(self, service: str) -> Any:
        return boto3.client(
            service,  # type: ignore[call-overload]
            region_name=REGION,
            endpoint_url=self.environment["AWS_ENDPOINT_URL"],
            aws_access_key_id=self.account,
            aws_secret_access_key="secret",
        )

    def values(self) -> Mapping[str, str]:
        """The account's parameters below /demo/: what the program has made."""
        found = self.aws("ssm").get_parameters_by_path(Path="/demo")["Parameters"]
        return {item["Name"].removeprefix("/demo/"): item["Value"] for item in found}

    def resources(self) -> list[str]:
        """The names of what the checkpoint knows."""
        exported = json.loads(self.pulumi("stack", "export", "--stack", "dev").stdout)
        return sorted(one["urn"].rpartition("::")[2] for one in exported["deployment"].get("resources", []))


def engine_path() -> str:
    """A PATH on which the engine finds our plugins: forks of them within `Warm.in_place_of_plugins`."""
    pulumi = engine()
    return os.pathsep.join((str(shell.BIN), str(pulumi.parent), os.environ["PATH"]))


@contextmanager
def alone(folder: Path) -> Iterator[Estate]:
    """An empty stack in an emulator of its own; its environment is this process's, too."""
    path = engine_path()
    with server.running(auth=False) as emulator, pytest.MonkeyPatch.context() as patch:
        estate = Estate.create(folder, path=path, endpoint=emulator.endpoint)
        for name, value in estate.environment.items():
            patch.setenv(name, value)
        yield estate


def ops(plan: Plan[ResourceChange]) -> dict[str, str]:
    """Resource → what is done to it, for those that change."""
    return {step.urn.rpartition("::")[2]: step.op for step in plan.changing}
