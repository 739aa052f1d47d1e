"""MKQA: one {"example_id", "queries": {lang: text}, "answers": {lang: [{"type", "text", "aliases"}]}} per line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

from qttrag.errors import InputError
from qttrag.evaluation.datasets.files import HubFile, language_of, lines, local_path, parsed, records, text_of
from qttrag.evaluation.datasets.questions import Question
from qttrag.evaluation.datasets.settings import DatasetSettings
from qttrag.text.languages import language


class MkqaDataset(DatasetSettings):
    """Questions that have an answer in words. A language may be spelt as in MKQA ("zh_tw") or as in qttrag.

    `aliases`: count aliases as references, which the research harness does not. MKQA's scorer does: official measures
    always compare with them.
    `ids`: a file with the ids of the questions to read; all if absent."""

    SIGNED: ClassVar[tuple[str, ...]] = ("aliases",)

    kind: Literal["mkqa"] = "mkqa"
    file: str | HubFile
    aliases: bool = False
    ids: str | HubFile | None = None

    def read(self, lang: str, left_out: Counter[str]) -> Iterator[Question]:
        ids = read_ids(local_path(self.ids)) if self.ids else None
        missing = set(ids or ())
        for where, record in records(local_path(self.file, lang)):
            example_id = text_of(where, record, "example_id")
            missing.discard(example_id)
            if ids is not None and example_id not in ids:
                left_out["not among the ids"] += 1
            elif question := _question(where, record, lang, aliases=self.aliases):
                yield question
            else:
                left_out["without an answer in words"] += 1
        if missing:
            left_out["among the ids, but not in the file"] += len(missing)


def read_ids(path: Path) -> frozenset[str]:
    """Return the ids in a file: one per line, or objects with an "id" as in KILT's files.

    Raises:
        InputError: a line is neither."""
    ids = set()
    for where, line in lines(path):
        record = parsed(where, line) if line.startswith("{") else {"id": line}
        ids.add(text_of(where, record, "id"))
    return frozenset(ids)


def _question(where: str, record: dict[str, Any], lang: str, *, aliases: bool) -> Question | None:
    """Return the question of a record, None if it has no answer in words."""
    queries, answers = _by_language(where, record, "queries"), _by_language(where, record, "answers")
    key = _language_key(where, queries, lang)
    texts = _texts(where, answers.get(key), aliases=aliases)
    if not texts:
        return None
    return Question(
        text_of(where, record, "example_id"),
        text_of(where, dict(queries), key),
        language_of(where, key),
        texts,
        elsewhere=_in_other_languages(where, answers, key),
        official_answers=_texts(where, answers.get(key), aliases=True),
    )


def _language_key(where: str, queries: Mapping[str, Any], lang: str) -> str:
    if lang in queries:
        return lang
    code = language(lang).code
    for key in queries:
        if language_of(where, key) == code:
            return key
    raise InputError(f"{where}: no question in '{lang}' (languages of this record: {', '.join(queries)})")


def _by_language(where: str, record: dict[str, Any], name: str) -> Mapping[str, Any]:
    value = record.get(name)
    if not isinstance(value, dict):
        raise InputError(
            f"{where}: `{name}` must be an object by language (fields of this record: {', '.join(record)})"
        )
    return value


def _texts(where: str, answers: Any, *, aliases: bool) -> tuple[str, ...]:
    if not isinstance(answers, list) or not all(isinstance(answer, dict) for answer in answers):
        raise InputError(f"{where}: `answers` of a language must be a list of objects, is {answers!r}")
    texts: list[str] = []
    for answer in answers:
        text, others = answer.get("text"), answer.get("aliases") or []
        given = [*([] if text is None else [text]), *(others if isinstance(others, list) else [others])]
        if not isinstance(others, list) or not all(isinstance(each, str) for each in given):
            raise InputError(f"{where}: an answer has a `text` and a list of `aliases`, all texts; is {answer!r}")
        texts += given if aliases else given[: len(given) - len(others)]
    return tuple(dict.fromkeys(text for text in texts if text.strip()))


def _in_other_languages(where: str, answers: Mapping[str, Any], own_key: str) -> dict[str, tuple[str, ...]]:
    """Return the answers in other languages; those of two regions of one language are joined."""
    by_code: dict[str, tuple[str, ...]] = {}
    for key, answer in answers.items():
        code = language_of(where, key)
        if code != language_of(where, own_key) and (texts := _texts(where, answer, aliases=True)):
            by_code[code] = tuple(dict.fromkeys((*by_code.get(code, ()), *texts)))
    return by_code
