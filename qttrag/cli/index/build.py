"""`qttrag index build`."""

from __future__ import annotations

from typing import Annotated

import typer

from qttrag.cli import output
from qttrag.cli.index.options import OnError, OnInvalid, Overwrite, Restart
from qttrag.cli.index.progress import show_progress
from qttrag.cli.index.summary import show_manifest


def build(
    recipe: Annotated[str, typer.Argument(help="A recipe file, or its name in indexes/.")],
    overwrite: Overwrite = False,
    restart: Restart = False,
    on_error: OnError = OnInvalid.stop,
    as_json: output.Json = False,
) -> None:
    """Build the index that a recipe describes. After an interruption, the same command resumes.

    Examples:

      qttrag index build example

      qttrag index build ./my.yaml --overwrite --on-error skip
    """
    from qttrag.application.factory import open_encoder
    from qttrag.indexes.jobs.build import build
    from qttrag.indexes.recipe import load

    loaded = load(recipe)
    with show_progress(loaded.name) as progress:
        manifest = build(
            loaded,
            overwrite=overwrite,
            restart=restart,
            on_error=on_error.value,
            progress=progress,
            open_encoder=open_encoder,
        )
    show_manifest(manifest, as_json=as_json)
