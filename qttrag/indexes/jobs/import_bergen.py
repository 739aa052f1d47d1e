"""Indexes that the research harness BERGEN published, taken over: chunks of vectors, and the passages they are of.

Such a folder has files `embedding_chunk_N.pt`, each a tensor of passages' vectors, in the order of N; the passages are
in a data set of their own, row for row, as `datasets` saves it, or as Parquet or JSON lines."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from qttrag.errors import ConfigError, InputError
from qttrag.indexes.jobs import precomputed as ready
from qttrag.indexes.jobs import workers
from qttrag.indexes.jobs.build import Progress
from qttrag.indexes.recipe import Chunking, EncoderSettings, Fields, Recipe, Source
from qttrag.indexes.sources import formats, listing
from qttrag.indexes.sources.formats import BadRecord
from qttrag.indexes.sources.id_sets import Seen, digest
from qttrag.indexes.sources.listing import SourceFile
from qttrag.indexes.sources.records import Position
from qttrag.indexes.storage.journal import Journal, Workshop
from qttrag.indexes.storage.manifest import Manifest
from qttrag.types import Lang, Passage

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from qttrag.encoders.sentence_transformers import SentenceTransformersEncoder

_CHUNK = re.compile(r"embedding_chunk_(\d+)\.pt")
_SPACED = {"zh", "ja", "th"}  # languages of which BERGEN keeps passages with a space between all characters
_TOGETHER = 4096  # passages read and written at once
_CHECKED = 4  # passages of a shard that are encoded again
_ALIKE = 0.9  # cosine of a passage's vector with itself encoded here: float16 and other cuts leave it above 0.99
_KINDS: Mapping[str, Any] = {".parquet": "parquet", ".jsonl": "jsonl", ".gz": "jsonl", ".arrow": "arrow"}


class Chunk(NamedTuple):
    """A file of vectors and how many it has."""

    path: Path
    rows: int


def recipe(
    name: str, passages: Path, *, lang: str, encoder: EncoderSettings, fields: Fields, faiss: str = "auto"
) -> Recipe:
    """Return what the manifest of an index that is taken over says of it.

    Raises:
        ConfigError: `passages` is no data set of one of the kinds."""
    files = _files(passages)
    source = Source(kind=_KINDS[files[0].suffix], path=[str(path) for path in files], fields=fields)
    return Recipe(name=name, source=source, lang=lang, chunking=Chunking(enabled=False), encoder=encoder, faiss=faiss)


def take_over(
    folder: Path,
    recipe: Recipe,
    *,
    id_prefix: str = "",
    overwrite: bool = False,
    restart: bool = False,
    progress: Callable[[Progress], None] = lambda progress: None,
) -> Manifest:
    """Build an index of the vectors in `folder` and the passages that `recipe` names; return its manifest.

    Passages keep their ids, behind `id_prefix`. Of each shard some are encoded again, so that passages of another
    data set, in another order or by another encoder are found out. Broken off, the same call goes on.

    Raises:
        InputError: vectors and passages are not of each other, or a file is not of its kind.
        ConfigError: the encoder is not to be had, or FAISS cannot make such an index.
        CollectionError: as of `qttrag.indexes.jobs.build.build`."""
    chunks = _chunks(folder)
    encoder = workers.of_questions(recipe.encoder, of=f"the encoder of index '{recipe.name}'")
    files = listing.files(recipe)
    terms = {
        "encoder revision": encoder.revision,
        "id prefix": id_prefix,
        "vectors": {chunk.path.name: f"{chunk.rows} rows" for chunk in chunks},
        "files": {file.name: f"{file.size} bytes ({file.stamp})" for file in files},
    }

    def pieces(journal: Journal, workshop: Workshop) -> Iterator[ready.Piece]:
        return _pieces(recipe, chunks, files, encoder, id_prefix, journal, Seen(workshop.seen(journal)))

    maker = ready.Maker(encoder.revision, encoder.dim, encoder.max_tokens)
    return ready.build(recipe, maker, terms, pieces, overwrite=overwrite, restart=restart, progress=progress)


def unspaced(content: str) -> str:
    """Return "Title. 文 字" as "Title. 文字": the spaces that BERGEN puts between all characters after the title."""
    for dot in re.finditer(r"\. ", content):
        body = content[dot.end() :]
        if not body[1::2].strip(" "):
            return content[: dot.end()] + body[::2]
    return content


def _pieces(
    recipe: Recipe,
    chunks: Sequence[Chunk],
    files: Sequence[SourceFile],
    encoder: SentenceTransformersEncoder,
    id_prefix: str,
    journal: Journal,
    seen: Seen,
) -> Iterator[ready.Piece]:
    done, total, unchecked = journal.rows, sum(chunk.rows for chunk in chunks), recipe.shard_rows
    rows = _rows(recipe, files, journal.position)
    for vectors in _vectors(chunks, done, encoder.dim):
        read = list(islice(rows, len(vectors)))
        if len(read) < len(vectors):
            raise InputError(
                f"index '{recipe.name}': {done + len(read):,} passages, but {total:,} vectors; they are not of each "
                "other"
            )
        if unchecked >= recipe.shard_rows:
            _check(recipe, encoder, [content for _, _, content in read], vectors, done)
            unchecked = 0
        ids = [digest(id_prefix + identifier) for _, identifier, _ in read]
        for (_, identifier, _), key in zip(read, ids, strict=True):
            if key in seen:
                raise InputError(f"index '{recipe.name}': two passages have the id '{id_prefix}{identifier}'")
            seen.add(key)
        done, unchecked = done + len(read), unchecked + len(read)
        found = [_passage(recipe, id_prefix + identifier, content) for _, identifier, content in read]
        yield ready.Piece(found, vectors, ids, read[-1][0], done / total)
    if next(rows, None) is not None:
        raise InputError(
            f"index '{recipe.name}': more passages than vectors ({total:,}); a chunk is missing, or they are not of "
            "each other"
        )


def _passage(recipe: Recipe, identifier: str, content: str) -> Passage:
    text = unspaced(content) if recipe.lang in _SPACED else content
    return Passage(identifier, text.encode("utf-8", "replace").decode("utf-8"), Lang(str(recipe.lang)))


def _rows(recipe: Recipe, files: Sequence[SourceFile], start: Position) -> Iterator[tuple[Position, str, str]]:
    """Yield where the next is, id and content of each passage after a position."""
    fields = recipe.source.fields
    for number in range(start.file, len(files)):
        skip = start.row if number == start.file else 0
        for row in formats.rows(recipe.source, Path(files[number].path), name=files[number].name, skip=skip):
            if isinstance(row.cells, BadRecord):
                raise InputError(str(row.cells))
            identifier, content = row.cells.get(fields.id), row.cells.get(fields.text)
            if isinstance(identifier, int) and not isinstance(identifier, bool):
                identifier = str(identifier)
            if not isinstance(identifier, str) or not isinstance(content, str):
                raise InputError(
                    f"{row.where}: fields '{fields.id}' and '{fields.text}' must hold an id and a text; it has "
                    f"{', '.join(row.cells)}: name them with --id-field and --text-field"
                )
            yield Position(number, row.number), identifier, content


def _vectors(chunks: Sequence[Chunk], skip: int, dim: int) -> Iterator[NDArray[np.float32]]:
    """Yield the vectors of the chunks after the first `skip`, some thousand at a time, made unit length."""
    import numpy as np

    for chunk in chunks:
        if skip >= chunk.rows:
            skip -= chunk.rows
            continue
        tensor = _load(chunk.path)
        if tensor.shape[1] != dim:
            raise InputError(f"{chunk.path}: vectors of {tensor.shape[1]} dimensions; the encoder has {dim}")
        for start in range(skip, chunk.rows, _TOGETHER):
            part: NDArray[np.float32] = tensor[start : start + _TOGETHER].float().numpy()
            lengths = np.linalg.norm(part, axis=1, keepdims=True)
            if not (np.isfinite(lengths) & (lengths > 0)).all():
                bad = start + int(np.flatnonzero(~(np.isfinite(lengths) & (lengths > 0)))[0])
                raise InputError(f"{chunk.path}: row {bad} is no vector (zero or not finite); fetch the file again")
            yield part / lengths
        skip = 0


def _chunks(folder: Path) -> list[Chunk]:
    numbered = {int(match[1]): path for path in folder.glob("*.pt") if (match := _CHUNK.fullmatch(path.name))}
    if not numbered:
        raise ConfigError(f"{folder}: no file embedding_chunk_N.pt in it; give the folder that has them")
    return [Chunk(numbered[number], len(_load(numbered[number]))) for number in sorted(numbered)]


def _load(path: Path) -> Any:
    """Return the tensor in a file, memory-mapped. Nothing in the file is run.

    Raises:
        InputError: there is something else in it."""
    import pickle

    import torch

    try:
        tensor = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError, OSError, ValueError, KeyError) as error:
        words = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path}: not a file of vectors ({words}); fetch it again") from error
    if not isinstance(tensor, torch.Tensor) or tensor.layout != torch.strided or tensor.ndim != 2:
        raise InputError(f"{path}: not a table of dense vectors; sparse indexes (SPLADE) cannot be taken over")
    return tensor


def _check(
    recipe: Recipe,
    encoder: SentenceTransformersEncoder,
    contents: Sequence[str],
    vectors: NDArray[np.float32],
    before: int,
) -> None:
    """Refuse passages that do not have the vectors beside them."""
    import numpy as np

    at = np.unique(np.linspace(0, len(contents) - 1, _CHECKED).astype(int))
    texts = [recipe.encoder.passage_prefix + contents[n] for n in at]
    cosines = np.concatenate([encoder.encode([text]) for text in texts]) * vectors[at]
    if (alike := float(np.median(cosines.sum(axis=1)))) < _ALIKE:
        raise InputError(
            f"index '{recipe.name}': passages {before:,} and after do not have the vectors beside them (encoded here, "
            f"their cosine is {alike:.2f}); the passages are of another data set or in another order, or the vectors "
            f"are not of {recipe.encoder.model}"
        )


def _files(passages: Path) -> list[Path]:
    """Return the files of a data set, in its order."""
    if passages.is_file():
        found = [passages]
    elif (state := passages / "state.json").is_file():
        found = _saved(passages, state)
    elif passages.is_dir():
        found = sorted(path for path in passages.iterdir() if path.suffix in _KINDS)
    else:
        found = []
    if not found or len({_KINDS.get(path.suffix) for path in found}) != 1 or found[0].suffix not in _KINDS:
        raise ConfigError(
            f"{passages}: not a data set as `datasets` saves it (state.json and *.arrow), nor files of one kind of "
            "*.parquet, *.jsonl, *.jsonl.gz or *.arrow; of a data set of several splits give the folder of one"
        )
    return found


def _saved(passages: Path, state: Path) -> list[Path]:
    try:
        told = json.loads(state.read_text(encoding="utf-8"))
        names = [str(file["filename"]) for file in told["_data_files"]]
        chosen = told.get("_indices_files") or told.get("_indices_data_files")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{state}: not what `datasets` writes ({error!r}); give the files themselves") from error
    if chosen:
        raise ConfigError(f"{passages}: a selection of rows; save it again with `datasets`, which writes them out")
    return [passages / Path(name).name for name in names]
