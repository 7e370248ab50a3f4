"""A process that dies: from one request on, nothing that it does leaves it any more."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

WRITES = ("transact_write_items", "update_item", "update_alias", "put_parameter", "delete_function")


class Killed(BaseException):
    """SIGKILL, as far as one process can play it: not to be caught by anything that handles errors."""


@dataclass
class Life:
    """Counts the writes that leave a process; it ends at number `at`, `before` or after it is done.

    A lease's beat is not counted: when it is sent depends on time. `seen` names the writes.
    """

    at: int = 0
    before: bool = True
    seen: list[str] = field(default_factory=list)
    dead: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, name: str) -> bool:
        """Called before a write; true if the process is to die once it has been done."""
        with self._lock:
            if self.dead:
                raise Killed
            self.seen.append(name)
            if len(self.seen) == self.at:
                if self.before:
                    self.dead = True
                    raise Killed
                return True
            return False

    def end(self, dies: bool) -> None:
        if dies:
            self.dead = True
        if self.dead:
            raise Killed


class Client:
    """A boto3 client under a `Life`; reads of a dead process do not leave it either."""

    def __init__(self, client: Any, life: Life) -> None:
        self._client, self._life = client, life

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._client, name)

        def through(*arguments: Any, **request: Any) -> Any:
            if self._life.dead:
                raise Killed
            beat = "SET beat = beat" in str(request.get("UpdateExpression"))
            dies = name in WRITES and not beat and self._life.begin(name)
            answer = call(*arguments, **request)
            self._life.end(dies)
            return answer

        return through
