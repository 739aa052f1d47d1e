"""A service with a collection that accepts documents, over an encoder that needs no model; also as a process:
`python -m tests.server.uploading PORT`."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Any

import httpx2
import uvicorn

from qttrag.application.application import Application
from qttrag.config.deployment import Deployment
from qttrag.pipeline.stages import Stages
from qttrag.prompts import Prompts
from qttrag.retrievers.dense import DenseRetriever
from qttrag.server import create_app
from qttrag.testing import FakeDetector, FakeGenerator, FakeReranker
from tests.indexes.hashing_encoder import MODEL, HashingKind

NAME = "my-documents"
DOCUMENTS = f"/v1/collections/{NAME}/documents"


def application(**server: Any) -> Application:
    """The application; the kind of `hashing_encoder` must be installed. `server`: its settings."""
    spec = {"kind": "dense", "encoder": {"kind": "hashing", "model": MODEL}, "collections": [NAME]}
    settings: Any = {"uploads": [NAME], **server}
    deployment = Deployment(retriever=spec, generator={"kind": "fake"}, server=settings)
    retriever = DenseRetriever(encoder=HashingKind(MODEL), collections=[NAME])
    stages = Stages(
        retriever=retriever,
        reranker=FakeReranker(),
        translator=None,
        tagger=None,
        generator=FakeGenerator(lambda messages: "In 1903 [1]."),
        prompts=Prompts(),
    )
    return Application(deployment, stages, FakeDetector("en"), None, [("retriever", retriever)])


def wait_until_ready(client: httpx2.Client) -> None:
    end = time.monotonic() + 120
    while not _is_ready(client):
        assert time.monotonic() < end
        time.sleep(0.05)


def _is_ready(client: httpx2.Client) -> bool:
    try:
        return client.get("/readyz").status_code == 200
    except httpx2.TransportError:
        return False


def upload(client: httpx2.Client, files: dict[str, bytes], **more: Any) -> httpx2.Response:
    return client.post(DOCUMENTS, files=[("files", (name, content)) for name, content in files.items()], **more)


def finished(client: httpx2.Client, job: str) -> dict[str, Any]:
    """The last state of an upload."""
    end = time.monotonic() + 120
    while time.monotonic() < end:
        state: dict[str, Any] = client.get(f"/v1/collections/{NAME}/jobs/{job}").json()
        if state["state"] in ("done", "failed"):
            return state
        time.sleep(0.05)
    raise AssertionError(f"not over: {state}")


def add(client: httpx2.Client, files: dict[str, bytes]) -> dict[str, Any]:
    """Upload files and return the last state of the upload."""
    response = upload(client, files)
    assert response.status_code == 202, response.text
    return finished(client, response.json()["job"])


def names(client: httpx2.Client) -> list[str]:
    return [document["name"] for document in client.get(DOCUMENTS).json()["documents"]]


def passages(client: httpx2.Client, question: str) -> list[dict[str, Any]]:
    response = client.post("/v1/retrieve", json={"question": question, "lang": "en"})
    assert response.status_code == 200, response.text
    found: list[dict[str, Any]] = response.json()["passages"]
    return found


def main(arguments: Sequence[str]) -> None:
    (port,) = arguments
    uvicorn.run(create_app(application=application()), port=int(port), log_level="warning")


if __name__ == "__main__":
    main(sys.argv[1:])
