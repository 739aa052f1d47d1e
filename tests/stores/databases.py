"""Vector databases for tests: milvus-lite and Qdrant's local mode, in this process."""

from __future__ import annotations

from pathlib import Path

from qttrag.stores.milvus import milvus
from qttrag.stores.qdrant import qdrant
from qttrag.stores.versioned import VersionedCollection

KINDS = ("milvus", "qdrant")


def store(kind: str, folder: Path, collection: str = "synthetic") -> VersionedCollection:
    """Return the store of a collection in a database in `folder`; Qdrant's is slow to write: 14 ms a passage."""
    if kind == "milvus":
        return milvus(collection=collection, url=str(folder / "milvus.db"))
    return qdrant(collection=collection, url=str(folder / "qdrant"))
