"""The files of a new environment, from a proposal, and what to type next."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Container, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rollback.config import settings as configured
from rollback.config.naming import FOUNDATION, Names
from rollback.engines import git
from rollback.engines.pulumi.backend import bucket_url
from rollback.model.release import label
from rollback.setup import project_files, proposal
from rollback.setup.catalogue import inventory
from rollback.setup.catalogue.files import File
from rollback.setup.catalogue.inventory import Visitor
from rollback.setup.proposal import Proposal
from rollback.util import safe_yaml
from rollback.util.version import DISTRIBUTION, __version__

PROGRAM, REQUIREMENTS = "__main__.py", "requirements.txt"


def files(folder: Path, proposed: Proposal) -> tuple[File, ...]:
    """All files of an environment. Existing settings of other environments are kept, and so is what
    Pulumi and people wrote into this environment's file.

    Raises `UsageError` where the resulting settings are not valid.
    """
    environment, settings = proposed.environment, proposal.settings_of(proposed)
    project_file = folder / configured.PROJECT_FILE
    made: list[File] = []
    if project_file.is_file():
        shared = safe_yaml.read(project_file, folder)
        document = safe_yaml.mapping(configured.PROJECT_FILE, shared)
        name, given = str(document["name"]), document.get("config") or {}
        # The shared settings, and those of this environment.
        own_too = {"prefix": proposed.prefix, "alias": proposed.alias}
        settings = {key: value for key, value in own_too.items() if _of(given, name, key) != value} | settings
        if _of(given, name, "protectedBranch"):
            settings.pop("protectedBranch", None)
        settings["naming"] = {**(_of(given, name, "naming") or {}), **settings["naming"]}
    else:
        name = proposed.prefix
        shared = project_files.project(name, proposed.prefix, proposed.alias)
        made += [
            File(path=configured.PROJECT_FILE, text=shared),
            File(path=PROGRAM, text=project_files.PROGRAM),
            File(path=REQUIREMENTS, text=project_files.requirements(DISTRIBUTION, __version__)),
        ]
    own = configured.stack_file(folder, environment)
    text = project_files.environment(name, proposed.account, proposed.region, environment, settings)
    if (folder / own).is_file():
        text = project_files.merged(safe_yaml.read(folder / own, folder), text, name)
    configured.parse(environment, shared, text)
    return (
        *made,
        File(path=own, text=text),
        File(path=configured.stack_file(folder, f"{environment}-{FOUNDATION}"), link=Path(own).name),
    )


def protected_branch(folder: Path) -> str:
    """The branch to protect in a folder's repository: `main`, or `master`; if there is
    neither, the remote's default branch, or the current one.
    """
    top = repository(folder)
    if top is None or shutil.which("git") is None:
        return "main"
    known = [
        f"{place}/{name}" for name in ("main", "master") for place in ("refs/remotes/origin", "refs/heads")
    ]
    if usual := next((one for one in known if git.resolved(top, one)), ""):
        return usual.rpartition("/")[2]
    return git.branch(top, "refs/remotes/origin/HEAD") or git.branch(top) or "main"


def repository(folder: Path) -> Path | None:
    """The top of the repository of a folder, which may not exist yet; None without a repository."""
    return next((one for one in (folder, *folder.parents) if (one / ".git").exists()), None)


def shared(folder: Path, key: str) -> str:
    """A shared setting of the environments in a folder; empty without any."""
    file = folder / configured.PROJECT_FILE
    if not file.is_file():
        return ""
    document = safe_yaml.mapping(configured.PROJECT_FILE, safe_yaml.read(file, folder))
    return str(_of(document.get("config") or {}, str(document.get("name", "")), key) or "")


def _of(given: dict[str, Any], name: str, key: str) -> Any:
    """A setting in a project file's content."""
    value = given.get(key, given.get(f"{name}:{key}"))
    return value.get("value", value.get("default")) if isinstance(value, dict) else value


@dataclass(frozen=True, kw_only=True, slots=True)
class Done:
    """The steps already done for an environment: existing `buckets`, the `stacks` whose state is in them, whether its files
    are `committed`, the foundation and the environment's stack are deployed, and a release is `recorded`.
    """

    buckets: frozenset[str] = frozenset()
    stacks: frozenset[str] = frozenset()
    committed: bool = False
    foundation: bool = False
    declared: bool = False
    recorded: bool = False


def done(folder: Path, environment: str, visitor: Visitor, tables: Container[str]) -> Done:
    """Checks an environment whose files are in a folder; `tables` are the account's. What the caller may not read counts as
    missing.
    """
    settings = configured.load(folder, environment)
    names = settings.names
    wanted = (names.state_bucket, names.foundation_bucket)
    there = inventory.buckets(visitor, wanted)
    project = safe_yaml.mapping(
        configured.PROJECT_FILE, safe_yaml.read(folder / configured.PROJECT_FILE, folder)
    )
    found = [inventory.stacks(visitor, bucket, str(project["name"])) for bucket in wanted if bucket in there]
    deployed = inventory.parameter(visitor, names.deployed_version)
    ours = [configured.PROJECT_FILE, PROGRAM, REQUIREMENTS]
    ours += [configured.stack_file(folder, one) for one in (environment, names.foundation_stack)]
    return Done(
        buckets=there,
        stacks=frozenset().union(*found),
        committed=repository(folder) is not None
        and shutil.which("git") is not None
        and git.is_committed(folder, [str(one) for one in ours]),
        foundation=names.deployments_table in tables,
        declared=bool(deployed),
        recorded=deployed not in ("", label({})),
    )


def steps(folder: Path, start: Path, proposed: Proposal, there: Done) -> tuple[str, ...]:
    """What to type next, line by line, in the current folder `start`, without the steps that are `there`.

    Stacks are deployed again where their files have uncommitted changes.
    """
    environment = proposed.environment
    lines = [] if folder == start else [f"cd {shlex.quote(_shown(folder, start))}"]
    founded, declared = (one and there.committed for one in (there.foundation, there.declared))
    if founded and declared and there.recorded:
        return (*lines, f"rollback status --env {environment}  # everything is set up")
    if find_spec("rollback.components") is None or find_spec("pulumi_aws") is None:
        lines.append("pip install -r requirements.txt")
    if repository(folder) is None:
        lines.append("git init --initial-branch main")
    for bucket in (proposed.state_bucket, proposed.foundation_bucket):
        if bucket not in there.buckets:
            lines += [
                f"aws s3 mb s3://{bucket} --region {proposed.region}",
                f"aws s3api put-bucket-versioning --bucket {bucket} --versioning-configuration Status=Enabled",
            ]
    lines += _declaring(proposed, there, founded=founded, declared=declared)
    if not there.recorded:
        lines.append(
            f"rollback release record --env {environment} --version v1 --commit $(git rev-parse HEAD)"
        )
    return tuple(lines)


def _declaring(proposed: Proposal, there: Done, *, founded: bool, declared: bool) -> Iterator[str]:
    """The commands that deploy the foundation, take the deployer's role, and deploy the environment's stack."""
    environment = proposed.environment
    names = Names(proposed.prefix, environment)
    permission_set = proposed.permission_sets.get("deployers", "")
    if not (founded and declared):
        yield "export PULUMI_CONFIG_PASSPHRASE=''"
    # With permission sets, the foundation's stack outputs their names.
    if not founded or (permission_set and not declared):
        yield f"export PULUMI_BACKEND_URL='{bucket_url(proposed.foundation_bucket, proposed.region)}'"
    if not founded and names.foundation_stack not in there.stacks:
        yield f"pulumi stack init {names.foundation_stack}"
    if not there.committed:
        yield f"git add {configured.PROJECT_FILE} Pulumi.{environment}*.yaml {PROGRAM} {REQUIREMENTS}"
        yield f"git commit --message 'Add {environment}: its releases can be rolled back'"
    if not founded:
        yield f"pulumi up --stack {names.foundation_stack}"
    acting = acting_as_deployer(names, permission_set)
    yield from acting[1:] if declared and permission_set else acting
    if not declared:
        yield f"export PULUMI_BACKEND_URL='{bucket_url(proposed.state_bucket, proposed.region)}'"
        if environment not in there.stacks:
            yield f"pulumi stack init {environment}"
        yield f"pulumi up --stack {environment}"


def acting_as_deployer(names: Names, permission_set: str) -> tuple[str, ...]:
    """The commands between the foundation and the environment's stack, which a deployer declares."""
    if permission_set:
        return (
            f"pulumi stack output permissionSets --stack {names.foundation_stack}",
            f"export AWS_PROFILE={permission_set}",
        )
    return (
        f"rollback login --env {names.environment} --role deployer  # add its output to ~/.aws/config, once",
        f"export AWS_PROFILE=deployer-{names.environment}",
    )


def _shown(folder: Path, start: Path) -> str:
    try:
        return str(folder.relative_to(start))
    except ValueError:
        return str(folder)
