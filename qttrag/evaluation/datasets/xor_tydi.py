"""XOR-TyDi QA, full: one {"id", "question", "answers", "lang", "split"} per line (xor_dev_full_v1_1.jsonl)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import ClassVar, Literal

from qttrag.evaluation.datasets.files import HubFile, language_of, local_path, records, text_of, texts_of
from qttrag.evaluation.datasets.questions import Question
from qttrag.evaluation.datasets.settings import DatasetSettings
from qttrag.text.languages import language

YesNo = Literal["native", "native_all", "raw"]
_NATIVE_YES_NO: dict[str, dict[str, tuple[str, ...]]] = {
    "ar": {"yes": ("نعم", "أجل", "بلى"), "no": ("لا",)},
    "bn": {"yes": ("হ্যাঁ",), "no": ("না",)},
    "fi": {"yes": ("kyllä", "joo"), "no": ("ei",)},
    "ja": {"yes": ("はい",), "no": ("いいえ",)},
    "ko": {"yes": ("예",), "no": ("아니요",)},
    "ru": {"yes": ("да",), "no": ("нет",)},
    "te": {"yes": ("అవును",), "no": ("కాదు",)},
}
"""Additional references for "yes" and "no", which the dataset has in English."""
_NOT_IN_THE_HARNESS = frozenset(("bn", "te"))


class XorTydiDataset(DatasetSettings):
    """`file`: xor_dev_full_v1_1.jsonl, local or on the hub.

    `yes_no`: the references of yes/no questions. "native": also the words of the language, as the research harness
    adds them; "native_all": those of Bengali and Telugu, too, which it lacks; "raw": "yes" and "no" alone. Official
    measures always compare with the raw references."""

    SIGNED: ClassVar[tuple[str, ...]] = ("yes_no",)

    kind: Literal["xor_tydi"] = "xor_tydi"
    file: str | HubFile
    yes_no: YesNo = "native"

    def read(self, lang: str, left_out: Counter[str]) -> Iterator[Question]:
        code = language(lang).code
        for where, record in records(local_path(self.file, lang)):
            if language_of(where, text_of(where, record, "lang")) != code:
                left_out["in another language"] += 1
                continue
            raw = texts_of(where, record, "answers")
            yield Question(
                text_of(where, record, "id"),
                text_of(where, record, "question"),
                code,
                with_native_yes_no(raw, code, self.yes_no),
                official_answers=raw,
            )


def with_native_yes_no(answers: tuple[str, ...], lang: str, yes_no: YesNo) -> tuple[str, ...]:
    """Return the answers, followed by the words for each "yes" or "no" among them in `lang`."""
    skipped = yes_no == "raw" or (yes_no == "native" and lang in _NOT_IN_THE_HARNESS)
    native = {} if skipped else _NATIVE_YES_NO.get(lang, {})
    added = (word for answer in answers for word in native.get(answer.strip().lower(), ()))
    return tuple(dict.fromkeys((*answers, *added)))
