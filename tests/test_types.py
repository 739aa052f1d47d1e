from __future__ import annotations

import pytest

from qttrag.types import Lang, Passage


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
def test_a_title_is_put_before_a_text_that_does_not_have_it_there(title: str, text: str, content: str) -> None:
    assert Passage("1", text, Lang("en"), title).content == content
