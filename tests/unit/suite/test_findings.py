"""Every number that the reviews gave to a finding has a test that is marked with it: `pytest -m finding`."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parents[2]
# Of security (S), forgery (G), faults (F), a second emulator (M), workflows and docs (W), strangers (P), data (D) and
# on-call use (U): whose numbers are kept by a test.
NUMBERS = {"A": 9, "B": 15, "S": 20, "G": 10, "F": 8, "M": 5, "W": 9, "P": 9, "D": 5, "U": 4}
MORE = {"U8", "U9"}


def test_every_finding_has_a_test() -> None:
    wanted = {f"{letter}{number}" for letter, last in NUMBERS.items() for number in range(1, last + 1)} | MORE

    marked = {
        number
        for path in TESTS.rglob("test_*.py")
        for number in re.findall(r"mark\.finding\(\"([A-Z]\d+)\"\)", path.read_text(encoding="utf-8"))
    }

    assert sorted(wanted - marked) == []
