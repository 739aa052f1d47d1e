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
from qttrag.protocols import Encoder, QueryEncoder
from qttrag.taggers import quality_head
from qttrag.taggers.critical_errors.check import Check
from qttrag.taggers.quality_head import QualityHead
from qttrag.types import MAX_SCORE, Criterion, Lang, QualityScores, Verdict

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_STAGE = "tagger"


class Encoded(NamedTuple):
    """`vectors`: unit vectors, float32, shape (number of texts, dim); `revision`: of the encoder."""

    vectors: NDArray[np.float32]
    revision: str
    prefix: str


class _Loaded(NamedTuple):
    encoder: ConcurrentEncoder
    means: LanguageMeans | None
    head: QualityHead | None


class EmbeddingTagger:
    """Tagger kind `embedding`: a semantic score alone.

    `encoder`: by default the retriever's; equal settings share one model. `prefix`: put before both texts, e.g.
    "query: " for E5. `means`: names of built indexes with the means of their languages (`qttrag index measure-means`),
    or paths; the mean vector of each text's language is subtracted. Null: vectors as they are.
    `low`, `high`: the cosines of the scores 0 and 5; between them the score is linear, outside it is 0 or 5.
    `head`: a file of `qttrag tagger train`, which weighs the dimensions and gives the scores; without `means`.
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
        head: str | None = None,
        flags: bool = True,
        cap: float | None = None,
    ) -> None:
        if means is not None and not means:
            raise ConfigError("tagger kind 'embedding': `means: []` names no index; name one, or remove the setting")
        if not -1 <= low < high <= 1:
            raise ConfigError(f"tagger kind 'embedding': `low: {low:g}` and `high: {high:g}` are not cosines in order")
        if head is not None and (means is not None or (low, high) != (0, 1)):
            raise ConfigError("tagger kind 'embedding': `head:` gives the scores; remove `means:`, `low:` and `high:`")
        self._encoder = encoder
        self._head = head
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
        vectors = await self._vectors(loaded, [*originals, *translations])
        pairs = zip(vectors[: len(originals)], vectors[len(originals) :], source, strict=True)
        return [self._verdict(loaded, *pair, target) for pair in pairs]

    async def encoded(self, texts: Sequence[str]) -> Encoded:
        """Return the vectors of texts as they are before means or a head, and what they depend on.

        Raises:
            StageError: the encoder failed."""
        import numpy as np

        loaded = await self._lazy.get()
        vectors = np.stack(await self._vectors(loaded, texts)) if texts else np.empty((0, 0), np.float32)
        return Encoded(vectors, loaded.encoder.info.revision, self._prefix)

    async def _vectors(self, loaded: _Loaded, texts: Sequence[str]) -> list[NDArray[np.float32]]:
        embedded = await loaded.encoder.encode([self._prefix + text for text in texts])
        trace.count("truncated", sum(text.tokens > loaded.encoder.info.max_tokens for text in embedded))
        return [text.vector for text in embedded]

    def _verdict(
        self,
        loaded: _Loaded,
        one: NDArray[np.float32],
        other: NDArray[np.float32],
        source: Lang,
        target: Lang,
    ) -> Verdict:
        if loaded.head is not None:
            return Verdict(QualityScores(_clipped(float(loaded.head.scores(one, other)))))
        if (means := loaded.means) is not None:
            if missing := sorted({source, target} - set(means.langs)):
                what = f"translations are unscored: no mean was measured of {', '.join(missing)}"
                trace.note(what, details=f"add an index with passages in it to `means: {self._means}`")
                return Verdict(None, "unavailable")
            one = language_means.centred(one, means.of(source))
            other = language_means.centred(other, means.of(target))
        return Verdict(QualityScores(self._scaled(float(one @ other))))

    def _scaled(self, cosine: float) -> float:
        return _clipped(MAX_SCORE * (cosine - self._low) / (self._high - self._low))

    def _load(self) -> _Loaded:
        means = None if self._means is None else language_means.pooled([_read(name) for name in self._means])
        encoder = self._encoder.load()
        if means is not None and means.revision != encoder.info.revision:
            raise ConfigError(
                f"{_STAGE}: `means: {self._means}` are of another encoder ({means.revision}) than {encoder.info.model} "
                f"({encoder.info.revision}); name indexes of this encoder"
            )
        head = None if self._head is None else self._read_head(Path(self._head).expanduser(), encoder)
        return _Loaded(ConcurrentEncoder(encoder, batch_tokens=self._encoder.batch_tokens), means, head)

    def _read_head(self, path: Path, encoder: QueryEncoder) -> QualityHead:
        head = quality_head.read(path)
        if head.revision != encoder.info.revision or len(head.weights) != encoder.info.dim:
            raise ConfigError(
                f"{_STAGE}: `head: {path}` was trained with another encoder ({head.revision}) than "
                f"{encoder.info.model} ({encoder.info.revision}); train it again: qttrag tagger train"
            )
        if head.prefix != self._prefix:
            raise ConfigError(f'{_STAGE}: `head: {path}` was trained with `prefix: "{head.prefix}"`; set that')
        return head


def _clipped(score: float) -> float:
    return min(MAX_SCORE, max(0.0, score))


def _read(name: str) -> LanguageMeans:
    """Return the means of the built index `name`, or those in a file or folder of that path."""
    built = resources.built_folder() / name
    return language_means.read(built if built.is_dir() else Path(name).expanduser())
