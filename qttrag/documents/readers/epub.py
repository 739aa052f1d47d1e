"""Electronic books: the pages of the book in reading order, each read as a web page."""

from __future__ import annotations

import posixpath
import zipfile
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from qttrag.documents.archives import checked_archive, read_member
from qttrag.documents.document import Block, Document, DocumentError
from qttrag.documents.limits import DocumentLimits
from qttrag.documents.readers import html

_ENCRYPTION = "META-INF/encryption.xml"
_FONTS_ONLY = (b"http://www.idpf.org/2008/embedding", b"http://ns.adobe.com/pdf/enc#RC")


def read(path: Path, limits: DocumentLimits) -> Document:
    with checked_archive(path, limits, allows_doctype=True) as archive:
        if _ENCRYPTION in archive.namelist() and not any(
            mark in read_member(archive, _ENCRYPTION) for mark in _FONTS_ONLY
        ):
            raise DocumentError("encrypted", "the book is protected against copying")
        package = _package(archive)
        root = _xml(read_member(archive, package))
        title = " ".join(" ".join(root.xpath("//*[local-name()='title']/text()")[:1]).split())
        blocks: list[Block] = []
        characters = 0
        for name in _spine(root, posixpath.dirname(package)):
            of_page = html.parse(read_member(archive, name)).blocks
            characters += sum(len(block.text) for block in of_page)
            if characters > limits.max_characters:
                raise DocumentError("too_large", f"its text is longer than {limits.max_characters} characters")
            blocks += of_page
        return Document(blocks, title)


def _package(archive: zipfile.ZipFile) -> str:
    """Return the name of the file that describes the book."""
    root = _xml(read_member(archive, "META-INF/container.xml"))
    paths = root.xpath("//*[local-name()='rootfile']/@full-path")
    if not paths:
        raise DocumentError("broken", "the book names no contents")
    return str(paths[0])


def _spine(root: Any, folder: str) -> list[str]:
    """Return the names of the book's pages in reading order."""
    items = {item.get("id"): item.get("href") for item in root.xpath("//*[local-name()='item']")}
    order = [items.get(ref) for ref in root.xpath("//*[local-name()='itemref']/@idref")]
    return [posixpath.normpath(posixpath.join(folder, unquote(href))) for href in order if href]


def _xml(data: bytes) -> Any:
    """Return the root of XML, without entities, document types or anything from the network.

    Raises:
        DocumentError: it is not well-formed."""
    from lxml import etree

    parser = etree.XMLParser(resolve_entities=False, load_dtd=False, no_network=True, huge_tree=False)
    try:
        return etree.fromstring(data, parser)
    except etree.XMLSyntaxError as error:
        raise DocumentError("broken", "the description of the book is damaged") from error
