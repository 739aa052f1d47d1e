"""Fitting passages into the generator's context by whole sentences, best passages first."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

from qttrag.errors import InputError
from qttrag.types import Lang, Message


@dataclass(frozen=True)
class Block:
    """A text the generator is to read: `render` puts its header before whatever is kept of `body`.

    `number`: the passage it is of, which may have several."""

    number: int
    render: Callable[[str], str]
    body: str
    lang: Lang


class Fitted(NamedTuple):
    """The prompt, and how many sentences were left out of it: with the passages `unread`, and of those `cut`."""

    messages: list[Message]
    sentences_left_out: int
    unread: list[int]
    cut: list[int]


async def fit(
    blocks: Sequence[Block],
    assemble: Callable[[Sequence[str]], list[Message]],
    *,
    count: Callable[[Sequence[Message]], Awaitable[int]],
    limit: int,
) -> Fitted:
    """Return the longest prompt of at most `limit` tokens that `assemble` makes of the blocks' first sentences.

    Sentences go from the end of the last block on, so the first blocks stay whole the longest; a block that
    lost all of them is left out with its header.

    Raises:
        InputError: the prompt is too long even without any passage."""
    whole = assemble([block.render(block.body) for block in blocks])
    if await count(whole) <= limit:
        return Fitted(whole, 0, [], [])
    sentences = [_sentences(block) for block in blocks]
    total = sum(map(len, sentences))
    bare = await count(assemble([]))
    if bare > limit:
        raise InputError(
            f"the question needs a prompt of {bare} tokens, the generator has room for {limit}; "
            "ask a shorter question or raise the generator's `context:`"
        )
    fits, too_many = 0, total
    while too_many - fits > 1:
        middle = (fits + too_many) // 2
        if await count(assemble(_first(blocks, sentences, middle))) <= limit:
            fits = middle
        else:
            too_many = middle
    kept = _first(blocks, sentences, fits)
    shown = {block.number for block in blocks[: len(kept)]}
    lacking = _lacking(blocks, sentences, fits)
    return Fitted(
        assemble(kept), total - fits, [n for n in lacking if n not in shown], [n for n in lacking if n in shown]
    )


def _lacking(blocks: Sequence[Block], sentences: Sequence[Sequence[str]], n: int) -> list[int]:
    """Return the passages of which the first `n` sentences are not all."""
    ends = accumulate(map(len, sentences))
    return list(dict.fromkeys(block.number for block, end in zip(blocks, ends, strict=True) if end > n))


def _first(blocks: Sequence[Block], sentences: Sequence[Sequence[str]], n: int) -> list[str]:
    kept = []
    for block, parts in zip(blocks, sentences, strict=True):
        if n <= 0:
            break
        kept.append(block.render("".join(parts[:n]).rstrip()))
        n -= len(parts)
    return kept


def _sentences(block: Block) -> list[str]:
    import sentencex

    return list(sentencex.segment(block.lang.split("-")[0], block.body)) or [block.body]
