"""QTT-RAG (arXiv:2510.23070): keep all translations, score them, and show the scores to the generator."""

from qttrag.pipeline.stages import Stages
from qttrag.types import Answer, Query


async def qtt_rag(query: Query, stages: Stages, *, tags: bool = True) -> Answer:
    """Translate the foreign passages, score the translations, read originals and scored translations.

    `tags=false` is the ablation: the same prompt and translations without scores."""
    passages = await stages.search(query)
    if tags:
        passages = await stages.translate_and_tag(passages, query.lang)
    else:
        passages = await stages.translate(passages, query.lang)
    return await stages.answer(query, passages, style="tagged" if tags else "tagged_without_scores")
