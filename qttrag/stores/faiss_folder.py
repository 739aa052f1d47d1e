"""Collections that `qttrag index build` wrote: a folder with passages, vectors and a FAISS index."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import PurePath
from typing import TYPE_CHECKING, Literal

from qttrag.encoders import language_means
from qttrag.encoders.language_means import LanguageMeans
from qttrag.indexes.collection import Collection, find, open_index, read_ahead
from qttrag.types import EncoderInfo, Hit, Lang

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class FaissFolder:
    """Store kind `faiss_folder`. `name`: a built index, or the path of its folder.

    `threads`: searches at the same time; null: as many as there are cores."""

    def __init__(self, name: str, *, threads: int | None = None) -> None:
        self.location = name
        self._threads = threads

    @property
    def name(self) -> str:
        return PurePath(self.location).name

    @cached_property
    def collection(self) -> Collection:
        return open_index(self.location, threads=self._threads)

    @property
    def languages(self) -> list[Lang]:
        return [Lang(lang) for lang in self.collection.manifest.langs]

    @property
    def encoder(self) -> EncoderInfo:
        manifest = self.collection.manifest
        recipe = manifest.recipe["encoder"]
        return EncoderInfo(
            model=str(recipe["model"]),
            revision=manifest.encoder_revision,
            dim=manifest.dim,
            max_tokens=int(recipe["max_tokens"]),
            query_prefix=str(recipe["query_prefix"]),
            passage_prefix=str(recipe["passage_prefix"]),
        )

    @property
    def identity(self) -> str:
        manifest = self.collection.manifest
        tuned = manifest.tuned and (manifest.tuned.nprobe, manifest.tuned.ef_search, manifest.tuned.depth)
        sums = sorted((name, file.sha256) for name, file in manifest.files.items())
        digest = hashlib.sha256(repr((manifest.encoder_revision, tuned, sums)).encode()).hexdigest()
        return f"faiss_folder:{digest[:16]}"

    @property
    def means(self) -> LanguageMeans:
        """Return the means of its languages, as `qttrag index measure-means` stored them.

        Raises:
            CollectionError: they were not measured, or the file is damaged."""
        manifest, folder = find(self.location).manifest, find(self.location).folder
        names = [name for name in manifest.files if name.startswith(language_means.PREFIX)]
        return language_means.read(folder / names[0] if names else folder)

    def search(
        self, vectors: NDArray[np.float32], k: int, languages: Sequence[Lang] | Literal["all"]
    ) -> list[list[Hit]]:
        return self.collection.search(vectors, k, languages)

    def read_ahead(self) -> int:
        return read_ahead(self.location)
