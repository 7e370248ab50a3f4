"""Runs one command and says how long it took and what it needed, on the descriptor that it is given.

    measure.py DESCRIPTOR COMMAND…

A process of its own, and a small one: the kernel reports as a child's peak memory at least what its parent
had when it was started. Only the standard library, few modules of it.
"""

import os
import sys
import time


def main() -> None:
    """Start the command, wait for it, report `{"code", "seconds", "memory"}`, memory in bytes."""
    descriptor, command = int(sys.argv[1]), sys.argv[2:]
    os.set_inheritable(descriptor, False)
    began = time.monotonic()
    pid = os.posix_spawnp(command[0], command, os.environ)
    _, status, usage = os.wait4(pid, 0)
    seconds = time.monotonic() - began
    # getrusage(2): kilobytes on Linux; bytes on macOS.
    memory = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    code = os.waitstatus_to_exitcode(status)
    os.write(descriptor, f'{{"code": {code}, "seconds": {seconds}, "memory": {memory}}}'.encode())


if __name__ == "__main__":
    main()
