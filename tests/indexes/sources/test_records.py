from __future__ import annotations

import gzip
import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from qttrag.errors import ConfigError, InputError
from qttrag.indexes.recipe import Recipe, load
from qttrag.indexes.sources import listing
from qttrag.indexes.sources.records import SourceReader, SourceRecord
from tests.hub import Hub
from tests.indexes.dataset_hub import DatasetHub

GOOD = {"id": "1", "title": "T", "text": "Some text.", "lang": "en"}


def make_recipe(folder: Path, content: bytes | str, *, kind: str = "jsonl", **more: Any) -> Recipe:
    (folder / f"data.{kind}").write_bytes(content.encode() if isinstance(content, str) else content)
    source = {"kind": kind, "path": str(folder / f"data.{kind}"), **more.pop("source", {})}
    return Recipe(name="r", source={**source, "path": [source["path"]]}, encoder={"model": "m"}, **more)  # type: ignore[arg-type]


def read(recipe: Recipe, skipped: Counter[str] | None = None) -> list[SourceRecord]:
    reader = SourceReader(recipe, listing.files(recipe), on_error="stop" if skipped is None else "skip")
    records = list(reader)
    if skipped is not None:
        skipped.update(reader.drain_summary().skipped)
    return records


def lines(*rows: object) -> str:
    return "".join((row if isinstance(row, str) else json.dumps(row, ensure_ascii=False)) + "\n" for row in rows)


def test_jsonl_is_read_in_order(tmp_path: Path) -> None:
    records = read(make_recipe(tmp_path, lines(GOOD, {**GOOD, "id": 2, "lang": "Korean"})))
    assert [(r.record_id, r.lang) for r in records] == [("1", "en"), ("2", "ko")]


def test_field_names_can_be_set(tmp_path: Path) -> None:
    row = {"pid": "1", "contents": "Text.", "name": "T", "language": "fin_Latn"}
    fields = {"id": "pid", "text": "contents", "title": "name", "lang": "language"}
    (record,) = read(make_recipe(tmp_path, lines(row), source={"fields": fields}))
    assert record == ("1", "T", "Text.", "fi")


def test_a_title_may_be_missing_and_a_fixed_language_replaces_the_field(tmp_path: Path) -> None:
    assert read(make_recipe(tmp_path, lines({"id": "1", "text": "x"}), lang="ko"))[0] == ("1", "", "x", "ko")


def test_byte_order_mark_and_windows_line_ends_are_dropped(tmp_path: Path) -> None:
    content = b"\xef\xbb\xbf" + lines(GOOD).encode().replace(b"\n", b"\r\n")
    assert read(make_recipe(tmp_path, content))[0].text == "Some text."


def test_tsv_has_id_text_and_optionally_title(tmp_path: Path) -> None:
    recipe = make_recipe(tmp_path, "a\tText one.\tTitle\nb\tText two.\n", kind="tsv", lang="en")
    assert read(recipe) == [("a", "Title", "Text one.", "en"), ("b", "", "Text two.", "en")]


def test_parquet_is_read(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": [1, 2], "text": ["a", "b"], "lang": ["en", "ko"]}), tmp_path / "x.parquet")
    recipe = make_recipe(tmp_path, "", kind="tsv").model_copy(update={"source": recipe_source(tmp_path / "x.parquet")})
    assert [record.record_id for record in read(recipe)] == ["1", "2"]


def recipe_source(path: Path) -> Any:
    from qttrag.indexes.recipe import Source

    return Source(kind="parquet", path=[str(path)])


def test_a_file_that_is_not_parquet_is_reported_by_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"data\.parquet: not a Parquet file"):
        read(make_recipe(tmp_path, "nonsense", kind="parquet"))


def test_the_language_of_a_record_is_any_tag_or_undetermined(tmp_path: Path) -> None:
    langs = ["zh-Hant-TW", "ace_Arab", "ko-KR", "fin", "sr-Latn", "und"]
    records = [{**GOOD, "id": str(n), "lang": lang} for n, lang in enumerate(langs)]
    found = [record.lang for record in read(make_recipe(tmp_path, lines(*records)))]
    assert found == ["zh-Hant", "ace-Arab", "ko", "fi", "sr", "und"]


BAD = [
    ("not JSON", "{oops", r"not JSON"),
    ("not an object", "[1]", r"not a JSON object"),
    ("no text", {"id": "1", "lang": "en"}, r"no field 'text'"),
    ("no id", {"text": "x", "lang": "en"}, r"no field 'id'"),
    ("no lang", {"id": "9", "text": "x"}, r"no field 'lang'"),
    ("empty text", {**GOOD, "id": "9", "text": " "}, r"'text' is empty"),
    ("text no text", {**GOOD, "id": "9", "text": 5}, r"'text' is int, not text"),
    ("title no text", {**GOOD, "id": "9", "title": []}, r"'title' is list"),
    ("unknown language", {**GOOD, "id": "9", "lang": "klingon"}, r"unknown language 'klingon'"),
    ("repeated id", GOOD, r"the id '1' is repeated"),
]


@pytest.mark.parametrize(("cause", "bad", "words"), BAD, ids=[cause for cause, _, _ in BAD])
def test_an_invalid_record_is_reported_by_its_line_with_the_way_out(
    tmp_path: Path, cause: str, bad: object, words: str
) -> None:
    recipe = make_recipe(tmp_path, lines(GOOD, bad))
    with pytest.raises(InputError, match=rf"data\.jsonl:2: .*{words}.*--on-error skip"):
        read(recipe)


@pytest.mark.parametrize(("cause", "bad", "words"), BAD, ids=[cause for cause, _, _ in BAD])
def test_an_invalid_record_can_be_skipped_and_is_counted(tmp_path: Path, cause: str, bad: object, words: str) -> None:
    skipped: Counter[str] = Counter()
    records = read(make_recipe(tmp_path, lines(GOOD, bad, {**GOOD, "id": "3"})), skipped)
    assert [record.record_id for record in records] == ["1", "3"]
    assert skipped == {cause: 1}


def test_bytes_that_are_not_utf8_are_reported_by_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r":2: not UTF-8"):
        read(make_recipe(tmp_path, lines(GOOD).encode() + b'{"id": "\xff"}\n'))


def test_a_lone_surrogate_does_not_stop_the_reading(tmp_path: Path) -> None:
    assert read(make_recipe(tmp_path, '{"id": "1", "text": "a\\ud800b", "lang": "en"}\n'))[0].text == "a\ufffdb"


def test_a_path_without_files_is_reported(tmp_path: Path) -> None:
    recipe = make_recipe(tmp_path, lines(GOOD), source={"path": str(tmp_path / "*.nothing")})
    with pytest.raises(ConfigError, match=r"no file at source path '.*\.nothing'"):
        read(recipe)


def test_paths_are_relative_to_the_recipe(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("source: {kind: jsonl, path: ./a.jsonl}\nencoder: {model: ./enc}\n")
    recipe = load(tmp_path / "mine.yaml")
    assert recipe.source.path == [str(tmp_path / "a.jsonl")]
    assert (recipe.name, recipe.encoder.model) == ("mine", str(tmp_path / "enc"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("sourc: {}\nencoder: {model: m}", "unknown key 'sourc'; did you mean 'source'"),
        ("source: {kind: jsonl, pth: x}\nencoder: {model: m}", "unknown key 'pth'; did you mean 'path'"),
        (
            "source: {kind: jsonl, path: x, fields: {txt: t}}\nencoder: {model: m}",
            "unknown key 'txt'; did you mean 'text'",
        ),
        ("source: {kind: csv, path: x}\nencoder: {model: m}", "`source.kind: 'csv'`"),
        ("source: {kind: jsonl, path: x}", "`encoder:` is missing"),
        ("source: {kind: jsonl, path: x}\nencoder: {model: m}\nlang: elvish", "`lang: 'elvish'`: unknown language"),
        ("source: {kind: jsonl, path: x, 5: y}\nencoder: {model: m}", "the key 5 is int, not text"),
        ("source: {kind: jsonl, path: x}\nencoder: {model: m}\nname: ../up", "`name: '../up'`"),
    ],
)
def test_an_invalid_recipe_is_explained(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(ConfigError, match=rf"mine\.yaml: .*{re.escape(words)}"):
        load(tmp_path / "mine.yaml")


def test_brackets_are_a_pattern_in_paths_but_not_in_the_recipe_s_folder(tmp_path: Path) -> None:
    folder = tmp_path / "data [v1]"
    folder.mkdir()
    for name in ("a1", "a2", "b1"):
        (folder / f"{name}.jsonl").write_text(lines({**GOOD, "id": name}))
    (folder / "mine.yaml").write_text("source: {kind: jsonl, path: './a[12].jsonl'}\nencoder: {model: m}\n")
    assert [record.record_id for record in read(load(folder / "mine.yaml"))] == ["a1", "a2"]


def test_a_folder_as_source_is_refused_with_the_way_out(tmp_path: Path) -> None:
    recipe = make_recipe(tmp_path, lines(GOOD), source={"path": str(tmp_path)})
    with pytest.raises(ConfigError, match=r"no file at source path .*folder/\*\.jsonl"):
        read(recipe)


def test_gzipped_lines_are_read(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl.gz").write_bytes(gzip.compress(lines(GOOD, {**GOOD, "id": "2"}).encode()))
    recipe = make_recipe(tmp_path, "", source={"path": str(tmp_path / "x.jsonl.gz")})
    assert [record.record_id for record in read(recipe)] == ["1", "2"]


def test_a_truncated_gzip_file_is_reported_by_name(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl.gz").write_bytes(gzip.compress(lines(GOOD).encode() * 100)[:-20])
    recipe = make_recipe(tmp_path, "", source={"path": str(tmp_path / "x.jsonl.gz")})
    with pytest.raises(InputError, match=r"x\.jsonl\.gz: not a complete gzip file"):
        read(recipe, Counter())


def test_passages_of_dpr_are_read(tmp_path: Path) -> None:
    content = 'id\ttext\ttitle\n1\t"Aaron ( or ; ""Ahärôn"") is a prophet"\tAaron\n2\tHe said "no".\t"Heroes" (song)\n'
    (tmp_path / "psgs.tsv.gz").write_bytes(gzip.compress(content.encode()))
    recipe = make_recipe(tmp_path, "", kind="tsv", lang="en", source={"path": str(tmp_path / "psgs.tsv.gz")})
    assert read(recipe) == [
        ("1", "Aaron", 'Aaron ( or ; "Ahärôn") is a prophet', "en"),
        ("2", '"Heroes" (song)', 'He said "no".', "en"),
    ]


@pytest.mark.parametrize("open_writer", [pa.ipc.new_file, pa.ipc.new_stream])
def test_arrow_files_and_streams_are_read(tmp_path: Path, open_writer: Any) -> None:
    table = pa.table({"id": ["1", "2", "3"], "text": ["a", "b", "c"], "lang": ["en", "ko", "fi"], "more": [1, 2, 3]})
    with open_writer(tmp_path / "data.arrow", table.schema) as writer:
        writer.write_table(table, max_chunksize=2)
    recipe = make_recipe(tmp_path, (tmp_path / "data.arrow").read_bytes(), kind="arrow")
    assert [(record.record_id, record.lang) for record in read(recipe)] == [("1", "en"), ("2", "ko"), ("3", "fi")]


def test_a_file_that_is_not_arrow_is_reported_by_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"data\.arrow: not an Arrow IPC file"):
        read(make_recipe(tmp_path, "nonsense, and some more of it", kind="arrow"))


def test_the_kilt_knowledge_source_is_read(tmp_path: Path) -> None:
    page = {"_id": "12", "wikipedia_id": "12", "wikipedia_title": "Turku", "text": ["Turku\n", "A city.\n"]}
    skipped: Counter[str] = Counter()
    bad = [{**page, "wikipedia_id": "13", "text": "A city."}, {**page, "wikipedia_id": "14", "text": ["Turku"]}]
    assert read(make_recipe(tmp_path, lines(page, *bad), kind="kilt", lang="en"), skipped) == [
        ("12", "Turku", "A city.", "en")
    ]
    assert skipped == {"no paragraphs": 1, "no sentence left": 1}


def test_a_record_that_is_empty_after_cleaning_is_counted_and_no_error(tmp_path: Path) -> None:
    recipe = make_recipe(
        tmp_path, lines({**GOOD, "text": "Anna\nBertil"}, {**GOOD, "id": "2", "text": "Anna is a mayor."})
    )
    recipe = recipe.model_copy(update={"source": recipe.source.model_copy(update={"clean": True})})
    reader = SourceReader(recipe, listing.files(recipe), on_error="stop")
    assert [record.record_id for record in reader] == ["2"]
    assert reader.drain_summary().skipped == {"no sentence left": 1}


@pytest.mark.parametrize("kind", ["jsonl", "jsonl.gz", "tsv", "parquet", "arrow", "stream.arrow"])
@pytest.mark.parametrize("taken", [0, 1, 4, 9, 10])
def test_reading_resumes_from_any_position(tmp_path: Path, kind: str, taken: int) -> None:
    recipe = two_files(tmp_path, kind)
    reader = SourceReader(recipe, listing.files(recipe), on_error="stop")
    whole = iter(reader)
    ids = [next(whole).record_id for _ in range(taken)]
    rest = SourceReader(recipe, listing.files(recipe), on_error="stop", start=reader.position)
    assert ids + [record.record_id for record in rest] == [str(n) for n in range(10)]
    assert rest.share == 1.0


def two_files(folder: Path, kind: str) -> Recipe:
    for part in (0, 1):
        ids = [str(n) for n in range(5 * part, 5 * part + 5)]
        table = pa.table({"id": ids, "text": ["Some text."] * 5})
        path = folder / f"{part}.{kind}"
        if kind == "parquet":
            pq.write_table(table, path, row_group_size=2)
        elif kind.endswith("arrow"):
            with (pa.ipc.new_stream if "stream" in kind else pa.ipc.new_file)(path, table.schema) as writer:
                writer.write_table(table, max_chunksize=3)
        elif kind == "tsv":
            path.write_text("id\ttext\n" + "".join(f"{n}\tSome text.\n" for n in ids))
        else:
            content = "\n" + lines(*({"id": n, "text": "Some text."} for n in ids))
            path.write_bytes(gzip.compress(content.encode()) if kind.endswith("gz") else content.encode())
    short = kind.split(".")[-1] if kind.endswith("arrow") else kind.split(".")[0]
    source = {"kind": short, "path": [str(folder / f"*.{kind}")]}
    return Recipe(name="r", source=source, lang="en", encoder={"model": "m"})  # type: ignore[arg-type]


READ_FROM_HUB = """\
import json, sys
from pathlib import Path
from qttrag.indexes.recipe import Recipe
from qttrag.indexes.sources import listing
from qttrag.indexes.sources.records import SourcePosition, SourceReader
folder = Path(sys.argv[2])
recipe = Recipe(**json.loads(sys.argv[1]))
records = []
start = SourcePosition(*json.loads(sys.argv[3]))
for record in SourceReader(recipe, listing.files(recipe), on_error="stop", downloads=folder, start=start):
    records.append([record.record_id, sorted(path.name for path in folder.rglob("*.parquet"))])
print(json.dumps([records, [path.name for path in folder.rglob("*.parquet")]]))
"""


def from_hub(
    folder: Path, hub: Hub, *, start: tuple[int, int] = (0, 0), **source: Any
) -> subprocess.CompletedProcess[str]:
    """Read a source of the hub in another process, because the hub's library reads its settings when imported."""
    settings = {"kind": "hub", "dataset": "acme/wiki", "path": "2023.ko/*.parquet", **source}
    recipe = {"name": "r", "source": settings, "lang": "ko", "encoder": {"model": "m"}}
    environment = {**os.environ, "HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "0", "HF_HOME": str(folder / "hf")}
    command = [sys.executable, "-c", READ_FROM_HUB, json.dumps(recipe), str(folder / "downloads"), json.dumps(start)]
    return subprocess.run(command, env=environment, capture_output=True, text=True)


@pytest.fixture
def wiki(tmp_path: Path) -> Iterator[Hub]:
    for name, ids in {"2023.ko/a.parquet": ["1", "2"], "2023.ko/b.parquet": ["3"], "2023.fi/a.parquet": ["9"]}.items():
        path = tmp_path / "repository" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table({"id": ids, "url": ["u"] * len(ids), "text": ["Text."] * len(ids)}), path)
    with DatasetHub() as hub:
        yield hub


def test_a_data_set_of_the_hub_is_downloaded_file_by_file(tmp_path: Path, wiki: Hub) -> None:
    commit = wiki.push("acme/wiki", tmp_path / "repository")
    done = from_hub(tmp_path, wiki, revision=commit)
    assert json.loads(done.stdout) == [[["1", ["a.parquet"]], ["2", ["a.parquet"]], ["3", ["b.parquet"]]], []]
    assert {path.rpartition("/")[2] for path in wiki.asked if "/resolve/" in path} == {"a.parquet", "b.parquet"}
    assert not any("2023.fi" in path for path in wiki.asked)


def test_resuming_a_data_set_at_a_pinned_commit_skips_files_that_were_read(tmp_path: Path, wiki: Hub) -> None:
    commit = wiki.push("acme/wiki", tmp_path / "repository")
    wiki.push("acme/wiki", tmp_path / "nothing")
    done = from_hub(tmp_path, wiki, revision=commit, start=(1, 0))
    assert [record_id for record_id, _ in json.loads(done.stdout)[0]] == ["3"]
    assert {path.rpartition("/")[2] for path in wiki.asked if "/resolve/" in path} == {"b.parquet"}


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ({"path": "2023.xx/*.parquet"}, r"data set 'acme/wiki' has no file '2023.xx/\*.parquet' among its 3"),
        ({"dataset": "acme/none"}, r"the hub did not list data set 'acme/none' .*check `dataset:`"),
    ],
)
def test_a_missing_data_set_is_reported_by_name(tmp_path: Path, wiki: Hub, source: dict[str, Any], words: str) -> None:
    wiki.push("acme/wiki", tmp_path / "repository")
    assert re.search(words, from_hub(tmp_path, wiki, **source).stderr.replace("\n", " "))
