"""Completions that are copied from given texts."""

from __future__ import annotations

import json

import regex

from qttrag.text.scripts import character_class
from qttrag.types import Quotation

_BY_CHARACTER = character_class("Hani", "Kana", "Hang", "Thai", "Laoo", "Khmr", "Mymr", "Tibt")
_WORDS = regex.compile(rf"[{_BY_CHARACTER}]|[\w--[{_BY_CHARACTER}]]+|\W", regex.V1)


def grammar(quotation: Quotation) -> str:
    """Return a grammar of llguidance for a part of one of the texts, or the other sentence.

    A part is of whole words; of single characters in scripts without spaces and in Korean, whose particles follow a
    name without a space. A space may precede both, as language models write words: within each terminal, as a terminal
    of its own would be taken for the beginning of a part, and then the sentence could not follow it."""
    names = [f"PART{number}" for number in range(len(quotation.texts))]
    rules = [f"{name}: {_part(text)}" for name, text in zip(names, quotation.texts, strict=True)]
    sentence = f'OTHERWISE: " "? {_quoted(quotation.otherwise)}'
    return "\n".join([f"start: {' | '.join(['OTHERWISE', *names])}", sentence, *rules])


def _part(text: str) -> str:
    return f'%regex {{ "substring_chunks": {_quoted([" ", *_WORDS.findall(text)])} }} & /(?s:.*\\w.*)/'


def _quoted(value: str | list[str]) -> str:
    return json.dumps(value, ensure_ascii=False)
