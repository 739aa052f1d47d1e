"""DKM-RAG (arXiv:2502.11175): translations together with the generator's rewriting of every passage."""

from typing import Literal

from qttrag.pipeline.stages import Stages
from qttrag.types import Answer, Decoding, Query

SETTINGS = {
    "faithful": Decoding(max_tokens=200, temperature=0.3, top_p=0.95, repetition_penalty=1.2),  # arXiv:2502.11175
    "as_released": Decoding(max_tokens=128),  # the fork that arXiv:2510.23070 compares with
}


async def dkm_rag(query: Query, stages: Stages, *, settings: Literal["faithful", "as_released"] = "faithful") -> Answer:
    """Translate the foreign passages, rewrite every passage, then read both versions with the plain prompt."""
    translated = await stages.translate(await stages.search(query), query.lang)
    refined = await stages.refine(query, translated, SETTINGS[settings])
    return await stages.answer(query, refined)
