"""Requests that chat front ends make for themselves: a title, tags or further questions for a chat.

Open WebUI sends them to the model of the chat, as one user message that begins with "### Task:" and quotes the chat in
<chat_history>. They are no questions to the collections: the generator alone answers them."""

from __future__ import annotations

from qttrag.server.errors import RequestRejected
from qttrag.server.service import Service
from qttrag.trace import Trace
from qttrag.types import Completion, Decoding

_BEGINNING, _QUOTES = "### Task:", "<chat_history>"


def is_task(question: str) -> bool:
    """Return whether the last message of a chat is such a request."""
    return question.lstrip().startswith(_BEGINNING) and _QUOTES in question


async def answer_task(service: Service, prompt: str, max_tokens: int) -> tuple[Completion, Trace]:
    """Return the generator's completion of the prompt alone.

    Raises:
        RequestRejected: the prompt is too long, or the service is overloaded or not ready."""
    most = service.settings.max_text_chars
    if len(prompt) > most:
        raise RequestRejected(422, "too_long", f"the message exceeds the limit of {most} characters", param="messages")
    async with service.working() as trace:
        with trace.stage("task"):
            decoding = Decoding(max_tokens=max_tokens)
            generator = service.application.stages.generator
            return await generator.complete([{"role": "user", "content": prompt}], decoding), trace
