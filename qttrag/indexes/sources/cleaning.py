"""Removes from Wikipedia's text what is not prose: markup, headings without text, lists without a sentence.

Nothing is added: no space between characters that had none."""

from __future__ import annotations

import re
from collections.abc import Sequence

_MARKER = re.compile(r"^(?:BULLET::::|Section::::)")
_BULLET = re.compile(r"^(?:[-*•·–]|\d{1,3}[.)])\s+")
_IMAGE = re.compile(
    r"^\s*(?:(?:thumb|thumbnail|mini|miniatur|miniatura|frame|frameless|left|right|center|upright|\d+px)\s*\|)"
)
_FINAL_PUNCTUATION = ".!?…。！？．｡।॥؟۔།။።՞"
_CLOSING_PUNCTUATION = "\"'”’»›)]）」』】》〉″”"
_LONG = 120  # length of a line that is prose without final punctuation: Thai has none; headings are shorter
_SENTENCE = 12
_DENSE = "\u0e00"  # from here on (Thai, Chinese, Korean, ...) a character says as much as three letters


def wikipedia(text: str) -> str:
    """Return the paragraphs that contain a sentence, separated by line breaks; "" if there is none.

    Empty lines separate paragraphs. Of a paragraph with a sentence every line is kept, so a list stays with the
    sentence that introduces it; headings, lists of links or categories, and image captions are dropped."""
    paragraphs = [lines for lines in map(_lines, re.split(r"\n\s*\n", text)) if any(map(is_prose, lines))]
    return "\n".join(line for lines in paragraphs for line in lines)


def kilt(paragraphs: Sequence[str], title: str) -> str:
    """Return the text of a page of the KILT knowledge source, without its title and the markers of sections and lists.

    Consecutive list items are lines of one paragraph; empty lines separate paragraphs."""
    parts: list[str] = []
    in_list = False
    for number, paragraph in enumerate(paragraphs):
        text = paragraph.strip()
        if not text or text.startswith("Section::::") or (number == 0 and text == title.strip()):
            in_list = False
            continue
        is_item = text.startswith("BULLET::::")
        text = _BULLET.sub("", _MARKER.sub("", text)).strip() if is_item else text
        if text:
            parts.append(("\n" if is_item and in_list else "\n\n") + text)
        in_list = is_item
    return "".join(parts).strip()


def is_prose(line: str) -> bool:
    """Return whether a line contains a sentence: it is long, or it ends like one and is longer than a name."""
    text = line.strip()
    if _length(text) >= _LONG:
        return True
    inner = text.rstrip(_CLOSING_PUNCTUATION)
    return inner.endswith(tuple(_FINAL_PUNCTUATION)) and _length(inner) >= _SENTENCE


def _length(text: str) -> int:
    """Return the approximate length of the text in letters of an alphabet; for a long text, at least its own length."""
    if len(text) >= _LONG or text.isascii():
        return len(text)
    return len(text) + 2 * sum(character >= _DENSE for character in text)


def _lines(paragraph: str) -> list[str]:
    return [line.strip() for line in paragraph.splitlines() if line.strip() and not _IMAGE.match(line)]
