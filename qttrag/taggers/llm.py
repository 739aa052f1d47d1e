"""Scoring translations with a language model, in the language they are in."""

from __future__ import annotations

from collections.abc import Sequence

from qttrag import trace
from qttrag.concurrency import together
from qttrag.errors import StageError
from qttrag.prompts import Prompts, TagPrompt
from qttrag.stages import Generator
from qttrag.taggers.verdicts import SCHEMA, parse
from qttrag.types import Decoding, Lang, Message, Verdict


class LLMTagger:
    """Tagger kind `llm`.

    Each translation is one greedy call under a JSON schema; a reply that cannot be read is asked for once more,
    then the translation is unscored. `generator`: the deployment's own unless given.
    Counts: scored, retried, unscored.<cause> with the causes empty, unreadable, range, unavailable."""

    def __init__(self, *, generator: Generator, prompts: Prompts, max_tokens: int = 64) -> None:
        self._generator = generator
        self._prompts = prompts
        self._decoding = Decoding(max_tokens=max_tokens, schema=SCHEMA)

    async def score(
        self, originals: Sequence[str], translations: Sequence[str], source: Sequence[Lang], target: Lang
    ) -> list[Verdict]:
        prompt = self._prompts.tag(target)
        verdicts = await together(
            self._verdict(prompt, original, translation, lang)
            for original, translation, lang in zip(originals, translations, source, strict=True)
        )
        for verdict in verdicts:
            trace.count("scored" if verdict.scores else f"unscored.{verdict.cause}")
        return verdicts

    async def _verdict(self, prompt: TagPrompt, original: str, translation: str, source: Lang) -> Verdict:
        if not translation.strip():
            return Verdict(None, "empty")
        messages = prompt.messages(original, translation, source)
        try:
            reply = await self._reply(messages)
            verdict = parse(reply, prompt.names)
            if verdict.scores is None:
                trace.count("retried")
                verdict = parse(await self._reply(prompt.retry_messages(messages, reply)), prompt.names)
            return verdict
        except StageError as error:
            trace.note(f"translations are unscored: {error}")
            return Verdict(None, "unavailable")

    async def _reply(self, messages: Sequence[Message]) -> str:
        return "".join([piece async for piece in self._generator.generate(messages, self._decoding)])
