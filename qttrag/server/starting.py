"""Loading the models of a service: each stage on its own, with lines in the log, and again after a failure."""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from collections.abc import Mapping, MutableMapping, Sequence

from qttrag.errors import QttragError
from qttrag.protocols import Startable

_LOG = logging.getLogger("qttrag.server")
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 60.0  # between attempts; doubled by each failure


async def start_stage(name: str, parts: Sequence[Startable], states: MutableMapping[str, str]) -> None:
    """Load the parts of a stage, and try again until it succeeds. `states[name]`: "loading", "failed" or "ready"."""
    states[name] = "loading"
    pause = _FIRST_PAUSE_S
    while not await _attempt(name, parts, states, pause):
        await asyncio.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE_S)


async def _attempt(
    name: str, parts: Sequence[Startable], states: MutableMapping[str, str], next_attempt: float
) -> bool:
    """Return whether the stage is ready. `next_attempt`: seconds until then, for the log."""
    _LOG.info("stage loading", extra={"stage": name})
    started = time.perf_counter()
    try:
        await asyncio.gather(*(part.start() for part in parts))
    except Exception as error:
        states[name] = "failed"
        unexpected = None if isinstance(error, QttragError) else error
        fields = {"stage": name, "cause": str(error), "next_attempt_s": next_attempt}
        _LOG.error("stage failed", exc_info=unexpected, extra=fields)
        return False
    states[name] = "ready"
    _LOG.info("stage ready", extra={"stage": name, "seconds": round(time.perf_counter() - started, 2)})
    return True


class KeptFromCollection:
    """Takes all that a process has loaded out of garbage collection, once, as soon as every stage is ready.

    A full collection looks at each object of torch and its like; that takes 0.1 s, in which no socket is read."""

    def __init__(self, states: Mapping[str, str]) -> None:
        self._states = states
        self._done = False

    async def __call__(self) -> None:
        if not self._done and all(state == "ready" for state in self._states.values()):
            gc.collect()
            gc.freeze()
            self._done = True
