"""Reading documents of every type, and refusing hostile ones by name."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from qttrag.documents.document import Block, Document, DocumentError
from qttrag.documents.limits import DocumentLimits
from qttrag.documents.reader import DocumentReader
from tests.documents import sample_files

LIMITS = DocumentLimits(max_characters=20_000, max_pages=20, seconds=20)


@pytest.fixture(scope="module")
def reader() -> Iterator[DocumentReader]:
    with DocumentReader(LIMITS) as reader:
        yield reader


def read(reader: DocumentReader, folder: Path, name: str, content: bytes) -> Document:
    path = folder / name
    path.write_bytes(content)
    return reader.read(path)


def error(reader: DocumentReader, folder: Path, name: str, content: bytes) -> DocumentError:
    with pytest.raises(DocumentError) as raised:
        read(reader, folder, name, content)
    return raised.value


def test_a_pdf_has_pages_and_headings_by_size(reader: DocumentReader, tmp_path: Path) -> None:
    pages = [[(24, "Annual report"), (12, "Revenue was high."), (12, "More of it.")], [(16, "Costs"), (12, "Low.")]]
    document = read(reader, tmp_path, "a.pdf", sample_files.pdf(pages))
    assert document.pages == 2
    assert document.blocks == [
        Block("Annual report", 1, 1),
        Block("Revenue was high.\nMore of it.", 0, 1),
        Block("Costs", 2, 2),
        Block("Low.", 0, 2),
    ]


def test_running_titles_and_page_numbers_of_a_pdf_are_left_out(reader: DocumentReader, tmp_path: Path) -> None:
    pages = [[(12, "The handbook"), (12, f"Text number {n} {n * 'x'}."), (12, f"Page {n} of 5")] for n in range(1, 6)]
    document = read(reader, tmp_path, "a.pdf", sample_files.pdf(pages))
    assert [block.text for block in document.blocks] == [f"Text number {n} {n * 'x'}." for n in range(1, 6)]


def test_dots_between_a_title_and_its_page_are_left_out(reader: DocumentReader, tmp_path: Path) -> None:
    document = read(reader, tmp_path, "a.pdf", sample_files.pdf([[(12, "Utilities . . . . . . . . . 5")]]))
    assert document.blocks == [Block("Utilities  5", 0, 1)]


def test_pages_of_a_pdf_that_are_images_are_counted(reader: DocumentReader, tmp_path: Path) -> None:
    document = read(reader, tmp_path, "a.pdf", sample_files.pdf([[(12, "Text.")], [], []]))
    assert document.pages_without_text == 2


def test_a_scanned_pdf_says_that_its_text_must_be_recognised(reader: DocumentReader, tmp_path: Path) -> None:
    failed = error(reader, tmp_path, "a.pdf", sample_files.pdf([[]]))
    assert failed.code == "no_text"
    assert "OCR" in str(failed)


def test_a_word_document_has_headings_and_rows_of_tables(reader: DocumentReader, tmp_path: Path) -> None:
    content = sample_files.docx("Report", {"Finance": ["Revenue rose."]}, [["Year", "Sum"], ["2023", "3"]])
    document = read(reader, tmp_path, "a.docx", content)
    assert document.blocks == [
        Block("Report", 1),
        Block("Finance", 2),
        Block("Revenue rose."),
        Block("Year | Sum"),
        Block("2023 | 3"),
    ]


def test_slides_are_pages_with_their_titles_and_notes(reader: DocumentReader, tmp_path: Path) -> None:
    content = sample_files.pptx([("Plan", "Build a bridge."), ("Cost", "Much.")], notes="Speak slowly.")
    document = read(reader, tmp_path, "a.pptx", content)
    assert document.pages == 2
    assert document.blocks[:3] == [Block("Plan", 1, 1), Block("Build a bridge.", 0, 1), Block("Speak slowly.", 0, 1)]
    assert document.blocks[3] == Block("Cost", 1, 2)


def test_rows_of_a_workbook_name_their_columns(reader: DocumentReader, tmp_path: Path) -> None:
    content = sample_files.xlsx({"People": [["Name", "Age"], ["Kim", 33], ["Aino", ""]]})
    document = read(reader, tmp_path, "a.xlsx", content)
    assert document.blocks[0].text == "People"
    assert [block.text for block in document.blocks[1:]] == ["Name: Kim; Age: 33", "Name: Aino"]


def test_a_web_page_is_read_without_navigation_and_scripts(reader: DocumentReader, tmp_path: Path) -> None:
    page = (
        "<html><head><title>My page</title><script>x()</script></head><body><nav>menu</nav><h1>Bridge</h1>"
        "<p>It was <b>opened</b><!-- no --> in 1903.</p><table><tr><td>a</td><td>b</td></tr></table>"
        "<footer>imprint</footer></body></html>"
    )
    document = read(reader, tmp_path, "a.html", page.encode())
    assert document.title == "My page"
    assert document.blocks == [Block("Bridge", 1), Block("It was opened in 1903."), Block("a | b")]


def test_a_web_page_says_its_encoding(reader: DocumentReader, tmp_path: Path) -> None:
    page = '<html><head><meta charset="euc-kr"></head><body><p>서울은 대한민국의 수도이다.</p></body></html>'
    document = read(reader, tmp_path, "a.html", page.encode("euc-kr"))
    assert document.blocks == [Block("서울은 대한민국의 수도이다.")]


def test_a_book_is_read_in_the_order_of_its_pages(reader: DocumentReader, tmp_path: Path) -> None:
    content = sample_files.epub("Sea", ["<h1>One</h1><p>Call me.</p>", "<h1>Two</h1><p>Some years ago.</p>"])
    document = read(reader, tmp_path, "a.epub", content)
    assert document.title == "Sea"
    assert [block.text for block in document.blocks] == ["One", "Call me.", "Two", "Some years ago."]


def test_markdown_is_read_without_its_marks(reader: DocumentReader, tmp_path: Path) -> None:
    text = "---\ntitle: Notes\n---\n# Head\n\nText *with* a [link](http://x).\n\n| a | b |\n|---|---|\n| 1 | 2 |\n"
    document = read(reader, tmp_path, "a.md", text.encode())
    assert document.title == "Notes"
    assert document.blocks == [Block("Head", 1), Block("Text with a link."), Block("a | b"), Block("1 | 2")]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp949"])
def test_text_is_read_in_the_encoding_of_its_bytes(reader: DocumentReader, tmp_path: Path, encoding: str) -> None:
    text = "첫 문단입니다. 서울은 대한민국의 수도이다.\n\n둘째 문단은 여기에서 시작합니다."
    document = read(reader, tmp_path, "a.txt", text.encode(encoding))
    assert [block.text for block in document.blocks] == text.split("\n\n")


@pytest.mark.parametrize(("kind", "body"), [("text/plain", "At noon."), ("text/html", "<p>At <b>noon</b>.</p>")])
def test_a_message_has_its_subject_people_and_body(
    reader: DocumentReader, tmp_path: Path, kind: str, body: str
) -> None:
    document = read(reader, tmp_path, "a.eml", sample_files.email("Lunch", body, kind=kind))
    assert document.title == "Lunch"
    assert "Aino <aino@example.org>" in document.blocks[1].text
    assert document.blocks[2].text.strip() == "At noon."


@pytest.mark.parametrize("name", sample_files.hostile())
def test_a_hostile_file_has_a_named_error(reader: DocumentReader, tmp_path: Path, name: str) -> None:
    content, codes = sample_files.hostile()[name]
    failed = error(reader, tmp_path, name, content)
    assert failed.code in codes, failed
    assert str(tmp_path) not in str(failed)


def test_a_file_beyond_a_limit_is_refused(reader: DocumentReader, tmp_path: Path) -> None:
    assert error(reader, tmp_path, "a.txt", b"word " * 5000).code == "too_large"
    many = sample_files.pdf([[(12, "Text.")] for _ in range(21)])
    assert error(reader, tmp_path, "a.pdf", many).code == "too_many_pages"


def test_a_file_that_takes_too_long_ends_with_its_process(tmp_path: Path) -> None:
    rows = "".join(f"<tr><td>{n}</td></tr>" for n in range(400_000))
    with DocumentReader(DocumentLimits(seconds=1)) as reader:
        assert error(reader, tmp_path, "a.html", f"<table>{rows}</table>".encode()).code == "too_slow"
        assert read(reader, tmp_path, "b.txt", b"The next file is read.").blocks


def test_a_file_that_takes_too_much_memory_has_a_named_error(tmp_path: Path) -> None:
    with DocumentReader(DocumentLimits(memory_bytes=250_000_000)) as reader:
        failed = error(reader, tmp_path, "a.txt", b"\n\n".join([b"word"] * 2_000_000))
    assert failed.code in ("out_of_memory", "crashed")


def test_reading_starts_again_after_its_process_was_killed(tmp_path: Path) -> None:
    with DocumentReader(LIMITS) as reader:
        read(reader, tmp_path, "a.txt", b"One.")
        assert reader._process is not None
        os.kill(reader._process.pid, 9)
        assert error(reader, tmp_path, "a.txt", b"One.").code == "crashed"
        assert read(reader, tmp_path, "a.txt", b"Two.").blocks == [Block("Two.")]


def test_the_process_that_reads_has_none_of_the_secrets(
    reader: DocumentReader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    with DocumentReader(LIMITS) as fresh:
        read(fresh, tmp_path, "a.txt", b"One.")
        assert fresh._process is not None
        environment = Path(f"/proc/{fresh._process.pid}/environ").read_bytes()
    assert b"secret" not in environment
