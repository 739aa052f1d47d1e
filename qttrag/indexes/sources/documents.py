"""Cuts documents into passages: within sections, each in one language, with its headings and page.

Between reading and encoding they are JSON lines, one for each document."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import PurePosixPath
from typing import NamedTuple

from qttrag.documents.document import Document
from qttrag.indexes.recipe import Recipe
from qttrag.indexes.sources.characters import repair, trim
from qttrag.indexes.sources.chunking import chunk
from qttrag.indexes.sources.document_languages import languages_of, main_script
from qttrag.types import UNDETERMINED, Lang, Passage, Place

_LONGEST_TITLE = 160  # characters
_FIRST_BLOCKS = 10  # of a document; the highest heading among them is its title
_TITLE_LEVEL = 2  # lower ones are not
_HEADINGS_IN_TITLE = 2  # the innermost ones
_NO_TITLE = re.compile(r"untitled\b|microsoft (word|powerpoint) - |(document|presentation|slide|folie)\s*\d*$", re.I)


class _Unit(NamedTuple):
    """A paragraph, or lines of one script in it. `headings`: above it."""

    text: str
    page: int | None
    headings: tuple[str, ...]


def cut(document: Document, name: str, recipe: Recipe) -> list[Passage]:
    """Return the passages of a document, none if it has no text. `name`: of its file; its passages are NAME#0, ...

    The title of a passage is that of the document (or of its file) and the last two headings above the passage."""
    units = list(_units(document))
    langs = [Lang(recipe.lang)] * len(units) if recipe.lang else languages_of([unit.text for unit in units])
    title = _title(document, name)
    passages: list[Passage] = []
    for (headings, lang), group in groupby(
        zip(units, langs, strict=True), key=lambda pair: (pair[0].headings, pair[1])
    ):
        for text, page in _pieces([unit for unit, _ in group], lang, recipe):
            place = Place(name, page, headings)
            passage_id = f"{name}#{len(passages)}"
            passages.append(Passage(passage_id, text, lang, _full_title(title, headings), place))
    return passages


def _units(document: Document) -> Iterator[_Unit]:
    """Yield the paragraphs; a heading without text below it is one."""
    path: list[tuple[int, str]] = []
    pending: tuple[str, int | None, tuple[str, ...]] | None = None
    for block in document.blocks:
        text = trim(repair(block.text).text)
        if not text:
            continue
        if not block.level:
            pending = None
            for part in _by_script(text):
                yield _Unit(part, block.page, tuple(heading for _, heading in path))
            continue
        path = [(level, heading) for level, heading in path if level < block.level]
        if pending is not None and len(path) <= len(pending[2]):
            yield _Unit(*pending)
        pending = (" ".join(text.split()), block.page, tuple(heading for _, heading in path))
        path.append((block.level, pending[0][:_LONGEST_TITLE]))
    if pending is not None:
        yield _Unit(*pending)


def _by_script(text: str) -> Iterator[str]:
    """Yield the runs of lines of one script."""
    run: list[str] = []
    script: str | None = None
    for line in text.splitlines():
        of_line = main_script(line)
        if run and of_line is not None and script is not None and of_line != script:
            yield "\n".join(run)
            run, script = [], None
        run.append(line)
        script = script or of_line
    yield "\n".join(run)


def _pieces(units: Sequence[_Unit], lang: Lang, recipe: Recipe) -> Iterator[tuple[str, int | None]]:
    """Yield the passages of the units and the page on which each begins."""
    ends: list[int] = []
    for unit in units:
        ends.append((ends[-1] if ends else 0) + len(_squeezed(unit.text)))
    at, before = 0, ""
    for text in chunk("\n".join(unit.text for unit in units), lang, recipe.chunking):
        squeezed = _squeezed(text)
        at += len(before) - (_common(before, squeezed) if recipe.chunking.overlap else 0)
        before = squeezed
        yield text, next(unit.page for unit, end in zip(units, ends, strict=True) if at < end)


def _common(before: str, text: str) -> int:
    """Return the length of the end of one passage with which the next begins."""
    longest = min(len(before) - 1, len(text))
    return next((n for n in range(longest, 0, -1) if before.endswith(text[:n])), 0)


def _squeezed(text: str) -> str:
    return "".join(text.split())


def _title(document: Document, name: str) -> str:
    """Return the document's own title, or else its first high heading, or the name of its file."""
    own = " ".join(repair(document.title).text.split())
    if not own or _NO_TITLE.match(own):
        headings = [block for block in document.blocks[:_FIRST_BLOCKS] if 1 <= block.level <= _TITLE_LEVEL]
        own = " ".join(repair(min(headings, key=lambda block: block.level).text).text.split()) if headings else ""
    return (own or PurePosixPath(name).stem)[:_LONGEST_TITLE]


def _full_title(title: str, headings: Sequence[str]) -> str:
    return " – ".join([title, *(heading for heading in headings[-_HEADINGS_IN_TITLE:] if heading != title)])


def to_line(passages: Sequence[Passage]) -> str:
    """Return the passages of one document as a line of JSON: a record whose text is the JSON of its passages."""
    rows = [(p.text, p.lang, p.title, p.place and p.place.page, p.place.headings if p.place else ()) for p in passages]
    name = passages[0].place and passages[0].place.file
    return json.dumps({"id": name, "text": json.dumps(rows), "lang": UNDETERMINED})


def passages_of(name: str, text: str) -> list[Passage]:
    """Return the passages of a document from its record. `name`: the record's id."""
    return [
        Passage(f"{name}#{n}", passage, Lang(lang), title, Place(name, page, tuple(headings)))
        for n, (passage, lang, title, page, headings) in enumerate(json.loads(text))
    ]
