"""A commit's Terraform configuration in a folder, with `init` done, and the commands that are run there.

A saved plan may name files by their absolute path ("Running Terraform in automation",
https://developer.hashicorp.com/terraform/tutorials/automation/automate-terraform), so everything is under one
folder, which another machine can make again at the same path:

    FOLDER/root            → the configuration in a worktree of the commit
    FOLDER/data            what `init` makes, so that nobody's own .terraform is touched
    FOLDER/plan.tfplan     the saved plan
    FOLDER/held            locked as long as the process that made the folder lives, or an apply in it does
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

from rollback.config.settings import Settings
from rollback.core import locked_tempdir
from rollback.core.errors import Code, Refused, RollbackError, UsageError
from rollback.core.process_identity import Process
from rollback.integrations import git, terraform
from rollback.integrations.terraform import Diagnostic, Done, Line, Tool, ToolFailed
from rollback.targets.terraform.backend import Backend, below, configured
from rollback.targets.terraform.state_bucket import LOCK_FILE, PLAN

# Records name such folders: it stays, whatever the distribution is called.
_PREFIX = "access-rollback-terraform-"
_MADE = re.compile(re.escape(_PREFIX) + r"\w{8}")
# How long to wait for the state's lock; who holds it longer is named in the error.
_LOCK_TIMEOUT = "-lock-timeout=5s"
# A plan writes no state. It needs no lock: what moves meanwhile makes it stale, and a run that is killed
# leaves none behind.
_NO_LOCK = "-lock=false"
_EMPTY, _CHANGES = 0, 2  # of -detailed-exitcode


@dataclass(frozen=True, kw_only=True)
class Work:
    """A configuration in its folder, with `init` done. `backend` is where its state is, `seconds` what any run
    gets; `held` the folder's lock, a file descriptor.
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
        """A file's hash; empty where there is no such file: a root without providers has no lock file."""
        return hashlib.sha256(file.read_bytes()).hexdigest() if file.exists() else ""

    def init(self, *, as_committed: bool) -> None:
        """`terraform init` with the commit's own backend; `as_committed` keeps to the lock file.

        Encrypted and locked by a file in any case: neither changes which state it is. Raises `Refused` where it
        came to another state.
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
                next='Go back to a commit that declares its backend "s3" in one of its *.tf files.',
            )

    def plan(self) -> None:
        """Saves a plan. Raises `Refused` where what it would destroy is protected."""
        self._planned(f"-out={self.saved}")

    def differs(self) -> list[str]:
        """The addresses that a new plan would change; empty where all is as the commit says."""
        done = self._planned()
        if done.code == _EMPTY:
            return []
        named = [
            line["change"]["resource"]["addr"] for line in done.lines if line.get("type") == "planned_change"
        ]
        return named or ["outputs"]

    def show(self) -> Mapping[str, Any]:
        """The saved plan as JSON (`plan_json`). It holds secrets. Raises `RollbackError` where it cannot be
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
        """Applies exactly the saved plan; also whether it was asked to stop. See `terraform.follow`."""
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
        """Takes an object into the state, `instead` of the one that it knows; why not, where it cannot be."""
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
            # What the tool believes its folder to be called: not the worktree's own name.
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
    """The configuration of a commit, in a folder of its own; at `place` where it has to be that one.

    Raises `Refused` where it cannot be there.
    """
    folder_of = below(checkout, settings)
    locked_tempdir.clear_dead(locked_tempdir.named(_PREFIX))  # their plans hold secrets
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
    """`folder`, made again: what a run of ours that was killed has left there goes away."""
    if not _MADE.fullmatch(folder.name):
        raise RollbackError(f"{folder} is not a folder of this command.", code=Code.PLAN_OUTDATED)
    try:
        if folder.is_symlink() or (folder.exists() and folder.stat().st_uid != os.getuid()):
            raise Refused(
                f"The plan was made in {folder}, which belongs to somebody else here.",
                code=Code.PLAN_OUTDATED,
            )
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
    except OSError as error:
        raise Refused(
            f"The plan was made in {folder}, which cannot be made here: {error.strerror}.",
            code=Code.PLAN_OUTDATED,
            next="Apply it on a machine that has such a folder, or abort it and plan again.",
        ) from None
    return folder


def _explained(diagnostics: list[Diagnostic], work: Work, verb: str) -> RollbackError:
    """The tool's error, in our words where they say more."""
    first, everything = diagnostics[0], " ".join(map(str, diagnostics))
    name, commit = work.tool.name, work.commit[:12]
    if first.summary == "Instance cannot be destroyed":
        return Refused(
            f"At {commit} the plan would destroy what its own configuration protects: "
            + "; ".join(" ".join(one.detail.split(" has lifecycle")[0].split()) for one in diagnostics)
            + " (prevent_destroy).",
            code=Code.WOULD_DESTROY,
            next="Go back to a commit that keeps it.",
        )
    if "lock file" in everything or "locked provider" in everything:
        return UsageError(
            f"The {LOCK_FILE} of {commit} does not fit the providers that can be had here: {first}",
            code=Code.DEPENDENCIES_UNAVAILABLE,
            next="Name a mirror that has what it asks for in TF_CLI_CONFIG_FILE.",
        )
    if any(
        parts in everything
        for parts in ("ExpiredToken", "No valid credential sources", "InvalidClientTokenId")
    ):
        return UsageError(
            f"{name} cannot use the AWS credentials: {first}",
            code=Code.CREDENTIALS_INVALID,
            next="Sign in again.",
        )
    if any(
        parts in everything for parts in ("query available provider", "install provider", "provider package")
    ):
        return UsageError(
            f"{name} cannot have the providers of {commit}: {first}",
            code=Code.DEPENDENCIES_UNAVAILABLE,
            next="Check the network, or name a mirror that has them in TF_CLI_CONFIG_FILE.",
        )
    return ToolFailed(f"{name} {verb} failed at {commit}: {first}")
