"""The types of documents by the names of files, checked against how the files begin."""

from __future__ import annotations

import importlib.util
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from qttrag.documents.document import DocumentError
from qttrag.errors import ConfigError

_ZIP, _PDF, _OLE = b"PK\x03\x04", b"%PDF-", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_PDF_HEAD = 1024  # bytes in which "%PDF-" may begin
_ENCRYPTED = "EncryptedPackage".encode("utf-16-le")  # the part of an OLE file that holds an encrypted Office document


class DocumentType(NamedTuple):
    """`name`: also of its module in `readers`. `extensions`: of its files. `packages`: modules it needs."""

    name: str
    extensions: tuple[str, ...]
    packages: tuple[str, ...] = ()
    is_zip: bool = False


TYPES = {
    kind.name: kind
    for kind in (
        DocumentType("pdf", (".pdf",), ("pypdfium2",)),
        DocumentType("docx", (".docx", ".docm"), ("docx",), is_zip=True),
        DocumentType("pptx", (".pptx", ".pptm"), ("pptx",), is_zip=True),
        DocumentType("xlsx", (".xlsx", ".xlsm"), ("python_calamine",), is_zip=True),
        DocumentType("html", (".html", ".htm", ".xhtml"), ("lxml.html",)),
        DocumentType("epub", (".epub",), ("lxml.html",), is_zip=True),
        DocumentType("markdown", (".md", ".markdown"), ("markdown_it", "charset_normalizer")),
        DocumentType("text", (".txt", ".text"), ("charset_normalizer",)),
        DocumentType("email", (".eml",), ("lxml.html",)),
    )
}
"""The types by name."""

_BY_EXTENSION = {extension: kind for kind in TYPES.values() for extension in kind.extensions}
_OLD_OFFICE = (".doc", ".ppt", ".xls", ".msg")


def type_of(name: str) -> DocumentType:
    """Return the type of a file by its name.

    Raises:
        DocumentError: files with this extension are not read."""
    extension = PurePosixPath(name).suffix.lower()
    if extension in _BY_EXTENSION:
        return _BY_EXTENSION[extension]
    known = ", ".join(sorted(extension[1:] for extension in _BY_EXTENSION))
    what = f"files of type '{extension}' are not read" if extension else "its name has no extension"
    hint = "save it in the current format of the program; " if extension in _OLD_OFFICE else ""
    raise DocumentError("unsupported_type", f"{what}; {hint}types: {known}")


def check_head(path: Path, kind: DocumentType) -> None:
    """Check that a file begins as files of its type do.

    Raises:
        DocumentError: it is empty, encrypted, or of another type."""
    with path.open("rb") as stream:
        head = stream.read(_PDF_HEAD)
        if not head.strip():
            raise DocumentError("no_text", "the file is empty")
        if kind.is_zip and head.startswith(_OLE):
            stream.seek(0)
            raise _ole(stream.read(1 << 20))
    if kind.is_zip and not head.startswith(_ZIP):
        raise DocumentError("broken", f"it is no {kind.name.upper()} file, which is a ZIP archive; save it again")
    if kind.name == "pdf" and _PDF not in head:
        raise DocumentError("broken", "it is no PDF file: it does not begin with %PDF-")


def _ole(beginning: bytes) -> DocumentError:
    if _ENCRYPTED in beginning:
        return DocumentError("encrypted", "the document is encrypted; save it without a password")
    return DocumentError("unsupported_type", "it is in an old format of Office; save it in the current one")


def check_installed(names: set[str]) -> None:
    """Check that the packages which read these types are installed.

    Raises:
        ConfigError: one is not."""
    for name in sorted(names):
        for package in TYPES[name].packages:
            top = package.split(".")[0]
            if importlib.util.find_spec(top) is None:
                raise ConfigError(
                    f"reading {name} files needs the package '{top}', which is not installed; "
                    "pip install 'qttrag[documents]'"
                )
