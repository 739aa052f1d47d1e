"""`qttrag index build`."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qttrag.cli import output
from qttrag.cli.cluster import On, Workers, check_workers
from qttrag.cli.index.export import export_into
from qttrag.cli.index.options import OnError, OnInvalid, Overwrite, Restart
from qttrag.cli.index.pretranslate import Tag, as_dict, pretranslated, show_pretranslated, target_languages
from qttrag.cli.index.progress import show_progress
from qttrag.cli.index.summary import show_manifest, show_outcomes
from qttrag.errors import InputError
from qttrag.resources import DEFAULT_DEPLOYMENT

if TYPE_CHECKING:
    from qttrag.indexes.jobs.workers import OpenEncoder
    from qttrag.indexes.recipe import Recipe
    from qttrag.indexes.storage.manifest import Manifest
    from qttrag.stores.versioned import VersionedCollection


def build(
    recipe: Annotated[str, typer.Argument(help="A recipe file, its name in indexes/, or a folder of documents.")],
    overwrite: Overwrite = False,
    restart: Restart = False,
    on_error: OnError = OnInvalid.stop,
    pretranslate: Annotated[
        str | None, typer.Option(help="Then translate all passages into these languages: ko,fi,zh.")
    ] = None,
    tag: Tag = False,
    on: On = None,
    workers: Workers = None,
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

    --on spreads the encoding over a cluster; reading, shards and resuming are the same, and so is the index.

    --pretranslate is `qttrag index pretranslate` after the build, with the deployment of --config. With --store, the
    built index is then exported as `qttrag index export` does; its folder stays, for later changes. If one of them is
    interrupted, the same command resumes it and builds nothing again.

    Examples:

      qttrag index build example

      qttrag index build ./my.yaml --overwrite --on-error skip

      qttrag index build ./handbook
    """
    from qttrag.indexes.jobs.build import build
    from qttrag.indexes.recipe import load

    if tag and pretranslate is None:
        raise InputError("--tag scores the translations of --pretranslate; give that, too")
    if pretranslate is not None:
        target_languages(pretranslate)  # an unknown one is an error before the build
    loaded = _folder_recipe(recipe, config) if Path(recipe).expanduser().is_dir() else load(recipe)
    store = None if to is None else _store(to, loaded.name)
    if loaded.source.kind == "folder":
        if pretranslate is not None:
            raise InputError(
                f"a folder is translated after its build: qttrag index pretranslate {loaded.name} --to ..."
            )
        if on is not None:
            raise InputError("--on: a folder of documents is built on this machine; leave it out")
        _build_folder(loaded, again=overwrite, store=store, as_json=as_json)
        return
    more = store is not None or pretranslate is not None
    manifest = _already_built(loaded) if more and not overwrite and not restart else None
    if manifest is None:
        with _encoders(loaded, on, workers) as open_encoder, show_progress(loaded.name) as progress:
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
    if pretranslate is None:
        show_manifest(manifest, as_json=as_json)
        return
    done = pretranslated(loaded.name, pretranslate, tag=tag, config=config)
    if as_json:
        output.say_json({"index": manifest.model_dump(mode="json"), "pretranslated": [as_dict(one) for one in done]})
    else:
        show_manifest(manifest, as_json=False)
        show_pretranslated(done, as_json=False)


def _already_built(recipe: Recipe) -> Manifest | None:
    """Return the manifest of the recipe's index, so that an interrupted export or pre-translation is resumed; None: it
    is not built, or by another recipe."""
    from qttrag.errors import CollectionError
    from qttrag.indexes.collection import find

    try:
        manifest = find(recipe.name).manifest
    except CollectionError:
        return None
    if manifest.recipe_digest != recipe.digest:
        return None
    output.tell(f"index '{recipe.name}' was built {manifest.built} and is used as it is; --overwrite builds it again")
    return manifest


def _encoders(recipe: Recipe, on: str | None, workers: int | None) -> AbstractContextManager[OpenEncoder]:
    """Return what opens the recipe's encoder: in this process, or on the cluster `on`."""
    from qttrag.application.factory import open_encoder

    check_workers(on, workers)
    if on is None:
        return nullcontext(open_encoder)
    if recipe.sparse or recipe.encoder.servers.urls:
        reason = "has `sparse: true`" if recipe.sparse else "encodes on `servers:`"
        raise InputError(f"--on {on}: recipe '{recipe.name}' {reason}, which a cluster does not do; leave --on out")
    from qttrag.distributed.ray_encoders import encoders_on

    return encoders_on(on, workers=workers)


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
