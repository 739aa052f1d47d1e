"""Language offset correction: the mean vector of a language is subtracted from its questions and passages.

Vectors of one language lie around a mean of their own, so that passages in the language of the question score higher
whatever they say (SHIFT, arXiv:2606.18801). With q the vector of a question in language a, p that of a passage in
language b, and their means: <q - mean_a, p - mean_b> = <q - mean_a, p> - <q - mean_a, mean_b>. The last term is one
number for a question and a language of passages. So an index of the vectors as they are is searched by q - mean_a in
each language on its own, and that number is subtracted from the scores: the same hits as from an index of corrected
vectors, without building one. q - mean_a is brought to unit length; p - mean_b is not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from qttrag import trace
from qttrag.encoders.language_means import LanguageMeans, pooled
from qttrag.errors import CollectionError, ConfigError
from qttrag.protocols import VectorStore
from qttrag.text.languages import language
from qttrag.types import UNDETERMINED, Hit, Lang

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@runtime_checkable
class HasMeans(Protocol):
    """A store with the means of its languages."""

    @property
    def means(self) -> LanguageMeans:
        """Return the means of its vectors.

        Raises:
            CollectionError: they were not measured."""
        ...


def means_of(stores: Sequence[VectorStore]) -> LanguageMeans:
    """Return the means of the languages of all stores together, each passage counted once.

    Raises:
        ConfigError: a store has no means. CollectionError: they were not measured, or lack a language."""
    return pooled([_measured(store) for store in stores])


def _measured(store: VectorStore) -> LanguageMeans:
    if not isinstance(store, HasMeans):
        raise ConfigError(f"retriever: `transform: centre`: the store of '{store.name}' has no means of its languages")
    means = store.means
    missing = sorted(set(store.languages) - set(means.langs))
    if missing or means.revision != store.encoder.revision:
        cause = f"no mean for {', '.join(missing)}" if missing else "means of another encoder"
        raise CollectionError(
            f"index '{store.name}' has {cause}; measure them again: qttrag index measure-means {store.name}"
        )
    return means


class CentredQueries:
    """Questions in one language without the mean of that language, at unit length.

    `queries`: unit vectors, float32, shape (n, dim)."""

    def __init__(self, queries: NDArray[np.float32], lang: Lang, means: LanguageMeans) -> None:
        import numpy as np

        own = means.of(lang)
        offset = queries - (self._overall(means) if own is None else own)
        self._vectors: NDArray[np.float32] = offset / np.linalg.norm(offset, axis=1, keepdims=True)
        self._constants = dict(zip(means.langs, means.vectors @ self._vectors.T, strict=True))

    def search(self, store: VectorStore, k: int, languages: Sequence[Lang] | Literal["all"]) -> list[list[Hit]]:
        """Return up to `k` hits a question, best first. `languages`: one, unless all passages are in one.

        Scores are <q, p - mean>, for p of unit length."""
        return [
            [Hit(hit.passage, hit.score - float(self._constants[hit.passage.lang][number])) for hit in hits]
            for number, hits in enumerate(store.search(self._vectors, k, languages))
        ]

    @staticmethod
    def _overall(means: LanguageMeans) -> NDArray[np.float32]:
        import numpy as np

        overall: NDArray[np.float32] = np.average(means.vectors, axis=0, weights=means.counts).astype(np.float32)
        return overall


def report(n: int, lang: Lang, means: LanguageMeans) -> None:
    """Count the corrected hits of a question, and note a question whose language has no mean."""
    trace.count("centred", n)
    if means.of(lang) is None:
        name = "an unknown language" if lang == UNDETERMINED else f"{language(lang).name} ({lang})"
        trace.note(f"no passage is in {name}: the mean of all passages was subtracted from the question")
