"""A loopback proxy in front of an AWS endpoint, which makes the moment certain that a test is about.

    with Proxy(endpoint) as proxy:
        held = proxy.hold("UpdateAlias", nth=3)      # this one and all later ones wait
        ...
        held.wait()                                  # until one has arrived
        held.release()

An operation has the name that AWS gives it: `UpdateAlias`, `TransactWriteItems`, `GetCallerIdentity`.
Requests are counted from 1 since the rule was made.
"""

from __future__ import annotations

import http.client
import itertools
import json
import re
import threading
import urllib.parse
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from email.utils import format_datetime, parsedate_to_datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

# Nobody waits that long on a quiet machine.
_WAIT = 120.0
_HOP_BY_HOP = {"connection", "transfer-encoding", "content-length", "keep-alive"}
_FUNCTIONS = r"/2015-03-31/functions/(?P<function>[^/]+)"
# The routes of AWS Lambda's API Reference, as far as anything here asks for them.
_LAMBDA = [
    ("PUT", re.compile(_FUNCTIONS + r"/aliases/[^/]+"), "UpdateAlias"),
    ("GET", re.compile(_FUNCTIONS + r"/aliases/[^/]+"), "GetAlias"),
    ("GET", re.compile(_FUNCTIONS + r"/versions"), "ListVersionsByFunction"),
    ("POST", re.compile(_FUNCTIONS + r"/invocations"), "Invoke"),
    ("GET", re.compile(_FUNCTIONS), "GetFunction"),
    ("DELETE", re.compile(_FUNCTIONS), "DeleteFunction"),
    ("GET", re.compile(r"/2015-03-31/functions/?"), "ListFunctions"),
    ("GET", re.compile(r"/2021-10-31/functions/(?P<function>[^/]+)/url"), "GetFunctionUrlConfig"),
    ("GET", re.compile(r"/2015-03-31/event-source-mappings/?"), "ListEventSourceMappings"),
    ("GET", re.compile(r"/restapis/?"), "GetRestApis"),
    ("GET", re.compile(r"/v2/apis/?"), "GetApis"),
    ("GET", re.compile(r"/schedules/?"), "ListSchedules"),
]


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request as a rule sees it. `function` is set for Lambda's."""

    operation: str
    method: str
    path: str
    body: bytes
    function: str = ""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What goes back. A `None` in its place means that the connection is closed without one."""

    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes


@dataclass(kw_only=True)
class Held:
    """Requests, or their answers, that wait for `release`."""

    _arrived: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    _go: threading.Event = field(default_factory=threading.Event)
    _forward: bool = True

    def wait(self, count: int = 1) -> None:
        """Returns when `count` more of them are waiting; AssertionError after two minutes."""
        for _ in range(count):
            assert self._arrived.acquire(timeout=_WAIT), "the request that was waited for never came"

    def release(self, *, forward: bool = True) -> None:
        """Lets them go on; or, without `forward`, drops them."""
        self._forward = forward
        self._go.set()

    def stop_here(self) -> bool:
        """Called by the proxy: waits, and says whether to go on."""
        self._arrived.release()
        return self._go.wait(_WAIT * 2) and self._forward


@dataclass(kw_only=True)
class _Rule:
    """What happens to the requests of `operation` numbered `first` to `last`, before or after AWS saw them."""

    operation: str
    first: int
    last: float
    function: str
    containing: bytes
    before: Callable[[Request], Answer | bool | None] | None = None
    after: Callable[[Request], bool | None] | None = None
    change: Callable[[Any], Any] | None = None
    seen: int = 0


class Proxy:
    """Listens on a random port of loopback from `with` to its end, and lets everything through."""

    def __init__(self, upstream: str) -> None:
        self._upstream = urllib.parse.urlsplit(upstream).netloc
        self._rules: list[_Rule] = []
        self._held: list[Held] = []
        self._lock = threading.Lock()
        # In the thread that carries a request: `connection`, the socket that it came by.
        self.serving = threading.local()
        self.skew = timedelta(0)
        # Requests by operation, and AWS's answers by operation and status.
        self.counts: Counter[str] = Counter()
        self.answered: Counter[tuple[str, int]] = Counter()
        self._server = _Server(self)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for held in self._held:
            held.release(forward=False)
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def gone(self, *, but: int = 0) -> None:
        """Takes no more calls, and returns when those that a dead process had sent are through.

        `but` so many wait for something else. What it had sent and is not taken yet never arrives.
        """
        self._server.shutdown()
        assert self._server.all_closed(but=but), "a connection stayed open"

    # -- rules -------------------------------------------------------------------------------------------

    def forget(self) -> None:
        """Lets go on what waits, and forgets all rules."""
        with self._lock:
            self._rules.clear()
        while self._held:
            self._held.pop().release()

    def hold(self, operation: str, **which: Any) -> Held:
        """The nth request and all later ones wait before AWS sees them."""
        held = self._keep(Held())
        self._rule(operation, None, which, before=lambda _: None if held.stop_here() else False)
        return held

    def hold_answers(self, operation: str, **which: Any) -> Held:
        """The nth request and all later ones are carried out; their answers wait."""
        held = self._keep(Held())
        self._rule(operation, None, which, after=lambda _: held.stop_here())
        return held

    def drop_answer(self, operation: str, *, times: int = 1, **which: Any) -> None:
        """The request is carried out and its answer gets lost."""
        self._rule(operation, times, which, after=lambda _: False)

    def refuse(self, operation: str, *, status: int, code: str, times: int = 1, **which: Any) -> None:
        """Answers with an error in AWS's stead: 429 and TooManyRequestsException is a throttle."""
        body = json.dumps({"__type": code, "message": "made by a test", "Type": "User"}).encode()
        headers = [("Content-Type", "application/x-amz-json-1.1"), ("x-amzn-ErrorType", code)]
        answer = Answer(status=status, headers=headers, body=body)
        self._rule(operation, times, which, before=lambda _: answer)

    def meanwhile(self, operation: str, do: Callable[[], object], **which: Any) -> None:
        """Something else happens right before AWS sees the nth request."""

        def act(_: Request) -> None:
            do()

        self._rule(operation, 1, which, before=act)

    def rewrite(self, operation: str, change: Callable[[Any], Any], **which: Any) -> None:
        """AWS's good answers come back with their JSON as `change` makes it."""
        self._rule(operation, None, which, change=change)

    def _rule(self, operation: str, times: int | None, which: Mapping[str, Any], **what: Any) -> None:
        """`which` are `nth` (the first by default), `function`, and `containing`, a part of the body."""
        options = {"nth": 1, "function": "", "containing": b"", **which}
        first = options.pop("nth")
        last = float("inf") if times is None else first + times - 1
        with self._lock:
            self._rules.append(_Rule(operation=operation, first=first, last=last, **options, **what))

    def _keep(self, held: Held) -> Held:
        self._held.append(held)
        return held

    # -- carrying ----------------------------------------------------------------------------------------

    def carry(self, request: Request, headers: list[tuple[str, str]]) -> Answer | None:
        """The answer to a request, or None where it gets none."""
        with self._lock:
            self.counts[request.operation] += 1
            met = [rule for rule in self._rules if self._meets(rule, request)]
        for rule in met:
            ruled = rule.before(request) if rule.before else None
            if ruled is False:
                return None
            if isinstance(ruled, Answer):
                return ruled
        answer = self._forward(request, headers)
        if any(rule.after(request) is False for rule in met if rule.after):
            return None
        for rule in met:
            if rule.change and answer.status == HTTPStatus.OK:
                answer = _rewritten(answer, rule.change)
        return answer

    @staticmethod
    def _meets(rule: _Rule, request: Request) -> bool:
        if rule.operation != request.operation or rule.function not in ("", request.function):
            return False
        if rule.containing not in request.body:
            return False
        rule.seen += 1
        return rule.first <= rule.seen <= rule.last

    def _forward(self, request: Request, headers: list[tuple[str, str]]) -> Answer:
        connection = http.client.HTTPConnection(self._upstream, timeout=60)
        try:
            connection.putrequest(request.method, request.path, skip_host=True, skip_accept_encoding=True)
            for name, value in headers:
                if name.lower() not in ("connection", "expect"):
                    connection.putheader(name, value)
            connection.putheader("Connection", "close")
            connection.endheaders(request.body)
            answer = connection.getresponse()
            body = answer.read()
            with self._lock:
                self.answered[request.operation, answer.status] += 1
            kept = [
                (name, self._dated(name, value))
                for name, value in answer.getheaders()
                if name.lower() not in _HOP_BY_HOP
            ]
            return Answer(status=answer.status, headers=kept, body=body)
        finally:
            connection.close()

    def _dated(self, name: str, value: str) -> str:
        if name.lower() != "date" or not self.skew:
            return value
        return format_datetime(parsedate_to_datetime(value) + self.skew, usegmt=True)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256
    block_on_close = False

    def __init__(self, proxy: Proxy) -> None:
        self.proxy = proxy
        self._open = 0
        self._closing = threading.Condition()
        super().__init__(("127.0.0.1", 0), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._closing:
            self._open += 1
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        super().shutdown_request(request)
        with self._closing:
            self._open -= 1
            self._closing.notify_all()

    def all_closed(self, *, but: int) -> bool:
        """Waits until no more than `but` connections are open; whether that came to be."""
        with self._closing:
            return self._closing.wait_for(lambda: self._open <= but, _WAIT)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed has closed its connection: that is what the test is about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's
        """Nothing: pytest shows what a test says."""

    def _carry(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        request = _named(self.command, self.path, self.headers.get("X-Amz-Target", ""), body)
        self.server.proxy.serving.connection = self.connection
        answer = self.server.proxy.carry(request, self.headers.items())
        if answer is None:
            self.close_connection = True
            return
        self.send_response_only(answer.status)
        for name, value in answer.headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = do_PATCH = _carry  # noqa: N815 - the base class's names


def _rewritten(answer: Answer, change: Callable[[Any], Any]) -> Answer:
    """The answer with another body, and without the checksum of the one that it had."""
    headers = [(name, value) for name, value in answer.headers if name.lower() != "x-amz-crc32"]
    body = json.dumps(change(json.loads(answer.body))).encode()
    return Answer(status=answer.status, headers=headers, body=body)


def _named(method: str, path: str, target: str, body: bytes) -> Request:
    """The request with the name of its operation."""
    bare = urllib.parse.urlsplit(path).path
    if target:
        return Request(operation=target.rpartition(".")[2], method=method, path=path, body=body)
    for verb, pattern, name in _LAMBDA:
        if verb == method and (found := pattern.fullmatch(bare)):
            function = urllib.parse.unquote(found.groupdict().get("function") or "")
            return Request(operation=name, method=method, path=path, body=body, function=function)
    form = urllib.parse.parse_qs(body.decode(errors="replace")) if bare == "/" else {}
    action = next(itertools.chain(form.get("Action", [])), "")
    return Request(operation=action or f"{method} {bare}", method=method, path=path, body=body)
