"""The documents of an index, in a file beside its passages: what was indexed, and what could not be read and why."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from qttrag.errors import CollectionError, first_line
from qttrag.indexes.storage import atomic_files
from qttrag.indexes.storage.manifest import REGISTRY_PREFIX, FileSum, Manifest, checksum, rebuild_hint


class IndexedDocument(BaseModel):
    """A document with its passages in the index. `pages`: None for types without pages.

    `pages_without_text`: pages that are images; `langs`: passages by language."""

    model_config = ConfigDict(extra="forbid")
    name: str
    type: str
    bytes: int
    sha256: str
    title: str
    pages: int | None
    pages_without_text: int = 0
    passages: int
    langs: dict[str, int]
    added: str

    @property
    def document_id(self) -> str:
        """Return an id for addresses, from the name: a file of the same name replaces the document."""
        return hashlib.blake2b(self.name.encode(), digest_size=8).hexdigest()


class FailedDocument(BaseModel):
    """A file that could not be read. It is read again when its contents or the reading change. `reading`: its version
    and limits."""

    model_config = ConfigDict(extra="forbid")
    name: str
    sha256: str
    reading: str
    code: str
    message: str


class DocumentRegistry(BaseModel):
    """All documents of an index, by name."""

    model_config = ConfigDict(extra="forbid")
    indexed: dict[str, IndexedDocument] = Field(default={})
    failed: dict[str, FailedDocument] = Field(default={})

    def write(self, folder: Path, files: Mapping[str, FileSum]) -> dict[str, FileSum]:
        """Write the registry into an index's folder; return `files` with it instead of the earlier one."""
        text = self.model_dump_json(indent=1)
        path = folder / f"{REGISTRY_PREFIX}{hashlib.sha256(text.encode()).hexdigest()[:12]}.json"
        atomic_files.write_text(path, text)
        return {
            **{name: sums for name, sums in files.items() if not name.startswith(REGISTRY_PREFIX)},
            path.name: checksum(path),
        }


def read_registry(folder: Path, manifest: Manifest) -> DocumentRegistry:
    """Return the documents of an index; none for an index of other records.

    Raises:
        CollectionError: the file is missing or damaged."""
    for name in manifest.files:
        if name.startswith(REGISTRY_PREFIX):
            try:
                return DocumentRegistry.model_validate_json((folder / name).read_bytes())
            except (OSError, ValidationError) as error:
                raise CollectionError(
                    f"{folder / name}: damaged ({first_line(error)}); {rebuild_hint(folder)}"
                ) from error
    return DocumentRegistry()
