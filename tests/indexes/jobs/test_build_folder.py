"""Building the index of a folder of documents, and bringing it up to date."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qttrag.errors import CollectionError, ConfigError, InputError
from qttrag.indexes.collection import find, open_index, verify
from qttrag.indexes.jobs import build_folder as building
from qttrag.indexes.jobs.change_documents import ChangeProgress
from qttrag.indexes.jobs.compact import compact
from qttrag.indexes.jobs.index_job import Progress
from qttrag.indexes.jobs.remove import remove
from qttrag.indexes.recipe import EncoderSettings, Recipe, Source
from qttrag.indexes.storage.document_registry import read_registry
from qttrag.stores.faiss_folder import FaissFolder
from qttrag.types import Hit
from tests.indexes.hashing_encoder import MODEL, HashingKind, open_hashing

FILES = {
    "a.md": "# Bridges\n\nThe bridge of Turku was opened in 1903.",
    "b.txt": "서울에 새 다리가 생겼다. 다리는 1904년에 문을 열었다.",
    "deep/c.html": "<h1>Museum</h1><p>The museum has a collection of old maps of the town.</p>",
}
FAILED = "broken.pdf"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "files"
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    (folder / FAILED).write_bytes(b"no pdf")
    (folder / ".hidden.txt").write_text("Nobody reads this.")
    return folder


def recipe(folder: Path, **more: Any) -> Recipe:
    source = Source(kind="folder", path=str(folder))
    return Recipe(name="files", source=source, encoder=EncoderSettings(model=MODEL), **more)


def build(folder: Path, encoded: Callable[[Progress], None] = lambda progress: None, **more: Any) -> dict[str, str]:
    """Build, and return the outcome of each file."""
    progress = ChangeProgress(passages=encoded)
    built = building.build_folder(recipe(folder), open_encoder=open_hashing, progress=progress, **more)
    return {outcome.name: outcome.code or outcome.state for outcome in built.outcomes}


def search(text: str, store: FaissFolder | None = None) -> list[Hit]:
    queries = HashingKind(MODEL).load().encode([text])
    return (store or FaissFolder("files")).search(queries, 10, "all")[0]


def found(text: str, store: FaissFolder | None = None) -> list[str]:
    return [hit.passage.passage_id for hit in search(text, store)]


ALL = {"a.md": "indexed", "b.txt": "indexed", "deep/c.html": "indexed", FAILED: "broken"}


def test_every_file_is_indexed_or_named(folder: Path) -> None:
    assert build(folder) == ALL
    (best, *_) = search("The museum has a collection")
    assert best.passage.passage_id == "deep/c.html#0"
    assert best.passage.place is not None
    assert (best.passage.place.file, best.passage.place.headings) == ("deep/c.html", ("Museum",))
    assert verify("files") == []


def test_a_pipe_and_a_link_to_nothing_are_named(folder: Path) -> None:
    os.mkfifo(folder / "pipe.txt")
    (folder / "link.txt").symlink_to(folder / "nowhere.txt")
    assert build(folder) == {**ALL, "link.txt": "unreadable", "pipe.txt": "unreadable"}


def test_a_file_that_cannot_be_opened_for_a_while_keeps_its_passages(folder: Path) -> None:
    build(folder)
    (folder / "a.md").rename(folder / ".a.md")
    (folder / "a.md").symlink_to(folder / "nowhere.md")
    assert build(folder)["a.md"] == "unreadable"
    assert "a.md#0" in found("bridge")


def test_an_unchanged_folder_costs_no_reading_and_no_encoding(folder: Path) -> None:
    build(folder)
    before = find("files").manifest
    encoded = list[Progress]()
    assert build(folder, encoded.append) == {**dict.fromkeys(FILES, "unchanged"), FAILED: "broken"}
    assert (encoded, find("files").manifest) == ([], before)


def test_a_changed_file_replaces_its_passages_and_only_they_are_encoded(folder: Path) -> None:
    build(folder)
    (folder / "a.md").write_text("# Bridges\n\nThe ferry of Turku sank.")
    encoded = list[Progress]()
    outcomes = build(folder, encoded.append)
    assert (outcomes["a.md"], outcomes["b.txt"]) == ("indexed", "unchanged")
    assert [progress.passages for progress in encoded if progress.step == "encode"] == [1]
    texts = [hit.passage.text for hit in search("The ferry of Turku sank.")]
    assert texts[0] == "The ferry of Turku sank."
    assert len(texts) == len(FILES)


def test_a_deleted_file_is_removed(folder: Path) -> None:
    build(folder)
    (folder / "b.txt").unlink()
    (folder / FAILED).unlink()
    assert build(folder) == {"a.md": "unchanged", "b.txt": "removed", "deep/c.html": "unchanged"}
    assert "b.txt#0" not in found("서울에 새 다리가 생겼다.")
    assert find("files").manifest.langs == {"en": 2}
    assert build(folder) == {"a.md": "unchanged", "deep/c.html": "unchanged"}


def test_an_open_index_is_searched_in_its_new_version_at_once(folder: Path) -> None:
    build(folder)
    store = FaissFolder("files")
    assert len(found("bridge", store)) == len(FILES)
    (folder / "d.txt").write_text("A tunnel under the river.")
    (folder / "a.md").unlink()
    build(folder)
    assert set(found("tunnel", store)) == {"b.txt#0", "d.txt#0", "deep/c.html#0"}


def test_an_index_with_another_encoder_does_not_replace_an_open_one(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    build(folder)
    store = FaissFolder("files")
    before = found("bridge", store)
    manifest = find("files").manifest
    manifest.model_copy(update={"encoder_revision": "2"}).write(find("files").folder)
    assert found("bridge", store) == before
    assert "new version not used" in caplog.messages


def test_all_files_may_go_and_come_back(folder: Path) -> None:
    build(folder)
    kept = {name: (folder / name).rename(folder.parent / f"kept-{n}") for n, name in enumerate(FILES)}
    assert set(build(folder).values()) == {"removed", "broken"}
    assert found("bridge") == []
    for name, path in kept.items():
        path.rename(folder / name)
    assert build(folder) == ALL
    assert len(found("bridge")) == len(FILES)


def test_a_broken_new_version_of_a_file_leaves_the_earlier_one(folder: Path) -> None:
    build(folder)
    (folder / "a.md").write_bytes(bytes(range(32)) * 9)
    assert build(folder)["a.md"] == "broken"
    assert "a.md#0" in found("bridge")


def test_a_folder_without_readable_files_makes_no_index(tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "a.pdf").write_bytes(b"no pdf")
    built = building.build_folder(recipe(folder), open_encoder=open_hashing)
    assert built.manifest is None
    assert [outcome.code for outcome in built.outcomes] == ["broken"]
    with pytest.raises(CollectionError):
        find("files")


def test_an_interrupted_build_leaves_the_published_index_and_is_repeated(folder: Path) -> None:
    build(folder)
    (folder / "d.txt").write_text("A tunnel under the river.")

    def stop(progress: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(folder, stop)
    assert len(found("tunnel")) == len(FILES)
    (folder / "e.txt").write_text("And a ferry.")  # other documents than those of the interrupted build
    assert (build(folder)["d.txt"], len(found("tunnel"))) == ("indexed", len(FILES) + 2)


def test_compaction_keeps_documents_and_places(folder: Path) -> None:
    build(folder)
    (folder / "b.txt").unlink()
    build(folder)
    compact("files")
    located = find("files")
    assert located.manifest.removed == 0
    assert read_registry(located.folder, located.manifest).indexed.keys() == {"a.md", "deep/c.html"}
    passages = open_index("files").passages
    assert [p.place and p.place.file for p in passages.take(passages.remaining_rows())] == ["a.md", "deep/c.html"]
    assert set(build(folder).values()) == {"unchanged", "broken"}


def test_passages_of_documents_are_not_removed_by_their_ids(folder: Path) -> None:
    build(folder)
    with pytest.raises(InputError, match="delete the file"):
        remove("files", ["a.md"])


def test_another_encoder_needs_a_new_index(folder: Path) -> None:
    build(folder)
    other = recipe(folder).model_copy(update={"encoder": EncoderSettings(model="other")})
    with pytest.raises(CollectionError, match=r"encoder\.model was words, is other"):
        building.build_folder(other, open_encoder=open_hashing)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no folder"):
        build(tmp_path / "nowhere")
