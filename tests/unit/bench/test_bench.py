"""The bench: rows that judge themselves, and a measuring process that measures only its child."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path

import pytest
from rich.console import Console

from bench import account, figures, paced, screen, table
from bench.__main__ import published
from bench.table import Measurement
from localaws import quota
from localaws.errors import LocalError
from tools.generated import between

FASTER = Measurement(name="faster", ours=2.0, theirs=120.0, better="larger", bar=50)
FLOOR = Measurement(name="floor", ours=2.16, theirs=1.8, bar=1.15)
THROTTLED = Measurement(name="throttled", ours=0, unit="", bar=0)
SHOWN = Measurement(name="shown", ours=61.0)


def test_a_row_judges_its_ratio_where_there_is_one_and_else_its_figure() -> None:
    assert (FASTER.ratio, FASTER.met, FASTER.bar_text) == (60.0, True, "≥ 50×")
    assert (FLOOR.ratio, FLOOR.met, FLOOR.bar_text) == (pytest.approx(1.2), False, "≤ 1.15×")
    assert (THROTTLED.ratio, THROTTLED.met, THROTTLED.bar_text) == (None, True, "≤ 0")
    assert (SHOWN.ratio, SHOWN.met, SHOWN.bar_text) == (None, None, None)
    assert Measurement(name="throttled", ours=1, unit="", bar=0).met is False
    assert Measurement(name="slower", ours=2.0, theirs=99.0, better="larger", bar=50).met is False


def test_the_times_of_a_rollback_are_told_apart_by_its_calls() -> None:
    window = quota.QuotaWindow(
        arrivals=[
            (1.0, "sts"),
            (1.1, "dynamodb"),
            (1.2, "ListFunctions"),
            (1.3, "GetFunction"),
            (1.5, "GetFunction"),
            (1.6, "dynamodb"),
            (1.75, "UpdateAlias"),
            (3.0, "UpdateAlias"),
            (3.1, "GetFunction"),
            (3.1, "GetAlias"),
            (6.0, "GetAlias"),
        ]
    )

    assert window.seconds("UpdateAlias") == pytest.approx(1.25)
    assert paced.second_pass(window) == pytest.approx(3.0)
    assert paced.before_relief(window) == pytest.approx(0.45)


def test_the_document_has_exactly_the_promised_keys(tmp_path: Path) -> None:
    table.write([FASTER.document(), SHOWN.document()], tmp_path / "new" / "bench.json")
    rows = json.loads((tmp_path / "new" / "bench.json").read_text(encoding="utf-8"))
    faster = {"name": "faster", "ours": 2.0, "theirs": 120.0, "ratio": 60.0, "bar": "≥ 50×", "met": True}
    shown = {"name": "shown", "ours": 61.0, "theirs": None, "ratio": None, "bar": None, "met": None}
    assert rows == [{**faster, "unit": "s"}, {**shown, "unit": "s"}]


def test_the_table_shows_its_heading_and_names_every_miss() -> None:
    out = io.StringIO()
    rows = [row.document() for row in (FASTER, FLOOR, THROTTLED, SHOWN)]
    table.show(rows, "2 cores, 16 GB", Console(file=out, width=118))
    heading, *lines = out.getvalue().splitlines()
    assert heading.strip() == "2 cores, 16 GB"
    (missed,) = [line for line in lines if "NO" in line]
    assert "floor" in missed


@pytest.mark.parametrize("processor", ["", f"{'Intel(R) Xeon(R) Processor @ 2.50GHz':.<80}, "])
def test_the_machine_is_one_line_however_long_its_processors_name(
    monkeypatch: pytest.MonkeyPatch, processor: str
) -> None:
    monkeypatch.setattr(table, "_processor", lambda: processor)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    result = table.machine()
    assert result.startswith(f"{processor}8 cores, ")
    assert " GB, load " in result
    assert ", Python 3." in result
    assert len(result.splitlines()) == 1


def test_a_pages_figures_are_replaced_between_its_markers_and_nothing_else() -> None:
    result = {
        "machine": "2 cores",
        "at": "2026-11-25",
        "rows": [
            {**FLOOR.document(), "at": "2026-11-25"},
            {**THROTTLED.document(), "at": "2026-11-24"},
            {**SHOWN.document(), "ours": 5000.4, "at": "2026-11-25"},
        ],
    }
    begin, end = figures.MARKERS
    text = f"before\n{begin}\nold\n{end}\nafter\n"

    new = between(text, figures.MARKERS, figures.section(result))

    assert new.splitlines() == [
        "before",
        begin,
        "Measured on 2 cores, on 2026-11-25, on the local account.",
        "",
        "| what | ours | theirs | ratio | bar | met |",
        "|---|--:|--:|--:|--:|---|",
        "| floor | 2.16 s | 1.8 s | 1.20× | ≤ 1.15× | NO |",
        "| throttled (2026-11-24) | 0 |  |  | ≤ 0 | yes |",
        "| shown | 5,000 s |  |  |  |  |",
        end,
        "after",
    ]
    assert between(new, figures.MARKERS, figures.section(result)) == new
    with pytest.raises(LocalError, match="has no lines"):
        between("without markers", figures.MARKERS, figures.section(result))


def test_rows_of_5000_functions_that_were_not_measured_are_shown_as_they_were_published() -> None:
    rows = [
        {"name": "42 functions: x", "at": "2026-11-24"},
        {"name": "5000 functions: x", "at": "2026-11-24"},
        {"name": "5000 functions: y", "at": "2026-11-23"},
    ]

    kept = published([{"name": "5000 functions: x"}], {"rows": rows})

    assert kept == [{"name": "5000 functions: y (2026-11-23)", "at": "2026-11-23"}]


def test_the_large_catalogue_has_its_size_and_no_name_twice() -> None:
    services = account.generated(500)
    names = [name for functions in services.values() for name in functions]
    assert len(services) == 10
    assert len(names) == len(set(names)) == 500


def test_a_measured_process_is_charged_its_own_memory_only(tmp_path: Path) -> None:
    ours = bytearray(150_000_000)
    ours[::4096] = b"x" * len(ours[::4096])
    ran = account.measured(
        [sys.executable, "-S", "-c", "import time; time.sleep(0.2); print('said')"],
        tmp_path,
        dict(os.environ),
    )
    assert (ran.code, ran.output) == (0, "said\n")
    assert 0.2 <= ran.seconds < 30
    assert 1_000_000 < ran.memory < 100_000_000
    assert ours


def test_a_measured_process_that_fails_shows_why(tmp_path: Path) -> None:
    ran = account.measured([sys.executable, "-S", "-c", "raise SystemExit('no')"], tmp_path, dict(os.environ))
    assert (ran.code, ran.output) == (1, "no\n")
    with pytest.raises(LocalError, match="could not be started"):
        account.measured([str(tmp_path / "none")], tmp_path, dict(os.environ))


def test_a_terminal_is_watched_until_something_is_on_it_and_the_command_has_ended(tmp_path: Path) -> None:
    program = "import sys; print('dev', sys.stdout.isatty(), flush=True)"

    shown, ended = screen.first([sys.executable, "-S", "-c", program], tmp_path, dict(os.environ), "dev True")

    assert 0 < shown <= ended
    with pytest.raises(LocalError, match="never"):
        screen.first([sys.executable, "-S", "-c", program], tmp_path, dict(os.environ), "never")
    with pytest.raises(LocalError, match="end well"):
        screen.first([sys.executable, "-S", "-c", f"{program}; exit(3)"], tmp_path, dict(os.environ), "dev")
