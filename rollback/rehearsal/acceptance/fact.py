"""Facts about AWS that this tool relies on, and the results of testing them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from rollback.rehearsal.acceptance.sandbox import Left, Sandbox


class Outcome(StrEnum):
    """The result of testing a fact. With the last three it is not known whether the fact holds."""

    HOLDS = "holds"
    DIFFERS = "does not hold"
    SKIPPED = "not tried"  # it cannot be tested here by any caller
    DENIED = "not allowed"  # the caller lacks a permission
    FAILED = "failed"  # a response that has nothing to do with the fact


class Differs(Exception):
    """AWS behaves differently from the fact; the text describes the difference."""


class Skipped(Exception):
    """The fact cannot be tested here; the text is the reason."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fact:
    """One fact. `says` states it and `why` what relies on it, one sentence each; `source` is a URL of the AWS
    documentation.

    `tried` tests it and returns a text with the measurement. It raises `Differs`, `Skipped`, or botocore's
    `ClientError` for an unexpected response.
    """

    name: str
    says: str
    why: str
    source: str
    tried: Callable[[Sandbox], str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """The result of one fact. `seconds` is how long it took, including the resources made for it."""

    fact: Fact
    outcome: Outcome
    detail: str
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """All findings of one run. `removed` names resources of earlier runs that were removed; `left` is what
    could not be removed; `stopped` is true after Ctrl-C.
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
