"""`manifest.json`: what a built index is, and how to tell that it still is what was built."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from qttrag.errors import CollectionError
from qttrag.indexes.storage import atomic_files as durable

LAYOUT = 1
FILE = "manifest.json"
_OWN = "sha256"  # the key under which a manifest has the digest of its other keys


class FileSum(BaseModel):
    """A file's size in bytes, its SHA-256 and when it was written. Where the time is another, it is read again."""

    model_config = ConfigDict(extra="forbid")
    bytes: int
    sha256: str
    mtime_ns: int | None = None


class Tuned(BaseModel):
    """How an index is searched, chosen by `qttrag index tune`, and the recall that was measured so.

    `nprobe`: lists looked at; `ef_search`: nodes of a graph; None where the index has none. `depth`: candidates scored
    with the stored vectors for `k` hits. `recall`: the share of the exact best `k` that was found, a mean over
    `queries`, which are what `sample` says; `error`: its standard error, None where it was not kept; `wanted`: what was
    asked for; `ms`: a query, alone, on one thread, its candidates in memory; `rows`: in the index when it was
    measured."""

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
    """Passages that came later. `source` and `lang` as in a recipe; `replaced`: passages removed for them; `folded`:
    the FAISS index has been made anew since."""

    model_config = ConfigDict(extra="forbid")
    at: str
    source: dict[str, Any]
    lang: str | None
    passages: int
    replaced: int = 0
    folded: bool = False


class Manifest(BaseModel):
    """A built index. `langs`: passages by language; `skipped`: source records left out, by cause;
    `truncated`: passages longer than the encoder reads; `shards`: rows in each, none told by older ones; `faiss`: the
    factory string that was used, which is the recipe's unless that says auto; `tuned`: None until it is; `removed`:
    rows that no search finds any more, which `rows` counts and `langs` does not; `appended`: what came after."""

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
    truncated: int
    shards: list[int] = []
    faiss: str = ""
    tuned: Tuned | None = None
    files: dict[str, FileSum]
    removed: int = 0
    appended: list[Addition] = []

    def write(self, folder: Path) -> None:
        """Write it, with its own SHA-256, durably."""
        data = self.model_dump(mode="json")
        durable.write_text(folder / FILE, json.dumps({**data, _OWN: _sum(data)}, ensure_ascii=False, indent=2))


def _sum(data: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


def read(folder: Path) -> Manifest:
    """Return the manifest in `folder`.

    Raises:
        CollectionError: it is missing, damaged, or of another layout."""
    path = folder / FILE
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(data, dict) and data.get("layout") != LAYOUT:
            raise CollectionError(f"{path}: layout {data.get('layout')}, this qttrag reads {LAYOUT}; {again(folder)}")
        if _OWN in data and data.pop(_OWN) != _sum(data):
            raise ValueError("it is not what was written")
        return Manifest(**data)
    except FileNotFoundError:
        raise CollectionError(f"{folder} is not a built index: it has no {FILE}; {again(folder)}") from None
    except (OSError, ValueError, TypeError, ValidationError) as error:
        raise CollectionError(f"{path}: damaged ({str(error).splitlines()[0]}); {again(folder)}") from error


def again(folder: Path) -> str:
    """Return the way out of a bad index."""
    return f"build it again: qttrag index build {folder.name} --overwrite"


def checksum(path: Path) -> FileSum:
    with path.open("rb") as stream:
        stat, digest = path.stat(), hashlib.file_digest(stream, "sha256").hexdigest()
        return FileSum(bytes=stat.st_size, sha256=digest, mtime_ns=stat.st_mtime_ns)


def problems(folder: Path, manifest: Manifest, *, full: bool) -> list[str]:
    """Return what is wrong with the index's files: missing, of another size, or of other contents.

    Contents are read where the file was written since it was built, and everywhere if `full`."""
    found = differences(folder, manifest.files, full=full)
    if manifest.rows == 0:
        found.append(f"{folder} holds no passages")
    return found


def differences(folder: Path, files: Mapping[str, FileSum], *, full: bool) -> list[str]:
    """Return which files are not what was recorded of them; as `problems`."""
    found = []
    for name, recorded in files.items():
        path = folder / name
        if not path.is_file():
            found.append(f"{path} is missing")
        elif (stat := path.stat()).st_size != recorded.bytes:
            found.append(f"{path} has {stat.st_size} bytes, {recorded.bytes} were written")
        elif not full and stat.st_mtime_ns == recorded.mtime_ns:
            continue
        elif checksum(path).sha256 != recorded.sha256:
            found.append(f"{path} has changed since it was built (SHA-256 differs)")
        elif recorded.mtime_ns is not None:
            with suppress(OSError):  # a copy: its time is set back, so that it is not read at every opening
                os.utime(path, ns=(stat.st_atime_ns, recorded.mtime_ns))
    return found
