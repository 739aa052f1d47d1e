"""Documents on the page, over a service that has only the routes for them, scripted."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI, UploadFile
from selenium import webdriver

from qttrag.server import create_app
from tests.server.page_browser import Page, needs_browser
from tests.server.page_service import page_application
from tests.server.running import Running, running, running_app

pytestmark = needs_browser


class Documents:
    """The collections "mine", which takes documents, and "wiki", which does not. Jobs end when `go_on` is set."""

    def __init__(self) -> None:
        self.router = APIRouter(prefix="/v1/collections")
        self.stored: list[dict[str, Any]] = []
        self.sent: list[str] = []
        self.go_on = threading.Event()
        for method, path, function in (
            ("GET", "", self.collections),
            ("GET", "/mine/documents", self.listed),
            ("POST", "/mine/documents", self.add),
            ("GET", "/mine/jobs/7", self.job),
            ("DELETE", "/mine/documents/{document}", self.delete),
        ):
            self.router.add_api_route(path, function, methods=[method])

    async def collections(self) -> dict[str, Any]:
        return {"collections": [{"name": "wiki", "documents": False}, {"name": "mine", "documents": True}]}

    async def listed(self) -> dict[str, Any]:
        return {"documents": self.stored}

    async def add(self, files: list[UploadFile]) -> dict[str, str]:
        self.sent = [file.filename or "" for file in files]
        return {"job": "7"}

    async def job(self) -> dict[str, Any]:
        files: list[dict[str, Any]] = [
            {"name": name, "state": "waiting", "passages": 0, "error": None} for name in self.sent
        ]
        if not self.go_on.is_set():
            return {"job": "7", "state": "reading", "done": 1, "total": 2, "files": files}
        files[0] |= {"state": "indexed", "passages": 12}
        problem = {"code": "encrypted", "message": "the file is encrypted; remove its password"}
        files[1] |= {"state": "failed", "error": problem}
        self.stored = [self._document(self.sent[0])]
        return {"job": "7", "state": "done", "done": 2, "total": 2, "files": files}

    async def delete(self, document: str) -> dict[str, str]:
        self.stored = [each for each in self.stored if each["id"] != document]
        return {"id": document}

    def _document(self, name: str) -> dict[str, Any]:
        return {
            "id": "d1", "name": name, "type": "text/plain", "bytes": 2048, "pages": 3, "passages": 12,
            "languages": ["fi", "ko"], "added": "2026-11-28T10:00:00+00:00",
        }  # fmt: skip


@pytest.fixture(scope="module")
def documents() -> Documents:
    return Documents()


@pytest.fixture(scope="module")
def service(documents: Documents) -> Iterator[Running]:
    app = FastAPI()
    app.include_router(documents.router)
    app.mount("/", create_app(application=page_application()))
    with running_app(app) as up:
        yield up


@pytest.fixture
def opened(browser: webdriver.Chrome, service: Running, documents: Documents) -> Page:
    """The page with the dialog open, over an empty collection."""
    documents.stored, documents.sent = [], []
    documents.go_on.clear()
    page = Page(browser, service.url)
    page.until(lambda: page.one("#open-documents").is_displayed())
    page.one("#open-documents").click()
    page.until(lambda: page.texts("#document-list li") == ["There are none yet."])
    return page


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / "raportti.txt", tmp_path / "<b>salainen.pdf"]
    for path in paths:
        path.write_text("Helsinki on pääkaupunki.", encoding="utf-8")
    return paths


def send(page: Page, files: list[Path]) -> None:
    page.one("#files").send_keys("\n".join(map(str, files)))


def test_only_collections_that_take_documents_are_offered(opened: Page) -> None:
    assert opened.texts("#collection option") == ["mine"]


def test_where_no_collection_takes_documents_nothing_is_offered(browser: webdriver.Chrome) -> None:
    with running(page_application()) as up:
        assert not Page(browser, up.url).one("#open-documents").is_displayed()


def test_files_are_sent_and_each_one_is_reported(opened: Page, documents: Documents, files: list[Path]) -> None:
    send(opened, files)
    opened.until(lambda: opened.one("#job-state").text == "Reading the files …")
    assert documents.sent == ["raportti.txt", "<b>salainen.pdf"]
    assert opened.one("#job-progress").get_property("value") == 1
    documents.go_on.set()
    opened.until(lambda: opened.one("#job-state").text == "Done. The documents can be searched now.")
    assert opened.texts("#job-files li")[0].split("\n") == ["raportti.txt", "added", "passages: 12"]
    assert "The file is encrypted. Remove its password first." in opened.texts("#job-files li")[1]
    opened.until(lambda: "raportti.txt" in opened.one("#document-list").text)
    assert "2 kB · pages: 3 · passages: 12 · Finnish, Korean" in opened.one("#document-list").text
    assert not opened.all("#documents b")


def test_dropped_files_are_sent(opened: Page, documents: Documents) -> None:
    opened.browser.execute_script("""
        const data = new DataTransfer();
        data.items.add(new File(["hei"], "pudotettu.md"));
        const drop = document.getElementById("drop");
        drop.dispatchEvent(new DragEvent("dragover", { dataTransfer: data, cancelable: true }));
        drop.dispatchEvent(new DragEvent("drop", { dataTransfer: data, cancelable: true }));
    """)
    opened.until(lambda: documents.sent == ["pudotettu.md"])


def test_a_document_is_deleted_after_a_question(opened: Page, documents: Documents, files: list[Path]) -> None:
    documents.go_on.set()
    send(opened, files)
    opened.until(lambda: "raportti.txt" in opened.one("#document-list").text)
    opened.press("Delete raportti.txt", within="#document-list")
    opened.browser.switch_to.alert.dismiss()
    assert documents.stored
    opened.press("Delete raportti.txt", within="#document-list")
    opened.browser.switch_to.alert.accept()
    opened.until(lambda: opened.texts("#document-list li") == ["There are none yet."])
    assert documents.stored == []


def test_a_refused_upload_says_why(opened: Page, documents: Documents, files: list[Path]) -> None:
    opened.browser.execute_script("document.getElementById('collection').options[0].value = 'wiki'")
    send(opened, files)
    opened.until(lambda: opened.one("#documents-problem").is_displayed())
    assert opened.one("#documents-problem").text
    assert not opened.one("#job").is_displayed()
