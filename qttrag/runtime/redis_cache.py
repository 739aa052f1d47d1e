"""A cache of results by content key in a Redis server, which several nodes share."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from qttrag import trace
from qttrag.config.yaml_files import hide_secrets
from qttrag.runtime.result_cache import CacheUnusable, KindInfo, failure_as_note

_PREFIX = b"qttrag:1:"  # 1: the layout of keys and values
_PAUSE_S = 5.0  # after a failure to connect, without which each call of an answer would wait for the server in turn
_AT_ONCE = 500  # keys in one command, so that the server serves others in between
_RECONNECTIONS = 1  # the server may have closed an idle connection
_DOWN = (redis.ConnectionError, redis.TimeoutError)


class RedisCache:
    """A cache in the Redis server at `url`: redis://, rediss:// (TLS) or unix://.

    Keys are those of the SQLite cache, behind "qttrag:1:KIND:"; values are UTF-8 texts.
    `ttl`: seconds after which an entry expires; None: never. `timeout`: seconds for one command.
    Values above `max_value_bytes` are not stored. The server bounds the whole: `maxmemory` with the policy
    `allkeys-lru`. A server that is down is asked again after some seconds.
    Counts: cache_failures, cache_too_large (values that were not stored)."""

    def __init__(
        self, url: str, *, ttl: int | None = None, timeout: float = 0.5, max_value_bytes: int = 1_000_000
    ) -> None:
        self.location = str(hide_secrets(url))
        self._ttl = ttl
        self._max_value_bytes = max_value_bytes
        self._failure = ""
        self._paused_until = 0.0
        self._client = redis.Redis.from_url(  # connects at the first command
            url,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            retry=Retry(NoBackoff(), _RECONNECTIONS, supported_errors=(redis.ConnectionError,)),
            decode_responses=False,
        )

    @property
    def limit(self) -> str:
        expiry = "entries do not expire" if self._ttl is None else f"entries expire after {self._ttl:,} s"
        return f"{expiry}; `maxmemory` of the server limits the size"

    def get_many(self, kind: str, keys: Sequence[bytes]) -> list[str | None]:
        values: list[str | None] = []
        with failure_as_note("read"), self._connected() as client:
            for some in _batches(keys):
                found: Any = client.mget([_prefix(kind) + key for key in some])
                values += [None if value is None else _text(value) for value in found]
        return values if len(values) == len(keys) else [None] * len(keys)

    def put_many(self, kind: str, items: Mapping[bytes, str]) -> None:
        encoded = {key: value.encode("utf-8", "surrogatepass") for key, value in items.items()}
        stored = {key: value for key, value in encoded.items() if len(value) <= self._max_value_bytes}
        trace.count("cache_too_large", len(encoded) - len(stored))
        with failure_as_note("written"), self._connected() as client:
            for some in _batches(stored):
                pipeline = client.pipeline(transaction=False)
                for key in some:
                    pipeline.set(_prefix(kind) + key, stored[key], ex=self._ttl)
                pipeline.execute()

    def info(self) -> dict[str, KindInfo]:
        """Return the number of entries and bytes of content by kind; the server reads all its keys for it."""
        kinds: dict[str, KindInfo] = {}
        with self._connected() as client:
            for some in _batches(client.scan_iter(match=_PREFIX + b"*", count=_AT_ONCE)):
                pipeline = client.pipeline(transaction=False)
                for name in some:
                    pipeline.strlen(name)
                for name, size in zip(some, pipeline.execute(), strict=True):
                    kind = name[len(_PREFIX) :].partition(b":")[0].decode()
                    before = kinds.get(kind, KindInfo(0, 0))
                    kinds[kind] = KindInfo(before.entries + 1, before.bytes + size)
        return kinds

    def clear(self, kind: str | None = None) -> int:
        with self._connected() as client:
            removed = 0
            prefix = _PREFIX if kind is None else _prefix(kind)
            for some in _batches(client.scan_iter(match=prefix + b"*", count=_AT_ONCE)):
                unlinked: Any = client.unlink(*some)
                removed += unlinked
            return removed

    def close(self) -> None:
        self._client.close()

    @contextmanager
    def _connected(self) -> Iterator[redis.Redis]:
        """Yield the client; after a failure to reach the server, it is not asked for a while."""
        if time.monotonic() < self._paused_until:
            raise self._unusable()
        try:
            yield self._client
        except redis.RedisError as error:
            self._failure = str(error)
            if isinstance(error, _DOWN):
                self._paused_until = time.monotonic() + _PAUSE_S
            raise self._unusable() from error

    def _unusable(self) -> CacheUnusable:
        return CacheUnusable(self.location, self._failure, "start the server, or set another `cache: {url: ...}`")


def _prefix(kind: str) -> bytes:
    return _PREFIX + kind.encode() + b":"


def _text(value: bytes) -> str:
    try:
        return value.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return ""  # which is no JSON, so that the reader counts it as unreadable


def _batches(names: Iterable[bytes]) -> Iterator[list[bytes]]:
    remaining = iter(names)
    while some := list(islice(remaining, _AT_ONCE)):
        yield some
