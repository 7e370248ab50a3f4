"""The console script without its start: run in processes forked from one that has imported all of it.

    with Warm() as warm:
        code, out, err = warm.run(["status", "--env", "dev"], variables, cwd)

Each command is a process of its own, with its own variables, folder and streams, and runs the very file that
`pip` has installed; what it saves is two thirds of the time. What the interpreter takes from its
surroundings when it starts (its streams' encodings, say) must be tested with the script itself.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import pkgutil
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import CodeType, TracebackType
from typing import Any, Self

from local.paths import ROOT

_SCRIPT = ROOT / ".venv" / "bin" / "rollback"
# Seconds until a command that hangs is ended.
_PATIENCE = 60


class Warm:
    """The process that forks, as long as the block lasts."""

    def __init__(self) -> None:
        self._asking = threading.Lock()

    def __enter__(self) -> Self:
        self._server = subprocess.Popen(
            [sys.executable, __file__],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.communicate()

    def free(self) -> bool:
        """Whether nobody else is waiting for an answer."""
        return not self._asking.locked()

    def run(self, words: Sequence[str], variables: Mapping[str, str], cwd: Path) -> tuple[int, str, str]:
        """A command's exit code (-14: it hung), standard output and standard error."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        with self._asking, tempfile.NamedTemporaryFile() as out, tempfile.NamedTemporaryFile() as err:
            asked = {
                "words": [str(_SCRIPT), *words],
                "variables": dict(variables),
                "cwd": str(cwd),
                "streams": [os.devnull, out.name, err.name],
            }
            self._server.stdin.write(f"{json.dumps(asked)}\n")
            self._server.stdin.flush()
            code = json.loads(self._server.stdout.readline())
            return code, Path(out.name).read_text(), Path(err.name).read_text()


def _serve() -> None:
    import rollback  # noqa: PLC0415 - the server's own

    for found in pkgutil.walk_packages(rollback.__path__, "rollback."):
        if not found.name.endswith(".__main__"):
            importlib.import_module(found.name)
    gc.freeze()  # what is here already is nobody's garbage
    script = compile(_SCRIPT.read_text(encoding="utf-8"), _SCRIPT, "exec")
    for line in sys.stdin:
        asked = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _become(script, asked)
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)  # noqa: T201 - the answer


def _become(script: CodeType, asked: Mapping[str, Any]) -> None:
    code: Any = 0
    try:
        os.setsid()
        signal.alarm(_PATIENCE)
        for number, path in enumerate(asked["streams"]):
            os.dup2(os.open(path, os.O_RDWR), number)
        os.chdir(asked["cwd"])
        os.environ.clear()
        os.environ.update(asked["variables"])
        tempfile.tempdir = None  # may have been looked up
        sys.argv = asked["words"]
        exec(script, {"__name__": "__main__"})  # noqa: S102 - the console script
    except SystemExit as ended:
        code = ended.code
    except BaseException:  # noqa: BLE001 - as the interpreter does at its end
        traceback.print_exc()
        code = 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else code is not None)


if __name__ == "__main__":
    _serve()
