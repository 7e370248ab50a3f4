"""The last lines of a run: how many tests were not tried, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator

import pytest

# Marks of tests that are left out, and why: the first that a test has counts.
_LEFT_TO = {
    "unchanged": "localaws/ is as it was when they passed",
    "soak": "left to make soak",
    "slow": "left to make test",
}
_OTHERWISE = "deselected"
_KEY = "not_tried"


class NotTried:
    """Counts what is skipped, and what is deselected: by each worker, which all collect the same tests."""

    def __init__(self) -> None:
        self._deselected = Counter[str]()

    def pytest_deselected(self, items: list[pytest.Item]) -> None:
        self._deselected.update(_left_to(item) for item in items)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        output = getattr(session.config, "workeroutput", None)
        if output is not None:
            output[_KEY] = dict(self._deselected)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: object) -> None:
        self._deselected |= Counter(getattr(node, "workeroutput", {}).get(_KEY, {}))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_terminal_summary(
        self, terminalreporter: pytest.TerminalReporter
    ) -> Generator[None, None, None]:
        yield
        skipped = Counter(_reason(report) for report in terminalreporter.stats.get("skipped", []))
        for reason, count in (skipped + self._deselected).most_common():
            terminalreporter.write_line(f"not tried: {count} ({reason})", yellow=reason in skipped)


def _left_to(item: pytest.Item) -> str:
    return next((said for mark, said in _LEFT_TO.items() if item.get_closest_marker(mark)), _OTHERWISE)


def _reason(report: pytest.TestReport) -> str:
    """What a skipped report keeps is the place, the line and the reason."""
    kept = report.longrepr
    return (kept[2] if isinstance(kept, tuple) else str(kept)).removeprefix("Skipped: ")
