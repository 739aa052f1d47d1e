"""The hidden folder in which an index is built, and from which the finished one is published in one step."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import ValidationError

from qttrag.errors import CollectionError
from qttrag.indexes.storage import atomic_files
from qttrag.indexes.storage.journal import JOURNAL_FILE, Journal, changed_settings
from qttrag.indexes.storage.manifest import MANIFEST_FILE, checksum, file_problems

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Task = Literal["building", "appending", "compacting"]
_SHOWN_CHANGES = 5
_UNFINISHED = {"building": "half built", "appending": "half appended to", "compacting": "half compacted"}


class BuildWorkspace:
    """The folder of one unfinished index, next to the published one: `index` becomes the new index, everything else is
    temporary.

    `target`: the folder of the published index. `first_shard`: number of the first shard to write."""

    def __init__(self, target: Path, task: Task = "building", *, first_shard: int = 0) -> None:
        self.target = target
        self.first_shard = first_shard
        self._task = task
        self.folder = target.with_name(f".{target.name}.{task}")
        self.index = self.folder / "index"
        self.downloads = self.folder / "fetched"
        self.faiss_checkpoint = self.folder / "faiss.partial"
        self.list_parts = self.folder / "lists"  # of an inverted file; a part's number follows, "lists-00000"
        self._replaced = target.with_name(f".{target.name}.old")

    def recover(self) -> Journal | None:
        """Clean up after a run that was killed while publishing; return its journal if its index was published."""
        if self._replaced.exists() and not self.target.exists():
            self._replaced.rename(self.target)  # it was killed between the two renames of `publish`
        shutil.rmtree(self._replaced, ignore_errors=True)
        published = self._published()
        if published is not None or not (self.folder / JOURNAL_FILE).exists():
            self.remove()
        return published

    def _published(self) -> Journal | None:
        try:
            journal = self.read_journal()
            digest = journal.manifest_sha256
            is_published = digest and checksum(self.target / MANIFEST_FILE).sha256 == digest
        except (OSError, CollectionError):
            return None
        return journal if is_published else None

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def begin(self, fingerprint: Mapping[str, Any]) -> Journal:
        """Return the journal of an interrupted build with the same fingerprint, or else a new one.

        Raises:
            CollectionError: the interrupted build has another fingerprint, or its journal is damaged."""
        journal = self.read_journal() if (self.folder / JOURNAL_FILE).exists() else Journal(fingerprint={})
        if not journal.shards:
            self.index.mkdir(parents=True, exist_ok=True)
            journal = Journal(fingerprint=dict(fingerprint))
            self.save_journal(journal)
            return journal
        if changes := changed_settings(journal.fingerprint, fingerprint):
            raise CollectionError(
                f"index '{self.target.name}' is {_UNFINISHED[self._task]} ({journal.rows:,} passages) with other "
                f"settings: {'; '.join(changes[:_SHOWN_CHANGES])}{'; ...' if len(changes) > _SHOWN_CHANGES else ''}. "
                "Restore them to resume, or start over with --restart"
            )
        self._drop_damaged_shards(journal)
        return journal

    def read_journal(self) -> Journal:
        """Return the journal.

        Raises:
            CollectionError: it is damaged. OSError: there is none."""
        path = self.folder / JOURNAL_FILE
        try:
            return Journal.model_validate_json(path.read_bytes())
        except ValidationError as error:
            reason = str(error).splitlines()[0]
            raise CollectionError(f"{path}: damaged ({reason}); start over with --restart") from error

    def save_journal(self, journal: Journal) -> None:
        atomic_files.write_text(self.folder / JOURNAL_FILE, journal.model_dump_json(indent=1, by_alias=True))

    def ids_file(self, shard: int) -> Path:
        """Return the path of the ids of a shard's records."""
        return self.folder / f"ids-{shard:05d}.npy"

    def read_ids(self, journal: Journal) -> list[NDArray[np.uint64]]:
        """Return the digests of the ids of all records read so far."""
        import numpy as np

        return [np.load(self.ids_file(number), allow_pickle=False) for number in range(len(journal.shards))]

    def discard_faiss(self) -> None:
        """Delete the unfinished FAISS index."""
        for path in self._faiss_files():
            path.unlink(missing_ok=True)

    def remove_orphans(self, journal: Journal) -> None:
        """Delete unrecorded files: an unfinished shard, a download. A finished index is left as it is."""
        shutil.rmtree(self.downloads, ignore_errors=True)
        if journal.manifest_sha256:
            return
        ids = [self.ids_file(number) for number in range(len(journal.shards))]
        recorded = {JOURNAL_FILE, *(path.name for path in (*self._faiss_files(), *ids))}
        for folder, names in ((self.index, set(journal.files)), (self.folder, recorded)):
            for path in folder.iterdir():
                if path.is_file() and path.name not in names:
                    path.unlink()

    def publish(self, journal: Journal) -> None:
        """Replace the published index by the finished one, in one step where the system supports it."""
        atomic_files.sync(self.index)
        journal.manifest_sha256 = checksum(self.index / MANIFEST_FILE).sha256
        self.save_journal(journal)
        if not (self.target.exists() and atomic_files.swap_folders(self.index, self.target)):
            if self.target.exists():
                self.target.rename(self._replaced)
            self.index.rename(self.target)
        atomic_files.sync(self.target.parent)
        shutil.rmtree(self._replaced, ignore_errors=True)
        self.remove()

    def _faiss_files(self) -> list[Path]:
        return [self.faiss_checkpoint, *self.folder.glob(f"{self.list_parts.name}-?????")]

    def _drop_damaged_shards(self, journal: Journal) -> None:
        """Remove from the journal the first damaged shard and all after it."""
        for number, shard in enumerate(journal.shards):
            damaged = file_problems(self.index, shard.files, full=False)
            if damaged or file_problems(self.folder, {self.ids_file(number).name: shard.ids}, full=False):
                del journal.shards[number:]
                self.discard_faiss()
                self.save_journal(journal)
                return
