"""Shutting down: no new questions, some time for those in progress, and an error for those that take longer."""

from __future__ import annotations

import asyncio
from types import FrameType
from typing import TYPE_CHECKING

import uvicorn

if TYPE_CHECKING:
    import socket

    from qttrag.server.service import Service

_LOOK_S = 0.05  # between two looks at the requests in progress


class DrainingServer(uvicorn.Server):
    """Listens for `drain:` seconds after the first signal, while requests in progress may end; a second one ends them.

    Meanwhile `/readyz` answers 503 and questions are refused. What is cut gets the error `shutting_down`."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service
        self._loop: asyncio.AbstractEventLoop | None = None
        self._draining: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._loop is None or not self.started or self._service.is_draining:
            self._service.cut.set()
            super().handle_exit(sig, frame)
            return
        self._service.is_draining = True
        self._loop.call_soon_threadsafe(self._begin, sig, frame)

    def _begin(self, sig: int, frame: FrameType | None) -> None:
        self._draining = asyncio.ensure_future(self._drain(sig, frame))

    async def _drain(self, sig: int, frame: FrameType | None) -> None:
        admission, loop = self._service.admission, asyncio.get_running_loop()
        end = loop.time() + self._service.settings.drain
        while (admission.working or admission.waiting) and loop.time() < end:
            await asyncio.sleep(_LOOK_S)
        self._service.cut.set()
        super().handle_exit(sig, frame)
