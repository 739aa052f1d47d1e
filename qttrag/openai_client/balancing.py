"""The servers behind one model: which of them is asked, how many calls it has in flight, and when it is left alone."""

from __future__ import annotations

import asyncio
import math
import re
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from qttrag import trace
from qttrag.errors import StageUnavailable

if TYPE_CHECKING:
    import openai

_FAILURES = 5  # in a row, and a server is left alone
_REST_S, _LONGEST_REST_S = 0.5, 4.0  # at first, doubled with each failed try; short beside the start of a server
_LOOK_S = 1.0  # between two looks at a server's queue
_WAITING = re.compile(r"^vllm:num_requests_waiting\{.*?\} (\S+)$", re.MULTILINE)


class Breaker:
    """Says whether a server may be called: not for a while after failures in a row, then by one call that tries."""

    def __init__(self, *, failures: int = _FAILURES, rest_s: float = _REST_S) -> None:
        self.has_worked = False
        self._failures = failures
        self._first_rest_s = rest_s
        self._in_a_row = 0
        self._rest_s = rest_s
        self._rests_until = 0.0
        self._trying = False

    @property
    def is_open(self) -> bool:
        return self._in_a_row >= self._failures

    @property
    def lets_through(self) -> bool:
        return not self.is_open or (not self._trying and time.monotonic() >= self._rests_until)

    def begin(self) -> bool:
        """Say that a call goes out; return whether it is the one that tries."""
        self._trying = self._trying or self.is_open
        return self.is_open

    def succeeded(self) -> None:
        self.has_worked = True
        self._in_a_row, self._rest_s, self._trying = 0, self._first_rest_s, False

    def failed(self) -> None:
        was_open, self._trying = self.is_open, False
        self._in_a_row += 1
        if was_open:
            self._rest_s = min(2 * self._rest_s, _LONGEST_REST_S)
        self._rests_until = time.monotonic() + self._rest_s

    def left(self) -> None:
        """Take note that the call that tried has ended, if only because its caller left."""
        self._trying = False


class Slots:
    """Calls that may be in flight at once: `most`, fewer after refusals, one more after each round that went well.

    First come, first served."""

    def __init__(self, most: int) -> None:
        self.in_use = 0
        self.limit = float(most)
        self._most = most
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
                self.release()  # the turn had come already
            raise

    def release(self) -> None:
        self.in_use -= 1
        self._admit()

    def went_well(self) -> None:
        self.limit = min(self._most, self.limit + 1 / self.limit)
        self._admit()

    def shrink(self, share: float) -> None:
        """Let `share` of what is in flight now be the limit: a limit far above it would say nothing."""
        self.limit = max(1.0, math.floor(min(self.limit, self.in_use) * share))

    def _admit(self) -> None:
        while self._waiting and self.in_use < int(self.limit):
            turn = self._waiting.popleft()
            if not turn.done():
                self.in_use += 1
                turn.set_result(None)


class Server:
    """One base URL. `refuses_schema`: it has said that it takes no JSON schema."""

    def __init__(self, base_url: str, client: openai.AsyncOpenAI, in_flight: int) -> None:
        self.base_url = base_url
        self.client = client
        self.breaker = Breaker()
        self.slots = Slots(in_flight)
        self.refuses_schema = False
        self._tells_queue = True
        self._looked = 0.0

    async def look(self) -> None:
        """Take fewer calls where most of them only wait in the server's queue, as vLLM's metrics tell it.

        At most once a second, and only when many calls are in flight; other servers are asked once."""
        import openai

        now = time.monotonic()
        if not self._tells_queue or self.slots.in_use <= self.slots.limit / 2 or now - self._looked < _LOOK_S:
            return
        self._looked = now
        try:
            root = self.base_url.removesuffix("/v1")
            told = await self.client.get(f"{root}/metrics", cast_to=str, options={"timeout": _LOOK_S})
            waiting = [float(number) for number in _WAITING.findall(told)]
        except openai.APIConnectionError:  # it has no time for this now
            return
        except openai.OpenAIError:
            waiting = []
        self._tells_queue = bool(waiting)
        if sum(waiting) > self.slots.in_use / 2:
            self.slots.shrink(0.8)
            trace.count("queued_at_server")


class Pool:
    """The servers of one model, of which each call is given the least busy that works."""

    def __init__(self, servers: Sequence[Server]) -> None:
        self.servers = servers

    def serving(self) -> list[Server]:
        return [server for server in self.servers if server.breaker.lets_through]

    @asynccontextmanager
    async def server(self, *, until: float, but: Server | None = None) -> AsyncIterator[Server]:
        """Hold a call's place at a server; `but` is taken only where there is no other.

        One that has worked is waited for until the monotonic time `until`.

        Raises:
            StageUnavailable: no server may be called by then."""
        server = await self._place(until, but)
        tries = server.breaker.begin()
        try:
            yield server
        finally:
            if tries:
                server.breaker.left()
            server.slots.release()

    async def _place(self, until: float, but: Server | None) -> Server:
        while True:
            server = await self._choose(until, but)
            await server.slots.acquire()
            if server.breaker.lets_through:
                return server
            server.slots.release()  # it failed while this call waited

    async def _choose(self, until: float, but: Server | None) -> Server:
        while not (able := self.serving()):
            if time.monotonic() >= until or not any(server.breaker.has_worked for server in self.servers):
                urls = ", ".join(server.base_url for server in self.servers)
                raise StageUnavailable(
                    "generator",
                    f"{urls}: {_FAILURES} calls in a row failed, so it is left alone for some seconds; "
                    "start it again or look at its log",
                )
            await asyncio.sleep(0.1)
        others = [server for server in able if server is not but] or able
        return min(others, key=lambda server: server.slots.in_use / server.slots.limit)
