"""Runs work in a background thread, a bounded number of steps ahead of the caller or behind it."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

T = TypeVar("T")
_EXIT_SECONDS = 5.0  # time for the item in progress, say a download, when the caller leaves early


class Prefetcher(Generic[T]):
    """Iterates over `items`, producing up to `depth` of them ahead in a thread. Use with `with`.

    An error of producing an item is raised in its place."""

    def __init__(self, items: Iterator[T], *, depth: int) -> None:
        self._items = items
        self._queue: queue.Queue[tuple[T] | BaseException | None] = queue.Queue(depth)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._produce, name="qttrag-prefetch", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._closed.set()
        self._thread.join(timeout=_EXIT_SECONDS)

    def __iter__(self) -> Iterator[T]:
        while (item := self._queue.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item[0]

    def _produce(self) -> None:
        try:
            for item in self._items:
                if not self._put((item,)):
                    return
            self._put(None)
        except BaseException as error:  # raised again where the items are used
            self._put(error)

    def _put(self, item: tuple[T] | BaseException | None) -> bool:
        while not self._closed.is_set():
            try:
                self._queue.put(item, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False


class BackgroundWriter:
    """Makes calls in order in a thread, up to `depth` of them pending. Use with `with`, which waits for all.

    An error of a call is raised by a later `call`, or at the end of the `with`; calls after it are dropped."""

    def __init__(self, *, depth: int) -> None:
        self._depth = depth
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="qttrag-writer")
        self._pending: deque[Future[Any]] = deque()
        self._failed = False

    def call(self, function: Callable[..., Any], *arguments: Any, **keywords: Any) -> None:
        while len(self._pending) >= self._depth or (self._pending and self._pending[0].done()):
            self._pending.popleft().result()
        self._pending.append(self._executor.submit(self._unless_failed, partial(function, *arguments, **keywords)))

    def wait(self) -> None:
        """Return when all calls are done."""
        while self._pending:
            self._pending.popleft().result()

    def _unless_failed(self, call: Callable[[], Any]) -> None:
        if self._failed:
            return
        try:
            call()
        except BaseException:
            self._failed = True
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.wait()
        finally:
            self._executor.shutdown(wait=True, cancel_futures=True)
