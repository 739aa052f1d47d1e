"""Imports indexes published by the research harness BERGEN: chunks of vectors, and the data set of their passages.

Such a folder has files `embedding_chunk_N.pt`, each a tensor of passage vectors, in the order of N. The passages are in
a data set, row for row, as saved by `datasets`, or as Parquet or JSON lines."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from qttrag.errors import ConfigError, InputError, first_line
from qttrag.indexes.jobs.build import file_stamps
from qttrag.indexes.jobs.index_job import IndexJob, Progress, ignore_progress
from qttrag.indexes.jobs.precomputed import EncodedPassages, build_from_vectors
from qttrag.indexes.jobs.workers import OpenEncoder, load_question_encoder
from qttrag.indexes.recipe import Chunking, EncoderSettings, Fields, Recipe, Source
from qttrag.indexes.sources import formats, listing
from qttrag.indexes.sources.characters import repair
from qttrag.indexes.sources.id_sets import IdSet, digest
from qttrag.indexes.sources.listing import SourceFile
from qttrag.indexes.sources.records import ReadSummary, SourcePosition, parse_id
from qttrag.indexes.sources.rows import BadRecord, SourceRow
from qttrag.indexes.storage.manifest import Manifest
from qttrag.protocols import QueryEncoder
from qttrag.types import Lang, Passage

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


_CHUNK_FILE = re.compile(r"embedding_chunk_(\d+)\.pt")
_SPACED = {"zh", "ja", "th"}  # languages whose passages BERGEN stores with a space between all characters
_BATCH_ROWS = 4096  # passages read and written at once
_CHECKED = 4  # passages of a shard that are encoded again
_MIN_COSINE = 0.9  # of a vector and its passage encoded here; float16 and other truncation leave it above 0.99
_KINDS: Mapping[str, Any] = {".parquet": "parquet", ".jsonl": "jsonl", ".gz": "jsonl", ".arrow": "arrow"}


class VectorChunk(NamedTuple):
    """A file of vectors and its number of rows."""

    path: Path
    rows: int


class PublishedPassage(NamedTuple):
    """A passage of the data set. `position`: in the source, after it. `repairs`: causes for which it was repaired."""

    position: SourcePosition
    passage_id: str
    content: str
    repairs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PublishedIndex:
    """What is imported. `files`: of the passages; `encoder`: of the vectors, to check some of them."""

    chunks: Sequence[VectorChunk]
    files: Sequence[SourceFile]
    encoder: QueryEncoder
    id_prefix: str

    @property
    def rows(self) -> int:
        return sum(chunk.rows for chunk in self.chunks)

    @property
    def fingerprint(self) -> dict[str, Any]:
        return {
            "encoder revision": self.encoder.info.revision,
            "id prefix": self.id_prefix,
            "vectors": {chunk.path.name: f"{chunk.rows} rows" for chunk in self.chunks},
            "files": file_stamps(self.files),
        }


def make_recipe(
    name: str, passages: Path, *, lang: str, encoder: EncoderSettings, fields: Fields, faiss: str = "auto"
) -> Recipe:
    """Return the recipe for the manifest of an imported index.

    Raises:
        ConfigError: `passages` is not a data set of a known kind."""
    files = _dataset_files(passages)
    source = Source(kind=_KINDS[files[0].suffix], path=[str(path) for path in files], fields=fields)
    return Recipe(name=name, source=source, lang=lang, chunking=Chunking(enabled=False), encoder=encoder, faiss=faiss)


def import_index(
    folder: Path,
    recipe: Recipe,
    *,
    open_encoder: OpenEncoder,
    id_prefix: str = "",
    overwrite: bool = False,
    restart: bool = False,
    progress: Callable[[Progress], None] = ignore_progress,
) -> Manifest:
    """Build an index of the vectors in `folder` and the passages of the recipe's source; return its manifest.

    Passages keep their ids, with `id_prefix` before them. Some passages of each shard are encoded again, to detect
    another data set, another order or another encoder. The same call resumes an interrupted import.

    Raises:
        InputError: vectors and passages do not match, or a file is invalid.
        ConfigError: the encoder cannot be loaded, or FAISS cannot make such an index.
        CollectionError: as in `qttrag.indexes.jobs.build.build`."""
    chunks = _chunks(folder)
    encoder = load_question_encoder(
        recipe.encoder, owner=f"the encoder of index '{recipe.name}'", open_encoder=open_encoder
    )
    published = PublishedIndex(chunks, listing.files(recipe), encoder, id_prefix)
    return build_from_vectors(
        recipe,
        encoder.info,
        published.fingerprint,
        lambda job: _read(job, published),
        overwrite=overwrite,
        restart=restart,
        progress=progress,
    )


def _read(job: IndexJob, published: PublishedIndex) -> Iterator[EncodedPassages]:
    """Yield the passages and vectors after those in the job's journal."""
    recipe, done, unchecked = job.recipe, job.journal.rows, job.recipe.shard_rows
    seen = IdSet(job.workspace.read_ids(job.journal))
    remaining = _passages(recipe, published, job.journal.position)
    for vectors in _vectors(published, done):
        passages = list(islice(remaining, len(vectors)))
        if len(passages) < len(vectors):
            raise InputError(
                f"index '{recipe.name}': {done + len(passages):,} passages, but {published.rows:,} vectors; they do "
                "not match"
            )
        if unchecked >= recipe.shard_rows:
            _check(recipe, published.encoder, [passage.content for passage in passages], vectors, done)
            unchecked = 0
        ids = _new_ids(recipe, passages, seen)
        repaired = Counter(cause for passage in passages for cause in passage.repairs)
        done, unchecked = done + len(passages), unchecked + len(passages)
        yield EncodedPassages(
            [_passage(recipe, passage) for passage in passages],
            vectors,
            ReadSummary(ids, Counter(), repaired),
            passages[-1].position,
            done / published.rows,
        )
    if next(remaining, None) is not None:
        raise InputError(
            f"index '{recipe.name}': more passages than vectors ({published.rows:,}); a chunk is missing, or they do "
            "not match"
        )


def _new_ids(recipe: Recipe, passages: Sequence[PublishedPassage], seen: IdSet) -> list[int]:
    """Return the digests of the passages' ids, and add them to `seen`."""
    ids = [digest(passage.passage_id) for passage in passages]
    for passage, key in zip(passages, ids, strict=True):
        if key in seen:
            raise InputError(f"index '{recipe.name}': two passages have the id '{passage.passage_id}'")
        seen.add(key)
    return ids


def _passage(recipe: Recipe, passage: PublishedPassage) -> Passage:
    text = remove_spacing(passage.content) if recipe.lang in _SPACED else passage.content
    return Passage(passage.passage_id, text, Lang(str(recipe.lang)))


def remove_spacing(content: str) -> str:
    """Return "Title. 文 字" as "Title. 文字": without the spaces that BERGEN puts between all characters."""
    for dot in re.finditer(r"\. ", content):
        body = content[dot.end() :]
        if not body[1::2].strip(" "):
            return content[: dot.end()] + body[::2]
    return content


def _passages(recipe: Recipe, published: PublishedIndex, start: SourcePosition) -> Iterator[PublishedPassage]:
    """Yield the passages of the data set after a position."""
    for number in range(start.file, len(published.files)):
        file = published.files[number]
        skip = start.row if number == start.file else 0
        for row in formats.rows(recipe.source, Path(file.path), name=file.name, skip=skip):
            try:
                passage_id, content = _cells(row, recipe.source.fields)
            except BadRecord as error:
                raise InputError(f"{error.reason}; correct it: vectors and passages must match row for row") from error
            position = SourcePosition(number, row.number)
            yield PublishedPassage(position, published.id_prefix + passage_id, *repair(content))


def _cells(row: SourceRow, fields: Fields) -> tuple[str, str]:
    """Return the id and the text of a row."""
    cells = row.cells
    if isinstance(cells, BadRecord):
        raise cells
    content = cells.get(fields.text)
    if fields.id not in cells or not isinstance(content, str):
        raise InputError(
            f"{row.location}: fields '{fields.id}' and '{fields.text}' must be an id and a text; the row has "
            f"{', '.join(cells)}: name them with --id-field and --text-field"
        )
    return parse_id(row.location, fields.id, cells[fields.id]), content


def _vectors(published: PublishedIndex, skip: int) -> Iterator[NDArray[np.float32]]:
    """Yield the vectors after the first `skip`, some thousand at a time, normalised to unit length."""
    import numpy as np

    dim = published.encoder.info.dim
    for chunk in published.chunks:
        if skip >= chunk.rows:
            skip -= chunk.rows
            continue
        tensor = _load(chunk.path)
        if tensor.shape[1] != dim:
            raise InputError(f"{chunk.path}: vectors of {tensor.shape[1]} dimensions; the encoder has {dim}")
        for start in range(skip, chunk.rows, _BATCH_ROWS):
            batch: NDArray[np.float32] = tensor[start : start + _BATCH_ROWS].float().numpy()
            norms = np.linalg.norm(batch, axis=1, keepdims=True)
            valid = np.isfinite(norms) & (norms > 0)
            if not valid.all():
                row = start + int(np.flatnonzero(~valid)[0])
                raise InputError(f"{chunk.path}: row {row} is zero or not finite; download the file again")
            yield batch / norms
        skip = 0


def _chunks(folder: Path) -> list[VectorChunk]:
    numbered = {int(match[1]): path for path in folder.glob("*.pt") if (match := _CHUNK_FILE.fullmatch(path.name))}
    if not numbered:
        raise ConfigError(f"{folder}: no file embedding_chunk_N.pt; give the folder that contains them")
    return [VectorChunk(numbered[number], len(_load(numbered[number]))) for number in sorted(numbered)]


def _load(path: Path) -> Any:
    """Return the tensor in a file, memory-mapped. No code in the file is run.

    Raises:
        InputError: the file contains something else."""
    import pickle

    import torch

    try:
        tensor = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError, OSError, ValueError, KeyError) as error:
        raise InputError(f"{path}: not a file of vectors ({first_line(error)}); download it again") from error
    if not isinstance(tensor, torch.Tensor) or tensor.layout != torch.strided or tensor.ndim != 2:
        raise InputError(f"{path}: not a matrix of dense vectors; sparse indexes (SPLADE) cannot be imported")
    return tensor


def _check(
    recipe: Recipe, encoder: QueryEncoder, contents: Sequence[str], vectors: NDArray[np.float32], before: int
) -> None:
    """Raise an InputError if the passages do not belong to the vectors."""
    import numpy as np

    rows = np.unique(np.linspace(0, len(contents) - 1, _CHECKED).astype(int))
    texts = [recipe.encoder.passage_prefix + contents[row] for row in rows]
    cosines = (np.concatenate([encoder.encode([text]) for text in texts]) * vectors[rows]).sum(axis=1)
    if (median := float(np.median(cosines))) < _MIN_COSINE:
        raise InputError(
            f"index '{recipe.name}': passages from {before:,} on do not match their vectors (encoded here, the cosine "
            f"is {median:.2f}); the passages are of another data set or in another order, or the vectors are not of "
            f"{recipe.encoder.model}"
        )


def _dataset_files(passages: Path) -> list[Path]:
    """Return the files of a data set, in its order."""
    if passages.is_file():
        files = [passages]
    elif (state := passages / "state.json").is_file():
        files = _saved_files(passages, state)
    elif passages.is_dir():
        files = sorted(path for path in passages.iterdir() if path.suffix in _KINDS)
    else:
        files = []
    if not files or len({_KINDS.get(path.suffix) for path in files}) != 1 or files[0].suffix not in _KINDS:
        raise ConfigError(
            f"{passages}: neither a data set saved by `datasets` (state.json and *.arrow), nor files of one kind of "
            "*.parquet, *.jsonl, *.jsonl.gz or *.arrow; of a data set with several splits give the folder of one"
        )
    return files


def _saved_files(passages: Path, state: Path) -> list[Path]:
    """Return the files that the state of a data set names, as `Dataset.save_to_disk` writes it."""
    try:
        saved = json.loads(state.read_text(encoding="utf-8-sig"))
        names = [str(file["filename"]) for file in saved["_data_files"]]
        selection = saved.get("_indices_files") or saved.get("_indices_data_files")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{state}: not written by `datasets` ({error!r}); give the files themselves") from error
    if selection:
        raise ConfigError(f"{passages}: a selection of rows; save it again with `datasets`, which writes them out")
    return [passages / Path(name).name for name in names]
