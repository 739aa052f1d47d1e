"""A completion that streams as text and is known as a whole at its end."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from typing import Self

from qttrag.text.reasoning import ReasoningSeparator, Separated
from qttrag.types import RESTART, Completion, Piece, Token, Usage


class CompletionStream:
    """An asynchronous iterator over the text of a completion, as `Generator.generate` returns it.

    It yields `RESTART` where the text so far was reasoning.
    `completion`: the whole, once the iterator has come to its end; None before."""

    def __init__(self, pieces: AsyncGenerator[Piece]) -> None:
        self.completion: Completion | None = None
        self._pieces = pieces
        self._received: list[Piece] = []
        self._next_text = ""

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str:
        if self._next_text:
            text, self._next_text = self._next_text, ""
            return text
        async for piece in self.pieces():
            if piece.restart:
                self._next_text = piece.text
                return RESTART
            if piece.text:
                return piece.text
        raise StopAsyncIteration

    async def pieces(self) -> AsyncIterator[Piece]:
        """Yield the pieces, to their end or as far as they are wanted."""
        async for piece in self._pieces:
            self._received.append(piece)
            yield piece
        self.completion = joined(self._received)

    async def aclose(self) -> None:
        await self._pieces.aclose()

    async def whole(self) -> Completion:
        """Read the stream from its beginning to its end and return the completion."""
        return joined([piece async for piece in self._pieces])


async def as_pieces(texts: AsyncIterator[str]) -> AsyncGenerator[Piece]:
    """Yield the pieces of a stream of plain text."""
    async for text in texts:
        yield Piece(text, restart=text is RESTART)


async def separated(
    pieces: AsyncIterator[Piece], separator: ReasoningSeparator, on_restart: Callable[[], None] = lambda: None
) -> AsyncGenerator[Piece]:
    """Yield the pieces with the reasoning apart from the text. `on_restart`: is called before a restart."""
    cut = False
    async for piece in pieces:
        cut = cut or piece.cut
        found = separator.feed(piece.text)
        if found.restart:
            on_restart()
        yield _with(piece, found)
    yield _with(Piece("", cut=cut), separator.finish(cut=cut))


def _with(piece: Piece, found: Separated) -> Piece:
    return piece._replace(text=found.answer, reasoning=piece.reasoning + found.reasoning, restart=found.restart)


def joined(pieces: Sequence[Piece]) -> Completion:
    """Return the completion that the pieces make."""
    last = max((n for n, piece in enumerate(pieces) if piece.restart), default=0)
    text = "".join(piece.text for piece in pieces[last:])
    tokens = [token for piece in pieces for token in piece.tokens]
    return Completion(
        text,
        cut=any(piece.cut for piece in pieces),
        tokens=_tokens_of(text, tokens),
        reasoning="".join(piece.reasoning for piece in pieces),
        usage=max((piece.usage for piece in pieces), default=Usage()),
    )


def _tokens_of(text: str, tokens: Sequence[Token]) -> tuple[Token, ...]:
    """Return the tokens without those before the text, which are reasoning or markers."""
    whole = "".join(token.text for token in tokens)
    start = 0 if whole.startswith(text) and text else whole.rfind(text)
    if start <= 0:
        return tuple(tokens)
    kept, end = list[Token](), 0
    for token in tokens:
        end += len(token.text)
        if end > start:
            kept.append(Token(token.text[-(end - start) :], token.alternatives) if not kept else token)
    return tuple(kept)
