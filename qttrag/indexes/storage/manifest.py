"""`manifest.json`: what a built index contains, and the checksums that verify it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from qttrag.errors import CollectionError, first_line
from qttrag.indexes.storage import atomic_files

LAYOUT = 1
MANIFEST_FILE = "manifest.json"
REGISTRY_PREFIX = "documents-"  # of the file with the documents of an index
_OWN_DIGEST = "sha256"  # key of the digest of all other keys


class FileSum(BaseModel):
    """A file's size in bytes, SHA-256 and time of writing. A file with another time is read and compared again."""

    model_config = ConfigDict(extra="forbid")
    bytes: int
    sha256: str
    mtime_ns: int | None = None


class Tuned(BaseModel):
    """The search plan chosen by `qttrag index tune`, and its measured recall.

    `nprobe`: inverted lists searched; `ef_search`: graph nodes visited; None where the index has none. `depth`:
    candidates rescored with the stored vectors for `k` hits. `recall`: mean share of the exact best `k` that were
    found, over `queries` queries described by `sample`; `error`: its standard error, None in older manifests;
    `wanted`: the recall that was asked for; `ms`: per query, searched alone on one thread with its candidates in
    memory; `rows`: rows of the index at the time."""

    model_config = ConfigDict(extra="forbid")
    nprobe: int | None = None
    ef_search: int | None = None
    depth: int = Field(ge=1)
    k: int = Field(ge=1)
    recall: float
    error: float | None = None
    wanted: float
    queries: int
    sample: str
    ms: float
    rows: int
    measured: str


class Addition(BaseModel):
    """Passages that were appended. `source`, `lang`: as in a recipe. `replaced`: passages removed in their favour.
    `folded`: the FAISS index has been trained again since (`compact`)."""

    model_config = ConfigDict(extra="forbid")
    at: str
    source: dict[str, Any]
    lang: str | None
    passages: int
    replaced: int = 0
    folded: bool = False


class Manifest(BaseModel):
    """A built index.

    `rows`: of all files, removed ones included; `removed`: rows excluded from searches; `langs`: passages by language,
    without removed ones. `skipped`: skipped source records by cause; `repaired`: indexed ones with
    characters that had to be replaced, by cause; `truncated`: passages longer than the encoder
    reads; `shards`: rows per shard, empty in older manifests. `faiss`: the factory string, resolved if the recipe says
    auto. `tuned`: None if not tuned. `appended`: later additions, oldest first."""

    model_config = ConfigDict(extra="forbid")
    layout: int = LAYOUT
    name: str
    qttrag: str
    built: str
    recipe: dict[str, Any]
    recipe_digest: str
    encoder_revision: str
    rows: int
    dim: int
    metric: str = "inner_product"
    langs: dict[str, int]
    skipped: dict[str, int]
    repaired: dict[str, int] = Field(default={}, exclude_if=lambda repaired: not repaired)
    truncated: int
    shards: list[int] = []
    faiss: str = ""
    tuned: Tuned | None = None
    files: dict[str, FileSum]
    removed: int = 0
    appended: list[Addition] = []

    def write(self, folder: Path) -> None:
        """Write the manifest, with its own SHA-256, atomically."""
        data = self.model_dump(mode="json")
        text = json.dumps({**data, _OWN_DIGEST: _digest(data)}, ensure_ascii=False, indent=2)
        atomic_files.write_text(folder / MANIFEST_FILE, text)


def _digest(data: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


def read_manifest(folder: Path) -> Manifest:
    """Return the manifest in `folder`.

    Raises:
        CollectionError: it is missing, damaged, or has another layout."""
    path = folder / MANIFEST_FILE
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(data, dict) and data.get("layout") != LAYOUT:
            raise CollectionError(
                f"{path}: layout {data.get('layout')}, this qttrag reads {LAYOUT}; {rebuild_hint(folder)}"
            )
        if _OWN_DIGEST in data and data.pop(_OWN_DIGEST) != _digest(data):
            raise ValueError("its SHA-256 differs")
        return Manifest(**data)
    except FileNotFoundError:
        raise CollectionError(
            f"{folder} is not a built index: it has no {MANIFEST_FILE}; {rebuild_hint(folder)}"
        ) from None
    except (OSError, ValueError, TypeError, ValidationError) as error:
        raise CollectionError(f"{path}: damaged ({first_line(error)}); {rebuild_hint(folder)}") from error


def has_registry(files: Mapping[str, FileSum]) -> bool:
    """Return whether an index with these files is made of documents."""
    return any(name.startswith(REGISTRY_PREFIX) for name in files)


def rebuild_hint(folder: Path) -> str:
    """Return the way out of a damaged index, for error messages."""
    return f"build it again: qttrag index build {folder.name} --overwrite"


def checksum(path: Path) -> FileSum:
    """Return the size, SHA-256 and time of a file."""
    with path.open("rb") as stream:
        stat, digest = path.stat(), hashlib.file_digest(stream, "sha256").hexdigest()
        return FileSum(bytes=stat.st_size, sha256=digest, mtime_ns=stat.st_mtime_ns)


def problems(folder: Path, manifest: Manifest, *, full: bool) -> list[str]:
    """Return what is wrong with the index's files: missing, of another size, or with other contents.

    Contents are read if a file's time has changed, and always if `full`."""
    problems = file_problems(folder, manifest.files, full=full)
    if manifest.rows == 0 and not has_registry(manifest.files):  # documents may come later
        problems.append(f"{folder} contains no passages")
    return problems


def file_problems(folder: Path, files: Mapping[str, FileSum], *, full: bool) -> list[str]:
    """Return which files differ from their checksums; see `problems`."""
    problems = []
    for name, expected in files.items():
        path = folder / name
        if not path.is_file():
            problems.append(f"{path} is missing")
        elif (stat := path.stat()).st_size != expected.bytes:
            problems.append(f"{path} has {stat.st_size} bytes instead of {expected.bytes}")
        elif not full and stat.st_mtime_ns == expected.mtime_ns:
            continue
        elif checksum(path).sha256 != expected.sha256:
            problems.append(f"{path} has changed since it was built (SHA-256 differs)")
        elif expected.mtime_ns is not None:
            with suppress(OSError):  # a copy: restore its time, so that it is not read at every opening
                os.utime(path, ns=(stat.st_atime_ns, expected.mtime_ns))
    return problems
