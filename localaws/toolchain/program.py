"""Runs a Pulumi program: the language host starts this with the project's own interpreter.

    program.py PARENT --monitor … --engine … [--project …] ENTRY [ARGS]

Only the standard library and the project's own Pulumi SDK, of whatever version, may be imported
here: the interpreter is the program's, without this project's packages. Ends with 0, with
32 if the reason has been shown, or with 1; and ends at once when the process PARENT has ended.
"""

import argparse
import asyncio
import gc
import inspect
import logging
import os
import runpy
import signal
import sys
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from typing import Any

_SHOWN = 32
_FAILED = 1
_POLL = 0.2
_WORKERS_PER_PARALLEL = 4


def main() -> None:
    """Run the program that the arguments name."""
    # This is a short process, and garbage collection would take a third of its time.
    gc.disable()
    parent = int(sys.argv.pop(1))
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    # Cancelled by SIGINT, even if the engine's parent ignores it.
    signal.signal(signal.SIGINT, _interrupted)
    sys.unraisablehook = _unraisable
    # This file's folder must not come before the program's own modules.
    sys.path.pop(0)
    sys.exit(_run(_parser().parse_args()))


def _interrupted(*_: object) -> None:
    """The engine and the host may both send it; once is enough."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise KeyboardInterrupt


def _unraisable(what: Any) -> None:
    """An interrupt during the finalisation of an object would only be printed, and then lost."""
    if what.exc_type is KeyboardInterrupt:
        os._exit(_FAILED)
    sys.__unraisablehook__(what)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    for name in ("monitor", "engine", "project", "root_directory", "stack", "pwd", "dry_run", "organization"):
        parser.add_argument(f"--{name}")
    parser.add_argument("--parallel", type=int, default=0)
    parser.add_argument("PROGRAM")
    parser.add_argument("ARGS", nargs=argparse.REMAINDER)
    return parser


def _run(options: argparse.Namespace) -> int:
    try:
        import pulumi  # noqa: PLC0415 - the program's, which may not be installed
        import pulumi.runtime  # noqa: PLC0415
    except ImportError:
        _show(traceback.format_exc())
        _show("The Pulumi SDK is not installed for this program's interpreter. Run: pulumi install")
        return _FAILED

    runtime: Any = pulumi.runtime
    runtime.set_all_config(runtime.get_config_env(), runtime.get_config_secret_keys_env())
    runtime.configure(_settings(runtime, options))
    sys.argv = [options.PROGRAM, *options.ARGS]
    if options.pwd is not None:
        os.chdir(options.pwd)
    program = os.path.abspath(options.PROGRAM)  # noqa: PTH100 - as a traceback spells it

    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    pool = ThreadPoolExecutor(max(options.parallel, 1) * _WORKERS_PER_PARALLEL)
    loop.set_default_executor(pool)
    # A program that fails leaves futures that nobody awaits. asyncio would warn about each.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    try:
        loop.run_until_complete(runtime.run_in_stack(lambda: _execute(program)))
    except pulumi.RunError as error:
        pulumi.log.error(str(error))
        return _FAILED
    except KeyboardInterrupt:
        return _FAILED
    except Exception:  # noqa: BLE001 - whatever the program raises is shown, and 32 says so
        pulumi.log.error(f"Program failed with an unhandled exception:\n{_traceback(program)}")
        return _SHOWN
    finally:
        pool.shutdown(wait=True)
        loop.close()
        sys.stdout.flush()
        sys.stderr.flush()
        gc.freeze()  # nor is it collected at the end
    return 0


def _execute(program: str) -> None:
    if os.path.isdir(program) and not os.path.exists(os.path.join(program, "__main__.py")):  # noqa: PTH112, PTH110, PTH118
        import pulumi  # noqa: PLC0415

        pulumi.log.error(f"{program} contains no __main__.py")
        sys.exit(_SHOWN)
    runpy.run_path(program, run_name="__main__")


def _settings(runtime: Any, options: argparse.Namespace) -> Any:
    """The SDK's settings, without those that an older SDK does not have."""
    known = inspect.signature(runtime.Settings.__init__).parameters
    given = {
        "monitor": options.monitor,
        "engine": options.engine,
        "project": options.project,
        "stack": options.stack,
        "parallel": options.parallel,
        "dry_run": options.dry_run == "true",
        "organization": options.organization,
        "root_directory": options.root_directory,
    }
    return runtime.Settings(**{name: value for name, value in given.items() if name in known})


def _traceback(program: str) -> str:
    """The traceback from the program's own first frame on."""
    frames = traceback.extract_tb(sys.exc_info()[2])
    main_file = os.path.join(program, "__main__.py") if os.path.isdir(program) else program  # noqa: PTH118, PTH112
    for index, frame in enumerate(frames):
        if os.path.abspath(frame.filename) == main_file:  # noqa: PTH100
            return traceback.format_exc(limit=index - len(frames))
    return traceback.format_exc()


def _show(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_POLL)
    os._exit(_FAILED)


if __name__ == "__main__":
    main()
