"""Writes an answer: the prompt that fits the context, the streamed text, and the checks of that text."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from qttrag import trace as tracing
from qttrag.errors import BrokenOff, StageError
from qttrag.generators.completion_stream import CompletionStream
from qttrag.pipeline import citations
from qttrag.pipeline.answer_translation import translate_text
from qttrag.pipeline.context_budget import Block, FittedPrompt, fit
from qttrag.pipeline.language_guard import LanguageGuard
from qttrag.prompts import FALLBACK, AnswerPrompt, PromptForm, Prompts, Style, TagForm
from qttrag.protocols import Generator, Translator
from qttrag.runtime.tasks import closing
from qttrag.text.scripts import scripts_of, written_in
from qttrag.trace import Trace
from qttrag.types import (
    RESTART,
    UNDETERMINED,
    Answer,
    AnswerStyle,
    Completion,
    Decoding,
    Event,
    Lang,
    LanguageCheck,
    Message,
    Query,
    Quotation,
    TaggedPassage,
)

_RESTARTS = 2  # per answer, after the generator broke off
_ABSTENTION_LENGTH = 2  # times the letters of the sentence that the prompt asks for


@dataclass(frozen=True)
class AnswerWriter:
    """Writes answers with one generator.

    `translator` None: an answer in a wrong language stays in it. `guard` None: no answer's language is checked.
    `style`: of the answers. `max_tokens`: per answer. `citations`: ask for the numbers of the passages.
    `extractive`: a short answer is copied from the passages, or is the prompt's sentence for "not in the passages", if
    all are read in the language of the answer. `form`: of the prompts.
    `emit`: receives the pieces of the answer, and "restarted" when those before are void."""

    generator: Generator
    prompts: Prompts
    translator: Translator | None
    guard: LanguageGuard | None
    style: AnswerStyle
    max_tokens: int
    citations: bool
    extractive: bool
    emit: Callable[[Event], None]
    form: PromptForm = field(default_factory=PromptForm)

    async def write(
        self,
        query: Query,
        passages: Sequence[TaggedPassage],
        style: Style,
        trace: Trace,
        *,
        tag_form: TagForm = "of_five",
    ) -> Answer:
        """Return the answer to `query` from `passages`, in the language of the query if the guard repairs answers.

        Raises:
            InputError: the question alone does not fit into the generator's context.
            StageError: the generator failed, or broke off more than twice."""
        prompt = self.prompts.answer(query.lang)
        fitted = await self._fit(query, passages, prompt, style, tag_form)
        decoding = Decoding(
            max_tokens=self.max_tokens,
            quote=self._quotation(query, passages, prompt, fitted.omitted),
            scripts=_scripts(query),
        )
        completion = await self._stream(fitted.messages, decoding)
        check: LanguageCheck = "off"
        if self.guard is not None and completion.text:
            completion, check = await self._check_language(
                self.guard, completion, query.lang, prompt, fitted.messages, decoding
            )
            tracing.count(f"language_{check.replace(' ', '_')}")
        self._note_ending(completion)
        answer = Answer(
            query,
            completion.text,
            query.lang,
            tuple(passages),
            trace,
            language_check=check,
            finish_reason="length" if completion.cut else "stop",
            reasoning=completion.reasoning.strip() or None,
        )
        return self._with_citations(answer, prompt, fitted.omitted)

    def _quotation(
        self, query: Query, passages: Sequence[TaggedPassage], prompt: AnswerPrompt, omitted: Sequence[int]
    ) -> Quotation | None:
        """Return what the answer is copied from; None: it is free, e.g. since a passage is in another language."""
        if not self.extractive or self.style != "short" or any(_is_foreign(each, query.lang) for each in passages):
            return None
        return Quotation(tuple(_texts(passages, omitted).values()), prompt.unknown)

    def _note_ending(self, completion: Completion) -> None:
        if not completion.text and completion.reasoning.strip():
            how = f"used its {self.max_tokens} tokens for" if completion.cut else "sent nothing but"
            tracing.note(
                f"the answer is empty: the generator {how} reasoning",
                details="raise `answer_tokens:` or set `thinking: false` of the generator",
            )
        elif not completion.text:
            tracing.note("the generator's answer is empty")
        elif completion.cut:
            tracing.note(
                f"the answer was cut at its limit of {self.max_tokens} tokens", details="raise `answer_tokens:`"
            )

    async def _fit(
        self, query: Query, passages: Sequence[TaggedPassage], prompt: AnswerPrompt, style: Style, tag_form: TagForm
    ) -> FittedPrompt:
        context = await asyncio.to_thread(lambda: self.generator.context)  # may download the model's configuration
        repairs = self.guard is not None and self.guard.repairs
        reserved = self.max_tokens
        if repairs:  # the second prompt quotes the first answer
            reserved += self.max_tokens + _max_repair_tokens(prompt)
        fitted = await fit(
            self._blocks(passages, query.lang, prompt, style, tag_form),
            lambda bodies: prompt.messages(
                query.text,
                bodies,
                style=style,
                answer_style=self.style,
                cite=self.citations,
                form=self.form,
                english=self.prompts.answer(FALLBACK),
            ),
            count=self.generator.count_tokens,
            limit=context - reserved,
        )
        tracing.count("sentences_left_out", fitted.sentences_omitted)
        if fitted.sentences_omitted:
            tracing.note(_describe_omissions(fitted))
        return fitted

    def _blocks(
        self, passages: Sequence[TaggedPassage], target: Lang, prompt: AnswerPrompt, style: Style, tag_form: TagForm
    ) -> list[Block]:
        tag = self.prompts.tag(target)
        blocks = []
        for number, passage in enumerate(passages, 1):
            lang = passage.passage.lang if passage.translation is None else target
            render = partial(prompt.block, number, passage, style=style, tag=tag, tag_form=tag_form)
            blocks.append(Block(number, render, passage.reading_text, lang))
            if passage.refined is not None:
                blocks.append(Block(number, partial(prompt.refined, number), passage.refined, target))
        return blocks

    async def _stream(self, messages: Sequence[Message], decoding: Decoding) -> Completion:
        """Return the completion, emitted piece by piece; restart it if the generator breaks off.

        Raises:
            StageError: the generator failed, or broke off more than twice."""
        for attempt in range(1 + _RESTARTS):
            try:
                async with closing(self.generator.generate(messages, decoding)) as stream:
                    text = await self._emit_pieces(stream)
                whole = stream.completion if isinstance(stream, CompletionStream) else None
                tracing.reasoning(whole.reasoning if whole else "")
                return replace(whole or Completion(text), text=text)
            except BrokenOff as error:
                if attempt == _RESTARTS:
                    raise
                tracing.count("restarted")
                tracing.note_error("the answer was restarted", error)
                self.emit(Event("restarted", text=error.public))
        raise AssertionError("the last attempt returns or raises")

    async def _emit_pieces(self, stream: AsyncIterator[str]) -> str:
        """Emit the text of a stream as it comes; return it without white space around it."""
        pieces: list[str] = []
        async for piece in stream:
            if piece is RESTART:
                if pieces:
                    self.emit(Event("restarted", text="the text so far was the model's reasoning"))
                pieces = []
            elif text := piece if pieces else piece.lstrip():
                pieces.append(text)
                self.emit(Event("piece", text=text))
        return "".join(pieces).rstrip()

    async def _check_language(
        self,
        guard: LanguageGuard,
        first: Completion,
        lang: Lang,
        prompt: AnswerPrompt,
        messages: Sequence[Message],
        decoding: Decoding,
    ) -> tuple[Completion, LanguageCheck]:
        """Return the answer and the outcome of the check; an answer in a wrong language is repaired if possible."""
        judged = await guard.judge(first.text, lang)
        if judged.outcome != "wrong":
            return first, judged.outcome
        tracing.count("language_was_wrong")
        problem = f"the answer was in another language ({judged.detected})"
        if not guard.repairs:
            tracing.note(problem)
            return first, "wrong"
        self.emit(Event("restarted", text=problem))
        second = await self._stream(prompt.repair_messages(messages, first.text), decoding)
        if second.text and (await guard.judge(second.text, lang)).outcome != "wrong":
            tracing.note(f"{problem}; the generator was asked again")
            return second, "asked again"
        translation = await self._translate(first.text, judged.detected, lang)
        self.emit(Event("restarted", text=problem))
        self.emit(Event("piece", text=translation or first.text))
        tracing.note(f"{problem}, twice; it was {'translated' if translation else 'left unchanged'}")
        return (replace(first, text=translation), "translated") if translation else (first, "wrong")

    async def _translate(self, text: str, source: Lang, target: Lang) -> str:
        """Return the translation of an answer; "" if there is none."""
        if self.translator is None or source == UNDETERMINED:
            return ""
        try:
            return await translate_text(self.translator, text, source, target)
        except StageError as error:
            tracing.note_error("the answer could not be translated", error)
            return ""

    def _with_citations(self, answer: Answer, prompt: AnswerPrompt, omitted: Sequence[int]) -> Answer:
        """Return the answer with the passages that it cites, or marked as an abstention."""
        checked = citations.check(answer.text, _texts(answer.context, omitted))
        text = checked.text if self.citations else answer.text  # else brackets need not be citations
        if self._abstains(checked.bare, prompt):
            tracing.count("abstained")
            return replace(answer, text=text, abstained=True)
        cited = checked.citations
        tracing.count("citations", len(cited.passages))
        tracing.count("citations_of_no_passage", len(cited.unknown))
        if cited.unknown:
            tracing.note(f"the answer cited passages it was not given: {', '.join(map(str, cited.unknown))}")
        return replace(answer, text=text, citations=cited)

    def _abstains(self, text: str, prompt: AnswerPrompt) -> bool:
        """Return whether the answer is the prompt's sentence for "not in the passages", in its language or English."""
        words = citations.plain(text)
        sentences = [citations.plain(each) for each in {prompt.unknown, self.prompts.answer(FALLBACK).unknown}]
        return any(each in words and len(words) <= _ABSTENTION_LENGTH * len(each) for each in sentences)


def _is_foreign(passage: TaggedPassage, lang: Lang) -> bool:
    return passage.translation is None and passage.passage.lang != lang


def _texts(passages: Sequence[TaggedPassage], omitted: Sequence[int]) -> dict[int, str]:
    """Return what the generator reads of each passage that is in the prompt, by number."""
    return {
        number: "\n".join(filter(None, (passage.reading_text, passage.refined)))
        for number, passage in enumerate(passages, 1)
        if number not in omitted
    }


def _scripts(query: Query) -> tuple[str, ...]:
    """Return the scripts of an answer: its language's and the question's, which may have a name in another one."""
    return tuple(sorted(written_in(query.lang) | scripts_of(query.text).keys()))


def _max_repair_tokens(prompt: AnswerPrompt) -> int:
    """Return an upper bound: a token per byte, and the role tokens of two turns."""
    return len(prompt.repair.encode()) + 32


def _describe_omissions(fitted: FittedPrompt) -> str:
    parts = [
        f"{'passage' if len(numbers) == 1 else 'passages'} {', '.join(map(str, numbers))} {what}"
        for numbers, what in ((fitted.omitted, "left out"), (fitted.shortened, "cut"))
        if numbers
    ]
    return f"{' and '.join(parts)}: {fitted.sentences_omitted} sentences did not fit into the generator's context"
