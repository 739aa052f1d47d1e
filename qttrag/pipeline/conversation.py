"""Fits the turns of a chat into the generator's context: the newest ones."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from qttrag import trace
from qttrag.types import Message


async def newest_that_fit(
    turns: Sequence[Message],
    assemble: Callable[[Sequence[Message]], list[Message]],
    *,
    count: Callable[[Sequence[Message]], Awaitable[int]],
    limit: int,
) -> list[Message]:
    """Return the most turns, from the end, with which the prompt of `assemble` has at most `limit` tokens.

    Without any turn it may still be longer; then there is none to return."""
    fits, too_many = 0, len(turns) + 1
    n = len(turns)  # all of them, in most chats
    while too_many - fits > 1:
        if await count(assemble(turns[len(turns) - n :])) <= limit:
            fits = n
        else:
            too_many = n
        n = (fits + too_many) // 2
    if omitted := len(turns) - fits:
        trace.count("turns_left_out", omitted)
        how_many = "1 earlier turn was" if omitted == 1 else f"{omitted} earlier turns were"
        trace.note(f"{how_many} left out: the generator's context has no room for more")
    return list(turns[omitted:])
