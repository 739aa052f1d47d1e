"""Work at the same time: ended together, and the same work done once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Generic, TypeVar

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


class InFlight(Generic[T]):
    """What is being computed just now, by key. One event loop at a time."""

    def __init__(self) -> None:
        self._futures: dict[bytes, asyncio.Future[T]] = {}

    def get(self, key: bytes) -> asyncio.Future[T] | None:
        """Return the future of what another call is computing: its value, its error, or cancelled if it leaves."""
        return self._futures.get(key)

    @contextmanager
    def computing(self, keys: Iterable[bytes]) -> Iterator[dict[bytes, T]]:
        """Take on the keys, which nobody may be computing, and put their values into the dict given.

        Whatever ends the block ends the wait of the others, too, and frees the keys."""
        loop = asyncio.get_running_loop()
        futures: dict[bytes, asyncio.Future[T]] = {key: loop.create_future() for key in keys}
        self._futures |= futures
        values: dict[bytes, T] = {}
        try:
            yield values
        except Exception as error:
            for key in futures.keys() - values.keys():
                futures[key].set_exception(error)
                futures[key].exception()  # looked at: nobody need wait for it
            raise
        finally:
            for key, future in futures.items():
                del self._futures[key]
                if key in values:
                    future.set_result(values[key])
                elif not future.done():
                    future.cancel()
