"""Open a built index: check its files, map them into memory, and search it in two stages.

A FAISS index, compressed or not, gives candidates; these are scored with the stored vectors."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from qttrag import resources
from qttrag.errors import CollectionError, first_line, unknown
from qttrag.indexes.ann.exact import ROUNDING
from qttrag.indexes.ann.first_stage import AS_BUILT, Candidates, Effort, FirstStage
from qttrag.indexes.ann.rescoring import best, rescore
from qttrag.indexes.ann.training import FAISS_FILE
from qttrag.indexes.storage import tombstones
from qttrag.indexes.storage.manifest import MANIFEST_FILE, Manifest, problems, read_manifest, rebuild_hint
from qttrag.indexes.storage.passages import Passages
from qttrag.indexes.storage.token_weights import StoredTokenWeights
from qttrag.indexes.storage.vectors import Vectors
from qttrag.types import Hit, Lang

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SPARE = 32  # least number of candidates beyond k, so that ties with the last hit are broken by id, not by row
_UNTUNED_FACTOR = 10  # candidates per hit in an index that was not tuned; RaBitQ's bits need most
_READ_BYTES = 1 << 24
_OTHER_FILES = 128  # that the process may open besides those of an index
_WIDEN_FACTOR = 4  # how many times more candidates or lists a search that found too few looks at


class Located(NamedTuple):
    folder: Path
    manifest: Manifest


class Plan(NamedTuple):
    """How an index is searched. `depth`: number of candidates that are scored with the stored vectors."""

    effort: Effort
    depth: int


def built() -> list[str]:
    """Return the names of the built indexes."""
    folder = resources.built_folder()
    return sorted(path.parent.name for path in folder.glob(f"[!.]*/{MANIFEST_FILE}"))


def find(name: str) -> Located:
    """Return the folder and manifest of an index, given its name or the path of its folder.

    Raises:
        CollectionError: there is no such index, or its manifest is damaged."""
    folder = _folder(name)
    if not folder.is_dir():
        way_out = f"qttrag index build {name}" if "/" not in name else "check the path"
        raise CollectionError(unknown("index", name, built(), way_out=way_out))
    return Located(folder, read_manifest(folder))


def manifest_file(name: str) -> Path:
    """Return the path of the manifest of an index, which need not exist."""
    return _folder(name) / MANIFEST_FILE


def _folder(name: str) -> Path:
    return Path(name).expanduser() if "/" in name else resources.built_folder() / name


def verify(name: str) -> list[str]:
    """Return the problems of an index, after reading every byte of every file; empty if it is intact.

    Raises:
        CollectionError: there is no such index, or its manifest is damaged."""
    folder, manifest = find(name)
    if damaged := problems(folder, manifest, full=True):
        return damaged
    try:
        _load(folder, manifest, threads=1)
    except CollectionError as error:
        return [str(error)]
    return []


def open_index(name: str, *, threads: int | None = None) -> Collection:
    """Return a built index, after checking that its files are those of its manifest.

    `threads`: searches at the same time; None: as many as there are cores.

    Raises:
        CollectionError: there is no such index, or it is damaged."""
    folder, manifest = find(name)
    if damaged := problems(folder, manifest, full=False):
        raise CollectionError(f"index '{manifest.name}': {'; '.join(damaged)}; {rebuild_hint(folder)}")
    return _load(folder, manifest, threads=threads)


def read_ahead(name: str, *, memory: int | None = None) -> int:
    """Read the FAISS index of a built index once, so that the system caches it; return the number of bytes read.

    An index larger than `memory` bytes (None: those that are available) is not read: it would displace other files."""
    path = find(name).folder / FAISS_FILE
    if path.stat().st_size > (available_memory() if memory is None else memory):
        return 0
    with path.open("rb", buffering=0) as file:
        return sum(iter(lambda: len(file.read(_READ_BYTES)), 0))


def available_memory() -> int:
    """Return the bytes of memory that are available without swapping; 0 where the system does not report them."""
    with suppress(OSError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return 0


def _load(folder: Path, manifest: Manifest, *, threads: int | None) -> Collection:
    import faiss

    _raise_file_limit(_OTHER_FILES + 2 * len(manifest.files))
    try:
        passages = Passages(folder, tombstones.read_removed(folder, manifest.files, manifest.rows))
        vectors = Vectors(folder)
        weights = StoredTokenWeights(folder) if manifest.recipe.get("sparse") else None
        index = faiss.read_index(str(folder / FAISS_FILE), faiss.IO_FLAG_MMAP_IFC)
    except Exception as error:  # readers of damaged files raise the errors of their parsers
        raise CollectionError(
            f"index '{manifest.name}' in {folder} is damaged ({first_line(error)}); {rebuild_hint(folder)}"
        ) from error
    counts = {len(passages), len(vectors), index.ntotal, manifest.rows} | (
        {len(weights)} if weights is not None else set()
    )
    if len(counts) != 1 or not index.d == vectors.dim == manifest.dim:
        raise CollectionError(f"index '{manifest.name}' in {folder}: its files disagree; {rebuild_hint(folder)}")
    return Collection(manifest, passages, vectors, FirstStage(index, threads=threads), weights)


def _raise_file_limit(files: int) -> None:
    """Allow this process to open `files` more files, as far as the system permits; a shard has two."""
    with suppress(ImportError, OSError, ValueError):  # Windows has no such limit
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        descriptors = Path("/proc/self/fd")
        open_now = len(list(descriptors.iterdir())) if descriptors.is_dir() else soft // 2
        limit = open_now + files
        if soft != resource.RLIM_INFINITY and soft < limit:
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit if hard < 0 else min(limit, hard), hard))


class Collection:
    """An open index. `passages` and `vectors` are by row; `search` returns passages, `nearest` returns rows.

    `weights`: of the tokens of passages, by row; None: the recipe does not ask for them."""

    def __init__(
        self,
        manifest: Manifest,
        passages: Passages,
        vectors: Vectors,
        first_stage: FirstStage,
        weights: StoredTokenWeights | None = None,
    ) -> None:
        self.manifest = manifest
        self.passages = passages
        self.vectors = vectors
        self.first_stage = first_stage
        self.weights = weights
        self._selectors: dict[frozenset[Lang], Any] = {}

    def search(
        self, queries: NDArray[np.float32], k: int, langs: Sequence[Lang] | Literal["all"] = "all"
    ) -> list[list[Hit]]:
        """Return up to `k` hits a query, best first, ties by passage id; only passages in `langs`.

        `queries`: unit vectors, float32, shape (n, dim). Scores are cosines computed from the stored vectors,
        whatever the FAISS index stores. The hits of a query do not depend on other queries.

        Raises:
            CollectionError: FAISS cannot search such an index by language."""
        counts = self.manifest.langs
        searched = set(counts) if langs == "all" else set(counts) & set(langs)
        if not searched:
            return [[] for _ in queries]
        everything = searched == set(counts) and not len(self.passages.removed)
        selector = None if everything else self._selector(frozenset(map(Lang, searched)))
        enough = min(k, sum(counts[lang] for lang in searched))
        return [self._hits(rows, k) for rows in self.nearest(queries, k, selector=selector, enough=enough)]

    def plan(self, k: int) -> Plan:
        """Return how `k` hits are searched: as `qttrag index tune` chose, else with many candidates."""
        tuned = self.manifest.tuned
        if tuned is None:
            return Plan(AS_BUILT, k + SPARE if self.first_stage.exact else k * _UNTUNED_FACTOR)
        return Plan(Effort(tuned.nprobe, tuned.ef_search), -(-tuned.depth * max(k, tuned.k) // tuned.k))

    def nearest(
        self,
        queries: NDArray[np.float32],
        k: int,
        *,
        plan: Plan | None = None,
        selector: Any = None,
        enough: int | None = None,
    ) -> list[Candidates]:
        """Return the best `k` rows of each query and all that tie with the last of them, best first, with cosines.

        `selector`: of FAISS, the rows to search. `enough`: if lists give fewer candidates, more lists are searched;
        None: never. The rest is as in `search`."""
        effort, depth = plan or self.plan(k)
        depth = min(max(depth, k + SPARE), len(self.passages))
        candidates = self._candidates(queries, depth, effort, selector)
        results = [best(scored, k) for scored in rescore(self.vectors, queries, candidates)]
        short = [n for n in range(len(results)) if self._falls_short(candidates[n], results[n], depth, enough or 0)]
        if short and (wider := self._wider(effort, depth)):
            more = self.nearest(queries[short], k, plan=wider, selector=selector, enough=enough)
            for n, result in zip(short, more, strict=True):
                results[n] = result
        return results

    def _falls_short(self, candidates: Candidates, result: Candidates, depth: int, enough: int) -> bool:
        """Return whether candidates are too few or, in an exact search, rows beyond them may tie with the last hit."""
        if self.first_stage.exact:
            return len(candidates.rows) == depth and bool(result.scores[-1] - candidates.scores[-1] < ROUNDING)
        return len(candidates.rows) < enough

    def _wider(self, effort: Effort, depth: int) -> Plan | None:
        """Return a plan with more candidates, or None if the index has been searched completely."""
        stage = self.first_stage
        if stage.exact:
            return Plan(effort, depth * _WIDEN_FACTOR) if depth < len(self.passages) else None
        probed = stage.probed(effort)
        if stage.lists is None or probed >= stage.lists:
            return None
        return Plan(effort._replace(nprobe=probed * _WIDEN_FACTOR), depth)

    def _candidates(self, queries: NDArray[np.float32], n: int, effort: Effort, selector: Any) -> list[Candidates]:
        try:
            return self.first_stage.find(queries, n, effort, selector)
        except RuntimeError as error:
            reason = str(error).rsplit("\n", 1)[-1]
            raise CollectionError(
                f"index '{self.manifest.name}': FAISS cannot search its '{self.factory}' ({reason}); "
                "build it with another `faiss:`, `Flat` always works"
            ) from error

    def _hits(self, result: Candidates, k: int) -> list[Hit]:
        hits = [
            Hit(self.passages[row], score)
            for row, score in zip(result.rows.tolist(), result.scores.tolist(), strict=True)
        ]
        return sorted(hits, key=lambda hit: (-hit.score, hit.passage.passage_id))[:k]

    @property
    def factory(self) -> str:
        """Return the FAISS factory string of the index."""
        return self.manifest.faiss or str(self.manifest.recipe["faiss"])

    def _selector(self, langs: frozenset[Lang]) -> Any:
        faiss: Any = importlib.import_module("faiss")  # its stubs lack the classes that SWIG generates
        import numpy as np

        if langs not in self._selectors:
            bits = np.packbits(self.passages.rows_of(sorted(langs)), bitorder="little")
            self._selectors[langs] = (bits, faiss.IDSelectorBitmap(bits))  # FAISS keeps a pointer to the bits
        return self._selectors[langs][1]
