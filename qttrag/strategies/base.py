"""Base: the passages as they were found, whatever their language."""

from qttrag.pipeline.stages import Stages
from qttrag.types import Answer, Query


async def base(query: Query, stages: Stages) -> Answer:
    """Read the passages as retrieved, with the plain prompt."""
    return await stages.answer(query, await stages.search(query))
