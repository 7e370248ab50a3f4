"""How long the report of many records takes a browser to load, and to filter."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import sync_playwright

from localaws.toolchain.tools import find_browser

# Quiet on a machine without a way out, and without a sandbox, which root cannot have.
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
# Milliseconds until what was typed is drawn: two frames, since the first one still has what was there before.
_FILTER = """async (words) => {
  const field = document.querySelector("#words"), began = performance.now();
  field.value = words;
  field.dispatchEvent(new Event("input", { bubbles: true }));
  await new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)));
  return performance.now() - began;
}"""
_LOADED = "performance.getEntriesByType('navigation')[0].loadEventEnd"


def seconds(path: Path, runs: int, *, words: str) -> list[tuple[float, float]]:
    """For each run the seconds in which the page at `path` loads, and in which it shows only what has `words`."""
    found = []
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=find_browser(), args=list(FLAGS))
        try:
            for _ in range(runs):
                page = opened.new_page()
                page.goto(path.as_uri())
                found.append((page.evaluate(_LOADED) / 1000, page.evaluate(_FILTER, words) / 1000))
                page.close()
        finally:
            opened.close()
    return found
