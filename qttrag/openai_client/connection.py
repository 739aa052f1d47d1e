"""A client that is made when it is first used, for the event loop that uses it."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from qttrag.openai_client.client import ModelClient
from qttrag.openai_client.endpoint import Endpoint


class _Connected(NamedTuple):
    """The client, and the event loop that it belongs to."""

    loop: asyncio.AbstractEventLoop
    client: ModelClient


class Connection:
    """The connection of a stage to its servers; a stage may outlive an event loop, a client may not."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._connected: _Connected | None = None

    def client(self) -> ModelClient:
        """Return the client of the running event loop."""
        loop = asyncio.get_running_loop()
        if self._connected is None or self._connected.loop is not loop:
            self._connected = _Connected(loop, ModelClient(self._endpoint))
        return self._connected.client

    async def close(self) -> None:
        connected, self._connected = self._connected, None
        if connected is not None and connected.loop is asyncio.get_running_loop():
            await connected.client.close()
