"""`qttrag index append|remove|compact`: changing an index that is there."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qttrag.cli import output
from qttrag.cli.index.build import Name, OnError, show, shown_progress
from qttrag.errors import InputError

if TYPE_CHECKING:
    from qttrag.indexes.recipe import Recipe

Restart = Annotated[bool, typer.Option("--restart", help="Throw away what a broken-off run has done.")]


def append(
    name: Name,
    source: Annotated[str, typer.Argument(help="A data file (.jsonl, .parquet, .tsv, .arrow), or a recipe.")],
    replace: Annotated[bool, typer.Option("--replace", help="Take out what the index has by the same ids.")] = False,
    lang: Annotated[str | None, typer.Option("--lang", "-l", help="The language of all records of the file.")] = None,
    restart: Restart = False,
    on_error: Annotated[OnError, typer.Option(help="Stop at a bad record, or skip and count it.")] = OnError.stop,
    as_json: output.Json = False,
) -> None:
    """Add passages to an index. An id that it has already is a bad record, unless --replace.

    A recipe must cut and encode as the index was made; a file is read as the index's own source was. Until all is
    done the index is as it was; broken off, the same command goes on.

    Examples:

      qttrag index append my ./new.jsonl

      qttrag index append my ./new.jsonl --on-error skip     # only what is new

      qttrag index append wiki-ko ./corrected.parquet --replace
    """
    from qttrag.indexes.jobs import append as appending

    recipe = _recipe(name, source, lang)
    with shown_progress(name) as progress:
        manifest = appending.append(
            name, recipe, replace=replace, restart=restart, on_error=on_error.value, progress=progress
        )
    show(manifest, as_json=as_json)


def _recipe(name: str, source: str, lang: str | None) -> Recipe:
    from qttrag.indexes import recipe as recipes
    from qttrag.indexes.jobs import append as appending

    path = Path(source).expanduser()
    if path.is_file() and path.suffix not in (".yaml", ".yml"):
        return appending.of_file(name, path, lang=lang)
    if lang is not None:
        raise InputError("--lang is for a data file; a recipe has its own `lang:`")
    return recipes.load(source)


def remove(
    name: Name,
    ids: Annotated[
        list[str] | None, typer.Argument(help="Ids of passages, or of records with all their passages.")
    ] = None,
    file: Annotated[Path | None, typer.Option("--file", "-f", help="Ids, one a line; - for standard input.")] = None,
    missing_ok: Annotated[bool, typer.Option("--missing-ok", help="Pass over ids that the index has not.")] = False,
    as_json: output.Json = False,
) -> None:
    """Take passages out of an index. They are no longer found; `compact` gives their room back.

    Examples:

      qttrag index remove my doc-17 doc-18#2

      qttrag index remove my --file withdrawn.txt --missing-ok
    """
    from qttrag.indexes.jobs import remove as removal

    wanted = {output.utf8(each) for each in ids or []} | _lines(file)
    if not wanted:
        raise InputError("no ids are given; name some, or a file of them with --file")
    show(removal.remove(name, wanted, missing_ok=missing_ok), as_json=as_json)


def _lines(file: Path | None) -> set[str]:
    if file is None:
        return set()
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: not UTF-8 ({error.reason} at byte {error.start})") from error
    return {line.strip() for line in text.splitlines() if line.strip()}


def compact(name: Name, restart: Restart = False, as_json: output.Json = False) -> None:
    """Write an index anew without what was removed, trained on what was appended, too; nothing is encoded.

    Example: qttrag index compact my
    """
    from qttrag.indexes.jobs import compact as compacting

    with shown_progress(name) as progress:
        manifest = compacting.compact(name, restart=restart, progress=progress)
    show(manifest, as_json=as_json)
