"""Loading a model once, its errors, and its time in the trace."""

from __future__ import annotations

import asyncio
import os
import time

import pytest

from qttrag.errors import ConfigError
from qttrag.models.loading import Lazy, needing_packages
from qttrag.trace import Trace


def slow() -> str:
    time.sleep(0.2)
    return "model"


async def test_a_missing_package_is_named_with_the_way_to_install_it() -> None:
    def load() -> object:
        import qttrag_has_no_such_package  # type: ignore[import-not-found]

        return qttrag_has_no_such_package

    with pytest.raises(ConfigError, match=r"'qttrag_has_no_such_package'.*pip install 'qttrag\[models\]'"):
        await Lazy(load).get()


def test_threads_of_models_sleep_while_they_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    with needing_packages():
        assert os.environ["OMP_WAIT_POLICY"] == "PASSIVE"


def test_a_wait_policy_of_the_user_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    with needing_packages():
        assert os.environ["OMP_WAIT_POLICY"] == "ACTIVE"


async def test_a_load_is_counted_once_for_many_waiting_callers() -> None:
    trace = Trace()
    lazy = Lazy(slow)
    start = time.perf_counter()
    with trace.stage("tag"):
        await asyncio.gather(*(lazy.get() for _ in range(5)))
    assert 0.2 <= trace.seconds["load"] < 0.4
    assert trace.seconds["tag"] >= 0
    assert sum(trace.seconds.values()) <= time.perf_counter() - start


async def test_the_time_of_a_model_does_not_include_waiting_for_another() -> None:
    trace = Trace()
    with trace.stage("retrieve"):
        await asyncio.gather(Lazy(slow).get(), Lazy(slow).get())
    assert 0.4 <= trace.seconds["load"] < 0.6
    assert trace.seconds["retrieve"] >= 0


async def test_a_load_during_two_stages_is_subtracted_from_both() -> None:
    trace = Trace()

    async def tagged() -> None:
        with trace.counting("tag"):
            await Lazy(slow).get()

    with trace.stage("translate"):
        tagging = asyncio.create_task(tagged())
        await asyncio.sleep(0.1)
    with trace.stage("tag"):
        await tagging
    assert 0.15 <= trace.seconds["load"] < 0.4
    assert 0 <= trace.seconds["translate"] < 0.1
    assert 0 <= trace.seconds["tag"] < 0.1
