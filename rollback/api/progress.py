"""An operation's events as an iterator: it runs in a separate thread while its events are read."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Generic, Self, TypeVar

from rollback.api.events import Event

T = TypeVar("T")


class Stop(threading.Event):
    """Set when this operation, or its whole environment, is asked to stop."""

    def __init__(self, everything: threading.Event) -> None:
        super().__init__()
        self._everything = everything

    def is_set(self) -> bool:
        return super().is_set() or self._everything.is_set()


@dataclass(kw_only=True)
class _Running(Generic[T]):
    """The operation in its thread, without a reference to its reader."""

    work: Callable[[Callable[[Event], None]], T]
    events: queue.SimpleQueue[Event | None] = field(default_factory=queue.SimpleQueue)
    done: list[T] = field(default_factory=list)
    error: BaseException | None = None

    def run(self) -> None:
        try:
            self.done.append(self.work(self.events.put))
        except BaseException as error:  # noqa: BLE001 - raised where the events are read
            self.error = error
        finally:
            self.events.put(None)


class Progress(Generic[T]):
    """The events of an operation, in order, while it runs; then its `result`.

    Errors of the operation are raised by the iterator, after the last event, and by `result`. Closing it early,
    leaving its `with` block or dropping it asks the operation to stop gracefully, as the first Ctrl-C asks the
    command: running steps finish, the record has the progress, and `resume` or `abort` continues.
    """

    def __init__(self, work: Callable[[Callable[[Event], None]], T], stop: Stop) -> None:
        self._stop = stop
        self._running = _Running(work=work)
        self._over = False
        # Not a daemon thread: it must be able to stop gracefully after its reader has gone.
        self._thread = threading.Thread(target=self._running.run, name="rollback")
        self._thread.start()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Event:
        event = None if self._over else self._running.events.get()
        if event is not None:
            return event
        if not self._over:
            self._over = True
            self.result  # noqa: B018 - raises its error
        raise StopIteration

    @property
    def result(self) -> T:
        """The operation's result; waits for it, and raises its error."""
        self._thread.join()
        if self._running.error is not None:
            raise self._running.error
        return self._running.done[0]

    def close(self) -> None:
        """Asks the operation to stop, and waits until it has stopped."""
        self._stop.set()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        self._stop.set()
