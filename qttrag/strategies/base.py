"""Base: the passages as retrieved, in any language."""

from qttrag.pipeline.stages import Stages
from qttrag.types import Answer, Query


async def base(query: Query, stages: Stages) -> Answer:
    """Read the retrieved passages untranslated, with the plain prompt."""
    return await stages.answer(query, await stages.search(query))
