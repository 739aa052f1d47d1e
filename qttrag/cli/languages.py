"""`qttrag languages`."""

from __future__ import annotations

from typing import Annotated

import typer

from qttrag.cli import output


def languages(
    search: Annotated[str, typer.Argument(help="Only languages with this text in a code or name.")] = "",
    as_json: output.Json = False,
) -> None:
    """List the languages that can be asked in and translated from, and those with prompts of their own.

    Example: qttrag languages finn
    """
    from qttrag.prompts import Prompts
    from qttrag.text.languages import LANGUAGES

    with_prompts = set(Prompts().languages("answer"))
    text = search.lower()
    rows = [
        {"code": row.code, "name": row.name, "native": row.native, "nllb": row.nllb, "script": row.script,
         "prompts": row.code in with_prompts}
        for row in LANGUAGES.values()
        if any(text in name.lower() for name in (row.code, row.name, row.native, row.nllb))
    ]  # fmt: skip
    if as_json:
        output.say_json(rows)
        return
    cells = [[*(str(v) for v in list(row.values())[:5]), "own" if row["prompts"] else "English"] for row in rows]
    output.console().print(output.table("code", "name", "native", "nllb", "script", "prompts", rows=cells))
