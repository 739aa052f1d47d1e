"""Arguments and options that several index commands share."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

Name = Annotated[str, typer.Argument(help="A built index, or the path of its folder.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an existing index.")]
Restart = Annotated[bool, typer.Option("--restart", help="Discard the work of an interrupted run and start over.")]
InProcess = Annotated[
    bool,
    typer.Option("--in-process", help="Encode questions in this process, not by the recipe's `servers:`."),
]


class OnInvalid(StrEnum):
    """What to do with an invalid record."""

    stop = "stop"
    skip = "skip"


OnError = Annotated[OnInvalid, typer.Option(help="Stop at an invalid record, or skip and count it.")]
