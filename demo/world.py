"""The setting of the demo: a separate checkout, the local account, and people under their roles."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from demo.engine_output import Summary
from demo.screen import shortly
from demo.stage import SHOWN, ClaimError, DemoResult, DemoStage
from localaws import identity, shell
from localaws.clients import connect
from localaws.emulator.server import Emulator
from localaws.errors import LocalError
from localaws.paths import ROOT
from rollback.config.naming import APPROVER, DEPLOYER, ROLLBACK
from rollback.config.settings import Settings, load

FIRST_COMMIT = "The access platform, with everything that its releases need to be rolled back"
PEOPLE = {DEPLOYER: "dana", ROLLBACK: "olga", APPROVER: "adam"}
_DUTIES = {"dana": "deployer", "olga": "on call", "adam": "approver"}
# Maximum lines of the summary of `pulumi up`.
_SUMMARY = 8
# Overrides a person's own git settings that would change the demo's commits.
_GIT = {
    "user.name": "Demo",
    "user.email": "demo@localhost",
    "commit.gpgSign": "false",
    "core.hooksPath": os.devnull,
    "advice.detachedHead": "false",
}


@dataclass(frozen=True, kw_only=True)
class World:
    """Runs commands in the demo's checkout, as a person, in an environment."""

    stage: DemoStage
    emulator: Emulator
    work: Path
    folder: Path
    summary: Summary = field(default_factory=Summary)

    def settings(self, environment: str) -> Settings:
        return load(self.work, environment)

    def run(
        self,
        command: Sequence[str],
        environment: str,
        role: str | None = None,
        *,
        person: str | None = None,
        expect: int = 0,
        show: Callable[[str], list[str]] | None = None,
        assign: Mapping[str, str] | None = None,
        pipe: bool = False,
        wrap: bool = True,
        most: int = SHOWN,
    ) -> DemoResult:
        """Shows a command under a role of the environment (None: the account's root)."""
        person = person or PEOPLE.get(role or "", "")
        name = self.settings(environment).names.role(role) if role else ""
        return self.stage.run(
            command,
            cwd=self.work,
            env=self.variables(environment, role, person),
            credentials=f"{person}, {_DUTIES[person]}, under {name}"
            if role
            else f"the account's root, in {environment}",
            expect=expect,
            show=show,
            assign=assign,
            pipe=pipe,
            wrap=wrap,
            most=most,
        )

    def up(self, environment: str, role: str | None = None, *flags: str) -> DemoResult:
        """`pulumi up` of the stack; of its foundation as the account's root (`role` None). The output is summarised."""
        stack = environment if role else self.settings(environment).names.foundation_stack
        command = ["pulumi", "up", "--yes", "--skip-preview", "--suppress-outputs", *flags]
        return self.run([*command, "--stack", stack], environment, role, show=self._summarised, pipe=True)

    def _summarised(self, output: str) -> list[str]:
        return shortly(self.summary(output), _SUMMARY)

    def declare(self, environment: str) -> tuple[DemoResult, DemoResult]:
        """Deploys the foundation as the account's root, and then the stack as the deployer, with `pulumi up`."""
        self.run(["pulumi", "stack", "init", self.settings(environment).names.foundation_stack], environment)
        foundation = self.up(environment)
        self.run(["pulumi", "stack", "init", environment], environment, DEPLOYER)
        return foundation, self.up(environment, DEPLOYER)

    def query(self, verb: str, environment: str, role: str = ROLLBACK) -> Any:
        """The result of a `rollback` command with `--json`, without showing it."""
        done = subprocess.run(
            ["rollback", *verb.split(), "--env", environment, "--json"],
            cwd=self.work,
            env=self.variables(environment, role, PEOPLE[role]),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise ClaimError(
                f"rollback {verb} ended with exit code {done.returncode}.\n{done.stderr.strip()}"
            )
        return json.loads(done.stdout)

    def variables(self, environment: str, role: str | None, person: str) -> dict[str, str]:
        """The variables of a shell that uses the account as a person."""
        settings = self.settings(environment)
        endpoint = self.emulator.endpoint
        credentials = self.credentials(environment, role, person) if role else None
        ours = shell.environment(
            endpoint, settings, identity=credentials, folder=self.folder, foundation=credentials is None
        )
        kept = {k: v for k, v in shell.inherited().items() if not k.startswith("GIT_")}
        # The commands must import this checkout's code.
        return {**kept, **ours, "PYTHONPATH": str(self.work), "PYTHONDONTWRITEBYTECODE": "1"}

    def credentials(self, environment: str, role: str, person: str) -> dict[str, str]:
        try:
            return identity.assume(self.emulator.endpoint, self.settings(environment), role, person)
        except identity.REFUSED as error:
            raise ClaimError(f"{person} cannot assume the {role} role of {environment}: {error}") from None

    def client(self, service: str, environment: str, role: str | None = None) -> Any:
        credentials = self.credentials(environment, role, PEOPLE[role]) if role else None
        return connect(service, self.emulator.endpoint, self.settings(environment), credentials)

    def live(self, environment: str) -> dict[str, str]:
        """The release that alias `live` of every function points at, read from the account itself."""
        settings = self.settings(environment)
        client = self.client("lambda", environment)

        def one(function: str) -> str:
            answer = client.get_function(FunctionName=function, Qualifier=settings.alias)
            return str(answer["Configuration"]["Description"])

        names = list(settings.catalogue())
        with ThreadPoolExecutor(8) as pool:
            return dict(zip(names, pool.map(one, names), strict=True))


def checkout(work: Path) -> None:
    """Creates a checkout of HEAD as the only commit of a branch `main`, without a remote, with this checkout's `.venv`.

    It does not contain this project's own commits. Raises `LocalError` if this is not a git checkout.
    """
    clean = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], env=clean, capture_output=True, text=True, check=False)
        if done.returncode:
            raise LocalError(
                f"The demo needs a git checkout of this project with a commit.\ngit {' '.join(arguments)}: "
                f"{done.stderr.strip()}"
            )
        return done.stdout.strip()

    git("init", "--quiet", "--initial-branch=main", str(work))
    for key, value in _GIT.items():
        git("-C", str(work), "config", key, value)
    # Not `clone`: HEAD may be detached, this clone may be shallow, and its branches are not needed.
    git("-C", str(work), "fetch", "--quiet", "--update-shallow", str(ROOT), "HEAD")
    first = git("-C", str(work), "commit-tree", "FETCH_HEAD^{tree}", "-m", FIRST_COMMIT)
    git("-C", str(work), "reset", "--quiet", "--hard", first)
    (work / ".venv").symlink_to(Path(sys.prefix), target_is_directory=True)


def dirty(root: Path) -> int:
    """How many files of the checkout differ from HEAD."""
    git = shutil.which("git") or "git"
    completed = subprocess.run(
        [git, "-C", str(root), "status", "--porcelain"], capture_output=True, text=True, check=False
    )
    return len(completed.stdout.splitlines())
