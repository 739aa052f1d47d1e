"""How many requests are worked on, how many wait, and what the others are told."""

from __future__ import annotations

import asyncio
import hmac
import math
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from qttrag.server.errors import Refusal

if TYPE_CHECKING:
    from qttrag.config.server_settings import ServerSettings

_MEMORY = 0.2  # weight of the latest request in the mean of how long one takes


class Admission:
    """`in_flight` requests at once, `queue` beside them waiting in order; whoever comes on top is refused."""

    def __init__(self, in_flight: int, queue: int) -> None:
        self._slots = asyncio.Semaphore(in_flight)
        self._in_flight = in_flight
        self._queue = queue
        self._seconds = 1.0
        self.waiting = 0
        self.working = 0

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Hold a slot during the block.

        Raises:
            Refusal: 429 with the seconds after which there should be room."""
        if self._slots.locked() and self.waiting >= self._queue:
            after = math.ceil(self._seconds * (1 + self.waiting / self._in_flight))
            raise Refusal(
                429,
                "overloaded",
                f"{self.working} requests are being worked on and {self.waiting} wait; try again in {after} s",
                retry_after=after,
            )
        self.waiting += 1
        try:
            await self._slots.acquire()
        finally:
            self.waiting -= 1
        self.working += 1
        started = time.monotonic()
        try:
            yield
        finally:
            self.working -= 1
            self._seconds += _MEMORY * (time.monotonic() - started - self._seconds)
            self._slots.release()


class Keys:
    """The keys that clients may use, from the environment; compared in constant time."""

    def __init__(self, variable: str) -> None:
        self.variable = variable
        self._keys = [key.strip().encode() for key in os.environ.get(variable, "").split(",") if key.strip()]

    def __bool__(self) -> bool:
        return bool(self._keys)

    def check(self, authorization: str) -> None:
        """Raise `Refusal` unless the header holds one of the keys, or there are none."""
        if not self._keys:
            return
        scheme, _, key = authorization.partition(" ")
        given = key.strip().encode("utf-8", "replace")
        matching = [hmac.compare_digest(given, each) for each in self._keys]
        if scheme.lower() != "bearer" or not any(matching):
            raise Refusal(401, "invalid_api_key", "a valid API key is needed: Authorization: Bearer ...")


class Rate:
    """Requests that one client may make, by key or address."""

    def __init__(self, rate: str | None) -> None:
        import limits

        self._limit = None if rate is None else limits.parse(rate)
        self._windows = limits.strategies.MovingWindowRateLimiter(limits.storage.MemoryStorage())

    def check(self, client: str) -> None:
        """Raise `Refusal` where the client has made all the requests it may."""
        if self._limit is None or self._windows.hit(self._limit, client):
            return
        after = max(1, math.ceil(self._windows.get_window_stats(self._limit, client).reset_time - time.time()))
        raise Refusal(429, "rate_limited", f"at most {self._limit} requests; try again in {after} s", retry_after=after)


def keys_and_rate(settings: ServerSettings) -> tuple[Keys, Rate]:
    return Keys(settings.api_keys_env), Rate(settings.rate)
