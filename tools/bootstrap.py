"""Creates `.venv` from the locked requirements: `python3 tools/bootstrap.py [ROOT]`.

It runs with any `python3`, before anything is installed: with the standard library only, and
with syntax that an old interpreter can parse, so that it can report that it is too old.
pip installs uv from the lock, with its hash, and uv installs the rest: 3 s instead of 40 with pip.
"""

# An old interpreter cannot parse newer forms of pathlib and of types.
# ruff: noqa: PTH100, PTH103, PTH110, PTH118, PTH120, PTH123

import fcntl
import hashlib
import os
import subprocess
import sys
import tempfile
import time
import venv

NEEDED = (3, 11)
LOCK = "requirements-dev.txt"
# Compiled once here, not at each start of a command, for environments that forbid writing
# bytecode; without large packages that are seldom imported.
SELDOM = r"/(pulumi_aws/(?!_|config|dynamodb|iam|lambda_|s3|ssm)|moto|mypy|hypothesis|ministack|mypy_boto3)"


def main() -> int:
    """Exit code 0 if `.venv` is as the lock says, 1 if it could not be created, 2 if Python is too old."""
    if sys.version_info[:2] < NEEDED:
        found, wanted = (".".join(map(str, version[:2])) for version in (sys.version_info, NEEDED))
        sys.stderr.write(
            f"Python {wanted} or newer is needed; {sys.executable} is {found}.\n"
            "Name another one: make venv PYTHON=python3.12\n"
        )
        return 2
    root = os.path.abspath(
        sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), "..")
    )
    folder = os.path.join(root, ".venv")
    os.makedirs(os.path.join(root, ".local"), exist_ok=True)
    with open(os.path.join(root, ".local", "venv.lock"), "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stamp, wanted = os.path.join(folder, ".stamp"), _wanted(root)
        if _read(stamp) == wanted:
            return 0
        try:
            _make(root, folder)
        except subprocess.CalledProcessError as error:
            _notice("")
            sys.stderr.write("\n".join((error.stdout or "").splitlines()[-15:]) + "\n")
            sys.stderr.write(
                "The dependencies could not be installed. Check the network or the index, and try again.\n"
            )
            return 1
        with open(stamp, "w") as handle:
            handle.write(wanted)
    return 0


def _make(root: str, folder: str) -> None:
    begun = time.monotonic()
    python = os.path.join(folder, "bin", "python")
    _notice("making .venv")
    if not os.path.exists(python):
        venv.create(folder, with_pip=True, symlinks=True)
    _notice("making .venv: the installer")
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as only:
        only.write(_section(os.path.join(root, LOCK), "uv"))
        only.flush()
        _run(
            python,
            "-m",
            "pip",
            "install",
            "--disable-pip-version-check",
            "--require-hashes",
            "--no-deps",
            "-r",
            only.name,
        )
    uv = os.path.join(folder, "bin", "uv")
    _notice("making .venv: the locked dependencies")
    _run(uv, "pip", "sync", "--python", python, "--require-hashes", os.path.join(root, LOCK))
    _run(python, "-m", "compileall", "-q", "-j", "0", "-x", SELDOM, os.path.join(folder, "lib"))
    _notice("making .venv: this project")
    _run(uv, "pip", "install", "--python", python, "--no-deps", "--no-build-isolation", "-e", root)
    _notice(f"made .venv in {time.monotonic() - begun:.0f} s")
    if sys.stderr.isatty():
        sys.stderr.write("\n")


def _run(*command: str) -> None:
    # uv must not use an environment that is already active.
    environ = {k: v for k, v in os.environ.items() if k not in ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME")}
    subprocess.run(
        command, check=True, text=True, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def _section(path: str, name: str) -> str:
    """The lines of one package in a compiled requirements file, its hashes included."""
    lines = []
    inside = False
    for line in _read(path).splitlines(True):
        if not line.startswith((" ", "#")):
            inside = line.startswith(name + "==")
        if inside:
            lines.append(line)
    return "".join(lines)


def _wanted(root: str) -> str:
    digest = hashlib.sha256(sys.version.encode())
    for name in (LOCK, "pyproject.toml", "setup.py"):
        digest.update(_read(os.path.join(root, name)).encode())
    # After a checkout was moved, its scripts name the old path.
    digest.update(root.encode())
    return digest.hexdigest()


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as handle:
            return handle.read()
    except OSError:
        return ""


def _notice(message: str) -> None:
    live = sys.stderr.isatty()
    sys.stderr.write(("\r\x1b[K" + message) if live else message and message + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
