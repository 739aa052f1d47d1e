"""Topics with judged passages: TREC, MIRACL, NoMIRACL, and folders in BEIR's format.

topics   TSV "id<TAB>text", or JSONL {"_id" or "query_id", "text" or "query"} (BEIR's queries.jsonl)
qrels    TREC's four columns, or BEIR's three with a header ("query-id", "corpus-id", "score")
corpus   JSONL {"_id" or "docid", "title", "text"}, only to read the judged passages instead of searching"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Literal

from pydantic import model_validator

from qttrag.errors import InputError
from qttrag.evaluation.datasets import trec
from qttrag.evaluation.datasets.files import HubFile, file_in, lines, local_path, records, text_of
from qttrag.evaluation.datasets.questions import Question
from qttrag.evaluation.datasets.settings import DatasetSettings
from qttrag.text.languages import language
from qttrag.types import Lang, Passage

_IDS = ("_id", "query_id", "docid", "id")
_TEXTS = ("text", "query", "question")


class TopicsDataset(DatasetSettings):
    """Questions without reference answers. Those that the qrels do not judge are left out.

    `corpus`: the judged passages are read from this file in the order of the qrels, and nothing is searched. A question
    without a relevant passage should then be answered by an abstention (NoMIRACL)."""

    kind: Literal["topics"] = "topics"
    topics: str | HubFile
    corpus: str | HubFile | None = None

    @model_validator(mode="after")
    def _corpus_needs_qrels(self) -> TopicsDataset:
        if self.corpus and not self.qrels:
            raise ValueError("`corpus:` needs `qrels:`, which name the passages to read")
        return self

    def read(self, lang: str, left_out: Counter[str]) -> Iterator[Question]:
        code = language(lang).code
        judged = trec.read_qrels(file_in(self.qrels, lang)) if self.qrels else None
        passages = self._passages(lang, code, judged or {})
        for where, question_id, text in _topics(self.topics, lang):
            if judged is not None and question_id not in judged:
                left_out["without judged passages"] += 1
                continue
            question = Question(question_id, text, code, ())
            yield _with_passages(where, question, (judged or {})[question_id], passages) if self.corpus else question

    def _passages(self, lang: str, code: Lang, judged: Mapping[str, Mapping[str, int]]) -> dict[str, Passage]:
        """Return the judged passages by id."""
        if not self.corpus:
            return {}
        ids = {passage_id for relevance in judged.values() for passage_id in relevance}
        found = {}
        for where, record in records(local_path(self.corpus, lang)):
            passage_id = _first(where, record, _IDS)
            if passage_id in ids:
                title = record.get("title") or ""
                found[passage_id] = Passage(passage_id, text_of(where, record, "text"), code, str(title))
        return found


def _with_passages(
    where: str, question: Question, relevance: Mapping[str, int], passages: Mapping[str, Passage]
) -> Question:
    if missing := relevance.keys() - passages.keys():
        raise InputError(f"{where}: `corpus:` lacks the judged passage '{min(missing)}'; give the whole corpus")
    read = tuple(passages[passage_id] for passage_id in relevance)
    return replace(question, passages=read, answerable=any(grade > 0 for grade in relevance.values()))


def _topics(file: str | HubFile, lang: str) -> Iterator[tuple[str, str, str]]:
    """Yield (place, id, text) for every topic."""
    path = local_path(file, lang)
    if ".json" in path.name:
        for where, record in records(path):
            yield where, _first(where, record, _IDS), _first(where, record, _TEXTS)
        return
    for where, line in lines(path):
        question_id, tab, text = line.partition("\t")
        if not (tab and question_id.strip() and text.strip()):
            raise InputError(f"{where}: '{line}' is not id<TAB>text")
        yield where, question_id.strip(), text.strip()


def _first(where: str, record: dict[str, Any], names: tuple[str, ...]) -> str:
    return text_of(where, record, next((name for name in names if name in record), names[0]))
