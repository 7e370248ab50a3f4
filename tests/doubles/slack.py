"""A Slack on loopback: keeps what it is told, and refuses what Slack itself would refuse."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

# "Reference: blocks", "composition objects" and "chat.postMessage", Slack API.
_TEXT, _BLOCKS = 40_000, 50
_LIMITS = {"header": 150, "section": 3000}
_FIELDS, _FIELD, _ELEMENTS = 10, 2000, 10


@dataclass
class Slack:
    """`messages` maps a message's time to what it shows now; `calls` are the methods in order."""

    address: str
    messages: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    broken: bool = False

    @property
    def hook(self) -> str:
        return f"{self.address}hook"

    def answer(self, method: str, body: Mapping[str, Any]) -> tuple[int, Any]:
        self.calls.append(method)
        if self.broken:
            return 500, {"ok": False, "error": "internal_error"}
        if (wrong := _refusal(body)) is not None:
            return 200 if method != "hook" else 400, {"ok": False, "error": wrong}
        ts = str(body.get("ts") or f"17000000{len(self.messages)}.000100")
        if method == "chat.update" and ts not in self.messages:
            return 200, {"ok": False, "error": "message_not_found"}
        self.messages[ts] = body
        return 200, {"ok": True, "channel": "C0ONCALL", "ts": ts}


@contextmanager
def slack() -> Iterator[Slack]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["Content-Length"])).decode()
            body = json.loads(raw) if raw.startswith("{") else {k: v[0] for k, v in parse_qs(raw).items()}
            if isinstance(body.get("blocks"), str):
                body["blocks"] = json.loads(body["blocks"])
            status, answer = running.answer(self.path.strip("/"), body)
            text = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        running = Slack(address=f"http://127.0.0.1:{server.server_port}/")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield running
        server.shutdown()


def _refusal(body: Mapping[str, Any]) -> str | None:
    blocks = body.get("blocks", [])
    if len(body.get("text", "")) > _TEXT:
        return "msg_too_long"
    if not 0 < len(blocks) <= _BLOCKS or not all(map(_fits, blocks)):
        return "invalid_blocks"
    return None


def _fits(block: Mapping[str, Any]) -> bool:
    texts = [block["text"]] if "text" in block else []
    fields, elements = block.get("fields", []), block.get("elements", [])
    if block["type"] == "section" and not (texts or fields):
        return False
    return (
        all(0 < len(text["text"]) <= _LIMITS[block["type"]] for text in texts)
        and len(fields) <= _FIELDS
        and len(elements) <= _ELEMENTS
        and all(0 < len(one["text"]) <= _FIELD for one in [*fields, *elements])
    )
