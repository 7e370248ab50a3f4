"""A proxy that names every call of one process, and stops that process at one of them."""

from __future__ import annotations

import socket
import threading
from collections import Counter
from collections.abc import Mapping

from tests.crashes import calls
from tests.crashes.calls import Point
from tests.proxy import Answer, Proxy, Request

_WAIT = 120.0


class Watched(Proxy):
    """Lets everything through, but for the call at `point`: it, or its answer, waits for `let_go`."""

    def __init__(self, upstream: str, known: Mapping[str, str], point: Point | None = None) -> None:
        super().__init__(upstream)
        self._known, self._point = known, point
        self._counted: Counter[str] = Counter()
        self._watching = threading.Condition()
        self._under_way = 0
        self._go = threading.Event()
        self._lands = False
        # In the order in which they came, with a number where the same was asked for before.
        self.called: list[str] = []
        self.hit = threading.Event()

    def carry(self, request: Request, headers: list[tuple[str, str]]) -> Answer | None:
        stops = self._enter(request)
        try:
            if stops and not self._after:
                if not self._waited():
                    return None
                return super().carry(request, headers)
            answer = super().carry(request, headers)
            return answer if not stops or self._waited() else None
        finally:
            with self._watching:
                self._under_way -= 1
                self._watching.notify_all()

    def let_go(self, *, forward: bool) -> None:
        """The call that waits goes on; without `forward`, or where its process has died, it or its answer is
        lost.
        """
        self._lands = forward
        self._go.set()

    def settle(self) -> None:
        """Returns when nothing is under way any more but what waits at the point."""
        with self._watching:
            done = self._watching.wait_for(lambda: self._under_way <= self.hit.is_set(), _WAIT)
        assert done, "a call got no answer"

    @property
    def _after(self) -> bool:
        return self._point is not None and self._point.after

    def _enter(self, request: Request) -> bool:
        """Counts a call; whether it is the one to stop at."""
        named = calls.name(request, self._known)
        with self._watching:
            self._under_way += 1
            if named is None:
                return False
            self._counted[named] += 1
            if self._counted[named] > 1:
                if calls.single(named):
                    return False
                named = f"{named} #{self._counted[named]}"
            self.called.append(named)
            return self._point is not None and named == self._point.call

    def _waited(self) -> bool:
        self.hit.set()
        with self._watching:
            self._watching.notify_all()
        return self._go.wait(_WAIT) and self._lands and not self._hung_up()

    def _hung_up(self) -> bool:
        try:
            return not self.serving.connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except ConnectionError:
            return True
