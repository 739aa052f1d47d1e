"""An encoder that gives the vector of a text, the weights of its tokens and their vectors in one pass (BGE-M3)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

from qttrag.encoders import m3_heads, token_weights
from qttrag.encoders.m3_heads import Head
from qttrag.errors import ConfigError
from qttrag.types import EncoderInfo, Prepared, Tokens, TokenWeights

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

T = TypeVar("T")
_RECENT = 256  # questions whose outputs are kept; 80 KB each at 20 tokens of 1024 dimensions
_OUTPUTS: dict[Head, str] = {"sparse_linear": "weights of tokens", "colbert_linear": "vectors of single tokens"}


class TextEncoder(Protocol):
    """A loaded encoder of one vector a text, for questions and passages, whose model's other outputs can be read."""

    info: EncoderInfo
    revision: str
    device: str
    max_tokens: int
    dim: int

    @property
    def special_tokens(self) -> frozenset[int]: ...

    def lengths(self, texts: Sequence[str]) -> list[int]: ...

    def tokenise(self, texts: Sequence[str]) -> list[Tokens]: ...

    def prepare(self, tokens: Sequence[Tokens]) -> Prepared: ...

    def preprocessed(self, texts: Sequence[str]) -> Prepared: ...

    def vectors(self, features: dict[str, Any]) -> NDArray[np.float32]: ...

    def run(self, prepared: Prepared, read: Callable[[dict[str, Any]], T]) -> T: ...


class Outputs(NamedTuple):
    """What one pass gives for a text; None: the encoder has no such layer."""

    vector: NDArray[np.float32]
    weights: TokenWeights | None
    token_vectors: NDArray[np.float32] | None


class M3Encoder:
    """A loaded encoder with the layers of `m3_heads`. The outputs of the latest questions are kept, so that a dense and
    a sparse retriever and a reranker with the same encoder need one pass for a question."""

    def __init__(self, encoder: TextEncoder, folder: Path) -> None:
        """Load the layers in `folder` onto the device of `encoder`.

        Raises:
            ConfigError: a file is damaged, or of another model."""
        self._encoder = encoder
        self.info, self.revision, self.device = encoder.info, encoder.revision, encoder.device
        self.max_tokens, self.dim = encoder.max_tokens, encoder.dim
        self.lengths, self.tokenise, self.prepare = encoder.lengths, encoder.tokenise, encoder.prepare
        probe = encoder.run(encoder.preprocessed(["."]), lambda features: features["token_embeddings"])
        self.heads = m3_heads.load(folder, like=probe)
        self._special = encoder.special_tokens
        self._recent: OrderedDict[str, Outputs] = OrderedDict()

    def encode_prepared(self, prepared: Prepared) -> NDArray[np.float32]:
        """Return unit vectors, float32, shape (number of texts, dim), in the order of the batch."""
        return self._encoder.run(prepared, self._encoder.vectors)

    def encode_prepared_and_weigh(self, prepared: Prepared) -> tuple[NDArray[np.float32], TokenWeights]:
        """Return vectors as `encode_prepared` does, and the weights of the tokens of the same texts."""
        return self._encoder.run(prepared, lambda features: (self._encoder.vectors(features), self._weights(features)))

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return unit vectors, float32, shape (len(texts), dim). Texts are cut to `max_tokens`."""
        import numpy as np

        return np.stack([outputs.vector for outputs in self._of_questions(texts)])

    def weigh(self, questions: Sequence[str]) -> list[TokenWeights]:
        """Return the weights of the tokens of each question."""
        return [outputs.weights for outputs in self._of_questions(questions) if outputs.weights is not None]

    def question_token_vectors(self, questions: Sequence[str]) -> list[NDArray[np.float32]]:
        """Return the vectors of the tokens of each question; see `m3_heads.token_vectors`."""
        return [outputs.token_vectors for outputs in self._of_questions(questions) if outputs.token_vectors is not None]

    def passage_token_vectors(self, passages: Sequence[str]) -> list[NDArray[np.float32]]:
        """Return the vectors of the tokens of each passage; see `m3_heads.token_vectors`."""
        return self._encoder.run(self._encoder.preprocessed(passages), self._token_vectors)

    def _of_questions(self, questions: Sequence[str]) -> list[Outputs]:
        kept = {text: self._recent[text] for text in questions if text in self._recent}
        if texts := [text for text in dict.fromkeys(questions) if text not in kept]:
            kept |= zip(texts, self._encoder.run(self._encoder.preprocessed(texts), self._outputs), strict=True)
        for text, outputs in kept.items():
            self._recent[text] = outputs
            self._recent.move_to_end(text)
        while len(self._recent) > _RECENT:
            self._recent.popitem(last=False)
        return [kept[text] for text in questions]

    def _outputs(self, features: dict[str, Any]) -> list[Outputs]:
        vectors, sparse, colbert = self._encoder.vectors(features), *self.heads
        weights = token_weights.rows(self._weights(features)) if sparse is not None else [None] * len(vectors)
        token_vectors = self._token_vectors(features) if colbert is not None else [None] * len(vectors)
        return list(map(Outputs, vectors, weights, token_vectors))

    def _weights(self, features: dict[str, Any]) -> TokenWeights:
        hidden, ids = features["token_embeddings"], features["input_ids"]
        return m3_heads.token_weights(self.heads.sparse_linear, hidden, ids, self._special)

    def _token_vectors(self, features: dict[str, Any]) -> list[NDArray[np.float32]]:
        hidden, mask = features["token_embeddings"], features["attention_mask"]
        return m3_heads.token_vectors(self.heads.colbert_linear, hidden, mask)


def require(encoder: object, model: str, head: Head) -> M3Encoder:
    """Return the encoder.

    Raises:
        ConfigError: it does not have this layer."""
    if isinstance(encoder, M3Encoder) and getattr(encoder.heads, head) is not None:
        return encoder
    raise ConfigError(
        f"encoder {model} gives no {_OUTPUTS[head]}: that needs kind sentence_transformers, not in int8, and a folder "
        f"with {head}.safetensors ({head}.pt is a pickle and is not read); docs/guides/encoders.md says how to make it"
    )
