"""CrossRAG (arXiv:2504.03616): every passage in one language, without a word on how good the translations are."""

from qttrag.pipeline.stages import Stages
from qttrag.text.languages import language
from qttrag.types import Answer, Query


async def cross_rag(query: Query, stages: Stages, *, target: str = "query") -> Answer:
    """Translate what is foreign, then read with the plain prompt.

    `target`: "query" for the language of the question, or one language for all questions, as CrossRAG's "en"."""
    lang = query.lang if target == "query" else language(target).code
    passages = await stages.search(query)
    return await stages.answer(query, await stages.translate(passages, lang))
