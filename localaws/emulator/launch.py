"""The emulator's process: runs in its tool environment and ends with its parent if asked to.

Prints one line of JSON, `{"port": N, "pid": N}`, once it is bound: from then on requests wait until it is
ready, and nobody has to poll. Binds loopback only.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import gc
import importlib
import json
import logging
import os
import shutil
import signal
import socket
import sys
import threading
import time
from typing import Any

_SHUTDOWN = 8.0
_SWEEP_SECONDS = 10.0
_POLICIES = 4096


def main() -> None:
    """Serve until SIGTERM, or until the parent is gone."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0, help="wished for; another one if it is taken")
    parser.add_argument("--scratch", required=True, help="a folder to use and to remove at the end")
    ends = parser.add_mutually_exclusive_group(required=True)
    ends.add_argument("--parent", type=int, help="end with this process")
    ends.add_argument("--detach", action="store_true", help="outlive the parent, as nobody's child")
    options = parser.parse_args()

    listener = _bind(options.port)
    port = listener.getsockname()[1]
    # Read by the emulator when it is imported, below.
    os.environ["GATEWAY_PORT"] = str(port)
    if options.detach and os.fork():
        os._exit(0)
    if options.parent:
        threading.Thread(target=_end_with, args=(options.parent,), daemon=True).start()
    try:
        _serve(listener, port)
    finally:
        shutil.rmtree(options.scratch, ignore_errors=True)


def _bind(wished: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", wished))
    except OSError:
        if not wished:
            raise
        listener.bind(("127.0.0.1", 0))
    listener.listen(512)
    return listener


def _serve(listener: socket.socket, port: int) -> None:
    # After GATEWAY_PORT, and quick to fail.
    from localaws.emulator import (  # noqa: PLC0415
        alarms,
        alias_metrics,
        api_names,
        async_invocations,
        calls,
        copying,
        function_code,
        identities,
        identity_providers,
        idle,
        lambda_actions,
        leading_keys,
        outage,
        past,
        people,
    )

    app: Any = importlib.import_module("ministack.app")
    api_names.install()
    leading_keys.install()
    people.install()
    _sweep_seldom(importlib.import_module("ministack.services.lambda_svc"))
    _parse_once(importlib.import_module("ministack.core.iam_evaluator"))
    lambda_actions.install()
    identities.install()
    identity_providers.install()
    function_code.install()
    idle.install()
    past.install()
    outage.install()
    alias_metrics.install()
    async_invocations.install()
    alarms.install()
    calls.install()
    gc.freeze()  # what is here now is nobody's garbage, and is not to be looked through again and again
    config: Any = importlib.import_module("hypercorn.config").Config()
    serve: Any = importlib.import_module("hypercorn.asyncio").serve
    config.bind = [f"fd://{listener.detach()}"]
    config.keep_alive_timeout = 75
    config.graceful_timeout = 0.5
    config.loglevel = "WARNING"
    logging.getLogger("hypercorn.access").disabled = True
    sys.stdout.write(json.dumps({"port": port, "pid": os.getpid()}) + "\n")
    sys.stdout.flush()
    # Anybody who started us has read its line and may be gone; what follows goes to the log.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    own = {module.PATH: module.asked for module in (copying, idle, outage)}
    asyncio.run(serve(copying.beside(app.app, own), config))


def _sweep_seldom(functions: Any) -> None:
    """Every code update looks through all versions of all functions for code that nobody needs any
    more: minutes for a release of 5,000. Now and then is enough for a cache of files.
    """
    sweep, last = functions._sweep_extract_cache, [0.0]  # noqa: SLF001 - no other way in

    def seldom() -> None:
        if time.monotonic() - last[0] >= _SWEEP_SECONDS:
            last[0] = time.monotonic()
            sweep()

    functions._sweep_extract_cache = seldom  # noqa: SLF001


def _parse_once(evaluator: Any) -> None:
    """Every request would have all its caller's policies parsed, twice: a sixth of the work under real roles."""
    parse = evaluator.parse_policy_document
    parsed = functools.lru_cache(maxsize=_POLICIES)(parse)

    def once(document: Any) -> Any:
        return list(parsed(document)) if isinstance(document, str) else parse(document)

    evaluator.parse_policy_document = once


def _end_with(parent: int) -> None:
    """Standard input is a pipe that only the parent holds: it ends with it, even by SIGKILL.

    A fork of the parent may hold the pipe, too, so that the parent's pid is looked at as well.
    """

    def pipe() -> None:
        while os.read(0, 4096):
            pass
        gone.set()

    gone = threading.Event()
    threading.Thread(target=pipe, daemon=True).start()
    while os.getppid() == parent and not gone.wait(0.5):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_SHUTDOWN)
    with contextlib.suppress(ProcessLookupError):
        os.kill(os.getpid(), signal.SIGKILL)
