from __future__ import annotations

import asyncio

import pytest

from qttrag.runtime.tasks import gather_or_cancel


async def double(n: int) -> int:
    await asyncio.sleep(0)
    if n < 0:
        raise ValueError(f"negative: {n}")
    return 2 * n


async def test_results_are_in_order() -> None:
    assert await gather_or_cancel(double(n) for n in (3, 1, 2)) == [6, 2, 4]
    assert await gather_or_cancel([]) == []


async def test_the_first_error_is_raised_as_it_is_and_cancels_the_others() -> None:
    ended = asyncio.Event()

    async def waiting() -> int:
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()
        return 0

    with pytest.raises(ValueError, match="negative: -1"):
        await gather_or_cancel([waiting(), double(-1)])
    assert ended.is_set()


async def test_a_cancelled_caller_cancels_its_tasks() -> None:
    work = asyncio.ensure_future(gather_or_cancel([asyncio.sleep(60)]))
    await asyncio.sleep(0)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
