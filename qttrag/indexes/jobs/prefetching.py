"""Work that goes on beside other work, a bounded step ahead of it or behind it."""

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
_PATIENCE = 5.0  # seconds for what is being made, say a file that is being fetched, when nobody wants it any more


class Ahead(Generic[T]):
    """Iterates over `items`, which are made in a thread of their own, up to `depth` ahead. Use with `with`.

    What making them raises is raised where the item was awaited."""

    def __init__(self, items: Iterator[T], *, depth: int) -> None:
        self._items = items
        self._made: queue.Queue[tuple[T] | BaseException | None] = queue.Queue(depth)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._make, name="qttrag-ahead", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join(timeout=_PATIENCE)

    def __iter__(self) -> Iterator[T]:
        while (made := self._made.get()) is not None:
            if isinstance(made, BaseException):
                raise made
            yield made[0]

    def _make(self) -> None:
        try:
            for item in self._items:
                if not self._put((item,)):
                    return
            self._put(None)
        except BaseException as error:  # it is raised where the items are used
            self._put(error)

    def _put(self, made: tuple[T] | BaseException | None) -> bool:
        while not self._over.is_set():
            try:
                self._made.put(made, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False


class Behind:
    """Does one call after another in a thread of its own, up to `depth` behind. Use with `with`, which waits for all.

    What a call raises is raised by a later `call`, or at the end of the `with`; no call is made after it."""

    def __init__(self, *, depth: int) -> None:
        self._depth = depth
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="qttrag-behind")
        self._waiting: deque[Future[Any]] = deque()
        self._failed = False

    def call(self, function: Callable[..., Any], *arguments: Any, **named: Any) -> None:
        while len(self._waiting) >= self._depth or (self._waiting and self._waiting[0].done()):
            self._waiting.popleft().result()
        self._waiting.append(self._executor.submit(self._unless_failed, partial(function, *arguments, **named)))

    def wait(self) -> None:
        """Return when all calls are done."""
        while self._waiting:
            self._waiting.popleft().result()

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
