"""Results by content key: equal calls are computed once, at the same time and later."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Generic, NamedTuple, TypeVar

from qttrag import trace
from qttrag.runtime.result_cache import Entries

T = TypeVar("T")


class InFlight(Generic[T]):
    """The computations in progress, by key. One event loop at a time."""

    def __init__(self) -> None:
        self._futures: dict[bytes, asyncio.Future[T]] = {}

    def get(self, key: bytes) -> asyncio.Future[T] | None:
        """Return the future of a computation in progress.

        It has the value, or the error of a computation of this key alone. It is cancelled if the computation is
        cancelled, or fails together with that of other keys, any of which may be the cause."""
        return self._futures.get(key)

    @contextmanager
    def computing(self, keys: Collection[bytes]) -> Iterator[dict[bytes, T]]:
        """Claim the keys, none of which may be in progress. The block puts their values into the dict.

        The end of the block, even by an error, resolves the futures and releases the keys."""
        loop = asyncio.get_running_loop()
        futures: dict[bytes, asyncio.Future[T]] = {key: loop.create_future() for key in keys}
        self._futures |= futures
        values: dict[bytes, T] = {}
        try:
            yield values
        except Exception as error:
            if len(futures) == 1 and not values:
                (future,) = futures.values()
                future.set_exception(error)
                future.exception()  # marks it as retrieved, since perhaps nobody waits for it
            raise
        finally:
            for key, future in futures.items():
                del self._futures[key]
                if key in values:
                    future.set_result(values[key])
                elif not future.done():
                    future.cancel()


class Round(NamedTuple, Generic[T]):
    """The known `values`, by key, and the `missing` keys, which the block has to compute and add to `values`."""

    values: dict[bytes, T]
    missing: list[bytes]


class CachedCalls(Generic[T]):
    """Computes only the results that are neither in the cache nor being computed by another call.

    `dump` and `load` convert a result to the text that is stored under `kind` and back. `keep`: whether to store it.
    Counts: computed; cached (from the cache or from another call); cache_unreadable (entries that `load` rejects, which
    are computed again)."""

    def __init__(
        self,
        cache: Entries,
        kind: str,
        *,
        dump: Callable[[T], str],
        load: Callable[[str], T],
        keep: Callable[[T], bool] = lambda result: True,
    ) -> None:
        self._cache = cache
        self._kind = kind
        self._dump = dump
        self._load = load
        self._keep = keep
        self._in_flight: InFlight[T] = InFlight()

    async def get_many(
        self, keys: Sequence[bytes], compute: Callable[[list[bytes]], Awaitable[Sequence[T]]]
    ) -> list[T]:
        """Return a result for each key, in the keys' order. `compute` returns the results of the keys it is given.

        Raises:
            Exception: from `compute`, of this call or of another that computed the same single key."""
        results: dict[bytes, T] = {}
        computed: set[bytes] = set()
        while open_keys := list(dict.fromkeys(key for key in keys if key not in results)):
            async with self.round(open_keys) as round_:
                if round_.missing:
                    trace.count("computed", len(round_.missing))
                    round_.values.update(zip(round_.missing, await compute(round_.missing), strict=True))
            computed.update(round_.missing)
            results |= round_.values
        trace.count("cached", sum(key not in computed for key in keys))
        return [results[key] for key in keys]

    async def get(self, key: bytes, compute: Callable[[], Awaitable[T]]) -> T:
        """Return the result for one key, as `get_many` does."""

        async def compute_one(keys: list[bytes]) -> list[T]:
            return [await compute()]

        (result,) = await self.get_many([key], compute_one)
        return result

    @asynccontextmanager
    async def round(self, keys: Collection[bytes]) -> AsyncIterator[Round[T]]:
        """Claim the keys that no other call computes and look them up in the cache; if there are none, wait for all.

        Values that the block adds are stored when it ends without an error. Keys that are in neither `values` nor
        `missing` afterwards need another round.

        Raises:
            Exception: another call failed to compute one of the keys alone."""
        free = [key for key in keys if self._in_flight.get(key) is None]
        if not free:
            yield Round(await self._wait(keys), [])
            return
        with self._in_flight.computing(free) as values:
            values |= await asyncio.to_thread(self._stored, free)
            missing = [key for key in free if key not in values]
            yield Round(values, missing)
            if fresh := {key: values[key] for key in missing if key in values and self._keep(values[key])}:
                await asyncio.to_thread(self._store, fresh)

    async def _wait(self, keys: Collection[bytes]) -> dict[bytes, T]:
        futures = {key: future for key in keys if (future := self._in_flight.get(key)) is not None}
        await asyncio.wait(futures.values())
        return {key: future.result() for key, future in futures.items() if not future.cancelled()}

    def _store(self, values: Mapping[bytes, T]) -> None:
        self._cache.put_many(self._kind, {key: self._dump(value) for key, value in values.items()})

    def _stored(self, keys: Sequence[bytes]) -> dict[bytes, T]:
        values = self._cache.get_many(self._kind, keys)
        loaded: dict[bytes, T] = {}
        for key, value in zip(keys, values, strict=True):
            if value is None:
                continue
            try:
                loaded[key] = self._load(value)
            except (ValueError, TypeError, LookupError):  # another version, or another program, may have written it
                trace.count("cache_unreadable")
                trace.note("an entry of the cache cannot be read", details=f"{self._kind} {key.hex()}")
        return loaded
