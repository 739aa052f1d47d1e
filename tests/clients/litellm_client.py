"""LiteLLM."""

from __future__ import annotations

import os

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else it fetches prices from the network when it is imported

import litellm
from checks import FOLLOW_UP, KEY, MODEL, QUESTION, TOOL, URL, expect, expect_refusal, expect_stream, main

litellm.telemetry = False
question = {"role": "user", "content": QUESTION}
service = {"model": f"openai/{MODEL}", "api_base": URL, "api_key": KEY, "max_retries": 0}


def ask(messages: list, **more: object) -> str:
    return litellm.completion(messages=messages, **service, **more).choices[0].message.content


def plain() -> None:
    expect(ask([question]), "no answer")


def stream() -> None:
    chunks = litellm.completion(messages=[question], stream=True, **service)
    expect_stream([chunk.choices[0].delta.content for chunk in chunks], ask([question]))


def follow_up() -> None:
    turns = [question, {"role": "assistant", "content": ask([question])}, {"role": "user", "content": FOLLOW_UP}]
    expect(ask(turns), "no answer")


def tools() -> None:
    expect_refusal(lambda: ask([question], tools=[TOOL]), litellm.BadRequestError, litellm.UnprocessableEntityError)


def models() -> None:
    listed = litellm.get_valid_models(
        check_provider_endpoint=True, custom_llm_provider="openai", api_key=KEY, api_base=URL
    )
    expect(any(name.endswith(MODEL) for name in listed), f"the strategy is not listed: {listed}")


def embeddings() -> None:
    reply = litellm.embedding(
        model="openai/encoder", input=[QUESTION, FOLLOW_UP], api_base=URL, api_key=KEY, encoding_format="float"
    )
    expect(len(reply.data) == 2, "not a vector per text")


main(plain=plain, stream=stream, follow_up=follow_up, tools=tools, models=models, embeddings=embeddings)
