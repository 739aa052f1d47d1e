"""Refusal of questions while all slots and the whole queue are taken, at the least cost: before everything else."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import TYPE_CHECKING, Any

from qttrag.server.errors import response_to

if TYPE_CHECKING:
    from qttrag.server.admission import Admission
    from qttrag.server.metrics import Metrics
    from qttrag.server.middleware import Receive, Scope, Send

_LOG = logging.getLogger("qttrag.server")
_LOG_INTERVAL_S = 1.0


class OverloadMiddleware:
    """ASGI middleware, the outermost one: answers 429 to questions without a look at them.

    Refusals have no id, no span and no log line of their own; one line a second has their number."""

    def __init__(self, app: Any, *, admission: Admission, metrics: Metrics) -> None:
        self._app = app
        self._admission = admission
        self._counter = metrics.requests.labels("refused", "429")
        self._refused = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST" or not self._admission.is_full:
            await self._app(scope, receive, send)
            return
        self._count()
        status, body, headers = response_to(self._admission.rejection())
        raw = [(b"content-type", b"application/json"), *((k.encode(), v.encode()) for k, v in headers.items())]
        await send({"type": "http.response.start", "status": status, "headers": raw})
        await send({"type": "http.response.body", "body": json.dumps(body).encode()})

    def _count(self) -> None:
        self._counter.inc()
        if self._refused == 0:
            asyncio.get_running_loop().call_later(_LOG_INTERVAL_S, self._report)
        self._refused += 1

    def _report(self) -> None:
        refused, self._refused = self._refused, 0
        _LOG.warning("requests refused", extra={"refused": refused, "in_progress": self._admission.working})
