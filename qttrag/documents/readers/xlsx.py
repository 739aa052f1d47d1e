"""Tables, with python-calamine: a heading for each sheet, a paragraph for each row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from qttrag.documents.archives import checked_archive
from qttrag.documents.document import Block, Document, DocumentError
from qttrag.documents.limits import DocumentLimits

_SHEET_LEVEL = 3  # below the levels of titles: the first sheet's name is no title of the workbook


def read(path: Path, limits: DocumentLimits) -> Document:
    from python_calamine import CalamineError, CalamineWorkbook, PasswordError

    with checked_archive(path, limits):
        try:
            workbook = CalamineWorkbook.from_path(str(path))
        except PasswordError as error:
            raise DocumentError("encrypted", "the workbook is encrypted; save it without a password") from error
        except CalamineError as error:
            raise DocumentError("broken", "the workbook is damaged; save it again") from error
    blocks: list[Block] = []
    characters = 0
    for name in workbook.sheet_names:
        blocks.append(Block(name, _SHEET_LEVEL))
        for line in _lines(workbook.get_sheet_by_name(name).iter_rows()):
            characters += len(line)
            if characters > limits.max_characters:
                raise DocumentError("too_large", f"its text is longer than {limits.max_characters} characters")
            blocks.append(Block(line))
    return Document(blocks if characters else [])


def _lines(rows: Any) -> Iterator[str]:
    """Yield each row with cells; "name: value" where the first row has only names."""
    header: list[str] | None = None
    rows_read = False
    for row in rows:
        cells = [_text(cell) for cell in row]
        if not any(cells):
            continue
        if header is None:
            header = cells if _is_header(row, cells) else []
            if header:
                continue
        yield _line(cells, header)
        rows_read = True
    if header and not rows_read:
        yield " | ".join(header)


def _text(cell: Any) -> str:
    whole = isinstance(cell, float) and cell.is_integer()  # workbooks have no whole numbers
    return " ".join(str(int(cell) if whole else cell).split())


def _is_header(row: Sequence[Any], cells: Sequence[str]) -> bool:
    return len(cells) > 1 and all(cells) and all(isinstance(cell, str) for cell in row)


def _line(cells: Sequence[str], header: Sequence[str]) -> str:
    if not header:
        return " | ".join(filter(None, cells))
    pairs = zip(header, cells, strict=False)
    return "; ".join(f"{name}: {cell}" for name, cell in pairs if cell)
