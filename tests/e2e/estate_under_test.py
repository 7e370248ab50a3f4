"""An environment as a test sees it: its own account, its own checkout, and people who act under roles.

    dev.release("v1.2.0", broken=["team_service"])
    run = dev.rollback("lambda", "--reason", "500s", "--json", as_=ALICE)

    assert run.code == 0

Every verb is the console script, in a process of its own, under a role whose policies a real
`pulumi up` has declared and which the emulator evaluates.
"""

from __future__ import annotations

import atexit
import itertools
import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from boto3.dynamodb.types import TypeDeserializer
from botocore.exceptions import ClientError

from localaws import estate, identity, shell
from localaws.clients import connect, root
from localaws.emulator.server import copy_account, make_idle
from localaws.paths import ROOT
from rollback.config.naming import APPROVER, BREAK_GLASS, DEPLOYER, DRILL, ROLLBACK
from rollback.config.settings import Settings
from tests import planted
from tests.warm import Child, Run, Warm

if TYPE_CHECKING:
    from tests.e2e.accounts_under_test import Models

# Two services whose names begin alike, so that whoever maps by prefix touches the wrong one.
CATALOGUE = {
    "team_service": ["team-service-get", "team-service-list"],
    "role_service": ["role-service-get", "role-service-assign"],
    "role_service_admin": ["role-service-admin-get"],
    "audit_service": ["audit-service-record"],
}
FUNCTIONS = [tail for tails in CATALOGUE.values() for tail in tails]
LEASE_SECONDS = 4
REASON = "team answers 500"
PATIENCE = 180.0
SCRIPT = ROOT / ".venv" / "bin" / "rollback"
# Says what the test wants to hear: `.verdict` is its exit code.
_SMOKE = """#!/bin/sh
echo "asked about $TEST_ENVIRONMENT" | tee -a .smoked
exit "$(cat .verdict 2>/dev/null || echo 0)"
"""
_DESERIALIZER = TypeDeserializer()
# The emulator's modules that keep what releases change.
RELEASED = ("lambda_svc", "dynamodb", "ssm", "s3")


@dataclass(frozen=True, kw_only=True, slots=True)
class Person:
    """Somebody under a role (a word of `naming.ROLES`, or `naming.BREAK_GLASS`)."""

    role: str
    name: str


DAN = Person(role=DEPLOYER, name="dan")
ALICE = Person(role=ROLLBACK, name="alice")
BOB = Person(role=APPROVER, name="bob")
ALICE_APPROVING = Person(role=APPROVER, name="alice")
OLGA = Person(role=BREAK_GLASS, name="olga")
DORA = Person(role=DRILL, name="dora")
# The account's root, who has the state of the foundation.
ADMIN = Person(role="", name="root")


@dataclass(kw_only=True)
class Running:
    """A command that has been started. `finish` must be called; the fixture ends what is left."""

    process: subprocess.Popen[str]
    _output: str = ""

    def wait_for(self, arguments: str) -> None:
        """Returns when a line with `arguments` has come on standard error."""
        assert self.process.stderr is not None
        while arguments not in self._output:
            line = self.process.stderr.readline()
            assert line, f"it ended without having said {arguments!r}: {self._output}"
            self._output += line

    def interrupt(self) -> None:
        self.process.send_signal(signal.SIGINT)

    def kill(self) -> Run:
        """SIGKILL, as when the power goes."""
        self.process.kill()
        return self.finish()

    def finish(self, timeout: float = PATIENCE) -> Run:
        try:
            out, err = self.process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            out, err = self.process.communicate()
            raise AssertionError(f"it did not end within {timeout:.0f} s\n{err}\n{out}") from None
        program, *arguments = map(str, self.process.args)
        ours = arguments if program.endswith("/rollback") else ()
        run = Run.of(self.process.returncode, out, self._output + err, ours)
        planted.heard(str(self.process.args), run.out, run.err)
        return run


def _temporary() -> Path:
    """A folder that goes away with this process, if nobody removes it before."""
    place = Path(tempfile.mkdtemp(prefix="rb-"))
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    return place


@dataclass(kw_only=True)
class Platform:
    """One environment. `root` is the checkout that commands run in, `table` the ledger's as it is created."""

    endpoint: str
    settings: Settings
    root: Path
    folder: Path
    path: str = f"{SCRIPT.parent}{os.pathsep}/usr/bin{os.pathsep}/bin"
    models: Models | None = None
    warm: Warm | None = None
    table: Mapping[str, Any] = field(default_factory=dict)
    # Where commands keep what is temporary. Near the root: the name of a plugin's socket has few characters.
    temporary: Path = field(default_factory=_temporary)
    _identities: dict[Person, dict[str, str]] = field(default_factory=dict)
    _started: list[Running] = field(default_factory=list)
    _clients: dict[tuple[str, Person | None], Any] = field(default_factory=dict)

    # -- people ------------------------------------------------------------------------------------------

    def variables(self, person: Person, *, endpoint: str | None = None) -> dict[str, str]:
        """The environment of a command that `person` types."""
        actor = root(self.settings) if person == ADMIN else self._identities.get(person)
        if actor is None:
            if person.role == BREAK_GLASS:  # no workflow's: a user takes it, with MFA
                actor = identity.assume_as(self.endpoint, self.settings, person.role, person.name)
            else:
                actor = identity.assume(self.endpoint, self.settings, person.role, person.name)
            self._identities[person] = actor
            planted.also(actor["AWS_SECRET_ACCESS_KEY"])
            planted.also(actor["AWS_SESSION_TOKEN"])
        return {
            **shell.inherited(),
            **shell.environment(
                endpoint or self.endpoint,
                self.settings,
                identity=actor,
                folder=self.folder,
                foundation=person == ADMIN,
            ),
            "PATH": self.path,
            "HOME": str(self.folder),
            "COLUMNS": "500",
            "TERM": "dumb",
            "NO_COLOR": "1",
            # None of these may ever come up again (`tests.planted`).
            "SLACK_USER_TOKEN": planted.secret("slack"),
            "GITHUB_TOKEN": planted.secret("github"),
            "TF_VAR_planted": planted.secret("terraform"),
            "TMPDIR": str(self.temporary),
        }

    def comes_as(self, person: Person, identity: Mapping[str, str]) -> None:
        """`person` has these credentials from now on."""
        self._identities[person] = dict(identity)
        planted.also(identity["AWS_SECRET_ACCESS_KEY"])
        planted.also(identity["AWS_SESSION_TOKEN"])

    def rollback(
        self,
        *arguments: str,
        as_: Person,
        env: bool = True,
        cwd: Path | None = None,
        extra: Mapping[str, str | None] | None = None,
        endpoint: str | None = None,
        timeout: float = PATIENCE,
    ) -> Run:
        """`rollback WORDS --env ENVIRONMENT`, to its end, in a process that is forked where there is a server."""
        if self.warm is None:
            return self.start(*arguments, as_=as_, env=env, cwd=cwd, extra=extra, endpoint=endpoint).finish(
                timeout
            )
        typed = [*arguments, *(["--env", self.settings.environment] if env else [])]
        variables: dict[str, str | None] = {**self.variables(as_, endpoint=endpoint), **(extra or {})}
        given = {name: value for name, value in variables.items() if value is not None}
        run = self.warm.run(typed, given, cwd or self.root, timeout=timeout)
        planted.heard(str(typed), run.out, run.err)
        return run

    def beside(self, *arguments: str, as_: Person) -> Child:
        """The same in a forked process, without waiting."""
        assert self.warm is not None
        typed = [*arguments, "--env", self.settings.environment]
        return self.warm.start(typed, self.variables(as_), self.root)

    def start(self, *arguments: str, as_: Person, env: bool = True, **how: Any) -> Running:
        """The same, without waiting. `env=False` leaves `--env` out."""
        typed = [str(self.script), *arguments, *(["--env", self.settings.environment] if env else [])]
        return self.command(typed, as_=as_, **how)

    @property
    def script(self) -> Path:
        """The console script, or the one that has it forked where there is a server."""
        return self.warm.scripts / "rollback" if self.warm else SCRIPT

    def command(
        self,
        command: Sequence[str],
        *,
        as_: Person,
        endpoint: str | None = None,
        cwd: Path | None = None,
        extra: Mapping[str, str | None] | None = None,
    ) -> Running:
        """Any command in the checkout. `extra` sets variables, or takes away those that are None."""
        variables: dict[str, str | None] = {**self.variables(as_, endpoint=endpoint), **(extra or {})}
        process = subprocess.Popen(
            command,
            cwd=cwd or self.root,
            env={name: value for name, value in variables.items() if value is not None},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        running = Running(process=process)
        self._started.append(running)
        return running

    def pulumi(self, *arguments: str, as_: Person = DAN) -> str:
        """`pulumi WORDS` in the checkout; what it printed. Each has the state of their own stack."""
        (self.folder / "pulumi").mkdir(parents=True, exist_ok=True)
        run = self.command(["pulumi", *arguments, "--non-interactive"], as_=as_).finish(120)
        assert run.code == 0, str(run)
        return run.out

    def end(self) -> None:
        """Ends what a failed test has left; what commands have stored and left is kept for the search."""
        for running in self._started:
            if running.process.poll() is None:
                running.process.kill()
            running.process.communicate()
        with suppress(ClientError):  # a test may have deleted the table
            planted.heard(
                f"the ledger of {self.settings.account}", json.dumps(self.raw_items(), default=repr)
            )
        for folder in (self.folder, self.temporary):
            planted.left(f"in {folder.name}", folder)
        shutil.rmtree(self.temporary, ignore_errors=True)

    # -- releases ----------------------------------------------------------------------------------------

    def deploy(
        self, version: str, *, changed: Iterable[str] | None = None, broken: Iterable[str] = ()
    ) -> None:
        """New code, published and promoted by the deployer; nothing is recorded."""
        estate.deploy(self.client("lambda", DAN), self.settings, version, changed=changed, broken=broken)

    def record(self, version: str, *options: str, as_: Person = DAN) -> Run:
        return self.rollback(
            "release", "record", "--version", version, "--commit", "a" * 40, "--json", *options, as_=as_
        )

    def release(
        self, version: str, *, changed: Iterable[str] | None = None, broken: Iterable[str] = ()
    ) -> None:
        """Deployed and recorded."""
        self.deploy(version, changed=changed, broken=broken)
        run = self.record(version)
        assert run.code == 0, str(run)

    def unlisted_functions(self) -> None:
        """Functions that share the prefix but are not the platform's."""
        estate.unlisted_functions(self.root_client("lambda"), self.settings)

    def story(self) -> None:
        """v1.0.0, v1.1.0 and v1.2.0 of everything, the last of them bad.

        Recorded by the command, in this account or in one that is copied.
        """
        if self.models is not None:
            model = self.models.told(self.settings.environment)
            copy_account(self.endpoint, model.settings.account, self.settings.account, RELEASED)
            return
        recorded = self.record("v1.0.0")
        assert recorded.code == 0, str(recorded)
        self.release("v1.1.0")
        self.release("v1.2.0", broken=["team_service"])

    def waiting(self, *options: str) -> Run:
        """A rollback that waits for approval."""
        run = self.rollback("lambda", "--reason", REASON, "--json", *options, as_=ALICE)
        assert run.code == 10, str(run)
        return run

    def approve(self, run: Run, *, as_: Person = BOB, digest: str | None = None, **how: Any) -> Run:
        arguments = (
            "approve",
            run.id,
            "--digest",
            run.json["digest"] if digest is None else digest,
            "--json",
        )
        return self.rollback(*arguments, as_=as_, **how)

    def show(self, identifier: str, *, as_: Person = ALICE) -> Any:
        run = self.rollback("show", identifier, "--json", as_=as_)
        assert run.code == 0, str(run)
        return run.json

    def event_kinds(self, identifier: str) -> list[str]:
        """The kinds of a record's events in order; a batch may be journalled in parts."""
        kinds = [event["kind"] for event in self.show(identifier)["events"]]
        return [kind for kind, _ in itertools.groupby(kinds)]

    # -- what stands -------------------------------------------------------------------------------------

    def name(self, tail: str) -> str:
        return self.settings.names.function(tail)

    def root_client(self, service: str) -> Any:
        """A client of the account's root: what a test sees and does behind everybody's back."""
        if (service, None) not in self._clients:
            self._clients[service, None] = connect(service, self.endpoint, self.settings)
        return self._clients[service, None]

    def client(self, service: str, person: Person) -> Any:
        """A client under a person's role."""
        if (service, person) not in self._clients:
            self.variables(person)
            self._clients[service, person] = connect(
                service, self.endpoint, self.settings, self._identities[person]
            )
        return self._clients[service, person]

    def idle(self, tail: str, version: str, *, ends: str = "Active") -> None:
        """A version is Inactive, as Lambda makes one that nobody has invoked for long; woken it `ends` so."""
        settings = self.settings
        make_idle(self.endpoint, settings.account, settings.region, self.name(tail), version, ends=ends)

    def alias(self, tail: str) -> dict[str, Any]:
        return self.alias_of(self.name(tail))

    def alias_of(self, function: str) -> dict[str, Any]:
        found = self.root_client("lambda").get_alias(FunctionName=function, Name=self.settings.alias)
        return {name: value for name, value in found.items() if name != "ResponseMetadata"}

    def live(self) -> dict[str, tuple[str, dict[str, float]]]:
        """Function (as the catalogue has it) → version and weights of its alias."""
        client = self.root_client("lambda")
        return {tail: _pointer(client, self.name(tail), self.settings.alias) for tail in FUNCTIONS}

    def versions(self) -> dict[str, str]:
        return {tail: version for tail, (version, _) in self.live().items()}

    def move(self, tail: str, version: str, weights: Mapping[str, float] | None = None) -> None:
        """Somebody moves an alias by hand."""
        self.root_client("lambda").update_alias(
            FunctionName=self.name(tail),
            Name=self.settings.alias,
            FunctionVersion=version,
            RoutingConfig={"AdditionalVersionWeights": dict(weights or {})},
        )

    def forbid(self, action: str, tail: str, *, role: str = ROLLBACK) -> None:
        """From now on IAM denies a Lambda action on one function to a role."""
        names, account = self.settings.names, self.settings.account
        statement = {
            "Effect": "Deny",
            "Action": f"lambda:{action}",
            "Resource": f"arn:aws:lambda:{self.settings.region}:{account}:function:{self.name(tail)}",
        }
        self.root_client("iam").put_role_policy(
            RoleName=names.role(role),
            PolicyName="denied-by-a-test",
            PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]}),
        )

    def deployed(self) -> str:
        """The parameter `deployed-version`."""
        names = self.settings.names
        found = self.root_client("ssm").get_parameter(Name=names.deployed_version)
        return str(found["Parameter"]["Value"])

    def items(self) -> list[dict[str, Any]]:
        """Everything in the deployments table."""
        return [
            {name: _DESERIALIZER.deserialize(value) for name, value in item.items()}
            for item in self.raw_items()
        ]

    def raw_items(self) -> list[dict[str, Any]]:
        """The same as DynamoDB's JSON has it."""
        scan = self.root_client("dynamodb").get_paginator("scan")
        pages = scan.paginate(TableName=self.settings.names.deployments_table)
        return [item for page in pages for item in page["Items"]]

    def everything(self) -> dict[str, Any]:
        """All that a command could change, to be compared. A lease counts as long as it is held."""
        ssm, functions = self.root_client("ssm"), self.root_client("lambda")
        path = self.settings.names.parameter_path
        aliases = {
            (name, found["Name"]): (found["FunctionVersion"], found.get("RoutingConfig"), found["RevisionId"])
            for page in functions.get_paginator("list_functions").paginate()
            for name in (entry["FunctionName"] for entry in page["Functions"])
            for found in functions.list_aliases(FunctionName=name)["Aliases"]
        }
        parameters = {
            item["Name"]: (item["Value"], item["Version"])
            for item in ssm.get_parameters_by_path(Path=path)["Parameters"]
        }
        items = {
            (item["PK"], item["SK"]): item if not item["PK"].startswith("LOCK#") else item.get("owner")
            for item in self.items()
        }
        return {
            "aliases": aliases,
            "parameters": parameters,
            "items": {key: item for key, item in items.items() if item is not None},
        }

    # -- the checkout ------------------------------------------------------------------------------------

    def configure(self, **values: Any) -> None:
        """Changes project-level settings, committed to main."""
        path = self.root / "Pulumi.yaml"
        project = yaml.safe_load(path.read_text())
        for name, value in values.items():
            project["config"][name]["default"] = value
        path.write_text(yaml.safe_dump(project, sort_keys=False))
        git(self.root, "commit", "-qam", "settings")

    def clone(self) -> Path:
        """Another machine's clone of the checkout."""
        place = self.folder / f"clone-{time.monotonic_ns()}"
        git(self.folder, "clone", "-q", str(self.root), str(place))
        return place

    def smoke_command(self, verdict: int) -> None:
        (self.root / ".verdict").write_text(f"{verdict}\n")


def checkout(root: Path, environment: str, account: str, *, whole: bool = False) -> None:
    """A git repository on `main` whose settings name `account`; `whole` for the program, too."""
    root.mkdir(parents=True)
    if whole:
        tracked = subprocess.run(
            ["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, text=True, check=True
        ).stdout.split("\0")
        for name in tracked:
            if name and not name.startswith(
                ("localaws/", "tools/", "bench/", "demo/", "tests/unit", "tests/integration", "tests/e2e")
            ):
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, root / name, follow_symlinks=False)
        (root / ".venv").symlink_to(ROOT / ".venv")
    project = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())
    takers = {"deployers": DAN, "onCall": ALICE, "approvers": BOB, "breakGlass": OLGA}
    people = {kind: [f"arn:aws:iam::{account}:user/{one.name}"] for kind, one in takers.items()}
    values = {
        "services": CATALOGUE,
        "leaseSeconds": LEASE_SECONDS,
        "smoke": ["sh", "smoke.sh"],
        "people": people,
    }
    for name, value in values.items():
        project["config"][name]["default"] = value
    (root / "Pulumi.yaml").write_text(yaml.safe_dump(project, sort_keys=False))
    for name in ("dev", "prod"):
        stack = yaml.safe_load((ROOT / f"Pulumi.{name}.yaml").read_text())
        if name == environment:
            stack["config"]["aws:allowedAccountIds"] = [account]
        (root / f"Pulumi.{name}.yaml").write_text(yaml.safe_dump(stack, sort_keys=False))
    (root / "smoke.sh").write_text(_SMOKE)
    (root / ".gitignore").write_text(".verdict\n.smoked\n.venv\n.local\n__pycache__\n")
    git(root, "init", "-q", "-b", "main")
    git(root, "add", ".")
    git(root, "commit", "-qm", "the platform")


def git(root: Path, *arguments: str) -> str:
    """`git WORDS` with nothing of the developer's own configuration."""
    actor = ("-c", "user.name=dan", "-c", "user.email=dan@example.org", "-c", "commit.gpgsign=false")
    done = subprocess.run(
        ["git", *actor, "-C", str(root), *arguments],
        env={**shell.inherited(), "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def together(*do: Callable[[], object]) -> None:
    """Runs all at once and returns when all have ended; the first error is raised."""
    errors: list[BaseException] = []

    def one(what: Callable[[], object]) -> None:
        try:
            what()
        except BaseException as error:  # noqa: BLE001 - raised below, in the test's own thread
            errors.append(error)

    threads = [threading.Thread(target=one, args=(what,)) for what in do]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def _pointer(client: Any, name: str, alias: str) -> tuple[str, dict[str, float]]:
    found = client.get_alias(FunctionName=name, Name=alias)
    return found["FunctionVersion"], dict(found.get("RoutingConfig", {}).get("AdditionalVersionWeights", {}))
