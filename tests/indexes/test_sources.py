from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from qttrag.errors import ConfigError, InputError
from qttrag.indexes.recipe import Recipe, load
from qttrag.indexes.sources import Record, records

GOOD = {"id": "1", "title": "T", "text": "Some text.", "lang": "en"}


def recipe(folder: Path, content: bytes | str, *, kind: str = "jsonl", **more: Any) -> Recipe:
    (folder / f"data.{kind}").write_bytes(content.encode() if isinstance(content, str) else content)
    source = {"kind": kind, "path": str(folder / f"data.{kind}"), **more.pop("source", {})}
    return Recipe(name="r", source={**source, "path": [source["path"]]}, encoder={"model": "m"}, **more)  # type: ignore[arg-type]


def read(made: Recipe, skipped: Counter[str] | None = None) -> list[Record]:
    on_error = "stop" if skipped is None else "skip"
    return list(records(made, on_error=on_error, skipped=Counter() if skipped is None else skipped))  # type: ignore[arg-type]


def lines(*rows: object) -> str:
    return "".join((row if isinstance(row, str) else json.dumps(row, ensure_ascii=False)) + "\n" for row in rows)


def test_jsonl_is_read_in_order(tmp_path: Path) -> None:
    found = read(recipe(tmp_path, lines(GOOD, {**GOOD, "id": 2, "lang": "Korean"})))
    assert [(r.record_id, r.lang) for r in found] == [("1", "en"), ("2", "ko")]


def test_field_names_can_be_given(tmp_path: Path) -> None:
    row = {"pid": "1", "contents": "Text.", "name": "T", "language": "fin_Latn"}
    fields = {"id": "pid", "text": "contents", "title": "name", "lang": "language"}
    (record,) = read(recipe(tmp_path, lines(row), source={"fields": fields}))
    assert record == ("1", "T", "Text.", "fi")


def test_a_title_may_be_missing_and_a_fixed_language_replaces_the_field(tmp_path: Path) -> None:
    assert read(recipe(tmp_path, lines({"id": "1", "text": "x"}), lang="ko"))[0] == ("1", "", "x", "ko")


def test_a_byte_order_mark_and_windows_line_ends_are_no_text(tmp_path: Path) -> None:
    content = b"\xef\xbb\xbf" + lines(GOOD).encode().replace(b"\n", b"\r\n")
    assert read(recipe(tmp_path, content))[0].text == "Some text."


def test_tsv_has_id_text_and_perhaps_title(tmp_path: Path) -> None:
    made = recipe(tmp_path, "a\tText one.\tTitle\nb\tText two.\n", kind="tsv", lang="en")
    assert read(made) == [("a", "Title", "Text one.", "en"), ("b", "", "Text two.", "en")]


def test_parquet_is_read(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": [1, 2], "text": ["a", "b"], "lang": ["en", "ko"]}), tmp_path / "x.parquet")
    made = recipe(tmp_path, "", kind="tsv").model_copy(update={"source": recipe_source(tmp_path / "x.parquet")})
    assert [record.record_id for record in read(made)] == ["1", "2"]


def recipe_source(path: Path) -> Any:
    from qttrag.indexes.recipe import Source

    return Source(kind="parquet", path=[str(path)])


def test_a_file_that_is_no_parquet_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"data\.parquet: not a Parquet file"):
        read(recipe(tmp_path, "nonsense", kind="parquet"))


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
    ("repeated id", GOOD, r"the id '1' was there before"),
]


@pytest.mark.parametrize(("cause", "bad", "words"), BAD, ids=[cause for cause, _, _ in BAD])
def test_a_bad_record_is_named_by_its_line_with_the_way_out(
    tmp_path: Path, cause: str, bad: object, words: str
) -> None:
    made = recipe(tmp_path, lines(GOOD, bad))
    with pytest.raises(InputError, match=rf"data\.jsonl:2: .*{words}.*--on-error skip"):
        read(made)


@pytest.mark.parametrize(("cause", "bad", "words"), BAD, ids=[cause for cause, _, _ in BAD])
def test_a_bad_record_can_be_skipped_and_is_counted(tmp_path: Path, cause: str, bad: object, words: str) -> None:
    skipped: Counter[str] = Counter()
    found = read(recipe(tmp_path, lines(GOOD, bad, {**GOOD, "id": "3"})), skipped)
    assert [record.record_id for record in found] == ["1", "3"]
    assert skipped == {cause: 1}


def test_bytes_that_are_not_utf8_are_named_by_their_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r":2: not UTF-8"):
        read(recipe(tmp_path, lines(GOOD).encode() + b'{"id": "\xff"}\n'))


def test_a_lone_surrogate_does_not_stop_the_reading(tmp_path: Path) -> None:
    assert read(recipe(tmp_path, '{"id": "1", "text": "a\\ud800b", "lang": "en"}\n'))[0].text == "a?b"


def test_a_path_without_files_is_named(tmp_path: Path) -> None:
    made = recipe(tmp_path, lines(GOOD), source={"path": str(tmp_path / "*.nothing")})
    with pytest.raises(ConfigError, match=r"no file at source path '.*\.nothing'"):
        read(made)


def test_a_recipe_s_paths_are_beside_it(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("source: {kind: jsonl, path: ./a.jsonl}\nencoder: {model: ./enc}\n")
    made = load(tmp_path / "mine.yaml")
    assert made.source.path == [str(tmp_path / "a.jsonl")]
    assert (made.name, made.encoder.model) == ("mine", str(tmp_path / "enc"))


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
def test_a_wrong_recipe_is_explained(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(ConfigError, match=rf"mine\.yaml: .*{re.escape(words)}"):
        load(tmp_path / "mine.yaml")


def test_brackets_in_the_recipe_s_folder_are_no_pattern_and_those_in_its_paths_are(tmp_path: Path) -> None:
    folder = tmp_path / "data [v1]"
    folder.mkdir()
    for name in ("a1", "a2", "b1"):
        (folder / f"{name}.jsonl").write_text(lines({**GOOD, "id": name}))
    (folder / "mine.yaml").write_text("source: {kind: jsonl, path: './a[12].jsonl'}\nencoder: {model: m}\n")
    assert [record.record_id for record in read(load(folder / "mine.yaml"))] == ["a1", "a2"]


def test_a_source_that_is_a_folder_is_told_to_name_its_files(tmp_path: Path) -> None:
    made = recipe(tmp_path, lines(GOOD), source={"path": str(tmp_path)})
    with pytest.raises(ConfigError, match=r"no file at source path .*folder/\*\.jsonl"):
        read(made)
