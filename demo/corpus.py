"""The demo's corpus: articles, questions and relevance judgements, generated from facts in four languages.

python -m demo.corpus [FOLDER]    writes demo/data/ in a few seconds; the files are reproducible
"""

from __future__ import annotations

import gzip
import json
import random
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

import yaml

from demo.facts import LANGS, SEED, Name, Sheet, Split, sheets
from demo.grammar import capitalised, genitive, with_article, with_particles

HERE = Path(__file__).parent
DATA = HERE / "data"
VARIANTS = 3

SECTIONS: Mapping[str, tuple[str, ...]] = {
    "overview": ("continent", "code"),
    "languages": ("official_language", "official_languages", "main_language", "second_language"),
    "currency": ("currency", "currency_since", "currency_code"),
    "history": ("currency_before", "currency_until"),
    "time": ("city", "week_start", "weekend_start"),
}
"""The passages of an article, with the facts of each in order."""

RELATIONS: Mapping[str, str] = {
    "continent": "overview",
    "code": "overview",
    "official_language": "languages",
    "main_language": "languages",
    "share": "languages",
    "currency": "currency",
    "currency_code": "currency",
    "currency_since": "currency",
    "currency_before": "history",
    "currency_until": "history",
    "city": "time",
    "week_start": "time",
    "weekend_start": "time",
}
"""The relations of questions, by the field with the answer, and the passage with the answer."""

_MKQA_TYPES = {"share": "number_with_unit", "currency_since": "date", "currency_until": "date"}
_ALSO_STATED = {"main_language": ("share",), "second_language": ("second_share",)}
_Line = str | dict[str, str]


class Passage(NamedTuple):
    """A section of an article. `passage_id`: such as "en-FI-currency"."""

    passage_id: str
    title: str
    text: str
    lang: str


class Question(NamedTuple):
    """A question with its gold answers, best first, and the passages of all collections that contain the answer."""

    question_id: str
    text: str
    lang: str
    answers: list[str]
    sheet: Sheet
    relation: str
    gold: list[str]


class Templates(NamedTuple):
    """The wordings of statements and questions in one language. Variant n has the same meaning in every language."""

    separator: str
    statements: Mapping[str, list[_Line]]
    questions: Mapping[str, list[_Line]]


@cache
def templates(lang: str) -> Templates:
    return Templates(**yaml.safe_load((HERE / "templates" / f"{lang}.yaml").read_text("utf-8")))


def _fill(line: _Line, lang: str, name: Name, facts: Mapping[str, Name]) -> str:
    here = name[lang]
    values = {field: value[lang] for field, value in facts.items()} | {"name": here}
    if lang == "en":
        values["the"] = with_article(here)
        values["The"] = capitalised(values["the"])
    if isinstance(line, dict):
        form = genitive(here)
        values["gen"] = form or ""
        line = line["genitive"] if form else line["otherwise"]
    return capitalised(with_particles(line.format(**values)))


def statement(field: str, variant: int, lang: str, name: Name, facts: Mapping[str, Name]) -> str:
    """Return one sentence; `facts` must contain the facts that it states."""
    return _fill(templates(lang).statements[field][variant], lang, name, facts)


def stated(section: str, facts: Mapping[str, Name]) -> list[str]:
    """Return the fields of a section for which there are facts."""
    return [field for field in SECTIONS[section] if all(f in facts for f in (field, *_ALSO_STATED.get(field, ())))]


def values_of(field: str, facts: Mapping[str, Name], lang: str) -> list[str]:
    """Return the values that a field's statement contains, in a language."""
    return [facts[each][lang] for each in (field, *_ALSO_STATED.get(field, ()))]


def section_text(section: str, variants: Iterable[int], lang: str, name: Name, facts: Mapping[str, Name]) -> str:
    """Return the text of a passage, one sentence per field; empty without facts."""
    fields = stated(section, facts)
    sentences = [statement(field, v, lang, name, facts) for field, v in zip(fields, variants, strict=False)]
    return templates(lang).separator.join(sentences)


def question_text(relation: str, variant: int, lang: str, name: Name) -> str:
    return _fill(templates(lang).questions[relation][variant], lang, name, {})


def answers(relation: str, lang: str, facts: Mapping[str, Name]) -> list[str]:
    """Return the gold answers to a question, the passage's own words first."""
    value = facts[relation][lang]
    also = {("currency_since", "ko"): f"{value}년", ("currency_since", "zh"): f"{value}年"}.get((relation, lang))
    return [value, also] if also else [value]


def article(sheet: Sheet, lang: str, *, wording: str | None = None) -> list[Passage]:
    """Return the passages of a territory's article; the wording differs between languages.

    `wording`: translate the article of this language sentence by sentence instead."""
    choose = random.Random(f"{SEED} {sheet.code} {wording or lang}")
    passages = []
    for section in SECTIONS:
        variants = [choose.randrange(VARIANTS) for _ in SECTIONS[section]]
        if text := section_text(section, variants, lang, sheet.name, sheet.facts):
            passages.append(Passage(f"{lang}-{sheet.code}-{section}", sheet.name[lang], text, lang))
    return passages


def questions(split: Split) -> Iterator[Question]:
    """Yield all questions about the territories of a split; the four languages of a question are adjacent."""
    for sheet in sheets():
        if sheet.split == split:
            for relation, section in RELATIONS.items():
                if relation in sheet.facts:
                    yield from _asked(sheet, relation, section)


def _asked(sheet: Sheet, relation: str, section: str) -> Iterator[Question]:
    gold = [f"{lang}-{sheet.code}-{section}" for lang in sheet.covered]
    for lang in LANGS:
        variant = random.Random(f"{SEED} {sheet.code} {relation} {lang}").randrange(VARIANTS)
        text = question_text(relation, variant, lang, sheet.name)
        yield Question(
            f"{sheet.code}-{relation}-{lang}", text, lang, answers(relation, lang, sheet.facts), sheet, relation, gold
        )


def write(folder: Path) -> None:
    """Write collections (JSONL), questions (formats of XOR-TyDi and MKQA) and judgements (TREC) to `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for lang in LANGS:
        covered = [sheet for sheet in sheets() if lang in sheet.covered]
        records = [
            {"id": p.passage_id, "title": p.title, "text": p.text, "lang": lang}
            for s in covered
            for p in article(s, lang)
        ]
        (folder / f"{lang}.jsonl").write_text(_lines(records), "utf-8")
    (folder / "references.jsonl").write_text(_lines(_references()), "utf-8")
    splits: tuple[Split, ...] = ("train", "dev", "test")
    for split in splits:
        asked = list(questions(split))
        (folder / f"xor-{split}.jsonl").write_text(_lines(map(_xor, asked)), "utf-8")
        with gzip.GzipFile(folder / f"mkqa-{split}.jsonl.gz", "wb", mtime=0) as file:
            file.write(_lines(_mkqa(asked)).encode())
        judged = [f"{q.question_id} 0 {passage_id} 1\n" for q in asked for passage_id in q.gold]
        (folder / f"qrels-{split}.trec").write_text("".join(judged), "utf-8")


def _references() -> Iterator[dict[str, object]]:
    """Yield each passage of the collections in every other language, as `eval/tag-controls-demo.yaml` reads them."""
    for sheet in sheets():
        for lang in sheet.covered:
            for other in LANGS:
                if other != lang:
                    for own, its in zip(article(sheet, lang), article(sheet, other, wording=lang), strict=True):
                        yield {"id": f"{own.passage_id}#0", "lang": other, "text": f"{its.title}. {its.text}"}


def _lines(records: Iterable[Mapping[str, object]]) -> str:
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)


def _xor(question: Question) -> dict[str, object]:
    return {
        "id": question.question_id,
        "question": question.text,
        "answers": question.answers,
        "lang": question.lang,
        "split": question.sheet.split,
    }


def _mkqa(asked: list[Question]) -> Iterator[dict[str, object]]:
    for n in range(0, len(asked), len(LANGS)):
        together = asked[n : n + len(LANGS)]
        kind = _MKQA_TYPES.get(together[0].relation, "entity")
        yield {
            "example_id": n // len(LANGS),
            "queries": {q.lang: q.text for q in together},
            "answers": {
                q.lang: [{"type": kind, "entity": None, "text": q.answers[0], "aliases": q.answers[1:]}]
                for q in together
            },
        }


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else DATA)
