"""XOR-TyDi QA, full: {"id", "question", "answers", "lang", "split"} a line (xor_dev_full_v1_1.jsonl)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from qttrag.evaluation.datasets.files import records, text_of, texts_of
from qttrag.evaluation.datasets.questions import Question
from qttrag.text.languages import language

_NATIVE: dict[str, dict[str, tuple[str, ...]]] = {
    "ar": {"yes": ("نعم", "أجل", "بلى"), "no": ("لا",)},
    "bn": {"yes": ("হ্যাঁ",), "no": ("না",)},
    "fi": {"yes": ("kyllä", "joo"), "no": ("ei",)},
    "ja": {"yes": ("はい",), "no": ("いいえ",)},
    "ko": {"yes": ("예",), "no": ("아니요",)},
    "ru": {"yes": ("да",), "no": ("нет",)},
    "te": {"yes": ("అవును",), "no": ("కాదు",)},
}  # the research harness's, which has none for Bengali and Telugu
"""What counts beside a reference "yes" or "no", which the data set has in English."""


def read(path: Path, lang: str, left_out: Counter[str]) -> Iterator[Question]:
    """Yield the questions of the file that are in `lang`.

    Raises:
        InputError: a field is missing or of another type."""
    wanted = language(lang).code
    for where, record in records(path):
        if language(text_of(where, record, "lang")).code != wanted:
            left_out["in another language"] += 1
            continue
        answers = texts_of(where, record, "answers")
        yield Question(
            text_of(where, record, "id"), text_of(where, record, "question"), wanted, with_native(answers, wanted)
        )


def with_native(answers: tuple[str, ...], lang: str) -> tuple[str, ...]:
    """Return the answers, and after them what a "yes" or "no" among them is in `lang`."""
    native = _NATIVE.get(lang, {})
    added = (word for answer in answers for word in native.get(answer.strip().lower(), ()))
    return tuple(dict.fromkeys((*answers, *added)))
