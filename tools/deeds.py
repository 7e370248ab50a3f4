"""`python -m tools.deeds`: checks that `docs/reference/permissions.md` lists, between two markers, the permissions that
the tests verify.

`--write` updates the page; without it, exit 1 reports a difference.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

from localaws.paths import ROOT
from tests.permissions import deeds
from tests.permissions.deeds import Deed
from tools.generated import in_step

PAGE = ROOT / "docs" / "reference" / "permissions.md"
MARKERS = ("<!-- deeds:begin -->", "<!-- deeds:end -->")
_GROUPS = {
    "The ledger": deeds.LEDGER_DEEDS,
    "Functions": deeds.FUNCTION_DEEDS,
    "Parameters": deeds.PARAMETER_DEEDS,
    "The archive and the state": deeds.BUCKET_DEEDS,
    "Tables": deeds.TABLE_DEEDS,
    "APIs": deeds.API_DEEDS,
    "Roles": deeds.IDENTITY_DEEDS,
    "Keys": deeds.KEY_DEEDS,
}
_ROLES = {
    deeds.DEPLOYER: "dep.",
    deeds.ROLLBACK: "roll.",
    deeds.APPROVER: "appr.",
    deeds.RESTORE: "rest.",
    deeds.GLASS: "glass",
    deeds.DRILL: "drill",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0 up to date (or written), 1 not."""
    return in_step(
        arguments,
        module="tools.deeds",
        page=PAGE,
        markers=MARKERS,
        content=reference,
        what="the permissions in tests/permissions/deeds.py",
    )


def reference() -> str:
    """A Markdown table for each kind of resource, then what no role may do, whatever its policies."""
    return "\n".join([*_allowed(), *_denied()]) + "\n"


def _allowed() -> Iterator[str]:
    for title, rows in _GROUPS.items():
        yield f"### {title}\n"
        yield f"| may | actions | {' | '.join(_ROLES.values())} |"
        yield f"|---|---|{':-:|' * len(_ROLES)}"
        for deed in rows:
            if deed.may:
                marks = " | ".join("✓" if role in deed.may else "" for role in _ROLES)
                yield f"| {deed.what} | {_actions(deed)} | {marks} |"
        yield ""


def _denied() -> Iterator[str]:
    yield "### What the boundary denies to every role\n"
    yield "| nobody may | actions |"
    yield "|---|---|"
    found: dict[str, list[str]] = {}
    for deed in (deed for rows in _GROUPS.values() for deed in rows if deed.never):
        found.setdefault(_actions(deed), []).append(deed.what)
    yield from (f"| {'; '.join(whats)} | {actions} |" for actions, whats in found.items())


def _actions(deed: Deed) -> str:
    """`dynamodb:` `GetItem`, `Query`."""
    service, _, _ = deed.actions[0].partition(":")
    names = (action.partition(":")[2] for action in deed.actions)
    return f"`{service}:` {', '.join(f'`{name}`' for name in names)}"


if __name__ == "__main__":
    sys.exit(main())
