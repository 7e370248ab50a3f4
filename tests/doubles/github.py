"""GitHub's API on loopback, as far as it tells of environments, in the shape that its documentation gives.

"Get an environment", "List environments" and "List deployment branch policies", GitHub REST API. Branch policies
are there only where the environment has custom ones; whoever may not see the repository is told of none.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

TOKEN = "gho_of-a-test"


@dataclass
class GitHub:
    """`environments` maps names to what is told of them, `branches` to their branch policies.

    `status` is what every request is answered while it is not 200; `asked` are the paths in order.
    """

    address: str
    repository: str
    token: str = TOKEN
    environments: dict[str, dict[str, Any]] = field(default_factory=dict)
    branches: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    status: int = 200
    asked: list[str] = field(default_factory=list)

    @property
    def variables(self) -> dict[str, str]:
        """How a command finds it."""
        return {"GITHUB_API_URL": self.address, "GITHUB_TOKEN": self.token}

    def declare(
        self,
        name: str,
        *,
        reviewers: Sequence[str] = (),
        prevents_self_review: bool = True,
        branches: Sequence[str] | None = ("main",),
        protected: bool = False,
        tags: Sequence[str] = (),
    ) -> None:
        """An environment; `branches` None: any branch deploys to it; `protected`: every protected one does."""
        rules: list[dict[str, Any]] = []
        if reviewers:
            people = [
                {"type": "User", "reviewer": {"login": login, "id": number, "type": "User"}}
                for number, login in enumerate(reviewers, 1)
            ]
            rules.append(
                {
                    "id": 3755,
                    "node_id": "MDQ6R2F0ZTM3NTU=",
                    "prevent_self_review": prevents_self_review,
                    "type": "required_reviewers",
                    "reviewers": people,
                }
            )
        policy = None
        if branches is not None:
            rules.append({"id": 3756, "node_id": "MDQ6R2F0ZTM3NTY=", "type": "branch_policy"})
            policy = {"protected_branches": protected, "custom_branch_policies": not protected}
        self.environments[name] = {
            "id": 161088068,
            "node_id": "MDExOkVudmlyb25tZW50MTYxMDg4MDY4",
            "name": name,
            "url": f"{self.address}/repos/{self.repository}/environments/{name}",
            "created_at": "2026-11-23T22:00:40Z",
            "updated_at": "2026-11-23T22:00:40Z",
            "can_admins_bypass": False,
            "protection_rules": rules,
            "deployment_branch_policy": policy,
        }
        if policy and not protected:
            kinds = [*((one, "branch") for one in branches or ()), *((one, "tag") for one in tags)]
            self.branches[name] = [
                {"id": 361471 + number, "node_id": "MDE2", "name": pattern, "type": kind}
                for number, (pattern, kind) in enumerate(kinds)
            ]

    def as_declared(self, environment: str) -> None:
        """The environments of `environment`, one that is drilled in, as the program declares them."""
        for kind in ("deploy", "rollback", "drill"):
            self.declare(f"{environment}-{kind}")
        self.declare(f"{environment}-rollback-approval", reviewers=["bob"])

    def answer(self, path: str, headers: Mapping[str, str]) -> tuple[int, Any]:
        """Status and body."""
        self.asked.append(path)
        if self.status != 200:
            return self.status, {"message": "not today"}
        if headers.get("Authorization") != f"Bearer {self.token}":
            return 404, {"message": "Not Found"}
        base = f"/repos/{self.repository}/environments"
        asked = re.fullmatch(rf"{re.escape(base)}(?:/([^/]+)(/deployment-branch-policies)?)?", path)
        if asked is None:
            return 404, {"message": "Not Found"}
        name = asked[1]
        if name is None:
            return 200, {"total_count": len(self.environments), "environments": [*self.environments.values()]}
        found = self.branches.get(name) if asked[2] else self.environments.get(name)
        if found is None:
            return 404, {"message": "Not Found"}
        return 200, {"total_count": len(found), "branch_policies": found} if asked[2] else found


@contextmanager
def github(repository: str) -> Iterator[GitHub]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = server_double.answer(urlsplit(self.path).path, dict(self.headers))
            text = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server_double = GitHub(address=f"http://127.0.0.1:{server.server_port}", repository=repository)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server_double
        server.shutdown()
