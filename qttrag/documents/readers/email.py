"""E-mail messages, with the standard library: subject, people, date, and the body. Attachments are not read."""

from __future__ import annotations

import email
import email.policy
from email.message import EmailMessage
from pathlib import Path

from qttrag.documents.document import Block, Document, DocumentError
from qttrag.documents.limits import DocumentLimits
from qttrag.documents.readers import html

_SHOWN = ("From", "To", "Cc", "Date")


def read(path: Path, limits: DocumentLimits) -> Document:
    message = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
    if not isinstance(message, EmailMessage) or not message.keys():
        raise DocumentError("broken", "it is no e-mail message: it has no header")
    blocks = _body(message)
    if not blocks:
        return Document([])
    head = "\n".join(f"{name}: {_header(message, name)}" for name in _SHOWN if _header(message, name))
    title = _header(message, "Subject")
    return Document([*([Block(title, 1)] if title else []), *([Block(head)] if head else []), *blocks], title)


def _header(message: EmailMessage, name: str) -> str:
    try:
        return " ".join(str(message.get(name, "")).split())
    except (ValueError, TypeError, IndexError, AttributeError):  # the standard library fails on some invalid headers
        return ""


def _body(message: EmailMessage) -> list[Block]:
    part = message.get_body(preferencelist=("plain", "html"))
    if part is None:
        return []
    try:
        text = str(part.get_content()).replace("\r\n", "\n")
    except (LookupError, UnicodeError, KeyError, ValueError) as error:
        raise DocumentError("broken", "the text of the message cannot be decoded") from error
    if not text.strip():
        return []
    if part.get_content_subtype() == "html":
        return html.parse(text.encode("utf-8", "replace"), encoding="utf-8").blocks
    return [Block(paragraph) for paragraph in text.split("\n\n") if paragraph.strip()]
