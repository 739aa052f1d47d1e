from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from qttrag import trace
from qttrag.runtime.background_loop import BackgroundLoop
from qttrag.trace import Trace


async def nothing() -> None:
    return None


def test_coroutines_of_several_threads_run_at_the_same_time() -> None:
    loop = BackgroundLoop("test")
    together = asyncio.Barrier(4)

    async def meet(n: int) -> int:
        await together.wait()
        return n

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(lambda n: loop.run(meet(n)), range(4))) == [0, 1, 2, 3]
    loop.close(nothing)


def test_an_error_is_raised_where_the_result_is_awaited() -> None:
    loop = BackgroundLoop("test")

    async def fail() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        loop.run(fail())
    loop.close(nothing)


def test_what_a_coroutine_counts_belongs_to_the_callers_question() -> None:
    loop, of_the_caller = BackgroundLoop("test"), Trace()

    async def count() -> None:
        trace.count("calls")

    with of_the_caller.stage("search"):
        loop.run(count())
    assert of_the_caller.counts == {"search.calls": 1}
    loop.close(nothing)


def test_closing_cleans_up_and_ends_the_thread() -> None:
    loop, cleaned = BackgroundLoop("test-closing"), threading.Event()

    async def clean() -> None:
        cleaned.set()

    (thread,) = [thread for thread in threading.enumerate() if thread.name == "test-closing"]
    loop.close(clean)
    thread.join(5)
    assert cleaned.is_set()
    assert not thread.is_alive()
