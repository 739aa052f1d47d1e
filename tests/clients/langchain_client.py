"""LangChain: ChatOpenAI and OpenAIEmbeddings of langchain-openai. It does not list models."""

from __future__ import annotations

import openai
from checks import FOLLOW_UP, KEY, MODEL, QUESTION, TOOL, URL, expect, expect_refusal, expect_stream, main
from langchain_openai import ChatOpenAI, OpenAIEmbeddings

chat = ChatOpenAI(model=MODEL, base_url=URL, api_key=KEY, max_retries=0)


def plain() -> None:
    expect(chat.invoke(QUESTION).text, "no answer")


def stream() -> None:
    expect_stream([chunk.text for chunk in chat.stream(QUESTION)], chat.invoke(QUESTION).text)


def follow_up() -> None:
    turns = [("human", QUESTION), ("ai", chat.invoke(QUESTION).text), ("human", FOLLOW_UP)]
    expect(chat.invoke(turns).text, "no answer")


def tools() -> None:
    expect_refusal(lambda: chat.bind_tools([TOOL]).invoke(QUESTION), openai.UnprocessableEntityError)


def embeddings() -> None:
    encoder = OpenAIEmbeddings(model="encoder", base_url=URL, api_key=KEY, check_embedding_ctx_length=False)
    one, other = encoder.embed_documents([QUESTION, FOLLOW_UP])
    expect(len(one) == len(other) > 1, "no vectors")


main(plain=plain, stream=stream, follow_up=follow_up, tools=tools, embeddings=embeddings)
