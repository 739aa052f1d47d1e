"""Semantic scores of translations by an encoder: the cosine of the vectors of original and translation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from qttrag import resources, trace
from qttrag.encoders import language_means
from qttrag.encoders.concurrent import ConcurrentEncoder
from qttrag.encoders.language_means import LanguageMeans
from qttrag.errors import ConfigError, StageError
from qttrag.models.loading import Lazy
from qttrag.protocols import Encoder
from qttrag.taggers.critical_errors.check import Check
from qttrag.types import MAX_SCORE, Criterion, Lang, QualityScores, Verdict

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_STAGE = "tagger"


class _Loaded(NamedTuple):
    encoder: ConcurrentEncoder
    means: LanguageMeans | None


class EmbeddingTagger:
    """Tagger kind `embedding`: a semantic score alone.

    `encoder`: by default the retriever's; equal settings share one model. `prefix`: put before both texts, e.g.
    "query: " for E5. `means`: names of built indexes with the means of their languages (`qttrag index measure-means`),
    or paths; the mean vector of each text's language is subtracted. Null: vectors as they are.
    `low`, `high`: the cosines of the scores 0 and 5; between them the score is linear, outside it is 0 or 5.
    Counts: scored, truncated (texts longer than the encoder reads), unscored.<cause> with the causes empty and
    unavailable (the encoder failed, or no mean of the language)."""

    measures: ClassVar[tuple[Criterion, ...]] = ("semantic",)

    def __init__(
        self,
        *,
        encoder: Encoder,
        prefix: str = "",
        means: list[str] | None = None,
        low: float = 0.0,
        high: float = 1.0,
        flags: bool = True,
        cap: float | None = None,
    ) -> None:
        if means is not None and not means:
            raise ConfigError("tagger kind 'embedding': `means: []` names no index; name one, or remove the setting")
        if not -1 <= low < high <= 1:
            raise ConfigError(f"tagger kind 'embedding': `low: {low:g}` and `high: {high:g}` are not cosines in order")
        self._encoder = encoder
        self._prefix = prefix
        self._means = means
        self._low = low
        self._high = high
        self._check = Check(flags=flags, cap=cap)
        self._lazy = Lazy(self._load)

    async def start(self) -> None:
        await self._lazy.get()

    async def score(
        self, originals: Sequence[str], translations: Sequence[str], source: Sequence[Lang], target: Lang
    ) -> list[Verdict]:
        verdicts = [Verdict(None, "empty")] * len(translations)
        filled = [n for n, translation in enumerate(translations) if translation.strip()]
        try:
            cosines = await self._cosines(
                [originals[n] for n in filled], [translations[n] for n in filled], [source[n] for n in filled], target
            )
        except StageError as error:
            trace.note_error("translations are unscored", error)
            cosines = [Verdict(None, "unavailable", error)] * len(filled)
        for n, verdict in zip(filled, cosines, strict=True):
            verdicts[n] = verdict
        for verdict in verdicts:
            trace.count("scored" if verdict.scores else f"unscored.{verdict.cause}")
        return self._check.checked(verdicts, originals, translations, source, target)

    async def _cosines(
        self, originals: Sequence[str], translations: Sequence[str], source: Sequence[Lang], target: Lang
    ) -> list[Verdict]:
        if not originals:
            return []
        loaded = await self._lazy.get()
        texts = [self._prefix + text for text in (*originals, *translations)]
        embedded = await loaded.encoder.encode(texts)
        trace.count("truncated", sum(text.tokens > loaded.encoder.info.max_tokens for text in embedded))
        vectors = [text.vector for text in embedded]
        pairs = zip(vectors[: len(originals)], vectors[len(originals) :], source, strict=True)
        return [self._verdict(loaded.means, *pair, target) for pair in pairs]

    def _verdict(
        self,
        means: LanguageMeans | None,
        one: NDArray[np.float32],
        other: NDArray[np.float32],
        source: Lang,
        target: Lang,
    ) -> Verdict:
        if means is not None:
            if missing := sorted({source, target} - set(means.langs)):
                what = f"translations are unscored: no mean was measured of {', '.join(missing)}"
                trace.note(what, details=f"add an index with passages in it to `means: {self._means}`")
                return Verdict(None, "unavailable")
            one, other = _centred(one, means.of(source)), _centred(other, means.of(target))
        return Verdict(QualityScores(self._scaled(float(one @ other))))

    def _scaled(self, cosine: float) -> float:
        return min(MAX_SCORE, max(0.0, MAX_SCORE * (cosine - self._low) / (self._high - self._low)))

    def _load(self) -> _Loaded:
        means = None if self._means is None else language_means.pooled([_read(name) for name in self._means])
        encoder = self._encoder.load()
        if means is not None and means.revision != encoder.info.revision:
            raise ConfigError(
                f"{_STAGE}: `means: {self._means}` are of another encoder ({means.revision}) than {encoder.info.model} "
                f"({encoder.info.revision}); name indexes of this encoder"
            )
        return _Loaded(ConcurrentEncoder(encoder, batch_tokens=self._encoder.batch_tokens), means)


def _read(name: str) -> LanguageMeans:
    """Return the means of the built index `name`, or those in a file or folder of that path."""
    built = resources.built_folder() / name
    return language_means.read(built if built.is_dir() else Path(name).expanduser())


def _centred(vector: NDArray[np.float32], mean: NDArray[np.float32] | None) -> NDArray[np.float32]:
    """Return a vector without the mean of its language, of length 1; zero if it is the mean."""
    import numpy as np

    difference = vector if mean is None else vector - mean
    norm = np.linalg.norm(difference)
    unit: NDArray[np.float32] = difference / norm if norm > 0 else difference
    return unit
