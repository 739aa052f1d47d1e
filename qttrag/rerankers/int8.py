"""Cross-encoders on CTranslate2: BERT, RoBERTa and XLM-R on a CPU in int8."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from qttrag.models import bert
from qttrag.models.loading import LocatedModel

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_HEADS = (("classifier.dense", "classifier.out_proj"), ("bert.pooler.dense", "classifier"))
"""The two linear layers after the encoder: of RoBERTa and XLM-R, and of BERT. Between them is tanh."""


class _Linear(NamedTuple):
    weight: NDArray[np.float32]
    bias: NDArray[np.float32]

    def __call__(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        result: NDArray[np.float32] = rows @ self.weight.T + self.bias
        return result


class Int8CrossEncoder:
    """A loaded cross-encoder: the encoder in int8, the head in float32. One thread at a time."""

    def __init__(self, located: LocatedModel, *, max_tokens: int, compute_type: bert.ComputeType = "int8") -> None:
        from transformers import AutoTokenizer

        self.tokenizer: Any = AutoTokenizer.from_pretrained(located.path)
        self._max_tokens = max_tokens
        tensors = bert.Tensors(located.path)
        self._head = [_Linear(tensors[f"{name}.weight"], tensors[f"{name}.bias"]) for name in _head(tensors) or ()]
        self._bert = bert.Bert("reranker", located, compute_type)

    def scores(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """Return the raw output of the model for each pair of texts; pairs are cut to `max_tokens`."""
        import numpy as np

        encoded = self.tokenizer(
            [one for one, _ in pairs], [other for _, other in pairs],
            truncation=True, max_length=self._max_tokens, verbose=False,
        )  # fmt: skip
        first = self._bert.hidden_states(encoded["input_ids"], encoded.get("token_type_ids"))[:, 0]  # BERT has types
        inner, outer = self._head
        scores: list[float] = outer(np.tanh(inner(first)))[:, 0].tolist()
        return scores


def unsupported(folder: Path) -> str | None:
    """Return why a cross-encoder cannot run here; None if it can."""
    if reason := bert.unsupported(folder):
        return reason
    return None if _head(bert.Tensors(folder)) else "its weights have no classifier of two layers"


def _head(tensors: bert.Tensors) -> tuple[str, str] | None:
    return next((head for head in _HEADS if all(f"{name}.weight" in tensors for name in head)), None)
