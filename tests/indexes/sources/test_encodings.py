"""Byte order marks, line ends, encodings, control characters and lone surrogates in source files."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from qttrag.errors import InputError
from qttrag.indexes.sources import listing
from qttrag.indexes.sources.lines import lines
from qttrag.indexes.sources.records import SourceReader
from qttrag.indexes.sources.rows import BadRecord
from tests.indexes.sources.test_records import GOOD, make_recipe, read
from tests.indexes.sources.test_records import lines as jsonl

BOM = "\ufeff"


@pytest.mark.parametrize("kind", ["jsonl", "tsv", "kilt"])
def test_byte_order_marks_of_concatenated_files_are_dropped(tmp_path: Path, kind: str) -> None:
    one, two = {
        "jsonl": (jsonl(GOOD), jsonl({**GOOD, "id": "2"})),
        "tsv": ("1\tone\n", "2\ttwo\n"),
        "kilt": (jsonl({"_id": 1, "text": ["One."]}), jsonl({"_id": 2, "text": ["Two."]})),
    }[kind]
    records = read(make_recipe(tmp_path, BOM + one + BOM + two, kind=kind, lang="en"))
    assert [record.record_id for record in records] == ["1", "2"]


def test_byte_order_marks_in_cells_are_dropped(tmp_path: Path) -> None:
    row = {"id": f"{BOM}1", "text": f" {BOM}Text.", "title": BOM}
    assert read(make_recipe(tmp_path, jsonl(row), lang="en")) == [("1", "", "Text.", "en")]


@pytest.mark.parametrize("kind", ["jsonl", "tsv"])
def test_lines_may_end_in_lf_cr_lf_and_cr(tmp_path: Path, kind: str) -> None:
    rows = {"jsonl": jsonl(*({**GOOD, "id": n} for n in range(4))), "tsv": "0\ta\n1\tb\n2\tc\n3\td\n"}[
        kind
    ].splitlines()
    content = f"{rows[0]}\r\n{rows[1]}\r{rows[2]}\n{rows[3]}"
    assert [record.record_id for record in read(make_recipe(tmp_path, content, kind=kind, lang="en"))] == list("0123")


def test_separators_that_are_no_line_ends_stay_in_the_text(tmp_path: Path) -> None:
    text = "one\u2028two\x85three\x0bfour"
    assert read(make_recipe(tmp_path, f"1\t{text}\n", kind="tsv", lang="en"))[0].text == text


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("id\ttext\n1\tx\n".encode("utf-16"), r"data\.tsv: UTF-16; save it as UTF-8, e\.g\. with `iconv"),
        ("id\ttext\n1\tx\n".encode("utf-16-le"), r"data\.tsv: UTF-16 or no text at all"),
        (gzip.compress(b"1\tx\n", mtime=0), r"data\.tsv: compressed by gzip; let its name end in \.gz"),
        (b"PAR1....", r"data\.tsv: a Parquet file; use `kind: parquet`"),
        ("id\ttext\n1\tcafé\n".encode("cp1252"), r"data\.tsv:2: not UTF-8 .*0xe9 at byte 5.*iconv -f WINDOWS-1252"),
    ],
)
def test_a_file_that_is_not_utf8_is_refused_with_the_way_out(tmp_path: Path, content: bytes, words: str) -> None:
    with pytest.raises(InputError, match=words):
        read(make_recipe(tmp_path, content, kind="tsv", lang="en"))


def test_an_endless_line_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_bytes(b"a" * (1 << 26))
    with pytest.raises(InputError, match=r"x\.jsonl:1: a line of more than 64 million"):
        list(lines(tmp_path / "x.jsonl", "x.jsonl"))


def test_a_file_that_cannot_be_read_is_refused_by_name(tmp_path: Path) -> None:
    recipe = make_recipe(tmp_path, jsonl(GOOD))
    files = listing.files(recipe)
    (tmp_path / "data.jsonl").unlink()
    with pytest.raises(InputError, match=r"data\.jsonl: cannot be read \(No such file"):
        list(SourceReader(recipe, files, on_error="stop"))


def summary(recipe: Any) -> tuple[list[str], Counter[str], Counter[str]]:
    reader = SourceReader(recipe, listing.files(recipe), on_error="skip")
    texts = [record.text for record in reader]
    _, skipped, repaired = reader.drain_summary()
    return texts, skipped, repaired


def test_control_characters_and_lone_surrogates_are_replaced_and_counted(tmp_path: Path) -> None:
    content = jsonl(
        GOOD,
        '{"id": "2", "text": "a\\u0000b \\ud83d", "title": "\\udfff", "lang": "en"}',
        '{"id": "3", "text": "\\ud83d\\ude00", "lang": "en"}',
        {**GOOD, "id": "4", "text": "tab\tand\x0cfeed"},
    )
    texts, skipped, repaired = summary(make_recipe(tmp_path, content))
    assert texts == ["Some text.", "a b \ufffd", "😀", "tab\tand\x0cfeed"]
    assert (skipped, repaired) == (Counter(), {"control characters": 1, "lone surrogates": 1})


def test_a_text_of_control_characters_alone_is_empty(tmp_path: Path) -> None:
    content = '{"id": "1", "text": "\\u0000\\u0007 ", "lang": "en"}\n'
    with pytest.raises(InputError, match=r":1: field 'text' is empty"):
        read(make_recipe(tmp_path, content))


@pytest.mark.parametrize("record_id", ["a\\ud800", "a\\nb", "a\\u0000", "a\\u2028b"])
def test_an_id_with_characters_that_nobody_can_type_is_refused(tmp_path: Path, record_id: str) -> None:
    with pytest.raises(InputError, match=r":1: the id 'a.* has line breaks, control characters or lone surrogates"):
        read(make_recipe(tmp_path, f'{{"id": "{record_id}", "text": "x", "lang": "en"}}\n'))


@pytest.mark.parametrize("value", [1.0, True, None, ["1"], {"a": 1}])
def test_an_id_of_another_type_is_refused(tmp_path: Path, value: object) -> None:
    with pytest.raises(InputError, match=r"data\.jsonl:1: .*field 'id'"):
        read(make_recipe(tmp_path, jsonl({**GOOD, "id": value})))


@pytest.mark.parametrize("content", [b"", b"\n \n", b"\xef\xbb\xbf"])
def test_an_empty_file_among_others_is_counted(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.jsonl").write_bytes(content)
    recipe = make_recipe(tmp_path, jsonl(GOOD), source={"path": str(tmp_path / "*.jsonl")})
    assert summary(recipe) == (["Some text."], {"empty file": 1}, Counter())


def test_a_column_that_is_not_utf8_is_refused_by_row(tmp_path: Path) -> None:
    texts = pa.Array.from_buffers(
        pa.string(), 3, [None, pa.array([0, 1, 3, 4], pa.int32()).buffers()[1], pa.py_buffer(b"a\xff\xfeb")]
    )
    table = pa.table({"id": ["1", "2", "3"], "text": texts})
    with pa.ipc.new_file(tmp_path / "t.arrow", table.schema) as writer:
        writer.write_table(table)
    recipe = make_recipe(tmp_path, (tmp_path / "t.arrow").read_bytes(), kind="arrow", lang="en")
    with pytest.raises(BadRecord, match=r"data\.arrow: row 2: not UTF-8 \(invalid start byte, 0xff at byte 0\)"):
        read(recipe)
    assert summary(recipe)[:2] == (["a", "b"], {"not UTF-8": 1})


def test_hostile_json_is_refused_by_line(tmp_path: Path) -> None:
    for line in ("[" * 100_000, '{"id": ' + "9" * 5000 + "}", '{"id": "1", "text": "raw \x00"}'):
        with pytest.raises(InputError, match=r"data\.jsonl:2: not JSON"):
            read(make_recipe(tmp_path, jsonl(GOOD) + line + "\n"))


def test_json_says_that_a_number_is_no_text(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r":1: field 'text' is float, not text"):
        read(make_recipe(tmp_path, json.dumps({**GOOD, "text": float("nan")})))
