"""Your own questions: one {"id", "question", "answers", "lang"} per line, and what else is known of them.

"gold"         the ids of relevant passages
"passages"     the passages to read instead of searching: texts, or objects {"id", "title", "text", "lang"};
               in the language of the question, unless "lang" is another; an empty list: read nothing
"answerable"   whether those passages have the answer; if it is given, "answers" may be absent
"choices"      up to ten texts to choose from, which the question is asked with; "answers" are some of them
"nuggets"      the facts of a complete answer, each a text or a list of wordings"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, Literal

from qttrag.errors import InputError
from qttrag.evaluation.datasets.files import HubFile, language_of, local_path, passages_of, records, text_of, texts_of
from qttrag.evaluation.datasets.questions import CHOICE_LETTERS, Question, with_choices
from qttrag.evaluation.datasets.settings import DatasetSettings
from qttrag.text.languages import language

_FIELDS = frozenset(("id", "question", "answers", "lang", "gold", "passages", "answerable", "choices", "nuggets"))


class JsonlDataset(DatasetSettings):
    """`file`: a JSONL file, local or on the hub; "{lang}" in its name stands for the language."""

    kind: Literal["jsonl"] = "jsonl"
    file: str | HubFile

    def read(self, lang: str, left_out: Counter[str]) -> Iterator[Question]:
        code = language(lang).code
        for where, record in records(local_path(self.file, lang)):
            if unknown := record.keys() - _FIELDS:
                raise InputError(f"{where}: unknown field '{min(unknown)}' (known: {', '.join(sorted(_FIELDS))})")
            choices = _choices(where, record)
            record_lang = language_of(where, text_of(where, record, "lang"))
            question = Question(
                text_of(where, record, "id"),
                with_choices(text_of(where, record, "question"), choices),
                record_lang,
                _answers(where, record),
                gold=texts_of(where, record, "gold") if record.get("gold") else (),
                passages=None if record.get("passages") is None else passages_of(where, record, record_lang),
                answerable=record.get("answerable"),
                choices=choices,
                nuggets=_nuggets(where, record),
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


def _choices(where: str, record: dict[str, Any]) -> tuple[str, ...]:
    if record.get("choices") is None:
        return ()
    choices = texts_of(where, record, "choices")
    if not 2 <= len(choices) <= len(CHOICE_LETTERS):
        raise InputError(f"{where}: `choices` must be 2 to {len(CHOICE_LETTERS)} different texts, has {len(choices)}")
    if other := set(_answers(where, record)) - set(choices):
        raise InputError(f"{where}: the answer '{min(other)}' is not one of `choices`")
    return choices


def _nuggets(where: str, record: dict[str, Any]) -> tuple[tuple[str, ...], ...]:
    nuggets = record.get("nuggets")
    if nuggets is None:
        return ()
    if not isinstance(nuggets, list):
        raise InputError(f"{where}: `nuggets` must be a list of texts or of lists of texts, is {nuggets!r}")
    return tuple(texts_of(where, {"nuggets": wordings}, "nuggets") for wordings in nuggets)
