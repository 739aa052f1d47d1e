"""Answers of other systems, and ours in their formats.

xor_tydi   one JSON object: answer by id (XOR-TyDi's scorer)
mkqa       JSONL: {"example_id", "prediction", "binary_answer"} (MKQA's scorer; a binary answer takes precedence)
jsonl      JSONL: {"id", "answer", "passages": [{"id", "title", "text", "lang", "translation", "refined"}],
           "abstained"}
parquet    the records of `jsonl` as a table

Records of BERGEN ("q_id", "response"), as JSONL or as one list, and samples of lm-eval ("doc", "filtered_resps") are
read as `jsonl`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from qttrag.errors import InputError, describe
from qttrag.evaluation.answers import AnswerRecord
from qttrag.evaluation.datasets.files import local_path, parsed, passages_of, records, text_lines, text_of
from qttrag.types import UNDETERMINED, Passage, TaggedPassage

Format = Literal["xor_tydi", "mkqa", "jsonl", "parquet"]
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
    if path.suffix == ".parquet":
        yield from ((where, _answer(where, record)) for where, record in _rows(path))
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


def _rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (place, object) for every row of a Parquet file."""
    from pyarrow import ArrowException, parquet

    try:
        rows = parquet.read_table(path).to_pylist()
    except ArrowException as error:
        raise InputError(f"{path}: not a Parquet file ({describe(error)}); write it again") from error
    yield from ((f"{path}: row {number}", row) for number, row in enumerate(rows))


def _of_lm_eval(where: str, record: dict[str, Any]) -> dict[str, Any]:
    """Return a sample of lm-eval as {"id", "answer"}: its first filtered response, and the id of its document."""
    responses, doc = record["filtered_resps"], record.get("doc")
    if not isinstance(responses, list) or not responses:
        raise InputError(f"{where}: `filtered_resps` must be a list with the response, is {responses!r}")
    ids = doc if isinstance(doc, dict) else {}
    question_id = next((ids[name] for name in _IDS if name in ids), record.get("doc_id"))
    return {"id": question_id, "answer": responses[0]}


def _answer(where: str, record: dict[str, Any]) -> AnswerRecord:
    if "filtered_resps" in record:
        record = _of_lm_eval(where, record)
    id_name = next((name for name in _IDS if name in record), _IDS[0])
    given = [name for name in _ANSWERS if name in record]
    if not given:
        raise InputError(f"{where}: no answer; give one of {', '.join(_ANSWERS)} (fields: {', '.join(record)})")
    name = next((name for name in given if record[name] is not None), given[0])
    context = tuple(
        _as_read(passage, value)
        for passage, value in zip(passages_of(where, record), record.get("passages") or [], strict=True)
    )
    abstained = record.get("abstained")
    if abstained is not None and not isinstance(abstained, bool):
        raise InputError(f"{where}: `abstained` must be true, false or null, is {abstained!r}")
    return AnswerRecord(text_of(where, record, id_name), _text(where, record[name]), context, abstained=abstained)


def _text(where: str, value: Any) -> str:
    if value is not None and not isinstance(value, str):
        raise InputError(f"{where}: the answer must be a text or null, is {value!r}")
    return value or ""


def _as_read(passage: Passage, value: str | dict[str, str]) -> TaggedPassage:
    fields = {} if isinstance(value, str) else value
    return TaggedPassage(passage, fields.get("translation"), refined=fields.get("refined"))


def write(path: Path, answers: Iterable[AnswerRecord], form: Format) -> None:
    """Write the answers that did not fail, in the order of the questions."""
    given = [answer for answer in answers if not answer.failed]
    path.parent.mkdir(parents=True, exist_ok=True)
    if form == "parquet":
        _write_table(path, map(_as_jsonl, given))
        return
    if form == "xor_tydi":
        text = json.dumps({answer.question_id: answer.text for answer in given}, ensure_ascii=False, indent=1) + "\n"
    else:
        record = _as_mkqa if form == "mkqa" else _as_jsonl
        text = "".join(json.dumps(record(answer), ensure_ascii=False) + "\n" for answer in given)
    path.write_text(text, encoding="utf-8")


def _write_table(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    import pyarrow
    from pyarrow import parquet

    text = pyarrow.string()
    passage = pyarrow.struct([(name, text) for name in ("id", "title", "text", "lang", "translation", "refined")])
    columns = {"id": text, "answer": text, "abstained": pyarrow.bool_(), "passages": pyarrow.list_(passage)}
    parquet.write_table(pyarrow.Table.from_pylist(list(rows), schema=pyarrow.schema(columns)), path)


def _as_mkqa(answer: AnswerRecord) -> Mapping[str, Any]:
    return {"example_id": answer.question_id, "prediction": answer.text, "binary_answer": None, "no_answer_prob": 0.0}


def _as_jsonl(answer: AnswerRecord) -> Mapping[str, Any]:
    passages = [_as_object(each) for each in answer.context]
    abstained = {} if answer.abstained is None else {"abstained": answer.abstained}
    return {"id": answer.question_id, "answer": answer.text, **abstained, "passages": passages}


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
