"""Word documents, with python-docx: paragraphs and tables, headings by style, pages as Word last laid them out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from qttrag.documents.archives import checked_archive
from qttrag.documents.document import Block, Document
from qttrag.documents.limits import DocumentLimits

_HEADING = re.compile(r"heading (\d)", re.IGNORECASE)
_NESTED_TABLES = 3  # tables inside tables are read to this depth


def read(path: Path, limits: DocumentLimits) -> Document:
    import docx

    with checked_archive(path, limits):
        document = docx.Document(str(path))
    layout = _Layout()
    blocks = list(_blocks(document, layout))
    title = document.core_properties.title.strip()
    return Document(
        blocks if layout.has_pages else [block._replace(page=None) for block in blocks], title, layout.pages
    )


class _Layout:
    """Counts pages by the breaks that Word stored; a document that was never laid out has none."""

    def __init__(self) -> None:
        self.page = 1
        self.has_pages = False

    @property
    def pages(self) -> int | None:
        return self.page if self.has_pages else None

    def add(self, breaks: int) -> None:
        self.page += breaks
        self.has_pages = self.has_pages or breaks > 0


def _blocks(container: Any, layout: _Layout) -> Iterator[Block]:
    from docx.table import Table

    for item in container.iter_inner_content():
        if isinstance(item, Table):
            yield from (Block(row, 0, layout.page) for row in _rows(item, 0))
            continue
        breaks = len(item.rendered_page_breaks)
        starts_page = bool(breaks) and item.rendered_page_breaks[0].preceding_paragraph_fragment is None
        layout.add(1 if starts_page else 0)
        if text := item.text.strip():
            yield Block(text, _level(item), layout.page)
        layout.add(breaks - starts_page)


def _level(paragraph: Any) -> int:
    """Return the level of a heading, 1 for the title of the document; 0 for text."""
    name = (paragraph.style.name if paragraph.style is not None else None) or ""
    if name.lower() == "title":
        return 1
    match = _HEADING.match(name)
    return int(match[1]) + 1 if match else 0


def _rows(table: Any, depth: int) -> Iterator[str]:
    """Yield the rows of a table as lines; a merged cell is read once."""
    for row in table.rows:
        cells, seen = [], set()
        for cell in row.cells:
            if id(cell._tc) in seen:
                continue
            seen.add(id(cell._tc))
            nested = (
                [line for inner in cell.tables for line in _rows(inner, depth + 1)] if depth < _NESTED_TABLES else []
            )
            cells.append(" ".join([*cell.text.split(), *nested]))
        if line := " | ".join(filter(None, cells)):
            yield line
