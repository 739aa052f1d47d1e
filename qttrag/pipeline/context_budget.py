"""Fits passages into the generator's context: whole sentences, the best passages first."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple
from unicodedata import normalize

from qttrag.errors import InputError
from qttrag.types import Lang, Message

_TEMPLATE = 256  # tokens that a chat template may add, with a system turn of its own


@dataclass(frozen=True)
class Block:
    """A text for the generator to read. `render` adds the header to a beginning of `body`.

    `number`: the passage that the text belongs to; a passage may have several blocks."""

    number: int
    render: Callable[[str], str]
    body: str
    lang: Lang


class FittedPrompt(NamedTuple):
    """A prompt and the sentences it lacks. `omitted`, `shortened`: numbers of the passages that lack all or some."""

    messages: list[Message]
    sentences_omitted: int
    omitted: list[int]
    shortened: list[int]


async def fit(
    blocks: Sequence[Block],
    assemble: Callable[[Sequence[str]], list[Message]],
    *,
    count: Callable[[Sequence[Message]], Awaitable[int]],
    limit: int,
) -> FittedPrompt:
    """Return the longest prompt of at most `limit` tokens that `assemble` builds from the blocks' first sentences.

    Sentences are omitted from the end of the last block backwards, so the first blocks stay whole longest; a block
    without any sentence is omitted with its header.

    Raises:
        InputError: the prompt is too long even without passages."""
    whole = assemble([block.render(block.body) for block in blocks])
    if _at_most(whole) <= limit or await count(whole) <= limit:
        return FittedPrompt(whole, 0, [], [])
    sentences = [_sentences(block) for block in blocks]
    bare = await count(assemble([]))
    if bare > limit:
        what = (
            f"the question needs a prompt of {bare} tokens, the generator has room for {limit}; ask a shorter question"
        )
        raise InputError(f"{what} or raise the generator's `context:`", public=what)
    total = sum(map(len, sentences))
    fits, too_many = 0, total
    while too_many - fits > 1:
        middle = (fits + too_many) // 2
        if await count(assemble(_first(blocks, sentences, middle))) <= limit:
            fits = middle
        else:
            too_many = middle
    bodies = _first(blocks, sentences, fits)
    included = {block.number for block in blocks[: len(bodies)]}
    incomplete = _incomplete(blocks, sentences, fits)
    return FittedPrompt(
        assemble(bodies),
        total - fits,
        omitted=[number for number in incomplete if number not in included],
        shortened=[number for number in incomplete if number in included],
    )


def _at_most(messages: Sequence[Message]) -> int:
    """Return a number of tokens that no tokenizer exceeds: a token has a byte or more of the text, or of the text
    normalised as some tokenizers do.

    So most prompts need no tokenizer, which takes seconds to load in a process that finds its answer in the cache."""
    texts = [message["content"] for message in messages]
    return _TEMPLATE + sum(max(len(text.encode()), len(normalize("NFKC", text).encode())) for text in texts)


def _incomplete(blocks: Sequence[Block], sentences: Sequence[Sequence[str]], n: int) -> list[int]:
    """Return the passages that the first `n` sentences do not contain in full."""
    ends = accumulate(map(len, sentences))
    return list(dict.fromkeys(block.number for block, end in zip(blocks, ends, strict=True) if end > n))


def _first(blocks: Sequence[Block], sentences: Sequence[Sequence[str]], n: int) -> list[str]:
    """Return the blocks, rendered, with the first `n` sentences of all."""
    rendered = []
    for block, own in zip(blocks, sentences, strict=True):
        if n <= 0:
            break
        rendered.append(block.render("".join(own[:n]).rstrip()))
        n -= len(own)
    return rendered


def _sentences(block: Block) -> list[str]:
    import sentencex

    return list(sentencex.segment(block.lang.split("-")[0], block.body)) or [block.body]
