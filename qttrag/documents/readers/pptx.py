"""Slides, with python-pptx: the title, the texts, tables and notes of each slide. Slides are pages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from qttrag.documents.archives import checked_archive
from qttrag.documents.document import Block, Document, DocumentError
from qttrag.documents.limits import DocumentLimits

_NESTED_GROUPS = 8


def read(path: Path, limits: DocumentLimits) -> Document:
    import pptx

    with checked_archive(path, limits):
        presentation = pptx.Presentation(str(path))
    count = len(presentation.slides)
    if count > limits.max_pages:
        raise DocumentError("too_many_pages", f"it has {count} slides, at most {limits.max_pages} are read")
    blocks = [block for number, slide in enumerate(presentation.slides, 1) for block in _blocks(slide, number)]
    title = presentation.core_properties.title.strip()
    return Document(blocks, "" if title == "PowerPoint Presentation" else title, count)


def _blocks(slide: Any, number: int) -> Iterator[Block]:
    title = slide.shapes.title
    if title is not None and (text := " ".join(title.text_frame.text.split())):
        yield Block(text, 1, number)
    for shape in _shapes(slide.shapes, 0):
        if title is not None and shape.shape_id == title.shape_id:
            continue
        for text in _texts(shape):
            yield Block(text, 0, number)
    if slide.has_notes_slide and (frame := slide.notes_slide.notes_text_frame) is not None and frame.text.strip():
        yield Block(frame.text.strip(), 0, number)


def _shapes(shapes: Any, depth: int) -> Iterator[Any]:
    for shape in shapes:
        if hasattr(shape, "shapes") and depth < _NESTED_GROUPS:
            yield from _shapes(shape.shapes, depth + 1)
        else:
            yield shape


def _texts(shape: Any) -> Iterator[str]:
    if getattr(shape, "has_text_frame", False) and (text := shape.text_frame.text.strip()):
        yield text
    if getattr(shape, "has_table", False):
        for row in shape.table.rows:
            cells = [" ".join(cell.text_frame.text.split()) for cell in row.cells]
            if line := " | ".join(filter(None, cells)):
                yield line
