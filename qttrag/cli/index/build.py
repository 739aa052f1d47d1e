"""`qttrag index build`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qttrag.cli import output
from qttrag.cli.index.export import export_into
from qttrag.cli.index.options import OnError, OnInvalid, Overwrite, Restart
from qttrag.cli.index.progress import show_progress
from qttrag.cli.index.summary import show_manifest, show_outcomes
from qttrag.errors import InputError
from qttrag.resources import DEFAULT_DEPLOYMENT

if TYPE_CHECKING:
    from qttrag.indexes.recipe import Recipe
    from qttrag.stores.versioned import VersionedCollection


def build(
    recipe: Annotated[str, typer.Argument(help="A recipe file, its name in indexes/, or a folder of documents.")],
    overwrite: Overwrite = False,
    restart: Restart = False,
    on_error: OnError = OnInvalid.stop,
    config: output.Config = DEFAULT_DEPLOYMENT,
    to: Annotated[
        str | None,
        typer.Option("--store", help="Also write the index into a vector database, e.g. milvus://HOST:PORT."),
    ] = None,
    as_json: output.Json = False,
) -> None:
    """Build the index that a recipe describes. After an interruption, the same command resumes.

    A folder of documents (PDF, Word, slides, tables, web pages, books, Markdown, text, e-mail) needs no recipe: its
    index has the folder's name and the encoder of the deployment (--config). The same command brings it up to date:
    it reads new and changed files and removes deleted ones; --overwrite reads all files again.

    With --store, the built index is then exported as `qttrag index export` does; its folder stays, for later changes.

    Examples:

      qttrag index build example

      qttrag index build ./my.yaml --overwrite --on-error skip

      qttrag index build ./handbook
    """
    from qttrag.application.factory import open_encoder
    from qttrag.indexes.jobs.build import build
    from qttrag.indexes.recipe import load

    loaded = _folder_recipe(recipe, config) if Path(recipe).expanduser().is_dir() else load(recipe)
    store = None if to is None else _store(to, loaded.name)
    if loaded.source.kind == "folder":
        _build_folder(loaded, again=overwrite, store=store, as_json=as_json)
        return
    with show_progress(loaded.name) as progress:
        manifest = build(
            loaded,
            overwrite=overwrite,
            restart=restart,
            on_error=on_error.value,
            progress=progress,
            open_encoder=open_encoder,
        )
    if store is not None:
        export_into(loaded.name, store)
    show_manifest(manifest, as_json=as_json)


def _store(address: str, name: str) -> VersionedCollection:
    from qttrag.application.store_addresses import store_at

    return store_at(address, name)


def _folder_recipe(folder: str, config: str) -> Recipe:
    from qttrag.application.document_recipes import folder_recipe
    from qttrag.config import deployment

    return folder_recipe(Path(folder).expanduser().resolve(), deployment.load(config))


def _build_folder(recipe: Recipe, *, again: bool, store: VersionedCollection | None, as_json: bool) -> None:
    from qttrag.application.factory import open_encoder
    from qttrag.indexes.jobs.build_folder import build_folder
    from qttrag.indexes.jobs.change_documents import ChangeProgress

    with show_progress(recipe.name) as progress:
        built = build_folder(recipe, open_encoder=open_encoder, again=again, progress=ChangeProgress(passages=progress))
    if store is not None and built.manifest is not None:
        export_into(recipe.name, store)
    if as_json:
        manifest = built.manifest and built.manifest.model_dump(mode="json")
        output.say_json({"index": manifest, "documents": [outcome._asdict() for outcome in built.outcomes]})
    else:
        show_outcomes(built.outcomes)
    if built.manifest is None:
        raise InputError(f"no document in {recipe.source.paths[0]} could be read; no index was made")
    if not as_json:
        show_manifest(built.manifest, as_json=False)
