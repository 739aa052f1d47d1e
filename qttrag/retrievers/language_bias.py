"""Measure an encoder's language bias: how much lower it scores passages when the question is in another language.

A question and its translation ask for the same passages. Searched among passages of one language, their best scores
differ only by the language of the question, so the mean difference is the bias of the encoder alone, whatever the
collection holds."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from qttrag.errors import InputError
from qttrag.protocols import QueryEncoder, VectorStore
from qttrag.text.languages import language
from qttrag.types import Lang

_BEST_HITS = 10  # hits of a question whose mean score is compared: a single hit depends on a single passage
_BATCH = 32  # questions encoded together


class LanguageBias(NamedTuple):
    """How much too low passages in `passages` score for questions in `question`: mean over `n` questions, and its
    standard error."""

    question: Lang
    passages: Lang
    mean: float
    error: float
    n: int


def read_parallel_questions(path: Path) -> list[dict[Lang, str]]:
    """Return questions by language, one dictionary for each line {"en": "...", "ko": "..."} of a JSON lines file.

    Raises:
        InputError: a line has another form, a language is unknown, or no question is in two languages."""
    questions = []
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), 1):
        if not line.strip():
            continue
        try:
            cells = json.loads(line)
        except ValueError as error:
            raise InputError(f"{path}:{number}: not JSON ({error})") from error
        if not isinstance(cells, dict) or not all(isinstance(text, str) for text in cells.values()):
            raise InputError(f'{path}:{number}: write {{"en": "question", "ko": "질문"}}, one text for each language')
        questions.append({language(name).code: text for name, text in cells.items() if text.strip()})
    if not any(len(question) > 1 for question in questions):
        raise InputError(f"{path}: no question in two languages; each line holds the same question in several")
    return questions


def measure(
    stores: Sequence[VectorStore], encoder: QueryEncoder, questions: Sequence[dict[Lang, str]], *, prefix: str = ""
) -> list[LanguageBias]:
    """Return the bias for each pair of a language of questions and another language of passages.

    It is measured on the questions that are in both languages. `prefix`: put before each question."""
    question_languages = sorted({lang for question in questions for lang in question})
    biases = []
    for passages in sorted({lang for store in stores for lang in store.languages}):
        own = _mean_scores(stores, encoder, questions, passages, passages, prefix)
        for lang in question_languages:
            if lang == passages or not own:
                continue
            foreign = _mean_scores(stores, encoder, questions, lang, passages, prefix)
            if differences := [own[n] - foreign[n] for n in own.keys() & foreign.keys()]:
                n, mean = len(differences), statistics.fmean(differences)
                error = statistics.stdev(differences) / n**0.5 if n > 1 else float("nan")
                biases.append(LanguageBias(lang, passages, mean, error, n))
    return biases


def _mean_scores(
    stores: Sequence[VectorStore],
    encoder: QueryEncoder,
    questions: Sequence[dict[Lang, str]],
    lang: Lang,
    passages: Lang,
    prefix: str,
) -> dict[int, float]:
    """Return, by number of the question, the mean score of its best hits in `passages` when asked in `lang`."""
    numbers = [n for n, question in enumerate(questions) if lang in question]
    scores: dict[int, float] = {}
    for start in range(0, len(numbers), _BATCH):
        batch = numbers[start : start + _BATCH]
        vectors = encoder.encode([prefix + questions[n][lang] for n in batch])
        results = [store.search(vectors, _BEST_HITS, [passages]) for store in stores]
        for at, n in enumerate(batch):
            best = sorted((hit.score for result in results for hit in result[at]), reverse=True)[:_BEST_HITS]
            if best:
                scores[n] = statistics.fmean(best)
    return scores
