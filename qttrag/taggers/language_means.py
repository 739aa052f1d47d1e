"""The mean vector of each language in the space of an encoder, measured on built indexes, in a safetensors file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from qttrag.errors import ConfigError
from qttrag.types import Lang

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class LanguageMeans:
    """Means of unit vectors, float32, shape (dim,), by language, and the encoder that they are of."""

    vectors: Mapping[Lang, NDArray[np.float32]]
    model: str
    revision: str

    def centred(self, vector: NDArray[np.float32], lang: Lang) -> NDArray[np.float32]:
        """Return a vector without the mean of its language, of length 1; zero if it is the mean."""
        import numpy as np

        difference = vector - self.vectors[lang]
        norm = np.linalg.norm(difference)
        unit: NDArray[np.float32] = difference / norm if norm > 0 else difference
        return unit


def write(means: LanguageMeans, path: Path) -> None:
    from safetensors.numpy import save_file

    metadata = {"format": "language means", "model": means.model, "revision": means.revision}
    save_file({str(lang): vector for lang, vector in means.vectors.items()}, path, metadata)


def read(path: Path) -> LanguageMeans:
    """Return the means in a file.

    Raises:
        ConfigError: there is no such file, or it is not one of `write`."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise ConfigError(f"no file of means '{path}'; make it: qttrag index measure-means INDEX... --out {path}")
    try:
        with safe_open(path, "np") as file:
            metadata = file.metadata() or {}
            vectors = {Lang(name): file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  it is no dictionary
    except SafetensorError as error:
        raise ConfigError(f"{path} is not a safetensors file ({error}); make it: qttrag index measure-means") from error
    if metadata.get("format") != "language means":
        raise ConfigError(f"{path} has no language means; make it: qttrag index measure-means")
    return LanguageMeans(vectors, metadata["model"], metadata["revision"])
