"""Vector store of another package: one SQLite file, searched exactly."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from qttrag.types import EncoderInfo, Hit, Lang, Passage

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class SqliteStore:
    """Store kind `sqlite`. `path`: a file with the tables info(json) and passages(id, text, lang, title, vector)."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def name(self) -> str:
        return self.path.stem

    @cached_property
    def _rows(self) -> list[tuple[Passage, bytes]]:
        with sqlite3.connect(self.path) as database:
            rows = database.execute("SELECT id, text, lang, title, vector FROM passages").fetchall()
        return [(Passage(id_, text, Lang(lang), title), vector) for id_, text, lang, title, vector in rows]

    @property
    def languages(self) -> list[Lang]:
        return sorted({passage.lang for passage, _ in self._rows})

    @property
    def encoder(self) -> EncoderInfo:
        with sqlite3.connect(self.path) as database:
            ((info,),) = database.execute("SELECT json FROM info")
        return EncoderInfo(**json.loads(info))

    @property
    def identity(self) -> str:
        return f"sqlite:{hashlib.sha256(self.path.read_bytes()).hexdigest()}"

    def search(
        self, vectors: NDArray[np.float32], k: int, languages: Sequence[Lang] | Literal["all"]
    ) -> list[list[Hit]]:
        import numpy as np

        rows = [row for row in self._rows if languages == "all" or row[0].lang in languages]
        cosines = vectors @ np.stack([np.frombuffer(vector, np.float32) for _, vector in rows]).T
        hits = [[Hit(row[0], float(cosine)) for row, cosine in zip(rows, each, strict=True)] for each in cosines]
        return [sorted(each, key=lambda hit: (-hit.score, hit.passage.passage_id))[:k] for each in hits]
