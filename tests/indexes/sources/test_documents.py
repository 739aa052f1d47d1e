"""Cutting documents into passages."""

from __future__ import annotations

import json

from qttrag.documents.document import Block, Document
from qttrag.indexes.recipe import Chunking, EncoderSettings, Recipe, Source
from qttrag.indexes.sources.documents import cut, passages_of, to_line
from qttrag.types import Passage, Place

ENGLISH = "The library of the town was opened in the year 1903 and burnt down in the same year."
FINNISH = "Kaupungin kirjasto avattiin vuonna 1903, ja se paloi saman vuoden syksyllä kokonaan."
KOREAN = "서울의 도서관은 1903년에 문을 열었다."


def passages(
    *blocks: Block, title: str = "", size: int = 100, overlap: int = 1, lang: str | None = None
) -> list[Passage]:
    recipe = Recipe(
        name="x",
        source=Source(kind="folder", path="x"),
        chunking=Chunking(size=size, overlap=overlap),
        encoder=EncoderSettings(model="m"),
        lang=lang,
    )
    return cut(Document(list(blocks), title), "a/b.pdf", recipe)


def test_a_passage_has_its_file_page_and_headings() -> None:
    (one, two) = passages(
        Block("Report", 1, 1), Block(ENGLISH, 0, 1), Block("Costs", 2, 2), Block("They were small.", 0, 3)
    )
    assert (one.passage_id, one.title, one.place) == ("a/b.pdf#0", "Report", Place("a/b.pdf", 1, ("Report",)))
    assert two.title == "Report – Costs"
    assert two.place == Place("a/b.pdf", 3, ("Report", "Costs"))


def test_the_page_of_a_passage_is_the_one_it_begins_on() -> None:
    found = passages(*(Block(f"{ENGLISH} {ENGLISH}", 0, page) for page in (1, 2, 3)), size=20, overlap=0)
    assert [p.place and p.place.page for p in found] == [1, 1, 2, 2, 3, 3]


def test_pages_are_right_where_passages_overlap() -> None:
    texts = [f"Sentence {n} of this report has about ten words in all." for n in range(12)]
    found = passages(*(Block(text, 0, page) for page, text in enumerate(texts, 1)), size=30, overlap=1)
    for passage in found:
        first = int(passage.text.split()[1])
        assert passage.place is not None
        assert passage.place.page == first + 1


def test_each_passage_is_in_one_language() -> None:
    found = passages(Block(ENGLISH), Block(FINNISH), Block(KOREAN), Block("1903 1904"), Block(ENGLISH))
    assert [passage.lang for passage in found] == ["en", "fi", "ko", "en"]
    assert found[2].text == f"{KOREAN} 1903 1904"


def test_lines_of_two_scripts_in_a_paragraph_are_two_passages() -> None:
    assert [p.lang for p in passages(Block(f"{ENGLISH}\n{ENGLISH}\n{KOREAN}"))] == ["en", "ko"]


def test_a_short_paragraph_has_the_language_of_its_neighbours() -> None:
    assert {p.lang for p in passages(Block("Sauna"), Block(FINNISH), Block("Taxi Hotel"))} == {"fi"}


def test_the_language_of_the_recipe_is_that_of_all_passages() -> None:
    assert {p.lang for p in passages(Block(ENGLISH), Block(KOREAN), lang="nb")} == {"nb"}


def test_a_heading_without_text_is_a_passage() -> None:
    found = passages(Block("Slide one", 1, 1), Block("Slide two", 1, 2), Block("Text.", 0, 2))
    assert [p.text for p in found] == ["Slide one", "Text."]


def test_a_title_that_a_program_made_is_not_used() -> None:
    assert passages(Block("Text."), title="Microsoft Word - draft2.doc")[0].title == "b"
    assert passages(Block("Head", 1), Block("Text."), title="untitled")[0].title == "Head"
    assert passages(Block("Head", 1), Block("Text."), title="Annual report")[0].title == "Annual report – Head"


def test_a_line_holds_all_of_a_document() -> None:
    found = passages(Block("Report", 1, 1), Block(f"{ENGLISH}\n{KOREAN}", 0, 1))
    record = json.loads(to_line(found))
    assert passages_of(record["id"], record["text"]) == found


def test_the_title_is_the_highest_of_the_first_headings() -> None:
    assert passages(Block("By A. Author", 2), Block("Report", 1), Block("Text."))[0].title == "Report"
