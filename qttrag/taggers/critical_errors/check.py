"""All checks for critical errors, beside the scores of a tagger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from qttrag import trace
from qttrag.errors import ConfigError
from qttrag.taggers.critical_errors.names import missing_names
from qttrag.taggers.critical_errors.negation import negation_differs
from qttrag.taggers.critical_errors.numbers import missing_numbers
from qttrag.taggers.critical_errors.omission import omits_sentences
from qttrag.types import MAX_SCORE, CriticalError, Lang, Verdict


def critical_errors(original: str, translation: str, source: Lang, target: Lang) -> tuple[CriticalError, ...]:
    """Return the likely critical errors of a translation, at most one of each kind; none for an empty translation.

    A check that cannot tell for a pair of languages finds nothing."""
    if not translation.strip():
        return ()
    errors = []
    if numbers := missing_numbers(original, translation, source, target):
        errors.append(CriticalError("numbers", numbers))
    if names := missing_names(original, translation, source, target):
        errors.append(CriticalError("names", names))
    if negation_differs(original, translation, source, target):
        errors.append(CriticalError("negation"))
    if omits_sentences(original, translation, source, target):
        errors.append(CriticalError("omission"))
    return tuple(errors)


@dataclass(frozen=True, slots=True)
class Check:
    """The settings of a tagger for critical errors. `flags`: look for them.

    `cap`: the highest semantic score of a translation with a critical error; None: no limit.

    Raises:
        ConfigError: the cap is not a score, or is set without flags."""

    flags: bool = True
    cap: float | None = None

    def __post_init__(self) -> None:
        if self.cap is not None and not 0 <= self.cap <= MAX_SCORE:
            raise ConfigError(f"tagger: `cap: {self.cap:g}` is not a score; give one from 0 to {MAX_SCORE:g}")
        if self.cap is not None and not self.flags:
            raise ConfigError("tagger: `cap:` needs critical errors; remove `flags: false`")

    def checked(
        self,
        verdicts: Sequence[Verdict],
        originals: Sequence[str],
        translations: Sequence[str],
        source: Sequence[Lang],
        target: Lang,
    ) -> list[Verdict]:
        """Return the verdicts with the critical errors of their translations. Counts: critical.<kind>, capped."""
        if not self.flags:
            return list(verdicts)
        rows = zip(verdicts, originals, translations, source, strict=True)
        return [self._with(v, critical_errors(text, translated, lang, target)) for v, text, translated, lang in rows]

    def _with(self, verdict: Verdict, errors: tuple[CriticalError, ...]) -> Verdict:
        for error in errors:
            trace.count(f"critical.{error.kind}")
        scores = verdict.scores
        if errors and scores is not None and self.cap is not None and scores.semantic > self.cap:
            trace.count("capped")
            scores = replace(scores, semantic=self.cap)
        return replace(verdict, scores=scores, critical_errors=errors)
