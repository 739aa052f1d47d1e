from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qttrag import trace
from qttrag.runtime.batching import Batcher
from qttrag.trace import Trace


@pytest.fixture
def device() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(max_workers=1) as executor:
        yield executor


class Doubler:
    """A device that doubles numbers, records its batches and waits for `free`."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.free = threading.Event()
        self.free.set()

    def __call__(self, items: list[int]) -> list[int]:
        assert self.free.wait(10)
        self.batches.append(items)
        if any(item < 0 for item in items):
            raise ValueError(f"negative: {items}")
        return [2 * item for item in items]


def batcher(
    run: Doubler, device: ThreadPoolExecutor, *, max_items: int = 64, max_length: int = 10**6
) -> Batcher[int, int]:
    return Batcher(run, executor=device, length=abs, max_items=max_items, max_length=max_length)


async def busy(run: Doubler, doubling: Batcher[int, int]) -> asyncio.Task[list[int]]:
    """Start a call that keeps the device busy until `run.free` is set."""
    run.free.clear()
    first = asyncio.create_task(doubling.map([1]))
    await asyncio.sleep(0.05)
    return first


async def test_a_single_call_runs_at_once(device: ThreadPoolExecutor) -> None:
    run = Doubler()
    iterations = 0

    async def ticking() -> None:
        nonlocal iterations
        while True:
            iterations += 1
            await asyncio.sleep(0.001)

    ticker = asyncio.create_task(ticking())
    assert await asyncio.wait_for(batcher(run, device).map([21]), 1) == [42]
    ticker.cancel()
    assert iterations < 50
    assert run.batches == [[21]]


async def test_calls_that_arrive_while_the_device_is_busy_share_the_next_batch(device: ThreadPoolExecutor) -> None:
    run = Doubler()
    doubling = batcher(run, device)
    first = await busy(run, doubling)
    others = [asyncio.create_task(doubling.map([n])) for n in (3, 5, 4)]
    await asyncio.sleep(0)
    run.free.set()
    assert [await task for task in (first, *others)] == [[2], [6], [10], [8]]
    assert run.batches == [[1], [5, 4, 3]]


async def test_a_batch_holds_the_longest_items_that_fit_its_length(device: ThreadPoolExecutor) -> None:
    run = Doubler()
    assert await batcher(run, device, max_length=20).map([1, 9, 2, 10, 3, 30]) == [2, 18, 4, 20, 6, 60]
    assert run.batches == [[30], [10, 9], [3, 2, 1]]


async def test_a_batch_holds_at_most_max_items(device: ThreadPoolExecutor) -> None:
    run = Doubler()
    await batcher(run, device, max_items=2).map([1, 2, 3, 4, 5])
    assert run.batches == [[5, 4], [3, 2], [1]]


async def test_a_batch_holds_items_of_one_key(device: ThreadPoolExecutor) -> None:
    run = Doubler()
    doubling = Batcher(run, executor=device, length=abs, key=lambda item: item % 2)
    assert await doubling.map([1, 2, 3, 4]) == [2, 4, 6, 8]
    assert run.batches == [[4, 2], [3, 1]]


async def test_one_bad_item_fails_alone(device: ThreadPoolExecutor) -> None:
    run = Doubler()
    doubling = batcher(run, device)
    first = await busy(run, doubling)
    good, bad, other = (asyncio.create_task(doubling.map([n])) for n in (3, -5, 4))
    await asyncio.sleep(0)
    run.free.set()
    assert [await first, await good, await other] == [[2], [6], [8]]
    with pytest.raises(ValueError, match=r"negative: \[-5\]"):
        await bad


async def test_a_cancelled_caller_is_skipped(device: ThreadPoolExecutor) -> None:
    run = Doubler()
    doubling = batcher(run, device)
    first = await busy(run, doubling)
    cancelled, waiting = asyncio.create_task(doubling.map([7])), asyncio.create_task(doubling.map([8]))
    await asyncio.sleep(0)
    cancelled.cancel()
    await asyncio.sleep(0)
    run.free.set()
    assert await first == [2]
    assert await waiting == [16]
    assert run.batches == [[1], [8]]


async def test_a_caller_cancelled_during_its_batch_does_not_disturb_the_others(device: ThreadPoolExecutor) -> None:
    run = Doubler()
    doubling = batcher(run, device)
    first = await busy(run, doubling)
    first.cancel()
    later = asyncio.create_task(doubling.map([2]))
    await asyncio.sleep(0)
    run.free.set()
    assert await asyncio.wait_for(later, 5) == [4]


async def test_a_short_item_is_not_starved_by_longer_ones_that_arrive_later(device: ThreadPoolExecutor) -> None:
    run = Doubler()
    doubling = batcher(run, device, max_items=1)
    first = await busy(run, doubling)
    short = asyncio.create_task(doubling.map([2]))
    await asyncio.sleep(0)
    run.free.set()
    await first
    longer = [asyncio.create_task(doubling.map([100 + n])) for n in range(20)]
    await asyncio.wait_for(short, 5)
    assert run.batches.index([2]) == 1
    await asyncio.gather(*longer)


async def test_a_wrong_number_of_results_is_an_error_not_a_hang(device: ThreadPoolExecutor) -> None:
    doubling: Batcher[int, int] = Batcher(lambda items: [1, 2], executor=device, length=abs)
    with pytest.raises(RuntimeError, match="1 items returned 2 results"):
        await asyncio.wait_for(doubling.map([1]), 5)


async def test_no_items_give_no_results(device: ThreadPoolExecutor) -> None:
    assert await batcher(Doubler(), device).map([]) == []


def test_a_batcher_serves_one_event_loop_after_another(device: ThreadPoolExecutor) -> None:
    doubling = batcher(Doubler(), device)
    assert [asyncio.run(doubling.map([n])) for n in (1, 2)] == [[2], [4]]


def test_a_call_left_in_a_closed_loop_does_not_block_the_next(device: ThreadPoolExecutor) -> None:
    run = Doubler()
    doubling = batcher(run, device)

    async def leave_a_call() -> None:
        await busy(run, doubling)
        asyncio.create_task(doubling.map([9])).add_done_callback(lambda task: None)
        await asyncio.sleep(0)
        run.free.set()

    asyncio.run(leave_a_call())
    assert asyncio.run(doubling.map([3])) == [6]


async def test_the_counts_of_a_batch_belong_to_no_question(device: ThreadPoolExecutor) -> None:
    of_the_caller = Trace()

    class Counting(Batcher[int, int]):
        async def _call(self, items: list[int]) -> list[int]:
            trace.count("batches")
            return items

    with of_the_caller.stage("translate"):
        await Counting(lambda items: items, executor=device, length=abs).map([1])
    assert not of_the_caller.counts


@given(
    st.lists(st.lists(st.integers(0, 50), max_size=6), max_size=8),
    st.integers(1, 8),
    st.integers(1, 100),
)
def test_every_caller_gets_its_results_in_its_order(calls: list[list[int]], max_items: int, max_length: int) -> None:
    run = Doubler()

    async def all_at_once(device: ThreadPoolExecutor) -> list[list[int]]:
        doubling = batcher(run, device, max_items=max_items, max_length=max_length)
        return await asyncio.wait_for(asyncio.gather(*(doubling.map(items) for items in calls)), 10)

    with ThreadPoolExecutor(max_workers=1) as device:
        results = asyncio.run(all_at_once(device))
    assert results == [[2 * item for item in items] for items in calls]
    assert all(len(batch) <= max_items for batch in run.batches)
    assert all(len(batch) == 1 or len(batch) * max(batch) <= max_length or max(batch) == 0 for batch in run.batches)
    assert sum(map(len, run.batches)) == sum(map(len, calls))


@pytest.mark.parametrize("items", [[1], [1, 2]])
async def test_stop_iteration_reaches_its_caller_as_another_error(device: ThreadPoolExecutor, items: list[int]) -> None:
    def run(items: list[int]) -> list[int]:
        raise StopIteration

    doubling = Batcher(run, executor=device, length=abs)
    with pytest.raises(RuntimeError, match="raised StopIteration"):
        await asyncio.wait_for(doubling.map(items), 5)


async def test_batches_for_a_server_run_at_the_same_time() -> None:
    meeting = threading.Barrier(3, timeout=5)

    def run(items: list[int]) -> list[int]:
        meeting.wait()
        return items

    with ThreadPoolExecutor(max_workers=3) as threads:
        calling = Batcher(run, executor=threads, length=abs, max_items=1, at_once=3)
        assert list(await asyncio.gather(calling.map([1, 2]), calling.map([3]))) == [[1, 2], [3]]


async def test_what_comes_while_a_server_is_busy_does_not_wait_for_it() -> None:
    meeting = threading.Barrier(2, timeout=5)

    def run(items: list[int]) -> list[int]:
        meeting.wait()
        return items

    with ThreadPoolExecutor(max_workers=2) as threads:
        calling = Batcher(run, executor=threads, length=abs, at_once=2)
        first = asyncio.create_task(calling.map([1]))
        await asyncio.sleep(0.05)
        assert await calling.map([2]) == [2]
        assert await first == [1]
