"""Tab-separated values: files with quoted cells, files without quoting, headers."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qttrag.errors import InputError
from qttrag.indexes.recipe import Fields
from qttrag.indexes.sources import tsv
from qttrag.indexes.sources.lines import Line
from qttrag.indexes.sources.records import SourceRecord
from tests.indexes.sources.test_records import make_recipe, read


def records(folder: Path, content: str, **more: Any) -> list[SourceRecord]:
    return read(make_recipe(folder, content, kind="tsv", lang="en", **more))


def texts(folder: Path, content: str) -> list[tuple[str, str, str]]:
    return [(record.record_id, record.text, record.title) for record in records(folder, content)]


def test_a_quoted_cell_may_contain_line_breaks_and_tabs(tmp_path: Path) -> None:
    content = 'id\ttext\ttitle\n1\t"One\tline.\n\nAnd ""another""."\tT\n2\tPlain.\tU\n'
    assert texts(tmp_path, content) == [("1", 'One\tline.\n\nAnd "another".', "T"), ("2", "Plain.", "U")]


def test_two_cells_of_a_record_may_contain_line_breaks(tmp_path: Path) -> None:
    assert texts(tmp_path, 'id\ttext\ttitle\n1\t"a\nb"\t"c\nd"\n2\te\tf\n') == [("1", "a\nb", "c\nd"), ("2", "e", "f")]


def test_a_quoted_line_break_in_the_last_column_is_read(tmp_path: Path) -> None:
    assert texts(tmp_path, '1\tone\n2\t"two\nlines"\n3\tthree\n') == [
        ("1", "one", ""),
        ("2", "two\nlines", ""),
        ("3", "three", ""),
    ]


def test_without_quoting_quotation_marks_are_text(tmp_path: Path) -> None:
    content = (
        'id\ttext\ttitle\n1\t"Heroes" is a song.\t"Heroes" (song)\n2\t"We can be us, he sang.\tBowie\n'
        '3\tA disc of 12"\tRecord\n4\tno "quoting" here\tX\n5\t"Open to the end.\tY\n'
    )
    assert texts(tmp_path, content) == [
        ("1", '"Heroes" is a song.', '"Heroes" (song)'),
        ("2", '"We can be us, he sang.', "Bowie"),
        ("3", 'A disc of 12"', "Record"),
        ("4", 'no "quoting" here', "X"),
        ("5", '"Open to the end.', "Y"),
    ]


def test_a_record_that_reads_both_ways_is_refused_by_line_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"data\.tsv:1: a cell begins with .* line 2 .*line of names \(id, text, title"
    ):
        records(tmp_path, '1\t"a\nb"\tT\n')


def test_no_line_of_a_record_that_reads_both_ways_becomes_a_record(tmp_path: Path) -> None:
    skipped: Counter[str] = Counter()
    recipe = make_recipe(tmp_path, '1\t"a\nb"\tT\n2\tc\n', kind="tsv", lang="en")
    assert [record.record_id for record in read(recipe, skipped)] == ["2"]
    assert skipped == {"quotation mark": 1}


def test_a_quoted_cell_that_never_ends_gives_no_false_record(tmp_path: Path) -> None:
    skipped: Counter[str] = Counter()
    recipe = make_recipe(tmp_path, 'id\ttext\ttitle\n1\t"cut off\nhere\n', kind="tsv", lang="en")
    assert [record.text for record in read(recipe, skipped)] == ['"cut off']
    assert skipped == {"columns": 1}


@pytest.mark.parametrize(
    ("header", "line"),
    [("ID\tText\tTitle", "1\tx\ty"), ("title\tid\tTEXT", "y\t1\tx"), ('"Text"\t"Id"\t" title "', "x\t1\ty")],
)
def test_a_header_is_recognised_in_any_case_and_order(tmp_path: Path, header: str, line: str) -> None:
    assert texts(tmp_path, f"\n{header}\n{line}\n") == [("1", "x", "y")]


def test_other_columns_of_a_header_are_ignored_and_a_language_is_read(tmp_path: Path) -> None:
    content = "url\tlang\tid\ttext\nhttp://x\tko\t1\t글\n"
    assert read(make_recipe(tmp_path, content, kind="tsv")) == [("1", "", "글", "ko")]


def test_a_header_may_have_the_names_of_the_recipe(tmp_path: Path) -> None:
    fields = {"id": "key", "text": "Body"}
    assert records(tmp_path, "body\tKEY\ttitle\nx\t1\ty\n", source={"fields": fields}) == [("1", "y", "x", "en")]


def test_a_header_with_a_name_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"data\.tsv:1: two columns are called 'text'"):
        records(tmp_path, "id\ttext\tText\n1\ta\tb\n")


def test_a_text_about_ids_is_no_header(tmp_path: Path) -> None:
    assert texts(tmp_path, "id\tthe text of a card\n") == [("id", "the text of a card", "")]


def test_reading_resumes_after_a_record_of_several_lines(tmp_path: Path) -> None:
    rows = list(tsv.rows(lines('id\ttext\ttitle\n1\t"a\nb"\tT\n2\tc\tU\n'), Fields(), skip=0))
    assert [(row.location, row.number) for row in rows] == [("f:2", 3), ("f:4", 4)]
    rest = tsv.rows(lines('id\ttext\ttitle\n1\t"a\nb"\tT\n2\tc\tU\n'), Fields(), skip=3)
    assert [row.location for row in rest] == ["f:4"]


def lines(content: str) -> Iterator[Line]:
    return iter([Line(f"f:{n}", n, 0.0, text) for n, text in enumerate(content.split("\n"), 1)])


cell = st.text(alphabet='ab"\n,é字 ', min_size=1, max_size=12)


def is_no_blank_line(row: tuple[str, str, str]) -> bool:
    """Blank lines are no records, and neither are lines of white space and tabs."""
    return any(map(str.strip, row))


@given(
    st.lists(st.tuples(cell, cell, cell).filter(is_no_blank_line), max_size=6),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
)
def test_what_a_csv_writer_wrote_is_read_as_it_was(table: list[tuple[str, str, str]], quoting: int) -> None:
    stream = io.StringIO()
    writer = csv.writer(stream, delimiter="\t", lineterminator="\n", quoting=quoting)  # type: ignore[arg-type]
    writer.writerows([("id", "text", "title"), *table])
    assert [tuple(row.cells.values()) for row in tsv.rows(lines(stream.getvalue()), Fields(), skip=0)] == table  # type: ignore[union-attr]


@given(st.lists(st.tuples(*[st.text(alphabet='ab" ', min_size=1, max_size=9)] * 3), max_size=6))
def test_a_file_without_quoting_is_read_line_by_line(table: list[tuple[str, str, str]]) -> None:
    content = "\n".join("\t".join(row) for row in [("id", "text", "title"), *table])
    rows = list(tsv.rows(lines(content), Fields(), skip=0))
    assert [list(row.cells.values()) for row in rows] == [  # type: ignore[union-attr]
        [unquoted(cell) for cell in row] for row in table if "".join(row).strip()
    ]


def unquoted(cell: str) -> str:
    """Return what a cell says if it is quoted on its own; a file without quoting cannot tell."""
    return next(csv.reader([cell]))[0] if re.fullmatch('"([^"]|"")*"', cell) else cell
