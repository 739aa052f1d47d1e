"""QTT-RAG (arXiv:2510.23070): keep all translations, score them, and show the scores to the generator."""

from qttrag import trace
from qttrag.pipeline import tag_controls
from qttrag.pipeline.stages import Stages
from qttrag.types import Answer, Query


async def qtt_rag(query: Query, stages: Stages, *, tags: bool | tag_controls.Control = True) -> Answer:
    """Translate the foreign passages, score the translations, read originals and scored translations.

    `tags=false` is the ablation: the same prompt and translations without scores. "shuffled", "inverted", "constant"
    and "random" show other scores than the measured ones (`qttrag.pipeline.tag_controls`): a generator that answers as
    well with them does not use the scores."""
    passages = await stages.search(query)
    if not tags:
        passages = await stages.translate(passages, query.lang)
        return await stages.answer(query, passages, style="tagged_without_scores")
    passages = await stages.translate_and_tag(passages, query.lang)
    if not isinstance(tags, bool):
        with stages.trace.stage("control"):
            passages = tag_controls.apply(tags, passages, query.text)
            trace.note(f"the scores of translations are not the measured ones but {tags}")
    return await stages.answer(query, passages, style="tagged")
