"""The report as a person meets it, in a real browser; and as Markdown."""

from __future__ import annotations

import html
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from axe_playwright_python.sync_playwright import Axe
from moto import mock_aws
from playwright.sync_api import Browser, sync_playwright

from bench import browsing
from localaws.toolchain.tools import CHROMIUM
from rollback.model.request import AliasesRequest
from rollback.queries.history import past
from rollback.queries.report_data import DETAILED, ReportData, gather
from rollback.reports.page import page
from rollback.views.markdown import summary
from tests.doubles.world import World, create_table, settings, texts
from tests.prepared import prepared

_HOSTILE = (
    '<img src=x onerror="document.title=1"><script>document.title=2</script> | `x` @all [a](javascript:b)'
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    # A CI job that loses its browser does not stay green.
    assert CHROMIUM.find() or not os.environ.get("CI"), CHROMIUM.get
    path = prepared(CHROMIUM)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(browsing.FLAGS))
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> ReportData:
    """Of three releases, and a rollback for a reason that means harm."""
    root = _checkout(tmp_path_factory.mktemp("checkout"))
    with mock_aws():
        client = boto3.client(
            "dynamodb", region_name="eu-west-1", aws_access_key_id="testing", aws_secret_access_key="testing"
        )
        create_table(client)
        world = World(dynamodb=client, root=root, settings=settings())
        world.story()
        world.flow().start("aliases", AliasesRequest(), _HOSTILE)
        return gather(world.session(), 50)


class Opened:
    """A report in a browser, and what the browser said of it and asked for."""

    def __init__(self, browser: Browser, path: Path, document: str, **context: Any) -> None:
        path.write_text(document, encoding="utf-8")
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page = browser.new_context(**context).new_page()
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(path.as_uri())


def test_the_page_shows_what_is_deployed_and_what_happened_and_asks_for_nothing_else(
    report: ReportData, browser: Browser, tmp_path: Path
) -> None:
    opened = Opened(browser, tmp_path / "report.html", page(report))

    text = opened.page.inner_text("body")
    assert all(expected in text for expected in ("teams", "roles", "v1.1.0", "v1.2.0 → v1.1.0", "alice"))
    assert opened.page.locator("ol.moments > li").count() == 4
    assert opened.said == []
    assert len(opened.asked) == 1, "a page that works where there is no network"


def test_a_reason_is_text_and_never_markup(report: ReportData, browser: Browser, tmp_path: Path) -> None:
    opened = Opened(browser, tmp_path / "report.html", page(report))

    assert _HOSTILE in opened.page.locator(".why").first.inner_text()
    assert opened.page.locator("img").count() == 0
    assert opened.page.locator("script").count() == 1
    assert opened.page.title() == "Rollbacks of dev"


def test_a_script_that_got_in_all_the_same_would_not_run(
    report: ReportData, browser: Browser, tmp_path: Path
) -> None:
    document = page(report).replace("<footer>", "<script>document.title = 'in'</script><footer>")

    opened = Opened(browser, tmp_path / "report.html", document)

    assert opened.page.title() == "Rollbacks of dev"
    assert opened.page.locator("script").count() == 2, "it did get in"


def test_the_timeline_is_filtered_by_text_kind_and_result(
    report: ReportData, browser: Browser, tmp_path: Path
) -> None:
    opened = Opened(browser, tmp_path / "report.html", page(report))
    shown = opened.page.locator("ol.moments > li:visible")

    opened.page.get_by_label("Kind").select_option("aliases")
    assert (shown.count(), opened.page.locator("output").inner_text()) == (1, "1 of 4")
    opened.page.get_by_label("Kind").select_option("")
    opened.page.get_by_label("Words").fill("V1.0.0 dan")
    assert shown.count() == 1
    opened.page.get_by_label("Result").select_option("COMPLETE")
    opened.page.get_by_label("Words").fill("no such word")
    assert shown.count() == 0


def test_a_record_is_opened_by_keyboard_alone(report: ReportData, browser: Browser, tmp_path: Path) -> None:
    opened = Opened(browser, tmp_path / "report.html", page(report))

    for _ in range(20):
        opened.page.keyboard.press("Tab")
        if opened.page.evaluate("document.activeElement.tagName") == "SUMMARY":
            break
    opened.page.keyboard.press("Enter")

    assert opened.page.locator("details[open] h3").all_inner_texts() == [
        "Verification",
        "Plan, 3 steps",
        "Journal",
    ]


def test_whatever_can_be_used_has_a_name_to_be_read_out(
    report: ReportData, browser: Browser, tmp_path: Path
) -> None:
    opened = Opened(browser, tmp_path / "report.html", page(report))

    for name in ("Words", "Kind", "Result"):
        assert opened.page.get_by_label(name, exact=True).count() == 1
    nameless = opened.page.evaluate(
        "[...document.querySelectorAll('input,select,meter,[role=region],section')].filter("
        "e => !(e.ariaLabel || e.labels?.length || e.getAttribute('aria-labelledby') || e.querySelector('h3'))).length"
    )
    assert nameless == 0
    assert opened.page.locator("html[lang=en]").count() == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_readable_on_a_phone_by_day_and_by_night(
    report: ReportData, browser: Browser, tmp_path: Path, scheme: str
) -> None:
    document = page(report)
    opened = Opened(
        browser,
        tmp_path / "report.html",
        document,
        color_scheme=scheme,
        viewport={"width": 360, "height": 740},
    )
    opened.page.locator("summary").click()

    assert opened.page.evaluate("document.documentElement.scrollWidth") <= 360, "no scrolling sideways"
    faint = opened.page.evaluate(_CONTRAST)
    assert faint == [], "WCAG 2.2 AA asks for 4.5 to 1"


def test_printing_prints_what_the_reader_has_opened(
    report: ReportData, browser: Browser, tmp_path: Path
) -> None:
    opened = Opened(browser, tmp_path / "report.html", page(report))
    opened.page.emulate_media(media="print")

    closed = opened.page.locator("details h3:visible").count()
    opened.page.locator("summary").click()

    assert closed == 0
    assert opened.page.locator("details h3:visible").count() == 3
    assert not opened.page.locator("form").is_visible()


def test_a_thousand_records_are_a_page_of_bounded_size_on_screen_and_on_paper(
    report: ReportData, browser: Browser, tmp_path: Path
) -> None:
    opened = Opened(browser, tmp_path / "report.html", page(_many(report, 1_000)))

    assert opened.page.locator("ol.moments > li").count() == 1_000
    assert opened.page.locator("details").count() == DETAILED
    assert opened.page.evaluate("document.querySelectorAll('*').length") < 20_000
    assert _pages(opened.page.pdf(format="A4")) <= 20
    opened.page.get_by_label("Words").fill("reason-777")
    assert opened.page.locator("ol.moments > li:visible").count() == 1
    assert _pages(opened.page.pdf(format="A4")) <= 2, "what is shown is what is printed"


def test_a_link_to_a_record_that_the_filter_leaves_out_shows_it_all_the_same(
    report: ReportData, browser: Browser, tmp_path: Path
) -> None:
    opened = Opened(browser, tmp_path / "report.html", page(report))
    record = opened.page.locator("ol.moments > li", has=opened.page.locator("details")).first
    name = record.get_attribute("id")
    opened.page.get_by_label("Words").fill("nothing like it")
    filtered = opened.page.locator("ol.moments > li").count()

    opened.page.evaluate("name => { location.hash = name }", name)

    opened.page.wait_for_selector(f"[id='{name}'] details[open]")
    assert filtered == 0
    assert opened.page.locator("ol.moments > li:visible").count() == len(report.moments)


def test_the_journals_of_the_newest_records_alone_are_read(world: World, tmp_path: Path) -> None:
    _checkout(tmp_path)
    world.story()
    for release in ("v1.0.0", "v1.1.0"):
        world.flow().start("aliases", AliasesRequest(release=release), "because")

    found = gather(world.session(), 50, detailed=1)

    rollbacks = [moment.what for moment in found.moments if "rollback_id" in moment.document]
    assert len(rollbacks) == 2
    assert list(found.records) == rollbacks[:1]
    assert "rollback report ID" in page(found)


@pytest.mark.parametrize(
    ("width", "scheme"), [(width, scheme) for width in (390, 768, 1280) for scheme in ("light", "dark")]
)
@pytest.mark.parametrize("alone", [False, True], ids=["timeline", "one record"])
def test_axe_finds_nothing_and_nothing_is_wider_than_the_screen(
    report: ReportData, browser: Browser, tmp_path: Path, *, width: int, scheme: str, alone: bool
) -> None:
    shown = replace(report, now=None, moments=()) if alone else report
    opened = Opened(
        browser,
        tmp_path / "report.html",
        page(shown),
        color_scheme=scheme,
        viewport={"width": width, "height": 800},
        bypass_csp=True,  # for axe itself
    )
    for summary_line in opened.page.locator("summary").all():
        summary_line.click()

    assert opened.page.evaluate("document.documentElement.scrollWidth") <= width
    assert [each["id"] for each in Axe().run(opened.page).response["violations"]] == []


def _checkout(folder: Path) -> Path:
    for name, text in zip(("Pulumi.yaml", "Pulumi.dev.yaml"), texts(), strict=True):
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def _many(report: ReportData, count: int) -> ReportData:
    """The report, its one rollback so many times; details of as many as a report of that size reads."""
    (name, one), *_ = report.records.items()
    moment = next(each for each in report.moments if each.what == name)
    moments = [
        replace(moment, what=f"{name[:-4]}{number:04}", subject=f"reason-{number}") for number in range(count)
    ]
    records = {each.what: one for each in moments[:DETAILED]}
    return replace(report, moments=tuple(moments), records=records)


def _pages(document: bytes) -> int:
    """How many pages a PDF of Chromium's has."""
    return len(re.findall(rb"/Type\s*/Page\b", document))


def test_a_record_that_was_tampered_with_is_reported_first(
    report: ReportData, browser: Browser, tmp_path: Path
) -> None:
    (name, one), *_ = report.records.items()
    forged = replace(one, events=one.events[:-1], broken="event 4 is missing")
    alone = replace(report, now=None, moments=(), records={name: forged})

    opened = Opened(browser, tmp_path / "report.html", page(alone))

    assert "integrity check failed: event 4 is missing" in opened.page.locator(".alarm").inner_text()
    assert "whole" not in opened.page.inner_text("dl")


def test_markdown_takes_nothing_of_a_reason_for_its_own(report: ReportData) -> None:
    text = summary(next(iter(report.records.values())))

    assert "<" not in text.replace("\\<", "")
    assert "\\@all \\[a\\]\\(javascript\\:b\\)" in text
    assert {line.count(" | ") for line in text.splitlines() if line.startswith("| **")} == {1}


@pytest.fixture
def refused(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """An engine on PATH that says what the real one says where its bucket answers 403."""
    _checkout(tmp_path)
    engine = tmp_path / "bin" / "pulumi"
    engine.parent.mkdir()
    engine.write_text(f"#!/bin/sh\ncat >&2 <<'END'\n{_DENIED}\nEND\nexit 255\n", encoding="utf-8")
    engine.chmod(0o755)
    monkeypatch.setenv("PATH", f"{engine.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("PULUMI_BACKEND_URL", raising=False)
    world.story()
    return world


def test_where_the_role_may_not_read_the_state_the_page_shows_what_who_and_what_to_do(refused: World) -> None:
    document = html.unescape(page(gather(refused.session(), 50)))

    assert "Pulumi history not shown: alice (acme-dev-rollback-role)" in document
    assert "may not read the state in acme-dev-terraform-state" in document
    assert "acme-dev-github-actions-role" in document
    assert "rollback history --kind stack --env dev<" in document
    assert not [text for text in ("PermissionDenied", "RequestID", "meta.yaml") if text in document]
    assert "v1.2.0" in document, "what can be read is told"


def test_the_history_on_a_terminal_states_the_same(refused: World) -> None:
    (notice,) = past(refused.session(), 50).notices

    assert notice in html.unescape(page(gather(refused.session(), 50)))


def test_whatever_else_is_wrong_with_the_engine_is_reported_in_one_line(
    refused: World, tmp_path: Path
) -> None:
    (tmp_path / "bin" / "pulumi").write_text(
        "#!/bin/sh\nprintf 'warning: old\\nerror: the bucket is \\033[2Jgone' >&2\nexit 1\n", encoding="utf-8"
    )

    assert past(refused.session(), 50).notices == ("Pulumi history not shown: error: the bucket is gone",)


# As Pulumi 3.259 prints it.
_DENIED = (
    'error: read ".pulumi/meta.yaml": blob (key ".pulumi/meta.yaml") (code=PermissionDenied): operation error S3: '
    "GetObject, https response error StatusCode: 403, RequestID: ea51fac0-f319-43e3-ae0b-cfd1c2fa5876, HostID: , "
    "api error AccessDenied: User: arn:aws:sts::700000000000:assumed-role/acme-dev-rollback-role/alice is not "
    "authorized to perform: s3:GetObject because no identity-based policy allows the s3:GetObject action"
)

# Texts whose colour is too near to that of the ground behind them.
_CONTRAST = """() => {
  const rgb = (c) => c.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255).map((v) => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
  const ground = (e) => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor);
    if (c.length < 4 || c[3]) return c; } return [255, 255, 255]; };
  return [...document.querySelectorAll('body *')].filter((e) => e.checkVisibility() && !['SCRIPT', 'OPTION'].includes(e.tagName)
    && [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim())).filter((e) => {
    const [a, b] = [light(rgb(getComputedStyle(e).color)), light(ground(e))];
    return (Math.max(a, b) + .05) / (Math.min(a, b) + .05) < 4.5; }).map((e) => e.outerHTML.slice(0, 80));
}"""
