"""GitHub's API on loopback, as far as it says how workflow runs and their attempts are ("Get a workflow run", "Get a
workflow run attempt").
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

REPOSITORY, TOKEN = "acme/platform", "token"


@contextmanager
def serving(
    runs: dict[str, str], reviewed: dict[str, list[tuple[str, str, str]]] | None = None
) -> Iterator[dict[str, str]]:
    """Answers with the status of each of `runs`: `4711`, or `4711/attempts/2`. Gives the variables by which it is asked.

    `reviewed` has a run's reviews, each a state, an environment and who gave it ("Get the review history for a workflow run").
    """
    histories = {
        f"{run}/approvals": [
            {"state": state, "environments": [{"name": name}], "user": {"login": who}}
            for state, name, who in reviews
        ]
        for run, reviews in (reviewed or {}).items()
    }

    class Api(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            run = self.path.removeprefix(f"/repos/{REPOSITORY}/actions/runs/")
            known = run in {*runs, *histories} and self.headers["Authorization"] == f"Bearer {TOKEN}"
            body = json.dumps(histories.get(run, {"status": runs.get(run)})).encode()
            self.send_response(200 if known else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Api) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield {
            "GITHUB_API_URL": f"http://127.0.0.1:{server.server_address[1]}",
            "GITHUB_REPOSITORY": REPOSITORY,
            "GITHUB_TOKEN": TOKEN,
        }
        server.shutdown()
