"""PDF files, with pypdfium2: lines of text, with headings by their size of type and by the outline."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any, NamedTuple

from qttrag.documents.document import Block, Document, DocumentError
from qttrag.documents.limits import DocumentLimits

_HYPHEN = re.compile("[\ufffe\x02](?:\r?\n)?")  # PDFium's mark for a hyphen at the end of a line
_LEADERS = re.compile(r"(?:[ \t]*[.·…_]){5,}")  # between a title and its page in a table of contents
_HEADING_SIZE = 1.15  # times the usual size of the document
_HEADING_CHARACTERS = 150
_PARAGRAPH_GAP = 1.4  # times the usual distance of lines
_REPEATED = 0.6  # share of the pages on which a first or last line is a running title
_FEW_PAGES = 4  # with fewer, repeated lines are kept


class _Line(NamedTuple):
    """`size`: of its first letter, in points, 0: unknown; `y`: of that letter's bottom, in points from below."""

    text: str
    size: float = 0.0
    y: float = 0.0


def read(path: Path, limits: DocumentLimits) -> Document:
    import pypdfium2 as pdfium

    try:
        pdf = pdfium.PdfDocument(str(path))
    except pdfium.PdfiumError as error:
        if "assword" in str(error) or "ecurity" in str(error):
            raise DocumentError("encrypted", "the PDF file is encrypted; save it without a password") from error
        raise DocumentError("broken", "the PDF file is damaged; save or download it again") from error
    count = len(pdf)
    if count > limits.max_pages:
        raise DocumentError("too_many_pages", f"it has {count} pages, at most {limits.max_pages} are read")
    pages, images = _pages(pdf, limits)
    if not any(pages):
        what = "its pages are images without text; recognise the text (OCR) first" if images else "it has no text"
        raise DocumentError("no_text", what)
    _drop_running_titles(pages)
    title = (pdf.get_metadata_value("Title") or "").strip()
    return Document(list(_blocks(pages)), title, count, images)


def _pages(pdf: Any, limits: DocumentLimits) -> tuple[list[list[_Line]], int]:
    """Return the lines of each page, and the number of pages that have images and no text."""
    from pypdfium2 import raw

    pages, characters, images = list[list[_Line]](), 0, 0
    for page in pdf:
        lines = _lines(page.get_textpage())
        characters += sum(len(line.text) for line in lines)
        if characters > limits.max_characters:
            raise DocumentError("too_large", f"its text is longer than {limits.max_characters} characters")
        if not lines:
            images += any(True for _ in page.get_objects(filter=[raw.FPDF_PAGEOBJ_IMAGE], max_depth=3))
        pages.append(lines)
        page.close()
    return pages, images


def _lines(textpage: Any) -> list[_Line]:
    from pypdfium2 import raw

    n = textpage.count_chars()
    text = textpage.get_text_range(0, n) if n else ""
    has_sizes = len(text) == n  # else a character takes several places, and positions differ
    lines, start = list[_Line](), 0
    for line in text.splitlines(keepends=True):
        if text_of_line := line.strip():
            at = start + len(line) - len(line.lstrip())
            known = (
                (float(raw.FPDFText_GetFontSize(textpage, at)), textpage.get_charbox(at, loose=True)[1])
                if has_sizes
                else ()
            )
            lines.append(_Line(text_of_line, *known))
        start += len(line)
    return lines


def _paragraphs(lines: Sequence[_Line]) -> Iterator[list[_Line]]:
    """Yield the paragraphs of lines: between them is more space than between most lines, or a new column begins."""
    gaps = sorted(gap for above, below in pairwise(lines) if (gap := above.y - below.y) > 0)
    usual = gaps[len(gaps) // 2] if gaps else 0.0
    paragraph: list[_Line] = []
    for line in lines:
        gap = paragraph[-1].y - line.y if paragraph else 0.0
        if gap > _PARAGRAPH_GAP * usual or gap < -usual:
            yield paragraph
            paragraph = []
        paragraph.append(line)
    yield paragraph


def _drop_running_titles(pages: list[list[_Line]]) -> None:
    """Remove first and last lines that most pages have in common but for numbers."""
    if len(pages) < _FEW_PAGES:
        return
    for place in (0, -1):
        forms = Counter(_form(lines[place].text) for lines in pages if lines)
        form, n = forms.most_common(1)[0]
        if n >= _REPEATED * len(pages):
            for lines in pages:
                if lines and _form(lines[place].text) == form:
                    del lines[place]


def _form(text: str) -> str:
    return re.sub(r"\d+", "#", text)


def _blocks(pages: Sequence[Sequence[_Line]]) -> Iterator[Block]:
    """Yield a block for each page's runs of lines of the same kind, heading or text."""
    usual = _usual_size(pages)
    sizes = sorted({_rounded(line) for lines in pages for line in lines if _is_heading(line, usual)}, reverse=True)
    levels = {size: level for level, size in enumerate(sizes, 1)}

    def level(line: _Line) -> int:
        return levels[_rounded(line)] if _is_heading(line, usual) else 0

    for number, lines in enumerate(pages, 1):
        for of_level, group in groupby(lines, key=level):
            run = list(group)
            for part in [run] if of_level else _paragraphs(run):
                text = _LEADERS.sub(" ", _HYPHEN.sub("", "\n".join(line.text for line in part)))
                if text.strip():
                    yield Block(" ".join(text.split()) if of_level else text, of_level, number)


def _usual_size(pages: Sequence[Sequence[_Line]]) -> float:
    """Return the size of type that most characters have; 0 if no size is known."""
    sizes: Counter[float] = Counter()
    for lines in pages:
        for line in lines:
            sizes[_rounded(line)] += len(line.text)
    return sizes.most_common(1)[0][0] if sizes else 0.0


def _rounded(line: _Line) -> float:
    return round(line.size * 2) / 2


def _is_heading(line: _Line, usual: float) -> bool:
    is_larger = usual > 0 and _rounded(line) >= _HEADING_SIZE * usual
    return is_larger and len(line.text) <= _HEADING_CHARACTERS and any(map(str.isalpha, line.text))
