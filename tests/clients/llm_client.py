"""llm, the library behind the command of that name. Its models are lines of a file; it does not list a server's."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from checks import FOLLOW_UP, KEY, MODEL, QUESTION, URL, expect, expect_refusal, expect_stream, main

home = Path(tempfile.mkdtemp())
os.environ["LLM_USER_PATH"] = str(home)
(home / "extra-openai-models.yaml").write_text(
    f"- {{model_id: ours, model_name: {MODEL}, api_base: '{URL}', api_key_name: ours, supports_tools: true}}\n"
)

import llm  # noqa: E402  reads the folder when it is imported

model = llm.get_model("ours")
model.key = KEY


def weather(city: str) -> str:
    """The weather in a city."""
    return f"rain in {city}"


def plain() -> None:
    expect(model.prompt(QUESTION, stream=False).text(), "no answer")


def stream() -> None:
    expect_stream(model.prompt(QUESTION, stream=True), model.prompt(QUESTION, stream=False).text())


def follow_up() -> None:
    conversation = model.conversation()
    conversation.prompt(QUESTION, stream=False).text()
    expect(conversation.prompt(FOLLOW_UP, stream=False).text(), "no answer")


def tools() -> None:
    expect_refusal(lambda: model.prompt(QUESTION, tools=[weather], stream=False).text(), Exception)


main(plain=plain, stream=stream, follow_up=follow_up, tools=tools)
