"""Builds in other processes, to be killed; forked from a process that has imported everything."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import resource
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["sentence_transformers", "faiss", "pyarrow.parquet", "tests.indexes.processes"])
_MESSAGE = "message.txt"
_DONE = "done.txt"
_PART_ROWS = 60


def start(home: Path, recipe: Path, **settings: Any) -> ForkServerProcess:
    """Start `qttrag index build RECIPE` with $QTTRAG_HOME as `home` and an inverted file built in parts.

    `file_bytes`: limit of the file size. `obey_modes`: root respects file modes."""
    process = FORKS.Process(target=_build, args=(home, recipe), kwargs=settings, daemon=True)
    process.start()
    return process


def start_change(home: Path, task: str, *arguments: Any) -> ForkServerProcess:
    """Start `append` (of a data file), `remove` (of ids) or `compact` on the index "mixed" in `home`."""
    process = FORKS.Process(target=_change, args=(home, task, *arguments), daemon=True)
    process.start()
    return process


def finish(home: Path, recipe: Path, **settings: Any) -> str:
    """Build, and return the error message, or ""."""
    process = start(home, recipe, **settings)
    process.join(120)
    assert process.exitcode == 0
    return (home / _MESSAGE).read_text()


def encoded(home: Path) -> int:
    """Return the passages encoded by all builds in `home`, including killed ones."""
    counts = [int(line) for line in (home / _DONE).read_text().splitlines()]
    return sum(counts)


def batches(home: Path) -> int:
    """Return the batches encoded by all builds in `home`."""
    done = home / _DONE
    return done.read_bytes().count(b"\n") if done.exists() else 0


def _build(
    home: Path, recipe: Path, *, file_bytes: int | None = None, obey_modes: bool = False, **options: Any
) -> None:
    import torch

    from qttrag.errors import QttragError
    from qttrag.indexes.jobs.index_job import Progress
    from qttrag.indexes.recipe import load
    from tests.indexes.jobs.real_encoders import build

    os.environ["QTTRAG_HOME"] = str(home)
    torch.set_num_threads(1)
    last: int | None = None
    with (home / _MESSAGE).open("w") as message, (home / _DONE).open("a", buffering=1) as done:
        if file_bytes is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))
        if obey_modes:
            _obey_modes()

        def log(progress: Progress) -> None:
            nonlocal last
            if progress.step == "encode":
                start = finished_rows(home) if last is None else last
                done.write(f"{progress.passages - start}\n")
                last = progress.passages

        try:
            build(load(recipe), progress=log, list_part_rows=_PART_ROWS, **options)
        except QttragError as error:
            message.write(f"{type(error).__name__}: {error}")


def _change(home: Path, task: str, *arguments: Any) -> None:
    import torch

    from qttrag.indexes.jobs.append import recipe_for_file
    from qttrag.indexes.jobs.compact import compact
    from qttrag.indexes.jobs.remove import remove
    from tests.indexes.jobs.real_encoders import append

    os.environ["QTTRAG_HOME"] = str(home)
    torch.set_num_threads(1)
    if task == "append":
        append("mixed", recipe_for_file("mixed", *arguments))
    elif task == "remove":
        remove("mixed", *arguments)
    else:
        compact("mixed")


def finished_rows(home: Path) -> int:
    """Return the passages in finished shards."""
    from qttrag.indexes.storage.workspace import BuildWorkspace

    return BuildWorkspace(home / "indexes" / "built" / "mixed").read_journal().rows


def _obey_modes() -> None:
    """Drop the capabilities with which root ignores file modes (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH)."""
    libc = ctypes.CDLL(None)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    sets = (ctypes.c_uint32 * 6)()
    libc.capget(header, sets)
    sets[0] &= ~0b110
    libc.capset(header, sets)
