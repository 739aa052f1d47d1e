"""Merge the hits of several collections and languages by score, with quotas and corrections for the encoder's bias."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

from qttrag import trace
from qttrag.errors import ConfigError
from qttrag.retrievers.search_scope import QUERY_LANGUAGE
from qttrag.text.languages import language, variants
from qttrag.types import Hit, Lang


class MergeSettings(NamedTuple):
    """`quotas`: least share of the hits, by language of the passage, in any script, or "query". `shifts`: added to the
    scores of passages, by language of the question, then of the passage."""

    quotas: dict[str, float]
    shifts: dict[str, dict[str, float]]

    @property
    def any(self) -> bool:
        return bool(self.quotas or self.shifts)

    def searched_separately(self, lang: Lang) -> set[Lang]:
        """Return the languages of passages that need a search of their own for a question in `lang`."""
        of_quotas = {each for passages in self.quotas_for(lang) for each in variants(passages)}
        return {*of_quotas, *(Lang(name) for name in self.shifts.get(lang, {}))}

    def quotas_for(self, lang: Lang) -> dict[Lang, float]:
        """Return the quotas for a question in `lang`; where "query" and its name both have one, the larger."""
        quotas: dict[Lang, float] = {}
        for name, share in self.quotas.items():
            passages = lang if name == QUERY_LANGUAGE else Lang(name)
            quotas[passages] = max(share, quotas.get(passages, 0.0))
        return quotas


class Merged(NamedTuple):
    """The hits of one question. `shifted`: number of shifted hits and the shift, by language. `by_quota`: number of
    hits that only a quota brought in, by language."""

    hits: list[Hit]
    shifted: dict[Lang, tuple[int, float]]
    by_quota: dict[Lang, int]


def check(quotas: Mapping[str, float] | None, shifts: Mapping[str, Mapping[str, float]] | None) -> MergeSettings:
    """Return the settings with the code of each language; "query" is kept.

    Raises:
        ConfigError: a share is not between 0 and 1, the shares sum to more than 1, or a shift is not a difference of
            two cosines.
        InputError: a language is unknown."""
    return MergeSettings(_checked_quotas(quotas or {}), _checked_shifts(shifts or {}))


def _checked_quotas(quotas: Mapping[str, float]) -> dict[str, float]:
    by_code = {name if name == QUERY_LANGUAGE else str(language(name).code): share for name, share in quotas.items()}
    if wrong := {name: share for name, share in by_code.items() if not 0 < share <= 1}:
        raise ConfigError(f"retriever: `quotas: {wrong}`: a quota is a share of the hits, between 0 and 1, e.g. 0.3")
    if sum(by_code.values()) > 1 + 1e-9:
        raise ConfigError(f"retriever: `quotas: {by_code}` are {sum(by_code.values()):g} of the hits; at most 1 in all")
    return by_code


def _checked_shifts(shifts: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float]]:
    by_code = {
        str(language(question).code): {str(language(passages).code): shift for passages, shift in inner.items()}
        for question, inner in shifts.items()
    }
    for question, inner in by_code.items():
        if wrong := {passages: shift for passages, shift in inner.items() if not abs(shift) <= 1}:
            raise ConfigError(
                f"retriever: `shifts: {{{question}: {wrong}}}`: a shift is a difference of two cosines, at most 1; "
                "measure shifts with qttrag index measure-shifts"
            )
    return by_code


def language_groups(
    present: Iterable[Lang], languages: Sequence[Lang] | Literal["all"], separate: Iterable[Lang]
) -> list[Sequence[Lang] | Literal["all"]]:
    """Return the groups of languages in which a collection with passages in `present` is searched.

    Each language of `separate` is a group of its own."""
    searched = {lang for lang in present if languages == "all" or lang in languages}
    alone = sorted(searched & set(separate))
    rest = sorted(searched - set(alone))
    if not alone:
        return [languages]
    return [*([lang] for lang in alone), *([rest] if rest else [])]


def merge(results: Iterable[Sequence[Hit]], k: int, lang: Lang, settings: MergeSettings) -> Merged:
    """Return the best `k` hits of all `results` for a question in `lang`, best first, ties by passage id.

    Shifts are added to the scores first. Of each language with a quota, its best hits are kept, quota times `k` rounded
    down, even where others score better; then all are in the order of their scores."""
    shifts = settings.shifts.get(lang, {})
    hits = [Hit(hit.passage, hit.score + shifts.get(hit.passage.lang, 0.0)) for result in results for hit in result]
    hits.sort(key=lambda hit: (-hit.score, hit.passage.passage_id))
    chosen: set[int] = set()
    for passages, share in settings.quotas_for(lang).items():
        own = variants(passages)
        ranks = [n for n, hit in enumerate(hits) if hit.passage.lang in own]
        chosen.update(ranks[: math.floor(share * k + 1e-9)])
    rest = (n for n in range(len(hits)) if n not in chosen)
    chosen.update(n for n, _ in zip(rest, range(k - len(chosen)), strict=False))
    merged = [hits[n] for n in sorted(chosen)]
    by_quota = [hits[n].passage.lang for n in chosen if n >= k]
    shifted = [hit.passage.lang for hit in merged if hit.passage.lang in shifts]
    return Merged(
        merged,
        {passages: (shifted.count(passages), shifts[passages]) for passages in sorted(set(shifted))},
        {passages: by_quota.count(passages) for passages in sorted(set(by_quota))},
    )


def report(merged: Merged, lang: Lang) -> None:
    """Count and note in the trace what shifts and quotas changed for a question in `lang`."""
    for passages, (n, shift) in merged.shifted.items():
        trace.count(f"shifted_{passages}", n)
        trace.note(f"scores of passages in {passages} were shifted by {shift:+.4f} for a question in {lang}")
    for passages, n in merged.by_quota.items():
        trace.count(f"kept_by_quota_{passages}", n)
