"""Hard filter (arXiv:2510.23070): drop translations by QTT-RAG's scores instead of showing the scores."""

from typing import Literal

from qttrag import trace
from qttrag.pipeline.stages import Stages
from qttrag.types import Answer, Query, TaggedPassage

THRESHOLD = 3.5  # arXiv:2510.23070


async def hard_filter(
    query: Query,
    stages: Stages,
    *,
    drop: Literal["all", "any"] = "all",
    threshold: float = THRESHOLD,
    refill: bool = False,
) -> Answer:
    """Drop bad translations, then read the other passages with the plain prompt.

    The scores of a translation are those that the tagger measures: three, or the semantic one alone.
    `drop`: a translation is dropped if "all" its scores are below `threshold` (the paper; an unscored one is kept) or
    if "any" is (the released code; an unscored one is dropped). `refill`: replace dropped passages by those of the
    next ranks instead of reading fewer."""
    ranked = await stages.search(query, top_k=stages.depth if refill else None)
    kept: list[TaggedPassage] = []
    while ranked and len(kept) < stages.top_k:
        missing = stages.top_k - len(kept)
        batch, ranked = ranked[:missing], ranked[missing:]
        scored = await stages.translate_and_tag(batch, query.lang)
        kept += [passage for passage in scored if not is_dropped(passage, drop, threshold)]
        with stages.trace.stage("filter"):
            trace.count("dropped", sum(is_dropped(passage, drop, threshold) for passage in scored))
            if not kept and not ranked:
                trace.note("every passage was dropped for its scores; the generator reads none")
    return await stages.answer(query, kept)


def is_dropped(passage: TaggedPassage, drop: Literal["all", "any"], threshold: float) -> bool:
    """Return whether the filter drops a passage; an original never."""
    if passage.translation is None:
        return False
    if passage.scores is None:
        return drop == "any"
    below = [score < threshold for score in passage.scores.values()]
    return all(below) if drop == "all" else any(below)
