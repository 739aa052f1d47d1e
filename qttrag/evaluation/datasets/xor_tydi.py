"""XOR-TyDi QA, full: one {"id", "question", "answers", "lang", "split"} per line (xor_dev_full_v1_1.jsonl)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Literal

from qttrag.evaluation.datasets.files import HubFile, language_of, local_path, records, text_of, texts_of
from qttrag.evaluation.datasets.questions import Question
from qttrag.evaluation.datasets.settings import DatasetSettings
from qttrag.text.languages import language

_NATIVE_YES_NO: dict[str, dict[str, tuple[str, ...]]] = {
    "ar": {"yes": ("نعم", "أجل", "بلى"), "no": ("لا",)},
    "bn": {"yes": ("হ্যাঁ",), "no": ("না",)},
    "fi": {"yes": ("kyllä", "joo"), "no": ("ei",)},
    "ja": {"yes": ("はい",), "no": ("いいえ",)},
    "ko": {"yes": ("예",), "no": ("아니요",)},
    "ru": {"yes": ("да",), "no": ("нет",)},
    "te": {"yes": ("అవును",), "no": ("కాదు",)},
}  # from the research harness, which has none for Bengali and Telugu
"""Additional references for "yes" and "no", which the dataset has in English."""


class XorTydiDataset(DatasetSettings):
    """`file`: xor_dev_full_v1_1.jsonl, local or on the hub."""

    kind: Literal["xor_tydi"] = "xor_tydi"
    file: str | HubFile

    def read(self, lang: str, left_out: Counter[str]) -> Iterator[Question]:
        code = language(lang).code
        for where, record in records(local_path(self.file)):
            if language_of(where, text_of(where, record, "lang")) != code:
                left_out["in another language"] += 1
                continue
            answers = with_native_yes_no(texts_of(where, record, "answers"), code)
            yield Question(text_of(where, record, "id"), text_of(where, record, "question"), code, answers)


def with_native_yes_no(answers: tuple[str, ...], lang: str) -> tuple[str, ...]:
    """Return the answers, followed by the words for each "yes" or "no" among them in `lang`."""
    native = _NATIVE_YES_NO.get(lang, {})
    added = (word for answer in answers for word in native.get(answer.strip().lower(), ()))
    return tuple(dict.fromkeys((*answers, *added)))
