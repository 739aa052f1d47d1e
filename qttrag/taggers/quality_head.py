"""A trained layer over an encoder's vectors that scores a translation, and the file that stores it.

The cosine of two unit vectors is the sum of their products, dimension by dimension, all with the weight 1. The layer
has a weight for each dimension and a bias, fitted to scores by ridge regression in closed form."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from qttrag.errors import ConfigError, first_line

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_PENALTIES = (1e1, 3e1, 1e2, 3e2, 1e3, 3e3, 1e4, 3e4, 1e5)
_MADE_BY = "qttrag tagger train"


@dataclass(frozen=True, slots=True, eq=False)
class QualityHead:
    """`weights`: float32, shape (dim,). `revision`: of the encoder, as in `EncoderInfo`. `prefix`: before both texts.

    `trained_on`: in words, for people."""

    weights: NDArray[np.float32]
    bias: float
    revision: str
    prefix: str
    trained_on: str

    def scores(self, originals: NDArray[np.float32], translations: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the score of each pair of unit vectors, shape (n,); it may lie outside 0 to 5."""
        import numpy as np

        return np.asarray((originals * translations) @ self.weights + self.bias, dtype=np.float32)

    def write(self, path: Path) -> None:
        """Write a safetensors file with the tensors `weights` and `bias`; all else is in its metadata."""
        import numpy as np
        from safetensors.numpy import save_file

        metadata = {"revision": self.revision, "prefix": self.prefix, "trained_on": self.trained_on}
        tensors = {"weights": np.ascontiguousarray(self.weights), "bias": np.array([self.bias], np.float32)}
        save_file(tensors, str(path), metadata)


def read(path: Path) -> QualityHead:
    """Return the head in a file.

    Raises:
        ConfigError: there is no such file, or it is no head."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise ConfigError(f"tagger: no file '{path}' for `head:`; train one: {_MADE_BY}")
    try:
        with safe_open(str(path), framework="numpy") as stored:
            metadata, weights, bias = stored.metadata() or {}, stored.get_tensor("weights"), stored.get_tensor("bias")
        if weights.ndim != 1 or bias.shape != (1,):
            raise ValueError(f"weights {weights.shape}, bias {bias.shape}")
        return QualityHead(
            weights, float(bias[0]), metadata["revision"], metadata["prefix"], metadata.get("trained_on", "")
        )
    except (SafetensorError, ValueError, KeyError) as error:
        raise ConfigError(f"tagger: {path} is no head of `{_MADE_BY}`: {first_line(error)}; train it again") from error


def fit(
    originals: NDArray[np.float32], translations: NDArray[np.float32], scores: NDArray[np.float64]
) -> tuple[NDArray[np.float32], float]:
    """Return the weights and the bias that predict `scores` from unit vectors, shape (n, dim).

    Ridge regression over standardised products. The penalty is that of `_PENALTIES` with the least generalised
    cross-validation error (Golub, Heath & Wahba 1979)."""
    import numpy as np

    products = (originals * translations).astype(np.float64)
    centre, spread = products.mean(axis=0), products.std(axis=0) + 1e-12
    left, singular, right = np.linalg.svd((products - centre) / spread, full_matrices=False)
    target = scores - scores.mean()
    projected = left.T @ target

    def error(penalty: float) -> float:
        shrunk = singular**2 / (singular**2 + penalty)
        rest = target - left @ (shrunk * projected)
        return float(rest @ rest) / (1 - float(shrunk.sum()) / len(target)) ** 2

    penalty = min(_PENALTIES, key=error)
    weights = (right.T @ (singular / (singular**2 + penalty) * projected)) / spread
    return weights.astype(np.float32), float(scores.mean() - centre @ weights)
