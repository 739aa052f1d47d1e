"""Bodies of requests without lone surrogates.

JSON may escape half of a pair ("\\ud800"). Python reads it into a string that is no text: tokenizers and responses fail
on it. As in questions on the command line, "?" stands for it."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

_ESCAPED_SURROGATE = b"\\ud"


class _JSONRequest(Request):
    async def json(self) -> Any:
        value = await super().json()
        if _ESCAPED_SURROGATE not in (await self.body()).lower():
            return value
        return json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))


class JSONRoute(APIRoute):
    """The class of all routes with a JSON body."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def with_text(request: Request) -> Response:
            return await handle(_JSONRequest(request.scope, request.receive))

        return with_text
