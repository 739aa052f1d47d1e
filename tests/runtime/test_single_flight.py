from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from qttrag.runtime.cache import Cache
from qttrag.runtime.single_flight import CachedCalls, InFlight
from qttrag.trace import Trace

A, B = b"a", b"b"


@pytest.fixture
def calls(tmp_path: Path) -> CachedCalls[int]:
    return CachedCalls(Cache(tmp_path / "cache.sqlite"), "completion", dump=str, load=int)


class Computation:
    """Computes the lengths of keys once `may_end` is set; fails the first `failures` times."""

    def __init__(self, failures: int = 0) -> None:
        self.keys: list[bytes] = []
        self.failures = failures
        self.may_end = asyncio.Event()

    async def __call__(self, keys: list[bytes]) -> list[int]:
        self.keys += keys
        await self.may_end.wait()
        if self.failures:
            self.failures -= 1
            raise ValueError("no memory")
        return [len(key) for key in keys]


async def started(calls: CachedCalls[int], compute: Computation, *keys: list[bytes]) -> list[asyncio.Task[list[int]]]:
    tasks = [asyncio.create_task(calls.get_many(some, compute)) for some in keys]
    await asyncio.sleep(0.1)
    compute.may_end.set()
    return tasks


async def test_a_value_computed_before_an_error_is_shared_and_the_rest_is_abandoned() -> None:
    in_flight: InFlight[int] = InFlight()
    futures: list[asyncio.Future[int] | None] = []

    def fail_after_one() -> None:
        with in_flight.computing([A, B]) as values:
            futures.extend([in_flight.get(A), in_flight.get(B)])
            values[A] = 1
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        fail_after_one()
    one, other = filter(None, futures)
    assert one.result() == 1
    assert other.cancelled()
    assert in_flight.get(A) is in_flight.get(B) is None


async def test_overlapping_calls_compute_each_key_once(calls: CachedCalls[int]) -> None:
    trace, compute = Trace(), Computation()
    with trace.stage("tag"):
        tasks = await started(calls, compute, [A, B], [B, b"ccc", B])
        assert await asyncio.gather(*tasks) == [[1, 1], [1, 3, 1]]
    assert sorted(compute.keys) == [A, B, b"ccc"]
    assert trace.counts == {"tag.computed": 3, "tag.cached": 2}


async def test_an_error_of_a_single_key_is_shared(calls: CachedCalls[int]) -> None:
    compute = Computation(failures=1)
    results = await asyncio.gather(*await started(calls, compute, [A], [A]), return_exceptions=True)
    assert [str(result) for result in results] == ["no memory"] * 2
    assert compute.keys == [A]


async def test_an_error_of_several_keys_is_not_shared(calls: CachedCalls[int]) -> None:
    compute = Computation(failures=1)
    first, second = await started(calls, compute, [A, B], [B])
    with pytest.raises(ValueError, match="no memory"):
        await first
    assert await second == [1]
    assert compute.keys == [A, B, B]


async def test_when_a_call_is_cancelled_another_that_waits_takes_over(calls: CachedCalls[int]) -> None:
    compute = Computation()
    first = asyncio.create_task(calls.get(A, lambda: one(compute)))
    await asyncio.sleep(0.1)
    second = asyncio.create_task(calls.get(A, lambda: one(compute)))
    await asyncio.sleep(0.1)
    first.cancel()
    compute.may_end.set()
    assert await second == 1
    assert compute.keys == [A, A]


async def one(compute: Computation) -> int:
    return (await compute([A]))[0]
