"""Strategy of another package: search with the question and with its translation, and read passages of both."""

from qttrag.pipeline.stages import Stages
from qttrag.text.languages import language
from qttrag.types import Answer, Query


async def two_searches(query: Query, stages: Stages, *, pivot: str = "en") -> Answer:
    """Take the best passages of both searches in turn, without repeats; score translations as `qtt_rag` does."""
    searches = [
        await stages.search(query),
        await stages.search(await stages.translate_query(query, language(pivot).code)),
    ]
    in_turn = {hit.passage.passage_id: hit for ranks in zip(*searches, strict=False) for hit in ranks}
    passages = list(in_turn.values())[: stages.top_k]
    return await stages.answer(query, await stages.translate_and_tag(passages, query.lang), style="tagged")
