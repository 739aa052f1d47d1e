"""An event loop in a thread of its own, for synchronous code that calls coroutines from several threads."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class BackgroundLoop:
    """Runs coroutines for other threads, as many at a time as are given. The thread does not outlive the process."""

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._serve, name=name, daemon=True).start()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Return the coroutine's result, or raise its error. Called in this loop itself, it would wait forever."""
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()  # without effect unless the wait itself was interrupted
            raise

    def close(self, cleanup: Callable[[], Awaitable[object]]) -> None:
        """Run `cleanup` in the loop, then end the loop and its thread. Returns at once, from whatever thread."""
        asyncio.run_coroutine_threadsafe(self._end(cleanup), self._loop)

    async def _end(self, cleanup: Callable[[], Awaitable[object]]) -> None:
        try:
            await cleanup()
        finally:
            self._loop.stop()

    def _serve(self) -> None:
        self._loop.run_forever()
        self._loop.close()
