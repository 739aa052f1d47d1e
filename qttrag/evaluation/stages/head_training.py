"""Trains the head of the `embedding` tagger, and compares it with the cosines of raw and of centred vectors."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import qttrag
from qttrag.encoders.language_means import centred
from qttrag.errors import InputError
from qttrag.evaluation import document
from qttrag.evaluation.document import Document, Figure
from qttrag.evaluation.report.tables import Table, interval_text
from qttrag.evaluation.stages.tagging import JudgedTranslation, correlation
from qttrag.evaluation.statistics import SEED
from qttrag.taggers import quality_head
from qttrag.taggers.embedding import EmbeddingTagger
from qttrag.taggers.quality_head import QualityHead
from qttrag.types import MAX_SCORE

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_HELD_OUT = 0.1
_FEWEST = 50  # rows; fewer say nothing about hundreds of weights
MEASURES = ("pearsonr", "spearmanr")


class Rows(NamedTuple):
    """Translations of one pair of languages, such as "en-zh"."""

    pair: str
    judged: Sequence[JudgedTranslation]


class Compared(NamedTuple):
    """The correlations of one method's scores with the held-out scores of a pair."""

    pair: str
    method: str
    figures: dict[str, Figure]


class Trained(NamedTuple):
    head: QualityHead
    compared: list[Compared]


class _Vectors(NamedTuple):
    originals: NDArray[np.float32]
    translations: NDArray[np.float32]
    scores: NDArray[np.float64]


def split(rows: Rows) -> tuple[Rows, Rows]:
    """Return nine tenths of the rows, drawn at random and equal for equal rows, and the others.

    Rows with the same original stay together."""
    originals = sorted({each.original for each in rows.judged})
    held_out = set(random.Random(SEED).sample(originals, round(_HELD_OUT * len(originals))))  # noqa: S311
    parts: tuple[list[JudgedTranslation], list[JudgedTranslation]] = ([], [])
    for each in rows.judged:
        parts[each.original in held_out].append(each)
    return Rows(rows.pair, parts[0]), Rows(rows.pair, parts[1])


async def train(tagger: EmbeddingTagger, training: Sequence[Rows], held_out: Sequence[Rows]) -> Trained:
    """Return a head that is fitted to the training rows, and its comparison on the held-out ones.

    Scores are mapped to 0 to 5 linearly, from the lowest to the highest in the training rows.

    Raises:
        InputError: there are too few rows, or all have the same score.
        StageError: the encoder failed."""
    import numpy as np

    _check(training)
    encoded = {rows.pair: await _encoded(tagger, rows) for rows in training}
    every = list(encoded.values())
    scores = np.concatenate([each.scores for each in every])
    scaled = MAX_SCORE * (scores - scores.min()) / (scores.max() - scores.min())
    originals, translations = (np.concatenate([each[n] for each in every]) for n in (0, 1))
    weights, bias = quality_head.fit(originals, translations, scaled)
    about = await tagger.encoded(["?"])
    what = ", ".join(f"{rows.pair}: {len(rows.judged)}" for rows in training)
    head = QualityHead(weights, bias, about.revision, about.prefix, what)
    compared: list[Compared] = []
    for rows in held_out:
        compared += _compared(rows.pair, head, await _encoded(tagger, rows), encoded.get(rows.pair))
    return Trained(head, compared)


def _check(training: Sequence[Rows]) -> None:
    scores = [each.score for rows in training for each in rows.judged]
    if len(scores) < _FEWEST:
        raise InputError(f"{len(scores)} rows are too few to train a head; give {_FEWEST} or more")
    if min(scores) == max(scores):
        raise InputError(f"all {len(scores)} rows have the score {scores[0]:g}; a head learns from differences")


async def _encoded(tagger: EmbeddingTagger, rows: Rows) -> _Vectors:
    import numpy as np

    texts = list(dict.fromkeys(text for each in rows.judged for text in (each.original, each.translation)))
    vectors = dict(zip(texts, (await tagger.encoded(texts)).vectors, strict=True))
    return _Vectors(
        np.stack([vectors[each.original] for each in rows.judged]),
        np.stack([vectors[each.translation] for each in rows.judged]),
        np.array([each.score for each in rows.judged], np.float64),
    )


def _compared(pair: str, head: QualityHead, test: _Vectors, training: _Vectors | None) -> list[Compared]:
    """Return the cosines and the head's scores against human scores; centred by the means of the training rows."""
    methods = {"raw": (test.originals * test.translations).sum(axis=1)}
    if training is not None:
        one = centred(test.originals, training.originals.mean(axis=0))
        other = centred(test.translations, training.translations.mean(axis=0))
        methods["centred"] = (one * other).sum(axis=1)
    methods["trained"] = head.scores(test.originals, test.translations).clip(0, MAX_SCORE)
    return [Compared(pair, name, _figures(pair, name, scores, test.scores)) for name, scores in methods.items()]


def _figures(pair: str, method: str, scores: NDArray[np.float32], human: NDArray[np.float64]) -> dict[str, Figure]:
    values = list(zip(scores.tolist(), human.tolist(), strict=True))
    figures = {}
    for name in MEASURES:
        interval = correlation(name, values)
        signature = f"{name}|method:{method}|lang:{pair}|n:{len(values)}|ci:{interval.method}|v:{qttrag.__version__}"
        figures[name] = Figure(interval, len(values), signature)
    return figures


def table(compared: Sequence[Compared]) -> Table:
    rows = [
        [
            each.pair,
            each.method,
            *(interval_text(figure.interval, 1, sign=True, digits=3) for figure in each.figures.values()),
        ]
        for each in compared
    ]
    signatures = [figure.signature for each in compared for figure in each.figures.values()]
    return Table("held-out translations, 95 % intervals", ["languages", "scores", *MEASURES], rows, signatures)


def as_document(compared: Sequence[Compared]) -> Document:
    """Return the figures as `--json` prints them."""
    cells = [document.cell(each.figures, languages=each.pair, method=each.method) for each in compared]
    return Document(command="tagger train", notes=[], cells=cells)
