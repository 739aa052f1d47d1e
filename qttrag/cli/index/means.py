"""`qttrag index measure-means`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from qttrag.cli import output
from qttrag.errors import CollectionError, InputError


def measure_means(
    names: Annotated[list[str], typer.Argument(help="Built indexes of one encoder, or the paths of their folders.")],
    out: Annotated[Path, typer.Option(help="The safetensors file to write.")],
    sample: Annotated[int, typer.Option(min=1, help="At most this many passages of each language and index.")] = 10_000,
) -> None:
    """Measure the mean vector of each language in built indexes, for `means:` of the tagger kind `embedding`.

    Example: qttrag index measure-means wiki-en wiki-ko --out means.safetensors
    """
    import numpy as np

    from qttrag.evaluation.statistics import SEED
    from qttrag.stores.faiss_folder import FaissFolder
    from qttrag.taggers.language_means import LanguageMeans, write
    from qttrag.types import Lang

    collections = [FaissFolder(name).collection for name in names]
    manifests = [collection.manifest for collection in collections]
    if len({manifest.encoder_revision for manifest in manifests}) > 1:
        raise CollectionError(f"indexes {names} have different encoders; measure those of each encoder separately")
    draw, taken = np.random.default_rng(SEED), dict[Lang, list[np.ndarray[tuple[int, ...], np.dtype[np.float32]]]]()
    for collection in collections:
        passages = collection.passages
        for lang in map(Lang, passages.langs(passages.remaining_rows())):
            rows = np.flatnonzero(passages.rows_of([lang]))
            chosen = np.sort(draw.choice(rows, min(sample, len(rows)), replace=False))
            taken.setdefault(lang, []).append(collection.vectors.take(chosen))
    if not taken:
        raise InputError(f"indexes {names} have no passages")
    counts = {lang: sum(map(len, parts)) for lang, parts in taken.items()}
    means = {lang: np.concatenate(parts).mean(axis=0).astype(np.float32) for lang, parts in taken.items()}
    encoder = manifests[0].recipe["encoder"]["model"]
    write(LanguageMeans(means, str(encoder), manifests[0].encoder_revision), out)
    output.say(f"{out}: means of {', '.join(f'{lang} ({n:,} passages)' for lang, n in counts.items())}")
