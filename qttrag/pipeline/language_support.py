"""Texts in languages that the translator or the tagger does not support: they are counted, noted and left unchanged."""

from __future__ import annotations

from collections.abc import Sequence

from qttrag import trace
from qttrag.protocols import QualityTagger
from qttrag.text.languages import LANGUAGES, display_name
from qttrag.types import UNSUPPORTED, Lang, Verdict


def report_unsupported(langs: Sequence[Lang], target: Lang, *, effect: str) -> None:
    """Count the texts that a translator flagged `UNSUPPORTED`, and note their languages and the `effect`.

    `langs`: the language of each such text."""
    trace.count("unsupported_language", len(langs))
    if langs:
        names = ", ".join(display_name(lang) for lang in dict.fromkeys(langs))
        trace.note(f"{effect}, because the translator does not support {names} to {display_name(target)}")


async def score_supported(
    tagger: QualityTagger,
    originals: Sequence[str],
    translations: Sequence[str],
    source: Sequence[Lang],
    target: Lang,
) -> list[Verdict]:
    """Return the tagger's verdicts; those on originals of an unknown language have no scores, but `UNSUPPORTED`."""
    known = [n for n, lang in enumerate(source) if lang in LANGUAGES]
    verdicts = [Verdict(None, UNSUPPORTED)] * len(source)
    trace.count(f"unscored.{UNSUPPORTED}", len(source) - len(known))
    if not known:
        return verdicts
    scored = await tagger.score(
        [originals[n] for n in known], [translations[n] for n in known], [source[n] for n in known], target
    )
    for n, verdict in zip(known, scored, strict=True):
        verdicts[n] = verdict
    return verdicts
