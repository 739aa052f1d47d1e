"""MKQA: {"example_id", "queries": {lang: text}, "answers": {lang: [{"type", "text", "aliases"}]}} a line."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from qttrag.errors import InputError
from qttrag.evaluation.datasets.files import lines, records, text_of
from qttrag.evaluation.datasets.questions import Question
from qttrag.text.languages import language


def read(
    path: Path, lang: str, left_out: Counter[str], *, aliases: bool = False, ids: frozenset[str] | None = None
) -> Iterator[Question]:
    """Yield the questions in `lang`, as MKQA ("zh_tw") or qttrag spells it, that have an answer in words.

    `aliases` counts them as references, as MKQA's own scorer does and the research harness does not.
    `ids`: the questions to take, all if None; those that the file lacks are counted.

    Raises:
        InputError: a field is missing or of another type, or the file has no such language."""
    missing = set(ids or ())
    for where, record in records(path):
        example_id = text_of(where, record, "example_id")
        missing.discard(example_id)
        if ids is not None and example_id not in ids:
            left_out["not among the ids"] += 1
            continue
        queries, answers = _mapping(where, record, "queries"), _mapping(where, record, "answers")
        key = _key(where, queries, lang)
        texts = _texts(where, answers.get(key), aliases=aliases)
        if not texts:
            left_out["without an answer in words"] += 1
            continue
        yield Question(
            example_id,
            text_of(where, dict(queries), key),
            language(key).code,
            texts,
            elsewhere=_elsewhere(where, answers, key),
        )
    if missing:
        left_out["among the ids, but not in the file"] += len(missing)


def read_ids(path: Path) -> frozenset[str]:
    """Return the ids in a file: one a line, or as KILT has them, objects with an "id".

    Raises:
        InputError: a line is neither."""
    found = set()
    for where, line in lines(path):
        record = json.loads(line) if line.startswith("{") else {"id": line}
        found.add(text_of(where, record, "id"))
    return frozenset(found)


def _key(where: str, queries: Mapping[str, Any], lang: str) -> str:
    if lang in queries:
        return lang
    code = language(lang).code
    for key in queries:
        if language(key).code == code:
            return key
    raise InputError(f"{where}: no question in '{lang}' (languages here: {', '.join(queries)})")


def _mapping(where: str, record: dict[str, Any], name: str) -> Mapping[str, Any]:
    value = record.get(name)
    if not isinstance(value, dict):
        raise InputError(f"{where}: `{name}` must hold something by language (fields here: {', '.join(record)})")
    return value


def _texts(where: str, answers: Any, *, aliases: bool) -> tuple[str, ...]:
    if not isinstance(answers, list) or not all(isinstance(answer, dict) for answer in answers):
        raise InputError(f"{where}: `answers` of a language must be a list of objects, is {answers!r}")
    found = []
    for answer in answers:
        found += [answer.get("text"), *((answer.get("aliases") or ()) if aliases else ())]
    return tuple(dict.fromkeys(text for text in found if isinstance(text, str) and text.strip()))


def _elsewhere(where: str, answers: Mapping[str, Any], here: str) -> dict[str, tuple[str, ...]]:
    """Return the answers in other languages; two regions of one language are put together."""
    found: dict[str, tuple[str, ...]] = {}
    for key, given in answers.items():
        code = language(key).code
        if code != language(here).code and (texts := _texts(where, given, aliases=True)):
            found[code] = tuple(dict.fromkeys((*found.get(code, ()), *texts)))
    return found
