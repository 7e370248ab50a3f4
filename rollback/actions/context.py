"""The session of one operation: settings, account, ledger, leases, clocks and notifier of one environment."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rollback import targets
from rollback.actions import approval
from rollback.aws.account import Account, caller_account, connect
from rollback.config import settings as settings_module
from rollback.config.naming import APPROVER
from rollback.config.settings import Settings
from rollback.core.clocks import Clocks
from rollback.core.errors import Code, RollbackError, UsageError
from rollback.integrations import event_bus, slack
from rollback.integrations.slack import Notifier
from rollback.ledger.audit_bucket import Archive
from rollback.ledger.health import LedgerWatch
from rollback.ledger.lease import Leases
from rollback.ledger.repository import Ledger
from rollback.ledger.store import LedgerTable
from rollback.model.identity import Actor
from rollback.model.record import WAITING, Check, Record, Status, now_iso
from rollback.model.situation import Life, Policy, RecordSeen
from rollback.targets.base import Context, Target


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, kw_only=True)
class Session:
    """One environment, as one caller sees it. `root` is the checkout whose settings count."""

    root: Path
    settings: Settings
    account: Account
    ledger: Ledger
    leases: Leases
    clocks: Clocks
    now: Callable[[], datetime] = _utc_now
    # A file's text as a branch has it: of (root, branch, name).
    on_branch: Callable[[Path, str, str], str | None] = approval.on_branch
    # What targets leave to be cleared away when the verb ends.
    closing: ExitStack = field(default_factory=ExitStack)
    # `HOST:PID` of a holder of an engine's lock that a person says is dead.
    confirm_dead: str = ""
    # Looks whether the ledger is the one that it was.
    watch: LedgerWatch | None = None
    # Posts to the team's Slack; None where none is configured.
    notifier: Notifier | None = None
    # What proves a kind healthy, where that is not the team's smoke command (`smoke_test.smoke`).
    prove: Callable[[str], tuple[Check, str] | None] | None = None
    # What went wrong beside the operation, a sentence each.
    notices: list[str] = field(default_factory=list)
    # Frames what takes long, by its name.
    working: Callable[[str], AbstractContextManager[object]] = nullcontext

    def notify(self, record: Record) -> None:
        """Passes a record that has begun, changed or ended to the notifier, and its end to the event bus."""
        if self.notifier is not None:
            self.notifier.notify(self.seen(record))
        if untold := event_bus.told(self.account, record):
            self.notices.append(untold)

    def seen(self, record: Record) -> RecordSeen:
        """A record of which only what is stored with it is known, and what the environment asks for. Where the
        protected branch's settings cannot be compared, that is what is asked for here.
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
        """What is wrong with the ledger as a whole, as far as it was looked at."""
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

    Without a name it is the one environment whose account the caller's credentials belong to. `notice` gets what
    went wrong beside the rollback. Raises `UsageError` or `Refused` as `settings.load` and `account.connect` do.
    """
    root = settings_module.find_root(start or Path.cwd())
    name = _callers_environment(root) if environment is None else environment
    settings = settings_module.load(root, name)
    account = connect(settings)
    return session_of(root, account, slack.notifier(account, notice))


def session_of(root: Path, account: Account, notifier: Notifier | None, *, confirm_dead: str = "") -> Session:
    """A session of who has `account`, who has read nothing yet."""
    settings = account.settings
    table = LedgerTable(account.dynamodb, settings.names.deployments_table)
    ledger = Ledger(table, settings.environment, _archive(account))

    def now() -> datetime:
        # By AWS's clock: a table goes back to a second that a record tells, and an approval ends at one.
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
    """What is kept beside the ledger. It gives up soon: nobody waits for it on a bad day."""
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
        raise UsageError("No environment is configured here.", code=Code.UNKNOWN_ENVIRONMENT)
    account = caller_account(everything[0].region)
    own = [settings.environment for settings in everything if settings.account == account]
    if len(own) != 1:
        raise UsageError(
            f"Account {account} is that of {' and '.join(own) or 'no environment'}.",
            code=Code.UNKNOWN_ENVIRONMENT,
            next="Name the environment with --env.",
        )
    return own[0]
