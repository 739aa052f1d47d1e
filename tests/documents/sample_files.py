"""Small files of every type, and hostile ones, written by the libraries that people's programs use or by hand."""

from __future__ import annotations

import functools
import io
import os
import zipfile
from collections.abc import Mapping, Sequence

Line = tuple[int, str]  # the size of its type, and its text


def pdf(pages: Sequence[Sequence[Line]], *, catalog: str = "", pages_dict: str = "", trailer: str = "") -> bytes:
    """A PDF file of lines in Latin letters, 20 points apart."""
    objects: dict[int, str] = {}
    kids = [3 + 2 * n for n in range(len(pages))]
    for number, lines in zip(kids, pages, strict=True):
        drawn = " ".join(
            f"/F1 {size} Tf 1 0 0 1 72 {740 - 20 * n} Tm ({text}) Tj" for n, (size, text) in enumerate(lines)
        )
        font = "<< /F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >>"
        box = "/MediaBox [0 0 612 792]"
        objects[number] = (
            f"<< /Type /Page /Parent 2 0 R {box} /Resources << /Font {font} >> /Contents {number + 1} 0 R >>"
        )
        stream = f"BT {drawn} ET" if lines else "q 100 0 0 100 0 0 cm BI /W 1 /H 1 /BPC 8 /CS /G ID 0 EI Q"
        objects[number + 1] = f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream"
    refs = " ".join(f"{number} 0 R" for number in kids)
    objects[1] = f"<< /Type /Catalog /Pages 2 0 R {catalog} >>"
    objects[2] = pages_dict or f"<< /Type /Pages /Kids [{refs}] /Count {len(kids)} >>"
    body, offsets = b"%PDF-1.4\n", dict[int, int]()
    for number, content in sorted(objects.items()):
        offsets[number] = len(body)
        body += f"{number} 0 obj\n{content}\nendobj\n".encode()
    table = "".join(f"{offsets[number]:010d} 00000 n \n" for number in sorted(offsets))
    end = f"trailer << /Size {len(objects) + 1} /Root 1 0 R {trailer} >>\nstartxref\n{len(body)}\n%%EOF\n"
    return body + f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}{end}".encode()


def docx(title: str, sections: Mapping[str, Sequence[str]], rows: Sequence[Sequence[str]] = ()) -> bytes:
    """A Word document: a title, headings with paragraphs, and a table at the end."""
    from docx import Document

    document = Document()
    document.add_heading(title, 0)
    for heading, paragraphs in sections.items():
        document.add_heading(heading, 1)
        for paragraph in paragraphs:
            document.add_paragraph(paragraph)
    if rows:
        table = document.add_table(len(rows), len(rows[0]))
        for row, cells in zip(table.rows, rows, strict=True):
            for cell, text in zip(row.cells, cells, strict=True):
                cell.text = text
    stream = io.BytesIO()
    document.save(stream)
    return stream.getvalue()


def pptx(slides: Sequence[tuple[str, str]], notes: str = "") -> bytes:
    from pptx import Presentation

    presentation = Presentation()
    for title, text in slides:
        slide = presentation.slides.add_slide(presentation.slide_layouts[1])
        slide.shapes.title.text = title
        slide.placeholders[1].text = text
        if notes:
            slide.notes_slide.notes_text_frame.text = notes
    stream = io.BytesIO()
    presentation.save(stream)
    return stream.getvalue()


def xlsx(sheets: Mapping[str, Sequence[Sequence[object]]]) -> bytes:
    import xlsxwriter

    stream = io.BytesIO()
    with xlsxwriter.Workbook(stream) as workbook:
        for name, rows in sheets.items():
            sheet = workbook.add_worksheet(name)
            for n, row in enumerate(rows):
                sheet.write_row(n, 0, row)
    return stream.getvalue()


_ROOT = '<rootfile full-path="OEBPS/book.opf"/>'


def epub(title: str, pages: Sequence[str], *, package_head: str = "") -> bytes:
    items = "".join(f'<item id="p{n}" href="p{n}.xhtml"/>' for n in range(len(pages)))
    refs = "".join(f'<itemref idref="p{n}"/>' for n in range(len(pages)))
    package = (
        f'<?xml version="1.0"?>{package_head}<package xmlns="http://www.idpf.org/2007/opf"><metadata>'
        f'<title xmlns="http://purl.org/dc/elements/1.1/">{title}</title></metadata>'
        f"<manifest>{items}</manifest><spine>{refs}</spine></package>"
    )
    return zipped(
        {
            "META-INF/container.xml": f"<container><rootfiles>{_ROOT}</rootfiles></container>",
            "OEBPS/book.opf": package,
            **{
                f"OEBPS/p{n}.xhtml": f'<?xml version="1.0"?><!DOCTYPE html><html><body>{page}</body></html>'
                for n, page in enumerate(pages)
            },
        }
    )


def email(subject: str, body: str, *, kind: str = "text/plain") -> bytes:
    head = f"From: Kim <kim@example.org>\nTo: Aino <aino@example.org>\nSubject: {subject}\nMIME-Version: 1.0\n"
    return f"{head}Content-Type: {kind}; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n{body}\n".encode()


def zipped(files: Mapping[str, str | bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


def with_member(archive: bytes, name: str, content: str | bytes) -> bytes:
    """The archive with a file replaced or added."""
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        files: dict[str, str | bytes] = {each: opened.read(each) for each in opened.namelist()}
    return zipped({**files, name: content})


_LAUGHS = '<?xml version="1.0"?><!DOCTYPE d [<!ENTITY a "ha">' + "".join(
    f'<!ENTITY {name} "{10 * f"&{inner};"}">' for inner, name in zip("abcdefgh", "bcdefghi", strict=True)
)
_WORD = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504)
_LEAVES = "".join(f"--b{n}\nContent-Type: multipart/mixed; boundary=b{n + 1}\n\n" for n in range(2000))


@functools.cache
def hostile() -> dict[str, tuple[bytes, set[str]]]:
    """Files that must not be indexed, by name, each with the codes of which one is expected."""
    plain = docx("T", {"H": ["Text."]})
    document = "word/document.xml"
    endless = "<< /Type /Pages /Kids [2 0 R] /Count 2000000000 >>"
    encryption = "/Encrypt << /Filter /Standard /V 1 /R 2 /O (" + "o" * 32 + ") /U (" + "u" * 32 + ") /P -4 >>"
    return {
        "bomb.docx": (with_member(plain, document, b" " * 30_000_000), {"unsafe"}),
        "bomb.xlsx": (with_member(xlsx({"S": [["a"]]}), "xl/sharedStrings.xml", b" " * 30_000_000), {"unsafe"}),
        "laughs.docx": (with_member(plain, document, f"{_LAUGHS}]><d>&i;</d>"), {"unsafe"}),
        "external.docx": (
            with_member(
                plain,
                document,
                f'<!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/passwd">]><w:document {_WORD}><w:body><w:p><w:r><w:t>&x;'
                "</w:t></w:r></w:p></w:body></w:document>",
            ),
            {"unsafe"},
        ),
        "utf-16.docx": (with_member(plain, document, f"{_LAUGHS}]><d>&i;</d>".encode("utf-16")), {"unsafe"}),
        "laughs.epub": (epub("T", ["<p>Text.</p>"], package_head=f"{_LAUGHS[21:]}]>"), {"unsafe"}),
        "deep.docx": (
            with_member(
                plain,
                document,
                f"<w:document {_WORD}><w:body>{'<w:tbl><w:tr><w:tc>' * 2000}{'</w:tc></w:tr></w:tbl>' * 2000}"
                "</w:body></w:document>",
            ),
            {"broken", "unsafe", "no_text"},
        ),
        "deep.html": (b"<html><body>" + b"<div>" * 50_000 + b"text", {"unsafe"}),
        "deep.eml": (
            f"Subject: x\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b0\n\n{_LEAVES}".encode(),
            {"unsafe", "broken", "no_text"},
        ),
        "endless.pdf": (pdf([], pages_dict=endless), {"too_many_pages", "broken"}),
        "encrypted.pdf": (pdf([[(12, "Secret.")]], trailer=f"/ID [(a) (a)] {encryption}"), {"encrypted"}),
        "scanned.pdf": (pdf([[], []]), {"no_text"}),
        "half.pdf": (pdf([[(12, "Text.")]])[:90], {"broken"}),
        "noise.pdf": (b"%PDF-1.7\n" + bytes(range(256)) * 40, {"broken"}),
        "encrypted.docx": (_OLE + "EncryptedPackage".encode("utf-16-le"), {"encrypted"}),
        "old.docx": (_OLE, {"unsupported_type"}),
        "no-contents.docx": (zipped({"readme.txt": "Nothing else."}), {"broken"}),
        "broken.pptx": (
            with_member(pptx([("T", "Text.")]), "ppt/presentation.xml", "<p:presentation"),
            {"broken"},
        ),
        "empty.txt": (b"", {"no_text"}),
        "binary.txt": (os.urandom(3000), {"broken"}),
        "program.exe": (b"MZ" + bytes(100), {"unsupported_type"}),
    }
