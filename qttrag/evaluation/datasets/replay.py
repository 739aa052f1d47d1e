"""What is read instead of what would be found: another system's run, or the passages that questions come with."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from qttrag.errors import InputError
from qttrag.evaluation.datasets import trec
from qttrag.evaluation.datasets.questions import Question
from qttrag.evaluation.datasets.trec import IdMap
from qttrag.indexes import collection as search
from qttrag.types import Hit, Passage, Query


class RunFile(BaseModel):
    """A run to take. `ids`: the table that tells its passages' ids in terms of our collections."""

    model_config = ConfigDict(extra="forbid")
    file: str
    ids: str | None = None

    def digest(self) -> str:
        files = [Path(name).read_bytes() for name in (self.file, self.ids) if name]
        return hashlib.blake2b(b"\0".join(files), digest_size=16).hexdigest()


class ReplayedRetriever:
    """Finds for a question what `found` has for "ROW/ID" or, in every row alike, for its id.

    Queries are called "ROW/STRATEGY/ID" by the runner."""

    def __init__(self, found: Mapping[str, Sequence[Hit]]) -> None:
        self._found = found

    async def retrieve(self, query: Query, k: int) -> list[Hit]:
        row, _, question_id = query.query_id.split("/", 2)
        return list(self._found.get(f"{row}/{question_id}", self._found.get(question_id, ())))[:k]


def given(row: str, questions: Iterable[Question]) -> dict[str, list[Hit]]:
    """Return what is to be found for the questions of a row that come with their passages, in their order."""
    return {
        f"{row}/{q.question_id}": [Hit(p, float(len(q.passages) - n)) for n, p in enumerate(q.passages)]
        for q in questions
        if q.passages
    }


def load(
    run: RunFile, collections: Iterable[str], question_ids: Iterable[str]
) -> tuple[dict[str, list[Hit]], list[str]]:
    """Return the hits of each question by its id, and what the run lacks or has too much, for people.

    Raises:
        ConfigError: a file is not there.
        CollectionError: a collection is not built.
        InputError: a line is not as it must be, or no passage of the run is in the collections."""
    read = trec.read_run(run.file, IdMap.read(run.ids) if run.ids else None)
    asked = set(question_ids)
    wanted = {each.passage_id for query_id in asked for each in read.rankings.get(query_id, ())}
    passages = {each: p for name in collections for each, p in lookup(name, wanted).items()}
    if not passages:
        raise InputError(
            f"run {run.file}: no passage of it is in the collections, e.g. '{min(wanted, default='')}'; "
            "give a table of ids (`ids:`, --run-ids), or search the collections it was made with"
        )
    counts = {
        "questions are not in it": len(asked - read.rankings.keys()),
        "queries of it are no questions": len(read.rankings.keys() - asked),
        "passages of it are in no collection": len(wanted - passages.keys()),
        "lines of it have a passage that the table of ids lacks": read.unmapped,
    }
    found = {
        query_id: [Hit(passages[each.passage_id], each.score) for each in ranking if each.passage_id in passages]
        for query_id, ranking in read.rankings.items()
        if query_id in asked
    }
    return found, [f"run {run.file}: {n} {what}" for what, n in counts.items() if n]


def lookup(name: str, ids: set[str]) -> dict[str, Passage]:
    """Return the passages of a collection by those of the ids that it has; a record's id is its first passage's."""
    named = {each: each for each in ids} | {f"{each}#0": each for each in ids}
    found = search.open_index(name).passages.with_ids(sorted(named))
    return {named[passage.passage_id]: passage for passage in found}
