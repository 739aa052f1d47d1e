"""One's own questions: {"id", "question", "answers", "lang"} a line, and "gold", the ids of passages, if known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from qttrag.errors import InputError
from qttrag.evaluation.datasets.files import records, text_of, texts_of
from qttrag.evaluation.datasets.questions import Question
from qttrag.text.languages import language

_FIELDS = frozenset(("id", "question", "answers", "lang", "gold"))


def read(path: Path, lang: str, left_out: Counter[str]) -> Iterator[Question]:
    """Yield the questions of a file that are in `lang`.

    Raises:
        InputError: a field is missing, of another type or unknown, or a language is."""
    wanted = language(lang).code
    for where, record in records(path):
        if unknown := record.keys() - _FIELDS:
            raise InputError(f"{where}: unknown field '{min(unknown)}' (known: {', '.join(sorted(_FIELDS))})")
        try:
            found = language(text_of(where, record, "lang")).code
        except InputError as error:
            raise InputError(f"{where}: {error}") from error
        question = Question(
            text_of(where, record, "id"),
            text_of(where, record, "question"),
            found,
            texts_of(where, record, "answers"),
            gold=texts_of(where, record, "gold") if record.get("gold") else (),
        )
        if found == wanted:
            yield question
        else:
            left_out["in another language"] += 1
