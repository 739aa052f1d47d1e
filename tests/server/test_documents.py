"""Uploading documents to a running service, and asking about them at once."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from qttrag import resources
from qttrag.application import registry
from qttrag.errors import ConfigError
from qttrag.indexes import collection as indexes
from qttrag.indexes.storage.document_registry import read_registry
from qttrag.server import create_app
from tests.documents import sample_files
from tests.indexes.hashing_encoder import PAUSE, install
from tests.server import running, uploading
from tests.server.uploading import DOCUMENTS, NAME, add, finished, names, passages, upload

BRIDGE = b"The bridge of Turku was opened in 1903."
FERRY = b"The ferry of Turku sank in 1904."


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Install the encoders that need no model."""
    folder = install(tmp_path_factory.mktemp("packages"))
    sys.path.insert(0, str(folder))
    registry.kinds.cache_clear()
    yield folder
    sys.path.remove(str(folder))
    registry.kinds.cache_clear()


@pytest.fixture
def client(packages: Path) -> Iterator[httpx2.Client]:
    with running.running(uploading.application()) as up:
        uploading.wait_until_ready(up.client)
        yield up.client


def error(response: httpx2.Response, status: int) -> str:
    assert response.status_code == status, response.text
    code: str = response.json()["error"]["code"]
    return code


def test_a_new_collection_is_empty_and_accepts_documents(client: httpx2.Client) -> None:
    assert client.get("/v1/collections").json() == {"collections": [{"name": NAME, "documents": True}]}
    assert client.get(DOCUMENTS).json() == {"documents": []}
    assert passages(client, "bridge") == []


def test_an_uploaded_document_is_found_with_its_file_and_page(client: httpx2.Client) -> None:
    pages = [[(12, "Nothing of interest.")], [(18, "Bridges"), (12, "The bridge of Turku was opened in 1903.")]]
    state = add(client, {"report.pdf": sample_files.pdf(pages)})
    assert (state["state"], state["done"], state["total"]) == ("done", 2, 2)
    assert state["files"] == [{"name": "report.pdf", "state": "indexed", "passages": 2, "error": None}]
    (document,) = client.get(DOCUMENTS).json()["documents"]
    assert {key: document[key] for key in ("name", "type", "pages", "passages", "languages")} == {
        "name": "report.pdf",
        "type": "pdf",
        "pages": 2,
        "passages": 2,
        "languages": ["en"],
    }
    answer = client.post("/v1/ask", json={"question": "Bridge of Turku opened in?", "strategy": "base"}).json()
    by_text = {passage["text"]: passage for passage in answer["passages"]}
    cited = by_text["The bridge of Turku was opened in 1903."]
    assert (cited["file"], cited["page"], cited["headings"]) == ("report.pdf", 2, ["Bridges"])


def test_a_file_of_the_same_name_replaces_the_document_or_is_unchanged(client: httpx2.Client) -> None:
    add(client, {"a.txt": BRIDGE})
    again = add(client, {"a.txt": BRIDGE, "b.txt": FERRY})
    assert [file["state"] for file in again["files"]] == ["unchanged", "indexed"]
    add(client, {"a.txt": b"The tunnel was dug."})
    assert sorted(passage["text"] for passage in passages(client, "Turku")) == [FERRY.decode(), "The tunnel was dug."]
    assert names(client) == ["a.txt", "b.txt"]


def test_a_deleted_document_is_found_no_more(client: httpx2.Client) -> None:
    add(client, {"a.txt": BRIDGE, "b.txt": FERRY})
    (document, _) = client.get(DOCUMENTS).json()["documents"]
    assert client.delete(f"{DOCUMENTS}/{document['id']}").json() == {"deleted": document["id"]}
    assert [passage["file"] for passage in passages(client, "bridge")] == ["b.txt"]
    assert names(client) == ["b.txt"]
    assert error(client.delete(f"{DOCUMENTS}/{document['id']}"), 404) == "not_found"


def test_a_file_that_cannot_be_read_is_named_and_the_others_are_indexed(client: httpx2.Client) -> None:
    state = add(client, {"bad.pdf": b"no pdf", "a.txt": BRIDGE, "program.exe": b"MZ"})
    assert state["state"] == "done"
    outcomes = {file["name"]: file["error"] and file["error"]["code"] for file in state["files"]}
    assert outcomes == {"bad.pdf": "broken", "a.txt": None, "program.exe": "unsupported_type"}
    assert names(client) == ["a.txt"]


def test_an_upload_of_which_nothing_can_be_read_changes_nothing(client: httpx2.Client) -> None:
    add(client, {"a.txt": BRIDGE})
    before = indexes.find(NAME)
    assert add(client, {"a.txt": bytes(range(32)), "bad.pdf": b"no pdf"})["state"] == "done"
    assert indexes.find(NAME) == before
    assert read_registry(*before).failed == {}
    assert [passage["text"] for passage in passages(client, "bridge")] == [BRIDGE.decode()]


def test_the_progress_of_an_upload_is_streamed(client: httpx2.Client) -> None:
    job = upload(client, {"a.txt": BRIDGE}).json()["job"]
    response = client.get(f"/v1/collections/{NAME}/jobs/{job}", headers={"accept": "text/event-stream"})
    assert response.headers["content-type"].startswith("text/event-stream")
    events = running.events(response.text)
    assert {name for name, _ in events[:-1]} <= {"progress"}
    assert events[-1] == ("done", finished(client, job))


@pytest.mark.parametrize("name", ["", "..", "a\x01b.txt", "x" * 300 + ".txt"])
def test_a_file_needs_a_name(client: httpx2.Client, name: str) -> None:
    boundary = "b"
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'
    content = f"{head}text\r\n--{boundary}--\r\n".encode()
    headers = {"content-type": f"multipart/form-data; boundary={boundary}"}
    assert error(client.post(DOCUMENTS, content=content, headers=headers), 422) == "invalid_value"


def test_folders_in_the_name_of_a_file_are_left_out(client: httpx2.Client) -> None:
    add(client, {"../../etc/a.txt": BRIDGE})
    assert names(client) == ["a.txt"]


def test_an_upload_without_files_or_with_two_of_a_name_is_refused(client: httpx2.Client) -> None:
    assert error(client.post(DOCUMENTS, json={"files": []}), 422) == "invalid_value"
    twice = client.post(DOCUMENTS, files=[("files", ("a.txt", BRIDGE)), ("files", ("a.txt", FERRY))])
    assert error(twice, 422) == "invalid_value"


def test_unknown_collections_and_uploads_are_not_found(client: httpx2.Client) -> None:
    assert error(client.get("/v1/collections/nowhere/documents"), 404) == "not_found"
    assert error(client.get(f"/v1/collections/{NAME}/jobs/nothing"), 404) == "not_found"


def test_an_upload_beyond_a_limit_is_refused(packages: Path) -> None:
    limits = {"collections": [NAME], "max_files": 2, "max_bytes": 3000, "max_documents": 1}
    with running.running(uploading.application(uploads=limits)) as up:
        uploading.wait_until_ready(up.client)
        assert error(upload(up.client, {f"{n}.txt": BRIDGE for n in range(3)}), 422) == "invalid_value"
        assert error(upload(up.client, {"a.txt": BRIDGE * 100}), 413) == "too_large"
        state = add(up.client, {"a.txt": BRIDGE, "b.txt": FERRY})
    assert [(file["state"], file["error"] and file["error"]["code"]) for file in state["files"]] == [
        ("indexed", None),
        ("failed", "too_many"),
    ]


def test_only_keys_with_the_right_to_write_change_documents(packages: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QTTRAG_API_KEYS", "reader")
    monkeypatch.setenv("QTTRAG_WRITE_API_KEYS", "writer")
    with running.running(uploading.application()) as up:
        uploading.wait_until_ready(up.client)
        reader, writer = ({"authorization": f"Bearer {key}"} for key in ("reader", "writer"))
        assert error(upload(up.client, {"a.txt": BRIDGE}), 401) == "invalid_api_key"
        assert error(upload(up.client, {"a.txt": BRIDGE}, headers=reader), 403) == "no_write_right"
        assert error(up.client.delete(f"{DOCUMENTS}/x", headers=reader), 403) == "no_write_right"
        assert upload(up.client, {"a.txt": BRIDGE}, headers=writer).status_code == 202
        assert up.client.get(DOCUMENTS, headers=reader).status_code == 200


def test_a_collection_that_is_not_searched_cannot_accept_documents(packages: Path) -> None:
    with pytest.raises(ConfigError, match="'other', which the retriever does not search"):
        create_app(application=uploading.application(uploads=["other"]))


def test_a_service_that_is_killed_in_an_upload_leaves_nothing_half_visible(packages: Path) -> None:
    with running.running(uploading.application()) as up:
        uploading.wait_until_ready(up.client)
        add(up.client, {"a.txt": BRIDGE})
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(packages), *sys.path]), PAUSE: "60"}
    command = [sys.executable, "-m", "tests.server.uploading", str(port)]
    process = subprocess.Popen(command, env=environment)
    try:
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
            uploading.wait_until_ready(client)
            job = upload(client, {"a.txt": b"A secret.", "b.txt": FERRY}).json()["job"]
            while client.get(f"/v1/collections/{NAME}/jobs/{job}").json()["state"] != "encoding":
                assert process.poll() is None
            assert names(client) == ["a.txt"]
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    with running.running(uploading.application()) as up:
        uploading.wait_until_ready(up.client)
        assert names(up.client) == ["a.txt"]
        assert [passage["text"] for passage in passages(up.client, "Turku")] == [BRIDGE.decode()]
        left = [
            path for path in resources.built_folder().rglob("*") if path.is_file() and b"secret" in path.read_bytes()
        ]
        assert left == []
        add(up.client, {"b.txt": FERRY})
        assert names(up.client) == ["a.txt", "b.txt"]


def test_events_of_an_upload_are_json(client: httpx2.Client) -> None:
    job = upload(client, {"a.txt": BRIDGE}).json()["job"]
    with client.stream("GET", f"/v1/collections/{NAME}/jobs/{job}", headers={"accept": "text/event-stream"}) as stream:
        data = [line.removeprefix("data: ") for line in stream.iter_lines() if line.startswith("data: ")]
    assert all(json.loads(line)["job"] == job for line in data)
