"""Admission of requests: slots and a queue, keys, rates."""

from __future__ import annotations

import asyncio
import hmac
import math
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from qttrag.server.errors import RequestRejected

if TYPE_CHECKING:
    from qttrag.config.server_settings import ServerSettings

_SMOOTHING = 0.2  # weight of the latest request in the moving mean of the duration


class Admission:
    """At most `in_flight` requests at once and `queue` more that wait in order; further requests are rejected."""

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
            RequestRejected: 429, with the seconds after which a slot should be free."""
        if self._slots.locked() and self.waiting >= self._queue:
            after = math.ceil(self._seconds * (1 + self.waiting / self._in_flight))
            raise RequestRejected(
                429,
                "overloaded",
                f"{self.working} requests are in progress and {self.waiting} are waiting; try again in {after} s",
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
            self._seconds += _SMOOTHING * (time.monotonic() - started - self._seconds)
            self._slots.release()


class Keys:
    """The API keys of clients, from the environment; compared in constant time."""

    def __init__(self, variable: str) -> None:
        self.variable = variable
        self._keys = [key.strip().encode() for key in os.environ.get(variable, "").split(",") if key.strip()]

    def __bool__(self) -> bool:
        return bool(self._keys)

    def check(self, authorization: str) -> None:
        """Raise `RequestRejected` unless the header contains one of the keys or no keys are set."""
        if not self._keys:
            return
        scheme, _, key = authorization.partition(" ")
        given = key.strip().encode("utf-8", "replace")
        matching = [hmac.compare_digest(given, each) for each in self._keys]
        if scheme.lower() != "bearer" or not any(matching):
            raise RequestRejected(401, "invalid_api_key", "a valid API key is required: Authorization: Bearer ...")


class Rate:
    """The rate limit of one client, by key or address."""

    def __init__(self, rate: str | None) -> None:
        import limits

        self._limit = None if rate is None else limits.parse(rate)
        self._windows = limits.strategies.MovingWindowRateLimiter(limits.storage.MemoryStorage())

    def check(self, client: str) -> None:
        """Raise `RequestRejected` if the client has used up its requests."""
        if self._limit is None or self._windows.hit(self._limit, client):
            return
        after = max(1, math.ceil(self._windows.get_window_stats(self._limit, client).reset_time - time.time()))
        raise RequestRejected(
            429, "rate_limited", f"at most {self._limit} requests; try again in {after} s", retry_after=after
        )


def keys_and_rate(settings: ServerSettings) -> tuple[Keys, Rate]:
    return Keys(settings.api_keys_env), Rate(settings.rate)
