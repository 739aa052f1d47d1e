"""The mean vector of each language in an encoder's space, and the file that stores them.

Vectors of one language lie around a mean of their own, which says little about the text and much about the language
(SHIFT, arXiv:2606.18801)."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qttrag.errors import CollectionError, first_line
from qttrag.text.languages import variants
from qttrag.types import Lang

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PREFIX = "means-"
_ARRAYS = {"langs": "U", "counts": "i", "vectors": "f", "revision": "U"}  # names in the file, and numpy's kinds


@dataclass(frozen=True, slots=True, eq=False)
class LanguageMeans:
    """Means of unit vectors by language; they are shorter than 1. `vectors`: float32, shape (len(langs), dim).

    `counts`: the number of vectors of each language. `revision`: of the encoder's weights, as in `EncoderInfo`."""

    revision: str
    langs: tuple[Lang, ...]
    counts: tuple[int, ...]
    vectors: NDArray[np.float32]

    def of(self, lang: Lang) -> NDArray[np.float32] | None:
        """Return the mean of a language, float32, shape (dim,); None if it was not measured.

        A language in a script without a mean has that of its other script: Traditional Chinese that of "zh"."""
        known = [lang, *sorted(variants(lang))]
        return next((self.vectors[self.langs.index(each)] for each in known if each in self.langs), None)

    def write(self, folder: Path) -> Path:
        """Write the means into `folder` and return the path: "means-", a digest of the contents, ".npz".

        It has the numpy arrays `langs`, `counts`, `vectors` and `revision`."""
        import numpy as np

        content = io.BytesIO()
        np.savez(
            content,
            langs=np.array(self.langs, dtype=np.str_),
            counts=np.array(self.counts, dtype=np.int64),
            vectors=self.vectors,
            revision=np.array(self.revision, dtype=np.str_),
        )
        path = folder / f"{PREFIX}{hashlib.sha256(content.getvalue()).hexdigest()[:16]}.npz"
        temporary = path.with_name(f".{path.name}")
        temporary.write_bytes(content.getvalue())
        temporary.replace(path)
        return path


def centred(vectors: NDArray[np.float32], mean: NDArray[np.float32] | None) -> NDArray[np.float32]:
    """Return vectors, shape (..., dim), without a mean, of length 1; zero where a vector is the mean."""
    import numpy as np

    difference = vectors if mean is None else vectors - mean
    norms = np.linalg.norm(difference, axis=-1, keepdims=True)
    unit: NDArray[np.float32] = np.divide(difference, norms, out=np.zeros_like(difference), where=norms > 0)
    return unit


def pooled(several: Sequence[LanguageMeans]) -> LanguageMeans:
    """Return the means over all vectors of several, each vector counted once.

    Raises:
        CollectionError: they are of different encoders."""
    import numpy as np

    revisions = {means.revision for means in several}
    if len(revisions) > 1:
        raise CollectionError(f"means of different encoders ({', '.join(sorted(revisions))}); use those of one encoder")
    sums: dict[Lang, NDArray[np.float64]] = {}
    counts: dict[Lang, int] = {}
    for means in several:
        for lang, count, vector in zip(means.langs, means.counts, means.vectors, strict=True):
            sums[lang] = sums.get(lang, 0) + count * vector.astype(np.float64)
            counts[lang] = counts.get(lang, 0) + count
    langs = tuple(sorted(sums))
    vectors = np.stack([sums[lang] / counts[lang] for lang in langs]).astype(np.float32)
    return LanguageMeans(revisions.pop(), langs, tuple(counts[lang] for lang in langs), vectors)


def read(path: Path) -> LanguageMeans:
    """Return the means in a file, or in the only `means-*.npz` of a folder, such as that of a built index.

    Raises:
        CollectionError: there is none, or it is damaged."""
    import numpy as np

    path = _file(path)
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in _ARRAYS}
        return _checked(**arrays)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise CollectionError(f"{path}: damaged ({first_line(error)}); {_remedy(path.parent)}") from error


def _checked(langs: Any, counts: Any, vectors: Any, revision: Any) -> LanguageMeans:
    import numpy as np

    given = {"langs": langs, "counts": counts, "vectors": vectors, "revision": revision}
    if wrong := [name for name, kind in _ARRAYS.items() if given[name].dtype.kind != kind]:
        raise ValueError(f"'{wrong[0]}' has the type {given[wrong[0]].dtype}")
    if vectors.ndim != 2 or not len(langs) == len(counts) == len(vectors) or not np.isfinite(vectors).all():
        raise ValueError(f"{len(langs)} languages, {len(counts)} counts, vectors {vectors.shape}")
    names = tuple(Lang(lang) for lang in langs.tolist())
    return LanguageMeans(str(revision), names, tuple(counts.tolist()), vectors.astype(np.float32))


def _file(path: Path) -> Path:
    if not path.is_dir():
        return path
    files = sorted(path.glob(f"{PREFIX}*.npz"))
    if len(files) != 1:
        raise CollectionError(f"{path} has {len(files)} files {PREFIX}*.npz instead of one; {_remedy(path)}")
    return files[0]


def _remedy(folder: Path) -> str:
    return f"measure them again: qttrag index measure-means {folder.name}"
