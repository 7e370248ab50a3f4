"""One acceptance run: removes leftovers of earlier runs, tests each fact, and removes all of its own resources."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from botocore.exceptions import BotoCoreError, ClientError, ConnectionError, HTTPClientError  # noqa: A004 - botocore's

from rollback.aws.account import Account, code, explained
from rollback.rehearsal.acceptance import (
    account_facts,
    function_facts,
    identity_facts,
    removal,
    storage_facts,
)
from rollback.rehearsal.acceptance.fact import (
    Differs,
    Fact,
    Finding,
    Outcome,
    Report,
    Skipped,
)
from rollback.rehearsal.acceptance.names import Resource, SandboxNames
from rollback.rehearsal.acceptance.sandbox import (
    DENIALS,
    Left,
    Sandbox,
    Stopped,
)
from rollback.util.errors import (
    Code,
    Refused,
    RollbackError,
    StoppedAtOnce,
    UsageError,
    VerificationFailed,
)

# A name or an ARN; Lambda checks whether it exists.
_FUNCTION = re.compile(r"[A-Za-z0-9:_-]{1,170}")
FACTS: Sequence[Fact] = (
    *function_facts.FACTS,
    *identity_facts.FACTS,
    *storage_facts.FACTS,
    *account_facts.FACTS,
)


@dataclass(frozen=True, kw_only=True)
class Acceptance:
    """A run. `now` is AWS's time; `stop` is set on Ctrl-C.

    Leftovers of runs older than `older_than` minutes are removed.
    """

    account: Account
    names: SandboxNames
    now: Callable[[], datetime]
    stop: threading.Event
    notice: Callable[[str], None]
    older_than: int
    progress: Callable[[int], None] = lambda _: None
    idle: tuple[str, str] | None = None
    facts: Sequence[Fact] = FACTS

    def run(self) -> Report:
        """Tests every fact. Raises `StoppedAtOnce`, naming all that is left, on a second Ctrl-C, and
        `RollbackError` where AWS does not answer.
        """
        sandbox = Sandbox(
            account=self.account,
            names=self.names,
            now=self.now,
            stop=self.stop,
            notice=self.notice,
            idle=self.idle,
        )
        settings = self.account.settings
        findings: list[Finding] = []
        with explained("looking for resources of earlier runs"):
            removed, left = self._cleared(sandbox)
        try:
            with explained("testing a fact"):
                for finding in self._findings(sandbox):
                    findings.append(finding)
                    self.progress(len(findings))
        except KeyboardInterrupt:
            raise _ended(sandbox, sandbox.made) from None
        except BaseException:
            for one in self._removed(sandbox):
                self.notice("\n".join((f"Not removed: {one.resource}: {one.why}", *one.commands)))
            raise
        left += self._removed(sandbox)
        rest = [
            Finding(fact=fact, outcome=Outcome.SKIPPED, detail="interrupted before")
            for fact in self.facts[len(findings) :]
        ]
        return Report(
            run=self.names.run,
            environment=settings.environment,
            account=settings.account,
            region=settings.region,
            endpoint=str(self.account.lambda_.meta.endpoint_url),
            findings=(*findings, *rest),
            removed=removed,
            left=left,
            stopped=bool(rest),
        )

    def _findings(self, sandbox: Sandbox) -> Iterator[Finding]:
        for fact in self.facts:
            if self.stop.is_set():
                return
            began = time.monotonic()
            try:
                outcome, detail = found(fact, sandbox)
            except Stopped:
                return
            yield Finding(fact=fact, outcome=outcome, detail=detail, seconds=time.monotonic() - began)

    def _cleared(self, sandbox: Sandbox) -> tuple[list[str], list[Left]]:
        """Removes the leftovers of earlier runs; returns what was removed, and what could not be."""
        before = self.now() - timedelta(minutes=self.older_than)
        settings = self.account.settings
        try:
            there = removal.abandoned(sandbox.client, settings, before)
        except ClientError as error:
            self.notice(f"Resources of earlier runs could not be listed: {error}")
            return [], []
        left = removal.remove(sandbox.client, settings, there)
        kept = {one.resource for one in left}
        removed = [str(resource) for resource in there if resource not in kept]
        for name in removed:
            self.notice(f"Removed {name}, left by an earlier run.")
        return removed, left

    def _removed(self, sandbox: Sandbox) -> list[Left]:
        """Removes the run's resources. The first Ctrl-C does not stop it, the second does."""
        try:
            return removal.remove(sandbox.client, self.account.settings, sandbox.made)
        except KeyboardInterrupt:
            raise _ended(sandbox, sandbox.made) from None


def found(fact: Fact, sandbox: Sandbox) -> tuple[Outcome, str]:
    """Tests a fact: the outcome, and a text with the measurement or the error.

    Raises `Stopped`, and botocore's errors where there is no response at all.
    """
    try:
        return Outcome.HOLDS, fact.tried(sandbox)
    except Differs as different:
        return Outcome.DIFFERS, str(different)
    except Skipped as skipped:
        return Outcome.SKIPPED, str(skipped)
    except ClientError as error:
        return (Outcome.DENIED if code(error) in DENIALS else Outcome.FAILED), str(error)
    except (HTTPClientError, ConnectionError):
        raise
    except (TimeoutError, BotoCoreError) as error:
        return Outcome.FAILED, str(error)


def idle_version(text: str) -> tuple[str, str] | None:
    """`FUNCTION:VERSION` as a pair; None for an empty text. Raises `UsageError`."""
    name, _, version = text.rpartition(":")
    if text and not (_FUNCTION.fullmatch(name) and version.isascii() and version.isdigit()):
        raise UsageError(
            f"{text[:120]!a} is not FUNCTION:VERSION.",
            code=Code.OPTION_INVALID,
            next="--idle-version NAME:7, a version whose state is Inactive.",
        )
    return (name, version) if text else None


def judged(report: Report) -> None:
    """Raises what sets the exit code: `VerificationFailed` where a fact failed, `Refused` where the caller lacks
    permissions, `RollbackError` where the run was interrupted, a call failed, or a resource was not removed.
    """
    again = f"rollback acceptance --env {report.environment}"
    changed = _left(report.left) or "All temporary resources were removed."
    if different := report.of(Outcome.DIFFERS):
        raise VerificationFailed(
            f"{len(different)} of {len(report.findings)} facts failed at {report.endpoint}: "
            f"{', '.join(one.fact.name for one in different)}.",
            code=Code.FACT_DIFFERS,
            changed=changed,
            next="Do not roll back in this account until the differences are understood; --json has the documentation of each fact.",
        )
    if report.stopped:
        raise RollbackError(
            "Interrupted before every fact was tested.", code=Code.INTERRUPTED, changed=changed, next=again
        )
    if denied := report.of(Outcome.DENIED):
        raise Refused(
            f"{len(denied)} of {len(report.findings)} facts could not be tested for lack of permissions: "
            f"{', '.join(one.fact.name for one in denied)}.",
            code=Code.ACCESS_DENIED,
            changed=changed,
            next=f"{again} --dry-run  # lists the permissions; an administrator has them, no role of this tool does",
        )
    if failed := report.of(Outcome.FAILED):
        raise RollbackError(
            f"{len(failed)} of {len(report.findings)} facts could not be tested: "
            f"{', '.join(one.fact.name for one in failed)}.",
            code=Code.AWS_ERROR,
            changed=changed,
            next=again,
        )
    if report.left:
        raise RollbackError(
            "All tested facts passed, but some temporary resources could not be removed.",
            code=Code.SANDBOX_LEFT,
            changed=changed,
            next="\n".join(line for one in report.left for line in one.commands),
        )


def _left(left: Sequence[Left]) -> str:
    return f"Not removed: {', '.join(str(one.resource) for one in left)}." if left else ""


def _ended(sandbox: Sandbox, made: Sequence[Resource]) -> StoppedAtOnce:
    settings = sandbox.account.settings
    lines = [line for resource in made for line in removal.commands(settings, resource)]
    return StoppedAtOnce(
        "Stopped at once.",
        code=Code.ENDED,
        changed=f"Possibly not removed: {', '.join(map(str, made))}." if made else "Nothing was created.",
        next="\n".join([f"rollback acceptance --env {settings.environment} --older-than 0", *lines]),
    )
