"""The page for all readers: languages, directions, small screens, keyboards and screen readers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from axe_core_python.selenium import Axe
from selenium import webdriver
from selenium.webdriver.common.keys import Keys

from tests.server.page_browser import DESKTOP, PHONE, Page, needs_browser, set_languages, set_size
from tests.server.page_service import page_application
from tests.server.running import Running, running

pytestmark = needs_browser
ARABIC = "/#q=%D9%85%D8%A7+%D8%B9%D8%A7%D8%B5%D9%85%D8%A9&s=qtt_rag&l=ar"


@pytest.fixture(scope="module")
def service() -> Iterator[Running]:
    with running(page_application()) as up:
        yield up


@pytest.fixture
def page(browser: webdriver.Chrome, service: Running) -> Iterator[Page]:
    yield Page(browser, service.url)
    set_size(browser, DESKTOP)
    set_languages(browser, "en")
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


@pytest.mark.parametrize(
    ("tags", "lang", "label"),
    [
        ("ko-KR,ko", "ko", "질문하기"), ("fi", "fi", "Kysy"), ("zh-TW", "zh", "提问"), ("ja", "ja", "質問する"),
        ("es-MX", "es", "Preguntar"), ("is,fi,en", "fi", "Kysy"), ("is", "en", "Ask"),
    ],
)  # fmt: skip
def test_the_page_is_in_the_language_of_the_browser(
    page: Page, service: Running, tags: str, lang: str, label: str
) -> None:
    set_languages(page.browser, tags)
    page = Page(page.browser, service.url)
    assert page.one("html").get_attribute("lang") == lang
    assert page.one("#go").text == label


def test_another_language_can_be_chosen_and_stays(page: Page, service: Running) -> None:
    page.one("#interface option[value=ko]").click()
    page.until(lambda: page.all("html[lang=ko] body[data-ready]"))
    again = Page(page.browser, service.url, kept=True)
    assert again.one("#go").text == "질문하기"


def test_an_arabic_page_is_laid_out_from_the_right(page: Page, service: Running) -> None:
    set_languages(page.browser, "ar")
    page = Page(page.browser, service.url)
    assert page.one("html").get_attribute("dir") == "rtl"
    assert page.one("h1").rect["x"] > page.one("nav").rect["x"]
    assert page.texts("#examples li") == ["ما عاصمة فنلندا؟"]


def test_an_arabic_answer_on_an_english_page_runs_from_right_to_left(page: Page, service: Running) -> None:
    shared = Page(page.browser, service.url, ARABIC)
    shared.one("#go").click()
    shared.until(lambda: shared.states() == ["done"])
    direction = "return getComputedStyle(arguments[0]).direction"
    assert page.browser.execute_script(direction, shared.one(".answer")) == "rtl"
    assert page.browser.execute_script(direction, shared.one(".actions")) == "ltr"
    assert shared.one(".answer").get_attribute("lang") == "ar"
    assert shared.one(".title").tag_name == "bdi"


def test_a_phone_shows_the_answer_without_scrolling(page: Page, service: Running) -> None:
    set_size(page.browser, PHONE)
    page = Page(page.browser, service.url)
    page.ask()
    answer = page.one(".answer").rect
    top = page.browser.execute_script("return window.scrollY")
    assert answer["y"] >= top
    assert answer["y"] - top + answer["height"] < page.one("#ask").rect["y"] - top
    width = page.browser.execute_script("return [document.documentElement.scrollWidth, window.innerWidth]")
    assert width == [390, 390]


def test_the_newest_answer_of_a_conversation_is_in_view(page: Page) -> None:
    for number in range(4):
        page.ask(f"question {number}?")
    newest = page.all(".turn")[-1].find_element("css selector", ".answer").rect["y"]
    top = page.browser.execute_script("return window.scrollY")
    assert 0 <= newest - top < DESKTOP[1] / 2


def test_the_keyboard_is_enough(page: Page) -> None:
    assert page.browser.switch_to.active_element.get_attribute("id") == "question"
    page.ask()
    reached = []
    for _ in range(16):
        page.browser.switch_to.active_element.send_keys(Keys.TAB)
        active = page.browser.switch_to.active_element
        reached.append(active.get_attribute("id") or active.get_attribute("class") or active.text)
    assert {"new", "open-history", "interface", "citation", "Copy"} <= set(reached)


def test_a_dialog_closes_with_escape_and_gives_the_focus_back(page: Page) -> None:
    page.one("#open-history").click()
    page.browser.switch_to.active_element.send_keys(Keys.ESCAPE)
    assert not page.one("#history").get_property("open")
    assert page.browser.switch_to.active_element.get_attribute("id") == "open-history"


def violations(page: Page) -> list[str]:
    found = Axe().run(page.browser)["violations"]
    return [f"{each['id']}: {node['html'][:200]}" for each in found for node in each["nodes"]]


@pytest.mark.parametrize(("scheme", "size"), [("light", DESKTOP), ("dark", PHONE)], ids=["light desktop", "dark phone"])
def test_axe_finds_no_barriers(page: Page, service: Running, scheme: str, size: tuple[int, int]) -> None:
    features = [
        {"name": "prefers-color-scheme", "value": scheme},
        {"name": "prefers-reduced-motion", "value": "reduce"},
    ]
    page.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    set_size(page.browser, size)
    page = Page(page.browser, service.url)
    page.unfold("#options")
    assert violations(page) == []
    page.compare("base", "query_translation")
    page.ask("which other?")
    page.browser.execute_script("for (const each of document.querySelectorAll('.passage')) each.open = true")
    assert violations(page) == []
    page.one("#new").click()
    page.unfold("#options")
    page.one("#compare").click()
    page.ask("broken?", states=["failed"])
    assert violations(page) == []
    page.one("#open-history").click()
    assert violations(page) == []


def test_the_page_loads_nothing_from_elsewhere_and_breaks_no_rule_of_its_policy(page: Page) -> None:
    browser: Any = page.browser
    browser.get_log("browser")
    page.ask()
    loaded = page.browser.execute_script("return performance.getEntriesByType('resource').map((entry) => entry.name)")
    assert loaded
    assert all(address.startswith(page.browser.execute_script("return location.origin")) for address in loaded)
    assert not [entry for entry in browser.get_log("browser") if "Content Security Policy" in entry["message"]]
