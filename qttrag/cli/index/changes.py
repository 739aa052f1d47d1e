"""`qttrag index append|remove|compact`: changing an existing index."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qttrag.cli import output
from qttrag.cli.index.options import Name, OnError, OnInvalid, Restart
from qttrag.cli.index.progress import show_progress
from qttrag.cli.index.summary import show_manifest
from qttrag.errors import InputError

if TYPE_CHECKING:
    from qttrag.indexes.recipe import Recipe


class IdsName(StrEnum):
    """What an id to remove names."""

    any = "any"
    records = "records"
    passages = "passages"


def append(
    name: Name,
    source: Annotated[str, typer.Argument(help="A data file (.jsonl, .parquet, .tsv, .arrow), or a recipe.")],
    replace: Annotated[bool, typer.Option("--replace", help="Replace passages that have the same ids.")] = False,
    lang: Annotated[str | None, typer.Option("--lang", "-l", help="The language of all records of the file.")] = None,
    restart: Restart = False,
    on_error: OnError = OnInvalid.stop,
    as_json: output.Json = False,
) -> None:
    """Append passages to an index. An id that it already contains is an error, unless --replace.

    A data file is read with the settings of the index; a recipe must cut and encode passages as the index does. The
    index stays unchanged until the end; after an interruption, the same command resumes.

    Examples:

      qttrag index append my ./new.jsonl

      qttrag index append my ./new.jsonl --on-error skip     # only new ids

      qttrag index append wiki-ko ./corrected.parquet --replace
    """
    from qttrag.application.factory import open_encoder
    from qttrag.indexes.jobs.append import append

    recipe = _recipe(name, source, lang)
    with show_progress(name) as progress:
        manifest = append(
            name,
            recipe,
            replace=replace,
            restart=restart,
            on_error=on_error.value,
            progress=progress,
            open_encoder=open_encoder,
        )
    show_manifest(manifest, as_json=as_json)


def _recipe(name: str, source: str, lang: str | None) -> Recipe:
    from qttrag.indexes.jobs.append import recipe_for_file
    from qttrag.indexes.recipe import load

    path = Path(source).expanduser()
    if path.is_file() and path.suffix not in (".yaml", ".yml"):
        return recipe_for_file(name, path, lang=lang)
    if lang is not None:
        raise InputError("--lang is for a data file; a recipe has its own `lang:`")
    return load(source)


def remove(
    name: Name,
    ids: Annotated[
        list[str] | None, typer.Argument(help="Ids of passages, or of records with all their passages.")
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--file", "-f", help="A file of ids, one per line; - for standard input.")
    ] = None,
    missing_ok: Annotated[
        bool, typer.Option("--missing-ok", help="Ignore ids that the index does not contain.")
    ] = False,
    only: Annotated[
        IdsName, typer.Option(help="What the ids name, if a record has an id like that of a passage, e.g. doc-18#2.")
    ] = IdsName.any,
    as_json: output.Json = False,
) -> None:
    """Remove passages from an index. Searches skip them; `compact` frees their disk space.

    Examples:

      qttrag index remove my doc-17 doc-18#2

      qttrag index remove my --file withdrawn.txt --missing-ok
    """
    from qttrag.indexes.jobs.remove import remove

    all_ids = {output.utf8(passage_id) for passage_id in ids or []} | _read_ids(file)
    if not all_ids:
        raise InputError("no ids given; name some, or give a file of them with --file")
    show_manifest(remove(name, all_ids, what=only.value, missing_ok=missing_ok), as_json=as_json)


def _read_ids(file: Path | None) -> set[str]:
    from qttrag.indexes.sources.lines import plain_lines

    if file is None:
        return set()
    if str(file) == "-":
        return set(plain_lines(sys.stdin.buffer, "standard input"))
    with file.open("rb") as stream:
        return set(plain_lines(stream, str(file)))


def compact(name: Name, restart: Restart = False, as_json: output.Json = False) -> None:
    """Rewrite an index without removed passages, and train it on appended ones too; nothing is encoded.

    Example: qttrag index compact my
    """
    from qttrag.indexes.jobs.compact import compact

    with show_progress(name) as progress:
        manifest = compact(name, restart=restart, progress=progress)
    show_manifest(manifest, as_json=as_json)
