"""The session of one operation: settings, account, ledger, leases, clocks and notifier of one environment."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

from rollback import targets
from rollback.aws.account import Account, caller_account, connect, login_named
from rollback.config import settings as settings_module
from rollback.config.naming import APPROVER
from rollback.config.settings import Settings
from rollback.ledger.audit_bucket import Archive
from rollback.ledger.health import LedgerWatch
from rollback.ledger.lease import Leases
from rollback.ledger.repository import Ledger
from rollback.ledger.store import LedgerTable
from rollback.lifecycle import approval
from rollback.model.identity import Actor
from rollback.model.record import WAITING, Check, Record, Status, now_iso
from rollback.model.situation import Life, Policy, RecordSeen
from rollback.model.taking import login
from rollback.rooms import hooked
from rollback.targets.base import Context, Target
from rollback.util.clocks import Clocks
from rollback.util.errors import Code, RollbackError, UsageError


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Notifier(Protocol):
    """Sends messages about records; never raises, and never delays a rollback."""

    def notify(self, seen: RecordSeen) -> None:
        """Queues the message of a record that began, changed or ended."""

    def place(self, record: Record) -> str:
        """The id of a record's message; empty if none was posted."""

    def close(self) -> None:
        """Waits a few seconds for queued messages."""


@dataclass(frozen=True, kw_only=True)
class Session:
    """One environment and one caller. `root` is the checkout with its settings."""

    root: Path
    settings: Settings
    account: Account
    ledger: Ledger
    leases: Leases
    clocks: Clocks
    now: Callable[[], datetime] = _utc_now
    # Reads a file of a branch: (root, branch, name) → text.
    on_branch: Callable[[Path, str, str], str | None] = approval.on_branch
    # Cleanup that targets register for the end of the verb.
    closing: ExitStack = field(default_factory=ExitStack)
    # `HOST:PID` of the holder of an engine's lock, confirmed dead by a person.
    confirm_dead: str = ""
    # Checks that the table has not lost entries.
    watch: LedgerWatch | None = None
    # Posts messages; None where that is not configured.
    notifier: Notifier | None = None
    # Replaces the configured smoke command (`smoke_test.smoke`).
    prove: Callable[[str], tuple[Check, str] | None] | None = None
    # Problems that do not stop the operation, one sentence each.
    notices: list[str] = field(default_factory=list)
    # Shows long work by its name.
    working: Callable[[str], AbstractContextManager[object]] = nullcontext

    def notify(self, record: Record) -> None:
        """Sends a record that began, changed or ended to the notifier, and its end to the event bus."""
        if self.notifier is not None:
            self.notifier.notify(self.seen(record))
        for tell in hooked("ended"):
            if untold := tell(self.account, record):
                self.notices.append(untold)

    def seen(self, record: Record) -> RecordSeen:
        """A record with what is stored in it, and the approval that the environment requires. Where the
        protected branch's settings cannot be compared, this checkout's requirement counts.
        """
        required: Policy = "identity"
        if record.status in WAITING:
            try:
                required = self.policy_of(record)
            except RollbackError:
                required = approval.policy(self.settings, record.kind, below=bool(record.below))
        approver = self.settings.called(APPROVER)
        life = Life.RUNNING if record.status is Status.IN_PROGRESS else Life.FREE
        return RecordSeen(record=record, life=life, required=required, approver=approver)

    @property
    def caller(self) -> Actor:
        return self.account.caller

    @property
    def environment(self) -> str:
        return self.settings.environment

    @property
    def alarms(self) -> tuple[str, ...]:
        """Problems of the ledger as a whole, as far as it was checked."""
        return tuple(self.watch.notices) if self.watch is not None else ()

    def watch_first(self, *, strict: bool) -> None:
        """Checks that the table has not lost entries. Raises `LostEntries` if `strict`; else see `alarms`."""
        if self.watch is not None:
            self.watch.strict = strict
            self.watch.look_at_the_head()

    def policy(self, kind: str, *, below: bool = False) -> Policy:
        """Which approval a kind of rollback needs; `below`, and raises, as `approval.binding_policy`."""
        return approval.binding_policy(self.root, self.settings, kind, self.on_branch, below=below)

    def policy_of(self, record: Record) -> Policy:
        """Which approval a record needs. Raises as `policy` does."""
        return self.policy(record.kind, below=bool(record.below))

    @property
    def context(self) -> Context:
        """What targets are made from."""
        return Context(
            account=self.account,
            ledger=self.ledger,
            root=self.root,
            clocks=self.clocks,
            closing=self.closing,
            confirm_dead=self.confirm_dead,
            working=self.working,
        )

    def target(self, kind: str) -> Target:
        return targets.make(kind, self.context)


def begin(
    environment: str | None, start: Path | None = None, *, notice: Callable[[str], None] = lambda _: None
) -> Session:
    """The session for an environment, found from the folder `start` upwards (default: the current one).

    Without a name it is the environment of the caller's account. `notice` receives problems
    that do not stop the operation. Raises `UsageError` or `Refused` as `settings.load` and `account.connect` do.
    """
    root = settings_module.find_root(start or Path.cwd())
    name = _callers_environment(root) if environment is None else environment
    settings = settings_module.load(root, name)
    with login_named(login(name)):
        account = connect(settings)
    notifiers = [make(account, notice) for make in hooked("notifier")]
    return session_of(root, account, next(iter(notifiers), None))


def session_of(root: Path, account: Account, notifier: Notifier | None, *, confirm_dead: str = "") -> Session:
    """A new session for `account`; nothing is read yet."""
    settings = account.settings
    table = LedgerTable(account.dynamodb, settings.names.deployments_table)
    ledger = Ledger(table, settings.environment, _archive(account))

    def now() -> datetime:
        # AWS's clock: tables are restored to times in records, and approvals expire.
        return _utc_now() - timedelta(seconds=account.ahead)

    clocks = Clocks(now=lambda: now_iso(now()))
    return Session(
        root=root,
        settings=settings,
        account=account,
        ledger=ledger,
        watch=LedgerWatch.over(ledger),
        leases=Leases(
            table=table,
            environment=settings.environment,
            seconds=settings.lease_seconds,
            caller=account.caller,
            clocks=clocks,
        ),
        clocks=clocks,
        now=now,
        confirm_dead=confirm_dead,
        notifier=notifier,
    )


def _archive(account: Account) -> Archive:
    """The ledger's archive, with short timeouts: it must not delay an incident."""
    settings = account.settings
    return Archive(
        lambda: account.client("s3", connect_timeout=3, read_timeout=5, retries={"total_max_attempts": 2}),
        settings.names.audit_bucket(settings.account),
        settings.account,
        account.each,
    )


def _callers_environment(root: Path) -> str:
    everything = [settings_module.load(root, name) for name in settings_module.environments(root)]
    if not everything:
        raise UsageError("No environment is configured in this folder.", code=Code.UNKNOWN_ENVIRONMENT)
    with login_named("\n".join(login(settings.environment) for settings in everything)):
        account = caller_account(everything[0].region)
    own = [settings.environment for settings in everything if settings.account == account]
    if len(own) != 1:
        raise UsageError(
            f"Account {account} belongs to {' and '.join(own) or 'no configured environment'}.",
            code=Code.UNKNOWN_ENVIRONMENT,
            next="Select the environment with --env.",
        )
    return own[0]
