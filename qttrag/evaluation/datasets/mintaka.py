"""Mintaka: {"id", "question", "translations": {lang: text}, "answer": {"answerType", "answer": [...], "mention"}} per
record, as JSONL or as one list (mintaka_dev.json). Answers are in English, whatever the language of the question."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, ClassVar, Literal

from qttrag.errors import InputError
from qttrag.evaluation.datasets.files import HubFile, local_path, parsed, records, text_lines, text_of
from qttrag.evaluation.datasets.questions import Question
from qttrag.evaluation.datasets.settings import DatasetSettings
from qttrag.text.languages import language


class MintakaDataset(DatasetSettings):
    """Questions with one answer; those whose answer is a list are left out. `labels`: the language of the answers."""

    SIGNED: ClassVar[tuple[str, ...]] = ("labels",)

    kind: Literal["mintaka"] = "mintaka"
    file: str | HubFile
    labels: Literal["en"] = "en"

    def read(self, lang: str, left_out: Counter[str]) -> Iterator[Question]:
        code = language(lang).code
        for where, record in self._records():
            translations = record.get("translations")
            if not isinstance(translations, dict):
                raise InputError(f"{where}: `translations` must be an object by language (fields: {', '.join(record)})")
            texts = {**translations, "en": record.get("question")}
            if code not in texts:
                raise InputError(f"{where}: no question in '{lang}' (languages of this record: {', '.join(texts)})")
            answers = _answers(where, record.get("answer"))
            if answers is None:
                left_out["with several answers"] += 1
            else:
                yield Question(text_of(where, record, "id"), text_of(where, texts, code), code, answers)

    def _records(self) -> Iterator[tuple[str, dict[str, Any]]]:
        path = local_path(self.file)
        if ".jsonl" in path.name:
            yield from records(path)
            return
        listed = parsed(str(path), "".join(text_lines(path)))
        if not isinstance(listed, list) or not all(isinstance(record, dict) for record in listed):
            raise InputError(f"{path}: must be a list of objects, or JSONL with a name that ends in .jsonl")
        yield from ((f"{path}: record {number}", record) for number, record in enumerate(listed))


def _answers(where: str, answer: Any) -> tuple[str, ...] | None:
    """Return the spellings of the one answer, None if there are several."""
    if not isinstance(answer, dict) or not isinstance(answer.get("answer") or [], list):
        raise InputError(f"{where}: `answer` must be an object with a list `answer`, is {answer!r}")
    values = answer.get("answer") or []
    if len(values) > 1:
        return None
    texts = [_text(value) for value in values]
    if not isinstance(values[0] if values else None, bool):
        texts.append(answer.get("mention"))
    spellings = tuple(dict.fromkeys(text for text in texts if isinstance(text, str) and text.strip()))
    if not spellings:
        raise InputError(f"{where}: an answer without a label, a value or a `mention`: {answer!r}")
    return spellings


def _text(value: Any) -> str | None:
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = value.get("label") if isinstance(value, dict) else value
    return None if text is None else str(text)
