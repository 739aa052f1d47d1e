"""Tasks that run at the same time and end together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

T = TypeVar("T")


@asynccontextmanager
async def ended_together() -> AsyncIterator[asyncio.TaskGroup]:
    """Give tasks to be done by the end of the block. The first to fail ends the others and the block; its error is
    raised as it is."""
    try:
        async with asyncio.TaskGroup() as tasks:
            yield tasks
        return
    except BaseExceptionGroup as errors:
        first = errors.exceptions[0]
    raise first


async def together(work: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Return the results in order. The first to fail ends the others, and its error is raised as it is."""
    async with ended_together() as group:
        tasks = [group.create_task(each) for each in work]
    return [task.result() for task in tasks]


@asynccontextmanager
async def closing(pieces: AsyncIterator[T]) -> AsyncIterator[AsyncIterator[T]]:
    """Close the iterator, where it is one that can be, when the block ends: work that nobody waits for stops now."""
    try:
        yield pieces
    finally:
        if close := getattr(pieces, "aclose", None):
            await close()
