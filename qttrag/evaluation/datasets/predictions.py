"""Answers of other systems, and ours in their formats.

xor_tydi   one JSON object: answer by id (XOR-TyDi's scorer)
mkqa       JSONL: {"example_id", "prediction", "binary_answer"} (MKQA's scorer; a binary answer takes precedence)
jsonl      JSONL: {"id", "answer", "passages": [{"id", "title", "text", "lang", "translation", "refined"}]}

A file of BERGEN's ("q_id", "response"), as JSONL or as one list, is read as `jsonl`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from qttrag.errors import InputError
from qttrag.evaluation.answers import AnswerRecord
from qttrag.evaluation.datasets.files import language_of, local_path, parsed, records, text_lines, text_of
from qttrag.types import UNDETERMINED, Passage, TaggedPassage

Format = Literal["xor_tydi", "mkqa", "jsonl"]
_IDS = ("id", "example_id", "q_id", "question_id")
_ANSWERS = ("binary_answer", "answer", "prediction", "response")


def read(file: str) -> list[AnswerRecord]:
    """Return the answers in a file of any of the formats; an answer that is null counts as empty.

    Raises:
        ConfigError: the file does not exist.
        InputError: the file is in no known format, a record is invalid, or an id is repeated."""
    path = local_path(file)
    answers: dict[str, AnswerRecord] = {}
    for where, answer in _answers(path):
        if answer.question_id in answers:
            raise InputError(f"{where}: the id '{answer.question_id}' has an answer before; remove one")
        answers[answer.question_id] = answer
    if not answers:
        raise InputError(f"{path}: has no answers")
    return list(answers.values())


def _answers(path: Path) -> Iterator[tuple[str, AnswerRecord]]:
    if path.name.removesuffix(".gz").endswith((".jsonl", ".ndjson")):
        yield from ((where, _answer(where, record)) for where, record in records(path))
        return
    document = parsed(str(path), "".join(text_lines(path)))
    if isinstance(document, list):
        for number, record in enumerate(document):
            where = f"{path}: record {number}"
            if not isinstance(record, dict):
                raise InputError(f"{where}: must be an object, is {record!r}")
            yield where, _answer(where, record)
        return
    if not isinstance(document, dict):
        raise InputError(f"{path}: must be an object of answers by id, or a list of records")
    for question_id, text in document.items():
        yield f"{path}: '{question_id}'", AnswerRecord(question_id, _text(f"{path}: '{question_id}'", text))


def _answer(where: str, record: dict[str, Any]) -> AnswerRecord:
    id_name = next((name for name in _IDS if name in record), _IDS[0])
    given = [name for name in _ANSWERS if name in record]
    if not given:
        raise InputError(f"{where}: no answer; give one of {', '.join(_ANSWERS)} (fields: {', '.join(record)})")
    name = next((name for name in given if record[name] is not None), given[0])
    passages = record.get("passages") or []
    if not isinstance(passages, list):
        raise InputError(f"{where}: `passages` must be a list, is {passages!r}")
    context = tuple(_passage(where, number, passage) for number, passage in enumerate(passages))
    return AnswerRecord(text_of(where, record, id_name), _text(where, record[name]), context)


def _text(where: str, value: Any) -> str:
    if value is not None and not isinstance(value, str):
        raise InputError(f"{where}: the answer must be a text or null, is {value!r}")
    return value or ""


def _passage(where: str, number: int, value: Any) -> TaggedPassage:
    fields = {"text": value} if isinstance(value, str) else value
    if not isinstance(fields, dict) or not all(v is None or isinstance(v, str) for v in fields.values()):
        raise InputError(f"{where}: a passage must be a text or an object of texts, is {value!r}")
    lang = language_of(where, fields["lang"]) if fields.get("lang") else UNDETERMINED
    passage = Passage(fields.get("id") or str(number), fields.get("text") or "", lang, fields.get("title") or "")
    return TaggedPassage(passage, fields.get("translation"), refined=fields.get("refined"))


def write(path: Path, answers: Iterable[AnswerRecord], form: Format) -> None:
    """Write the answers that did not fail, in the order of the questions."""
    given = [answer for answer in answers if not answer.failed]
    if form == "xor_tydi":
        text = json.dumps({answer.question_id: answer.text for answer in given}, ensure_ascii=False, indent=1) + "\n"
    else:
        record = _as_mkqa if form == "mkqa" else _as_jsonl
        text = "".join(json.dumps(record(answer), ensure_ascii=False) + "\n" for answer in given)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _as_mkqa(answer: AnswerRecord) -> Mapping[str, Any]:
    return {"example_id": answer.question_id, "prediction": answer.text, "binary_answer": None, "no_answer_prob": 0.0}


def _as_jsonl(answer: AnswerRecord) -> Mapping[str, Any]:
    return {"id": answer.question_id, "answer": answer.text, "passages": [_as_object(each) for each in answer.context]}


def _as_object(tagged: TaggedPassage) -> dict[str, str]:
    passage = tagged.passage
    fields = {
        "id": passage.passage_id,
        "title": passage.title,
        "text": passage.text,
        "lang": None if passage.lang == UNDETERMINED else passage.lang,
        "translation": tagged.translation,
        "refined": tagged.refined,
    }
    return {name: value for name, value in fields.items() if value is not None}
