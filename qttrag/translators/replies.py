"""The translation in a language model's reply, without what models write around it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from qttrag.prompts import TranslatePrompt
from qttrag.text.reasoning import separate

_FENCE = re.compile(r"```[^\n`]*\n(.*?)\n?```", re.DOTALL)
_QUOTES = ("\"\"", "''", "“”", "„“", "„”", "””", "«»", "»«", "「」", "『』", "‘’")  # fmt: skip
_COLON = re.compile("[:：]")
_REFUSAL_START = 160  # characters; a refusal comes first
_BETWEEN = ".{0,60}?"  # a "*" in a refusal


class Reply(NamedTuple):
    """The translation in a reply. `refused`: there is none. `stripped`: something around it was removed."""

    text: str
    refused: bool = False
    stripped: bool = False


def translation_in(reply: str, source_text: str, prompts: Sequence[TranslatePrompt]) -> Reply:
    """Return the translation of `source_text`, which is one line, in a reply.

    Removed: reasoning, a sentence that introduces the translation, notes in lines after it, a code fence, and quotes
    around all of it; nothing of this where the source has it, too. `prompts`: of the languages in which the model may
    write beside the translation."""
    answer = separate(reply).answer.strip()
    if _refuses(answer, [phrase for prompt in prompts for phrase in prompt.refusals]):
        return Reply("", refused=True)
    text = answer
    if fenced := None if "```" in source_text else _FENCE.search(text):
        text = fenced[1].strip()
    text = _without_notes(text, [phrase for prompt in prompts for phrase in prompt.notes])
    if not _COLON.search(source_text):
        text = _without_introduction(text, [phrase for prompt in prompts for phrase in prompt.introductions])
    text = _without_quotes(text, source_text)
    return Reply(text, stripped=text != answer)


def _refuses(text: str, phrases: Iterable[str]) -> bool:
    start = text[:_REFUSAL_START].casefold().replace("’", "'")
    patterns = (_BETWEEN.join(map(re.escape, phrase.casefold().split("*"))) for phrase in phrases)
    return any(re.search(pattern, start) for pattern in patterns)


def _any_of(phrases: Iterable[str]) -> str:
    return "|".join(map(re.escape, sorted(phrases, key=len, reverse=True)))


def _without_introduction(text: str, phrases: Sequence[str]) -> str:
    """Return the text after "Here is the translation:" and the like; the text itself if nothing follows it."""
    pattern = rf"[\W_]*(?:{_any_of(phrases)})[^:：\n]{{0,80}}[:：][*_]*\s*"
    match = re.match(pattern, text.replace("’", "'"), re.IGNORECASE)
    return text[match.end() :] or text if match else text


def _without_notes(text: str, phrases: Sequence[str]) -> str:
    """Return the text before the first line, but the first, that begins as a note does."""
    match = re.search(rf"\n\s*[(*_\[（]*(?:{_any_of(phrases)})", text, re.IGNORECASE)
    return text[: match.start()].rstrip() if match else text


def _without_quotes(text: str, source_text: str) -> str:
    for pair in _QUOTES:
        opening, closing = pair[0], pair[1]
        inner = text[1:-1]
        if inner and text[0] == opening and text[-1] == closing and not set(inner) & {opening, closing}:
            return text if source_text[:1] in "".join(_QUOTES) else inner.strip()
    return text
