"""Documents: records of a source, of which an index holds pieces with the ids "RECORD#0", "RECORD#1", ...

Public qrels judge documents, or passages that are records of their own and have such ids from their source (MIRACL)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from qttrag.evaluation.datasets import replay
from qttrag.evaluation.datasets.trec import RunEntry
from qttrag.indexes import collection as indexes

_PIECE = re.compile(r"#\d+$")


def of_piece(passage_id: str) -> str:
    """Return the id of the record that a passage is a piece of."""
    return _PIECE.sub("", passage_id)


def document_rankings(
    rankings: Mapping[str, Sequence[RunEntry]], collections: Iterable[str]
) -> dict[str, list[RunEntry]]:
    """Return rankings of documents, each at the place of its best passage.

    A collection whose recipe does not cut texts has no documents: its passages stand for themselves."""
    whole = [name for name in collections if not indexes.find(name).manifest.recipe["chunking"]["enabled"]]
    ids = {entry.passage_id for ranking in rankings.values() for entry in ranking} if whole else set()
    uncut = {passage_id for name in whole for passage_id in replay.lookup(name, ids)}
    return {
        query: _first_of_each(
            entry if entry.passage_id in uncut else entry._replace(passage_id=of_piece(entry.passage_id))
            for entry in ranking
        )
        for query, ranking in rankings.items()
    }


def _first_of_each(entries: Iterable[RunEntry]) -> list[RunEntry]:
    first: dict[str, RunEntry] = {}
    for entry in entries:
        first.setdefault(entry.passage_id, entry)
    return list(first.values())


def as_judged(rankings: Mapping[str, Sequence[str]], judged: Mapping[str, Mapping[str, int]]) -> dict[str, list[str]]:
    """Return rankings of ids as the judgements name them: a piece of a judged document counts as the document.

    If no passage is judged by its own id, the judgements are of documents, and pieces of others are documents, too."""
    exact = any(passage_id in judged.get(query, ()) for query, ranking in rankings.items() for passage_id in ranking)

    def name(passage_id: str, of_query: Mapping[str, int]) -> str:
        document = of_piece(passage_id)
        is_document = passage_id not in of_query and (not exact or document in of_query)
        return document if is_document else passage_id

    return {
        query: list(dict.fromkeys(name(passage_id, judged.get(query, {})) for passage_id in ranking))
        for query, ranking in rankings.items()
    }
