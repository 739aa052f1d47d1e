"""Plain text, in UTF-8, UTF-16, or an older encoding that its bytes show."""

from __future__ import annotations

import codecs
import re
from pathlib import Path

from qttrag.documents.document import Block, Document, DocumentError
from qttrag.documents.limits import DocumentLimits

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SAMPLE = 65_536  # bytes by which an older encoding is recognised
_CONTROLS = re.compile("[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_BINARY_SHARE = 0.01  # of control characters; text has none
_PARAGRAPH = re.compile(r"\n\s*\n")


def read(path: Path, limits: DocumentLimits) -> Document:
    return Document([Block(part) for part in _PARAGRAPH.split(decode(path.read_bytes())) if part.strip()])


def decode(data: bytes) -> str:
    """Return the text of a file.

    Raises:
        DocumentError: it is no text, or its encoding cannot be recognised."""
    text = _decoded(data)
    if len(_CONTROLS.findall(text)) > _BINARY_SHARE * len(text):
        raise DocumentError("broken", "it is no text file")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _decoded(data: bytes) -> str:
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return data.decode(encoding, "replace")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        pass
    from charset_normalizer import from_bytes

    best = from_bytes(data[:_SAMPLE]).best()
    if best is None:
        raise DocumentError("broken", "the encoding of its characters is unknown; save it as UTF-8")
    return data.decode(best.encoding, "replace")
