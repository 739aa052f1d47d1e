"""QTT-RAG (arXiv:2510.23070): leave translations as they are, score them, show the scores."""

from qttrag.pipeline.stages import Stages
from qttrag.types import Answer, Query


async def qtt_rag(query: Query, stages: Stages, *, tags: bool = True) -> Answer:
    """Translate what is foreign, score each translation, read originals and scored translations.

    `tags` off is the ablation: the same prompt, the same translations, no scores."""
    passages = await stages.search(query)
    if tags:
        passages = await stages.translate_and_tag(passages, query.lang)
    else:
        passages = await stages.translate(passages, query.lang)
    return await stages.answer(query, passages, style="tagged" if tags else "tagged_without_scores")
