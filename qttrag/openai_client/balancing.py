"""Load balancing: which server of a model gets a call, how many calls each has in flight, when one is skipped."""

from __future__ import annotations

import asyncio
import math
import re
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary, WeakValueDictionary

from qttrag import trace
from qttrag.errors import StageUnavailable
from qttrag.openai_client.capabilities import Capabilities

if TYPE_CHECKING:
    import openai

_FAILURES = 5  # in a row, after which a server is skipped
_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 4.0  # the first, doubled by each failed probe; a server's start takes longer
_INTERRUPTIONS = 2  # of replies, after which a server gets one call at a time
_FIRST_HOLD = 16  # calls one at a time after that, doubled each time it happens again
_QUEUE_INTERVAL_S = 1.0  # between two readings of a server's queue
_WAITING = re.compile(r"^vllm:num_requests_waiting\{.*?\} (\S+)$", re.MULTILINE)


class CircuitBreaker:
    """Opens after several failures in a row: no calls for a pause, then one call at a time as a probe."""

    def __init__(self, *, failures: int = _FAILURES, pause_s: float = _PAUSE_S) -> None:
        self.has_succeeded = False
        self._failures = failures
        self._first_pause_s = pause_s
        self._failures_in_a_row = 0
        self._pause_s = pause_s
        self._paused_until = 0.0
        self._is_probing = False

    @property
    def is_open(self) -> bool:
        return self._failures_in_a_row >= self._failures

    @property
    def allows_call(self) -> bool:
        return not self.is_open or (not self._is_probing and time.monotonic() >= self._paused_until)

    def begin(self) -> bool:
        """Record the start of a call; return whether it is a probe."""
        self._is_probing = self._is_probing or self.is_open
        return self.is_open

    def succeeded(self) -> None:
        self.has_succeeded = True
        self._failures_in_a_row, self._pause_s, self._is_probing = 0, self._first_pause_s, False

    def failed(self) -> None:
        was_open, self._is_probing = self.is_open, False
        self._failures_in_a_row += 1
        if was_open:
            self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)
        self._paused_until = time.monotonic() + self._pause_s

    def probe_ended(self) -> None:
        """Record that the probe is over, perhaps without a result: its caller may have left."""
        self._is_probing = False


class AdaptiveConcurrencyLimit:
    """Limits the calls in flight: `maximum` at first, fewer after rejections, one more after each successful round.

    First come, first served."""

    def __init__(self, maximum: int) -> None:
        self.in_use = 0
        self.limit = float(maximum)
        self._maximum = maximum
        self._interruptions = 0
        self._hold, self._next_hold = 0, _FIRST_HOLD  # successful calls that the limit stays at one
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def acquire(self) -> None:
        if self.in_use < int(self.limit) and not self._waiting:
            self.in_use += 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.release()  # the place was granted before the cancellation
            raise

    def release(self) -> None:
        self.in_use -= 1
        self._admit()

    def grow(self) -> None:
        """Raise the limit by its share of one, after a call that succeeded."""
        if self._hold:
            self._hold -= 1
            return
        self.limit = min(self._maximum, self.limit + 1 / self.limit)
        self._admit()

    def shrink(self, share: float) -> None:
        """Set the limit to `share` of the calls in flight now, if that is below the limit."""
        self.limit = max(1.0, math.floor(min(self.limit, self.in_use) * share))

    def interrupted(self) -> bool:
        """Record that a reply stopped before its end; return whether the limit has now fallen to one.

        Some servers end a reply when another request arrives (llama-cpp-python's `interrupt_requests`). The second
        interruption with others in flight lowers the limit to one for `_FIRST_HOLD` calls. Should interruptions come
        back afterwards, the first one lowers it for twice as many: a server that has only restarted recovers."""
        if self.in_use < 2 or self._hold:
            return False
        self._interruptions += 1
        if self._interruptions < _INTERRUPTIONS:
            return False
        self.limit, self._hold, self._next_hold = 1.0, self._next_hold, 2 * self._next_hold
        return True

    def lower_maximum(self, maximum: int) -> None:
        """Set the maximum to `maximum` if it is higher."""
        self._maximum = min(self._maximum, maximum)
        self.limit = min(self.limit, float(maximum))

    def _admit(self) -> None:
        while self._waiting and self.in_use < int(self.limit):
            turn = self._waiting.popleft()
            if not turn.done():
                self.in_use += 1
                turn.set_result(None)


_LIMITS: WeakKeyDictionary[asyncio.AbstractEventLoop, WeakValueDictionary[str, AdaptiveConcurrencyLimit]]
_LIMITS = WeakKeyDictionary()


def shared_limit(base_url: str, maximum: int) -> AdaptiveConcurrencyLimit:
    """Return the limit of one address, which all models there share in an event loop; the lowest `maximum` counts."""
    limits = _LIMITS.setdefault(asyncio.get_running_loop(), WeakValueDictionary())
    limit = limits.get(base_url) or AdaptiveConcurrencyLimit(maximum)
    limits[base_url] = limit
    limit.lower_maximum(maximum)
    return limit


class Server:
    """One server with its state."""

    def __init__(self, base_url: str, client: openai.AsyncOpenAI, in_flight: int, capabilities: Capabilities) -> None:
        self.base_url = base_url
        self.client = client
        self.breaker = CircuitBreaker()
        self.concurrency = shared_limit(base_url, in_flight)
        self.capabilities = capabilities
        self._queue_read_at = 0.0

    @property
    def load(self) -> float:
        """Return the calls in flight as a share of the limit."""
        return self.concurrency.in_use / self.concurrency.limit

    def interrupted(self) -> None:
        """Record that a reply stopped before its end."""
        if self.concurrency.interrupted():
            what = "a model server breaks off replies when other requests arrive; it gets one at a time for now"
            trace.note(what, details=self.base_url)
            trace.count("limited_to_one")

    async def adapt_to_queue(self) -> None:
        """Lower the limit if most calls wait in the server's own queue, as vLLM's metrics report it.

        Reads the metrics at most once a second, only under load, and only once where there are none."""
        import openai

        now = time.monotonic()
        if not self.capabilities.queue_metrics or self.load <= 0.5 or now - self._queue_read_at < _QUEUE_INTERVAL_S:
            return
        self._queue_read_at = now
        try:
            root = self.base_url.removesuffix("/v1")
            metrics = await self.client.get(f"{root}/metrics", cast_to=str, options={"timeout": _QUEUE_INTERVAL_S})
            waiting = [float(number) for number in _WAITING.findall(metrics)]
        except openai.APIConnectionError:  # too busy to reply
            return
        except openai.OpenAIError:
            waiting = []
        self.capabilities = replace(self.capabilities, queue_metrics=bool(waiting))
        if sum(waiting) > self.concurrency.in_use / 2:
            self.concurrency.shrink(0.8)
            trace.count("queued_at_server")


class ServerPool:
    """The servers of one model. `stage`: for errors."""

    def __init__(self, servers: Sequence[Server], *, stage: str) -> None:
        self.servers = servers
        self._stage = stage

    def available(self) -> list[Server]:
        return [server for server in self.servers if server.breaker.allows_call]

    @asynccontextmanager
    async def reserve(self, *, until: float, avoid: Server | None = None) -> AsyncIterator[Server]:
        """Reserve a place for one call at the least busy server; at `avoid` only if there is no other.

        A server that succeeded before is waited for until the monotonic time `until`.

        Raises:
            StageUnavailable: no server allows a call by then."""
        server = await self._reserved(until, avoid)
        is_probe = server.breaker.begin()
        try:
            yield server
        finally:
            if is_probe:
                server.breaker.probe_ended()
            server.concurrency.release()

    async def _reserved(self, until: float, avoid: Server | None) -> Server:
        while True:
            server = await self._choose(until, avoid)
            await server.concurrency.acquire()
            if server.breaker.allows_call:
                return server
            server.concurrency.release()  # the server failed while this call waited

    async def _choose(self, until: float, avoid: Server | None) -> Server:
        while not (available := self.available()):
            if time.monotonic() >= until or not any(server.breaker.has_succeeded for server in self.servers):
                urls = ", ".join(server.base_url for server in self.servers)
                raise StageUnavailable(
                    self._stage,
                    f"{urls}: {_FAILURES} calls in a row failed, so further calls are suspended for some seconds; "
                    "restart it or check its log",
                )
            await asyncio.sleep(0.1)
        others = [server for server in available if server is not avoid] or available
        return min(others, key=lambda server: server.load)
