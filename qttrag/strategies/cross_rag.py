"""CrossRAG (arXiv:2504.03616): all passages in one language, without their translation quality."""

from qttrag.pipeline.stages import Stages
from qttrag.text.languages import language
from qttrag.types import Answer, Query


async def cross_rag(query: Query, stages: Stages, *, target: str = "query") -> Answer:
    """Translate the foreign passages, then read all with the plain prompt.

    `target`: "query" for the language of the question, or one language for all questions, such as CrossRAG's "en"."""
    lang = query.lang if target == "query" else language(target).code
    passages = await stages.search(query)
    return await stages.answer(query, await stages.translate(passages, lang))
