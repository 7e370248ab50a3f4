"""Runs a workflow on this machine, without GitHub: act runs its jobs, stubs stand for the actions of others.

What act does not do, and a test must not count on: environments, concurrency, permissions and job timeouts
are not enforced, and a job that is skipped prints nothing.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from localaws import shell
from localaws.paths import ROOT
from tests.doubles import github as environments
from tests.e2e.estate_under_test import Platform, git

_ACT = Path(sys.executable).with_name("act")
_STUBS = Path(__file__).with_name("stubs")
_USES = re.compile(r"uses:\s*([\w.-]+/[\w.-]+)@(\S+)")
_PATIENCE = 180.0
_RUNS = itertools.count(9_000_001)
REPOSITORY = "bbws/access-platform"
TOKEN = "t0ken"


@dataclass
class GitHub:
    """GitHub's API as far as a job asks it: who has reviewed a run, and whether one has ended."""

    address: str
    reviews: list[Any] = field(default_factory=list)

    def approved(self, environment: str, login: str) -> None:
        """`login` lets the run's job in `environment` go ahead."""
        self.reviews.append(
            {"state": "approved", "environments": [{"name": environment}], "user": {"login": login}}
        )


@contextmanager
def github() -> Iterator[GitHub]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = re.fullmatch(rf"/repos/{REPOSITORY}/actions/runs/\d+(/approvals)?", self.path)
            body = json.dumps(
                server_double.reviews if asked and asked[1] else {"status": "in_progress"}
            ).encode()
            self.send_response(200 if asked else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server_double = GitHub(address=f"http://127.0.0.1:{server.server_port}")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server_double
        server.shutdown()


@dataclass(frozen=True, kw_only=True)
class Workflow:
    """How a run ended: job → result (none for a skipped job), outputs by step, summaries, what was printed."""

    jobs: Mapping[str, str]
    outputs: Mapping[str, str]
    summary: str
    log: str

    def __str__(self) -> str:
        return f"{dict(self.jobs)}\n{self.log[-6000:]}"


def run(
    platform: Platform,
    name: str,
    inputs: Mapping[str, str],
    hub: GitHub | environments.GitHub,
    *,
    number: int | None = None,
    actor: str = "alice",
    again_by: str = "",
    event: str = "workflow_dispatch",
    job: str = "",
    env: Mapping[str, str] | None = None,
    variables: Mapping[str, str] | None = None,
    root: Path | None = None,
    path: str = "",
    called: Mapping[str, Path] | None = None,
) -> Workflow:
    """Runs `.github/workflows/NAME` of the platform's checkout; `number` is the run's id (an own one if None).

    `actor` began the run, and `again_by`, if anybody, runs it again. `env` is what steps find in their environment, `variables` what the repository's settings say. Or of another checkout, `root`, with another PATH; `called` are the repositories, each with a commit (`owner/name@SHA`), whose workflows and actions it calls.
    """
    root = root or platform.root
    if not (root / ".github").exists():
        shutil.copytree(ROOT / ".github", root / ".github")
        shutil.copy(ROOT / "requirements.txt", root)
        # With what is compiled; and no link, which a drill's commit must not have.
        shutil.copytree(ROOT / "rollback", root / "rollback")
        git(root, "add", ".")
        git(root, "commit", "-qm", "The workflows")
        git(root, "remote", "add", "origin", f"https://github.com/{REPOSITORY}.git")
        git(root, "update-ref", "refs/remotes/origin/main", "main")
    folder = platform.folder / f"run-{next(_RUNS)}"
    folder.mkdir(parents=True)
    (folder / "event.json").write_text(
        json.dumps({"inputs": dict(inputs), "ref": "refs/heads/main"}), encoding="utf-8"
    )
    command = [
        str(_ACT),
        event,
        "-W",
        f".github/workflows/{name}",
        "-e",
        str(folder / "event.json"),
        "--json",
    ]
    command += ["--rm", "--no-cache-server", "--actor", actor, "-P", "ubuntu-latest=-self-hosted"]
    command += ["--action-cache-path", str(folder / "cache"), "-s", f"GITHUB_TOKEN={TOKEN}"]
    command += [
        text for kind in ("env", "secret", "var", "input") for text in (f"--{kind}-file", "/dev/null")
    ]
    for repository, place in (called or {}).items():
        command += ["--local-repository", f"{repository}={place}"]
    places = [root, *(called or {}).values()]
    texts = [file.read_text("utf-8") for place in places for file in (place / ".github").rglob("*.yml")]
    for action, ref in sorted({found for text in texts for found in _USES.findall(text)}):
        if (_STUBS / action).is_dir():
            command += ["--local-repository", f"{action}@{ref}={_STUBS / action}"]
    if job:
        command += ["--job", job]
    for variable, value in (variables or {}).items():
        command += ["--var", f"{variable}={value}"]
    ours = shell.environment(platform.endpoint, platform.settings, folder=platform.folder)
    if platform.warm is not None:
        ours["PATH"] = f"{platform.warm.interpreters}{os.pathsep}{ours['PATH']}"
    kept = {k: v for k, v in ours.items() if not k.startswith(("AWS_ACCESS", "AWS_SECRET", "AWS_SESSION"))}
    given = {
        **kept,
        "STUBS": str(_STUBS),
        "PYTHONPATH": str(ROOT),
        "GITHUB_API_URL": hub.address,
        "GITHUB_TRIGGERING_ACTOR": again_by or actor,
        "GITHUB_RUN_ID": str(number or next(_RUNS)),
        "UV_OFFLINE": "1",
        "NO_COLOR": "1",
        "TERM": "dumb",
        "COLUMNS": "500",
        **({"PATH": path} if path else {}),
        **(env or {}),
    }
    for variable, value in given.items():
        command += ["--env", f"{variable}={value}"]
    done = subprocess.run(
        command,
        cwd=root,
        env={"PATH": path or ours["PATH"], "HOME": str(folder)},
        capture_output=True,
        text=True,
        timeout=_PATIENCE,
        check=False,
    )
    return _read(done.stdout, done.stderr)


def _read(out: str, err: str) -> Workflow:
    jobs: dict[str, str] = {}
    outputs: dict[str, str] = {}
    summaries: list[str] = []
    printed: list[str] = []
    for text in out.splitlines():
        line = json.loads(text)
        job = str(line.get("jobID", ""))
        if "jobResult" in line and jobs.get(job) != "failure":
            jobs[job] = line["jobResult"]
        if line.get("command") == "set-output":
            outputs[line["name"]] = line["arg"]
        if line.get("command") == "summary":
            summaries.append(line["content"])
        if line.get("raw_output") or line.get("level") in ("error", "warning"):
            printed.append(f"{job}: {line.get('msg', '').rstrip()}")
    return Workflow(jobs=jobs, outputs=outputs, summary="\n".join(summaries), log="\n".join([*printed, err]))
