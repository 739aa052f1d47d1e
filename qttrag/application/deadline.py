"""The deadline of one request: cancel its work when the time is up, and say what was done by then."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from qttrag.errors import DeadlineExceeded
from qttrag.types import PartialAnswer


@asynccontextmanager
async def deadline(seconds: float | None, partial: Callable[[], PartialAnswer], *, way_out: str) -> AsyncIterator[None]:
    """Cancel the block after `seconds`; None: never. `way_out`: what the user can do about it.

    Raises:
        DeadlineExceeded: the time was up."""
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            yield
    except TimeoutError as error:
        if seconds is None or not limit.expired():
            raise
        raise DeadlineExceeded(seconds, partial(), way_out=way_out) from error
