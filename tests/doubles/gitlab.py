"""GitLab's API on loopback, as far as it says who approved a deployment and how the jobs of a pipeline are.

In the shape that its documentation gives ("Deployments API", "Jobs API", docs.gitlab.com/api), to whoever has the job's
token. A project without GitLab Premium is told of no approvals.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

TOKEN = "glcbt-of-a-test"
PROJECT = "77"


@dataclass
class GitLab:
    """One project. `deployments` are all, `jobs` maps pipelines to theirs; `asked` are the addresses in order."""

    address: str
    deployments: list[dict[str, Any]] = field(default_factory=list)
    jobs: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    @property
    def variables(self) -> dict[str, str]:
        """How a job finds it."""
        return {"CI_API_V4_URL": f"{self.address}/api/v4", "CI_PROJECT_ID": PROJECT, "CI_JOB_TOKEN": TOKEN}

    def deploys(
        self, job: int, environment: str, began: str, *approvers: str, by_rules: bool = False
    ) -> None:
        """A job's deployment in a pipeline that `began` began; `approvers` have approved it, in this order."""
        given = [_approval(person) for person in approvers]
        self.deployments.append(
            {
                "id": 40 + len(self.deployments),
                "status": "running",
                "user": {"username": began},
                "environment": {"name": environment},
                "deployable": {"id": job, "user": {"username": began}},
                **(
                    {
                        "approval_summary": {
                            "rules": [{"required_approvals": 1, "deployment_approvals": given}]
                        }
                    }
                    if by_rules
                    else {"approvals": given, "pending_approval_count": 0}
                ),
            }
        )

    def rejected(self, person: str) -> None:
        """`person` has rejected the newest deployment."""
        self.deployments[-1]["approvals"].append(_approval(person) | {"status": "rejected"})

    def answer(self, path: str, query: dict[str, list[str]]) -> tuple[int, Any]:
        base = f"/api/v4/projects/{PROJECT}/"
        what = path.removeprefix(base).split("/")
        if not path.startswith(base):
            return 404, {"message": "404 Project Not Found"}
        match what:
            case ["deployments"]:
                name = query["environment"][0]
                found = [one for one in reversed(self.deployments) if one["environment"]["name"] == name]
                # The list tells less than the deployment itself.
                return 200, [{k: v for k, v in one.items() if "approv" not in k} for one in found]
            case ["deployments", number]:
                found = [one for one in self.deployments if str(one["id"]) == number]
                return (200, found[0]) if found else (404, {"message": "404 Not found"})
            case ["pipelines", number, "jobs"] if number in self.jobs:
                size, page = int(query["per_page"][0]), int(query["page"][0])
                return 200, self.jobs[number][(page - 1) * size : page * size]
        return 404, {"message": "404 Not found"}


def _approval(person: str) -> dict[str, Any]:
    return {
        "user": {"username": person},
        "status": "approved",
        "created_at": "2026-11-28T20:22:30Z",
        "comment": "",
    }


@contextmanager
def gitlab() -> Iterator[GitLab]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = urlsplit(self.path)
            served.asked.append(self.path)
            known = self.headers.get("JOB-TOKEN") == TOKEN
            status, body = served.answer(asked.path, parse_qs(asked.query)) if known else (401, {})
            text = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        served = GitLab(address=f"http://127.0.0.1:{server.server_port}")
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield served
        server.shutdown()
