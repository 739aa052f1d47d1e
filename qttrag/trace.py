"""Where the time went and what was counted, for one question.

Stages report to whatever question they are working for through a context variable, so that no signature
carries a trace. Outside a question, reports go nowhere.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Protocol


class Spans(Protocol):
    """Whoever else follows the stages of a question, as they run."""

    def stage(self, trace: Trace, name: str) -> AbstractContextManager[None]:
        """Follow the block as the stage `name`; what it counts is in `trace` at its end."""
        ...

    def headers(self) -> dict[str, str]:
        """Return what calls to servers carry, so that their work can be put with that of the stage."""
        ...


@dataclass
class _Ran:
    name: str
    start: float
    end: float = math.inf


@dataclass
class Trace:
    """`seconds` by stage in the order of first use; `counts` as "stage.what"; `notes` for people, each once.

    A note says what was degraded, skipped, cut or answered from something other than what was asked for.
    `degraded`: of the notes, those on what is missing because a stage was down. `spans`: is told of stages, too.
    `reasoning`: what reasoning models wrote before their replies, by stage."""

    seconds: dict[str, float] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    degraded: list[str] = field(default_factory=list)
    reasoning: dict[str, list[str]] = field(default_factory=dict)
    spans: Spans | None = field(default=None, repr=False, compare=False)
    _ran: list[_Ran] = field(default_factory=list, repr=False, compare=False)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time the block as `name` and let `count` inside it report to this trace under that name."""
        token = _current.set((self, name))
        ran = _Ran(name, time.perf_counter())
        self._ran.append(ran)
        try:
            with self.spans.stage(self, name) if self.spans else nullcontext():
                yield
        finally:
            ran.end = time.perf_counter()
            self.seconds[name] = self.seconds.get(name, 0.0) + ran.end - ran.start
            _current.reset(token)

    @contextmanager
    def counting(self, name: str) -> Iterator[None]:
        """Let `count` inside the block report as `name`; its time is somebody else's to take."""
        token = _current.set((self, name))
        try:
            yield
        finally:
            _current.reset(token)

    @property
    def longest_stage(self) -> str | None:
        """Return the stage that took most of the time; None before any has ended."""
        return max(self.seconds, key=lambda stage: self.seconds[stage], default=None)

    def as_dict(self) -> dict[str, object]:
        return {
            "seconds": {name: round(value, 4) for name, value in self.seconds.items()},
            "counts": dict(sorted(self.counts.items())),
            "notes": list(self.notes),
            "degraded": list(self.degraded),
            "reasoning": {stage: list(texts) for stage, texts in self.reasoning.items()},
        }


_current: ContextVar[tuple[Trace, str] | None] = ContextVar("qttrag_trace", default=None)


def count(what: str, n: int = 1) -> None:
    """Add `n` to "stage.what" of the question this task works for."""
    current = _current.get()
    if current and n:
        trace, stage = current
        trace.counts[f"{stage}.{what}"] += n


def headers() -> dict[str, str]:
    """Return what a call to a server carries for the question this task works for."""
    current = _current.get()
    return current[0].spans.headers() if current and current[0].spans else {}


def elsewhere(stage: str, start: float, end: float) -> None:
    """Say that the time from `start` to `end`, by `time.perf_counter`, belongs to `stage` and not to those that ran."""
    current = _current.get()
    if current:
        seconds = current[0].seconds
        for ran in current[0]._ran:
            if (shared := min(ran.end, end) - max(ran.start, start)) > 0.0:
                seconds[stage] = seconds.get(stage, 0.0) + shared
                seconds[ran.name] = seconds.get(ran.name, 0.0) - shared


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


def reasoning(text: str) -> None:
    """Add what a reasoning model wrote before its reply, if anything, to the current stage."""
    current = _current.get()
    if current and text.strip():
        trace, stage = current
        trace.reasoning.setdefault(stage, []).append(text.strip())
