"""`python -m tools.screens`: checks that `docs/screens/*.svg` show the current `rollback status`; `--write` draws them.

The command's own view draws them from example values here, one picture for each state. Like `picture`'s, they need
no other file.
"""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console

from localaws.paths import ROOT
from rollback.model.advice import advise
from rollback.model.identity import Actor
from rollback.model.record import Approval, Check, Record, Status
from rollback.model.release import Freeze
from rollback.model.situation import (
    FunctionSeen,
    FunctionStatus,
    LeaseSeen,
    Life,
    RecordSeen,
    ReleaseSeen,
    Service,
    ServiceSeen,
    Situation,
)
from rollback.queries.live_status import RunSeen, Watched
from rollback.queries.recovery_options import RecoveryOption
from rollback.queries.status import InfrastructureStatus, Overview
from rollback.views.live_status import LiveScreen
from rollback.views.records import overview_view

PLACE = ROOT / "docs" / "screens"
WIDTH, HEIGHT = 100, 30
# A picture loads nothing from the network.
TEMPLATE = re.sub(r"\s*@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
_ENV, _ACCOUNT, _REGION = "prod", "111122223333", "eu-central-1"
_NEW, _OLD, _OLDEST = "v1.2.0", "v1.1.0", "v1.0.0"
_SERVICES = {
    "orders": ("create", "get", "list", "cancel"),
    "payments": ("charge", "refund", "report"),
    "users": ("create", "get", "update", "delete", "search"),
}
_ALICE = Actor(role="acme-prod-rollback-role", person="alice")
_BOB = Actor(role="acme-prod-approver-role", person="bob")
_ID, _DIGEST = "01KC5Q2V8R7M4XJ9ZB3H6T0WEN", "4be1fc0d9a27c3e8" + "0" * 48
_AT, _BEAT = "2026-11-28T02:14:05.000Z", "2026-11-28T02:14:02.000Z"
_RECORD = Record(
    rollback_id=_ID,
    kind="aliases",
    environment=_ENV,
    from_version=_NEW,
    to_version=_OLD,
    services=tuple(_SERVICES),
    without=(),
    reason="orders raise since v1.2.0",
    initiated_by=_ALICE,
    initiated_at="2026-11-28T02:13:58.000Z",
    status=Status.IN_PROGRESS,
    digest=_DIGEST,
    counts={},
    rto_seconds=300,
    domains=("aliases",),
)


def pictures() -> dict[str, tuple[str, Any]]:
    """File name without its end → the command line, and the view of what it shows."""
    status = f"rollback status --env {_ENV}"
    found = {name: (status, overview_view(view)) for name, view in overviews().items()}
    found["watch"] = (f"{status} --watch", LiveScreen(watched(), 2.0))
    return found


def overviews() -> dict[str, Overview]:
    """An environment in each state: healthy, drift, and so on."""
    lease = LeaseSeen(domain="aliases", owner=_ID, life=Life.RUNNING, holder="alice on laptop", beat_at=_BEAT)
    stopped = replace(lease, life=Life.INTERRUPTED)
    waiting = replace(_RECORD, status=Status.AWAITING_APPROVAL)
    failed = replace(
        _RECORD,
        status=Status.FAILED,
        verification=(Check(check="smoke", ok=False, detail="exit code 1"),),
        completed_at=_AT,
        elapsed_seconds=9.4,
    )
    standby = replace(_RECORD, status=Status.STANDBY, standby_until="2026-11-28T03:00:00.000Z")
    approval = Approval(
        rollback_id=_ID, digest=_DIGEST, by=_BOB, at=_AT, expires_at="2026-11-28T03:14:05.000Z"
    )
    frozen = Freeze(reason="the region has an incident", by=_BOB, at=_AT)
    asked: dict[str, Any] = {"approver": _BOB.role}
    return {
        "healthy": overview(),
        "drift": overview(moved=("orders-get", "orders-list")),
        "running": overview(records=[RecordSeen(record=_RECORD, life=Life.RUNNING)], leases=[lease], done=7),
        "interrupted": overview(
            records=[RecordSeen(record=_RECORD, life=Life.INTERRUPTED)], leases=[stopped], done=7
        ),
        "waiting-for-approval": overview(records=[RecordSeen(record=waiting, **asked)]),
        "failed-verification": overview(
            at=_OLD, records=[RecordSeen(record=failed, **asked)], bad={_OLD, _NEW}
        ),
        "frozen": overview(frozen=frozen),
        "standby": overview(records=[RecordSeen(record=standby, approval=approval, **asked)]),
    }


def overview(
    *,
    at: str = _NEW,
    moved: Sequence[str] = (),
    records: Sequence[RecordSeen] = (),
    leases: Sequence[LeaseSeen] = (),
    frozen: Freeze | None = None,
    bad: set[str] | None = None,
    done: int = 0,
) -> Overview:
    """Release `at` is deployed everywhere, except functions that somebody has `moved` by hand, and those that the
    first record has `done` already. `bad` are quarantined releases.
    """
    older = {_NEW: _OLD, _OLD: _OLDEST}[at]
    good = next(version for version in (at, _OLD, _OLDEST) if version not in (bad or ()))
    names = [f"{service}-{entry}" for service, entries in _SERVICES.items() for entry in entries]
    functions = {
        name: FunctionStatus(
            function=f"acme-prod-lambda-{name}",
            service=name.partition("-")[0],
            version=str(number + 3 - (name in moved or number < done)),
            weights={},
            expected=str(number + 3),
            release=at,
            moved_by=_ID if number < done else "",
        )
        for number, name in enumerate(names)
    }
    services = tuple(
        Service(
            name=service,
            stands=at,
            previous=older if good == at else good,
            functions=tuple(one for one in functions.values() if one.service == service),
            quarantined=tuple(sorted((bad or set()) - {at})),
        )
        for service in _SERVICES
    )
    found = advise(
        Situation(
            environment=_ENV,
            person=_ALICE.person,
            frozen=frozen,
            leases=tuple(leases),
            records=tuple(records),
            services=tuple(
                ServiceSeen(
                    name=service.name,
                    deployed=at,
                    good=good,
                    older=older if good == at else None,
                    functions=tuple(
                        FunctionSeen(
                            name=one.function,
                            version=one.version,
                            drifted=not one.ok,
                            release=at,
                            releases=frozenset({at} if one.ok else {older}),
                        )
                        for one in service.functions
                    ),
                )
                for service in services
            ),
            releases=tuple(
                ReleaseSeen(version=version, commit="9f2c51" + "0" * 34, age=720.0 * (place + 1))
                for place, version in enumerate((_NEW, _OLD, _OLDEST))
            ),
            bad=frozenset((service, version) for service in _SERVICES for version in bad or ()),
        )
    )
    calm = frozen is None and not any(each.steps for each in found)
    return Overview(
        at=_AT,
        environment=_ENV,
        account=_ACCOUNT,
        region=_REGION,
        stands=at,
        services=services,
        infrastructure=(
            InfrastructureStatus(
                name="stack", stands="9f2c51" + "0" * 34, says="Price orders by the hour", quarantined=()
            ),
            InfrastructureStatus(name="terraform", stands=None, says="", quarantined=()),
        ),
        in_flight=tuple(records),
        holders={
            lease.domain: {
                "owner": lease.owner,
                "holder": {"person": "alice", "host": "laptop"},
                "beat_at": lease.beat_at,
            }
            for lease in leases
        },
        strangers=(),
        exact=True,
        advice=found,
        ways=tuple(_ways(records, older)) if calm else (),
        frozen=frozen,
    )


def _ways(records: Sequence[RecordSeen], older: str) -> Iterator[RecoveryOption]:
    usual: dict[str, Any] = {"to": older, "about": 1.3, "last": None, "rto_seconds": 300}
    if records:
        yield RecoveryOption(
            kind="standby", command=f'rollback standby take --env {_ENV} --reason "…"', **usual
        )
    yield RecoveryOption(kind="aliases", command=f'rollback lambda --env {_ENV} --reason "…"', **usual)


def watched() -> Watched:
    """The running rollback, as `--watch` shows it."""
    view = overviews()["running"]
    steps = [status for service in view.services for status in service.functions]
    outcomes = tuple(
        {
            "name": status.function,
            "service": status.service,
            "from": str(status.expected),
            "to": str(int(status.expected or 0) - 1),
            "outcome": "moved" if status.moved_by else "untouched",
        }
        for status in steps
    )
    moved = sum(bool(status.moved_by) for status in steps)
    return Watched(
        environment=_ENV,
        account=_ACCOUNT,
        region=_REGION,
        at=_AT,
        stands=view.stands,
        advice=view.advice,
        leases=(
            LeaseSeen(
                domain="aliases", owner=_ID, life=Life.RUNNING, holder="alice on laptop", beat_at=_BEAT
            ),
        ),
        in_flight=view.in_flight,
        runs=(
            RunSeen(
                seen=view.in_flight[0],
                outcomes=outcomes,
                counts={"planned": len(steps), "moved": moved, "confirmed": 0, "failed": 0, "reverted": 0},
            ),
        ),
        functions=view,
        busy=True,
    )


def drawn(name: str, command: str, view: Any) -> str:
    """A picture as SVG: the same for the same view."""
    console = Console(
        file=io.StringIO(),
        record=True,
        width=WIDTH,
        height=HEIGHT,
        force_terminal=True,
        color_system="truecolor",
        highlight=False,
        markup=False,
        emoji=False,
        legacy_windows=False,
    )
    console.print(view, crop=False)
    return console.export_svg(title=command, code_format=TEMPLATE, unique_id=name)


def main(arguments: Sequence[str]) -> int:
    """0 if the pictures are up to date or were drawn, 1 if not."""
    stale = False
    for name, (command, view) in pictures().items():
        page, text = PLACE / f"{name}.svg", drawn(name, command, view)
        if "--write" in arguments:
            PLACE.mkdir(exist_ok=True)
            page.write_text(text, encoding="utf-8")
        elif not page.is_file() or page.read_text(encoding="utf-8") != text:
            stale = True
            print(f"{page} is out of date. Run: python -m tools.screens --write")
    return int(stale)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
