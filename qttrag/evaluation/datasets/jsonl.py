"""Your own questions: one {"id", "question", "answers", "lang"} per line, and "gold", the ids of passages, if known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Literal

from qttrag.errors import InputError
from qttrag.evaluation.datasets.files import HubFile, language_of, local_path, records, text_of, texts_of
from qttrag.evaluation.datasets.questions import Question
from qttrag.evaluation.datasets.settings import DatasetSettings
from qttrag.text.languages import language

_FIELDS = frozenset(("id", "question", "answers", "lang", "gold"))


class JsonlDataset(DatasetSettings):
    """`file`: a JSONL file, local or on the hub; "{lang}" in its name stands for the language."""

    kind: Literal["jsonl"] = "jsonl"
    file: str | HubFile

    def read(self, lang: str, left_out: Counter[str]) -> Iterator[Question]:
        code = language(lang).code
        for where, record in records(local_path(self.file, lang)):
            if unknown := record.keys() - _FIELDS:
                raise InputError(f"{where}: unknown field '{min(unknown)}' (known: {', '.join(sorted(_FIELDS))})")
            record_lang = language_of(where, text_of(where, record, "lang"))
            question = Question(
                text_of(where, record, "id"),
                text_of(where, record, "question"),
                record_lang,
                texts_of(where, record, "answers"),
                gold=texts_of(where, record, "gold") if record.get("gold") else (),
            )
            if record_lang == code:
                yield question
            else:
                left_out["in another language"] += 1
