"""An open deployment, which answers questions.

async with Application.open("server/laptop.yaml") as application:
    answer = await application.ask("백야는 언제 끝나나요?")
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType

from qttrag.application.deadline import deadline
from qttrag.application.factory import Builder, strategy_options
from qttrag.application.rehearsal import Rehearsals
from qttrag.config import deployment as config
from qttrag.config.deployment import Spec
from qttrag.errors import InputError, unknown
from qttrag.pipeline.language_guard import LanguageGuard
from qttrag.pipeline.stages import Stages
from qttrag.prompts import PromptForm, Prompts
from qttrag.protocols import Closable, LanguageDetector, Selectable, Startable
from qttrag.runtime.open_cache import open_cache
from qttrag.runtime.result_cache import ResultCache
from qttrag.text.language_in_context import language_in_context
from qttrag.text.languages import language
from qttrag.text.normalization import clean
from qttrag.trace import Note, Trace
from qttrag.types import (
    UNDETERMINED,
    Answer,
    AnswerStyle,
    AskLimits,
    AskRequest,
    Event,
    Lang,
    Message,
    PartialAnswer,
    Query,
    ignore,
)

_EARLIER_TEXTS = 20  # of a conversation, that its language is taken from


@dataclass(frozen=True)
class Application:
    """The stages of one deployment, shared by all its questions; used in one event loop at a time."""

    deployment: config.Deployment
    stages: Stages
    detector: LanguageDetector
    cache: ResultCache | None
    parts: Sequence[tuple[str, object]]
    """Every model and server with the name of its stage."""
    rehearsals: Rehearsals = field(default_factory=Rehearsals, init=False, repr=False, compare=False)

    @classmethod
    def open(cls, deployment: config.Deployment | str | Path) -> Application:
        """Build the stages; models load on first use, or in `start`.

        Raises:
            ConfigError: the deployment is invalid."""
        if not isinstance(deployment, config.Deployment):
            deployment = config.load(deployment)
        cache = open_cache(deployment.cache) if deployment.cache.enabled else None
        prompts = Prompts()
        builder = Builder(deployment, prompts, cache)
        for name, options in deployment.strategies.items():
            strategy_options(name, options)
        strategy_options(deployment.strategy, {})
        detector, guard = builder.build("detector", deployment.detector), deployment.language_guard
        stages = Stages(
            retriever=builder.build("retriever", deployment.retriever),
            reranker=builder.build("reranker", deployment.reranker),
            translator=builder.build("translator", deployment.translator) if deployment.translator else None,
            tagger=builder.build("tagger", deployment.tagger) if deployment.tagger else None,
            generator=builder.build("generator", deployment.generator),
            prompts=prompts,
            depth=deployment.depth,
            top_k=deployment.top_k,
            answer_style=deployment.answer_style,
            answer_tokens=deployment.max_answer_tokens(deployment.answer_style),
            degrade=deployment.degrade,
            citations=deployment.citations,
            form=PromptForm(abstain=deployment.abstain, labels=deployment.labels),
            extractive=deployment.extractive,
            original_names=None if deployment.original_names == "off" else deployment.original_names,
            guard=None if guard == "off" else LanguageGuard(detector, repairs=guard == "repair"),
        )
        return cls(deployment, stages, detector, cache, builder.built())

    async def ask(
        self,
        request: AskRequest | str,
        *,
        on_event: Callable[[Event], None] = ignore,
        trace: Trace | None = None,
    ) -> Answer:
        """Return the answer to one question; a string stands for `AskRequest(question)`.

        `on_event`: receives the progress. `trace`: a trace to report to, for callers that need it after an error, too.

        Raises:
            InputError: the question is empty or too long, its language cannot be detected, or the language or a
                collection is unknown.
            ConfigError: the strategy or an option is unknown, or the strategy needs a stage that the deployment lacks.
            StageError: a stage failed.
            DeadlineExceeded: the deadline of the request, or of the deployment (`question_timeout:`), has passed; with
                the passages and the text so far."""
        request = AskRequest(request) if isinstance(request, str) else request
        name = request.strategy or self.deployment.strategy
        run, options = strategy_options(name, {**self.deployment.strategies.get(name, {}), **request.options})
        await self.rehearsals.check(run, options, self.stages)
        trace = Trace() if trace is None else trace
        text, collections = self.check_question(request.question), self.check_collections(request.collections)
        partial = PartialAnswer(trace, passages=(), text="")

        def emit(event: Event) -> None:
            nonlocal partial
            partial = partial.after(event)
            on_event(event)

        async with self._deadline(request.limits, lambda: partial):
            with trace.stage("detect"):
                said = [turn["content"] for turn in request.earlier if turn["role"] == "user"]
                lang = await self.language_of(text, request.lang, earlier=said)
            if request.earlier:
                text = await self._condensed(text, request.earlier, lang, trace)
            query = Query(text, lang, request.query_id, collections)
            stages = self.stages_for(trace, emit, request.limits, request.answer_style)
            answer: Answer = await run(query, stages, **options)
        return replace(answer, query=query, strategy=name)

    async def _condensed(self, text: str, earlier: Sequence[Message], lang: Lang, trace: Trace) -> str:
        """Return the question in words that stand alone; unchanged if the rewritten one could not be asked."""
        condensed = await self.stages_for(trace).condense_question(text, earlier, lang)
        try:
            return self.check_question(condensed)
        except InputError:
            trace.notes.append(
                Note("the question was searched as it stands: the generator's version of it is too long")
            )
            return text

    def _deadline(self, limits: AskLimits, partial: Callable[[], PartialAnswer]) -> AbstractAsyncContextManager[None]:
        """Return the deadline of a question: the request's or the deployment's, whichever is earlier."""
        asked, allowed = limits.deadline, self.deployment.question_timeout
        if allowed is not None and (asked is None or allowed < asked):
            return deadline(allowed, partial, way_out="raise `question_timeout:`")
        return deadline(asked, partial, way_out="ask with a longer `deadline`, or a smaller `depth`")

    def stages_for(
        self,
        trace: Trace,
        on_event: Callable[[Event], None] = ignore,
        limits: AskLimits = AskLimits(),  # noqa: B008  frozen
        answer_style: AnswerStyle | None = None,
    ) -> Stages:
        """Return the stages with the trace, the events, the limits and the style of one question."""
        style = answer_style or self.stages.answer_style
        return replace(
            self.stages,
            trace=trace,
            emit=on_event,
            depth=self.stages.depth if limits.depth is None else limits.depth,
            top_k=self.stages.top_k if limits.top_k is None else limits.top_k,
            answer_style=style,
            answer_tokens=limits.answer_tokens or self.deployment.max_answer_tokens(style),
        )

    def check_question(self, question: str) -> str:
        """Return the question with normalised white space.

        Raises:
            InputError: it is empty, or longer than `max_question_chars:`."""
        text = " ".join(question.encode("utf-8", "replace").decode("utf-8").split())  # no lone surrogates
        if not clean(text).strip():
            raise _invalid("the question is empty; ask something")
        limit = self.deployment.max_question_chars
        if len(text) > limit:
            what = f"the question has {len(text)} characters, at most {limit} are allowed; shorten it"
            raise InputError(f"{what} or raise `max_question_chars:`", public=what)
        return text

    @property
    def collections(self) -> list[str]:
        """Return the names of the collections that a request may select; empty: none can be selected."""
        retriever = self.stages.retriever
        return retriever.collections if isinstance(retriever, Selectable) else []

    def check_collections(self, names: Sequence[str] | None) -> tuple[str, ...] | None:
        """Return the names in the form of `Query.collections`.

        Raises:
            InputError: the list is empty, a name is unknown, or the retriever does not support a selection."""
        if names is None:
            return None
        known = self.collections
        if not known:
            raise _invalid("this deployment's retriever does not let a question choose `collections`; leave them out")
        if not names:
            raise _invalid(f"`collections` is empty; name some of {', '.join(known)}, or leave it out to search all")
        for name in names:
            if name not in known:
                raise _invalid(unknown("collection", name, known))
        return tuple(sorted(set(names)))

    async def language_of(self, text: str, given: str | None = None, *, earlier: Sequence[str] = ()) -> Lang:
        """Return the language `given`, or else the detected one.

        `earlier`: texts by the same person, oldest first; they decide where `text` is too short to tell.

        Raises:
            InputError: the given language is unknown, or no text has letters."""
        if given is not None:
            return language(given).code
        texts = [*earlier[-_EARLIER_TEXTS:], text]
        *before, (_, alone) = zip(texts, await self.detector.detect(texts), strict=True)
        detected = language_in_context(text, alone, before)
        if detected == UNDETERMINED:
            what = f"cannot detect the language of '{text[:80]}'"
            raise InputError(f"{what}; specify it (--lang ko)", public=f"{what}; specify it with `lang`")
        return detected

    async def check_strategy(self, name: str, options: Spec) -> None:
        """Check that the deployment has the stages that a strategy needs; no model is loaded.

        Raises:
            ConfigError: the strategy or an option is unknown, or the deployment lacks a stage."""
        run, checked = strategy_options(name, {**self.deployment.strategies.get(name, {}), **options})
        await self.rehearsals.check(run, checked, self.stages)

    async def start(self) -> None:
        """Load every model now.

        Raises:
            ConfigError: the deployment lacks a stage that its own strategy needs."""
        await self.check_strategy(self.deployment.strategy, {})
        await asyncio.gather(*(stage.start() for _, stage in self.parts if isinstance(stage, Startable)))

    async def close(self) -> None:
        for _, stage in self.parts:
            if isinstance(stage, Closable):
                await stage.close()
        if self.cache is not None:
            self.cache.close()

    async def __aenter__(self) -> Application:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()


def _invalid(message: str) -> InputError:
    """Return an error whose whole message is public."""
    return InputError(message, public=message)
