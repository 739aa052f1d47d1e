"""Your own questions: one {"id", "question", "answers", "lang"} per line, and what else is known of them.

"gold"         the ids of relevant passages
"passages"     the passages to read instead of searching: texts, or objects {"id", "title", "text", "lang"};
               in the language of the question, unless "lang" is another
"answerable"   whether those passages have the answer; if it is given, "answers" may be absent"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, Literal

from qttrag.errors import InputError
from qttrag.evaluation.datasets.files import HubFile, language_of, local_path, passages_of, records, text_of, texts_of
from qttrag.evaluation.datasets.questions import Question
from qttrag.evaluation.datasets.settings import DatasetSettings
from qttrag.text.languages import language

_FIELDS = frozenset(("id", "question", "answers", "lang", "gold", "passages", "answerable"))


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
                _answers(where, record),
                gold=texts_of(where, record, "gold") if record.get("gold") else (),
                passages=passages_of(where, record, record_lang),
                answerable=record.get("answerable"),
            )
            if record_lang == code:
                yield question
            else:
                left_out["in another language"] += 1


def _answers(where: str, record: dict[str, Any]) -> tuple[str, ...]:
    answerable = record.get("answerable")
    if answerable is not None and not isinstance(answerable, bool):
        raise InputError(f"{where}: `answerable` must be true or false, is {answerable!r}")
    return () if answerable is not None and not record.get("answers") else texts_of(where, record, "answers")
