"""What end-to-end tests ask of AWS under a role, as the emulator has judged it, and the file that keeps it.

Every emulator of theirs writes down each call that it judges (`localaws.emulator.calls`). `permissions/asked.jsonl`
holds them in shapes, one a line: what differs from run to run, or from environment to environment, is a word in
angle brackets. `permissions/test_permissions.py` puts the shapes to another judge of IAM policies, in seconds; at
the end of a run of all end-to-end tests `tests/conftest.py` says whether the file is what they ask now. `make test`
runs some of them, so that it says what is new in the file; only `make soak`, which runs all, says what is gone.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Nothing but the standard library is imported before it is needed: `tests/conftest.py` is read with the smoke tests
# as well, in checkouts and on machines that have nothing else.
ROOT = Path(__file__).parents[1]
# Where this run's emulators write; each test process inherits it.
FOLDER = "ROLLBACK_TESTS_ASKED"
FILE = ROOT / "tests" / "permissions" / "asked.jsonl"
# Where a run leaves what the file should hold, if it holds something else.
RENEWED = ROOT / ".local" / FILE.name
ALLOWED, DENIED = "allowed", "denied"
_E2E = ROOT / "tests" / "e2e"
_ROLE = re.compile(r"bbws-access-([a-z]+)-([a-z-]+)-role")
_ROLES = {"github-actions": "deployer"}
_LEADING_KEYS = "dynamodb:LeadingKeys"
# Of these the emulator names a bus, and AWS takes no resource (Service Authorization Reference, Amazon EventBridge).
_ON_EVERYTHING = frozenset({"events:ListRules", "events:ListTargetsByRule"})
_SHAPES = (
    (re.compile(r"\b[0-7][0-9A-HJKMNP-TV-Z]{25}\b"), "<ulid>"),
    # End-to-end tests have one key only, of the stack's secrets; it is called as `permissions/deeds.py` calls it.
    (re.compile(r"(?<=:key/)[0-9a-f-]{36}"), "<env>-state"),
    (re.compile(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"), "<uuid>"),
    (re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z"), "<time>"),
    (re.compile(r"(?<=-restore-)(?!role\b)[0-9A-Za-z-]+"), "<copy>"),
    (re.compile(r"(?<=/backup/)[0-9A-Za-z-]+"), "<backup>"),
    (re.compile(r"(?<=/restapis/)[0-9a-z]+"), "<api>"),
    (re.compile(r"(?<=/apis/)[0-9a-z]+"), "<api>"),
    (re.compile(r"(?<=%2Frestapis%2F)[0-9a-z]+"), "<api>"),
    (re.compile(r"(?<=-functions-)\d+"), "<number>"),
    (re.compile(r"(?<=/SEQ-)\d{10}-[0-9a-f]{64}"), "<number>"),
    (re.compile(r"(?<=-role/)[^/]+(?=/)"), "<person>"),
    (re.compile(r"\d{10,}"), "<number>"),
    (re.compile(r"(?<=^ROLLBACK#).+|(?<=^DEPLOYMENT#).+|(?<=^APPROVAL#).+"), "<ulid>"),
)


@dataclass(frozen=True, slots=True, order=True)
class Call:
    """One kind of call. `role` is a word of `naming`; `keys` are the condition keys that it carried, `key=value`
    each; `verdict` is `allowed`, `denied`, or `denied by` the Sid of a denial.
    """

    role: str
    action: str
    resource: str
    keys: tuple[str, ...]
    verdict: str

    @property
    def question(self) -> tuple[str, ...]:
        """What was asked, without the answer."""
        return (self.role, self.action, self.resource, *self.keys)

    @property
    def like(self) -> tuple[str, ...]:
        """Who did what, and whether they might; to whatever."""
        return (self.role, self.action, self.verdict)

    @property
    def about(self) -> tuple[str, ...]:
        """All but the keys."""
        return (self.role, self.action, self.resource, self.verdict)


def begin() -> Path:
    """Begins a run: from now on emulators write down what they judge."""
    place = tempfile.mkdtemp(prefix="asked-")
    os.environ[FOLDER] = place
    return Path(place)


def folder() -> Path | None:
    """Where an emulator of end-to-end tests is to write; None outside a run."""
    return Path(os.environ[FOLDER]) if FOLDER in os.environ else None


def whole(arguments: Sequence[str], root: Path) -> bool:
    """Whether files and folders on pytest's command line take in all end-to-end tests."""
    return any(_E2E.is_relative_to((root / argument).resolve()) for argument in arguments)


def shapes(place: Path) -> set[Call]:
    """What emulators have written in a folder."""
    catalogue = re.compile(rf"(?<=-lambda-)({'|'.join(_catalogue())})(?![a-z-])")
    lines = (line for path in place.glob("*.jsonl") for line in path.read_text(encoding="utf-8").splitlines())
    found = (_shape(json.loads(line), catalogue) for line in set(lines))
    return {call for call in found if call is not None}


def kept() -> set[Call]:
    """What the file holds."""
    lines = FILE.read_text(encoding="utf-8").splitlines()
    return {
        Call(role, action, resource, tuple(keys), verdict)
        for role, action, resource, keys, verdict in map(json.loads, lines)
    }


def write(calls: Iterable[Call], path: Path) -> None:
    """Writes a file that `kept` reads."""
    path.parent.mkdir(exist_ok=True)
    lines = (
        json.dumps([call.role, call.action, call.resource, list(call.keys), call.verdict])
        for call in sorted(calls)
    )
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def differences(now: set[Call], *, all_ran: bool) -> list[str]:
    """In what the file is out of date, in lines to be shown; then the file as it should be is left in `RENEWED`.

    A call that is known with other keys is not new, and what nobody asked for any more counts as gone only if all
    ran and nobody did the like to anything: some calls come up only where two processes meet.
    """
    known = kept()
    before, still = {call.about for call in known}, {call.like for call in now}
    gone = {call for call in known if call.like not in still} if all_ran else set()
    new = {call for call in now if call.about not in before}
    if not new and not gone:
        return []
    write(now | known - gone, RENEWED)
    return [
        *(f"+ {_call_line(call)}" for call in sorted(new)),
        *(f"- {_call_line(call)}" for call in sorted(gone)),
        f"If that is meant: cp {RENEWED.relative_to(ROOT)} {FILE.relative_to(ROOT)}",
    ]


def _call_line(call: Call) -> str:
    return " ".join((call.role, call.action, call.resource, *call.keys, call.verdict))


def _shape(line: Sequence[Any], catalogue: re.Pattern[str]) -> Call | None:
    role, account, region, action, resource, keys, decision, sid = line
    named = _ROLE.fullmatch(role)
    # A test's own role, or its own denial: neither is declared.
    if named is None or (decision == "Deny" and not sid):
        return None
    environment, expected = named.groups()
    resource = "*" if action in _ON_EVERYTHING else resource

    def shaped(text: str) -> str:
        text = text.replace(account, "<account>").replace(region, "<region>")
        text = catalogue.sub("<function>", text)
        text = re.sub(r"(?<=<function>:)\d+", "<version>", text)
        for pattern, shape in _SHAPES:
            text = pattern.sub(shape, text)
        return re.sub(rf"(?<![a-z]){environment}(?![a-z])", "<env>", text)

    ledger = "-ddb-deployments" in resource
    values = sorted(
        {
            f"{key}={shaped(value)}"
            for key, values in keys
            # Of other tables no role is told which items it may touch.
            if key != _LEADING_KEYS or ledger
            for value in values
        }
    )
    verdict = ALLOWED if decision == "Allow" else f"{DENIED} by {sid}" if sid else DENIED
    return Call(_ROLES.get(expected, expected), action, shaped(resource), tuple(values), verdict)


def _catalogue() -> list[str]:
    """The functions that tests have, longest first."""
    from rollback.config.settings import environments, load  # noqa: PLC0415 - see above
    from tests.e2e.estate_under_test import FUNCTIONS  # noqa: PLC0415

    every = [load(ROOT, environment).services.values() for environment in environments(ROOT)]
    tails = {tail for services in every for functions in services for tail in functions}
    return sorted(tails | set(FUNCTIONS), key=len, reverse=True)
