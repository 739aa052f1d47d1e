"""Asking on the page: the question, the answer as it comes, its passages, and what can go wrong."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest
from selenium import webdriver
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from qttrag.rerankers.none import NoReranker
from qttrag.testing import FakeTagger
from qttrag.types import QualityScores, Verdict
from tests.server.page_browser import QUESTION, Page, needs_browser
from tests.server.page_service import HOSTILE, PageGenerator, page_application
from tests.server.running import DownTranslator, Running, SlowGenerator, application, running

pytestmark = needs_browser
GENERATOR = PageGenerator()


@pytest.fixture(scope="module")
def service() -> Iterator[Running]:
    with running(page_application(GENERATOR)) as up:
        yield up


@pytest.fixture
def page(browser: webdriver.Chrome, service: Running) -> Page:
    return Page(browser, service.url)


@pytest.fixture
def answered(page: Page) -> Page:
    """The page with one answer."""
    page.ask()
    return page


def test_enter_asks_and_the_answer_comes_with_its_sources(answered: Page) -> None:
    assert answered.one(".turn h2").text == QUESTION
    assert answered.one(".answer").text == "It is Helsinki [1]."
    assert answered.one(".sources h4").text == "Sources (3)"


def test_the_answer_stands_above_the_sources(answered: Page) -> None:
    assert answered.one(".answer").rect["y"] < answered.one(".sources").rect["y"]


def test_a_passage_has_one_badge_for_its_quality(answered: Page) -> None:
    badges = {item.text.split("\n")[0].split("]")[0] + "]": item.text.split("\n") for item in answered.all(".line")}
    assert badges["[1]"][-1] == "translation 0.0"
    assert badges["[2]"][-1] == "original"
    assert badges["[3]"][-1] == "translation 4.0 ⚠"


def test_the_worst_score_is_red_and_not_empty(answered: Page) -> None:
    worst, original = answered.one(".line .badge.poor"), answered.one(".line .badge.original")
    assert worst.text == "translation 0.0"
    red, _, blue = _rgb(worst)
    assert red > blue
    assert _rgb(worst) != _rgb(original)


def _rgb(element: WebElement) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", element.value_of_css_property("background-color"))[:3]]


def test_a_passage_is_folded_to_two_lines_and_unfolds_side_by_side(answered: Page) -> None:
    page = answered
    passage = page.all("details.passage")[2]
    assert not passage.get_property("open")
    assert passage.find_element("css selector", ".glimpse").value_of_css_property("-webkit-line-clamp") == "2"
    passage.find_element("css selector", "summary").click()
    assert [title.text for title in page.all(".passage[open] h5")] == ["Original · English", "Translation"]
    original, translation = page.all(".passage[open] .sides > div")
    assert original.rect["y"] == translation.rect["y"]
    facts = page.one(".passage[open] .facts").text.replace("\n", " ")
    assert "Meaning 4.5 of 5" in facts
    assert "Possible errors names missing: Turku" in facts
    assert "after reranking" in facts


def test_a_citation_unfolds_its_passage_and_has_the_focus_there(page: Page) -> None:
    page.ask()
    page.one(".citation").click()
    assert page.one(".passage.cited").get_property("open")
    assert page.browser.switch_to.active_element.text.startswith("[1]")


def test_without_a_reranker_nothing_is_said_to_be_reranked(browser: webdriver.Chrome) -> None:
    made = page_application()
    with running(replace(made, stages=replace(made.stages, reranker=NoReranker()))) as up:
        page = Page(browser, up.url)
        page.ask()
        page.one(".passage summary").click()
        assert "Rank 1" in page.one(".passage[open] .facts").text.replace("\n", " ")
        assert "rerank" not in page.one(".passage[open] .facts").text


def test_a_tagger_of_one_score_shows_one(browser: webdriver.Chrome) -> None:
    made = page_application()
    with running(
        replace(made, stages=replace(made.stages, tagger=FakeTagger(lambda text: Verdict(QualityScores(3.0)))))
    ) as up:
        page = Page(browser, up.url)
        page.ask()
        assert page.texts(".line .badge.doubtful") == ["translation 3.0", "translation 3.0"]
        page.one(".passage summary").click()
        facts = page.one(".passage[open] .facts").text
        assert "Meaning" in facts
        assert "Grammar" not in facts


def test_passages_of_documents_show_file_page_and_headings(answered: Page) -> None:
    shown = answered.browser.execute_script("""
        const { passageList } = await import("/page/js/passages.js");
        const place = { file: "report <b>.pdf", page: 7, headings: ["Results", "Tables"] };
        const rest = { n: 1, passage_id: "x", title: "", lang: "fi", text: "t", translation: null,
                       scores: null, unscored: null, critical_errors: [], refined: null, flags: [],
                       score: 1, retrieved_rank: 1 };
        return passageList([{ ...rest, ...place }], String).textContent;
    """)
    for part in ("report <b>.pdf", "Page7", "SectionResults › Tables"):
        assert part in shown


def test_stages_are_shown_as_they_happen_and_the_answer_streams_in(page: Page) -> None:
    page.start("slow?")
    page.until(lambda: "Writing the answer" in page.one(".stages").text)
    done = page.texts(".stages [data-state=done]")
    assert [line.split(" · ")[0] for line in done] == ["Searched (texts: 3)", "Translated", "Translations rated"]
    first = page.until(lambda: page.one(".answer").text)
    page.until(lambda: len(page.one(".answer").text) > len(first))
    assert page.states() == ["asking"]
    assert page.status == "Writing the answer …"


def test_a_question_can_be_stopped_and_asked_again(page: Page) -> None:
    page.start("slow?")
    page.until(lambda: page.one(".answer").text)
    page.press("Stop")
    page.until(lambda: page.states() == ["stopped"])
    assert page.status == "Stopped."
    assert page.one("#go").is_enabled()
    page.press("Try again")
    page.until(lambda: page.states() == ["asking"])


def test_a_screen_reader_is_told_the_answer(answered: Page) -> None:
    assert answered.one("#status").get_attribute("aria-live") == "polite"
    assert answered.status == "Answer: It is Helsinki [1]."


def test_an_error_is_told_in_place_of_the_answer_and_can_be_retried(page: Page) -> None:
    page.ask("broken?", states=["failed"])
    assert "A part of the service failed: language model." in page.one(".state").text
    assert "half" not in page.one("article").text
    assert page.status == "A part of the service failed: language model."
    assert "127.0.0.1:9" not in page.one("body").text
    assert [button.text for button in page.all(".state button")] == ["Try again"]


def test_an_answer_without_translations_says_so(browser: webdriver.Chrome) -> None:
    made = page_application()
    with running(replace(made, stages=replace(made.stages, translator=DownTranslator()))) as up:
        page = Page(browser, up.url)
        page.ask(states=["degraded"])
        assert "untranslated" in page.one(".notes").text


def test_a_busy_service_counts_down_to_a_new_attempt(browser: webdriver.Chrome) -> None:
    with running(application(SlowGenerator(0.1), in_flight=1, queue=0)) as up:
        page = Page(browser, up.url)
        page.compare("base")
        page.ask(states=["done", "busy"])
        assert sorted(page.states()) == ["busy", "done"]
        assert "The service is busy." in page.one("[data-state=busy] .state").text
        assert "You can try again in" in page.one(".countdown").text
        retry = page.one("[data-state=busy] .retry")
        assert not retry.is_enabled()
        page.until(retry.is_enabled)
        retry.click()
        page.until(lambda: page.states() == ["done", "done"])


def test_while_models_load_the_page_says_so_and_asks_when_they_are_ready(browser: webdriver.Chrome) -> None:
    loaded = threading.Event()

    class Loading:
        async def start(self) -> None:
            await asyncio.to_thread(loaded.wait, 20)

    with running(replace(page_application(), parts=[("generator", Loading())])) as up:
        page = Page(browser, up.url)
        page.until(lambda: page.one("#loading").is_displayed())
        assert "The models are being loaded: language model." in page.one("#loading").text
        page.start()
        page.until(lambda: page.states() == ["loading"])
        page.until(lambda: "language model" in page.one(".state").text)
        loaded.set()
        page.until(lambda: page.states() == ["done"])
        page.until(lambda: not page.one("#loading").is_displayed())


def test_a_key_is_asked_for_only_after_the_service_refused(
    browser: webdriver.Chrome, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not page.one("#key").is_displayed()
    monkeypatch.setenv("QTTRAG_API_KEYS", "right")
    with running(page_application()) as up:
        page = Page(browser, up.url)
        assert page.one("#key-dialog").get_property("open")
        assert not page.one("#key-problem").is_displayed()
        page.one("#key").send_keys("wrong", Keys.ENTER)
        page.until(lambda: page.one("#key-problem").is_displayed())
        page.one("#key").send_keys("right", Keys.ENTER)
        page.until(lambda: page.all("body[data-ready]"))
        page.ask()
        assert page.one(".answer").text == "It is Helsinki [1]."


def test_nothing_that_a_passage_or_a_model_says_becomes_markup(page: Page) -> None:
    page.ask("hostile")
    assert page.one(".answer").text == HOSTILE
    assert page.browser.title == "hostile · qttrag"
    assert not page.all("#thread script, #thread img, #thread b")
    assert "<b>Turku</b>" in page.one(".sources").text
    assert page.texts(".citation") == ["[1]"]


def test_examples_are_in_the_language_of_the_page_and_ask_with_one_click(page: Page) -> None:
    assert page.texts("#examples li") == ["When was Oodi opened?", "Who lives in Turku?", "What is a sauna?"]
    page.all("#examples button")[0].click()
    page.until(lambda: page.states() == ["done"])
    assert page.one(".turn h2").text == "When was Oodi opened?"
    assert not page.one("#examples").is_displayed()


def test_a_follow_up_is_understood_by_the_turns_before(page: Page) -> None:
    page.ask("Mikä on pääkaupunki?")
    GENERATOR.seen.clear()
    page.ask("Entä sitten?")
    assert len(page.all(".turn")) == 2
    condensed = str(GENERATOR.seen[0][0])
    assert all(text in condensed for text in ("Mikä on pääkaupunki?", "It is Helsinki", "Entä sitten?"))


def test_shift_enter_is_a_line_and_enter_while_composing_is_not_a_question(page: Page) -> None:
    field = page.one("#question")
    field.send_keys("one", Keys.SHIFT, Keys.ENTER, Keys.NULL, "two")
    page.browser.execute_script(
        "arguments[0].dispatchEvent(new KeyboardEvent('keydown', {key: 'Enter', isComposing: true, bubbles: true}))",
        field,
    )
    assert field.get_property("value") == "one\ntwo"
    assert not page.all(".turn")


def test_options_say_what_each_strategy_does(page: Page) -> None:
    assert not page.one("#strategies").is_displayed()
    page.unfold("#options")
    rows = page.texts("#strategies .rows label")
    assert "base Reads the texts as they are, in any language." in rows
    assert len(rows) == 8
    assert len(page.all("#strategies input[type=radio]")) == 8


def test_without_a_collection_nothing_is_asked(page: Page) -> None:
    page.unfold("#options")
    for box in page.all("#collections input"):
        box.click()
    page.start()
    assert page.one("#problem").text == "Choose at least one collection."
    assert not page.all(".turn")


def test_only_the_chosen_collections_are_searched(page: Page) -> None:
    page.unfold("#options")
    page.one("#collections input[value=wiki-ko]").click()
    page.one("#collections input[value=wiki-en]").click()
    page.ask()
    assert page.texts(".line .badge.plain") == ["Finnish"]


def test_where_there_is_no_choice_of_collections_none_is_shown(browser: webdriver.Chrome) -> None:
    with running(application()) as up:
        page = Page(browser, up.url)
        page.unfold("#options")
        assert not page.one("#collections").is_displayed()
