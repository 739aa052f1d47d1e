"""Admission of requests: slots and a queue, keys, rates."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ipaddress
import math
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from qttrag.server.errors import RequestRejected
from qttrag.server.rates import Rate, Requests

if TYPE_CHECKING:
    from qttrag.config.server_settings import ServerSettings

_FAILURES = "30/minute"  # attempts with invalid keys, per address
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

    @property
    def is_full(self) -> bool:
        return self._slots.locked() and self.waiting >= self._queue

    def rejection(self) -> RequestRejected:
        """Return the error of a request that finds no place: 429, with the seconds until there should be one."""
        after = math.ceil(self._seconds * (1 + self.waiting / self._in_flight))
        message = f"{self.working} requests are in progress and {self.waiting} are waiting; try again in {after} s"
        return RequestRejected(429, "overloaded", message, retry_after=after)

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Hold a slot during the block.

        Raises:
            RequestRejected: 429, with the seconds after which a slot should be free."""
        if self.is_full:
            raise self.rejection()
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
    """The API keys of clients, from the environment; compared in constant time.

    `write_variable`: of the keys with the right to change documents."""

    def __init__(self, variable: str, write_variable: str) -> None:
        readers = _keys_in(variable)
        self._first_writer = len(readers)
        self._keys = [*readers, *_keys_in(write_variable)]

    def __bool__(self) -> bool:
        return bool(self._keys)

    def matching(self, authorization: str) -> int | None:
        """Return the number of the key in the header; None: it has none of the keys."""
        scheme, _, key = authorization.partition(" ")
        given = key.strip().encode("utf-8", "replace")
        matches = [hmac.compare_digest(given, each) for each in self._keys]
        return len(matches) - 1 - matches[::-1].index(True) if scheme.lower() == "bearer" and any(matches) else None

    def name(self, number: int) -> str:
        """Return a name of the key that several nodes have in common and that does not give it away."""
        return hashlib.sha256(b"qttrag " + self._keys[number]).hexdigest()[:32]

    def may_write(self, authorization: str) -> bool:
        """Return whether the key in the header has the right to change documents."""
        key = self.matching(authorization)
        return key is not None and key >= self._first_writer


def _keys_in(variable: str) -> list[bytes]:
    return [key.strip().encode() for key in os.environ.get(variable, "").split(",") if key.strip()]


class Clients:
    """Who may ask, and how often: by key, and without keys by address.

    `on_failure`: is called when limits that are shared with other nodes cannot be used."""

    def __init__(self, settings: ServerSettings, on_failure: Callable[[], None] = lambda: None) -> None:
        self.keys = Keys(settings.api_keys_env, settings.write_keys_env)
        requests = Requests(settings.limits, on_failure)
        self._rate = Rate("requests", settings.rate, requests)
        self._failures = Rate("invalid keys", _FAILURES, requests)

    async def check(self, authorization: str, address: str) -> None:
        """Admit one request.

        Raises:
            RequestRejected: 401, it has no valid key; 429, there were too many, valid or not."""
        if not self.keys:
            await self._rate.check(address)
            return
        key = self.keys.matching(authorization)
        if key is None:
            await self._failures.check(address)
            raise RequestRejected(401, "invalid_api_key", "a valid API key is required: Authorization: Bearer ...")
        await self._rate.check(self.keys.name(key))

    def check_write(self, authorization: str, address: str) -> None:
        """Check the right to change documents.

        Raises:
            RequestRejected: 403, the key has no such right; without keys, the client is on another machine."""
        if self.keys and not self.keys.may_write(authorization):
            raise RequestRejected(403, "no_write_right", "this API key has no right to change documents")
        if not self.keys and not _is_loopback(address):
            message = "without keys, documents can only be changed from the machine of the service"
            raise RequestRejected(403, "no_write_right", message)


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
