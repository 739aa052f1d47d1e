"""Collections and their documents: `/v1/collections`, uploads, their progress, lists and deletions."""

from __future__ import annotations

import asyncio
import unicodedata
from collections.abc import AsyncIterator
from typing import IO, Any

from fastapi import APIRouter, Request
from sse_starlette import ServerSentEvent
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException

from qttrag.indexes.sources.characters import is_valid_id
from qttrag.server import schemas
from qttrag.server.documents import Documents
from qttrag.server.errors import STATUSES, ErrorBody, RequestRejected
from qttrag.server.routes.ask import STREAMED, sse
from qttrag.server.service import event_stream, service_of
from qttrag.server.upload_jobs import UploadJob

_NOT_FOUND: dict[int | str, dict[str, Any]] = {404: {"model": ErrorBody, "description": "No such collection or part"}}
router = APIRouter(prefix="/v1", responses={**STATUSES, **_NOT_FOUND})
_LONGEST_NAME = 255  # bytes
_PAUSE_S = 0.2  # between two events, at least
_FORM: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["files"],
                    "properties": {"files": {"type": "array", "items": {"type": "string", "format": "binary"}}},
                }
            }
        },
    }
}


def _documents(request: Request) -> Documents:
    documents: Documents = request.app.state.documents
    return documents


def _check_write(request: Request) -> None:
    client = request.client
    request.app.state.clients.check_write(request.headers.get("authorization", ""), client.host if client else "")


@router.get("/collections", response_model=schemas.CollectionsResponse)
async def collections(request: Request) -> Any:
    """List the collections of the deployment, and whether their documents can be changed."""
    writable = _documents(request).collections
    names = service_of(request).application.collections
    return {"collections": [{"name": name, "documents": name in writable} for name in names]}


@router.get("/collections/{name}/documents", response_model=schemas.DocumentsResponse)
async def documents(request: Request, name: str) -> Any:
    """List the documents of a collection."""
    service_of(request).check_ready()
    return {"documents": await _documents(request).listed(_documents(request).check(name))}


@router.post(
    "/collections/{name}/documents", status_code=202, response_model=schemas.UploadResponse, openapi_extra=_FORM
)
async def upload(request: Request, name: str) -> Any:
    """Add documents to a collection, or replace those of the same names. They are read and encoded after the response;
    the job says when they can be found."""
    service = service_of(request)
    documents, settings = _documents(request), service.settings.uploads
    documents.check(name)
    _check_write(request)
    service.check_ready()
    documents.check_places()
    try:
        async with request.form(max_files=settings.max_files, max_fields=0) as form:
            started = await documents.add(name, _files(form))
    except HTTPException as error:
        if isinstance(error.__cause__, RequestRejected):
            raise error.__cause__ from error
        message = f"the form is invalid: {error.detail}"
        raise RequestRejected(422, "invalid_value", message, param="files") from error
    return {"job": started.job_id}


def _files(form: FormData) -> dict[str, IO[bytes]]:
    """Return the files of a form by name.

    Raises:
        RequestRejected: 422; there is none, or two have the same name."""
    files: dict[str, IO[bytes]] = {}
    for file in form.getlist("files"):
        if isinstance(file, UploadFile):
            name = _name(file.filename or "")
            if name in files:
                raise RequestRejected(422, "invalid_value", f"two files are called '{name}'", param="files")
            files[name] = file.file
    if not files:
        message = "there is no file; send a form (multipart/form-data) with a field `files` for each"
        raise RequestRejected(422, "invalid_value", message, param="files")
    return files


def _name(given: str) -> str:
    """Return the name of a file without folders, in composed characters.

    Raises:
        RequestRejected: 422; it has no name, or one with control characters."""
    name = unicodedata.normalize("NFC", given.replace("\\", "/").rsplit("/", 1)[-1].strip())
    if not name or name in (".", "..") or not is_valid_id(name) or len(name.encode()) > _LONGEST_NAME:
        message = f"each file needs a name of at most {_LONGEST_NAME} bytes without control characters"
        raise RequestRejected(422, "invalid_value", message, param="files")
    return name


@router.get("/collections/{name}/jobs/{job}", response_model=schemas.JobResponse, responses=STREAMED)
async def job(request: Request, name: str, job: str) -> Any:
    """Return the progress of an upload. With `Accept: text/event-stream`: events `progress` until the last one,
    `done`, each with the same object."""
    documents = _documents(request)
    found = documents.job(documents.check(name), job)
    if "text/event-stream" in request.headers.get("accept", ""):
        return event_stream(service_of(request), _events(found))
    return found.as_dict()


async def _events(job: UploadJob) -> AsyncIterator[ServerSentEvent]:
    sent: dict[str, Any] | None = None
    while not job.is_over:
        job.changed.clear()
        if (state := job.as_dict()) != sent:
            sent = state
            yield sse(state, "progress")
        await asyncio.sleep(_PAUSE_S)
        await job.changed.wait()
    yield sse(job.as_dict(), "done")


@router.delete("/collections/{name}/documents/{document}", response_model=schemas.DeletedResponse)
async def delete(request: Request, name: str, document: str) -> Any:
    """Remove a document. It is not found any more when the response comes."""
    documents = _documents(request)
    documents.check(name)
    _check_write(request)
    service_of(request).check_ready()
    await documents.delete(name, document)
    return {"deleted": document}
