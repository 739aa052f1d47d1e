"""`qttrag languages`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from qttrag.cli import output

if TYPE_CHECKING:
    from qttrag.prompts import Prompts
    from qttrag.text.languages import Language

_PROMPTS: tuple[Literal["answer", "tag", "refine", "condense"], ...] = ("answer", "tag", "refine", "condense")


def languages(
    search: Annotated[str, typer.Argument(help="Only languages with this text in a code or name.")] = "",
    as_json: output.Json = False,
) -> None:
    """List the languages, and what each stage does with them.

    detected: by the script alone, by the model (well or poorly), if expected (`detector: {languages: [...]}`), or not.
    confused with: languages that detectors do not distinguish reliably from it. --json adds passages, their unit of
    length in an index, and terms, those of BM25.
    prompts: in the language itself, or in English naming it. nllb: its code in NLLB-200.

    Example: qttrag languages finn
    """
    from qttrag.prompts import Prompts
    from qttrag.text.languages import LANGUAGES

    text, prompts = search.lower(), Prompts()
    rows = [
        _row(row, prompts)
        for row in LANGUAGES.values()
        if any(text in name.lower() for name in (row.code, row.name, row.native, row.nllb))
    ]
    if as_json:
        output.say_json(rows)
        return
    columns = ("code", "name", "native", "nllb", "script", "detected", "confused with", "prompts")
    cells = [[_cell(row[column.replace(" ", "_")]) for column in columns] for row in rows]
    output.console().print(output.table(*columns, rows=cells))


def _row(row: Language, prompts: Prompts) -> dict[str, Any]:
    from qttrag.detectors.script import recognition
    from qttrag.retrievers import terms
    from qttrag.text.languages import ALIKE, ALSO_WRITTEN_IN, SPACELESS

    alike = {code for group in ALIKE if row.code in group for code in group} - {row.code}
    return {
        "code": row.code,
        "name": row.name,
        "native": row.native,
        "nllb": row.nllb,
        "script": row.script,
        "also_written_in": sorted(ALSO_WRITTEN_IN.get(row.code, ())),
        "detected": recognition(row.code),
        "confused_with": sorted(alike),
        "passages": "characters" if row.code in SPACELESS else "words",
        "terms": terms.kind_of(row.native, row.code),
        "prompts": row.code in prompts.languages("answer"),
        "prompt_files": [kind for kind in _PROMPTS if row.code in prompts.languages(kind)],
    }


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "own" if value else "English"
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)
