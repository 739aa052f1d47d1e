"""Words of texts that are written without spaces, by ICU's dictionaries."""

from __future__ import annotations


def dictionary_words(text: str) -> list[str]:
    """Return the words of a text in order, without spaces and punctuation.

    ICU has dictionaries for Thai, Lao, Khmer, Burmese, Chinese and Japanese. It cuts a name that they lack, often into
    single characters."""
    from icu4py.breakers import WordBreaker

    return [word for word in WordBreaker(text, "und") if any(map(str.isalnum, word))]
