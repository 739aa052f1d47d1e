"""Builds the index of a folder of documents, and brings it up to date: only new and changed files are read."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from qttrag.errors import ConfigError
from qttrag.indexes.jobs.change_documents import ChangeProgress, DocumentChanges, change_documents
from qttrag.indexes.jobs.document_reading import DocumentOutcome, NewDocument, reading_of
from qttrag.indexes.jobs.workers import OpenEncoder
from qttrag.indexes.recipe import Recipe
from qttrag.indexes.sources.characters import is_valid_id
from qttrag.indexes.storage.document_registry import DocumentRegistry
from qttrag.indexes.storage.manifest import Manifest


class FolderBuild(NamedTuple):
    """The index of a folder, and what became of each file, by name. `manifest`: None if no file could be read."""

    manifest: Manifest | None
    outcomes: list[DocumentOutcome]


def build_folder(
    recipe: Recipe,
    *,
    open_encoder: OpenEncoder,
    again: bool = False,
    progress: ChangeProgress = ChangeProgress(),  # noqa: B008  immutable
) -> FolderBuild:
    """Build or update the index of a recipe whose source is a folder.

    A file with other contents replaces its passages, one with the same contents costs its reading, a missing one is
    removed. Hidden files are ignored. `again`: read all files again.

    Raises:
        ConfigError: the folder does not exist. As `change_documents`."""
    folder = Path(recipe.source.paths[0])
    if not folder.is_dir():
        raise ConfigError(f"recipe '{recipe.name}': no folder '{folder}'; correct `path:`")
    outcomes: dict[str, DocumentOutcome] = {}
    indexed: dict[str, int] = {}  # passages by document, before the change

    def plan(registry: DocumentRegistry) -> DocumentChanges:
        indexed.update({name: entry.passages for name, entry in registry.indexed.items()})
        add, remaining = list[NewDocument](), set[str]()
        for document in _documents(folder, outcomes):
            remaining.add(document.name)
            if again or (known := _known(recipe, document, registry)) is None:
                add.append(document)
            else:
                outcomes[document.name] = known
        gone = (registry.indexed.keys() | registry.failed.keys()) - remaining - outcomes.keys()
        outcomes.update({name: DocumentOutcome(name, "removed") for name in gone if name in registry.indexed})
        return DocumentChanges(add, gone)

    def record(outcome: DocumentOutcome) -> None:
        outcomes[outcome.name] = outcome
        progress.document(outcome)

    changed = change_documents(recipe, plan, open_encoder=open_encoder, progress=progress._replace(document=record))
    return FolderBuild(changed.manifest, [_with_earlier(outcomes[name], indexed) for name in sorted(outcomes)])


def _with_earlier(outcome: DocumentOutcome, indexed: Mapping[str, int]) -> DocumentOutcome:
    """Return an outcome with the passages of the earlier version of a file that failed: they stay."""
    return outcome._replace(passages=indexed.get(outcome.name, 0)) if outcome.state == "failed" else outcome


def _documents(folder: Path, outcomes: dict[str, DocumentOutcome]) -> Iterator[NewDocument]:
    """Yield the files of a folder and of those below it; record those that cannot be read at all."""
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        if any(part.startswith((".", "~$")) for part in relative.parts) or path.is_dir():
            continue
        name = relative.as_posix()
        if not is_valid_id(name):
            shown = name.encode("utf-8", "replace").decode()
            message = "its name has control characters or is not UTF-8; rename it"
            outcomes[shown] = DocumentOutcome(shown, "failed", 0, "invalid_name", message)
            continue
        if not path.is_file():  # reading a pipe would never end
            outcomes[name] = DocumentOutcome(name, "failed", 0, "unreadable", "it is no file, or a link to none")
            continue
        try:
            with path.open("rb") as stream:
                digest, size = hashlib.file_digest(stream, "sha256").hexdigest(), path.stat().st_size
        except OSError as error:
            message = f"the file cannot be read ({error.strerror})"
            outcomes[name] = DocumentOutcome(name, "failed", 0, "unreadable", message)
            continue
        yield NewDocument(name, path, digest, size)


def _known(recipe: Recipe, document: NewDocument, registry: DocumentRegistry) -> DocumentOutcome | None:
    """Return what became of the same contents earlier; None: they are new."""
    indexed, failed = registry.indexed.get(document.name), registry.failed.get(document.name)
    if failed is not None and failed.sha256 == document.sha256 and failed.reading == reading_of(recipe):
        return DocumentOutcome(document.name, "failed", 0, failed.code, failed.message)
    if indexed is not None and indexed.sha256 == document.sha256:
        return DocumentOutcome(
            document.name, "unchanged", indexed.passages, pages_without_text=indexed.pages_without_text
        )
    return None
