"""The Python language host of the engine: the executable `pulumi-language-python`.

The engine starts it, reads a port from its first line, and talks gRPC: the protocol of
https://github.com/pulumi/pulumi/blob/master/proto/pulumi/language.proto. Used only where no official
host is installed. It supports the project's `toolchain` (pip, uv) and `virtualenv` options, so that a
checkout of an old commit runs with that commit's own dependencies. It also runs component packages in Python.
"""

from __future__ import annotations

import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from concurrent import futures
from pathlib import Path
from typing import IO, Any

import grpc  # type: ignore[import-untyped]
from google.protobuf import empty_pb2  # type: ignore[import-untyped]
from pulumi.runtime.proto import language_pb2, language_pb2_grpc, plugin_pb2

from localaws import processes
from localaws.toolchain import build

_PROGRAM = Path(__file__).with_name("program.py")
_BAIL = 32  # the program has shown why it failed
_GRACE = 3.0
_PIP, _UV = "pip", "uv"
_OURS = ("PYTHONHOME", "PYTHONPATH", "PYTHONSAFEPATH", "__PYVENV_LAUNCHER__")
# The stubs are generated and untyped.
_pb: Any = language_pb2
_plugin_pb: Any = plugin_pb2


class MissingVirtualenvError(Exception):
    """The project names a virtualenv that does not exist."""


def interpreter(options: Mapping[str, Any], root: Path) -> Path:
    """The interpreter of a project in `root` with these runtime options.

    Raises `MissingVirtualenvError` with what to type, and ValueError for a toolchain that only the
    official host supports.
    """
    name = options.get("virtualenv")
    if (toolchain := options.get("toolchain", _PIP)) == _UV:
        name = name or _of_uv(root)
    elif toolchain != _PIP:
        raise ValueError(
            f"The toolchain {toolchain!r} needs the official language host: "
            "https://www.pulumi.com/docs/install/"
        )
    if not name:
        command = os.environ.get("PULUMI_PYTHON_CMD") or "python3"
        return Path(shutil.which(command) or sys.executable)
    folder = root / str(name)
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not python.exists():
        raise MissingVirtualenvError(
            f"The project's virtualenv {name!r} does not exist ({folder}).\n"
            f"Create it and install the project's dependencies:\n"
            f"  cd {root} && pulumi install"
        )
    return python


def _of_uv(root: Path) -> Path:
    """Where `uv` keeps the virtualenv of a project in `root`: beside the nearest lock, or else its `pyproject.toml`."""
    for file in ("uv.lock", "pyproject.toml"):
        for folder in (root, *root.parents):
            if (folder / file).is_file():
                return folder / ".venv"
    return root / ".venv"


def program_environment(python: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """`environ` for a program under `python`: its virtualenv active, without variables of ours."""
    kept = {k: v for k, v in environ.items() if k not in _OURS}
    if (python.parent.parent / "pyvenv.cfg").exists():
        kept["VIRTUAL_ENV"] = str(python.parent.parent)
        kept["PATH"] = f"{python.parent}{os.pathsep}{kept.get('PATH', os.defpath)}"
    return kept


class LanguageHost(language_pb2_grpc.LanguageRuntimeServicer):
    """One engine's host. Method names are those of the protocol."""

    def __init__(self, engine_address: str) -> None:
        self._engine = engine_address
        self._program: subprocess.Popen[bytes] | None = None
        self._plugins: list[subprocess.Popen[bytes]] = []
        self._lock = threading.Lock()
        self._ending = False

    def Handshake(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        self._engine = request.engine_address
        return _pb.LanguageHandshakeResponse()

    def GetPluginInfo(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        return _plugin_pb.PluginInfo(version=build.VERSION)

    def GetRequiredPackages(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        """Empty: the providers of a local stack are on PATH, and nothing should be downloaded."""
        return _pb.GetRequiredPackagesResponse()

    def GetRequiredPlugins(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        return _pb.GetRequiredPluginsResponse()

    def RuntimeOptionsPrompts(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        return _pb.RuntimeOptionsResponse()

    def About(self, request: Any, context: Any) -> Any:  # noqa: N802
        python = _interpreter_or_abort(request.info, context)
        version = subprocess.run(
            [python, "-I", "-S", "-c", "import sys; print('.'.join(map(str, sys.version_info[:3])))"],
            capture_output=True,
            text=True,
            check=False,
        )
        return _pb.AboutResponse(executable=str(python), version=version.stdout.strip())

    def GetProgramDependencies(self, request: Any, context: Any) -> Any:  # noqa: N802
        python = _interpreter_or_abort(request.info, context)
        code = (
            "import importlib.metadata as m, json; "
            "print(json.dumps(sorted({(d.metadata['Name'], d.version) for d in m.distributions()})))"
        )
        completed = subprocess.run([python, "-I", "-c", code], capture_output=True, text=True, check=False)
        found = json.loads(completed.stdout or "[]")
        return _pb.GetProgramDependenciesResponse(
            dependencies=[_pb.DependencyInfo(name=name, version=version) for name, version in found]
        )

    def InstallDependencies(self, request: Any, context: Any) -> Iterator[Any]:  # noqa: N802
        """Creates the project's virtualenv and installs its dependencies; streams the output of pip or uv."""
        options, root = _options(request.info), Path(request.info.root_directory or request.directory)
        if options.get("toolchain") == _UV:
            environ = {
                **os.environ,
                "UV_PROJECT_ENVIRONMENT": str(root / (options.get("virtualenv") or _of_uv(root))),
            }
            yield from _streamed([_UV, "sync"], root, context, environ)
            return
        try:
            python = interpreter(options, root)
        except MissingVirtualenvError:
            folder = root / str(options["virtualenv"])
            yield from _streamed([sys.executable, "-m", "venv", str(folder)], root, context)
            python = interpreter(options, root)
        except ValueError as error:
            context.abort(grpc.StatusCode.UNIMPLEMENTED, str(error))
            return
        if not (root / "requirements.txt").is_file():
            yield _pb.InstallDependenciesResponse(
                stdout=b"There is no requirements.txt: nothing to install.\n"
            )
            return
        command = [
            str(python),
            "-m",
            "pip",
            "install",
            "--disable-pip-version-check",
            "-r",
            "requirements.txt",
        ]
        yield from _streamed(command, root, context, program_environment(python, os.environ))
        yield _pb.InstallDependenciesResponse(stdout=b"Finished installing dependencies\n")

    def Run(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        info = request.info
        try:
            python = interpreter(_options(info), Path(info.root_directory))
        except (MissingVirtualenvError, ValueError) as error:
            return _pb.RunResponse(error=str(error))
        arguments = {
            "monitor": request.monitor_address,
            "engine": self._engine,
            "project": request.project,
            "root_directory": info.root_directory,
            "stack": request.stack,
            "pwd": request.pwd,
            "dry_run": str(request.dryRun).lower(),
            "parallel": str(request.parallel),
            "organization": request.organization,
        }
        command = [str(python), "-u", str(_PROGRAM), str(os.getpid())]
        for name, value in arguments.items():
            command += [f"--{name}", value] if value else []
        environ = program_environment(python, os.environ)
        environ["PULUMI_CONFIG"] = json.dumps(dict(request.config))
        environ["PULUMI_CONFIG_SECRET_KEYS"] = json.dumps(list(request.configSecretKeys))
        with self._lock:
            if self._ending:
                return _pb.RunResponse(error="the run was cancelled")
            self._program = subprocess.Popen(
                [*command, info.entry_point, *request.args],
                cwd=info.program_directory or None,
                env=environ,
                stdin=subprocess.DEVNULL,
            )
        code = self._program.wait()
        if code == 0:
            return _pb.RunResponse()
        if code == _BAIL:
            return _pb.RunResponse(bail=True)
        return _pb.RunResponse(error=f"Program exited with {_summary(code)}")

    def RunPlugin(self, request: Any, context: Any) -> Iterator[Any]:  # noqa: N802
        """Runs a plugin, such as a component package, until the engine cancels; streams its output."""
        info = request.info
        python = _interpreter_or_abort(info, context)
        with self._lock:
            process = subprocess.Popen(
                [str(python), "-u", info.program_directory, *request.args],
                cwd=request.pwd or None,
                env=program_environment(
                    python, dict(one.partition("=")[::2] for one in request.env) or os.environ
                ),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            self._plugins.append(process)
        context.add_callback(process.terminate)
        for name, line in _lines(process):
            yield _pb.RunPluginResponse(**{name: line})
        yield _pb.RunPluginResponse(exitcode=process.wait())

    def Cancel(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        """Asks the program to stop, as Ctrl-C does; the engine then ends gracefully."""
        with self._lock:
            if self._program is not None and self._program.poll() is None:
                self._program.send_signal(signal.SIGINT)
        return empty_pb2.Empty()

    def end_program(self) -> None:
        """Ends the program, by force after 3 s, and the plugins; starts no other."""
        with self._lock:
            self._ending = True
            program = self._program
        for plugin in self._plugins:
            plugin.terminate()
        if program is None or program.poll() is not None:
            return
        program.terminate()
        try:
            program.wait(_GRACE)
        except subprocess.TimeoutExpired:
            program.kill()


def main() -> None:
    """Serves the engine that started this process, and ends with it, however it ends."""
    # The engine starts its plugins in a group of their own, which Ctrl-C at a terminal does not
    # reach: with either signal the engine asks the plugin to end, and waits 5 s for that.
    ended = processes.until_notified(os.getppid())
    addresses = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
    host = LanguageHost(addresses[0] if addresses else "")
    server = grpc.server(
        futures.ThreadPoolExecutor(8),
        options=[("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)],
    )
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(host, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    ended()
    host.end_program()
    # The engine has gone: gRPC's remaining threads must not keep the process alive.
    os._exit(0)


def _options(info: Any) -> dict[str, Any]:
    return dict(info.options) if info is not None else {}


def _interpreter_or_abort(info: Any, context: Any) -> Path:
    try:
        return interpreter(_options(info), Path(info.root_directory))
    except (MissingVirtualenvError, ValueError) as error:
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))
        raise


def _streamed(
    command: list[str], folder: Path, context: Any, environ: Mapping[str, str] | None = None
) -> Iterator[Any]:
    """Runs a command and yields its output as it comes; aborts the call if it fails."""
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    for name, line in _lines(process):
        yield _pb.InstallDependenciesResponse(**{name: line})
    if code := process.wait():
        context.abort(grpc.StatusCode.INTERNAL, f"{' '.join(command)} ended with {_summary(code)}")


def _lines(process: subprocess.Popen[bytes]) -> Iterator[tuple[str, bytes]]:
    """A process's output as it comes: `stdout` or `stderr`, and a line. The process ends with this iterator."""
    lines: queue.Queue[tuple[str, bytes]] = queue.Queue()
    readers = [
        threading.Thread(target=_read, args=(lines, name, pipe), daemon=True)
        for name, pipe in (("stdout", process.stdout), ("stderr", process.stderr))
    ]
    for reader in readers:
        reader.start()
    open_pipes = len(readers)
    try:
        while open_pipes:
            name, line = lines.get()
            if line:
                yield name, line
            else:
                open_pipes -= 1
        process.wait()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def _read(lines: queue.Queue[tuple[str, bytes]], name: str, pipe: IO[bytes] | None) -> None:
    with pipe or open(os.devnull, "rb") as source:  # noqa: PTH123 - never None: a pipe was asked for
        for line in source:
            lines.put((name, line))
    lines.put((name, b""))


def _summary(code: int) -> str:
    return f"exit code {code}" if code > 0 else f"signal {signal.Signals(-code).name}"
