from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from qttrag.indexes.jobs.prefetching import BackgroundWriter, Prefetcher


def test_items_come_in_order_and_no_more_than_depth_ahead() -> None:
    produced: list[int] = []

    def items() -> Iterator[int]:
        for n in range(20):
            produced.append(n)
            yield n

    with Prefetcher(items(), depth=3) as prefetcher:
        used = []
        for item in prefetcher:
            used.append(item)
            assert len(produced) <= len(used) + 4  # three are queued, and one is being put
    assert used == list(range(20))


def test_an_error_is_raised_after_the_items_before_it() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("second")

    with Prefetcher(items(), depth=2) as prefetcher:
        used = iter(prefetcher)
        assert next(used) == 1
        with pytest.raises(ValueError, match="second"):
            next(used)


def test_leaving_early_ends_the_thread() -> None:
    before = threading.active_count()
    with Prefetcher(iter(range(1000)), depth=1) as prefetcher:
        assert next(iter(prefetcher)) == 0
    assert threading.active_count() == before


def test_calls_are_made_in_order_and_all_before_the_end() -> None:
    done: list[int] = []

    def work(n: int) -> None:
        time.sleep(0.001)
        done.append(n)

    with BackgroundWriter(depth=2) as writer:
        for n in range(10):
            writer.call(work, n)
    assert done == list(range(10))


def test_an_error_of_a_call_is_raised_at_the_end_at_the_latest() -> None:
    def fail() -> None:
        raise OSError("no room")

    with BackgroundWriter(depth=2) as writer:
        writer.call(fail)
        with pytest.raises(OSError, match="no room"):
            writer.wait()
    with pytest.raises(OSError, match="no room"), BackgroundWriter(depth=2) as writer:
        writer.call(fail)


def test_no_call_is_made_after_a_failed_one() -> None:
    done: list[int] = []

    def fail() -> None:
        time.sleep(0.05)  # until the next is waiting
        raise OSError("no room")

    writer = BackgroundWriter(depth=4)
    writer.call(fail)
    writer.call(done.append, 1)
    with pytest.raises(OSError, match="no room"):
        writer.wait()
    writer.wait()
    assert done == []
