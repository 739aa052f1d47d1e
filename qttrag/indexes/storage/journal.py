"""The folder an index is built in: what is done and recorded of it, so that the next run goes on from there."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from qttrag.errors import CollectionError
from qttrag.indexes.ann import inverted_list_parts as parts
from qttrag.indexes.sources.records import Position
from qttrag.indexes.storage import atomic_files as durable
from qttrag.indexes.storage import manifest as manifests
from qttrag.indexes.storage.manifest import FileSum

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_FILE = "progress.json"
_SHOWN = 5  # differences told in one message
Task = Literal["building", "appending", "compacting"]
_HALF = {"building": "half built", "appending": "half appended to", "compacting": "half compacted"}


class Shard(BaseModel):
    """Passages that are on the disk with their vectors. `position`: where the source is read on after them."""

    model_config = ConfigDict(extra="forbid")
    rows: int
    position: Position
    langs: dict[str, int]
    skipped: dict[str, int]
    truncated: int
    files: dict[str, FileSum]
    ids: FileSum


class Journal(BaseModel):
    """What is done. `terms`: what every shard was made by, which must not change between them. `made`: SHA-256 of the
    finished index's manifest, from when it is about to be put in its place."""

    model_config = ConfigDict(extra="forbid")
    terms: dict[str, Any]
    shards: list[Shard] = []
    faiss: str = ""
    made: str = ""

    @property
    def rows(self) -> int:
        return sum(shard.rows for shard in self.shards)

    @property
    def position(self) -> Position:
        return self.shards[-1].position if self.shards else Position(0, 0)


class Workshop:
    """The folder beside an index in which it is built: `index`, which becomes it, and what is only of the building.

    `task`: what is done there. `first`: the number of the first shard that is written."""

    def __init__(self, target: Path, task: Task = "building", *, first: int = 0) -> None:
        self.target = target
        self.first = first
        self._task = task
        self.folder = target.with_name(f".{target.name}.{task}")
        self.index = self.folder / "index"
        self.fetched = self.folder / "fetched"
        self.faiss = self.folder / "faiss.partial"
        self.parts = self.folder / "lists"
        self._old = target.with_name(f".{target.name}.old")

    def tidy(self) -> Journal | None:
        """Put back or remove what was left by one that was killed; return its journal if its index was in place."""
        if self._old.exists() and not self.target.exists():
            self._old.rename(self.target)  # it was killed between the two renames of `place`
        shutil.rmtree(self._old, ignore_errors=True)
        placed = self._placed()
        if placed is not None or not (self.folder / _FILE).exists():
            self.remove()
        return placed

    def _placed(self) -> Journal | None:
        try:
            journal = self.journal()
            placed = journal.made and manifests.checksum(self.target / manifests.FILE).sha256 == journal.made
        except (OSError, CollectionError):
            return None
        return journal if placed else None

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def begin(self, terms: Mapping[str, Any]) -> Journal:
        """Return the journal of the build: one that was broken off goes on, if it was begun on the same terms.

        Raises:
            CollectionError: it was begun on others, which are told, or its journal is damaged."""
        journal = self.journal() if (self.folder / _FILE).exists() else Journal(terms={})
        if not journal.shards:
            self.index.mkdir(parents=True, exist_ok=True)
            journal = Journal(terms=dict(terms))
            self.record(journal)
            return journal
        if changed := differences(journal.terms, terms):
            raise CollectionError(
                f"index '{self.target.name}' is {_HALF[self._task]} ({journal.rows:,} passages) on other terms: "
                f"{'; '.join(changed[:_SHOWN])}{'; ...' if len(changed) > _SHOWN else ''}. Set them back to go on from "
                "there, or begin again with --restart"
            )
        self._keep_whole_shards(journal)
        return journal

    def forget_faiss(self) -> None:
        """Remove what there is of the FAISS index."""
        for path in (self.faiss, *parts.found(self.parts)):
            path.unlink(missing_ok=True)

    def record(self, journal: Journal) -> None:
        durable.write_text(self.folder / _FILE, journal.model_dump_json(indent=1))

    def ids(self, shard: int) -> Path:
        return self.folder / f"ids-{shard:05d}.npy"

    def seen(self, journal: Journal) -> list[NDArray[np.uint64]]:
        """Return the digests of the ids of all records read so far."""
        import numpy as np

        return [np.load(self.ids(number), allow_pickle=False) for number in range(len(journal.shards))]

    def sweep(self, journal: Journal) -> None:
        """Remove what is not recorded: a shard that was being written, a file that was being fetched. Of an index
        that is finished, nothing is."""
        shutil.rmtree(self.fetched, ignore_errors=True)
        if journal.made:
            return
        kept = {name for shard in journal.shards for name in shard.files}
        ids = [self.ids(number) for number in range(len(journal.shards))]
        kept_beside = {_FILE, *(path.name for path in (self.faiss, *parts.found(self.parts), *ids))}
        for folder, names in ((self.index, kept), (self.folder, kept_beside)):
            for path in folder.iterdir():
                if path.is_file() and path.name not in names:
                    path.unlink()

    def place(self, journal: Journal) -> None:
        """Make the finished index the one of its name, in one step where the system has it; what was there goes."""
        durable.sync(self.index)
        journal.made = manifests.checksum(self.index / manifests.FILE).sha256
        self.record(journal)
        if not (self.target.exists() and durable.exchange(self.index, self.target)):
            if self.target.exists():
                self.target.rename(self._old)
            self.index.rename(self.target)
        durable.sync(self.target.parent)
        shutil.rmtree(self._old, ignore_errors=True)
        self.remove()

    def journal(self) -> Journal:
        """Return what is recorded.

        Raises:
            CollectionError: it is damaged. OSError: there is none."""
        path = self.folder / _FILE
        try:
            return Journal.model_validate_json(path.read_bytes())
        except ValidationError as error:
            words = str(error).splitlines()[0]
            raise CollectionError(f"{path}: damaged ({words}); begin again with --restart") from error

    def _keep_whole_shards(self, journal: Journal) -> None:
        for number, shard in enumerate(journal.shards):
            bad = manifests.differences(self.index, shard.files, full=False)
            if bad or manifests.differences(self.folder, {self.ids(number).name: shard.ids}, full=False):
                del journal.shards[number:]
                self.forget_faiss()
                self.record(journal)
                return


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return in words what is set otherwise `now`, key by key."""
    was, is_ = _flat(before), _flat(json.loads(json.dumps(now)))
    keys = [*was, *(key for key in is_ if key not in was)]
    return [
        f"{key} was {was.get(key, 'not set')}, is {is_.get(key, 'not set')}"
        for key in keys
        if was.get(key) != is_.get(key)
    ]


def _flat(terms: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in terms.items():
        if isinstance(value, dict):
            found |= _flat(value, f"{prefix}{key}.")
        else:
            found[prefix + key] = value
    return found
