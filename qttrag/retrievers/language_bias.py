"""How much less an encoder gives a passage when the question is in another language, measured on the same questions.

The same questions in two languages ask for the same passages. What is found for them in passages of one language
differs only by the language of the question, so the mean difference of the best scores is the encoder's preference
alone, whatever the collection holds."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from qttrag.encoders.sentence_transformers import Encoder
from qttrag.errors import InputError
from qttrag.indexes.collection import Collection
from qttrag.text.languages import language
from qttrag.types import Lang

_BEST = 10  # hits of a question whose mean score is compared: one alone hangs on a single passage
_TOGETHER = 32


class Shift(NamedTuple):
    """For questions in `question`, what passages in `passages` score too little: a mean over `n` questions, and its
    standard error."""

    question: Lang
    passages: Lang
    mean: float
    error: float
    n: int


def read(path: Path) -> list[dict[Lang, str]]:
    """Return questions, each in several languages, of a file of JSON lines: {"en": "...", "ko": "..."}.

    Raises:
        InputError: a line is not so, a language is unknown, or no question is in two languages."""
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), 1):
        if not line.strip():
            continue
        try:
            cells = json.loads(line)
        except ValueError as error:
            raise InputError(f"{path}:{number}: not JSON ({error})") from error
        if not isinstance(cells, dict) or not all(isinstance(text, str) for text in cells.values()):
            raise InputError(f'{path}:{number}: write {{"en": "question", "ko": "질문"}}, a language each')
        found.append({language(name).code: text for name, text in cells.items() if text.strip()})
    if not any(len(question) > 1 for question in found):
        raise InputError(f"{path}: no question in two languages; each line holds the same question in several")
    return found


def measure(
    collections: Sequence[Collection], encoder: Encoder, questions: Sequence[dict[Lang, str]], *, prefix: str = ""
) -> list[Shift]:
    """Return a shift for each language that questions are in and each other one that passages are in.

    Passages in a language are compared on the questions that are in it, too."""
    asked = sorted({lang for question in questions for lang in question})
    found = []
    for passages in sorted({Lang(lang) for collection in collections for lang in collection.manifest.langs}):
        own = _scores(collections, encoder, questions, passages, passages, prefix)
        for lang in asked:
            if lang == passages or not own:
                continue
            foreign = _scores(collections, encoder, questions, lang, passages, prefix)
            if lost := [own[n] - foreign[n] for n in own.keys() & foreign.keys()]:
                error = statistics.stdev(lost) / len(lost) ** 0.5 if len(lost) > 1 else float("nan")
                found.append(Shift(lang, passages, statistics.fmean(lost), error, len(lost)))
    return found


def _scores(
    collections: Sequence[Collection],
    encoder: Encoder,
    questions: Sequence[dict[Lang, str]],
    lang: Lang,
    passages: Lang,
    prefix: str,
) -> dict[int, float]:
    """Return, by question, the mean score of the best passages in `passages` when it is asked in `lang`."""
    numbers = [n for n, question in enumerate(questions) if lang in question]
    scores: dict[int, float] = {}
    for start in range(0, len(numbers), _TOGETHER):
        part = numbers[start : start + _TOGETHER]
        vectors = encoder.encode([prefix + questions[n][lang] for n in part])
        hits = [collection.search(vectors, _BEST, [passages]) for collection in collections]
        for at, n in enumerate(part):
            best = sorted((hit.score for each in hits for hit in each[at]), reverse=True)[:_BEST]
            if best:
                scores[n] = statistics.fmean(best)
    return scores
