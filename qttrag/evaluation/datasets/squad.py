"""SQuAD's format, one JSON file per language with the same ids and paragraphs in each (XQuAD).

Each question has passages to read: the paragraph with the answer, in one language or another, and distractors, from
the same article if it has enough paragraphs."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from qttrag.errors import InputError
from qttrag.evaluation.datasets.files import HubFile, document, local_path
from qttrag.evaluation.datasets.questions import Question
from qttrag.evaluation.datasets.settings import DatasetSettings
from qttrag.text.languages import language
from qttrag.text.matching import contains
from qttrag.types import Lang, Passage

_OWN = "own"


class ContextSettings(BaseModel):
    """The passages of a question. A language is a code, or "own" for the language of the question.

    `gold`: the language of the paragraph with the answer; null for none. `distractors`: how many other paragraphs, in
    the language `distractors_in`."""

    model_config = ConfigDict(extra="forbid")
    gold: str | None = _OWN
    distractors: int = Field(default=0, ge=0, le=100)
    distractors_in: str = _OWN

    def langs(self, lang: str) -> list[str]:
        """Return the languages that questions in `lang` need, `lang` first."""
        named = [lang, self.gold or lang, self.distractors_in if self.distractors else lang]
        return list(dict.fromkeys(lang if name == _OWN else name for name in named))


class SquadDataset(DatasetSettings):
    """`file`: the files of all languages, with "{lang}" for the code. `context`: the passages of a question.

    Passages are in a random order that depends on the question's id alone."""

    kind: Literal["squad"] = "squad"
    file: str | HubFile
    context: ContextSettings = ContextSettings()

    def read(self, lang: str, left_out: Counter[str]) -> Iterator[Question]:
        files = {code: local_path(self.file, code) for code in self.context.langs(lang)}
        return _questions(_parallel_paragraphs(files, lang), lang, self.context)


_NotBlank = Annotated[str, Field(pattern=r"\S")]


class _SquadAnswer(BaseModel):
    text: str


class _SquadQuestion(BaseModel):
    model_config = ConfigDict(coerce_numbers_to_str=True)
    id: _NotBlank
    question: _NotBlank
    answers: list[_SquadAnswer]


class _SquadParagraph(BaseModel):
    context: _NotBlank
    qas: list[_SquadQuestion]


class _SquadArticle(BaseModel):
    title: str = ""
    paragraphs: list[_SquadParagraph]


class _SquadFile(BaseModel):
    data: list[_SquadArticle]


class _QuestionAnswers(NamedTuple):
    question_id: str
    question: str
    answers: tuple[str, ...]


class _Paragraph(NamedTuple):
    """A paragraph and its questions. `article`, `number`: its place, the same in every language."""

    article: int
    number: int
    passage: Passage
    questions: list[_QuestionAnswers]

    @property
    def place(self) -> tuple[int, int]:
        return self.article, self.number


_Paragraphs = Mapping[str, Sequence[_Paragraph]]  # by language, parallel


def _parallel_paragraphs(files: Mapping[str, Path], lang: str) -> _Paragraphs:
    paragraphs = {code: _paragraphs(path, language(code).code) for code, path in files.items()}
    places = [paragraph.place for paragraph in paragraphs[lang]]
    for code in paragraphs:
        if [paragraph.place for paragraph in paragraphs[code]] != places:
            raise InputError(
                f"{files[code]}: its paragraphs are not those of {files[lang]}; give parallel files, one per language"
            )
    return paragraphs


def _questions(paragraphs: _Paragraphs, lang: str, context: ContextSettings) -> Iterator[Question]:
    answers = {code: {q.question_id: q.answers for p in some for q in p.questions} for code, some in paragraphs.items()}
    for place, paragraph in enumerate(paragraphs[lang]):
        for question_id, text, own_answers in paragraph.questions:
            elsewhere = {c: by_id[question_id] for c, by_id in answers.items() if c != lang and question_id in by_id}
            all_answers = [*own_answers, *(text for texts in elsewhere.values() for text in texts)]
            yield Question(
                question_id,
                text,
                language(lang).code,
                own_answers,
                elsewhere={language(code).code: texts for code, texts in elsewhere.items()},
                passages=tuple(_context(paragraphs, place, lang, context, question_id, all_answers)),
            )


def _context(
    paragraphs: _Paragraphs,
    place: int,
    lang: str,
    context: ContextSettings,
    question_id: str,
    answers: Sequence[str],
) -> list[Passage]:
    draw = random.Random(question_id)  # noqa: S311  an order, not a secret
    own = paragraphs[lang][place]
    chosen = [paragraphs[lang if context.gold == _OWN else context.gold][place].passage] if context.gold else []
    others = (
        paragraphs[lang if context.distractors_in == _OWN else context.distractors_in] if context.distractors else []
    )
    shuffled = draw.sample(others, len(others))
    shuffled.sort(key=lambda p: p.article != own.article)  # those of the same article first
    usable = (p.passage for p in shuffled if p.place != own.place and not contains(p.passage.text, answers))
    chosen += [passage for _, passage in zip(range(context.distractors), usable, strict=False)]
    return draw.sample(chosen, len(chosen))


def _paragraphs(path: Path, lang: Lang) -> list[_Paragraph]:
    return [
        _Paragraph(a, n, Passage(f"{lang}/{a}-{n}", each.context, lang, article.title), _answered(each.qas))
        for a, article in enumerate(document(path, _SquadFile).data)
        for n, each in enumerate(article.paragraphs)
    ]


def _answered(qas: Sequence[_SquadQuestion]) -> list[_QuestionAnswers]:
    """Return the questions that have an answer."""
    texts = [(qa, tuple(dict.fromkeys(a.text for a in qa.answers if a.text.strip()))) for qa in qas]
    return [_QuestionAnswers(qa.id, qa.question, answers) for qa, answers in texts if answers]
