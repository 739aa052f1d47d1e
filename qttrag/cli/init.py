"""`qttrag init`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from qttrag.cli import output


def init(
    folder: Annotated[Path, typer.Argument(help="Where to create the folders.")],
    as_json: output.Json = False,
) -> None:
    """Copy prompts, index recipes, deployments and suites to a folder for editing.

    Example: qttrag init my-qttrag && export QTTRAG_HOME=$PWD/my-qttrag
    """
    from qttrag import resources

    copied = [str(path) for path in resources.copy_out(folder)]
    if as_json:
        output.say_json({"copied": copied})
        return
    output.say("\n".join(copied))
    output.say(f"Next: export QTTRAG_HOME={folder.resolve()}")
