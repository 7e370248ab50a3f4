"""The interface by which a rollback shows its progress to a person and asks them; `views.terminal` implements
it.
"""

from __future__ import annotations

from typing import Any, Protocol

from rollback.model.plan import Plan


class Ui(Protocol):
    """A person, or nobody. `start`, `progress` and `finish` frame long work of `total` steps, or of
    a length nobody knows where `total` is 0.
    """

    def planned(self, plan: Plan[Any]) -> None: ...
    def notice(self, text: str) -> None: ...
    def waiting(self, why: str, seconds: float) -> None: ...
    def start(self, what: str, total: int) -> None: ...
    def progress(self, done: int) -> None: ...
    def finish(self) -> None: ...
    def output(self, text: str) -> None: ...
    def confirm(self, question: str) -> bool | None:
        """Yes, no, or None where nobody can be asked."""
