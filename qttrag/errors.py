"""The exception tree and the wording of common errors.

    QttragError
    ├── ConfigError        a deployment, recipe, prompt, kind, language or model folder is invalid
    ├── InputError         a question, record or option from a caller is invalid
    ├── CollectionError    a built index is missing, changed, empty or built with another encoder
    └── StageError         a model or server failed; names the stage
        └── StageUnavailable   a temporary failure: down, overloaded, timed out
            ├── BrokenOff          a completion was interrupted; its beginning is no answer
            ├── PartialHits        some of the collections could not be searched
            └── DeadlineExceeded   the request's time was up; names the stage that took most of it

Every message names the thing, the value and the remedy. `exit_code` is what the command line returns. Messages are for
the operator: they name servers, files and settings. `public` is the text for clients over a network, which names none.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qttrag.types import Hit, PartialAnswer


class QttragError(Exception):
    """Base of all errors that this package raises on purpose; the message is for people.

    `public`: a text for clients over a network; without one they get the general sentence of the error's type."""

    exit_code = 1
    _sentence = "the request failed"

    def __init__(self, *args: object, public: str | None = None) -> None:
        super().__init__(*args)
        self._public = public

    @property
    def public(self) -> str:
        return self._sentence if self._public is None else self._public

    @property
    def has_public_text(self) -> bool:
        return self._public is not None


class ConfigError(QttragError):
    exit_code = 2
    _sentence = "the service is not configured correctly"


class InputError(QttragError):
    exit_code = 2
    _sentence = "a value of the request is invalid"


class CollectionError(QttragError):
    exit_code = 3
    _sentence = "a collection cannot be searched"


class StageError(QttragError):
    """A stage failed. `stage`: its name in a deployment, such as "generator" or "translator"."""

    exit_code = 4
    _what = "failed"

    def __init__(self, stage: str, message: str) -> None:
        super().__init__(f"{stage}: {message}", public=f"the {stage} {self._what}")
        self.stage = stage


class StageUnavailable(StageError):
    """A temporary failure of a stage: a later call may succeed."""

    _what = "is unavailable at present; try again later"


class BrokenOff(StageUnavailable):
    """A completion was interrupted; its beginning must be discarded."""

    _what = "was interrupted"


class PartialHits(StageUnavailable):
    """Some of the collections could not be searched at present. `hits`: of the others, best first."""

    _what = "could not search all collections; try again later"

    def __init__(self, cause: StageUnavailable, hits: Sequence[Hit]) -> None:
        super().__init__(cause.stage, str(cause).removeprefix(f"{cause.stage}: "))
        self.hits = list(hits)


class DeadlineExceeded(StageUnavailable):
    """A request was cancelled after its `seconds`. `partial`: what was done by then.

    `stage`: the one that took most of the time; "request" if none had begun."""

    def __init__(self, seconds: float, partial: PartialAnswer, *, way_out: str) -> None:
        stage = partial.trace.longest_stage or "request"
        super().__init__(stage, f"took most of the {seconds:g} s that a request may take; {way_out}")
        self._public = f"the {seconds:g} s of the request are over; '{stage}' took most of them"
        self.seconds = seconds
        self.partial = partial


def unknown(what: str, value: object, known: Iterable[str], *, way_out: str = "") -> str:
    """Return "unknown WHAT 'VALUE'; did you mean ...? (known: ...)", the wording of all errors about unknown names."""
    names = sorted(known)
    close = difflib.get_close_matches(str(value), names, n=1)
    guess = f"; did you mean '{close[0]}'?" if close else ""
    listed = ", ".join(names) if len(names) <= 40 else f"{len(names)} of them"
    return f"unknown {what} '{value}'{guess} (known: {listed}){'; ' + way_out if way_out else ''}"


def not_installed(what: str, error: ModuleNotFoundError, *, extra: str = "models") -> str:
    """Return "WHAT needs the package 'NAME', which is not installed; ...", the wording for all missing packages."""
    return f"{what} needs the package '{error.name}', which is not installed; pip install 'qttrag[{extra}]'"


def renamed(old: str, new: str) -> str:
    """Return "`OLD` is now `NEW`; ...", the wording of all errors about old names of settings and measures."""
    return f"`{old}` is now `{new}`; use the new name"


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message that is not blank; the name of its type if there is none."""
    lines = (line.strip() for line in str(error).splitlines())
    return next((line for line in lines if line), type(error).__name__)


def describe(error: BaseException) -> str:
    """Return "TYPE: first line of the message", or "TYPE" for an error without a message."""
    name, line = type(error).__name__, first_line(error)
    return name if line == name else f"{name}: {line}"
