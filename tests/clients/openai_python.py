"""OpenAI's client for Python."""

from __future__ import annotations

import openai
from checks import FOLLOW_UP, KEY, MODEL, QUESTION, TOOL, URL, expect, expect_refusal, expect_stream, main

client = openai.OpenAI(base_url=URL, api_key=KEY, max_retries=0)
question = {"role": "user", "content": QUESTION}


def ask(messages: list, **more: object) -> str:
    return client.chat.completions.create(model=MODEL, messages=messages, **more).choices[0].message.content


def plain() -> None:
    expect(ask([question]), "no answer")


def stream() -> None:
    chunks = client.chat.completions.create(model=MODEL, messages=[question], stream=True)
    expect_stream([chunk.choices[0].delta.content for chunk in chunks if chunk.choices], ask([question]))


def follow_up() -> None:
    turns = [question, {"role": "assistant", "content": ask([question])}, {"role": "user", "content": FOLLOW_UP}]
    expect(ask(turns), "no answer")


def tools() -> None:
    expect_refusal(lambda: ask([question], tools=[TOOL]), openai.UnprocessableEntityError)


def models() -> None:
    expect(MODEL in [model.id for model in client.models.list()], "the strategy is not listed")


def embeddings() -> None:
    reply = client.embeddings.create(model="encoder", input=[QUESTION, FOLLOW_UP], extra_body={"input_type": "query"})
    expect(len({len(each.embedding) for each in reply.data}) == 1, "vectors of different lengths")
    expect(abs(sum(number**2 for number in reply.data[0].embedding) - 1) < 1e-3, "not a unit vector")


main(plain=plain, stream=stream, follow_up=follow_up, tools=tools, models=models, embeddings=embeddings)
