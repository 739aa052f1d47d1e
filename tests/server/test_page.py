"""The page in a real Chromium, over a service that really runs."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

from qttrag.testing import FakeGenerator, FakeTagger
from qttrag.types import QualityScores, Verdict
from tests.server.running import BrokenGenerator, DividedRetriever, Running, SlowGenerator, application, running

pytestmark = pytest.mark.skipif(
    not shutil.which("chromium") or not shutil.which("chromedriver"),
    reason="chromium and chromedriver are not installed",
)
QUESTION = "Mikä on Suomen pääkaupunki?"
HOSTILE = "<img src=x onerror=\"document.title='owned'\"> [1] <script>document.title='owned'</script> [9]"


@pytest.fixture(scope="module")
def browser() -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--window-size=1200,1000",
        "--force-prefers-reduced-motion",
    ):
        options.add_argument(argument)
    options.binary_location = str(shutil.which("chromium"))
    driver = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def service() -> Iterator[Running]:
    with running(application()) as up:
        yield up


class Page:
    def __init__(self, browser: webdriver.Chrome, url: str, link: str = "") -> None:
        self.browser = browser
        browser.get("about:blank")
        browser.get(url + link)
        self.until(lambda: self.all("#strategies input"))

    def until(self, true: Callable[[], Any]) -> Any:
        return WebDriverWait(self.browser, 10, 0.05).until(lambda _: true())

    def all(self, selector: str) -> list[WebElement]:
        return self.browser.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector: str) -> WebElement:
        return self.browser.find_element(By.CSS_SELECTOR, selector)

    def ask(self, question: str = QUESTION, *more: str) -> None:
        """Type the question, choose more strategies, and ask; wait until all answers are there."""
        for name in more:
            self.one(f"#strategies input[value={name}]").click()
        self.one("#question").send_keys(question, Keys.CONTROL, Keys.ENTER)
        self.until(lambda: self.one("#status").text == "Done.")


def test_a_question_is_answered_with_its_passages(browser: webdriver.Chrome, service: Running) -> None:
    page = Page(browser, service.url)
    page.ask()
    assert page.one(".answer").text == "It is Helsinki [1]."
    assert len(page.all(".passages > li")) == 3
    assert len(page.all("meter")) == 6
    assert "retrieve" in page.one("article > div small").text


def test_a_single_score_is_shown_alone(browser: webdriver.Chrome) -> None:
    three = application()
    single = replace(three.stages, tagger=FakeTagger(lambda text: Verdict(QualityScores(4.5))))
    with running(replace(three, stages=single)) as up:
        page = Page(browser, up.url)
        page.ask()
        assert [name.text for name in page.all(".scores dt")] == ["meaning", "meaning"]


def test_a_citation_leads_to_its_passage(browser: webdriver.Chrome, service: Running) -> None:
    page = Page(browser, service.url)
    page.ask()
    page.one(".answer a").click()
    assert page.one(".passages > li.cited h3").text.startswith("[1]")
    assert browser.switch_to.active_element.get_attribute("id") == "qtt_rag-1"


def test_the_answer_streams_in(browser: webdriver.Chrome) -> None:
    with running(application(SlowGenerator(0.4, lambda messages: "one two three four"))) as up:
        page = Page(browser, up.url)
        page.one("#question").send_keys(QUESTION, Keys.CONTROL, Keys.ENTER)
        page.until(lambda: page.all(".passages > li"))
        seen = page.until(lambda: page.one(".answer").text)
        assert seen != "one two three four"
        page.until(lambda: page.one(".answer").text == "one two three four")


def test_strategies_are_compared_side_by_side(browser: webdriver.Chrome, service: Running) -> None:
    page = Page(browser, service.url)
    page.ask(QUESTION, "base", "cross_rag")
    assert [title.text for title in page.all("article h2")] == ["base", "cross_rag", "qtt_rag"]
    assert len({round(article.rect["y"]) for article in page.all("article")}) == 1


def test_a_link_reproduces_a_question(browser: webdriver.Chrome, service: Running) -> None:
    page = Page(browser, service.url)
    page.ask(QUESTION, "base")
    link = browser.current_url.removeprefix(service.url)
    again = Page(browser, service.url, link)
    again.until(lambda: again.one("#status").text == "Done.")
    assert again.one("#question").get_attribute("value") == QUESTION
    assert len(again.all("article")) == 2


@pytest.fixture(scope="module")
def divided() -> Iterator[Running]:
    with running(application(retriever=DividedRetriever)) as up:
        yield up


def _langs(page: Page) -> list[str]:
    return [card.text.split(" · ")[0] for card in page.all(".passages h3 small")]


def test_collections_are_chosen_by_keyboard_and_kept_in_the_link(browser: webdriver.Chrome, divided: Running) -> None:
    page = Page(browser, divided.url)
    boxes = page.all("#collections input")
    assert [box.accessible_name for box in boxes] == ["wiki-fi", "wiki-ko", "wiki-en"]
    assert [box.is_selected() for box in boxes] == [True] * 3
    assert page.one("#which").accessible_name == "Collections (only these are searched)"
    boxes[0].send_keys(Keys.SPACE)
    boxes[2].send_keys(Keys.SPACE)
    page.ask()
    assert _langs(page) == ["ko"]
    again = Page(browser, divided.url, browser.current_url.removeprefix(divided.url))
    again.until(lambda: again.one("#status").text == "Done.")
    assert [box.is_selected() for box in again.all("#collections input")] == [False, True, False]
    assert _langs(again) == ["ko"]


def test_with_all_collections_chosen_the_link_names_none(browser: webdriver.Chrome, divided: Running) -> None:
    page = Page(browser, divided.url)
    page.ask()
    assert len(_langs(page)) == 3
    assert "c=" not in browser.current_url


def test_without_a_collection_nothing_is_asked(browser: webdriver.Chrome, divided: Running) -> None:
    page = Page(browser, divided.url)
    for box in page.all("#collections input"):
        box.click()
    page.one("#question").send_keys(QUESTION, Keys.CONTROL, Keys.ENTER)
    assert page.one("#status").text == "Choose at least one collection."
    assert not page.all("article")


def test_a_link_that_names_a_collection_which_is_not_here_says_so(browser: webdriver.Chrome, divided: Running) -> None:
    page = Page(browser, divided.url, "/#q=hei&s=base&c=wiki-ko&c=gone")
    page.until(lambda: page.one("#status").text == "The link names collections that are not here: gone.")
    assert not page.all("article")


def test_where_there_is_no_choice_of_collections_none_is_shown(browser: webdriver.Chrome, service: Running) -> None:
    assert not Page(browser, service.url).one("#which").is_displayed()


def test_earlier_questions_are_kept_in_the_browser_and_can_be_forgotten(
    browser: webdriver.Chrome, service: Running
) -> None:
    page = Page(browser, service.url)
    page.ask("ensimmäinen kysymys?")
    page.one("#past summary").click()
    assert "ensimmäinen kysymys?" in [item.text for item in page.all("#history a")]
    page.one("#forget").click()
    assert not page.one("#past").is_displayed()


def test_nothing_that_a_passage_or_a_model_says_becomes_markup(browser: webdriver.Chrome) -> None:
    with running(application(FakeGenerator(lambda messages: HOSTILE))) as up:
        page = Page(browser, up.url)
        page.ask()
        time.sleep(0.2)
        assert page.one(".answer").text == HOSTILE
        assert browser.title == "qttrag"
        assert not page.all("article script, article img, article b")
        assert "<script>alert" in page.one(".passages").text
        assert [link.text for link in page.all(".answer a")] == ["[1]"]


def test_an_error_is_told_in_place_of_the_answer(browser: webdriver.Chrome) -> None:
    with running(application(BrokenGenerator(words=1))) as up:
        page = Page(browser, up.url)
        page.ask()
        assert "the generator failed" in page.one(".answer [role=alert]").text
        assert "half" not in page.one(".answer").text


def test_an_overloaded_service_says_when_to_come_again(browser: webdriver.Chrome) -> None:
    with running(application(SlowGenerator(0.5), in_flight=1, queue=0)) as up:
        page = Page(browser, up.url)
        page.ask(QUESTION, "base")
        (told,) = [alert.text for alert in page.all(".answer [role=alert]")]
    assert "try again in" in told


def test_a_question_can_be_stopped(browser: webdriver.Chrome) -> None:
    generator = SlowGenerator(0.3, lambda messages: "word " * 50)
    with running(application(generator)) as up:
        page = Page(browser, up.url)
        page.one("#question").send_keys(QUESTION, Keys.CONTROL, Keys.ENTER)
        page.until(lambda: page.all(".passages > li"))
        page.one("#stop").click()
        page.until(lambda: page.one("#status").text == "Done.")
        assert generator.given_up.wait(1.0)


def test_the_keyboard_is_enough(browser: webdriver.Chrome, service: Running) -> None:
    page = Page(browser, service.url)
    page.one("#question").send_keys(QUESTION)
    reached = []
    for _ in range(14):
        browser.switch_to.active_element.send_keys(Keys.TAB)
        reached.append(browser.switch_to.active_element.get_attribute("id"))
    assert {"lang", "key", "go"} <= set(reached)


def test_everything_that_can_be_used_has_a_name(browser: webdriver.Chrome, service: Running) -> None:
    page = Page(browser, service.url)
    page.ask()
    for element in page.all("button, input, select, textarea, a, meter, summary"):
        if element.is_displayed():
            assert element.accessible_name, element.get_attribute("outerHTML")


def test_a_phone_shows_it_without_scrolling_sideways(browser: webdriver.Chrome, service: Running) -> None:
    browser.set_window_size(500, 900)
    try:
        page = Page(browser, service.url)
        page.ask(QUESTION, "base")
        width = browser.execute_script("return [document.documentElement.scrollWidth, window.innerWidth]")
        assert width[0] <= width[1]
    finally:
        browser.set_window_size(1200, 1000)
