from __future__ import annotations

import numpy as np

from qttrag.indexes.sources.id_sets import IdSet, digest


def test_an_id_is_in_the_set_before_and_after_it_is_merged() -> None:
    digests = [digest(f"id {n}") for n in range(100)]
    ids = IdSet([np.array(digests[:10], np.uint64)], merge_after=7)
    for value in digests[10:50]:
        ids.add(value)
    assert [value in ids for value in digests] == [True] * 50 + [False] * 50
