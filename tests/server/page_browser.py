"""The page in a real Chromium: how tests open it, ask and look."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

needs_browser = pytest.mark.skipif(
    not shutil.which("chromium") or not shutil.which("chromedriver"),
    reason="chromium and chromedriver are not installed",
)
QUESTION = "Mikä on Suomen pääkaupunki?"
DESKTOP, PHONE = (1280, 900), (390, 844)


def set_size(browser: webdriver.Chrome, size: tuple[int, int]) -> None:
    """Set the size of the page itself; a window of Chromium cannot be narrower than 500 pixels."""
    width, height = size
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def set_languages(browser: webdriver.Chrome, tags: str) -> None:
    """Set the languages that the reader prefers, such as "fi,en"."""
    agent = browser.execute_script("return navigator.userAgent")
    browser.execute_cdp_cmd("Emulation.setUserAgentOverride", {"userAgent": agent, "acceptLanguage": tags})


class Page:
    """The page, opened anew. `kept`: with what earlier tests left in the browser."""

    def __init__(self, browser: webdriver.Chrome, url: str, link: str = "/", *, kept: bool = False) -> None:
        self.browser = browser
        browser.get("about:blank")
        if not kept:
            browser.execute_cdp_cmd("Storage.clearDataForOrigin", {"origin": url, "storageTypes": "all"})
        browser.get(url + link)
        self.until(lambda: self.all("body[data-ready], #notice:not([hidden]), dialog[open]"))

    def until(self, true: Callable[[], Any], seconds: float = 10) -> Any:
        """Wait until `true()` is; elements may be replaced meanwhile."""
        replaced = [StaleElementReferenceException]
        return WebDriverWait(self.browser, seconds, 0.03, ignored_exceptions=replaced).until(lambda _: true())

    def all(self, selector: str) -> list[WebElement]:
        return self.browser.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector: str) -> WebElement:
        return self.browser.find_element(By.CSS_SELECTOR, selector)

    def texts(self, selector: str) -> list[str]:
        return [element.text for element in self.all(selector)]

    def start(self, question: str = QUESTION) -> None:
        self.one("#question").send_keys(question, Keys.ENTER)

    def ask(self, question: str = QUESTION, *, states: Sequence[str] = ("done",)) -> None:
        """Type a question and press Enter; wait until all its answers are in one of `states`."""
        before = len(self.all(".turn"))
        self.start(question)
        self.until(lambda: len(self.all(".turn")) > before and self.states() and set(self.states()) <= set(states))

    def states(self) -> list[str]:
        """The states of the answers to the newest question."""
        return [article.get_attribute("data-state") or "" for article in self.all(".turn:last-child article")]

    def compare(self, *strategies: str) -> None:
        """Choose strategies beside the default one."""
        self.unfold("#options")
        self.one("#compare").click()
        for name in strategies:
            self.one(f"#strategies input[value={name}]").click()

    def unfold(self, selector: str) -> None:
        if self.one(selector).get_attribute("open") is None:
            self.one(f"{selector} > summary").click()

    @property
    def status(self) -> str:
        """What a screen reader was told last."""
        return self.one("#status").get_attribute("textContent") or ""

    def press(self, text: str, within: str = ".turn:last-child") -> None:
        (button,) = [each for each in self.all(f"{within} button") if text in (each.text, each.accessible_name)]
        button.click()
