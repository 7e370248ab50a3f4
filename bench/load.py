"""Another team that deploys in the same account and region, and so takes its part of the quota."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Any

# Control-plane calls that a rollback does not make: they are told apart in what a proxy counts.
OPERATION = "GetFunctionConfiguration"


@contextlib.contextmanager
def outside_load(client: Any, rate: float, function: str) -> Iterator[None]:
    """Calls of `client`, a Lambda client that does not retry, `rate` a second for as long as the block lasts.

    What is throttled is asked for again a little later, as deployments do, at the same rate.
    """
    stop = threading.Event()

    def run() -> None:
        due = time.monotonic()
        while not stop.wait(max(0.0, due - time.monotonic())):
            due = max(due + 1 / rate, time.monotonic() - 1)
            with contextlib.suppress(client.exceptions.TooManyRequestsException):
                client.get_function_configuration(FunctionName=function)

    thread = threading.Thread(target=run, name="foreign load")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
