"""Scores of translations by a language model, prompted in the language of the translation."""

from __future__ import annotations

from collections.abc import Sequence

from qttrag import trace
from qttrag.errors import StageError
from qttrag.prompts import Prompts, TagPrompt
from qttrag.protocols import Generator
from qttrag.runtime.tasks import gather_or_cancel
from qttrag.taggers.critical_errors.check import Check
from qttrag.taggers.expectation import expected as expectation
from qttrag.taggers.verdicts import SCHEMA, UNREADABLE, parse
from qttrag.types import CRITERIA, Completion, Decoding, Lang, Verdict

_ALTERNATIVES = 20  # the most that OpenAI's interface allows: the ten digits and other likely tokens


class LLMTagger:
    """Tagger kind `llm`.

    One greedy call per translation under a JSON schema; after an unreadable or truncated reply one retry, then the
    translation is unscored. `generator`: by default the deployment's. `expected`: scores are expectations over the
    probabilities of the digits (if the server returns them) instead of the digits of the reply; they are finer, and
    take as many calls and tokens.
    `system_turn`: false puts the instructions into the turn of the user, as in arXiv:2510.23070; `example`: show an
    example of a reply, as there.
    `flags`: also look for critical errors (`qttrag.taggers.critical_errors`). `cap`: the highest semantic score of a
    translation with one; null: no limit.
    Counts: scored, retried, unscored.<cause> with the causes empty, unreadable, range, unavailable; as_written:
    scores taken from the reply because `expected` lacked probabilities."""

    measures = CRITERIA

    def __init__(
        self,
        *,
        generator: Generator,
        prompts: Prompts,
        max_tokens: int = 64,
        expected: bool = False,
        flags: bool = True,
        cap: float | None = None,
        system_turn: bool = True,
        example: bool = False,
    ) -> None:
        self._system_turn = system_turn
        self._example = example
        self._check = Check(flags=flags, cap=cap)
        self.generator = generator
        self._prompts = prompts
        self._expected = expected
        self._decoding = Decoding(max_tokens=max_tokens, schema=SCHEMA, alternatives=_ALTERNATIVES if expected else 0)

    async def score(
        self, originals: Sequence[str], translations: Sequence[str], source: Sequence[Lang], target: Lang
    ) -> list[Verdict]:
        prompt = self._prompts.tag(target)
        verdicts = await gather_or_cancel(
            self._verdict(prompt, original, translation, lang)
            for original, translation, lang in zip(originals, translations, source, strict=True)
        )
        for verdict in verdicts:
            trace.count("scored" if verdict.scores else f"unscored.{verdict.cause}")
        return self._check.checked(verdicts, originals, translations, source, target)

    async def _verdict(self, prompt: TagPrompt, original: str, translation: str, source: Lang) -> Verdict:
        if not translation.strip():
            return Verdict(None, "empty")
        messages = prompt.messages(original, translation, source, system_turn=self._system_turn, example=self._example)
        try:
            completion = await self.generator.complete(messages, self._decoding)
            verdict = self._read(completion, prompt)
            if verdict.scores is None:
                trace.count("retried")
                retry = prompt.retry_messages(messages, completion.text)
                verdict = self._read(await self.generator.complete(retry, self._decoding), prompt)
            return verdict
        except StageError as error:
            trace.note_error("translations are unscored", error)
            return Verdict(None, "unavailable", error)

    def _read(self, completion: Completion, prompt: TagPrompt) -> Verdict:
        trace.reasoning(completion.reasoning)
        if completion.cut and completion.reasoning and not completion.text.strip():
            trace.note(
                f"the tagger's model used its {self._decoding.max_tokens} tokens for reasoning",
                details="raise `max_tokens:` of the tagger or set `thinking: false` of its generator",
            )
        verdict = UNREADABLE if completion.cut else parse(completion.text, prompt.names)
        if verdict.scores is None or not self._expected:
            return verdict
        finer = expectation(verdict.scores, completion)
        if finer is None:
            trace.count("as_written")
            trace.note("scores are as written: the tagger's model returns too few of its probabilities")
            return verdict
        return Verdict(finer)
