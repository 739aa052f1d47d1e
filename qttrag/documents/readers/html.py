"""Web pages, with lxml: headings, paragraphs, list items and rows of tables, without navigation and scripts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qttrag.documents.document import Block, Document, DocumentError
from qttrag.documents.limits import DocumentLimits

_IGNORED = frozenset(
    {
        "aside", "button", "dialog", "footer", "form", "head", "iframe", "math", "nav", "noscript", "object", "script",
        "select", "style", "svg", "template",
    }
)  # fmt: skip
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_BLOCKS = frozenset(
    {
        "address", "article", "blockquote", "body", "caption", "center", "dd", "details", "div", "dl", "dt", "fieldset",
        "figcaption", "figure", "header", "hr", "html", "li", "main", "ol", "p", "pre", "section", "summary", "table",
        "tbody", "tfoot", "thead", "tr", "ul",
    }
)  # fmt: skip
_CELLS = frozenset(("td", "th"))


def read(path: Path, limits: DocumentLimits) -> Document:
    return parse(path.read_bytes())


def parse(data: bytes, *, encoding: str | None = None) -> Document:
    """Return the document of a page; `encoding`: None to take the page's own.

    Raises:
        DocumentError: it has no elements, or they are nested too deeply."""
    from lxml import etree
    from lxml import html as lxml_html

    parser = lxml_html.HTMLParser(encoding=encoding or _encoding(data), huge_tree=False, remove_comments=True)
    try:
        root = lxml_html.document_fromstring(data, parser=parser)
    except (etree.ParserError, etree.XMLSyntaxError) as error:
        if "depth" in str(error).lower() or _is_too_deep(parser):
            raise _too_deep() from error
        raise DocumentError("no_text", "the page is empty") from error
    if _is_too_deep(parser):
        raise _too_deep()
    titles = root.xpath("//head/title")
    title = " ".join(titles[0].text_content().split()) if titles else ""
    body = _main(root)
    return Document(_Walk().blocks(body), title)


def _encoding(data: bytes) -> str | None:
    """Return UTF-8 where the bytes are; otherwise the page's declaration is followed."""
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return "utf-8"


def _is_too_deep(parser: Any) -> bool:
    return any("depth" in entry.message.lower() for entry in parser.error_log)


def _too_deep() -> DocumentError:
    return DocumentError("unsafe", "its elements are nested too deeply")


def _main(root: Any) -> Any:
    """Return the element with the contents: `main` or the only `article`, else the body."""
    for query in ("//main", "//*[@role='main']", "//article"):
        found = root.xpath(query)
        if len(found) == 1:
            return found[0]
    bodies = root.xpath("//body")
    return bodies[0] if bodies else root


class _Walk:
    """Collects the blocks of an element without recursion: pages may be nested deeply."""

    def __init__(self) -> None:
        self._blocks: list[Block] = []
        self._text: list[str] = []
        self._level = 0

    def blocks(self, root: Any) -> list[Block]:
        from lxml import etree

        ignored: Any = None
        for event, element in etree.iterwalk(root, events=("start", "end")):
            if not isinstance(element.tag, str):
                if ignored is None and event == "end" and element is not root:
                    self._text.append(element.tail or "")  # the text after a comment or an entity
                continue
            if ignored is None and event == "start":
                if element.tag in _IGNORED or element.get("hidden") is not None or element.get("aria-hidden") == "true":
                    ignored = element
                else:
                    self._start(element)
            elif event == "end" and (ignored is None or ignored is element):
                if ignored is None:
                    self._end(element)
                ignored = None
                self._text.append((element.tail or "") if element is not root else "")
        self._flush()
        return self._blocks

    def _start(self, element: Any) -> None:
        if element.tag in _HEADINGS or element.tag in _BLOCKS:
            self._flush()
            self._level = _HEADINGS.get(element.tag, self._level if self._level else 0)
        elif element.tag in _CELLS and any(part.strip() for part in self._text):
            self._text.append(" | ")
        elif element.tag == "br":
            self._text.append("\n")
        self._text.append(element.text or "")

    def _end(self, element: Any) -> None:
        if element.tag in _HEADINGS or element.tag in _BLOCKS:
            self._flush()
            if element.tag in _HEADINGS:
                self._level = 0

    def _flush(self) -> None:
        text = " ".join("".join(self._text).split())
        if text:
            self._blocks.append(Block(text, self._level))
        self._text = []
