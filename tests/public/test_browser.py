"""The status page in a real browser: it follows the figures, fits a phone, can be read by all."""

from __future__ import annotations

import contextlib
import shutil
import socket
import threading
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
import uvicorn

from openaoc.public.report import render as render_report
from openaoc.statistics.public_report import CountryFigures, Money, PublicReport, ReasonCount
from tests.public.pages import FIGURES, FakeCentre, public_app

playwright_api = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium")
REASON = "no-agreement"
PATIENT_MS = 120_000
"""A browser on a machine that has other work."""
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
CONTRAST = """() => {
  const channel = (value) => { const c = value / 255;
    return c <= 0.03928 ? c / 12.92 : Math.pow((c + 0.055) / 1.055, 2.4); };
  const parse = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
  const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const back = (node) => { for (let n = node; n; n = n.parentElement) {
      const c = parse(getComputedStyle(n).backgroundColor);
      if (c.length === 3 || c[3] === 1) return c; }
    return parse(getComputedStyle(document.documentElement).backgroundColor); };
  const bad = [];
  for (const node of document.querySelectorAll("body *")) {
    const own = [...node.childNodes].some((c) => c.nodeType === 3 && c.textContent.trim());
    if (!own || node.classList.contains("skip") || node.closest("noscript")) continue;
    const [a, b] = [light(parse(getComputedStyle(node).color)), light(back(node))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) bad.push(`${node.className || node.tagName}: ${ratio.toFixed(2)}`);
  }
  return bad;
}"""
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed on this machine"),
]


@pytest.fixture(scope="module")
def centre() -> FakeCentre:
    return FakeCentre(FIGURES)


@pytest.fixture(scope="module")
def url(centre: FakeCentre) -> Iterator[str]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        config = uvicorn.Config(public_app(centre), log_level="warning", lifespan="off")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join(10)


@contextlib.contextmanager
def opened(url: str, **context: object) -> Iterator[Any]:
    with playwright_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=ARGUMENTS, timeout=PATIENT_MS
        )
        page = browser.new_context(**context).new_page()
        page.set_default_timeout(PATIENT_MS)
        page.goto(url)
        yield page
        browser.close()


def test_the_page_follows_the_figures(url: str, centre: FakeCentre) -> None:
    faults: list[str] = []
    with opened(f"{url}/?lang=en") as page:
        page.on("console", lambda message: faults.append(message.text))
        before = f"{centre.figures().reports:,}"
        after = f"{centre.figures().reports + 1:,}"
        assert before in page.inner_text("#figures")
        centre.another_report()
        page.wait_for_selector(f"#figures >> text={after}")
        assert page.inner_text("#stale") == ""
    assert faults == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_word_can_be_read(url: str, scheme: str) -> None:
    with opened(f"{url}/?lang=th", color_scheme=scheme) as page:
        assert page.evaluate(CONTRAST) == []
        for landmark in ("header", "main", "footer", "nav[aria-label]", "h1"):
            assert page.locator(landmark).count() == 1, landmark


@pytest.mark.parametrize("language", ["th", "en"])
def test_the_page_fits_a_phone(url: str, language: str) -> None:
    phone = {"width": 360, "height": 740}
    with opened(f"{url}/?lang={language}", viewport=phone) as page:
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= phone["width"]


@pytest.mark.parametrize("language", ["th", "en"])
def test_the_public_report_fits_a_phone(url: str, language: str) -> None:
    told = Money(count=1_284, amount_minor=1_103_221_050)
    country = CountryFigures(jurisdiction="TH", received=120, met=80, refused=20, open=20)
    report = PublicReport(
        begins=date(2025, 11, 22),
        ends=date(2026, 11, 22),
        currency="THB",
        cell_min=5,
        total=country,
        countries=[country],
        reasons=[ReasonCount(reason=REASON, count=20)],
        answer=None,
        held=told,
        wrong=told,
        released=told,
        returned=told,
    )
    with opened(f"{url}/rules", viewport={"width": 360, "height": 740}) as page:
        page.set_content(render_report(report, language=language), wait_until="networkidle")
        assert page.locator("table").count() == 3
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        assert page.evaluate(CONTRAST) == []


def test_the_sheet_of_rules_is_read_on_a_phone_and_printed(url: str) -> None:
    with opened(f"{url}/rules?lang=en", viewport={"width": 360, "height": 740}) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        assert page.evaluate(CONTRAST) == []
        page.emulate_media(media="print")
        assert page.evaluate(CONTRAST) == []
        assert not page.locator(".languages").is_visible()


def test_the_page_works_without_script(url: str) -> None:
    with opened(f"{url}/?lang=en", java_script_enabled=False) as page:
        assert "Report" in page.inner_text("main")
        page.keyboard.press("Tab")
        assert page.locator(".skip:focus").count() == 1
