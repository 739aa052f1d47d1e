"""Query translation (tRAG): search with the question in a pivot language, read the passages untranslated."""

from qttrag.pipeline.stages import Stages
from qttrag.text.languages import language
from qttrag.types import Answer, Query


async def query_translation(query: Query, stages: Stages, *, pivot: str = "en") -> Answer:
    """Translate the question to `pivot` for retrieval and reranking; read and answer as `base` does."""
    passages = await stages.search(await stages.translate_query(query, language(pivot).code))
    return await stages.answer(query, passages)
