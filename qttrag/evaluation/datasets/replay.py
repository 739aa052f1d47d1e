"""Fixed rankings instead of a search: another system's run, or the passages of the questions themselves."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from qttrag.errors import InputError
from qttrag.evaluation.datasets import trec
from qttrag.evaluation.datasets.questions import Question
from qttrag.evaluation.datasets.trec import IdTable
from qttrag.indexes import collection as indexes
from qttrag.types import Hit, Passage, Query


class TrecRunFile(BaseModel):
    """A TREC run to replay. `ids`: the table that translates its passage ids into those of our collections."""

    model_config = ConfigDict(extra="forbid")
    file: str
    ids: str | None = None

    def digest(self) -> str:
        files = [Path(name).read_bytes() for name in (self.file, self.ids) if name]
        return hashlib.blake2b(b"\0".join(files), digest_size=16).hexdigest()


class ReplayedRetriever:
    """Returns for each question the ranking under "ROW/ID", else the one under its id, which serves all rows.

    The runner's query ids are "ROW/STRATEGY/ID"."""

    def __init__(self, rankings: Mapping[str, Sequence[Hit]]) -> None:
        self._rankings = rankings

    def __len__(self) -> int:
        return len(self._rankings)

    async def retrieve(self, query: Query, k: int) -> list[Hit]:
        row, _, question_id = query.query_id.split("/", 2)
        return list(self._rankings.get(f"{row}/{question_id}", self._rankings.get(question_id, ())))[:k]


def own_passages(row: str, questions: Iterable[Question]) -> dict[str, list[Hit]]:
    """Return the rankings of the questions of a row that have passages of their own, in the order of these."""
    return {
        f"{row}/{q.question_id}": [Hit(p, float(len(q.passages) - n)) for n, p in enumerate(q.passages)]
        for q in questions
        if q.passages is not None
    }


def load(
    run: TrecRunFile, collections: Iterable[str], question_ids: Iterable[str]
) -> tuple[dict[str, list[Hit]], list[str]]:
    """Return the ranking of each question by its id, and notes on the mismatches between run, questions, collections.

    Raises:
        ConfigError: a file does not exist.
        CollectionError: a collection is not built.
        InputError: a line is invalid, or no passage of the run is in the collections."""
    trec_run = trec.read_run(run.file, IdTable.read(run.ids) if run.ids else None)
    asked = set(question_ids)
    needed = {entry.passage_id for query_id in asked for entry in trec_run.rankings.get(query_id, ())}
    passages = {passage_id: p for name in collections for passage_id, p in lookup(name, needed).items()}
    if not passages:
        raise InputError(
            f"run {run.file}: none of its passages is in the collections, e.g. '{min(needed, default='')}'; "
            "give an id table (`ids:`, --run-ids), or search the collections that the run is from"
        )
    mismatches = {
        "questions are missing from it": len(asked - trec_run.rankings.keys()),
        "of its queries are not questions of the suite": len(trec_run.rankings.keys() - asked),
        "of its passages are in no collection": len(needed - passages.keys()),
    }
    rankings = {
        query_id: [Hit(passages[entry.passage_id], entry.score) for entry in ranking if entry.passage_id in passages]
        for query_id, ranking in trec_run.rankings.items()
        if query_id in asked
    }
    notes = [f"{n} {mismatch}" for mismatch, n in mismatches.items() if n]
    return rankings, [f"run {run.file}: {note}" for note in (*notes, *trec_run.skipped)]


def lookup(name: str, ids: set[str]) -> dict[str, Passage]:
    """Return by id the passages that a collection has; the id of a record stands for its first passage."""
    wanted_id = {passage_id: passage_id for passage_id in ids} | {f"{record_id}#0": record_id for record_id in ids}
    passages = indexes.open_index(name).passages.with_ids(sorted(wanted_id))
    return {wanted_id[passage.passage_id]: passage for passage in passages}
