"""The time, counts and notes of one question.

Stages report to the current question through a context variable, so that no signature has a trace parameter.
Without a current question, reports are discarded.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Protocol, Self


class Spans(Protocol):
    """Another observer of a question's stages, such as OpenTelemetry."""

    def stage(self, trace: Trace, name: str) -> AbstractContextManager[None]:
        """Observe the block as the stage `name`; its counts are in `trace` at the end."""
        ...

    def headers(self) -> dict[str, str]:
        """Return the headers for calls to servers that connect their traces with the current stage."""
        ...


class Note(str):
    """A note for people, "PUBLIC: DETAILS". `public`: the part that clients over a network read, too.

    Details name servers, files and settings, and quote other programs' words; only the operator reads them."""

    public: str

    def __new__(cls, public: str, details: str = "") -> Self:
        note = super().__new__(cls, f"{public}: {details}" if details else public)
        note.public = public
        return note


@dataclass
class _StageRun:
    name: str
    start: float
    end: float = math.inf


@dataclass
class Trace:
    """`seconds` by stage, in the order of first use; `counts` by "stage.what"; `notes` for people, without duplicates.

    A note reports something degraded, skipped, cut or replaced. `degraded`: those notes that report something missing
    because a stage was unavailable. `reasoning`: what reasoning models wrote before their replies, by stage. `spans`: a
    second observer of the stages."""

    seconds: dict[str, float] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    notes: list[Note] = field(default_factory=list)
    degraded: list[Note] = field(default_factory=list)
    reasoning: dict[str, list[str]] = field(default_factory=dict)
    spans: Spans | None = field(default=None, repr=False, compare=False)
    _runs: list[_StageRun] = field(default_factory=list, repr=False, compare=False)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time the block as `name` and let `count` inside it report to this trace under that name."""
        token = _current.set((self, name))
        run = _StageRun(name, time.perf_counter())
        self._runs.append(run)
        try:
            with self.spans.stage(self, name) if self.spans else nullcontext():
                yield
        finally:
            run.end = time.perf_counter()
            self.seconds[name] = self.seconds.get(name, 0.0) + run.end - run.start
            _current.reset(token)

    @contextmanager
    def counting(self, name: str) -> Iterator[None]:
        """Let `count` inside the block report as `name`; the time belongs to another stage."""
        token = _current.set((self, name))
        try:
            yield
        finally:
            _current.reset(token)

    @property
    def longest_stage(self) -> str | None:
        """Return the stage with the most seconds; None before the end of the first."""
        return max(self.seconds, key=lambda stage: self.seconds[stage], default=None)

    def as_dict(self, *, details: bool = False) -> dict[str, object]:
        """Return the trace as JSON. `details`: with the parts of notes that are not public."""
        notes, degraded = (
            [str(note) if details else note.public for note in notes] for notes in (self.notes, self.degraded)
        )
        return {
            "seconds": {name: round(value, 4) for name, value in self.seconds.items()},
            "counts": dict(sorted(self.counts.items())),
            "notes": notes,
            "degraded": degraded,
            "reasoning": {stage: list(texts) for stage, texts in self.reasoning.items()},
        }


def usage_is_known(counts: Mapping[str, int]) -> bool:
    """Return whether every stage that called a language model counted its tokens; some servers report none.

    `counts`: those of a trace."""
    calling = (name.removesuffix(".calls") for name, n in counts.items() if name.endswith(".calls") and n)
    return all(counts.get(f"{stage}.prompt_tokens") for stage in calling)


_current: ContextVar[tuple[Trace, str] | None] = ContextVar("qttrag_trace", default=None)


def count(what: str, n: int = 1) -> None:
    """Add `n` to "stage.what" of the current question."""
    current = _current.get()
    if current and n:
        trace, stage = current
        trace.counts[f"{stage}.{what}"] += n


def headers() -> dict[str, str]:
    """Return the headers for a call to a server on behalf of the current question."""
    current = _current.get()
    return current[0].spans.headers() if current and current[0].spans else {}


def reassign_time(stage: str, start: float, end: float) -> None:
    """Move the time from `start` to `end`, by `time.perf_counter`, to `stage` from the stages that ran then."""
    current = _current.get()
    if current:
        seconds = current[0].seconds
        for run in current[0]._runs:
            if (shared := min(run.end, end) - max(run.start, start)) > 0.0:
                seconds[stage] = seconds.get(stage, 0.0) + shared
                seconds[run.name] = seconds.get(run.name, 0.0) - shared


def note(public: str, *, details: str = "") -> None:
    """Add a note to the current question, once. See `Note` for what belongs to the details."""
    _add(Note(public, details))


def note_error(public: str, error: Exception) -> None:
    """Note the consequence of an error for the current question; the error's public text is part of the note's."""
    _add(_with_error(public, error))


def note_degraded(public: str, error: Exception) -> None:
    """Note what the current question lacks because of the error of a stage."""
    note = _with_error(public, error)
    _add(note)
    current = _current.get()
    if current and note not in current[0].degraded:
        current[0].degraded.append(note)


def _with_error(public: str, error: Exception) -> Note:
    note = Note(f"{public}: {error}")
    note.public = f"{public}: {getattr(error, 'public', 'an unexpected error')}"
    return note


def _add(note: Note) -> None:
    current = _current.get()
    if current and note not in current[0].notes:
        current[0].notes.append(note)


def reasoning(text: str) -> None:
    """Add what a reasoning model wrote before its reply, if anything, to the current stage."""
    current = _current.get()
    if current and text.strip():
        trace, stage = current
        trace.reasoning.setdefault(stage, []).append(text.strip())
