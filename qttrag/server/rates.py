"""Requests per client: counted in this process, or in a Redis server for several nodes."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from qttrag.config.yaml_files import hide_secrets
from qttrag.errors import ConfigError
from qttrag.server.errors import RequestRejected

if TYPE_CHECKING:
    from limits import RateLimitItem
    from limits.storage import Storage
    from limits.strategies import RateLimiter

_LOG = logging.getLogger("qttrag.server")
_TIMEOUT_S = 0.5
_PAUSE_S = 5.0  # after a failure, without which each request would wait for the server


class Requests:
    """The requests of the last minutes by client: in the server at `url`, or without one in this process.

    While the server fails, they are counted in this process; `on_failure` is called for each failure.

    Raises:
        ConfigError: the package redis is not installed, or the URL is invalid."""

    def __init__(self, url: str | None = None, on_failure: Callable[[], None] = lambda: None) -> None:
        import limits

        self._own = limits.strategies.MovingWindowRateLimiter(limits.storage.MemoryStorage())
        self._shared = None if url is None else limits.strategies.MovingWindowRateLimiter(_shared_storage(url))
        self._on_failure = on_failure
        self._paused_until = 0.0

    async def seconds_to_wait(self, limit: RateLimitItem, *client: str) -> int:
        """Count one request; return 0 if it is within the limit, else the seconds until the next may be."""
        from limits.errors import StorageError

        if self._shared is not None and time.monotonic() >= self._paused_until:
            try:
                return await asyncio.to_thread(_seconds_to_wait, self._shared, limit, client)
            except StorageError as error:
                self._paused_until = time.monotonic() + _PAUSE_S
                self._on_failure()
                what = "the shared limits cannot be used; this node counts alone"
                _LOG.warning(what, extra={"reason": hide_secrets(str(error.storage_error))})
        return _seconds_to_wait(self._own, limit, client)


def _seconds_to_wait(limiter: RateLimiter, limit: RateLimitItem, client: tuple[str, ...]) -> int:
    if limiter.hit(limit, *client):
        return 0
    return max(1, math.ceil(limiter.get_window_stats(limit, *client).reset_time - time.time()))


def _shared_storage(url: str) -> Storage:
    import limits

    try:
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        options = {
            "socket_timeout": _TIMEOUT_S,
            "socket_connect_timeout": _TIMEOUT_S,
            "retry": Retry(NoBackoff(), 1),  # the server may have closed an idle connection
        }
        uri = url.replace("unix://", "redis+unix://", 1) if url.startswith("unix://") else url
        return limits.storage.RedisStorage(uri, key_prefix="qttrag:limits", wrap_exceptions=True, **options)  # type: ignore[arg-type]
    except ModuleNotFoundError as error:
        message = f"`server: {{limits: ...}}` needs the package '{error.name}'; pip install 'qttrag[redis]'"
        raise ConfigError(message) from error
    except ValueError as error:
        raise ConfigError(f"`server: {{limits: {hide_secrets(url)}}}`: {error}") from error


class Rate:
    """A limit of the requests of each client. `name`: of the limit, of which clients may have several."""

    def __init__(self, name: str, rate: str | None, requests: Requests) -> None:
        import limits

        self._name = name
        self._limit = None if rate is None else limits.parse(rate)
        self._requests = requests

    async def check(self, client: str) -> None:
        """Raise `RequestRejected` if the client has used up its requests."""
        if self._limit is None:
            return
        if after := await self._requests.seconds_to_wait(self._limit, self._name, client):
            message = f"at most {self._limit} requests; try again in {after} s"
            raise RequestRejected(429, "rate_limited", message, retry_after=after)
