from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from qttrag.indexes.jobs.prefetching import BackgroundWriter, Prefetcher


def test_items_come_in_order_and_only_so_many_are_made_ahead() -> None:
    made: list[int] = []

    def items() -> Iterator[int]:
        for n in range(20):
            made.append(n)
            yield n

    with Prefetcher(items(), depth=3) as ahead:
        used = []
        for item in ahead:
            used.append(item)
            assert len(made) <= len(used) + 4  # three wait, and one is in the hand
    assert used == list(range(20))


def test_what_making_an_item_raises_comes_after_those_before_it() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("second")

    with Prefetcher(items(), depth=2) as ahead:
        used = iter(ahead)
        assert next(used) == 1
        with pytest.raises(ValueError, match="second"):
            next(used)


def test_a_reader_that_is_left_ends_its_thread() -> None:
    before = threading.active_count()
    with Prefetcher(iter(range(1000)), depth=1) as ahead:
        assert next(iter(ahead)) == 0
    assert threading.active_count() == before


def test_calls_are_made_in_order_and_all_before_the_end() -> None:
    done: list[int] = []

    def work(n: int) -> None:
        time.sleep(0.001)
        done.append(n)

    with BackgroundWriter(depth=2) as behind:
        for n in range(10):
            behind.call(work, n)
    assert done == list(range(10))


def test_what_a_call_raises_is_raised_at_the_latest_at_the_end() -> None:
    def fail() -> None:
        raise OSError("no room")

    with BackgroundWriter(depth=2) as behind:
        behind.call(fail)
        with pytest.raises(OSError, match="no room"):
            behind.wait()
    with pytest.raises(OSError, match="no room"), BackgroundWriter(depth=2) as behind:
        behind.call(fail)


def test_after_a_call_that_failed_none_is_made() -> None:
    done: list[int] = []

    def fail() -> None:
        time.sleep(0.05)  # until the next is waiting
        raise OSError("no room")

    behind = BackgroundWriter(depth=4)
    behind.call(fail)
    behind.call(done.append, 1)
    with pytest.raises(OSError, match="no room"):
        behind.wait()
    behind.wait()
    assert done == []
