"""`qttrag languages`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from qttrag.cli import output
from qttrag.resources import DEFAULT_DEPLOYMENT

if TYPE_CHECKING:
    from collections.abc import Callable

    from qttrag.prompts import Prompts
    from qttrag.text.languages import Language
    from qttrag.types import Lang

_PROMPTS: tuple[Literal["answer", "tag", "refine", "condense"], ...] = ("answer", "tag", "refine", "condense")


def languages(
    search: Annotated[str, typer.Argument(help="Only languages with this text in a code or name.")] = "",
    config: output.Config = DEFAULT_DEPLOYMENT,
    settings: output.Set = None,
    as_json: output.Json = False,
) -> None:
    """List the languages, and what each stage does with them.

    detected, by the deployment's detector: by the script alone, by its model (well or poorly), if expected
    (`detector: {languages: [...]}`), or not.
    confused with: languages that detectors do not distinguish reliably from it. --json adds passages, their unit of
    length in an index, and terms, those of BM25.
    prompts: in the language itself, or in English naming it. nllb: its code in NLLB-200.

    Examples:

      qttrag languages finn

      qttrag languages --set detector.kind=fasttext --set detector.model=./lid218.bin
    """
    from qttrag.prompts import Prompts
    from qttrag.text.languages import LANGUAGES

    text, prompts = search.lower(), Prompts()
    recognition = _recognition(config, settings)
    rows = [
        _row(row, prompts, recognition(row.code))
        for row in LANGUAGES.values()
        if any(text in name.lower() for name in (row.code, row.name, row.native, row.nllb))
    ]
    if as_json:
        output.say_json(rows)
        return
    columns = ("code", "name", "native", "nllb", "script", "detected", "confused with", "prompts")
    cells = [[_cell(row[column.replace(" ", "_")]) for column in columns] for row in rows]
    output.console().print(output.table(*columns, rows=cells))


def _recognition(config: str, settings: list[str] | None) -> Callable[[Lang], str]:
    """Return how a deployment's detector recognises a language; "unknown" for detectors that cannot tell."""
    from qttrag import resources
    from qttrag.application.factory import Builder
    from qttrag.config import deployment
    from qttrag.prompts import Prompts

    loaded = deployment.load(resources.find("server", config, what="deployment"), output.pairs(settings, "--set"))
    detector = Builder(loaded, Prompts(), None).build("detector", loaded.detector)
    recognition: Callable[[Lang], str] = getattr(detector, "recognition", lambda lang: "unknown")
    return recognition


def _row(row: Language, prompts: Prompts, detected: str) -> dict[str, Any]:
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
        "detected": detected,
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
