"""The tools search, ask, translate and tag over an open service, with the limits and errors of its HTTP routes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from pydantic import Field, ValidationError

from qttrag.application.serialization import answer_as_dict
from qttrag.mcp.results import (
    AskResult,
    SearchResult,
    TagResult,
    TranslateResult,
    ask_result,
    search_result,
    with_notes,
)
from qttrag.server import schemas, single_stages
from qttrag.server.errors import response_to
from qttrag.server.routes.ask import ask_request
from qttrag.server.service import Service
from qttrag.types import AnswerStyle

_LOOK_S = 0.2  # between two looks at the stages that load

Question = Annotated[str, Field(description="The question, in any language, in full sentences")]
AnswerLanguage = Annotated[
    str | None, Field(description="Language of the question and answer, such as ko or zh-Hant; null: detected")
]
Collections = Annotated[list[str] | None, Field(description="Names of the collections to search; null: all")]
TopK = Annotated[int | None, Field(ge=1, description="The most passages to return; null: the deployment's number")]
Style = Annotated[
    AnswerStyle | None,
    Field(description="short: a name or a few words; sentences: one to three; report: paragraphs; null: default"),
]
Target = Annotated[str, Field(description="Language of the translations, such as ko")]
Source = Annotated[str | None, Field(description="Language of the originals; null: detected for each")]
Texts = Annotated[list[str], Field(min_length=1, description="The texts to translate")]
Pairs = Annotated[list[schemas.TagPair], Field(min_length=1, description="Originals and their translations")]


class Tools:
    """The tools of one service. The docstrings of its methods are what agents read."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def search(
        self,
        question: Question,
        ctx: Context[Any],
        lang: AnswerLanguage = None,
        collections: Collections = None,
        top_k: TopK = None,
    ) -> SearchResult:
        """Find passages that answer a question, in all languages of the collections, best first.

        Passages are in their own languages; `translate` translates them. Use `ask` for an answer."""
        async with self._serving(ctx):
            body = schemas.RetrieveRequest(question=question, lang=lang, collections=collections, top_k=top_k)
            return search_result(await single_stages.retrieve(self._service, body))

    async def ask(
        self,
        question: Question,
        ctx: Context[Any],
        lang: AnswerLanguage = None,
        collections: Collections = None,
        answer_style: Style = None,
    ) -> AskResult:
        """Answer a question from the collections, in the language of the question, with the passages that were read.

        Check `abstained` and the scores of translations before you rely on the answer. May take a minute."""
        async with self._serving(ctx):
            body = schemas.AskBody(question=question, lang=lang, collections=collections, answer_style=answer_style)
            asked, trace = ask_request(self._service, body)
            answer = await self._service.ask(asked, trace=trace)
            return ask_result(answer_as_dict(answer))

    async def translate(
        self, texts: Texts, target: Target, ctx: Context[Any], source: Source = None
    ) -> TranslateResult:
        """Translate texts. A text in an unsupported language is returned unchanged with the flag `unsupported`."""
        async with self._serving(ctx):
            body = schemas.TranslateRequest(texts=texts, target=target, source=source)
            return TranslateResult.model_validate(with_notes(await single_stages.translate(self._service, body)))

    async def tag(self, pairs: Pairs, target: Target, ctx: Context[Any], source: Source = None) -> TagResult:
        """Score translations from 0 to 5 for meaning (semantic), grammar and fluency, and name critical errors.

        3.5 is the usual limit below which a translation should not be relied on."""
        async with self._serving(ctx):
            body = schemas.TagRequest(pairs=pairs, target=target, source=source)
            return TagResult.model_validate(with_notes(await single_stages.tag(self._service, body)))

    @asynccontextmanager
    async def _serving(self, ctx: Context[Any]) -> AsyncIterator[None]:
        """Wait until the models are loaded, and turn errors into those of a tool, in the words for clients."""
        try:
            await self._wait(ctx)
            yield
        except ValidationError as error:
            first = error.errors()[0]
            name, text = ".".join(map(str, first["loc"])), first["msg"].removeprefix("Value error, ")
            raise ToolError(f"`{name}`: {text}") from error
        except Exception as error:
            detail = response_to(error).body["error"]
            raise ToolError(f"{detail['message']} ({detail['code']})") from error

    async def _wait(self, ctx: Context[Any]) -> None:
        """Wait while models load, and report which.

        Raises:
            RequestRejected: one could not be loaded, or the service shuts down."""
        reported, states = "", self._service.starting
        while "loading" in states.values() and "failed" not in states.values() and not self._service.is_draining:
            loading = [stage for stage, state in states.items() if state == "loading"]
            message = f"loading the models of: {', '.join(loading)}"
            if message != reported:
                await ctx.report_progress(len(states) - len(loading), len(states), message)
                reported = message
            await asyncio.sleep(_LOOK_S)
        self._service.check_ready()
