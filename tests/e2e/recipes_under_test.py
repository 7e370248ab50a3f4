"""Another team's repository, pipeline and account: what `docs/recipes.md` has them type, typed."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from components.of_settings import scope_of
from localaws.emulator.server import Emulator
from localaws.paths import ROOT
from rollback.config.naming import DEPLOYER, ROLLBACK
from rollback.config.settings import load
from tests.doubles.world import create_table
from tests.e2e.docs_as_typed import Block
from tests.e2e.estate_under_test import ADMIN, SCRIPT, Person, Platform, git
from tests.e2e.permission_sets import assign
from tests.warm import Run, Warm

PAGE = ROOT / "docs" / "recipes.md"
SETS = {DEPLOYER: "Deploy", ROLLBACK: "OnCall"}
DAN = Person(role=SETS[DEPLOYER], name="dan@example.com")
ALICE = Person(role=SETS[ROLLBACK], name="alice@example.com")
ENVIRONMENT, ALIAS = "production", "prod"


def typed(section: str) -> list[str]:
    """The command lines of a section of the page."""
    (text,) = re.findall(
        rf"^## {section}\n(.*?)(?=^## |\Z)", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    (block,) = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [
        line.command
        for line in Block(
            page=str(PAGE.relative_to(ROOT)), number=0, language="sh", lines=tuple(block.splitlines())
        ).commands()
    ]


@dataclass(kw_only=True)
class Recipe:
    """A repository with its pipeline: the lines of a section, each run as whoever runs it there.

    `path` are folders that come first on PATH, `extra` variables of the deployer's tool. Lines of `rollback` run by the
    permission set of those who deploy.
    """

    section: str
    platform: Platform
    bucket: str
    stack: str = ""
    path: Sequence[Path] = ()
    extra: Mapping[str, str] = field(default_factory=dict)
    commits: dict[str, str] = field(default_factory=dict)

    @property
    def root(self) -> Path:
        return self.platform.root

    def commit(self, version: str, files: Mapping[str, str]) -> None:
        """Writes files and commits them, as what `version` is made from."""
        for name, text in files.items():
            (self.root / name).parent.mkdir(parents=True, exist_ok=True)
            (self.root / name).write_text(text)
        git(self.root, "add", ".")
        git(self.root, "commit", "-qm", version)
        self.commits[version] = git(self.root, "rev-parse", "HEAD")

    def run(self, version: str, *, lines: slice = slice(None), commit: str = "") -> Run:
        """The pipeline for a version, to its end or to the first line that fails."""
        said = Run.of(0, "", "")
        for line in typed(self.section)[lines]:
            said = self.tool(
                line, VERSION=version, COMMIT=self.commits[commit or version], BUCKET=self.bucket
            )
            if said.code:
                break
        return said

    def tool(self, line: str, **variables: str) -> Run:
        """One line, as a pipeline's shell runs it."""
        mine = line.startswith("rollback ")
        path = os.pathsep.join([*map(str, self.path), self.platform.path])
        return self.platform.command(
            ["sh", "-euc", line],
            as_=DAN if mine else ADMIN,
            extra={**variables, **({} if mine else {"PATH": path, **self.extra})},
        ).finish(180)

    def live(self) -> dict[str, str]:
        """Function → the version that its alias points at."""
        client = self.platform.root_client("lambda")
        names = [one["FunctionName"] for one in client.list_functions()["Functions"]]
        return {
            name: client.get_alias(FunctionName=name, Name=ALIAS)["FunctionVersion"]
            for name in sorted(names)
            if "orders" in name or "billing" in name
        }

    def configure(self) -> None:
        """The settings of what is deployed, and what an administrator declares of them."""
        names = list(self.live())
        assert names, "something is deployed"
        _settings(self.root, self.platform.settings.account, names, [self.stack] if self.stack else [])
        git(self.root, "add", ".")
        git(self.root, "commit", "-qm", "rollbacks")
        self.platform.settings = load(self.root, ENVIRONMENT)
        settings = self.platform.settings
        create_table(self.platform.root_client("dynamodb"), settings.names.deployments_table)
        self.platform.root_client("s3").create_bucket(
            Bucket=settings.names.audit_bucket(settings.account),
            ObjectLockEnabledForBucket=True,
            CreateBucketConfiguration={"LocationConstraint": settings.region},
        )
        assert scope_of(settings).permission_sets == SETS
        assign(self.platform, SETS, [DAN, ALICE])


def begin(
    emulator: Emulator, folder: Path, account: str, section: str, *, warm: Warm, stack: str = ""
) -> Recipe:
    """An empty account and a repository with nothing but settings of nothing."""
    root = folder / "checkout"
    root.mkdir(parents=True)
    git(root, "init", "-q", "-b", "main")
    _settings(root, account, ["nothing-yet"], [])
    platform = Platform(
        endpoint=emulator.endpoint,
        settings=load(root, ENVIRONMENT),
        root=root,
        folder=folder,
        path=os.pathsep.join([str(warm.scripts), str(SCRIPT.parent), "/usr/bin", "/bin"]),
        warm=warm,
    )
    platform.root_client("s3").create_bucket(
        Bucket=f"artifacts-{account}", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
    )
    return Recipe(section=section, platform=platform, stack=stack, bucket=f"artifacts-{account}")


def _settings(root: Path, account: str, functions: Sequence[str], stacks: Sequence[str]) -> None:
    project = {
        "name": "shop",
        "runtime": "python",
        "config": {"prefix": "shop", "alias": ALIAS, "production": False},
    }
    config = {
        "aws:region": "eu-central-1",
        "aws:allowedAccountIds": [account],
        "shop:services": {"orders": {f"entry{number}": name for number, name in enumerate(functions)}},
        "shop:cloudformationStacks": list(stacks),
        "shop:permissionSets": {"deployers": SETS[DEPLOYER], "onCall": SETS[ROLLBACK]},
    }
    for name, values in (("Pulumi.yaml", project), (f"Pulumi.{ENVIRONMENT}.yaml", {"config": config})):
        (root / name).write_text(yaml.safe_dump(values, sort_keys=False))
