"""ZIP archives from strangers: Office documents and books. They are checked before anything is unpacked."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from qttrag.documents.document import DocumentError
from qttrag.documents.limits import DocumentLimits

_MAX_MEMBERS = 20_000
_MAX_RATIO = 250  # unpacked to packed bytes; repetitive XML reaches some 100
_SMALL = 10_000_000  # bytes; a member up to this size may have any ratio
_XML = (".xml", ".rels", ".opf", ".ncx")
_PROLOGUE = 65_536  # bytes in which a document type may be declared
_ENTITY = re.compile(rb"<\x00?!\x00?E\x00?N\x00?T\x00?I\x00?T\x00?Y", re.IGNORECASE)  # UTF-16, too
_DOCTYPE = re.compile(rb"<\x00?!\x00?D\x00?O\x00?C\x00?T\x00?Y\x00?P\x00?E", re.IGNORECASE)


@contextmanager
def checked_archive(path: Path, limits: DocumentLimits, *, allows_doctype: bool = False) -> Iterator[zipfile.ZipFile]:
    """Open an archive whose unpacked size is within the limits and whose XML declares no entities.

    `allows_doctype`: XML may name a document type, as XHTML does; Office documents must not.

    Raises:
        DocumentError: it is damaged, encrypted, or unsafe."""
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError) as error:
        raise DocumentError("broken", "it is no complete ZIP archive; save or download it again") from error
    with archive:
        _check_sizes(archive.infolist(), limits)
        for member in archive.infolist():
            if member.filename.lower().endswith(_XML):
                _check_prologue(read_member(archive, member.filename, _PROLOGUE), allows_doctype=allows_doctype)
        yield archive


def _check_sizes(members: list[zipfile.ZipInfo], limits: DocumentLimits) -> None:
    if len(members) > _MAX_MEMBERS:
        raise DocumentError("unsafe", f"the archive has {len(members)} files, at most {_MAX_MEMBERS} are unpacked")
    unpacked = sum(member.file_size for member in members)
    if unpacked > limits.max_unpacked_bytes:
        raise DocumentError(
            "unsafe", f"the archive unpacks to {unpacked} bytes, at most {limits.max_unpacked_bytes} are unpacked"
        )
    for member in members:
        if member.file_size > _SMALL and member.file_size > _MAX_RATIO * max(1, member.compress_size):
            raise DocumentError("unsafe", f"a file of the archive unpacks to more than {_MAX_RATIO} times its size")
        if member.flag_bits & 0x1:
            raise DocumentError("encrypted", "the archive is encrypted; save the document without a password")


def _check_prologue(beginning: bytes, *, allows_doctype: bool) -> None:
    if _ENTITY.search(beginning) or (not allows_doctype and _DOCTYPE.search(beginning)):
        raise DocumentError("unsafe", "its XML declares entities or a document type, which documents do not need")


def read_member(archive: zipfile.ZipFile, name: str, most: int | None = None) -> bytes:
    """Return a file of an archive, at most its declared size or `most` bytes.

    Raises:
        DocumentError: there is no such file, or it is damaged."""
    try:
        with archive.open(name) as stream:
            return stream.read() if most is None else stream.read(most)
    except (KeyError, zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError, OSError) as error:
        raise DocumentError("broken", "a file in it is missing or damaged; save or download it again") from error
    except Exception as error:  # zlib.error and its like in other compressions
        raise DocumentError("broken", "a file in it is damaged; save or download it again") from error
