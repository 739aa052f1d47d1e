"""The steps that strategies consist of: search, translate, tag, refine, answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from qttrag import trace as tracing
from qttrag.errors import ConfigError, PartialHits, StageError
from qttrag.pipeline.answer_translation import translate_answer
from qttrag.pipeline.answer_writer import AnswerWriter
from qttrag.pipeline.conversation import newest_that_fit
from qttrag.pipeline.language_guard import LanguageGuard
from qttrag.pipeline.language_support import report_unsupported, score_supported
from qttrag.pipeline.original_names import OriginalNames, hidden_names
from qttrag.pipeline.tag_controls import Oracle
from qttrag.prompts import PromptForm, Prompts, Style, TagForm
from qttrag.protocols import Generator, QualityTagger, Reranker, Retriever, Translator
from qttrag.runtime.tasks import gather_or_cancel, task_group
from qttrag.text.normalization import clean
from qttrag.trace import Trace
from qttrag.types import (
    ANSWER_TOKENS,
    UNDETERMINED,
    UNSUPPORTED,
    Answer,
    AnswerStyle,
    Decoding,
    Event,
    EventKind,
    Hit,
    Lang,
    Message,
    Passage,
    Query,
    TaggedPassage,
    ignore,
)


@dataclass(frozen=True)
class Stages:
    """A deployment's models and settings, with the `trace` and `emit` of one question.

    `degrade`: answer without translations or scores if their stage is unavailable, and from the other collections if
    some are, with a note; else raise the error. `citations`: ask for the numbers of the passages. `extractive`: short
    answers are copied from the passages. `guard`: checks the language of answers; None: no check. `form`: of the answer
    prompts. `original_names`: how names of the original that a translation hides are shown beside it; None: not at all.
    `oracle`: the quality of translations by references, of an evaluation."""

    retriever: Retriever
    reranker: Reranker
    translator: Translator | None
    tagger: QualityTagger | None
    generator: Generator
    prompts: Prompts
    depth: int = 50
    top_k: int = 5
    answer_style: AnswerStyle = "short"
    answer_tokens: int = ANSWER_TOKENS["short"]
    degrade: bool = True
    citations: bool = False
    extractive: bool = False
    guard: LanguageGuard | None = None
    form: PromptForm = field(default_factory=PromptForm)
    original_names: OriginalNames | None = None
    oracle: Oracle | None = None
    trace: Trace = field(default_factory=Trace)
    emit: Callable[[Event], None] = ignore

    async def search(self, query: Query, *, top_k: int | None = None) -> list[TaggedPassage]:
        """Return the best passages, best first: `depth` retrieved, all reranked, `top_k` kept.

        The question is cleaned of typographic variants and invisible characters (`qttrag.text.normalization`)."""
        query = _cleaned(query)
        with self.trace.stage("retrieve"):
            hits = await self._retrieved(query)
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

    async def _retrieved(self, query: Query) -> list[Hit]:
        try:
            return await self.retriever.retrieve(query, self.depth)
        except PartialHits as error:
            if not self.degrade:
                raise
            tracing.note_degraded("some collections were not searched", error)
            return error.hits

    async def translate(self, passages: Sequence[TaggedPassage], target: Lang) -> list[TaggedPassage]:
        """Return the passages; those in another language than `target` have a translation.

        A passage whose language the translator does not support has the flag `UNSUPPORTED` and no translation; it is
        counted and noted, as are passages of unknown language."""
        with self.trace.stage("translate"):
            _note_unknown(passages)
            translated = await self._translated(passages, target)
            _report_unsupported(translated, target)
        self.emit(Event("translated", tuple(translated)))
        return translated

    async def tag(self, passages: Sequence[TaggedPassage], target: Lang) -> list[TaggedPassage]:
        """Return the passages; those with a translation have its quality scores, or the cause of their absence."""
        with self.trace.stage("tag"):
            tagged = await self._tagged(passages, target)
        self.emit(Event("tagged", tuple(tagged)))
        return tagged

    async def translate_and_tag(self, passages: Sequence[TaggedPassage], target: Lang) -> list[TaggedPassage]:
        """Return the result of `translate` and then `tag`; a passage is scored as soon as its translation is ready.

        In the trace, the seconds of "tag" begin after the last translation."""

        async def translated(passage: TaggedPassage) -> list[TaggedPassage]:
            with self.trace.counting("translate"):
                return await self._translated([passage], target)

        async def tagged(translating: asyncio.Task[list[TaggedPassage]]) -> list[TaggedPassage]:
            with self.trace.counting("tag"):
                return await self._tagged(await translating, target)

        async with task_group() as tasks:
            with self.trace.stage("translate"):
                _note_unknown(passages)
                translating = [tasks.create_task(translated(passage)) for passage in passages]
                tagging = [tasks.create_task(tagged(task)) for task in translating]
                translations = [(await task)[0] for task in translating]
                _report_unsupported(translations, target)
            self.emit(Event("translated", tuple(translations)))
            with self.trace.stage("tag"):
                scored = [(await task)[0] for task in tagging]
        self.emit(Event("tagged", tuple(scored)))
        return scored

    async def translate_query(self, query: Query, target: Lang) -> Query:
        """Return the query with its text in `target`; the language of the answer is unchanged."""
        if _same(query.lang, target):
            return query
        query = _cleaned(query)
        with self.trace.stage("translate_query"):
            try:
                (translation,) = await self._translator().translate([query.text], [query.lang], target)
            except StageError as error:
                if not self.degrade:
                    raise
                tracing.note_degraded("passages are searched with the question untranslated", error)
                return query
            if UNSUPPORTED in translation.flags:
                report_unsupported([query.lang], target, effect="passages are searched with the question untranslated")
                return query
            for flag in translation.flags:
                tracing.note(f"the question's translation is doubtful: {flag}")
        return replace(query, text=translation.text or query.text)

    async def translate_answer(self, answer: Answer, target: Lang) -> Answer:
        """Return the answer in `target`; unchanged, with a note, where it cannot be translated."""
        if _same(answer.lang, target):
            return answer
        if answer.abstained:
            return replace(answer, text=self.prompts.answer(target).unknown, lang=target)
        with self.trace.stage("translate_answer"):
            return await translate_answer(self._translator(), answer, target, degrade=self.degrade)

    def muted(self, *kinds: EventKind) -> Stages:
        """Return the stages without events of `kinds`: for an answer that may not be the one that is given."""
        return replace(self, emit=lambda event: None if event.kind in kinds else self.emit(event))

    async def refine(self, query: Query, passages: Sequence[TaggedPassage], decoding: Decoding) -> list[TaggedPassage]:
        """Return the passages with the generator's rewriting of their reading text."""
        with self.trace.stage("refine"):
            prompt = self.prompts.refine(query.lang)
            texts = await gather_or_cancel(
                self._complete(prompt.messages(query.text, p.reading_text), decoding) for p in passages
            )
            tracing.count("empty", texts.count(""))
        refined = [replace(p, refined=text or None) for p, text in zip(passages, texts, strict=True)]
        self.emit(Event("refined", tuple(refined)))
        return refined

    async def answer(
        self,
        query: Query,
        passages: Sequence[TaggedPassage],
        *,
        style: Style = "plain",
        tag_form: TagForm = "of_five",
    ) -> Answer:
        """Return the generator's answer from the passages, streamed through `emit`.

        `style`: "plain" shows passages under their numbers alone; "tagged" also states which are translations, their
        scores and how to weigh them; "tagged_without_scores" is the same prompt without the scores. "tagged_after" and
        "tagged_after_without_scores" have the scores after the passages. `tag_form`: how the scores are written."""
        writer = AnswerWriter(
            self.generator,
            self.prompts,
            self.translator,
            self.guard,
            style=self.answer_style,
            max_tokens=self.answer_tokens,
            citations=self.citations,
            form=self.form,
            extractive=self.extractive,
            emit=self.emit,
        )
        with self.trace.stage("answer"):
            return await writer.write(query, passages, style, self.trace, tag_form=tag_form)

    def required_oracle(self) -> Oracle:
        if self.oracle is None:
            what = "`tags: oracle` needs reference translations"
            raise ConfigError(f"{what}; name their file in the suite: `references: ./references.jsonl`", public=what)
        return self.oracle

    async def _translated(self, passages: Sequence[TaggedPassage], target: Lang) -> list[TaggedPassage]:
        foreign = [n for n, p in enumerate(passages) if _is_foreign(p, target)]
        translated = list(passages)
        if not foreign:
            return translated
        texts = [passages[n].passage.content for n in foreign]
        try:
            translations = await self._translator().translate(
                texts, [passages[n].passage.lang for n in foreign], target
            )
        except StageError as error:
            if not self.degrade:
                raise
            tracing.count("untranslated", len(foreign))
            tracing.note_degraded("passages are read untranslated", error)
            return translated
        for n, translation in zip(foreign, translations, strict=True):
            text = None if UNSUPPORTED in translation.flags else translation.text
            names = () if text is None else self._names(passages[n].passage, text, target)
            tracing.count("original_names", len(names))
            translated[n] = replace(passages[n], translation=text, flags=translation.flags, original_names=names)
        return translated

    def _names(self, passage: Passage, translation: str, target: Lang) -> tuple[str, ...]:
        return hidden_names(passage, translation, target, self.original_names) if self.original_names else ()

    async def _tagged(self, passages: Sequence[TaggedPassage], target: Lang) -> list[TaggedPassage]:
        to_score = [(n, p, p.translation) for n, p in enumerate(passages) if p.translation is not None]
        tagged = list(passages)
        if not to_score:
            return tagged
        verdicts = await score_supported(
            self._tagger(),
            [p.passage.content for _, p, _ in to_score],
            [translation for _, _, translation in to_score],
            [p.passage.lang for _, p, _ in to_score],
            target,
        )
        for (n, p, _), verdict in zip(to_score, verdicts, strict=True):
            if verdict.error is not None:
                if not self.degrade:
                    raise verdict.error
                tracing.note_degraded("translations are unscored", verdict.error)
            tagged[n] = replace(
                p, scores=verdict.scores, unscored=verdict.cause, critical_errors=verdict.critical_errors
            )
        return tagged

    async def condense_question(self, question: str, said: Sequence[Message], lang: Lang) -> str:
        """Return the last question of a chat, rewritten so that it stands alone; unchanged if that does not succeed.

        `said`: the turns before it, of which the newest that fit into the generator's context are read."""
        with self.trace.stage("condense"):
            prompt, decoding = self.prompts.condense(lang), Decoding(max_tokens=ANSWER_TOKENS["short"])
            context = await asyncio.to_thread(lambda: self.generator.context)  # may download the configuration
            read = await newest_that_fit(
                said,
                lambda turns: prompt.messages(question, turns),
                count=self.generator.count_tokens,
                limit=context - decoding.max_tokens,
            )
            if not read:
                return question
            completion = await self.generator.complete(prompt.messages(question, read), decoding)
            tracing.reasoning(completion.reasoning)
            if completion.cut or not completion.text.strip():
                how = "was cut" if completion.cut else "is empty"
                tracing.note(f"the question was searched as it stands: the generator's version of it {how}")
                return question
            return completion.text.strip()

    async def _complete(self, messages: Sequence[Message], decoding: Decoding) -> str:
        completion = await self.generator.complete(messages, decoding)
        tracing.reasoning(completion.reasoning)
        return completion.text.strip()

    def _translator(self) -> Translator:
        if self.translator is None:
            needs = "this strategy needs a translator"
            remedy = "add `translator: {kind: nllb, ...}` to the deployment"
            raise ConfigError(f"{needs}; {remedy}", public=f"{needs}, which this service lacks")
        return self.translator

    def _tagger(self) -> QualityTagger:
        if self.tagger is None:
            needs = "this strategy needs a tagger"
            remedy = "add `tagger: {kind: llm}` to the deployment"
            raise ConfigError(f"{needs}; {remedy}", public=f"{needs}, which this service lacks")
        return self.tagger


def _cleaned(query: Query) -> Query:
    return replace(query, text=clean(query.text))


def _same(one: Lang, other: Lang) -> bool:
    return one.split("-")[0] == other.split("-")[0]  # another script or region is still readable


def _is_foreign(passage: TaggedPassage, target: Lang) -> bool:
    lang = passage.passage.lang
    return lang != UNDETERMINED and not _same(lang, target) and any(map(str.isalpha, passage.passage.content))


def _report_unsupported(passages: Sequence[TaggedPassage], target: Lang) -> None:
    langs = [p.passage.lang for p in passages if UNSUPPORTED in p.flags]
    report_unsupported(langs, target, effect="passages are read untranslated")


def _note_unknown(passages: Sequence[TaggedPassage]) -> None:
    unknown = sum(p.passage.lang == UNDETERMINED for p in passages)
    tracing.count("language_unknown", unknown)
    if unknown:
        tracing.note(f"{unknown} passages of unknown language are read untranslated")
