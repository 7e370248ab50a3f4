"""A Pulumi stack of its own folder, home, backend and credentials, driven through the real engine."""

from __future__ import annotations

import io
import itertools
import json
import os
import shutil
import subprocess
import zipfile
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3

ROOT = Path(__file__).resolve().parents[2]
REGION = "eu-west-1"
# The emulator keeps an account for each access key that is an account's number.
_ACCOUNTS = map(str, itertools.count(536580886816))


@dataclass(frozen=True, kw_only=True)
class Run:
    """What a `pulumi` command did: its exit code, what it said, and its steps by resource name."""

    code: int
    output: str
    steps: dict[str, list[str]] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)

    def counts(self) -> dict[str, int]:
        """How many resources each kind of step touched, sames, reads and the stack itself left out."""
        every = [op for ops in self.steps.values() for op in ops]
        return dict(Counter(op for op in every if op not in ("same", "refresh", "read")))

    def keys_of(self, name: str) -> list[str]:
        """The inputs for which the resource was updated or replaced."""
        for event in self.events:
            metadata = event.get("resourcePreEvent", {}).get("metadata", {})
            if metadata.get("urn", "").endswith(f"::{name}") and metadata["op"] != "refresh":
                return sorted(metadata.get("diffs") or [])
        return []


@dataclass(frozen=True, kw_only=True)
class Stack:
    folder: Path
    environment: dict[str, str]

    @classmethod
    def create(cls, folder: Path, *, pulumi: Path, plugins: Path, endpoint: str) -> Stack:
        project = folder / "project"
        for part in (project, folder / "home", folder / "state"):
            part.mkdir(parents=True)
        options = {"toolchain": "pip", "virtualenv": str(ROOT / ".venv")}
        runtime = {"name": "python", "options": options}
        (project / "Pulumi.yaml").write_text(json.dumps({"name": "local", "runtime": runtime}))
        environment = {
            "PATH": os.pathsep.join((str(plugins), str(pulumi.parent), os.environ["PATH"])),
            "HOME": str(folder / "home"),
            "PULUMI_HOME": str(folder / "home"),
            "PULUMI_BACKEND_URL": f"file://{folder}/state",
            "PULUMI_STACK": "dev",
            "PULUMI_CONFIG_PASSPHRASE": "passphrase",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_ENABLE_STREAMING_JSON_PREVIEW": "true",
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_ACCESS_KEY_ID": next(_ACCOUNTS),
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        stack = cls(folder=project, environment=environment)
        assert stack.pulumi("stack", "init", "dev").returncode == 0
        return stack

    def another(self, folder: Path) -> Stack:
        """A copy of this one, in an empty account: less to wait for than `stack init`."""
        for part in ("project", "state"):
            shutil.copytree(self.folder.parent / part, folder / part)
        own = {"PULUMI_BACKEND_URL": f"file://{folder}/state", "AWS_ACCESS_KEY_ID": next(_ACCOUNTS)}
        return Stack(folder=folder / "project", environment=self.environment | own)

    @property
    def account(self) -> str:
        return self.environment["AWS_ACCESS_KEY_ID"]

    def pulumi(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["pulumi", *arguments, "--non-interactive"],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def run(self, *arguments: str) -> Run:
        """A command that streams events: up, preview, refresh, destroy."""
        done = self.pulumi(*arguments, "--json")
        events = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        steps: dict[str, list[str]] = {}
        text = [done.stderr]
        for event in events:
            if pre := event.get("resourcePreEvent"):
                name = pre["metadata"]["urn"].rsplit("::", 1)[1]
                steps.setdefault(name, []).append(pre["metadata"]["op"])
            if (message := event.get("diagnosticEvent")) and message["severity"] != "debug":
                text.append(message["message"])
        return Run(code=done.returncode, output="\n".join(text), steps=steps, events=events)

    def program(self, text: str) -> None:
        (self.folder / "__main__.py").write_text(text)

    def up(self, *options: str, ok: bool = True) -> Run:
        done = self.run("up", "--yes", "--skip-preview", *options)
        assert (done.code == 0) is ok, done.output
        return done

    def resources(self) -> dict[str, dict[str, Any]]:
        """The checkpoint's resources by name, secrets hidden."""
        exported = json.loads(self.pulumi("stack", "export").stdout)
        return {one["urn"].rsplit("::", 1)[1]: one for one in exported["deployment"]["resources"]}

    def forget(self, names: Collection[str]) -> None:
        """Take resources out of the checkpoint; they stay in the account."""
        exported = json.loads(self.pulumi("stack", "export").stdout)
        kept = [r for r in exported["deployment"]["resources"] if r["urn"].rsplit("::", 1)[1] not in names]
        exported["deployment"]["resources"] = kept
        checkpoint = self.folder.parent / "checkpoint.json"
        checkpoint.write_text(json.dumps(exported))
        assert self.pulumi("stack", "import", "--file", str(checkpoint)).returncode == 0

    def aws(self, service: str) -> Any:
        return boto3.client(
            service,  # type: ignore[call-overload]
            region_name=REGION,
            endpoint_url=self.environment["AWS_ENDPOINT_URL"],
            aws_access_key_id=self.account,
            aws_secret_access_key="secret",
        )

    def publish(self, name: str, *, versions: int) -> None:
        """Make a function of that many versions, as a deployment of its code would."""
        client = self.aws("lambda")
        for number in range(1, versions + 1):
            packed = io.BytesIO()
            with zipfile.ZipFile(packed, "w") as archive:
                archive.writestr("app.py", f"def handler(event, context):\n    return {number}\n")
            if number == 1:
                client.create_function(
                    FunctionName=name,
                    Runtime="python3.12",
                    Handler="app.handler",
                    Role=f"arn:aws:iam::{self.account}:role/work",
                    Code={"ZipFile": packed.getvalue()},
                    Publish=True,
                )
            else:
                client.update_function_code(FunctionName=name, ZipFile=packed.getvalue(), Publish=True)
