"""Hits of several collections and languages, merged: by score, with quotas kept and the encoder's leaning offset."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

from qttrag import trace as tracing
from qttrag.errors import ConfigError
from qttrag.retrievers.search_scope import OWN
from qttrag.text.languages import language
from qttrag.types import Hit, Lang

if TYPE_CHECKING:
    from qttrag.indexes.collection import Collection


class Merging(NamedTuple):
    """`quotas`: of the hits, by language of the passage or "query"; `shifts`: added to scores of passages, by
    language of the question and of the passage."""

    quotas: dict[str, float]
    shifts: dict[str, dict[str, float]]

    @property
    def any(self) -> bool:
        return bool(self.quotas or self.shifts)

    def apart(self, lang: Lang) -> set[Lang]:
        """Return the languages whose passages have to be searched by themselves for a question in `lang`."""
        return {*self.quotas_for(lang), *(Lang(name) for name in self.shifts.get(lang, {}))}

    def quotas_for(self, lang: Lang) -> dict[Lang, float]:
        """Return the shares for a question in `lang`; where "query" and its name both have one, the larger."""
        found: dict[Lang, float] = {}
        for name, share in self.quotas.items():
            of = lang if name == OWN else Lang(name)
            found[of] = max(share, found.get(of, 0.0))
        return found


class Merged(NamedTuple):
    """The hits of one question. `shifted`: how many, by language, and by what; `kept`: how many are there only
    because their language has a quota."""

    hits: list[Hit]
    shifted: dict[Lang, tuple[int, float]]
    kept: dict[Lang, int]


def check(quotas: Mapping[str, float] | None, shifts: Mapping[str, Mapping[str, float]] | None) -> Merging:
    """Return the settings with every language as its code; "query" stays.

    Raises:
        ConfigError: a share is not between 0 and 1, they are more than all hits together, or a shift is not a
            difference of two cosines.
        InputError: a language is unknown."""
    named = {name if name == OWN else str(language(name).code): share for name, share in (quotas or {}).items()}
    if bad := {name: share for name, share in named.items() if not 0 < share <= 1}:
        raise ConfigError(f"retriever: `quotas: {bad}`: a quota is a share of the hits, between 0 and 1, e.g. 0.3")
    if sum(named.values()) > 1 + 1e-9:
        raise ConfigError(f"retriever: `quotas: {named}` are {sum(named.values()):g} of the hits; at most 1 in all")
    by_code = {
        str(language(of).code): {str(language(name).code): shift for name, shift in inner.items()}
        for of, inner in (shifts or {}).items()
    }
    for of, inner in by_code.items():
        if wrong := {name: shift for name, shift in inner.items() if not abs(shift) <= 1}:
            raise ConfigError(
                f"retriever: `shifts: {{{of}: {wrong}}}`: scores are cosines, shifts differences of them, at most 1; "
                "qttrag index measure-shifts finds them"
            )
    return Merging(named, by_code)


def groups(
    collection: Collection, langs: Sequence[Lang] | Literal["all"], apart: Iterable[Lang]
) -> list[Sequence[Lang] | Literal["all"]]:
    """Return the languages of a collection to search for, those in `apart` each by itself."""
    present = set(collection.manifest.langs)
    wanted = {Lang(name) for name in present if langs == "all" or name in langs}
    alone = sorted(wanted & set(apart))
    rest = sorted(wanted - set(alone))
    if not alone:
        return [langs]
    return [*([lang] for lang in alone), *([rest] if rest else [])]


def merge(found: Iterable[Sequence[Hit]], k: int, lang: Lang, settings: Merging) -> Merged:
    """Return the best `k` hits of all that were found for a question in `lang`, best first, ties by passage id.

    Shifts are added to scores first. Of each language with a quota its best hits are kept, quota times `k` rounded
    down, even where others score better; then all are in the order of their scores."""
    shifts = settings.shifts.get(lang, {})
    hits = [Hit(hit.passage, hit.score + shifts.get(hit.passage.lang, 0.0)) for each in found for hit in each]
    hits.sort(key=lambda hit: (-hit.score, hit.passage.passage_id))
    chosen: set[int] = set()
    for of, share in settings.quotas_for(lang).items():
        own = [n for n, hit in enumerate(hits) if hit.passage.lang == of]
        chosen.update(own[: math.floor(share * k + 1e-9)])
    rest = (n for n in range(len(hits)) if n not in chosen)
    chosen.update(n for n, _ in zip(rest, range(k - len(chosen)), strict=False))
    merged = [hits[n] for n in sorted(chosen)]
    kept = [hits[n].passage.lang for n in chosen if n >= k]
    moved = [hit.passage.lang for hit in merged if hit.passage.lang in shifts]
    return Merged(
        merged,
        {of: (moved.count(of), shifts[of]) for of in sorted(set(moved))},
        {of: kept.count(of) for of in sorted(set(kept))},
    )


def report(merged: Merged, lang: Lang) -> None:
    """Tell the trace what was shifted and kept."""
    for of, (n, shift) in merged.shifted.items():
        tracing.count(f"shifted_{of}", n)
        tracing.note(f"scores of passages in {of} were shifted by {shift:+.4f} for a question in {lang}")
    for of, n in merged.kept.items():
        tracing.count(f"kept_by_quota_{of}", n)
