"""The progress of an evaluation in the terminal: questions, speed, remaining time, failures."""

from __future__ import annotations

from qttrag.cli import output


class ProgressBar:
    """A bar on standard error. `total`: how many questions; None if that is known later."""

    def __init__(self, total: int | None = None) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._progress = Progress(
            TextColumn("{task.fields[cell]}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[failed]}"),
            console=output.console(stderr=True),
            transient=True,
        )
        self._task = self._progress.add_task("", total=total, cell="loading", rate="", failed="")

    def __enter__(self) -> ProgressBar:
        self._progress.start()
        return self

    def __exit__(self, *args: object) -> None:
        self._progress.stop()

    def advance(self, cell: str) -> None:
        """Count one more question."""
        self.show(int(self._progress.tasks[0].completed) + 1, int(self._progress.tasks[0].total or 0), cell)

    def show(self, done: int, total: int, cell: str, failed: int = 0) -> None:
        """Show that `done` of `total` questions are done, the last of them in `cell`."""
        if self._progress.tasks[0].total is None:  # skipped questions do not count for the speed
            self._progress.reset(self._task, total=total, completed=done - 1)
        speed = self._progress.tasks[0].speed
        self._progress.update(
            self._task,
            completed=done,
            cell=cell,
            rate=f"{speed:.2f}/s" if speed else "",
            failed=f"{failed} failed" if failed else "",
        )
