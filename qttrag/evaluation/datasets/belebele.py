"""Belebele: multiple-choice questions on FLORES passages, parallel in 122 languages; one JSONL file per language.

A record has "link", "question_number", "flores_passage", "question", "mc_answer1" to "mc_answer4" and
"correct_answer_num". The question that is asked lists the answers by letter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, ClassVar, Literal, NamedTuple

from qttrag.errors import InputError
from qttrag.evaluation.datasets.files import HubFile, local_path, records, text_of
from qttrag.evaluation.datasets.questions import Question, with_choices
from qttrag.evaluation.datasets.settings import DatasetSettings
from qttrag.text.languages import language
from qttrag.types import Passage

_CHOICES = 4
_OWN = "own"


class _Key(NamedTuple):
    """What a question has in common in all languages."""

    link: str
    number: str


class BelebeleDataset(DatasetSettings):
    """`file`: the files of all languages, with "{lang}" for the FLORES code, e.g. "kor_Hang".

    `passages_in`: the language of the passages, "own" for that of the question."""

    SIGNED: ClassVar[tuple[str, ...]] = ("passages_in",)

    kind: Literal["belebele"] = "belebele"
    file: str | HubFile
    passages_in: str = _OWN

    def read(self, lang: str, left_out: Counter[str]) -> Iterator[Question]:
        asked = language(lang)
        read_in = asked if self.passages_in == _OWN else language(self.passages_in)
        passages = {_key(where, each): text_of(where, each, "flores_passage") for where, each in self._of(read_in.nllb)}
        for where, record in self._of(asked.nllb):
            key = _key(where, record)
            if key not in passages:
                left_out[f"without a passage in '{read_in.code}'"] += 1
                continue
            passage_id = f"{read_in.code}/{key.link}"
            choices = tuple(text_of(where, record, f"mc_answer{n}") for n in range(1, _CHOICES + 1))
            yield Question(
                "#".join(key),
                with_choices(text_of(where, record, "question"), choices),
                asked.code,
                (choices[_right(where, record)],),
                passages=(Passage(passage_id, passages[key], read_in.code),),
                choices=choices,
            )

    def _of(self, code: str) -> Iterator[tuple[str, dict[str, Any]]]:
        return records(local_path(self.file, code))


def _key(where: str, record: dict[str, Any]) -> _Key:
    return _Key(text_of(where, record, "link"), text_of(where, record, "question_number"))


def _right(where: str, record: dict[str, Any]) -> int:
    number = text_of(where, record, "correct_answer_num")
    if number not in ("1", "2", "3", "4"):
        raise InputError(f"{where}: `correct_answer_num` must be 1 to 4, is '{number}'")
    return int(number) - 1
