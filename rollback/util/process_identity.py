"""Whether a recorded process is still alive.

A process is identified by machine, host, pid and start time: a pid may be reused, and hosts made
from one image may share a name.

The start time is read from /proc and not with psutil: psutil's `create_time()` uses the system clock, and
"may be affected by changes such as manual adjustments or time synchronization"
(https://psutil.readthedocs.io/, Process). After such a change a running process would look dead, and its lock
would be removed. The kernel's counter since boot never changes (`starttime`,
https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html), and is what journals store.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import signal
import socket
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

# For engines, which are written in Go and run for seconds: late garbage collection saves a tenth to a fifth of
# their CPU time, within the memory limit (https://go.dev/doc/gc-guide).
SHORT_LIVED = {"GOGC": "800", "GOMEMLIMIT": "2GiB"}
_MACHINE_ID = Path("/etc/machine-id")


@dataclass(frozen=True, kw_only=True, slots=True)
class Process:
    """A process, as stored in journals; `user` and `host` as in Terraform's locks.

    `space` is its pid namespace: a container has its own, and may share its host's name. `machine` is
    a hash of the machine's own id; empty without one, and in journals of earlier versions.
    """

    user: str
    host: str
    pid: int
    began: str
    space: str = ""
    machine: str = ""

    @classmethod
    def of(cls, pid: int) -> Process:
        """A running process of this machine and user."""
        user = pwd.getpwuid(os.getuid()).pw_name
        return cls(
            user=user, host=here(), pid=pid, began=began(pid), space=_space(), machine=machine(_MACHINE_ID)
        )

    def __str__(self) -> str:
        return f"{self.host}:{self.pid}"

    @property
    def who(self) -> str:
        return f"{self.user}@{self.host}"

    @property
    def is_here(self) -> bool:
        """Whether it was started on this machine, as far as known."""
        own = machine(_MACHINE_ID)
        if self.machine and own and self.machine != own:
            return False
        return (self.host, self.space) == (here(), _space())

    def alive(self) -> bool:
        """Whether it is still running; only for processes of this machine."""
        return alive(self.pid, self.began)

    def end_group(self) -> None:
        """Ends the remaining processes of a dead group leader; its pid cannot be reused before that."""
        if not began(self.pid):
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)


def here() -> str:
    """This machine's name."""
    return socket.gethostname()


def machine(file: Path) -> str:
    """Identifies this machine among others of its name: a hash of the id in `file`; empty without one.

    The id itself "should be considered confidential, and must not be exposed in untrusted environments" (machine-id,
    https://man7.org/linux/man-pages/man5/machine-id.5.html).
    """
    try:
        identifier = file.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""
    # Stored records contain such hashes: do not change the prefix.
    return hashlib.sha256(f"access-rollback {identifier}".encode()).hexdigest()[:16] if identifier else ""


def began(pid: int) -> str:
    """When a process of this machine was started: a text to compare, `<boot id>/<clock ticks since boot>` on
    Linux; empty for a dead or unknown process.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "" if Path("/proc/self/stat").exists() else _asked(pid)
    # The command, in brackets, may contain anything; the fields after the last bracket are fixed.
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] in "ZX" else f"{_boot()}/{fields[19]}"


def alive(pid: int, begun: str) -> bool:
    """Whether `pid` on this machine is still the process started at `begun`."""
    return bool(begun) and began(pid) == begun


def _boot() -> str:
    """The id of the machine's current boot."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def _space() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""


def _asked(pid: int) -> str:
    """`began` for systems without /proc."""
    completed = subprocess.run(
        ["ps", "-o", "stat=", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    state, _, begun = completed.stdout.strip().partition(" ")
    return "" if state.startswith("Z") else begun.strip()
