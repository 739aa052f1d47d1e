"""SQuAD's format, one JSON file a language with the same ids and paragraphs in each (XQuAD), and contexts made of it.

Questions come with the passages to read: the paragraph that holds the answer, in one language or another, and
distracting ones, of the same article where it has enough."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from qttrag.errors import InputError
from qttrag.evaluation.datasets.questions import Question
from qttrag.evaluation.metrics.language_neutral import contains
from qttrag.text.languages import language
from qttrag.types import Lang, Passage

_OWN = "own"


class Given(BaseModel):
    """The passages that a question comes with. A language is a code, or "own" for the question's.

    `gold`: the language of the paragraph with the answer; null for none. `distractors`: how many others, and in which
    language."""

    model_config = ConfigDict(extra="forbid")
    gold: str | None = _OWN
    distractors: int = Field(default=0, ge=0, le=100)
    distractors_in: str = _OWN

    def langs(self, lang: str) -> list[str]:
        """Return the languages that are needed for questions in `lang`, that one first."""
        named = [lang, self.gold or lang, self.distractors_in if self.distractors else lang]
        return list(dict.fromkeys(lang if each == _OWN else each for each in named))


class _Asked(NamedTuple):
    question_id: str
    question: str
    answers: tuple[str, ...]


class _Paragraph(NamedTuple):
    """A paragraph and what is asked of it. `article`, `number`: its place, the same in every language."""

    article: int
    number: int
    passage: Passage
    asked: list[_Asked]


def read(files: Mapping[str, Path], lang: str, given: Given) -> Iterator[Question]:
    """Yield the questions in `lang` with their passages, in a random order that is the same each time.

    `files`: a file for each language of `given.langs`.

    Raises:
        InputError: a file is not in the format, or does not have the paragraphs that the first one has."""
    read_in = {code: _paragraphs(path, language(code).code) for code, path in files.items()}
    first = read_in[lang]
    for code, paragraphs in read_in.items():
        if [p[:2] for p in paragraphs] != [p[:2] for p in first]:
            raise InputError(f"{files[code]}: its paragraphs are not those of {files[lang]}; give parallel files")
    answers = {
        code: {a.question_id: a.answers for p in paragraphs for a in p.asked} for code, paragraphs in read_in.items()
    }
    for place, paragraph in enumerate(first):
        for asked in paragraph.asked:
            others = {
                c: found[asked.question_id] for c, found in answers.items() if c != lang and asked.question_id in found
            }
            known = [*asked.answers, *(text for texts in others.values() for text in texts)]
            yield Question(
                asked.question_id,
                asked.question,
                language(lang).code,
                asked.answers,
                elsewhere={language(code).code: texts for code, texts in others.items()},
                passages=tuple(_context(read_in, place, lang, given, asked.question_id, known)),
            )


def _context(
    read_in: Mapping[str, Sequence[_Paragraph]], place: int, lang: str, given: Given, question_id: str, known: list[str]
) -> list[Passage]:
    draw = random.Random(question_id)  # noqa: S311  an order, no secret
    chosen = [read_in[lang if given.gold == _OWN else given.gold][place].passage] if given.gold else []
    others = read_in[lang if given.distractors_in == _OWN else given.distractors_in] if given.distractors else []
    shuffled = draw.sample(others, len(others))
    shuffled.sort(key=lambda p: p.article != read_in[lang][place].article)  # the article's own first
    fit = (p.passage for p in shuffled if p[:2] != read_in[lang][place][:2] and not contains(p.passage.text, known))
    chosen += [passage for _, passage in zip(range(given.distractors), fit, strict=False)]
    return draw.sample(chosen, len(chosen))


def _paragraphs(path: Path, lang: Lang) -> list[_Paragraph]:
    try:
        articles = json.loads(path.read_text("utf-8"))["data"]
        return [
            _Paragraph(a, n, Passage(f"{lang}/{a}-{n}", p["context"], lang, str(article.get("title", ""))), _asked(p))
            for a, article in enumerate(articles)
            for n, p in enumerate(article["paragraphs"])
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path}: not in SQuAD's format ({type(error).__name__}: {error}); it has data, paragraphs, context, qas"
        ) from error


def _asked(paragraph: dict[str, Any]) -> list[_Asked]:
    return [
        _Asked(str(qa["id"]), qa["question"], tuple(dict.fromkeys(answer["text"] for answer in qa["answers"])))
        for qa in paragraph["qas"]
        if qa["answers"]
    ]
