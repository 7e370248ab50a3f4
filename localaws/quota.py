"""A loopback proxy that enforces Lambda's API quotas on the calls of one account and region.

The emulator has no rate limits. This proxy enforces the limits that AWS
states ("Lambda quotas", API requests): 15 control-plane calls a second, GetFunction and GetPolicy with
separate quotas, Invoke without one here. Calls beyond a quota get 429 as from Lambda and
never reach the account; everything else passes unchanged. Calls and throttles are counted by operation,
with the time of each operation's first and last call.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import re
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from localaws.emulator.lambda_actions import routes

CONTROL = "control plane"
_UNLIMITED = frozenset({"InvokeFunction", "InvokeAsync"})
_OWN_QUOTA = frozenset({"GetFunction", "GetPolicy"})
_HEAD_ENDS = b"\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length:\s*(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:[^\r]*chunked", re.IGNORECASE)
# The credential's scope names the service of a signed request.
_SIGNED_FOR = re.compile(
    rb"\r\nauthorization:[^\r]*Credential=[^/\s]+/\d{8}/[^/]+/([a-z0-9-]+)/aws4_request", re.IGNORECASE
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Rate:
    """Calls a second, and the burst after a pause."""

    rate: float
    burst: int


AWS = {
    CONTROL: Rate(rate=15, burst=15),
    "GetFunction": Rate(rate=100, burst=100),
    "GetPolicy": Rate(rate=15, burst=15),
}


class QuotaBucket:
    """A token bucket without waiting. It begins full."""

    def __init__(self, rate: Rate, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._clock = rate, clock
        self._tokens, self._at = float(rate.burst), clock()

    def take(self) -> bool:
        """Takes a token; False if there was none."""
        now = self._clock()
        self._tokens = min(self._rate.burst, self._tokens + (now - self._at) * self._rate.rate)
        self._at = now
        # A rounding error must not deny a token that is due now.
        if self._tokens < 1 - 1e-9:
            return False
        self._tokens = max(0.0, self._tokens - 1)
        return True


@dataclass(kw_only=True)
class QuotaWindow:
    """The calls since the last `reset`, throttled ones included, by operation.

    `arrivals` are all calls in order, monotonic time and operation; of other services than Lambda the service alone.
    """

    calls: Counter[str] = field(default_factory=Counter)
    throttled: Counter[str] = field(default_factory=Counter)
    arrivals: list[tuple[float, str]] = field(default_factory=list)

    def times(self, *operations: str) -> list[float]:
        """The times of calls of these operations."""
        return [at for at, operation in self.arrivals if operation in operations]

    def seconds(self, operation: str) -> float:
        """From the first to the last call of `operation`; 0 where there was none."""
        times = self.times(operation)
        return times[-1] - times[0] if times else 0.0


class Proxy:
    """A running proxy: its endpoint, and the calls that it has seen."""

    def __init__(
        self, upstream: str, rates: dict[str, Rate], clock: Callable[[], float] = time.monotonic
    ) -> None:
        place = urlsplit(upstream)
        assert place.hostname is not None and place.port is not None  # noqa: PT018, S101 - an endpoint has both
        self.upstream = (place.hostname, place.port)
        self.port = 0
        self._rates, self._clock = rates, clock
        self.reset()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def window(self) -> QuotaWindow:
        return self._window

    def reset(self) -> None:
        """Begins a new window with full buckets."""
        self._window = QuotaWindow()
        self._buckets = {name: QuotaBucket(rate, self._clock) for name, rate in self._rates.items()}

    def arrived(self, name: str) -> None:
        """Records the time of a call."""
        self._window.arrivals.append((self._clock(), name))

    def admit(self, method: str, path: str) -> bool:
        """Counts a Lambda request; False if it is beyond its quota."""
        name, window = operation(method, path), self._window
        window.calls[name] += 1
        self.arrived(name)
        if name in _UNLIMITED or self._buckets[name if name in _OWN_QUOTA else CONTROL].take():
            return True
        window.throttled[name] += 1
        return False


@functools.lru_cache(maxsize=65536)
def operation(method: str, path: str) -> str:
    """The Lambda operation of a request, by its route; the request itself if unknown."""
    plain = path.partition("?")[0]
    for verb, pattern, name in _routes():
        if verb == method and pattern.fullmatch(plain):
            return name
    return f"{method} {plain}"


@functools.cache
def _routes() -> list[tuple[str, re.Pattern[str], str]]:
    return list(routes())


@contextlib.contextmanager
def running(upstream: str, rates: dict[str, Rate] | None = None) -> Iterator[Proxy]:
    """A proxy in front of the endpoint `upstream` while the block runs, in a separate thread."""
    proxy = Proxy(upstream, rates or AWS)
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(
        loop.create_server(lambda: _Client(proxy, loop), "127.0.0.1", 0, backlog=512)
    )
    proxy.port = server.sockets[0].getsockname()[1]
    thread = threading.Thread(target=loop.run_forever, name="quota", daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        server.close()
        for task in asyncio.all_tasks(loop):
            task.cancel()
        for client in list(_Client.open):
            if client.loop is loop:
                client.close()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()


class _Client(asyncio.Protocol):
    """A client's connection and its own upstream connection, so that responses pass without parsing.

    It reads only the heads and lengths of requests. AWS clients do not pipeline: while a request
    is read no response is due, and a 429 can be written at once.
    """

    open: set[_Client] = set()  # noqa: RUF012 - of all proxies, closed with theirs

    def __init__(self, proxy: Proxy, loop: asyncio.AbstractEventLoop) -> None:
        self.proxy, self.loop = proxy, loop
        self.transport: asyncio.Transport | None = None
        self._upstream: asyncio.Transport | None = None
        self._waiting: list[bytes] = []  # for the connection upstream
        self._buffer = b""
        self._body = 0  # bytes of this request's body that have not come yet
        self._piped = self._refused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - what a stream server hands over
        self.transport = transport
        self.open.add(self)
        self._connecting = self.loop.create_task(self._connect())

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self.open.discard(self)
        if self._upstream is not None:
            self._upstream.close()

    def close(self) -> None:
        for transport in (self.transport, self._upstream):
            if transport is not None:
                transport.close()

    async def _connect(self) -> None:
        try:
            upstream, _ = await self.loop.create_connection(lambda: _Answers(self), *self.proxy.upstream)
        except OSError:
            self.close()
            return
        self._upstream = upstream
        if self.transport is None or self.transport.is_closing():
            upstream.close()
        upstream.writelines(self._waiting)
        self._waiting.clear()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while self._buffer:
            if self._piped:
                self._forward(self._take(len(self._buffer)))
            elif self._body:
                part = self._take(min(self._body, len(self._buffer)))
                self._body -= len(part)
                if not self._refused:
                    self._forward(part)
                elif not self._body:
                    self._refuse()
            else:
                end = self._buffer.find(_HEAD_ENDS)
                if end < 0:
                    return
                self._begin(self._take(end + len(_HEAD_ENDS)))

    def _begin(self, head: bytes) -> None:
        signed, length = _SIGNED_FOR.search(head), _LENGTH.search(head)
        self._body = int(length[1]) if length else 0
        self._refused = False
        if signed is not None and signed[1] == b"lambda":
            method, path, _ = head.split(b" ", 2)
            self._refused = not self.proxy.admit(method.decode("latin-1"), path.decode("latin-1"))
        else:
            self.proxy.arrived(signed[1].decode("latin-1") if signed else "")
            # No Lambda client sends chunks; from here on the connection is passed through unchanged.
            self._piped = _CHUNKED.search(head) is not None
        if not self._refused:
            self._forward(head)
        elif not self._body:
            self._refuse()

    def _take(self, length: int) -> bytes:
        part, self._buffer = self._buffer[:length], self._buffer[length:]
        return part

    def _forward(self, data: bytes) -> None:
        if self._upstream is None:
            self._waiting.append(data)
        else:
            self._upstream.write(data)

    def _refuse(self) -> None:
        self._refused = False
        if self.transport is not None:
            self.transport.write(_too_many())


class _Answers(asyncio.Protocol):
    def __init__(self, client: _Client) -> None:
        self._client = client

    def data_received(self, data: bytes) -> None:
        if self._client.transport is not None:
            self._client.transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        if self._client.transport is not None:
            self._client.transport.close()


def _too_many() -> bytes:
    """`TooManyRequestsException` as the Lambda API Reference has it."""
    body = json.dumps(
        {"Type": "User", "Reason": "CallerRateLimitExceeded", "message": "Rate exceeded"}
    ).encode()
    head = (
        "HTTP/1.1 429 Too Many Requests\r\n"
        "Content-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n"
        f"x-amzn-RequestId: {uuid.uuid4()}\r\n"
        "x-amzn-ErrorType: TooManyRequestsException\r\n"
        "Retry-After: 1\r\n\r\n"
    )
    return head.encode() + body
