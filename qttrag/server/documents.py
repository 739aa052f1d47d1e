"""The documents of the collections that clients may change: uploads one after another, lists, deletions."""

from __future__ import annotations

import asyncio
import logging
import shutil
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import IO, TYPE_CHECKING, Any, TypeVar

from qttrag import resources
from qttrag.application.document_recipes import documents_recipe, recipe_encoder
from qttrag.application.factory import open_encoder
from qttrag.errors import CollectionError, ConfigError, QttragError, unknown
from qttrag.indexes import collection as indexes
from qttrag.indexes.jobs.change_documents import Changed, ChangeProgress, DocumentChanges, Plan, change_documents
from qttrag.indexes.recipe import EncoderSettings, Recipe
from qttrag.indexes.storage.document_registry import DocumentRegistry, IndexedDocument, read_registry
from qttrag.indexes.storage.locking import IndexLocked, exclusive_lock
from qttrag.indexes.storage.workspace import BuildWorkspace
from qttrag.protocols import Encoder, PassageEncoder, QueryEncoder, Startable
from qttrag.server.errors import RequestRejected
from qttrag.server.upload_folder import UploadFolder
from qttrag.server.upload_jobs import UploadJob

if TYPE_CHECKING:
    from qttrag.application.application import Application

T = TypeVar("T")
_LOG = logging.getLogger("qttrag.server")
_KEPT_JOBS = 200  # finished ones that clients can still ask for
_LOCKED_S, _PAUSE_S = 30.0, 0.2  # how long a change waits for one of another process
_STOPPED = "the service is shutting down; upload the files again"


class Stopped(Exception):
    """The service shuts down while documents are read or encoded."""


class Documents:
    """The documents of the collections in `server: {uploads: ...}` of one deployment."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._settings = application.deployment.server.uploads
        self._folder = UploadFolder()
        self._encoder: _KeptEncoder | None = None
        self._changing = asyncio.Lock()
        self._jobs: OrderedDict[str, UploadJob] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False
        if missing := [name for name in self._settings.collections if name not in application.collections]:
            raise ConfigError(
                f"`server: {{uploads: ...}}` names the collection '{missing[0]}', which the retriever does not search; "
                "add it to `retriever: {collections: ...}`"
            )

    @property
    def collections(self) -> list[str]:
        """Return the collections whose documents clients may change."""
        return list(self._settings.collections)

    async def start(self) -> None:
        """Clean up after a process that was killed, and make the collections that do not exist yet."""
        if self._settings.collections:
            await asyncio.to_thread(self._prepare)

    def _prepare(self) -> None:
        self._folder.open()
        for name in self._settings.collections:
            target = resources.built_folder() / name
            if target.exists():
                _clean_up(name)
            else:
                self._change(name, lambda registry: DocumentChanges(), ChangeProgress())

    def before(self, parts: list[Startable]) -> Startable:
        """Return the parts of the retriever, which load when the collections of documents exist."""
        return _PreparedParts(self, parts)

    async def close(self) -> None:
        """Stop the changes in progress: their collections stay as they are."""
        self._stopping = True
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.to_thread(self._folder.close)

    def check(self, name: str) -> str:
        """Return the name of a collection that accepts documents.

        Raises:
            RequestRejected: 404, there is none of this name; 422, its documents cannot be changed."""
        if name in self._settings.collections:
            return name
        known = self._application.collections
        if name in known:
            message = f"the documents of the collection '{name}' cannot be changed"
            raise RequestRejected(422, "read_only", message, param="name")
        raise RequestRejected(404, "not_found", unknown("collection", name[:80], known), param="name")

    def check_places(self) -> None:
        """Raise `RequestRejected` if too many uploads are in progress."""
        if sum(not job.is_over for job in self._jobs.values()) >= self._settings.max_jobs:
            message = f"{self._settings.max_jobs} uploads are in progress; try again later"
            raise RequestRejected(429, "overloaded", message, retry_after=5.0)

    async def add(self, name: str, files: Mapping[str, IO[bytes]]) -> UploadJob:
        """Store files, by name, and begin to index them."""
        folder, documents = await asyncio.to_thread(self._folder.store, files)
        job = UploadJob(name, folder, documents)
        self._jobs[job.job_id] = job
        for old in [key for key, each in self._jobs.items() if each.is_over][:-_KEPT_JOBS]:
            del self._jobs[old]
        task = asyncio.create_task(self._run(job))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return job

    def job(self, name: str, job_id: str) -> UploadJob:
        """Return an upload of a collection.

        Raises:
            RequestRejected: 404, there is none."""
        job = self._jobs.get(job_id)
        if job is None or job.collection != name:
            raise RequestRejected(404, "not_found", "there is no such upload; it may have ended with the service")
        return job

    async def _run(self, job: UploadJob) -> None:
        try:
            async with self._changing:
                await asyncio.to_thread(self._index, job)
            job.finish()
        except Stopped:
            job.fail("shutting_down", _STOPPED)
        except QttragError as error:
            _LOG.warning("upload failed", extra={"collection": job.collection, "cause": str(error)})
            job.fail("failed", error.public)
        except Exception as error:
            _LOG.error("upload failed", exc_info=error, extra={"collection": job.collection})
            job.fail("internal", "an unexpected error in qttrag; its log has the details")
        finally:
            await asyncio.to_thread(shutil.rmtree, job.folder, ignore_errors=True)

    def _index(self, job: UploadJob) -> None:
        def plan(registry: DocumentRegistry) -> DocumentChanges:
            add = [document for document in job.documents if not _is_known(registry, document.name, document.sha256)]
            for name in job.files.keys() - {document.name for document in add}:
                job.files[name].state, job.files[name].passages = "unchanged", registry.indexed[name].passages
            room = self._settings.max_documents - len(registry.indexed)
            new = [document.name for document in add if document.name not in registry.indexed]
            for name in new[max(0, room) :]:
                job.files[name].fail("too_many", f"the collection has its {self._settings.max_documents} documents")
            add = [document for document in add if job.files[document.name].state == "waiting"]
            job.enter("reading", len(add))
            return DocumentChanges(add)

        progress = ChangeProgress(document=self._until_stopped(job.read), passages=self._until_stopped(job.encoded))
        self._change(job.collection, plan, progress)

    def _until_stopped(self, record: Callable[[T], None]) -> Callable[[T], None]:
        def recorded(value: T) -> None:
            if self._stopping:
                raise Stopped
            record(value)

        return recorded

    def _change(self, name: str, plan: Plan, progress: ChangeProgress) -> Changed:
        """Change a collection; wait a while for a change of another process."""
        end = time.monotonic() + _LOCKED_S
        while True:
            if self._stopping:
                raise Stopped
            try:
                return change_documents(
                    self._recipe(name),
                    plan,
                    open_encoder=self._open_encoder,
                    progress=progress,
                    uploads=True,
                )
            except IndexLocked:
                if time.monotonic() >= end:
                    raise
                time.sleep(_PAUSE_S)

    def _recipe(self, name: str) -> Recipe:
        """Return the recipe of a collection: that of its index, or one with the encoder of the deployment."""
        try:
            recipe = Recipe(**indexes.find(name).manifest.recipe)
        except CollectionError:
            folder = resources.built_folder() / ".uploads"
            return documents_recipe(name, folder, self._application.deployment)
        if recipe.source.kind != "folder":
            raise ConfigError(f"index '{name}' is not made of documents; choose another name in `uploads:`")
        return recipe.model_copy(update={"encoder": recipe_encoder(self._application.deployment)})

    def _open_encoder(self, settings: EncoderSettings) -> Encoder:
        if self._encoder is None:
            self._encoder = _KeptEncoder(open_encoder(settings))
        return self._encoder

    async def listed(self, name: str) -> list[dict[str, Any]]:
        """Return the documents of a collection, as clients are told, by name."""
        registry = await asyncio.to_thread(_registry, name)
        return [_as_dict(document) for document in registry.indexed.values()]

    async def delete(self, name: str, document_id: str) -> None:
        """Remove a document; searches do not find it from the moment this returns.

        Raises:
            RequestRejected: 404, there is no such document; 503, an upload takes longer than a request may."""
        found = list[str]()

        def plan(registry: DocumentRegistry) -> DocumentChanges:
            found.extend(each.name for each in registry.indexed.values() if each.document_id == document_id)
            return DocumentChanges(remove=found)

        try:
            await asyncio.wait_for(self._changing.acquire(), self._application.deployment.server.deadline)
        except TimeoutError as error:
            message = "an upload is in progress; try again when it is done"
            raise RequestRejected(503, "busy", message, retry_after=5.0) from error
        try:
            await asyncio.to_thread(self._change, name, plan, ChangeProgress())
        finally:
            self._changing.release()
        if not found:
            raise RequestRejected(404, "not_found", "there is no such document in the collection")


class _PreparedParts:
    """The parts of the retriever, which load when the collections of documents exist."""

    def __init__(self, documents: Documents, parts: list[Startable]) -> None:
        self._documents = documents
        self._parts = parts

    async def start(self) -> None:
        await self._documents.start()
        await asyncio.gather(*(part.start() for part in self._parts))


class _KeptEncoder:
    """An encoder whose model for passages is loaded once for all uploads."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._loaded: list[PassageEncoder] | None = None

    @property
    def batch_tokens(self) -> int:
        return self._encoder.batch_tokens

    @property
    def batch_texts(self) -> int | None:
        return self._encoder.batch_texts

    def load(self) -> QueryEncoder:
        return self._encoder.load()

    def load_for_passages(self) -> list[PassageEncoder]:
        if self._loaded is None:
            self._loaded = self._encoder.load_for_passages()
        return self._loaded


def _clean_up(name: str) -> None:
    """Delete what a killed change of a collection left, unless another process is changing it."""
    target = resources.built_folder() / name
    try:
        with exclusive_lock(target):
            for workspace in (BuildWorkspace(target), BuildWorkspace(target, "appending")):
                workspace.recover()
                workspace.remove()
    except IndexLocked:
        _LOG.info("collection is being changed by another process", extra={"collection": name})


def _is_known(registry: DocumentRegistry, name: str, sha256: str) -> bool:
    return name in registry.indexed and registry.indexed[name].sha256 == sha256


def _registry(name: str) -> DocumentRegistry:
    located = indexes.find(name)
    try:
        return read_registry(located.folder, located.manifest)
    except CollectionError:  # it may have been replaced meanwhile
        located = indexes.find(name)
        return read_registry(located.folder, located.manifest)


def _as_dict(document: IndexedDocument) -> dict[str, Any]:
    return {
        "id": document.document_id,
        "name": document.name,
        "type": document.type,
        "bytes": document.bytes,
        "pages": document.pages,
        "passages": document.passages,
        "languages": sorted(document.langs),
        "added": document.added,
    }
