"""Task groups that raise the first error as it is, and closing of asynchronous iterators."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

T = TypeVar("T")


@asynccontextmanager
async def task_group() -> AsyncIterator[asyncio.TaskGroup]:
    """Yield a task group, all of whose tasks end with the block.

    The first task to fail cancels the others and the block; its error is raised, not an exception group."""
    try:
        async with asyncio.TaskGroup() as tasks:
            yield tasks
        return
    except BaseExceptionGroup as errors:
        first = errors.exceptions[0]
    raise first


async def gather_or_cancel(coroutines: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Run the coroutines at the same time and return their results in order.

    The first to fail cancels the others, and its error is raised."""
    async with task_group() as group:
        tasks = [group.create_task(coroutine) for coroutine in coroutines]
    return [task.result() for task in tasks]


@asynccontextmanager
async def closing(iterator: AsyncIterator[T]) -> AsyncIterator[AsyncIterator[T]]:
    """Close the iterator, if it can be closed, when the block ends, so that its work stops then."""
    try:
        yield iterator
    finally:
        if close := getattr(iterator, "aclose", None):
            await close()
