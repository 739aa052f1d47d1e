from __future__ import annotations

import pytest

from qttrag.types import Lang, Passage, TaggedPassage


@pytest.mark.parametrize(
    ("title", "text", "content"),
    [
        ("", "A text.", "A text."),
        ("Turku", "The river flows through it.", "Turku. The river flows through it."),
        ("Fin", "Finlandia is a tone poem.", "Fin. Finlandia is a tone poem."),
        ("Turku", "Turku is a city.", "Turku. Turku is a city."),
        ("Turku", "Turku. A city in Finland.", "Turku. A city in Finland."),
    ],
)
def test_a_title_precedes_a_text_that_does_not_begin_with_it(title: str, text: str, content: str) -> None:
    assert Passage("1", text, Lang("en"), title).content == content


@pytest.mark.parametrize(("translation", "text"), [(None, "A text."), ("Teksti.", "Teksti."), ("", "")])
def test_a_translation_is_read_even_if_it_is_empty(translation: str | None, text: str) -> None:
    assert TaggedPassage(Passage("1", "A text.", Lang("en")), translation).reading_text == text
