"""Whether all callers invoke the functions through their alias: a rollback only affects that traffic."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from rollback.aws import invokers
from rollback.aws.account import Clients
from rollback.lifecycle.context import Session
from rollback.model.bypass import Bypass, bypasses
from rollback.model.record import Check
from rollback.util.canonical import plain


@dataclass(frozen=True, kw_only=True, slots=True)
class Traffic:
    """What invokes functions without their alias, and texts about what could not be checked."""

    bypasses: tuple[Bypass, ...]
    unlooked: tuple[str, ...] = ()

    @property
    def lines(self) -> tuple[str, ...]:
        """Both, one sentence each."""
        return (*map(str, self.bypasses), *(f"not checked: {why}" for why in self.unlooked))

    def document(self) -> dict[str, Any]:
        """As JSON: `{"bypasses": [{"kind", "source", "function", "qualifier"}], "not_checked": [text]}`; `not_looked_at` is
        the former name of the latter.
        """
        unlooked = list(self.unlooked)
        return {"bypasses": plain(self.bypasses), "not_checked": unlooked, "not_looked_at": unlooked}


def look(account: Clients, functions: Collection[str], region: str, account_id: str) -> Traffic:
    """Reads, with the caller's permissions, what invokes `functions`; takes seconds. Raises as `invokers.read` does."""
    read = invokers.read(account, functions)
    return Traffic(
        bypasses=bypasses(read.references, set(functions), region, account_id), unlooked=read.unlooked
    )


def of(session: Session) -> Traffic:
    """The traffic of an environment's catalogue."""
    settings = session.settings
    return look(session.account, settings.catalogue(), settings.region, settings.account)


def check(traffic: Traffic, alias: str) -> Check:
    """The check for `verify`. What could not be checked is named, but does not fail it."""
    if not traffic.lines:
        return Check(check="traffic", ok=True, detail=f"everything that was found goes through alias {alias}")
    return Check(check="traffic", ok=not traffic.bypasses, detail="; ".join(traffic.lines))


def remedy(bypass: Bypass, alias: str) -> str:
    """What to change."""
    return f"change it to invoke {bypass.function}:{alias}, and deploy the change"
