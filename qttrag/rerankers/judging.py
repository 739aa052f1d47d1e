"""What rerankers that are language models have in common: prompts that fit, settings, and scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from qttrag import trace
from qttrag.errors import ConfigError, InputError
from qttrag.prompts import FALLBACK, Prompts, RankPrompt
from qttrag.protocols import Generator
from qttrag.types import Completion, Decoding, Hit, Message, Query

_LEAST_CHARACTERS = 40  # of a passage; with fewer it cannot be judged
_MARGIN = 0.95  # of the length that should fit: tokens are not spread evenly over a text


class Judge:
    """A language model that is asked about passages. `prompt_lang`: "en", or "query" for the language of the question.

    `max_tokens`: of a reply."""

    def __init__(self, generator: Generator, prompts: Prompts, *, prompt_lang: str, max_tokens: int) -> None:
        if max_tokens < 1:
            raise ConfigError(f"reranker: `max_tokens: {max_tokens}` is too small; set it to 1 or more")
        self._generator = generator
        self._prompts = prompts
        self._prompt_lang = prompt_lang
        self._max_tokens = max_tokens

    def prompt(self, query: Query) -> RankPrompt:
        return self._prompts.rerank(query.lang if self._prompt_lang == "query" else FALLBACK)

    async def ask(
        self, texts: Sequence[str], assemble: Callable[[list[str]], list[Message]], schema: dict[str, object] | None
    ) -> Completion:
        """Return the reply to the chat that `assemble` makes of the texts, greedy; the longest are cut until it fits.

        Raises:
            InputError: it does not fit even with 40 characters of each. StageError: the generator failed."""
        messages = assemble(await self._fitted(texts, assemble))
        completion = await self._generator.complete(messages, Decoding(max_tokens=self._max_tokens, schema=schema))
        trace.reasoning(completion.reasoning)
        if completion.cut and completion.reasoning and not completion.text.strip():
            trace.note(
                f"the reranker's model used its {self._max_tokens} tokens for reasoning",
                details="raise `max_tokens:` of the reranker or set `thinking: false` of its generator",
            )
        return completion

    async def _fitted(self, texts: Sequence[str], assemble: Callable[[list[str]], list[Message]]) -> list[str]:
        room = self._generator.context - self._max_tokens
        longest, fitted = max(map(len, texts)), list(texts)
        while (needed := await self._generator.count_tokens(assemble(fitted))) > room:
            if longest <= _LEAST_CHARACTERS:
                raise InputError(
                    f"reranker: a prompt with {_LEAST_CHARACTERS} characters of each passage has {needed} tokens, the "
                    f"generator has room for {room}; ask a shorter question, lower the `window:` of a listwise "
                    "reranker, or raise the generator's `context:`"
                )
            longest = max(_LEAST_CHARACTERS, min(longest - 1, int(longest * max(room, 0) / needed * _MARGIN)))
            fitted = [text[:longest] for text in texts]
        trace.count("truncated", sum(len(short) < len(text) for short, text in zip(fitted, texts, strict=True)))
        return fitted


def in_order(hits: Sequence[Hit]) -> list[Hit]:
    """Return the hits, whose order is the result, with the scores 1, 1/2, 1/3, ...: the reciprocal ranks."""
    return [Hit(hit.passage, 1 / rank) for rank, hit in enumerate(hits, 1)]
