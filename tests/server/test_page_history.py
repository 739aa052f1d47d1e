"""What the page keeps, what its addresses mean, and what comparisons mark."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.keys import Keys

from tests.server.page_browser import QUESTION, Page, needs_browser
from tests.server.page_service import HOSTILE, PageGenerator, page_application
from tests.server.running import Running, running

pytestmark = needs_browser
GENERATOR = PageGenerator()


@pytest.fixture(scope="module")
def feedback_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("feedback") / "feedback.jsonl"


@pytest.fixture(scope="module")
def service(feedback_file: Path) -> Iterator[Running]:
    with running(page_application(GENERATOR, feedback=feedback_file)) as up:
        yield up


@pytest.fixture
def page(browser: webdriver.Chrome, service: Running) -> Page:
    return Page(browser, service.url)


def test_answers_are_kept_and_shown_again_without_asking(page: Page, service: Running) -> None:
    page.ask()
    page.ask("Entä Ruotsin?")
    address = page.browser.current_url.removeprefix(service.url)
    GENERATOR.seen.clear()
    again = Page(page.browser, service.url, address, kept=True)
    assert again.texts(".answer") == ["It is Helsinki [1]."] * 2
    assert again.texts(".turn h2") == [QUESTION, "Entä Ruotsin?"]
    assert GENERATOR.seen == []


def test_back_leads_to_the_page_before_and_forward_to_the_answer(page: Page) -> None:
    page.ask()
    page.browser.back()
    page.until(lambda: not page.all(".turn"))
    assert page.one("#examples").is_displayed()
    page.browser.forward()
    page.until(lambda: page.texts(".answer") == ["It is Helsinki [1]."])


def test_back_and_forward_find_a_question_that_is_being_answered(page: Page) -> None:
    page.start("slow?")
    page.until(lambda: page.texts(".answer") and page.one(".answer").text)
    page.browser.back()
    page.until(lambda: not page.all(".turn"))
    assert page.one("#go").is_enabled()
    page.browser.forward()
    page.until(lambda: page.states() == ["asking"])


def test_the_history_lists_conversations_and_deletes_them(page: Page) -> None:
    page.ask("ensimmäinen kysymys?")
    page.one("#new").click()
    page.ask("toinen kysymys?")
    page.one("#open-history").click()
    assert page.texts("#kept a") == ["toinen kysymys?", "ensimmäinen kysymys?"]
    page.all("#kept a")[1].click()
    page.until(lambda: page.texts(".turn h2") == ["ensimmäinen kysymys?"])
    page.one("#open-history").click()
    page.one("#forget").click()
    page.one("#open-history").click()
    assert page.texts("#kept a") == []


def test_the_history_is_bounded(page: Page) -> None:
    kept = page.browser.execute_script("""
        const { keep, conversations, newConversation } = await import("/page/js/store.js");
        for (let n = 0; n < 60; n += 1) keep({ ...newConversation(), turns: [{ question: String(n) }] });
        const many = conversations().length;
        for (let n = 0; n < 4; n += 1) keep({ ...newConversation(), turns: [{ question: "x".repeat(700000) }] });
        return [many, conversations().length, localStorage.getItem("qttrag.conversations").length];
    """)
    assert kept[:2] == [50, 2]
    assert kept[2] <= 2_000_000


def test_a_shared_link_fills_in_and_waits_for_a_click(page: Page, service: Running) -> None:
    GENERATOR.seen.clear()
    link = "/#q=Mik%C3%A4%3F&s=base,qtt_rag&l=ko&a=report&c=wiki-ko"
    shared = Page(page.browser, service.url, link)
    assert shared.one("#question").get_property("value") == "Mikä?"
    assert shared.one("#lang").get_property("value") == "ko"
    assert shared.one("#style").get_property("value") == "report"
    assert len(shared.all("#strategies .rows input:checked")) == 2
    assert [box.get_property("value") for box in shared.all("#collections input:checked")] == ["wiki-ko"]
    assert page.browser.switch_to.active_element.get_attribute("id") == "go"
    assert not shared.all(".turn")
    assert GENERATOR.seen == []
    shared.one("#go").click()
    shared.until(lambda: shared.states() == ["done", "done"])


def test_a_link_that_names_what_is_not_here_says_so(page: Page, service: Running) -> None:
    shared = Page(page.browser, service.url, "/#q=hei&s=base,gone&c=wiki-ko&c=lost")
    assert shared.one("#problem").text == "The link names what this service does not have: gone, lost."
    elsewhere = Page(page.browser, service.url, "/#t=1-2")
    assert "This conversation is not in this browser" in elsewhere.one("#notice").text


def test_the_link_of_an_answer_has_its_question_and_options(page: Page, service: Running) -> None:
    link = page.browser.execute_script("""
        const { linkTo, fromLink } = await import("/page/js/options.js");
        const settings = { strategies: ["base", "vote"], lang: "ar", style: "short", collections: ["wiki-fi"] };
        return fromLink(new URL(linkTo("Mikä & mitä?", settings)).hash);
    """)
    settings = {"strategies": ["base", "vote"], "lang": "ar", "style": "short", "collections": ["wiki-fi"]}
    assert link == {"question": "Mikä & mitä?", "settings": settings}


def test_an_answer_is_copied(page: Page, service: Running) -> None:
    page.browser.execute_cdp_cmd(
        "Browser.grantPermissions", {"origin": service.url, "permissions": ["clipboardReadWrite"]}
    )
    page.ask()
    page.press("Copy")
    page.until(lambda: page.status == "Copied")
    assert page.browser.execute_script("return navigator.clipboard.readText()") == "It is Helsinki [1]."


def test_markdown_has_the_answer_and_its_sources_without_their_markup(page: Page) -> None:
    text = page.browser.execute_script(
        """
        const { markdown } = await import("/page/js/actions.js");
        const passage = { n: 1, lang: "en", title: "<b>T</b>", text: "original", translation: "line\\n# two",
                          passage_id: "x", file: "a.pdf", page: 3 };
        return markdown({ question: "Q?" }, { answer: arguments[0], passages: [passage] });
    """,
        HOSTILE,
    )
    assert text.startswith("# Q?\n\n\\<img src=x")
    assert "1. **\\<b\\>T\\</b\\>** (en, a.pdf, page 3)" in text
    assert "   > line\n   > \\# two" in text


def test_answers_are_saved_as_markdown_and_json(page: Page, tmp_path: Path) -> None:
    page.browser.execute_cdp_cmd(
        "Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path), "eventsEnabled": False}
    )
    page.ask()
    page.press("Markdown")
    page.press("Save as JSON")
    page.until(lambda: {path.name for path in tmp_path.iterdir()} >= {"answer.md", "answer.json"})
    assert QUESTION in (tmp_path / "answer.md").read_text(encoding="utf-8")
    assert json.loads((tmp_path / "answer.json").read_text(encoding="utf-8"))["answer"] == "It is Helsinki [1]."


def test_a_thumb_with_a_comment_is_stored(page: Page, feedback_file: Path) -> None:
    page.ask()
    page.press("Bad answer")
    page.one(".opinion textarea").send_keys("väärin")
    page.press("Send")
    page.until(lambda: page.one(".opinion").text == "Thank you.")
    (stored,) = map(json.loads, feedback_file.read_text(encoding="utf-8").splitlines())
    assert (stored["vote"], stored["comment"], stored["question"]) == ("down", "väärin", QUESTION)


def test_where_no_feedback_is_stored_there_are_no_thumbs(browser: webdriver.Chrome) -> None:
    with running(page_application()) as up:
        page = Page(browser, up.url)
        page.ask()
        assert not page.all(".thumb")


def test_strategies_are_compared_side_by_side(page: Page) -> None:
    page.compare("base", "cross_rag")
    page.ask()
    assert page.texts("article h3 code") == ["base", "cross_rag", "qtt_rag"]
    assert len({round(article.rect["y"]) for article in page.all("article")}) == 1
    assert page.one(".agreement").text == "3 of 3 answers are the same."
    assert page.one(".comparison").text == "same answer as cross_rag, qtt_rag"
    assert page.status == "All answers are ready."


def test_a_comparison_marks_other_answers_and_passages_that_only_one_saw(page: Page) -> None:
    page.compare("query_translation", "base")
    page.ask("which other?")
    assert page.one(".agreement").text == "2 of 3 answers are the same."
    other = page.one("article[aria-label=query_translation]")
    assert other.find_element("css selector", ".comparison").text == "different answer"
    assert [item.text.split("\n")[1] for item in page.all(".alone .line")] == ["History of Helsinki"]
    assert other.find_element("css selector", ".alone .badge.alone").text == "only here"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [("Helsinki [1].", "helsinki", True), ("ＡＢＣ", "abc", True), ("서울", "서울입니다", False), ("1,5", "15", False)],
)
def test_answers_agree_if_their_words_are_the_same(page: Page, one: str, other: str, same: bool) -> None:
    compared = """
        const { normalised } = await import("/page/js/compare.js");
        return normalised(arguments[0]) === normalised(arguments[1]);
    """
    assert page.browser.execute_script(compared, one, other) is same


def test_one_strategy_remains_when_comparing_ends(page: Page) -> None:
    page.compare("base")
    page.one("#compare").click()
    assert len(page.all("#strategies .rows input:checked")) == 1
    page.one("#question").send_keys(QUESTION, Keys.ENTER)
    page.until(lambda: page.states() == ["done"])
