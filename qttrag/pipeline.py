"""The verbs that strategies are written in: search, translate, tag, refine, answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

from qttrag import trace as tracing
from qttrag.budget import Block, Fitted, fit
from qttrag.concurrency import together
from qttrag.errors import ConfigError
from qttrag.prompts import AnswerPrompt, Prompts, TagPrompt
from qttrag.stages import Generator, QualityTagger, Reranker, Retriever, Translator
from qttrag.trace import Trace
from qttrag.types import UNDETERMINED, Answer, Decoding, Lang, Message, Query, TaggedPassage

Style = Literal["plain", "tagged"]


class Event(NamedTuple):
    """Progress of one question: the passages after a step, or a piece of the answer."""

    kind: Literal["ranked", "translated", "tagged", "refined", "piece"]
    passages: tuple[TaggedPassage, ...] = ()
    text: str = ""


def ignore(event: Event) -> None:
    """Do nothing with an event."""


@dataclass(frozen=True)
class Stages:
    """A deployment's models, seen from one question: `trace` and `emit` are that question's own."""

    retriever: Retriever
    reranker: Reranker
    translator: Translator | None
    tagger: QualityTagger | None
    generator: Generator
    prompts: Prompts
    depth: int = 50
    top_k: int = 5
    answer_tokens: int = 128
    trace: Trace = field(default_factory=Trace)
    emit: Callable[[Event], None] = ignore

    async def search(self, query: Query, *, top_k: int | None = None) -> list[TaggedPassage]:
        """Return the best passages, best first: `depth` retrieved, all reranked, `top_k` kept."""
        with self.trace.stage("retrieve"):
            hits = await self.retriever.retrieve(query, self.depth)
            tracing.count("passages", len(hits))
            if not hits:
                tracing.note("no passage was found")
        with self.trace.stage("rerank"):
            ranked = await self.reranker.rerank(query, hits)
        rank = {hit.passage: number for number, hit in enumerate(hits, 1)}
        passages = [
            TaggedPassage(hit.passage, score=hit.score, retrieved_rank=rank[hit.passage])
            for hit in ranked[: self.top_k if top_k is None else top_k]
        ]
        self.emit(Event("ranked", tuple(passages)))
        return passages

    async def translate(self, passages: Sequence[TaggedPassage], target: Lang) -> list[TaggedPassage]:
        """Return the passages with a translation for each that is not in `target` already."""
        foreign = [n for n, p in enumerate(passages) if _is_foreign(p, target)]
        with self.trace.stage("translate"):
            unknown = sum(p.passage.lang == UNDETERMINED for p in passages)
            tracing.count("language_unknown", unknown)
            if unknown:
                tracing.note(f"{unknown} passages of unknown language are read as they are")
            translations = (
                await self._translator().translate(
                    [passages[n].passage.content for n in foreign], [passages[n].passage.lang for n in foreign], target
                )
                if foreign
                else []
            )
        translated = list(passages)
        for n, translation in zip(foreign, translations, strict=True):
            translated[n] = replace(passages[n], translation=translation.text, flags=translation.flags)
        self.emit(Event("translated", tuple(translated)))
        return translated

    async def translate_query(self, query: Query, target: Lang) -> Query:
        """Return the query with its text in `target`; the language to answer in stays."""
        if _same(query.lang, target):
            return query
        with self.trace.stage("translate_query"):
            (translation,) = await self._translator().translate([query.text], [query.lang], target)
            for flag in translation.flags:
                tracing.note(f"the question's translation is doubtful: {flag}")
        return replace(query, text=translation.text or query.text)

    async def tag(self, passages: Sequence[TaggedPassage], target: Lang) -> list[TaggedPassage]:
        """Return the passages with quality scores, or the cause why there are none, for each translation."""
        to_score = [(n, p, p.translation) for n, p in enumerate(passages) if p.translation is not None]
        tagged = list(passages)
        with self.trace.stage("tag"):
            if to_score:
                verdicts = await self._tagger().score(
                    [p.passage.content for _, p, _ in to_score],
                    [translation for _, _, translation in to_score],
                    [p.passage.lang for _, p, _ in to_score],
                    target,
                )
                for (n, p, _), verdict in zip(to_score, verdicts, strict=True):
                    tagged[n] = replace(p, scores=verdict.scores, unscored=verdict.cause)
        self.emit(Event("tagged", tuple(tagged)))
        return tagged

    async def refine(self, query: Query, passages: Sequence[TaggedPassage], decoding: Decoding) -> list[TaggedPassage]:
        """Return the passages, each with the generator's rewriting of what is to be read of it."""
        with self.trace.stage("refine"):
            prompt = self.prompts.refine(query.lang)
            texts = await together(self._complete(prompt.messages(query.text, _body(p)), decoding) for p in passages)
            tracing.count("empty", texts.count(""))
        refined = [replace(p, refined=text or None) for p, text in zip(passages, texts, strict=True)]
        self.emit(Event("refined", tuple(refined)))
        return refined

    async def answer(
        self, query: Query, passages: Sequence[TaggedPassage], *, style: Style = "plain", show_scores: bool = True
    ) -> Answer:
        """Return the generator's answer from the passages, streamed through `emit` as it comes.

        `style` "plain" shows passages under a bare number; "tagged" says of each whether it is an original or a
        translation, with its scores unless `show_scores` is off, and how to weigh them."""
        decoding = Decoding(max_tokens=self.answer_tokens)
        with self.trace.stage("answer"):
            prompt, tag = self.prompts.answer(query.lang), self.prompts.tag(query.lang)
            context = await asyncio.to_thread(lambda: self.generator.context)  # the model may have to be fetched
            fitted = await fit(
                _blocks(passages, query.lang, prompt, tag, style=style, show_scores=show_scores),
                lambda blocks: prompt.messages(query.text, blocks, style=style),
                count=self.generator.count_tokens,
                limit=context - self.answer_tokens,
            )
            tracing.count("sentences_left_out", fitted.sentences_left_out)
            if fitted.sentences_left_out:
                tracing.note(_left_out(fitted))
            pieces: list[str] = []
            async for piece in self.generator.generate(fitted.messages, decoding):
                if said := piece if pieces else piece.lstrip():
                    pieces.append(said)
                    self.emit(Event("piece", text=said))
            text = "".join(pieces).rstrip()
            if not text:
                tracing.note("the generator's answer is empty")
        return Answer(query, text, query.lang, tuple(passages), self.trace)

    async def stand_alone(self, question: str, said: Sequence[Message], lang: Lang) -> str:
        """Return the last question of a chat as one that can be understood alone; itself if the generator has none."""
        with self.trace.stage("condense"):
            messages = self.prompts.condense(lang).messages(question, said)
            return await self._complete(messages, Decoding(max_tokens=self.answer_tokens)) or question

    async def _complete(self, messages: Sequence[Message], decoding: Decoding) -> str:
        return "".join([piece async for piece in self.generator.generate(messages, decoding)]).strip()

    def _translator(self) -> Translator:
        if self.translator is None:
            raise ConfigError("this strategy needs a translator; add `translator: {kind: nllb, ...}` to the deployment")
        return self.translator

    def _tagger(self) -> QualityTagger:
        if self.tagger is None:
            raise ConfigError("this strategy needs a tagger; add `tagger: {kind: llm}` to the deployment")
        return self.tagger


def _same(one: Lang, other: Lang) -> bool:
    return one.split("-")[0] == other.split("-")[0]  # a script or region apart is still readable


def _is_foreign(passage: TaggedPassage, target: Lang) -> bool:
    return passage.passage.lang != UNDETERMINED and not _same(passage.passage.lang, target)


def _body(passage: TaggedPassage) -> str:
    return passage.passage.content if passage.translation is None else passage.translation


def _left_out(fitted: Fitted) -> str:
    parts = [
        f"{'passage' if len(numbers) == 1 else 'passages'} {', '.join(map(str, numbers))} {what}"
        for numbers, what in ((fitted.unread, "left out"), (fitted.cut, "cut"))
        if numbers
    ]
    return f"{' and '.join(parts)}: {fitted.sentences_left_out} sentences did not fit into the generator's context"


def _blocks(
    passages: Sequence[TaggedPassage],
    target: Lang,
    prompt: AnswerPrompt,
    tag: TagPrompt,
    *,
    style: Style,
    show_scores: bool,
) -> list[Block]:
    blocks = []
    for number, passage in enumerate(passages, 1):

        def render(body: str, number: int = number, passage: TaggedPassage = passage) -> str:
            return prompt.block(number, passage, body, style=style, show_scores=show_scores, tag=tag)

        def render_refined(body: str, number: int = number) -> str:
            return prompt.refined(number, body)

        lang = passage.passage.lang if passage.translation is None else target
        blocks.append(Block(number, render, _body(passage), lang))
        if passage.refined is not None:
            blocks.append(Block(number, render_refined, passage.refined, target))
    return blocks
