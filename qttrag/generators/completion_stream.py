"""A completion that streams as text and is known as a whole at its end."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Self

from qttrag.types import Completion, Piece


class CompletionStream:
    """An asynchronous iterator over the text of a completion, as `Generator.generate` returns it.

    `completion`: the whole, once the iterator has come to its end; None before."""

    def __init__(self, pieces: AsyncGenerator[Piece]) -> None:
        self.completion: Completion | None = None
        self._pieces = pieces
        self._received: list[Piece] = []

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str:
        async for piece in self._pieces:
            self._received.append(piece)
            if piece.text:
                return piece.text
        self.completion = _joined(self._received)
        raise StopAsyncIteration

    async def aclose(self) -> None:
        await self._pieces.aclose()

    async def whole(self) -> Completion:
        """Read the stream from its beginning to its end and return the completion."""
        return _joined([piece async for piece in self._pieces])


def _joined(pieces: list[Piece]) -> Completion:
    return Completion(
        "".join(piece.text for piece in pieces),
        cut=any(piece.cut for piece in pieces),
        tokens=tuple(token for piece in pieces for token in piece.tokens),
    )
