"""Reads the new documents of an index and cuts them into passages, several at a time, before any is encoded."""

from __future__ import annotations

import hashlib
import json
import os
import queue
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, NamedTuple

from qttrag.documents.document import DocumentError
from qttrag.documents.reader import DocumentReader
from qttrag.documents.types import check_installed, type_of
from qttrag.indexes.recipe import Recipe
from qttrag.indexes.sources.documents import cut, to_line
from qttrag.indexes.sources.listing import SourceFile
from qttrag.indexes.storage.document_registry import FailedDocument, IndexedDocument
from qttrag.types import Passage

READING_VERSION = 1  # to be raised whenever the same file comes to give other passages, or an error comes to be none
_READERS = 4
_DOCUMENTS_PER_READER = 8  # for fewer, the start of one more process costs more than it saves


class NewDocument(NamedTuple):
    """A file to read. `name`: its name in the collection, with "/" between folders."""

    name: str
    path: Path
    sha256: str
    bytes: int


class DocumentOutcome(NamedTuple):
    """What became of a document. `code`, `message`: why it failed. `passages`: in the index now."""

    name: str
    state: Literal["indexed", "unchanged", "removed", "failed"]
    passages: int = 0
    code: str | None = None
    message: str | None = None
    pages_without_text: int = 0


class ReadDocuments(NamedTuple):
    """`file`: the passages, a document a line."""

    file: SourceFile
    indexed: list[IndexedDocument]
    failed: list[FailedDocument]


_Result = tuple[IndexedDocument, str] | DocumentError
"""A document's entry in the registry and its line of passages, or why it cannot be read."""


def reading_of(recipe: Recipe) -> str:
    """Return the version and the limits of reading: a file that failed is read again when they change."""
    return f"{READING_VERSION} {recipe.source.limits.model_dump_json()}"


def read_documents(
    recipe: Recipe,
    documents: Sequence[NewDocument],
    file: Path,
    progress: Callable[[DocumentOutcome], None],
) -> ReadDocuments:
    """Read documents and write their passages to `file`. `progress`: called after each, in order.

    Raises:
        ConfigError: a library that reads one of the types is not installed."""
    check_installed({kind for document in documents if (kind := _type_name(document.name))})
    file.parent.mkdir(parents=True, exist_ok=True)
    indexed: list[IndexedDocument] = []
    failed: list[FailedDocument] = []
    with file.open("w", encoding="utf-8") as lines, closing(_results(recipe, documents)) as results:
        for document, result in zip(documents, results, strict=True):
            if isinstance(result, DocumentError):
                failed.append(_failed(recipe, document, result))
                progress(DocumentOutcome(document.name, "failed", 0, result.code, str(result)))
                continue
            entry, line = result
            lines.write(line + "\n")
            indexed.append(entry)
            progress(
                DocumentOutcome(document.name, "indexed", entry.passages, pages_without_text=entry.pages_without_text)
            )
    stamp = hashlib.sha256(json.dumps([(d.name, d.sha256) for d in documents]).encode()).hexdigest()
    return ReadDocuments(SourceFile("documents", file.stat().st_size, stamp, str(file)), indexed, failed)


def _type_name(name: str) -> str | None:
    try:
        return type_of(name).name
    except DocumentError:
        return None


def _results(recipe: Recipe, documents: Sequence[NewDocument]) -> Generator[_Result]:
    """Yield the entry and the line of each document, or its error, in order."""
    free: queue.SimpleQueue[DocumentReader] = queue.SimpleQueue()
    count = max(1, min(_READERS, os.cpu_count() or 1, len(documents) // _DOCUMENTS_PER_READER))
    with ExitStack() as stack:
        for _ in range(count):
            free.put(stack.enter_context(DocumentReader(recipe.source.limits)))
        executor = stack.enter_context(ThreadPoolExecutor(count, thread_name_prefix="qttrag-read"))
        stack.callback(executor.shutdown, cancel_futures=True)
        yield from executor.map(lambda document: _result(recipe, document, free), documents)


def _result(recipe: Recipe, document: NewDocument, free: queue.SimpleQueue[DocumentReader]) -> _Result:
    reader = free.get()
    try:
        read = reader.read(document.path, name=document.name)
        passages = cut(read, document.name, recipe)
        if not passages:
            return DocumentError("no_text", "it has no text")
        return _entry(document, passages, read.pages, read.pages_without_text), to_line(passages)
    except DocumentError as error:
        return error
    finally:
        free.put(reader)


def _entry(document: NewDocument, passages: Sequence[Passage], pages: int | None, images: int) -> IndexedDocument:
    return IndexedDocument(
        name=document.name,
        type=type_of(document.name).name,
        bytes=document.bytes,
        sha256=document.sha256,
        title=passages[0].title,
        pages=pages,
        pages_without_text=images,
        passages=len(passages),
        langs=dict(Counter(str(passage.lang) for passage in passages)),
        added=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _failed(recipe: Recipe, document: NewDocument, error: DocumentError) -> FailedDocument:
    return FailedDocument(
        name=document.name,
        sha256=document.sha256,
        reading=reading_of(recipe),
        code=error.code,
        message=str(error),
    )
