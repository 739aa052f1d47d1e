"""Where the time went and what was counted, for one question.

Stages report to whatever question they are working for through a context variable, so that no signature
carries a trace. Outside a question, reports go nowhere.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field


@dataclass
class Trace:
    """`seconds` by stage in the order of first use; `counts` as "stage.what"; `notes` for people, each once.

    A note says what was degraded, skipped, cut or answered from something other than what was asked for.
    `degraded`: of the notes, those on what is missing because a stage was down."""

    seconds: dict[str, float] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    degraded: list[str] = field(default_factory=list)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time the block as `name` and let `count` inside it report to this trace under that name."""
        token = _current.set((self, name))
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start
            _current.reset(token)

    @contextmanager
    def counting(self, name: str) -> Iterator[None]:
        """Let `count` inside the block report as `name`; its time is somebody else's to take."""
        token = _current.set((self, name))
        try:
            yield
        finally:
            _current.reset(token)

    def as_dict(self) -> dict[str, object]:
        return {
            "seconds": {name: round(value, 4) for name, value in self.seconds.items()},
            "counts": dict(sorted(self.counts.items())),
            "notes": list(self.notes),
            "degraded": list(self.degraded),
        }


_current: ContextVar[tuple[Trace, str] | None] = ContextVar("qttrag_trace", default=None)


def count(what: str, n: int = 1) -> None:
    """Add `n` to "stage.what" of the question this task works for."""
    current = _current.get()
    if current and n:
        trace, stage = current
        trace.counts[f"{stage}.{what}"] += n


def elsewhere(stage: str, seconds: float) -> None:
    """Say that of the time of the current stage, `seconds` belong to `stage`."""
    current = _current.get()
    if current:
        trace, here = current
        trace.seconds[stage] = trace.seconds.get(stage, 0.0) + seconds
        trace.seconds[here] = trace.seconds.get(here, 0.0) - seconds


def note(text: str) -> None:
    """Add a note to the question this task works for."""
    current = _current.get()
    if current and text not in current[0].notes:
        current[0].notes.append(text)


def degraded(text: str) -> None:
    """Note what the question this task works for has to do without, because a stage is down."""
    note(text)
    current = _current.get()
    if current and text not in current[0].degraded:
        current[0].degraded.append(text)
