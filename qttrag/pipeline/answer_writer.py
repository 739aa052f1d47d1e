"""The last verb: the prompt that fits, the answer as it streams, and what can be said of it afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from qttrag import trace as tracing
from qttrag.errors import BrokenOff, StageError
from qttrag.generators.completion_stream import CompletionStream
from qttrag.pipeline import citations
from qttrag.pipeline.context_budget import Block, Fitted, fit
from qttrag.prompts import FALLBACK, AnswerPrompt, TagPrompt
from qttrag.runtime.tasks import closing
from qttrag.types import (
    RESTART,
    UNDETERMINED,
    Answer,
    Completion,
    Decoding,
    Event,
    Lang,
    LanguageCheck,
    Message,
    Query,
    TaggedPassage,
)

if TYPE_CHECKING:
    from qttrag.pipeline.stages import Stages

Style = Literal["plain", "tagged"]
_BEGUN_AGAIN = 2  # times that an answer which broke off is begun anew
_LONGER = 2  # an abstention may have so many times the letters of the sentence asked for


@dataclass
class Answering:
    """One answer in the making. `style` and `show_scores` as in `Stages.answer`."""

    stages: Stages
    query: Query
    passages: Sequence[TaggedPassage]
    style: Style
    show_scores: bool
    prompt: AnswerPrompt = field(init=False)

    def __post_init__(self) -> None:
        self.prompt = self.stages.prompts.answer(self.query.lang)

    async def answer(self) -> Answer:
        fitted = await self._fitted()
        completion = await self._streamed(fitted.messages)
        check: LanguageCheck = "off"
        if self.stages.guard is not None and completion.text:
            completion, check = await self._guarded(completion, fitted.messages)
            tracing.count(f"language_{check.replace(' ', '_')}")
        self._note_ending(completion)
        answer = Answer(
            self.query,
            completion.text,
            self.query.lang,
            tuple(self.passages),
            self.stages.trace,
            language_check=check,
            finish_reason="length" if completion.cut else "stop",
            reasoning=completion.reasoning.strip() or None,
        )
        return self._cited(answer, fitted)

    def _note_ending(self, completion: Completion) -> None:
        limit = self.stages.answer_tokens
        if not completion.text and completion.reasoning.strip():
            how = f"used its {limit} tokens for" if completion.cut else "sent nothing but"
            tracing.note(
                f"the answer is empty: the generator {how} reasoning; "
                "raise `answer_tokens:` or set `thinking: false` of the generator"
            )
        elif not completion.text:
            tracing.note("the generator's answer is empty")
        elif completion.cut:
            tracing.note(f"the answer was cut at its limit of {limit} tokens; raise `answer_tokens:`")

    async def _fitted(self) -> Fitted:
        stages, lang = self.stages, self.query.lang
        context = await asyncio.to_thread(lambda: stages.generator.context)  # the model may have to be fetched
        repairs = stages.guard is not None and stages.guard.repairs
        room = stages.answer_tokens * (2 if repairs else 1)  # asking again quotes the first answer
        fitted = await fit(
            blocks(self.passages, lang, self.prompt, stages.prompts.tag(lang), self.style, self.show_scores),
            lambda made: self.prompt.messages(self.query.text, made, style=self.style, cite=stages.citations),
            count=stages.generator.count_tokens,
            limit=context - room - (_tokens_of_repair(self.prompt) if repairs else 0),
        )
        tracing.count("sentences_left_out", fitted.sentences_left_out)
        if fitted.sentences_left_out:
            tracing.note(_left_out(fitted))
        return fitted

    async def _streamed(self, messages: Sequence[Message]) -> Completion:
        """Return the answer, emitted as it comes; one that breaks off is begun anew.

        Raises:
            StageError: the generator failed, or broke off once too often."""
        for attempt in range(1 + _BEGUN_AGAIN):
            try:
                async with closing(self.stages.generator.generate(messages, self._decoding)) as stream:
                    text = await self._emitted(stream)
                whole = stream.completion if isinstance(stream, CompletionStream) else None
                tracing.reasoning(whole.reasoning if whole else "")
                return replace(whole or Completion(text), text=text)
            except BrokenOff as error:
                if attempt == _BEGUN_AGAIN:
                    raise
                tracing.count("restarted")
                tracing.note(f"the answer was begun anew: {error}")
                self.stages.emit(Event("restarted", text=str(error)))
        raise AssertionError("the last attempt returns or raises")

    async def _emitted(self, stream: AsyncIterator[str]) -> str:
        """Return the text of a stream, without white space around it; emit it as it comes."""
        pieces: list[str] = []
        async for piece in stream:
            if piece is RESTART:
                if pieces:
                    self.stages.emit(Event("restarted", text="the text so far was the model's reasoning"))
                pieces = []
            elif said := piece if pieces else piece.lstrip():
                pieces.append(said)
                self.stages.emit(Event("piece", text=said))
        return "".join(pieces).rstrip()

    @property
    def _decoding(self) -> Decoding:
        return Decoding(max_tokens=self.stages.answer_tokens)

    async def _guarded(self, completion: Completion, messages: Sequence[Message]) -> tuple[Completion, LanguageCheck]:
        """Return the answer in the language asked for, as far as it can be had, and how."""
        guard, lang, text = self.stages.guard, self.query.lang, completion.text
        assert guard is not None  # noqa: S101  the caller looked
        judged = await guard.judge(text, lang)
        if judged.outcome != "wrong":
            return completion, judged.outcome
        tracing.count("language_was_wrong")
        words = f"the answer was in another language ({judged.detected})"
        if not guard.repairs:
            tracing.note(words)
            return completion, "wrong"
        self.stages.emit(Event("restarted", text=words))
        again = await self._streamed(self.prompt.repair_messages(messages, text))
        judged_again = await guard.judge(again.text, lang)
        if again.text and judged_again.outcome != "wrong":
            tracing.note(f"{words}; it was asked for again")
            return again, "asked again"
        translated = await self._translated(text, judged.detected)
        self.stages.emit(Event("restarted", text=words))
        self.stages.emit(Event("piece", text=translated or text))
        tracing.note(f"{words}, twice; " + ("it was translated" if translated else "it is given as it was"))
        return (replace(completion, text=translated), "translated") if translated else (completion, "wrong")

    async def _translated(self, text: str, source: Lang) -> str:
        if self.stages.translator is None or source == UNDETERMINED:
            return ""
        try:
            (translation,) = await self.stages.translator.translate([text], [source], self.query.lang)
        except StageError as error:
            tracing.note(f"the answer could not be translated: {error}")
            return ""
        return "" if "empty" in translation.flags else translation.text

    def _cited(self, answer: Answer, fitted: Fitted) -> Answer:
        """Return the answer with what it rests on, or that it says there is nothing for it to rest on."""
        given = {
            number: "\n".join(filter(None, (passage.reading_text, passage.refined)))
            for number, passage in enumerate(self.passages, 1)
            if number not in fitted.unread
        }
        checked = citations.check(answer.text, given)
        text = checked.text if self.stages.citations else answer.text  # unasked, brackets may be anything
        if self._abstains(checked.bare):
            tracing.count("abstained")
            return replace(answer, text=text, abstained=True)
        found = checked.citations
        tracing.count("citations", len(found.passages))
        tracing.count("citations_of_no_passage", len(found.unknown))
        if found.unknown:
            tracing.note(f"the answer cited passages it was not given: {', '.join(map(str, found.unknown))}")
        return replace(answer, text=text, citations=found)

    def _abstains(self, text: str) -> bool:
        """Return whether the answer is the sentence for "not in the passages", in its language or in English."""
        said = citations.plain(text)
        sentences = {self.prompt.unknown, self.stages.prompts.answer(FALLBACK).unknown}
        asked = [citations.plain(sentence) for sentence in sentences]
        return any(sentence in said and len(said) <= _LONGER * len(sentence) for sentence in asked)


def blocks(
    passages: Sequence[TaggedPassage],
    target: Lang,
    prompt: AnswerPrompt,
    tag: TagPrompt,
    style: Style,
    show_scores: bool,
) -> list[Block]:
    made = []
    for number, passage in enumerate(passages, 1):

        def render(body: str, number: int = number, passage: TaggedPassage = passage) -> str:
            return prompt.block(number, passage, body, style=style, show_scores=show_scores, tag=tag)

        def render_refined(body: str, number: int = number) -> str:
            return prompt.refined(number, body)

        lang = passage.passage.lang if passage.translation is None else target
        made.append(Block(number, render, passage.reading_text, lang))
        if passage.refined is not None:
            made.append(Block(number, render_refined, passage.refined, target))
    return made


def _tokens_of_repair(prompt: AnswerPrompt) -> int:
    return len(prompt.repair.encode()) + 32  # a byte a token and the role tokens of two turns, on the safe side


def _left_out(fitted: Fitted) -> str:
    parts = [
        f"{'passage' if len(numbers) == 1 else 'passages'} {', '.join(map(str, numbers))} {what}"
        for numbers, what in ((fitted.unread, "left out"), (fitted.cut, "cut"))
        if numbers
    ]
    return f"{' and '.join(parts)}: {fitted.sentences_left_out} sentences did not fit into the generator's context"
