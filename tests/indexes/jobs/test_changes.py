"""Appending to indexes, removing from them and compacting them."""

from __future__ import annotations

import json
import os
import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from qttrag import resources
from qttrag.encoders.sentence_transformers import SentenceTransformersEncoder
from qttrag.errors import CollectionError, ConfigError, InputError
from qttrag.indexes.collection import open_index, verify
from qttrag.indexes.jobs.append import recipe_for_file
from qttrag.indexes.jobs.compact import compact
from qttrag.indexes.jobs.index_job import Progress
from qttrag.indexes.jobs.remove import remove
from qttrag.indexes.recipe import load
from qttrag.indexes.storage.manifest import Manifest, read_manifest
from qttrag.types import Lang
from tests import deployment, tiny_models
from tests.indexes import processes
from tests.indexes.jobs.real_encoders import append, build

ROWS, SHARD = 60, 25
QUERIES = ["silta Turku", "다리", "library in Seoul", "博物馆", "fire in the year 1903"]


class Stop(Exception):
    """Interrupts a change, as any error would."""


@pytest.fixture
def path(tmp_path: Path, tiny: Path) -> Path:
    """The recipe of a built index: 60 passages in three shards."""
    path = deployment.write_recipe(tmp_path, tiny, n=ROWS)
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), "shard_rows": SHARD}))
    build(load(path))
    return path


def records(first: int, n: int) -> list[dict[str, str]]:
    texts = ["Turku sai uuden kirjaston.", "서울에 새 다리가 생겼다.", "A new museum.", "北京有一座新桥。"]
    langs = ["fi", "ko", "en", "zh"]
    return [
        {"id": f"new-{i}", "title": "New", "text": f"{i}: {texts[i % 4]}", "lang": langs[i % 4]}
        for i in range(first, first + n)
    ]


def write(path: Path, rows: list[dict[str, str]]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return path


def append_file(file: Path, **options: Any) -> Manifest:
    return append("mixed", recipe_for_file("mixed", file), **options)


def answers(tiny: Path, langs: Any = "all", name: str = "mixed", k: int = 20) -> list[list[tuple[str, float]]]:
    encoder = SentenceTransformersEncoder(str(tiny / "encoder"), revision=None, device="cpu", max_tokens=256)
    queries = encoder.encode(QUERIES)
    results = open_index(name).search(queries, k, langs)
    return [[(hit.passage.passage_id, round(hit.score, 4)) for hit in hits] for hits in results]


def ids(tiny: Path, **options: Any) -> set[str]:
    """Return the ids of all passages in search results."""
    return {passage_id for hits in answers(tiny, k=1000, **options) for passage_id, _ in hits}


def names() -> list[str]:
    return sorted(path.name for path in resources.built_folder().iterdir())


def test_an_appended_index_answers_like_one_built_from_all_sources(path: Path, tiny: Path, tmp_path: Path) -> None:
    manifest = append_file(write(tmp_path / "new.jsonl", records(0, 40)))
    appended = answers(tiny)
    assert (manifest.rows, manifest.shards) == (100, [25, 25, 10, 25, 15])
    assert manifest.langs == {"en": 25, "ko": 25, "fi": 25, "zh": 25}
    assert verify("mixed") == []
    assert names() == [".mixed.lock", "mixed"]
    with path.with_name("mixed.jsonl").open("a") as file:
        file.write((tmp_path / "new.jsonl").read_text())
    build(load(path), overwrite=True)
    assert answers(tiny) == appended


def test_an_id_in_the_index_is_refused_by_its_line_and_changes_nothing(path: Path, tiny: Path, tmp_path: Path) -> None:
    before = answers(tiny)
    file = write(tmp_path / "new.jsonl", [*records(0, 2), {**records(2, 1)[0], "id": "en-0"}])
    with pytest.raises(InputError, match=r"new\.jsonl:3: the index already has 'en-0'; replace it with --replace"):
        append_file(file)
    assert answers(tiny) == before
    manifest = append_file(file, on_error="skip")
    assert (manifest.rows, manifest.skipped) == (ROWS + 2, {"id in the index": 1})


def test_appending_the_same_passages_again_changes_nothing(path: Path, tmp_path: Path) -> None:
    file = write(tmp_path / "new.jsonl", records(0, 5))
    first = append_file(file)
    assert append_file(file, on_error="skip") == first


def test_replaced_passages_are_in_no_result(path: Path, tiny: Path, tmp_path: Path) -> None:
    changed = [{**record, "id": name} for record, name in zip(records(0, 2), ["en-0", "ko-1"], strict=True)]
    manifest = append_file(write(tmp_path / "new.jsonl", [*changed, *records(5, 1)]), replace=True)
    assert (manifest.rows, manifest.removed, sum(manifest.langs.values())) == (ROWS + 3, 2, ROWS + 1)
    assert (manifest.appended[0].passages, manifest.appended[0].replaced) == (3, 2)
    collection = open_index("mixed")
    texts = {
        passage.passage_id: passage.text for passage in collection.passages.take(collection.passages.remaining_rows())
    }
    assert texts["en-0#0"].startswith("0: Turku sai")
    assert ids(tiny) == set(texts)
    assert verify("mixed") == []


def test_a_replacement_can_be_replaced_again(path: Path, tmp_path: Path) -> None:
    for text in ("Once.", "Twice."):
        manifest = append_file(
            write(tmp_path / f"{text}jsonl", [{"id": "en-0", "text": text, "lang": "en"}]), replace=True
        )
    collection = open_index("mixed")
    texts = [p.text for p in collection.passages.take(collection.passages.remaining_rows()) if p.passage_id == "en-0#0"]
    assert texts == ["Twice."]
    assert (manifest.removed, manifest.appended[1].replaced) == (2, 1)


def test_an_interrupted_append_leaves_the_index_and_resumes(path: Path, tiny: Path, tmp_path: Path) -> None:
    def stop(progress: Progress) -> None:
        if progress.step == "encode" and progress.passages >= 30:
            raise Stop

    before, file = answers(tiny), write(tmp_path / "new.jsonl", records(0, 40))
    with pytest.raises(Stop):
        append_file(file, progress=stop)
    assert answers(tiny) == before
    progress: list[Progress] = []
    assert append_file(file, progress=progress.append).rows == ROWS + 40
    assert progress[0].passages > SHARD
    assert verify("mixed") == []


def test_an_unfinished_append_with_other_settings_is_refused(path: Path, tmp_path: Path) -> None:
    def stop(progress: Progress) -> None:
        if progress.step == "add":
            raise Stop

    file = write(tmp_path / "new.jsonl", records(0, 40))
    with pytest.raises(Stop):
        append_file(file, progress=stop)
    with pytest.raises(CollectionError, match=r"'mixed' is half appended to \(40 passages\).*replace was False, is Tr"):
        append_file(file, replace=True)
    remove("mixed", {"en-0"})
    with pytest.raises(CollectionError, match=r"index was [0-9a-f]{64}, is "):
        append_file(file)
    assert append_file(file, restart=True).rows == ROWS + 40


def test_passages_with_other_settings_are_not_appended(path: Path, tmp_path: Path) -> None:
    data = yaml.safe_load(path.read_text())
    other = tmp_path / "other.yaml"
    other.write_text(yaml.safe_dump({**data, "chunking": {"size": 50}}))
    with pytest.raises(CollectionError, match=r"other settings: chunking\.size was 100, is 50"):
        append("mixed", load(other))
    encoder = tiny_models.make_encoder(tmp_path / "encoder", seed=8)
    other.write_text(yaml.safe_dump({**data, "encoder": {**data["encoder"], "model": str(encoder)}}))
    with pytest.raises(CollectionError, match=r"other settings: encoder\.model was"):
        append("mixed", load(other))


def test_a_changed_encoder_is_refused(path: Path, tmp_path: Path, tiny: Path) -> None:
    model = shutil.copytree(tiny / "encoder", tmp_path / "encoder")
    data = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump({**data, "encoder": {**data["encoder"], "model": str(model)}}))
    build(load(path), overwrite=True)
    shutil.rmtree(model)
    tiny_models.make_encoder(model, seed=8)
    with pytest.raises(CollectionError, match=r"'mixed' was built with .* the encoder here is"):
        append_file(write(tmp_path / "new.jsonl", records(0, 2)))


def test_a_file_of_an_unknown_kind_is_refused(path: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"new\.csv: unknown kind of file; use \.jsonl, "):
        append_file(tmp_path / "new.csv")


@pytest.mark.parametrize("name", ["en-0", "en-0#0"])
def test_a_removed_passage_is_in_no_result(path: Path, tiny: Path, name: str) -> None:
    manifest = remove("mixed", {name})
    assert (manifest.rows, manifest.removed, manifest.langs["en"]) == (ROWS, 1, 14)
    assert len(ids(tiny)) == ROWS - 1
    assert "en-0#0" not in ids(tiny)
    assert "en-0#0" not in ids(tiny, langs=[Lang("en"), Lang("ko")])
    assert verify("mixed") == []


def test_a_removed_passage_is_not_in_the_terms_of_bm25(path: Path) -> None:
    import asyncio

    from qttrag.retrievers.bm25 import BM25Retriever
    from qttrag.types import Query

    text = open_index("mixed").passages[0].text
    remove("mixed", {"en-0"})
    hits = asyncio.run(BM25Retriever(collections=["mixed"]).retrieve(Query(text, Lang("en")), ROWS))
    assert hits
    assert "en-0#0" not in {hit.passage.passage_id for hit in hits}


def test_removing_adds_to_earlier_removals(path: Path, tiny: Path) -> None:
    remove("mixed", {"en-0", "ko-1"})
    assert remove("mixed", {"fi-2"}).removed == 3
    with pytest.raises(InputError, match=r"does not contain 1 of these 2 ids \(en-0\).*--missing-ok"):
        remove("mixed", {"en-0", "zh-3"})
    assert remove("mixed", {"en-0", "zh-3"}, missing_ok=True).removed == 4
    folder = resources.built_folder() / "mixed"
    assert [file.name for file in folder.glob("removed-*")] == ["removed-000000004.npy"]
    assert verify("mixed") == []


def test_a_language_with_all_passages_removed_has_no_hits(path: Path, tiny: Path) -> None:
    manifest = remove("mixed", {f"fi-{n}" for n in range(2, ROWS, 4)})
    assert "fi" not in manifest.langs
    assert ids(tiny, langs=[Lang("fi")]) == set()


def test_an_index_that_cannot_exclude_rows_is_refused_and_unchanged(path: Path) -> None:
    recipe = load(path)
    build(recipe.model_copy(update={"faiss": "PQ8x4", "lang": Lang("en")}), overwrite=True)
    with pytest.raises(CollectionError, match=r"FAISS cannot search its 'PQ8x4'"):
        remove("mixed", {"en-0"})
    assert open_index("mixed").manifest.removed == 0


def test_a_damaged_file_of_removed_rows_is_reported_by_name(path: Path) -> None:
    remove("mixed", {"en-0"})
    file = resources.built_folder() / "mixed" / "removed-000000001.npy"
    content = bytearray(file.read_bytes())
    content[-8] ^= 1
    file.write_bytes(content)
    with pytest.raises(CollectionError, match=r"removed-000000001\.npy has changed"):
        open_index("mixed")


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("removed-000000001.npy", b"), }", b"(, }"),
        ("vectors-00000.npy", b"), }", b"(, }"),
        ("passages.arrow", "투르쿠".encode(), b"\xff" * 9),
    ],
)
def test_silent_damage_is_an_error_of_the_index(path: Path, tiny: Path, name: str, before: bytes, after: bytes) -> None:
    """As a bad disk does; opening does not read every byte."""
    remove("mixed", {"en-0"})
    file = resources.built_folder() / "mixed" / name
    stat, content = file.stat(), file.read_bytes()
    assert before in content
    file.write_bytes(content.replace(before, after))
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    with pytest.raises(CollectionError, match="damaged"):
        ids(tiny)
    assert any(name in problem for problem in verify("mixed"))


def test_a_compacted_index_answers_as_before(path: Path, tiny: Path, tmp_path: Path) -> None:
    append_file(
        write(tmp_path / "new.jsonl", [*records(0, 40), {"id": "ko-1", "text": "새 글.", "lang": "ko"}]), replace=True
    )
    remove("mixed", {"en-0", "new-3"})
    before, langs = answers(tiny), open_index("mixed").manifest.langs
    manifest = compact("mixed")
    assert answers(tiny) == before
    assert (manifest.rows, manifest.removed, manifest.langs) == (98, 0, langs)
    assert verify("mixed") == []
    assert names() == [".mixed.lock", "mixed"]
    assert compact("mixed") == manifest
    assert append_file(write(tmp_path / "more.jsonl", records(50, 3))).rows == 101


def test_an_interrupted_compaction_leaves_the_index_and_resumes(path: Path, tiny: Path) -> None:
    def stop(progress: Progress) -> None:
        if progress.step == "add":
            raise Stop

    remove("mixed", {"en-0"})
    before = answers(tiny)
    with pytest.raises(Stop):
        compact("mixed", progress=stop)
    assert answers(tiny) == before
    progress: list[Progress] = []
    assert compact("mixed", progress=progress.append).rows == ROWS - 1
    assert progress[0].step == "add"
    assert answers(tiny) == before


def test_an_index_without_passages_is_not_compacted(path: Path) -> None:
    passages = open_index("mixed").passages
    remove("mixed", {passages[row].passage_id for row in range(ROWS)})
    with pytest.raises(CollectionError, match=r"'mixed' has no passage left"):
        compact("mixed")


@pytest.mark.parametrize("task", ["append", "remove", "compact"])
def test_a_change_killed_at_any_moment_leaves_the_old_or_the_new_index(
    path: Path, tiny: Path, tmp_path: Path, task: str
) -> None:
    file = write(tmp_path / "new.jsonl", records(0, 40))
    arguments: dict[str, list[Any]] = {"append": [file], "remove": [{"ko-1", "fi-2"}], "compact": []}
    remove("mixed", {"en-0"})
    home, old = Path(os.environ["QTTRAG_HOME"]), ids(tiny)
    new = old | {f"new-{n}#0" for n in range(40)} if task == "append" else old
    new = old - {"ko-1#0", "fi-2#0"} if task == "remove" else new
    moments = random.Random(len(task))
    for _ in range(6):
        process = processes.start_change(home, task, *arguments[task])
        process.join(moments.uniform(0.02, 0.5))
        process.kill()
        process.join()
        assert verify("mixed") == []
        assert ids(tiny) in (old, new)
    if open_index("mixed").manifest.removed == 1 and ids(tiny) == old:
        process = processes.start_change(home, task, *arguments[task])
        process.join(60)
        assert process.exitcode == 0
    assert ids(tiny) == new
    assert len(ids(tiny)) == sum(read_manifest(resources.built_folder() / "mixed").langs.values())
    assert np.unique(open_index("mixed").passages.removed).size == {"append": 1, "remove": 3, "compact": 0}[task]


def write_ambiguous(path: Path) -> None:
    """Build an index of the records a, with two passages, and a#1."""
    rows = [
        {"id": "a", "text": " ".join(["Silta on vanha."] * 5), "lang": "fi"},
        {"id": "a#1", "text": "Museo on uusi.", "lang": "fi"},
    ]
    write(path.with_name("mixed.jsonl"), rows)
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), "chunking": {"size": 10}}))
    build(load(path), overwrite=True)


def test_an_id_that_names_a_record_and_a_passage_of_another_removes_neither(path: Path, tiny: Path) -> None:
    write_ambiguous(path)
    with pytest.raises(
        InputError, match=r"1 of these ids \(a#1\) name a record and also .*--only records or --only pas"
    ):
        remove("mixed", ["a#1"])
    assert ids(tiny) == {"a#0", "a#1", "a#1#0"}


@pytest.mark.parametrize(("what", "remaining"), [("records", {"a#0", "a#1"}), ("passages", {"a#0", "a#1#0"})])
def test_what_an_id_to_remove_names_can_be_chosen(path: Path, tiny: Path, what: Any, remaining: set[str]) -> None:
    write_ambiguous(path)
    remove("mixed", ["a#1"], what=what)
    assert ids(tiny) == remaining


def test_in_an_index_of_whole_records_an_id_names_one_passage(path: Path, tiny: Path) -> None:
    rows = [{"id": name, "text": f"Silta {n}.", "lang": "fi"} for n, name in enumerate(["a", "a#1", "b#1"])]
    write(path.with_name("mixed.jsonl"), rows)
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), "chunking": {"enabled": False}}))
    build(load(path), overwrite=True)
    remove("mixed", ["a"])
    assert ids(tiny) == {"a#1", "b#1"}
    with pytest.raises(InputError, match=r"does not contain 1 of these 1 ids \(b\)"):
        remove("mixed", ["b"])


def test_replaced_characters_are_counted_in_the_manifest(path: Path, tmp_path: Path) -> None:
    assert "repaired" not in json.loads((resources.built_folder() / "mixed" / "manifest.json").read_text())
    file = write(tmp_path / "new.jsonl", [{**records(0, 1)[0], "text": "Silta\x00 on vanha."}])
    assert append_file(file).repaired == {"control characters": 1}
    assert compact("mixed").repaired == {"control characters": 1}
