"""What is read from a file: its text in blocks, with headings and pages; or the reason why it cannot be read."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from qttrag.errors import InputError

Code = Literal[
    "unsupported_type", "too_large", "too_many_pages", "encrypted", "broken", "unsafe", "no_text", "too_slow",
    "out_of_memory", "crashed", "unreadable", "invalid_name",
]  # fmt: skip


class Block(NamedTuple):
    """A heading or a paragraph. `level`: of a heading, from 1; 0 for a paragraph. `page`: from 1; None: no pages."""

    text: str
    level: int = 0
    page: int | None = None


class Document(NamedTuple):
    """The text of a file, in reading order.

    `title`: its own; empty if it has none. `pages`: their number, or that of slides; None for types without pages.
    `pages_without_text`: pages that are images, which were not read."""

    blocks: list[Block]
    title: str = ""
    pages: int | None = None
    pages_without_text: int = 0

    def as_json(self) -> dict[str, Any]:
        return {**self._asdict(), "blocks": [list(block) for block in self.blocks]}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Document:
        """Return the document of `as_json`.

        Raises:
            ValueError, TypeError, KeyError: the value has another form."""
        blocks = [Block(str(text), int(level), page and int(page)) for text, level, page in value["blocks"]]
        pages = value["pages"]
        return cls(blocks, str(value["title"]), pages and int(pages), int(value["pages_without_text"]))


class DocumentError(InputError):
    """A file that cannot be read. `code`: for programs; the whole message is public: it names no path."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message, public=message)
        self.code = code
