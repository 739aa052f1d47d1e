"""LlamaIndex: OpenAILike. It does not list models."""

from __future__ import annotations

import openai
from checks import FOLLOW_UP, KEY, MODEL, QUESTION, TOOL, URL, expect, expect_refusal, expect_stream, main
from llama_index.core.llms import ChatMessage
from llama_index.llms.openai_like import OpenAILike

model = OpenAILike(model=MODEL, api_base=URL, api_key=KEY, is_chat_model=True, max_retries=0)
question = ChatMessage(role="user", content=QUESTION)


def ask(turns: list) -> str:
    return model.chat(turns).message.content


def plain() -> None:
    expect(ask([question]), "no answer")


def stream() -> None:
    expect_stream([chunk.delta for chunk in model.stream_chat([question])], ask([question]))


def follow_up() -> None:
    answered = ChatMessage(role="assistant", content=ask([question]))
    expect(ask([question, answered, ChatMessage(role="user", content=FOLLOW_UP)]), "no answer")


def tools() -> None:
    expect_refusal(lambda: model.chat([question], tools=[TOOL]), openai.UnprocessableEntityError)


main(plain=plain, stream=stream, follow_up=follow_up, tools=tools)
