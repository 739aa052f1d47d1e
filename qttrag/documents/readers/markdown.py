"""Markdown, with markdown-it-py: headings, paragraphs, code and rows of tables."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from qttrag.documents.document import Block, Document
from qttrag.documents.limits import DocumentLimits
from qttrag.documents.readers.text import decode

_FRONT_MATTER = re.compile(r"\A---\n(.*?)\n(?:---|\.\.\.)\n", re.DOTALL)
_TITLE = re.compile(r"^title:\s*[\"']?(.*?)[\"']?\s*$", re.MULTILINE)
_TAG = re.compile(r"<[^>]{0,1000}>")


def read(path: Path, limits: DocumentLimits) -> Document:
    from markdown_it import MarkdownIt

    text, title = decode(path.read_bytes()), ""
    if front := _FRONT_MATTER.match(text):
        named = _TITLE.search(front[1])
        title, text = named[1] if named else "", text[front.end() :]
    blocks: list[Block] = []
    level = 0
    cells: list[str] | None = None
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        if token.type == "heading_open":
            level = int(token.tag[1:])
        elif token.type == "heading_close":
            level = 0
        elif token.type == "tr_open":
            cells = []
        elif token.type == "tr_close":
            blocks += [Block(line)] if (line := " | ".join(filter(None, cells or []))) else []
            cells = None
        elif content := _content(token):
            if cells is None:
                blocks.append(Block(content, level))
            else:
                cells.append(content)
    return Document(blocks, title)


def _content(token: Any) -> str:
    """Return the text of a token without marks and tags; "" for one without text."""
    if token.type == "inline":
        return "".join(_inline(child) for child in token.children or []).strip()
    if token.type in ("fence", "code_block"):
        return str(token.content).strip()
    return _TAG.sub(" ", token.content).strip() if token.type == "html_block" else ""


def _inline(token: Any) -> str:
    if token.type in ("softbreak", "hardbreak"):
        return "\n"
    if token.type == "image":
        return str(token.content)
    return str(token.content) if token.type in ("text", "code_inline") else ""
