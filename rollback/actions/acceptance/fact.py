"""Facts about AWS that this tool relies on, and what came of trying them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from rollback.actions.acceptance.sandbox import Left, Sandbox


class Outcome(StrEnum):
    """What came of trying a fact. The last three say nothing about it."""

    HOLDS = "holds"
    DIFFERS = "does not hold"
    SKIPPED = "not tried"  # it cannot be tried here, no matter who asks
    DENIED = "not allowed"  # the caller lacks a permission that it takes
    FAILED = "failed"  # an answer that has nothing to do with the fact


class Differs(Exception):
    """The account behaves otherwise than the fact says; the text says how."""


class Skipped(Exception):
    """The fact cannot be tried here; the text says why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fact:
    """One fact. `says` is what holds and `why` what relies on it, a sentence each; `source` is an address of AWS's
    documentation.

    `tried` returns what was measured, in words, where the fact holds. It raises `Differs`, `Skipped`, or botocore's
    `ClientError` for an answer that it did not ask for.
    """

    name: str
    says: str
    why: str
    source: str
    tried: Callable[[Sandbox], str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """What came of a fact. `seconds` is how long it took, with what had to be made for it."""

    fact: Fact
    outcome: Outcome
    detail: str
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """All findings of one run. `removed` names what earlier runs had left and this one has removed; `left` is what
    could not be removed; `stopped` says that somebody asked to stop.
    """

    run: str
    environment: str
    account: str
    region: str
    endpoint: str
    findings: Sequence[Finding]
    removed: Sequence[str] = ()
    left: Sequence[Left] = ()
    stopped: bool = False

    def of(self, *outcomes: Outcome) -> list[Finding]:
        """The findings with one of these outcomes."""
        return [finding for finding in self.findings if finding.outcome in outcomes]
