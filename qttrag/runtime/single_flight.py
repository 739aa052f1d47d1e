"""The same work done once, for callers that come at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

T = TypeVar("T")


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
