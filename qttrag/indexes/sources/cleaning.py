"""Taking out of Wikipedia's text what is no text: marks, headings of nothing, pieces that are only lists.

Nothing is put in: no space comes between characters that had none."""

from __future__ import annotations

import re
from collections.abc import Sequence

_MARK = re.compile(r"^(?:BULLET::::|Section::::)")
_BULLET = re.compile(r"^(?:[-*•·–]|\d{1,3}[.)])\s+")
_IMAGE = re.compile(
    r"^\s*(?:(?:thumb|thumbnail|mini|miniatur|miniatura|frame|frameless|left|right|center|upright|\d+px)\s*\|)"
)
_ENDS = ".!?…。！？．｡।॥؟۔།။።՞"
_CLOSERS = "\"'”’»›)]）」』】》〉″”"
_LONG = 120  # of a line without a mark at its end: Thai sets none, headings and items of lists are shorter
_SENTENCE = 12
_DENSE = "\u0e00"  # from here on, Thai, Chinese, Korean and the like, a character says as much as three of others


def wikipedia(text: str) -> str:
    """Return the paragraphs that have a sentence in them, parted by line breaks; "" if there is none.

    Paragraphs are what empty lines part. Of one that is kept every line is kept, so a list stays with the sentence
    that introduces it; headings, lists of links or categories, and remains of images go."""
    kept = [lines for lines in map(_lines, re.split(r"\n\s*\n", text)) if any(map(is_prose, lines))]
    return "\n".join(line for lines in kept for line in lines)


def kilt(paragraphs: Sequence[str], title: str) -> str:
    """Return the text of a page of the KILT knowledge source: no title, section markers or marks of lists.

    Items of a list that follow each other are lines of one paragraph; paragraphs are parted by empty lines."""
    written: list[str] = []
    in_list = False
    for number, paragraph in enumerate(paragraphs):
        text = paragraph.strip()
        if not text or text.startswith("Section::::") or (number == 0 and text == title.strip()):
            in_list = False
            continue
        item = text.startswith("BULLET::::")
        text = _BULLET.sub("", _MARK.sub("", text)).strip() if item else text
        if text:
            written.append(("\n" if item and in_list else "\n\n") + text)
        in_list = item
    return "".join(written).strip()


def is_prose(line: str) -> bool:
    """Say whether a line has a sentence: it ends like one and has more than a name, or it is long."""
    text = line.strip()
    if _length(text) >= _LONG:
        return True
    ended = text.rstrip(_CLOSERS)
    return ended.endswith(tuple(_ENDS)) and _length(ended) >= _SENTENCE


def _length(text: str) -> int:
    """Return about how many letters of an alphabet would say it, of a long text at least its own."""
    if len(text) >= _LONG or text.isascii():
        return len(text)
    return len(text) + 2 * sum(character >= _DENSE for character in text)


def _lines(paragraph: str) -> list[str]:
    return [line.strip() for line in paragraph.splitlines() if line.strip() and not _IMAGE.match(line)]
