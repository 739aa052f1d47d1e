"""Built indexes, opened: checked, memory-mapped, searched in two stages.

A FAISS index, compressed or not, names candidates; these are scored with the vectors as they are stored."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from qttrag import resources
from qttrag.errors import CollectionError, unknown
from qttrag.indexes.ann.exact import ROUNDING
from qttrag.indexes.ann.first_stage import AS_BUILT, Candidates, Effort, FirstStage
from qttrag.indexes.ann.rescoring import best, rescored
from qttrag.indexes.ann.training import FAISS_FILE
from qttrag.indexes.storage import tombstones
from qttrag.indexes.storage.manifest import MANIFEST_FILE, Manifest, problems, read_manifest, rebuild_hint
from qttrag.indexes.storage.passages import Passages
from qttrag.indexes.storage.vectors import Vectors
from qttrag.types import Hit, Lang

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SPARE = 32  # candidates beyond k at least, so that ties at the edge are broken by id and not by position
_UNTUNED = 10  # candidates for each hit where nobody has measured how many it takes: RaBitQ's bits want most
_READ_TOGETHER = 1 << 24  # bytes
_FILES_BESIDE = 128  # that a process may open beside those of an index
_WIDER = 4  # times as many candidates or lists, where they were too few


class Located(NamedTuple):
    folder: Path
    manifest: Manifest


class Plan(NamedTuple):
    """How hits are searched for: with which effort, and how many candidates are scored with the stored vectors."""

    effort: Effort
    depth: int


def built() -> list[str]:
    """Return the names of the built indexes."""
    folder = resources.built_folder()
    return sorted(path.parent.name for path in folder.glob(f"[!.]*/{MANIFEST_FILE}"))


def find(name: str) -> Located:
    """Return the folder and manifest of an index by its name, or by the path of its folder.

    Raises:
        CollectionError: there is none, or its manifest is damaged."""
    folder = Path(name).expanduser() if "/" in name else resources.built_folder() / name
    if not folder.is_dir():
        way_out = f"qttrag index build {name}" if "/" not in name else "check the path"
        raise CollectionError(unknown("index", name, built(), way_out=way_out))
    return Located(folder, read_manifest(folder))


def verify(name: str) -> list[str]:
    """Return what is wrong with an index, checking every byte of every file; empty if nothing is.

    Raises:
        CollectionError: there is no such index, or its manifest is damaged."""
    folder, manifest = find(name)
    found = problems(folder, manifest, full=True)
    if not found:
        try:
            _load(folder, manifest, threads=1)
        except CollectionError as error:
            found.append(str(error))
    return found


def open_index(name: str, *, threads: int | None = None) -> Collection:
    """Return a built index, after checking that its files are those that were written.

    `threads`: so many search at the same time; None: as many as there are cores.

    Raises:
        CollectionError: there is no such index, or it is damaged."""
    folder, manifest = find(name)
    if found := problems(folder, manifest, full=False):
        raise CollectionError(f"index '{manifest.name}': {'; '.join(found)}; {rebuild_hint(folder)}")
    return _load(folder, manifest, threads=threads)


def read_ahead(name: str) -> int:
    """Read the FAISS index of a built index once, so that the system has it in memory; return the bytes read.

    Where it is larger than the memory to be had, leave it: it would drive out what is needed more."""
    path = find(name).folder / FAISS_FILE
    if path.stat().st_size > _memory():
        return 0
    with path.open("rb", buffering=0) as file:
        return sum(iter(lambda: len(file.read(_READ_TOGETHER)), 0))


def _memory() -> int:
    """Return the bytes of memory that the system says can be had without swapping; 0 if it does not say so."""
    with suppress(OSError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return 0


def _load(folder: Path, manifest: Manifest, *, threads: int | None) -> Collection:
    import faiss

    _let_open(_FILES_BESIDE + 2 * len(manifest.files))
    try:
        passages = Passages(folder, tombstones.read_removed(folder, manifest.files, manifest.rows))
        vectors = Vectors(folder)
        index = faiss.read_index(str(folder / FAISS_FILE), faiss.IO_FLAG_MMAP_IFC)
    except Exception as error:  # of damaged files readers raise whatever their parsers do
        words = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CollectionError(
            f"index '{manifest.name}' in {folder} is damaged ({words}); {rebuild_hint(folder)}"
        ) from error
    counts = {len(passages), len(vectors), index.ntotal, manifest.rows}
    if len(counts) != 1 or not index.d == vectors.dim == manifest.dim:
        raise CollectionError(f"index '{manifest.name}' in {folder}: its files disagree; {rebuild_hint(folder)}")
    return Collection(manifest, passages, vectors, FirstStage(index, threads=threads))


def _let_open(files: int) -> None:
    """Let this process have so many more files open, as far as the system allows it: each shard is two."""
    with suppress(ImportError, OSError, ValueError):  # Windows has no such limit
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        known = Path("/proc/self/fd")
        open_now = len(list(known.iterdir())) if known.is_dir() else soft // 2
        wanted = open_now + files
        if soft != resource.RLIM_INFINITY and soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted if hard < 0 else min(wanted, hard), hard))


class Collection:
    """An open index. `passages` and `vectors` by row; `search` finds passages, `nearest` rows."""

    def __init__(self, manifest: Manifest, passages: Passages, vectors: Vectors, first_stage: FirstStage) -> None:
        self.manifest = manifest
        self.passages = passages
        self.vectors = vectors
        self.first_stage = first_stage
        self._selectors: dict[frozenset[Lang], Any] = {}

    def search(
        self, queries: NDArray[np.float32], k: int, langs: Sequence[Lang] | Literal["all"] = "all"
    ) -> list[list[Hit]]:
        """Return up to `k` hits a query, best first, ties by passage id; only passages in `langs`.

        `queries`: unit vectors, float32, shape (n, dim). Scores are cosines computed from the stored vectors,
        whatever the FAISS index stores. Hits and scores do not depend on what else is searched at the same time.

        Raises:
            CollectionError: FAISS cannot search its index so."""
        counts = self.manifest.langs
        wanted = set(counts) if langs == "all" else set(counts) & set(langs)
        if not wanted:
            return [[] for _ in queries]
        everything = wanted == set(counts) and not len(self.passages.removed)
        selector = None if everything else self._selector(frozenset(map(Lang, wanted)))
        enough = min(k, sum(counts[lang] for lang in wanted))
        return [self._hits(found, k) for found in self.nearest(queries, k, selector=selector, enough=enough)]

    def plan(self, k: int) -> Plan:
        """Return how `k` hits are searched for: as `qttrag index tune` has chosen, or else with many candidates."""
        tuned = self.manifest.tuned
        if tuned is None:
            return Plan(AS_BUILT, k + SPARE if self.first_stage.exact else k * _UNTUNED)
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
        """Return the best `k` rows a query and all that score as the last of them, best first, with their cosines.

        `selector`: FAISS's, of the rows to search. `enough`: where lists give fewer hits, more lists are looked at;
        None: never. The rest is as in `search`."""
        effort, depth = plan or self.plan(k)
        depth = min(max(depth, k + SPARE), len(self.passages))
        found = self._find(queries, depth, effort, selector)
        scored = [best(each, k) for each in rescored(self.vectors, queries, found)]
        short = [n for n, each in enumerate(found) if self._falls_short(each, scored[n], depth, enough or 0)]
        if short and (wider := self._wider(effort, depth)):
            more = self.nearest(queries[short], k, plan=wider, selector=selector, enough=enough)
            for n, each in zip(short, more, strict=True):
                scored[n] = each
        return scored

    def _falls_short(self, found: Candidates, scored: Candidates, depth: int, enough: int) -> bool:
        """Say whether there are too few candidates, or, of an exact search, more that may tie with the last hit."""
        if self.first_stage.exact:
            return len(found.rows) == depth and bool(scored.scores[-1] - found.scores[-1] < ROUNDING)
        return len(found.rows) < enough

    def _wider(self, effort: Effort, depth: int) -> Plan | None:
        """Return a plan that finds more candidates, or None if there is none."""
        stage = self.first_stage
        if stage.exact:
            return Plan(effort, depth * _WIDER) if depth < len(self.passages) else None
        looked_at = stage.probed(effort)
        if stage.lists is None or looked_at >= stage.lists:
            return None
        return Plan(effort._replace(nprobe=looked_at * _WIDER), depth)

    def _find(self, queries: NDArray[np.float32], n: int, effort: Effort, selector: Any) -> list[Candidates]:
        try:
            return self.first_stage.find(queries, n, effort, selector)
        except RuntimeError as error:
            words = str(error).rsplit("\n", 1)[-1]
            raise CollectionError(
                f"index '{self.manifest.name}': FAISS cannot search its '{self.factory}' ({words}); "
                "build it with another `faiss:`, `Flat` always works"
            ) from error

    def _hits(self, found: Candidates, k: int) -> list[Hit]:
        hits = [
            Hit(self.passages[row], score)
            for row, score in zip(found.rows.tolist(), found.scores.tolist(), strict=True)
        ]
        return sorted(hits, key=lambda hit: (-hit.score, hit.passage.passage_id))[:k]

    @property
    def factory(self) -> str:
        """Return the FAISS factory string that the index was made by."""
        return self.manifest.faiss or str(self.manifest.recipe["faiss"])

    def _selector(self, langs: frozenset[Lang]) -> Any:
        faiss: Any = importlib.import_module("faiss")  # its stubs lack what SWIG makes
        import numpy as np

        if langs not in self._selectors:
            bits = np.packbits(self.passages.rows_of(sorted(langs)), bitorder="little")
            self._selectors[langs] = (bits, faiss.IDSelectorBitmap(bits))  # FAISS keeps a pointer to the bits
        return self._selectors[langs][1]
