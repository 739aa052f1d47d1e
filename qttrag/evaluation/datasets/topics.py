"""Topics with judged passages: TREC, MIRACL, NoMIRACL, and folders in BEIR's format.

topics   TSV "id<TAB>text", JSONL {"_id" or "query_id", "text" or "query"} (BEIR's queries.jsonl), or TREC's
         <top> elements with <num> and <title>
qrels    TREC's four columns, or BEIR's three with a header ("query-id", "corpus-id", "score")
corpus   JSONL {"_id" or "docid", "title", "text"}, or TSV "id<TAB>text", only to read the judged passages instead of
         searching"""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from pydantic import model_validator

from qttrag.errors import InputError
from qttrag.evaluation.datasets import trec
from qttrag.evaluation.datasets.files import HubFile, file_in, lines, local_path, records, text_lines, text_of
from qttrag.evaluation.datasets.questions import Question
from qttrag.evaluation.datasets.settings import DatasetSettings
from qttrag.text.languages import language
from qttrag.types import Lang, Passage

_IDS = ("_id", "query_id", "docid", "id")
_TEXTS = ("text", "query", "question")
_OWN = "own"
_FIELDS = (("num", "Number"), ("title", "Topic"))
_TOPIC = re.compile(r"<top>(.*?)</top>", re.DOTALL | re.IGNORECASE)
_FIELD = r"<{}>\s*(?:{}\s*:)?\s*(.*?)\s*(?=<|\Z)"  # "<num> Number: 301" without an end tag, or "<num>301</num>"


class TopicsDataset(DatasetSettings):
    """Questions without reference answers. Those that the qrels do not judge are left out.

    "{lang}" in the name of a file stands for the code of the language, "{name}" for its English name in lower case.
    `corpus`: the judged passages are read from this file in the order of the qrels, and nothing is searched. A question
    without a relevant passage should then be answered by an abstention (NoMIRACL). `corpus_in`: the language of its
    texts, "own" for that of the question."""

    kind: Literal["topics"] = "topics"
    topics: str | HubFile
    corpus: str | HubFile | None = None
    corpus_in: str = _OWN

    @model_validator(mode="after")
    def _corpus_needs_qrels(self) -> TopicsDataset:
        if self.corpus and not self.qrels:
            raise ValueError("`corpus:` needs `qrels:`, which name the passages to read")
        return self

    def read(self, lang: str, left_out: Counter[str]) -> Iterator[Question]:
        code = language(lang).code
        read_in = code if self.corpus_in == _OWN else language(self.corpus_in).code
        judged = trec.read_qrels(file_in(self.qrels, lang)) if self.qrels else None
        passages = self._passages(lang, read_in, judged or {})
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
        for passage_id, title, text in _documents(local_path(self.corpus, lang)):
            if passage_id in ids:
                found[passage_id] = Passage(passage_id, text, code, title)
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
    elif next((line for _, line in lines(path)), "").startswith("<"):
        yield from _trec_topics(path)
    else:
        yield from _pairs(path)


def _documents(path: Path) -> Iterator[tuple[str, str, str]]:
    """Yield (id, title, text) for every document of a corpus."""
    if ".json" in path.name:
        for where, record in records(path):
            yield _first(where, record, _IDS), str(record.get("title") or ""), text_of(where, record, "text")
    else:
        yield from ((document_id, "", text) for _, document_id, text in _pairs(path))


def _pairs(path: Path) -> Iterator[tuple[str, str, str]]:
    """Yield (place, id, text) for every line "id<TAB>text"."""
    for where, line in lines(path):
        found_id, tab, text = line.partition("\t")
        if not (tab and found_id.strip() and text.strip()):
            raise InputError(f"{where}: '{line}' is not id<TAB>text")
        yield where, found_id.strip(), text.strip()


def _trec_topics(path: Path) -> Iterator[tuple[str, str, str]]:
    """Yield (place, id, title) for every <top> element; other fields, such as <desc>, are ignored."""
    topics = _TOPIC.findall("".join(text_lines(path)))
    if not topics:
        raise InputError(f"{path}: has no <top> element; topics are TSV, JSONL, or TREC's <top> with <num> and <title>")
    for number, topic in enumerate(topics, 1):
        where = f"{path}: topic {number}"
        topic_id, title = (re.search(_FIELD.format(*names), topic, re.DOTALL | re.IGNORECASE) for names in _FIELDS)
        if not (topic_id and title and topic_id[1] and title[1]):
            raise InputError(f"{where}: has no <num> or no <title>")
        yield where, topic_id[1], html.unescape(" ".join(title[1].split()))


def _first(where: str, record: dict[str, Any], names: tuple[str, ...]) -> str:
    return text_of(where, record, next((name for name in names if name in record), names[0]))
