"""The options of commands whose work a cluster can do."""

from __future__ import annotations

from typing import Annotated

import typer

from qttrag.errors import InputError

On = Annotated[
    str | None,
    typer.Option("--on", help="Work on a Ray cluster: ray ($RAY_ADDRESS, or this machine)."),
]
Workers = Annotated[int | None, typer.Option(min=1, help="Workers of the cluster; default: one for each GPU, or core.")]


def check_workers(on: str | None, workers: int | None) -> None:
    """Raise an InputError if there are workers without a cluster."""
    if on is None and workers is not None:
        raise InputError("--workers is the number of workers of --on; give that, too")
