"""A commit's Terraform configuration in a folder, with `init` done, and the commands that run in it.

A saved plan may name files by their absolute path ("Running Terraform in automation",
https://developer.hashicorp.com/terraform/tutorials/automation/automate-terraform), so everything is in one
folder, which another machine can create at the same path:

    FOLDER/root            → the configuration in a worktree of the commit
    FOLDER/data            the output of `init`, so that no existing .terraform is used
    FOLDER/plan.tfplan     the saved plan
    FOLDER/held            locked while the process that made the folder, or an apply in it, is running
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rollback.aws.account import LOG_IN
from rollback.config.settings import Settings
from rollback.engines import git, terraform
from rollback.engines.terraform import (
    Diagnostic,
    Done,
    Line,
    Tool,
    ToolFailed,
)
from rollback.targets.terraform.backend import Backend, below, configured
from rollback.targets.terraform.state_bucket import LOCK_FILE, PLAN
from rollback.util import locked_tempdir
from rollback.util.errors import (
    Code,
    Refused,
    RollbackError,
    UsageError,
)
from rollback.util.process_identity import Process

# Stored records contain this name: do not change it.
_PREFIX = "access-rollback-terraform-"
_MADE = re.compile(re.escape(_PREFIX) + r"\w{8}")
# How long to wait for the state's lock; afterwards the error names its holder.
_LOCK_TIMEOUT = "-lock-timeout=5s"
# A plan does not write the state and needs no lock: a change in the meantime makes it stale, and a killed run
# leaves no lock.
_NO_LOCK = "-lock=false"
_EMPTY, _CHANGES = 0, 2  # of -detailed-exitcode


@dataclass(frozen=True, kw_only=True)
class Work:
    """A configuration in its folder, with `init` done. `backend` is the state's location, `seconds` the time limit of each
    run, `held` the folder's lock, a file descriptor.
    """

    tool: Tool
    settings: Settings
    backend: Backend
    folder: Path
    commit: str
    seconds: float
    held: int

    @property
    def root(self) -> Path:
        return self.folder / "root"

    @property
    def saved(self) -> Path:
        return self.folder / PLAN

    @property
    def lock_file(self) -> Path:
        return self.root / LOCK_FILE

    def sha256(self, file: Path) -> str:
        """A file's hash; empty if it does not exist: a root without providers has no lock file."""
        return hashlib.sha256(file.read_bytes()).hexdigest() if file.exists() else ""

    def init(self, *, as_committed: bool) -> None:
        """Runs `terraform init` with the commit's backend; with `as_committed` the lock file must not change.

        Always with encryption and a lock file, which do not change the state's location. Raises `Refused` where
        `init` used another state.
        """
        options = {**self.backend.options, "encrypt": "true", "use_lockfile": "true"}
        if os.environ.get("AWS_ENDPOINT_URL"):
            options |= {"use_path_style": "true"}
        backend = [f"-backend-config={name}={value}" for name, value in options.items()]
        done = self._run("init", *(["-lockfile=readonly"] if as_committed else []), *backend)
        if done.code:
            raise _explained(done.diagnostics, self, "init")
        made = self.folder / "data" / "terraform.tfstate"
        kept = json.loads(made.read_text(encoding="utf-8")).get("backend") if made.exists() else None
        if not self.backend.is_that_of(kept or {}):
            raise Refused(
                f"The configuration of {self.commit[:12]} does not keep its state in {self.backend}.",
                code=Code.COMMIT_UNUSABLE,
                next='Select a commit that declares its backend "s3" in a *.tf file, with --to COMMIT.',
            )

    def plan(self) -> None:
        """Saves a plan. Raises `Refused` where it would destroy a protected resource."""
        self._planned(f"-out={self.saved}")

    def differs(self) -> list[str]:
        """The addresses that a new plan would change; empty if nothing differs from the commit."""
        done = self._planned()
        if done.code == _EMPTY:
            return []
        named = [
            line["change"]["resource"]["addr"] for line in done.lines if line.get("type") == "planned_change"
        ]
        return named or ["outputs"]

    def show(self) -> Mapping[str, Any]:
        """The saved plan as JSON (`plan_json`), with secrets. Raises `RollbackError` where it cannot be
        read.
        """
        done = self._run("show", str(self.saved), json_lines=False)
        if done.code:
            raise _explained(done.diagnostics, self, "show")
        shown: Mapping[str, Any] = json.loads(done.out)
        return shown

    def apply(
        self,
        *,
        started: Callable[[Process], None],
        on_lines: Callable[[list[Line]], None],
        stopping: Callable[[], bool],
    ) -> tuple[Done, bool]:
        """Applies exactly the saved plan; also returns whether it was asked to stop. See `terraform.follow`."""
        return terraform.follow(
            [self.tool.path, "apply", "-json", "-input=false", _LOCK_TIMEOUT, str(self.saved)],
            environment=self._environment,
            cwd=self.root,
            printed=self.folder / "printed",
            seconds=self.seconds,
            inherits=(self.held,),
            started=started,
            on_lines=on_lines,
            stopping=stopping,
        )

    def unlock(self, lock: str) -> None:
        """Removes the state's lock, if it is still this one."""
        done = self._run("force-unlock", "-force", lock, json_lines=False)
        if done.code:
            raise _explained(done.diagnostics, self, "force-unlock")

    def adopt(self, address: str, identifier: str, *, instead: bool) -> str:
        """Imports an object into the state, `instead` of the existing one; returns the error, if any."""
        if instead and (done := self._run("state", "rm", _LOCK_TIMEOUT, address, json_lines=False)).code:
            return str(done.diagnostics[0])
        done = self._run(
            "import", "-input=false", *self._variables, _LOCK_TIMEOUT, address, identifier, json_lines=False
        )
        return str(done.diagnostics[0]) if done.code else ""

    # -- helpers ---------------------------------------------------------------------------------------

    @property
    def _variables(self) -> list[str]:
        values = configured(self.settings).values(self.settings.environment)
        return [f"-var-file={values}"] if values else []

    @property
    def _environment(self) -> dict[str, str]:
        endpoint = os.environ.get("AWS_ENDPOINT_URL")
        return {
            # The folder's name for the tool, instead of the worktree's real one.
            "PWD": str(self.root),
            "TF_DATA_DIR": str(self.folder / "data"),
            **({"TF_VAR_endpoint": endpoint} if endpoint else {}),
        }

    def _planned(self, *arguments: str) -> Done:
        done = self._run("plan", *self._variables, "-detailed-exitcode", _NO_LOCK, *arguments)
        if done.code not in (_EMPTY, _CHANGES):
            raise _explained(done.diagnostics, self, "plan")
        return done

    def _run(self, verb: str, *arguments: str, json_lines: bool = True) -> Done:
        options = ["-json"] if json_lines or verb == "show" else ["-no-color"] if verb != "state" else []
        return terraform.run(
            [self.tool.path, verb, *options, *(["-input=false"] if json_lines else []), *arguments],
            environment=self._environment,
            cwd=self.root,
            seconds=self.seconds,
        )


@contextmanager
def opened(
    checkout: Path,
    commit: str,
    tool: Tool,
    settings: Settings,
    backend: Backend,
    *,
    seconds: float,
    place: str = "",
) -> Iterator[Work]:
    """A commit's configuration in a new folder, or at `place`.

    Raises `Refused` where `place` cannot be used.
    """
    folder_of = below(checkout, settings)
    locked_tempdir.clear_dead(locked_tempdir.named(_PREFIX))  # their plans contain secrets
    folder = _made(Path(place)) if place else locked_tempdir.make(_PREFIX)
    with locked_tempdir.held(folder) as held, git.worktree(checkout, commit, folder_of) as tree:
        (folder / "root").symlink_to(tree / folder_of)
        yield Work(
            tool=tool,
            settings=settings,
            backend=backend,
            folder=folder,
            commit=commit,
            seconds=seconds,
            held=held,
        )


def _made(folder: Path) -> Path:
    """Creates `folder` again, without what a killed run left in it."""
    if not _MADE.fullmatch(folder.name):
        raise RollbackError(f"{folder} is not a folder of this command.", code=Code.PLAN_OUTDATED)
    try:
        if folder.is_symlink() or (folder.exists() and folder.stat().st_uid != os.getuid()):
            raise Refused(
                f"The plan was made in {folder}, which belongs to another user on this machine.",
                code=Code.PLAN_OUTDATED,
            )
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
    except OSError as error:
        raise Refused(
            f"The plan was made in {folder}, which cannot be created on this machine: {error.strerror}.",
            code=Code.PLAN_OUTDATED,
            next="Apply it on a machine where the folder can be created, or abort it and plan again.",
        ) from None
    return folder


def _explained(diagnostics: list[Diagnostic], work: Work, verb: str) -> RollbackError:
    """The tool's error, with our message for known cases."""
    first, everything = diagnostics[0], " ".join(map(str, diagnostics))
    name, commit = work.tool.name, work.commit[:12]
    if first.summary == "Instance cannot be destroyed":
        return Refused(
            f"The plan at {commit} would destroy what its configuration protects: "
            + "; ".join(" ".join(one.detail.split(" has lifecycle")[0].split()) for one in diagnostics)
            + " (prevent_destroy).",
            code=Code.WOULD_DESTROY,
            next="Select a commit that keeps these resources, with --to COMMIT.",
        )
    if "lock file" in everything or "locked provider" in everything:
        return UsageError(
            f"The {LOCK_FILE} of {commit} does not match the providers that are available here: {first}",
            code=Code.DEPENDENCIES_UNAVAILABLE,
            next="Configure a mirror with the providers of the lock file, with TF_CLI_CONFIG_FILE.",
        )
    if any(
        parts in everything
        for parts in ("ExpiredToken", "No valid credential sources", "InvalidClientTokenId")
    ):
        return UsageError(
            f"{name} cannot use the AWS credentials: {first}",
            code=Code.CREDENTIALS_INVALID,
            next=LOG_IN,
        )
    if any(
        parts in everything for parts in ("query available provider", "install provider", "provider package")
    ):
        return UsageError(
            f"{name} cannot install the providers of {commit}: {first}",
            code=Code.DEPENDENCIES_UNAVAILABLE,
            next="Check the network, or configure a mirror with TF_CLI_CONFIG_FILE.",
        )
    return ToolFailed(f"{name} {verb} failed at {commit}: {first}")
