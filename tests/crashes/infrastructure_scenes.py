"""The scenes of infrastructure: a stack and a Terraform configuration, deployed badly and put back."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from localaws.paths import ROOT
from tests.crashes import calls
from tests.e2e.estate_under_test import DAN, REASON, Person, Run
from tests.warm import Child, Warm

# The modules of end-to-end tests import each other as pytest has them.
sys.path.insert(0, str(ROOT / "tests" / "e2e"))
from tests.e2e.accounts_under_test import keep
from tests.e2e.infrastructure_under_test import InfrastructureEstate, declared, git

# Whoever goes on waits for the lease of the one that was killed or stopped; engines keep both cores busy meanwhile.
LEASE_SECONDS = 8
ERIN = Person(role=DAN.role, name="erin")
_LOCK = (
    ("identify", lambda call: call.startswith("GetCallerIdentity")),
    ("lock", lambda call: call.endswith(" take")),
)
_END = (
    ("publish", lambda call: call.startswith("PutParameter")),
    ("close", lambda call: "QUARANTINE#" in call),
)
STACK_PHASES: calls.Phases = (
    *_LOCK,
    ("plan", lambda call: not call.endswith(" take")),
    ("record", lambda call: call.endswith(" planned")),
    ("update", lambda call: "/.pulumi/locks/" in call),
    ("change", lambda call: call.startswith("AddTagsToResource")),
    ("end", lambda call: "/.pulumi/history/" in call),
    *_END,
)
TERRAFORM_PHASES: calls.Phases = (
    *_LOCK,
    ("plan", lambda call: not call.endswith(" take")),
    ("record", lambda call: call.endswith(" planned")),
    ("change", lambda call: call.startswith("PATCH /restapis")),
    ("state", lambda call: call.startswith("PUT /bbws-access-dev-terraform-state/access-management")),
    *_END,
)


@dataclass(kw_only=True)
class StackScene:
    """One kind of infrastructure: a verb, and what of the account tells how it stands."""

    double: InfrastructureEstate
    warm: Warm
    name: str
    phases: calls.Phases
    known: dict[str, str] = field(default_factory=dict)
    clone: Path = field(init=False)
    _before: str = field(init=False, default="")
    _bad: str = field(init=False, default="")

    def __post_init__(self) -> None:
        self.clone = self.double.platform.clone()
        (self.clone / ".venv").symlink_to(ROOT / ".venv")

    @property
    def upstream(self) -> str:
        return self.double.platform.endpoint

    # -- what is typed -----------------------------------------------------------------------------------

    def fresh(self) -> None:
        """Bad: deployed so where the run before has put it back."""
        if not self._bad or self.double.is_good(self.name):
            self._bad = self.double.goes_bad(self.name)
        git(self.clone, "pull", "-q")
        self._before = max(self._records(), default="")

    def begin(self, endpoint: str) -> Child:
        arguments = (self.name, "--to", self.double.good, "--reason", REASON, "--yes", "--json")
        return self._start(*arguments, as_=DAN, endpoint=endpoint)

    def type(self, *arguments: str) -> Run:
        return self._start(*arguments, as_=ERIN, endpoint=self.upstream).wait()

    def _start(self, *arguments: str, as_: Person, endpoint: str) -> Child:
        platform = self.double.platform
        cwd = platform.root if as_ == DAN else self.clone
        return self.warm.start([*arguments, "--env", "dev"], platform.variables(as_, endpoint=endpoint), cwd)

    # -- what there is -----------------------------------------------------------------------------------

    def record(self) -> str | None:
        return next((name for name in self._records() if name > self._before), None)

    def owner(self) -> str | None:
        return next((str(item["owner"]) for item in self.double.platform.items() if "owner" in item), None)

    def deployed(self) -> dict[str, Any]:
        """Good or bad by what the account says; and what an engine may leave behind."""
        now = self.double.state()
        expected, commit = (
            (now.tag, "pulumi-commit") if self.name == "stack" else (now.subject, "terraform-commit")
        )
        parts = {self.double.good: "good", self._bad: "bad"}
        return {
            "says": "bad" if "bad" in expected.lower() else "good",
            "commit": parts.get(now.commits[commit], now.commits[commit]),
            "locks": [key for key in self._keys() if "/locks/" in key or key.endswith(".tflock")],
            "pending": self._pending(),
            "functions": dict(now.versions),
            "holder": self.owner(),
        }

    def _records(self) -> list[str]:
        found = (item for item in self.double.platform.items() if item["SK"] == "METADATA")
        return [str(item["rollback_id"]) for item in found if item["PK"].startswith("ROLLBACK#")]

    @property
    def _bucket(self) -> str:
        return self.double.platform.settings.names.state_bucket

    def _keys(self) -> list[str]:
        pages = self.double.platform.root_client("s3").get_paginator("list_objects_v2")
        return [
            item["Key"] for page in pages.paginate(Bucket=self._bucket) for item in page.get("Contents", [])
        ]

    def _pending(self) -> list[str]:
        """The operations that the stack's checkpoint has as not ended."""
        s3 = self.double.platform.root_client("s3")
        (key,) = [
            key for key in self._keys() if key.startswith(".pulumi/stacks/") and key.endswith("dev.json")
        ]
        text = s3.get_object(Bucket=self._bucket, Key=key)["Body"].read()
        latest = json.loads(text)["checkpoint"]["latest"] or {}
        return [one["resource"]["urn"] for one in latest.get("pending_operations") or []]


@contextmanager
def scene(name: str, warm: Warm, folder: Path) -> Iterator[StackScene]:
    """`stack` or `terraform`, in an environment of its own that the engines themselves have declared."""
    with declared(keep("dev", folder / "kept"), folder / "dev", warm) as double:
        double.platform.configure(leaseSeconds=LEASE_SECONDS)
        phases = {"stack": STACK_PHASES, "terraform": TERRAFORM_PHASES}[name]
        yield StackScene(double=double, warm=warm, name=name, phases=phases)
