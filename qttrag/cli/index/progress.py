"""The progress bar of index commands."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from qttrag.cli import output

if TYPE_CHECKING:
    from qttrag.indexes.jobs.index_job import Progress

_STEPS = {"encode": "encoding", "copy": "copying", "train": "training", "add": "adding", "translate": "translating"}


@contextmanager
def show_progress(
    name: str, *, loading: str = "encoder", log_seconds: float = 60.0
) -> Iterator[Callable[[Progress], None]]:
    """Show a bar with the speed and remaining time of this run; in a log, write a line every `log_seconds`."""
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    starts: dict[str, tuple[float, Progress]] = {}
    last_log = time.monotonic()
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Bars(*columns, console=output.console(stderr=True), transient=True) as bars:
        task = bars.add_task(f"loading the {loading} for {name}", total=None)

        def show(progress: Progress) -> None:
            nonlocal last_log
            now = time.monotonic()
            start, first = starts.setdefault(progress.step, (now, progress))
            line = (
                f"{_STEPS[progress.step]} {name}: {progress.passages:,} passages{_pace(first, progress, now - start)}"
            )
            total = None if progress.share is None else 1.0
            bars.update(task, description=line, total=total, completed=progress.share or 0.0)
            if not bars.console.is_terminal and now - last_log >= log_seconds:
                last_log = now
                bars.console.print(line)

        yield show


def _pace(first: Progress, now: Progress, seconds: float) -> str:
    """Return ", 1,200 a second, 3 h 05 min left", or as much of it as is known."""
    if seconds < 1 or now.passages <= first.passages:
        return ""
    pace = f", {(now.passages - first.passages) / seconds:,.0f} a second"
    if now.share is None or first.share is None or now.share <= first.share:
        return pace
    minutes = round(seconds * (1 - now.share) / (now.share - first.share) / 60)
    return f"{pace}, {minutes // 60} h {minutes % 60:02d} min left"
