"""Ctrl-C before a verb has begun, while its modules are still being imported.

An exception in the middle of an import leaves modules half executed, and what would explain it needs them. So the
process ends there and then: it has asked nothing of anybody.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from types import FrameType
from typing import Any

from rollback.util.errors import StoppedAtOnce


def before_it_begins() -> None:
    """Ctrl-C ends the process at once, unless who has started it lets it ignore Ctrl-C (`nohup`)."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)


def begun() -> None:
    """From here on Ctrl-C is `KeyboardInterrupt` again."""
    signal.signal(signal.SIGINT, usual(signal.getsignal(signal.SIGINT)))


def usual(handler: Any) -> Any:
    """The handler to restore where `handler` was the one from before the verb."""
    return signal.default_int_handler if handler is _end else handler


def _end(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the signal module's
    # Python's own buffers may be in the middle of a write.
    with suppress(OSError):
        os.write(2, b"Stopped. Nothing was changed.\n")
    os._exit(StoppedAtOnce.exit_code)
