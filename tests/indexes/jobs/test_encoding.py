"""The windows of passages that a build encodes together."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from qttrag.indexes.jobs.encoding import Window, windows
from qttrag.indexes.jobs.workers import EncoderPool
from qttrag.indexes.recipe import Recipe
from qttrag.indexes.sources import listing
from qttrag.indexes.sources.records import SourceReader
from qttrag.types import EncoderInfo, Prepared, Tokens


class ByCharacter:
    """An encoder whose tokens are characters."""

    info = EncoderInfo("by-character", "1", 2, 64)

    def tokenise(self, texts: Sequence[str]) -> list[Tokens]:
        return [Tokens(text, [ord(c) for c in text], False) for text in texts]

    def prepare(self, tokens: Sequence[Tokens]) -> Prepared:
        return Prepared({"texts": [text.text for text in tokens]})

    def encode_prepared(self, prepared: Prepared) -> NDArray[np.float32]:
        return np.ones((len(prepared.features["texts"]), 2), np.float32)


@pytest.fixture(scope="module")
def of_source(tmp_path_factory: pytest.TempPathFactory) -> list[Window]:
    """Return the windows of 10,000 passages in shards of 6,000."""
    path = tmp_path_factory.mktemp("source") / "source.jsonl"
    path.write_text("".join(json.dumps({"id": str(n), "text": "word " * (n % 9 + 1)}) + "\n" for n in range(10_000)))
    source = {"kind": "jsonl", "path": [str(path)]}
    recipe = Recipe.model_validate(
        {"name": "small", "source": source, "lang": "en", "encoder": {"model": "m"}, "shard_rows": 6000}
    )
    with EncoderPool([ByCharacter()]) as pool:
        return list(windows(recipe, pool, SourceReader(recipe, listing.files(recipe), on_error="stop")))


def test_the_first_windows_of_a_shard_are_small_so_that_encoding_begins_early(of_source: list[Window]) -> None:
    sizes = [len(window.passages) for window in of_source]
    assert sizes == [256, 256, 512, 1024, 2048, 1904, 256, 256, 512, 1024, 1952]
    assert [window.ends_shard for window in of_source] == [*[False] * 5, True, *[False] * 4, True]


def test_the_passages_of_a_window_are_batched_longest_first(of_source: list[Window]) -> None:
    for window in of_source:
        rows = np.concatenate([batch.rows for batch in window.batches])
        lengths = [len(window.passages[row].text) for row in rows]
        assert sorted(rows.tolist()) == list(range(len(window.passages)))
        assert lengths == sorted(lengths, reverse=True)
