"""Encoders on CTranslate2, in this process: BERT, RoBERTa and XLM-R on a CPU, in float32 or int8.

Once a model is converted, neither torch nor transformers is imported."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from qttrag.encoders.pooled_transformer import Pooling, Unsupported, pooling_of
from qttrag.encoders.saved_tokenizer import SavedTokenizer
from qttrag.encoders.tokens import dimensions
from qttrag.errors import ConfigError
from qttrag.models import bert
from qttrag.models.bert import ComputeType
from qttrag.models.loading import LocatedModel, failed
from qttrag.types import EncoderInfo, Prepared, Tokens

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_STAGE = "retriever"
_CLS, _MEAN = Pooling(("cls",)), Pooling(("mean",))


class CTranslate2Encoder:
    """A loaded encoder; vectors are unit vectors. Queries and passages may be of different dtypes: `revision`
    identifies the checkpoint, not what it was rounded to."""

    device = "cpu"

    def __init__(
        self,
        model: str,
        located: LocatedModel,
        *,
        max_tokens: int,
        compute_type: ComputeType,
        truncate_dim: int | None = None,
    ) -> None:
        """Load the model.

        Raises:
            ConfigError: the checkpoint cannot run here, or has fewer than `truncate_dim` dimensions."""
        if reason := unsupported(located.path):
            raise ConfigError(f"{_STAGE}: {located.path} cannot run in {compute_type}: {reason}; set `dtype: float32`")
        config = json.loads((located.path / "config.json").read_text(encoding="utf-8"))
        self.max_tokens = max_tokens
        self.dim = dimensions(int(config["hidden_size"]), truncate_dim, model)
        self.info = EncoderInfo(model, located.revision, self.dim, max_tokens)
        self._means = pooling_of(located.path) == _MEAN
        tokenizer = SavedTokenizer(_STAGE, located, max_tokens=max_tokens)
        self.lengths, self.tokenise = tokenizer.lengths, tokenizer.tokenise
        self._bert = bert.Bert(_STAGE, located, compute_type)

    def prepare(self, tokens: Sequence[Tokens]) -> Prepared:
        """Return a batch for `encode_prepared`."""
        return Prepared({"rows": [text.ids for text in tokens]})

    def encode_prepared(self, prepared: Prepared) -> NDArray[np.float32]:
        """Return unit vectors, float32, shape (number of texts, dim), in the order of the batch.

        Raises:
            StageError: the model failed."""
        import numpy as np

        rows = prepared.features["rows"]
        try:
            states = self._bert.hidden_states(rows)
        except Exception as error:
            raise failed(_STAGE, error) from error
        if self._means:
            pooled = np.stack([state[: len(row)].mean(axis=0) for state, row in zip(states, rows, strict=True)])
        else:
            pooled = states[:, 0]
        vectors = pooled[:, : self.dim]
        unit: NDArray[np.float32] = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        return unit

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return unit vectors, float32, shape (len(texts), dim). Texts are cut to `max_tokens`.

        Raises:
            StageError: the model failed."""
        return self.encode_prepared(self.prepare(self.tokenise(texts)))


def unsupported(folder: Path) -> str | None:
    """Return why a sentence-transformers folder cannot run on CTranslate2; None if it can."""
    pooling = pooling_of(folder)
    if isinstance(pooling, Unsupported):
        return pooling.reason
    if pooling not in (_CLS, _MEAN):
        return f"its pooling is {', '.join(pooling.modes)}, neither cls nor mean"
    return bert.unsupported(folder)
