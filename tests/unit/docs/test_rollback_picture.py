"""README's pictures are of the recorded rollback. That its output is today's: `tests/e2e/test_local_account.py`."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import pytest

from tools import rollback_picture
from tools.rollback_picture import PLACE, drawn, form, recording

ROOT = rollback_picture.ROOT
_NAME = "{http://www.w3.org/2000/svg}"


def test_the_pictures_are_drawn_from_the_recording() -> None:
    assert rollback_picture.main([]) == 0


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_picture_asks_no_other_host_for_anything(theme: str) -> None:
    text = (PLACE / f"rollback-{theme}.svg").read_text(encoding="utf-8")

    urls = re.findall(r"url\(([^)]*)\)", text)
    assert urls
    assert all(url.startswith(f"#rollback-{theme}-") for url in urls)
    assert not re.search(r"@import|@font-face|href|<script", text)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_picture_has_the_command_and_its_end_and_no_text_is_outside(theme: str) -> None:
    image = ET.fromstring(drawn(recording(), theme))  # noqa: S314 - our own
    _, _, width, height = map(float, image.attrib["viewBox"].split())
    texts = image.findall(f".//{_NAME}g[@class='rollback-{theme}-matrix']/{_NAME}text")
    shown = "".join(text.text or "" for text in texts).replace("\xa0", " ")

    assert rollback_picture.COMMAND in shown
    assert "COMPLETE" in shown
    assert max(float(text.attrib["x"]) + float(text.attrib["textLength"]) for text in texts) < width
    assert max(float(text.attrib["y"]) for text in texts) < height


def test_only_what_differs_from_run_to_run_is_left_out_of_a_comparison() -> None:
    line = "\x1b[2mby\x1b[0m  alice at 2026-11-24T21:05:16.375Z, 5.8 s of 300 s, 01M87P142QT5BBZQ4AQ07B55GV 0:00:02  "

    assert form([line]) == ["by  alice at 0000-00-00T00:00:00.000Z, SECONDS s of 300 s, ID DURATION"]


def test_a_slow_smoke_command_has_the_form_of_a_fast_one() -> None:
    slow, fast = form(["✓ exit 0: 6 passed in 72.74s (0:01:12)", "✓ exit 0: 6 passed in 3.15s"])

    assert slow == fast


def test_both_commands_of_the_first_screen_are_targets_of_make() -> None:
    first = "\n".join((ROOT / "README.md").read_text(encoding="utf-8").splitlines()[:40])
    typed = re.findall(r"^make (\w+)$", first, re.MULTILINE)

    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert typed == ["demo", "test"]
    assert set(typed) <= set(targets)
