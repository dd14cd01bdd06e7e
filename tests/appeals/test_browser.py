"""The contest page in a real browser: a phone, a keyboard, both schemes, nothing from elsewhere."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from openaoc.web.words import words
from tests.appeals.contests import code_of, decide, held, refuse, take
from tests.appeals.site import site
from tests.public.test_browser import ARGUMENTS, CHROMIUM, CONTRAST, PATIENT_MS
from tests.workflow.centre import AGENT, Centre

playwright_api = pytest.importorskip("playwright.sync_api")
PHONE = {"width": 360, "height": 740}
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed on this machine"),
]


@pytest.fixture
def url(centre: Centre) -> Iterator[str]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        config = uvicorn.Config(site(centre), log_level="warning", lifespan="off")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join(10)


@contextlib.contextmanager
def opened(url: str, asked: list[str], **context: object) -> Iterator[Any]:
    with playwright_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=ARGUMENTS, timeout=PATIENT_MS
        )
        page = browser.new_context(**context).new_page()
        page.set_default_timeout(PATIENT_MS)
        page.on("request", lambda request: asked.append(request.url))
        page.goto(url)
        yield page
        browser.close()


def shot(page: Any, name: str) -> None:
    """A picture for whoever asks for one."""
    folder = os.environ.get("OPENAOC_SHOTS")
    if folder:
        page.screenshot(path=str(Path(folder) / f"{name}.png"), full_page=True)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("lang", ["th", "en"])
def test_a_holder_contests_on_a_phone_with_the_keyboard_alone(
    centre: Centre, url: str, lang: str, scheme: str
) -> None:
    order = held(centre)
    text, asked = words(lang), list[str]()
    with opened(
        f"{url}/contest?lang={lang}",
        asked,
        viewport=PHONE,
        color_scheme=scheme,
        java_script_enabled=True,
    ) as page:
        shot(page, f"contest-{lang}-{scheme}")
        assert page.evaluate(CONTRAST) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        page.keyboard.press("Tab")
        assert page.locator(".skip:focus").count() == 1
        while page.locator("#order:focus").count() == 0:
            page.keyboard.press("Tab")
        for typed in (order, code_of(centre, order), "I sold rice to a stranger.", "081"):
            page.keyboard.type(typed)
            page.keyboard.press("Tab")
        assert page.locator("button:focus").inner_text() == text["contest_send"]
        page.keyboard.press("Enter")
        page.wait_for_selector(f"text={text['contest_state_filed']}")
        shot(page, f"contest-filed-{lang}-{scheme}")
        assert page.evaluate(CONTRAST) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        number = page.locator(".facts .code").first.inner_text()
        take(centre, number)
        decide(centre, number, refuse())
        page.locator("#code").fill(code_of(centre, order))
        page.get_by_text(text["contest_look"]).click()
        page.wait_for_selector(f"text={text['contest_state_refused']}")
        shot(page, f"contest-refused-{lang}-{scheme}")
        assert page.evaluate(CONTRAST) == []
        for landmark in ("header", "main", "footer", "nav[aria-label]", "h1"):
            assert page.locator(landmark).count() == 1, landmark
    assert asked
    assert all(address.startswith(url) for address in asked), "nothing from elsewhere"
    assert not any(code_of(centre, order) in address for address in asked)


def test_a_mistake_is_said_and_focused_without_script(centre: Centre, url: str) -> None:
    asked: list[str] = []
    with opened(f"{url}/contest?lang=en", asked, java_script_enabled=False) as page:
        page.fill("#order", "ord_nothing")
        page.fill("#code", "AAAA-BBBB-CCCC")
        page.fill("#statement", "It is mine.")
        page.click(f"text={words('en')['contest_send']}")
        assert page.locator("[role=alert]").inner_text() == words("en")["contest_wrong"]
        assert page.input_value("#statement") == "It is mine."
    assert centre.orders("none") == []


def test_a_bank_checks_on_its_page(centre: Centre, url: str) -> None:
    order, asked = held(centre), list[str]()
    with centre.database.uow.begin(AGENT) as tx:
        code = centre.matter.telephone.paper(tx, order).code
    with opened(f"{url}/check-order?lang=th", asked, viewport=PHONE) as page:
        page.fill("#order", order)
        page.fill("#code", code)
        page.click(f"button:has-text('{words('th')['check_send']}')")
        page.wait_for_selector(f"text={words('th')['check_valid_means']}")
        shot(page, "check-order")
        assert page.evaluate(CONTRAST) == []
        page.fill("#code", "0000-0000")
        page.click(f"button:has-text('{words('th')['check_send']}')")
        page.wait_for_selector(f"text={words('th')['check_invalid_means']}")
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
