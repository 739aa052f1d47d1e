"""SQuAD's format, one JSON file per language (XQuAD, MLQA, TyDi QA's GoldP, CMRC 2018).

Each question has passages to read: the paragraph with the answer, in its own language or in others, whose files have a
question with the same id, and distractors, from the same article if it has enough paragraphs."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from qttrag.errors import InputError
from qttrag.evaluation.datasets.files import HubFile, document, file_in, local_path
from qttrag.evaluation.datasets.questions import Question
from qttrag.evaluation.datasets.settings import DatasetSettings
from qttrag.text.languages import language
from qttrag.text.matching import contains
from qttrag.types import Lang, Passage

_OWN = "own"


class ContextSettings(BaseModel):
    """The passages of a question. A language is a code, or "own" for the language of the question.

    `gold`: the languages of the paragraphs with the answer, one or a list; null for none. `distractors`: how many other
    paragraphs, in the language `distractors_in`."""

    model_config = ConfigDict(extra="forbid")
    gold: str | list[str] | None = _OWN
    distractors: int = Field(default=0, ge=0, le=100)
    distractors_in: str = _OWN

    def gold_langs(self, lang: str) -> list[str]:
        """Return the languages of the gold paragraphs of questions in `lang`, without repeats."""
        named = [self.gold] if isinstance(self.gold, str) else self.gold or []
        return list(dict.fromkeys(lang if name == _OWN else name for name in named))

    def distractor_lang(self, lang: str) -> str:
        return lang if self.distractors_in == _OWN else self.distractors_in

    def langs(self, lang: str) -> list[str]:
        """Return the languages that questions in `lang` need, `lang` first."""
        distractors = [self.distractor_lang(lang)] if self.distractors else []
        return list(dict.fromkeys([lang, *self.gold_langs(lang), *distractors]))


class SquadDataset(DatasetSettings):
    """`file`: the files of all languages, with "{lang}" for the code or "{name}" for the English name in lower case.
    `id_prefix`: questions whose ids begin otherwise are left out, "{name}-" for TyDi QA's file of all languages.
    `context`: the passages of a question.

    A question without its counterpart in a language of `gold` is left out, and so is one without an answer. Passages
    are in a random order that depends on the question's id alone."""

    kind: Literal["squad"] = "squad"
    file: str | HubFile
    id_prefix: str = ""
    context: ContextSettings = ContextSettings()

    def read(self, lang: str, left_out: Counter[str]) -> Iterator[Question]:
        files = {code: self._read(code, left_out if code == lang else Counter()) for code in self.context.langs(lang)}
        return _questions(files, lang, self.context, left_out)

    def _read(self, code: str, left_out: Counter[str]) -> _File:
        prefix = file_in(self.id_prefix, code)
        return _File.of(local_path(self.file, code), language(code).code, prefix, left_out)


_NotBlank = Annotated[str, Field(pattern=r"\S")]


class _SquadAnswer(BaseModel):
    text: str


class _SquadQuestion(BaseModel):
    model_config = ConfigDict(coerce_numbers_to_str=True)
    id: _NotBlank
    question: str
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
    """A paragraph and its questions. `article`: the number of the article in its file."""

    article: int
    passage: Passage
    questions: list[_QuestionAnswers]


class _File(NamedTuple):
    """The paragraphs of one language, and by the id of each question its paragraph and answers."""

    path: Path
    paragraphs: Sequence[_Paragraph]
    paragraph_of: Mapping[str, _Paragraph]
    answers: Mapping[str, tuple[str, ...]]

    @classmethod
    def of(cls, path: Path, lang: Lang, id_prefix: str, left_out: Counter[str]) -> _File:
        paragraphs = [
            _Paragraph(
                a,
                Passage(f"{lang}/{a}-{n}", each.context, lang, article.title),
                _answered(each.qas, id_prefix, left_out),
            )
            for a, article in enumerate(document(path, _SquadFile).data)
            for n, each in enumerate(article.paragraphs)
        ]
        asked = [(paragraph, question) for paragraph in paragraphs for question in paragraph.questions]
        return cls(
            path,
            paragraphs,
            {question.question_id: paragraph for paragraph, question in asked},
            {question.question_id: question.answers for _, question in asked},
        )


_Files = Mapping[str, _File]  # by language


def _questions(files: _Files, lang: str, context: ContextSettings, left_out: Counter[str]) -> Iterator[Question]:
    own = files[lang]
    for code in context.gold_langs(lang):
        if own.answers and own.answers.keys().isdisjoint(files[code].answers):
            raise InputError(
                f"{files[code].path}: has no question of {own.path}; give files in which a question has one id"
            )
    for question in (question for paragraph in own.paragraphs for question in paragraph.questions):
        question_id = question.question_id
        if absent := [code for code in context.gold_langs(lang) if question_id not in files[code].answers]:
            left_out[f"not asked in '{absent[0]}'"] += 1
            continue
        elsewhere: dict[str, tuple[str, ...]] = {
            language(code).code: file.answers[question_id]
            for code, file in files.items()
            if code != lang and question_id in file.answers
        }
        yield Question(
            question_id,
            question.question,
            language(lang).code,
            question.answers,
            elsewhere=elsewhere,
            passages=tuple(_context(files, lang, context, question, elsewhere)),
        )


def _context(
    files: _Files,
    lang: str,
    context: ContextSettings,
    question: _QuestionAnswers,
    elsewhere: Mapping[str, tuple[str, ...]],
) -> list[Passage]:
    draw = random.Random(question.question_id)  # noqa: S311  an order, not a secret
    chosen = [files[code].paragraph_of[question.question_id].passage for code in context.gold_langs(lang)]
    if context.distractors:
        answers = [*question.answers, *(text for texts in elsewhere.values() for text in texts)]
        file = files[context.distractor_lang(lang)]
        own = file.paragraph_of.get(question.question_id)
        others = draw.sample(file.paragraphs, len(file.paragraphs))
        if own is not None:
            others.sort(key=lambda p: p.article != own.article)  # those of the same article first
        usable = (p.passage for p in others if p is not own and not contains(p.passage.text, answers))
        chosen += [passage for _, passage in zip(range(context.distractors), usable, strict=False)]
    return draw.sample(chosen, len(chosen))


def _answered(qas: Sequence[_SquadQuestion], id_prefix: str, left_out: Counter[str]) -> list[_QuestionAnswers]:
    """Return the questions with a text, an answer and an id that begins so; count the others."""
    found = []
    for qa in qas:
        answers = tuple(dict.fromkeys(answer.text for answer in qa.answers if answer.text.strip()))
        if not qa.id.startswith(id_prefix):
            left_out["in another language"] += 1
        elif not qa.question.strip():
            left_out["without a question"] += 1
        elif not answers:
            left_out["without an answer"] += 1
        else:
            found.append(_QuestionAnswers(qa.id, qa.question, answers))
    return found
