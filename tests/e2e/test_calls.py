"""How often a verb asks AWS: no fact is asked for twice, and a fleet costs what its functions cost."""

from __future__ import annotations

import re
from pathlib import Path

from tests.e2e.estate_under_test import ALICE, FUNCTIONS, REASON, Platform
from tests.proxy import Proxy

COUNT = len(FUNCTIONS)
# As --debug shows a call.
_CALL = re.compile(r"\S+ \S+ .*in \d+ ms(?:, request \S+(?:, after \d+ retries)?)?")
# Who asks; the heads that are kept outside of the ledger.
ALWAYS = {"GetCallerIdentity": 1, "ListObjectVersions": 1}
READING = ALWAYS | {"ListFunctions": 1}
# Beats of the lease, batches of the journal, and heads that an earlier command could not keep: these follow
# the clock and the past, not what is asked for.
_OTHERS = {"UpdateItem", "TransactWriteItems", "PutObject"}


def test_each_verb_makes_exactly_the_calls_that_its_facts_need(dev: Platform, proxy: Proxy) -> None:
    dev.story()

    assert _calls(dev, proxy, "status") == READING | {
        "GetAlias": COUNT,
        # The timeline, what is barred, the newest manifest, the leases, the newest records.
        "Query": 6,
        "DescribeTable": 1,
        "DescribeContinuousBackups": 1,
    }
    # The timeline, the newest manifest and what is quarantined; what stands, with its weights; and what invokes it:
    # one call for each list, and one for each function's URL.
    assert _calls(dev, proxy, "verify") == READING | {
        "ListEventSourceMappings": 1,
        "GetFunctionUrlConfig": COUNT,
        "GetRestApis": 1,
        "GetApis": 1,
        "ListEventBuses": 1,
        "ListRules": 1,
        "ListSchedules": 1,
        "Query": 4,
        "GetFunction": COUNT,
        "GetAlias": COUNT,
        "GetParameter": 1,
    }
    # The newest entries, what stands of them, and drills.
    assert _calls(dev, proxy, "history") == ALWAYS | {"Query": 4}
    # Where each alias stands, and the version that it goes to.
    assert _calls(dev, proxy, "lambda", "--dry-run") == READING | {"Query": 4, "GetFunction": 2 * COUNT}
    # And whether it is frozen, before planning and when it is opened, and each stands there; the timeline once more for each entry that is written, and at its end.
    assert _calls(dev, proxy, "lambda", "--reason", REASON) == READING | {
        # The head once more at the end: whether something else was kept under its number.
        "ListObjectVersions": 2,
        "GetItem": 2,
        "Query": 8,
        "GetFunction": 3 * COUNT,
        "UpdateAlias": COUNT,
        "GetAlias": COUNT,
        "PutParameter": 1,
    }


def test_with_debug_each_call_is_shown_and_logged_before_the_verb_and_after_it(
    dev: Platform, proxy: Proxy
) -> None:
    dev.story()
    proxy.counts.clear()

    runs = [
        dev.rollback(*words, as_=ALICE, endpoint=proxy.endpoint, extra={"ROLLBACK_ENV": "dev"}, env=False)
        for words in (("--debug", "status"), ("status", "--debug"))
    ]

    calls = [[line for line in run.err.splitlines() if _CALL.fullmatch(line)] for run in runs]
    assert [run.code for run in runs] == [0, 0], "\n".join(map(str, runs))
    assert sum(map(len, calls)) == sum(proxy.counts.values())
    assert any(line.startswith("lambda GetAlias 200 in ") for line in calls[0])
    assert runs[0].out.splitlines()[0] == runs[1].out.splitlines()[0]
    logs = sorted(Path(dev.folder, ".local", "state", "rollback", "log").glob("*-status.log"))
    kept = [[line for line in log.read_text().splitlines() if " rollback.aws " in line] for log in logs]
    assert list(map(len, kept)) == list(map(len, calls))


def test_with_quiet_there_are_results_and_errors_only(dev: Platform) -> None:
    dev.story()

    quiet = dev.rollback("lambda", "-q", "--reason", REASON, as_=ALICE)
    refused = dev.rollback("resume", "last", "--quiet", as_=ALICE)
    loud = dev.rollback("resume", "last", as_=ALICE)

    assert (quiet.code, quiet.err) == (0, ""), str(quiet)
    assert "COMPLETE" in quiet.out
    assert (refused.code, loud.code) == (3, 3), str(refused)
    # What `last` is, is a notice.
    assert refused.err.splitlines() == loud.err.splitlines()[1:]


def _calls(dev: Platform, proxy: Proxy, *arguments: str) -> dict[str, int]:
    """How often each operation was asked for by a verb."""
    proxy.counts.clear()
    run = dev.rollback(*arguments, as_=ALICE, endpoint=proxy.endpoint)
    assert run.code == 0, str(run)
    named = {"GET": "ListObjectVersions", "PUT": "PutObject"}
    counted: dict[str, int] = {}
    for operation, count in proxy.counts.items():
        name = named[operation.split(" ", 1)[0]] if "audit-trail" in operation else operation
        counted[name] = counted.get(name, 0) + count
    return {name: count for name, count in counted.items() if name not in _OTHERS}
