"""What can go wrong.

    QttragError
    ├── ConfigError        a deployment, recipe, prompt, kind, language or model folder is not as it must be
    ├── InputError         a question, record or option that a caller gave cannot be worked with
    ├── CollectionError    a built index is missing, changed, empty or made for another encoder
    └── StageError         a model or server failed at its work; names the stage
        └── StageUnavailable   it may work later: down, overloaded, timed out
            ├── BrokenOff          a completion stopped before its end; what came of it is no answer
            └── DeadlineExceeded   the request's time was up; names the stage that took most of it

Every message names the thing, the value and the way out. `exit_code` is what the command line returns.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qttrag.types import PartialAnswer


class QttragError(Exception):
    """Base of every error this package raises on purpose; its message is meant for people."""

    exit_code = 1


class ConfigError(QttragError):
    exit_code = 2


class InputError(QttragError):
    exit_code = 2


class CollectionError(QttragError):
    exit_code = 3


class StageError(QttragError):
    """A stage failed at its work. `stage` is its name as in a deployment: "generator", "translator", ..."""

    exit_code = 4

    def __init__(self, stage: str, message: str) -> None:
        super().__init__(f"{stage}: {message}")
        self.stage = stage


class StageUnavailable(StageError):
    """The stage may answer if asked again later."""


class BrokenOff(StageUnavailable):
    """A completion began and stopped before its end: what came of it is to be thrown away."""


class DeadlineExceeded(StageUnavailable):
    """A request was cancelled after its `seconds`. `partial`: what was done by then.

    `stage`: the one that took most of the time; "request" if none had begun."""

    def __init__(self, seconds: float, partial: PartialAnswer, *, way_out: str) -> None:
        stage = partial.trace.longest_stage or "request"
        super().__init__(stage, f"took most of the {seconds:g} s that a request may take; {way_out}")
        self.seconds = seconds
        self.partial = partial


def unknown(what: str, value: object, known: Iterable[str], *, way_out: str = "") -> str:
    """Return "unknown WHAT 'VALUE'; did you mean ...? (known: ...)", the wording of every misspelt name."""
    names = sorted(known)
    close = difflib.get_close_matches(str(value), names, n=1)
    guess = f"; did you mean '{close[0]}'?" if close else ""
    listed = ", ".join(names) if len(names) <= 40 else f"{len(names)} of them"
    return f"unknown {what} '{value}'{guess} (known: {listed}){'; ' + way_out if way_out else ''}"


def not_installed(what: str, error: ModuleNotFoundError) -> str:
    """Return "WHAT needs the package 'NAME', which is not installed; ...", the wording of every missing library."""
    return f"{what} needs the package '{error.name}', which is not installed; pip install 'qttrag[models]'"
