"""Titles, tags and further questions, as Open WebUI asks for them, are no questions to the collections."""

from __future__ import annotations

from typing import Any

import pytest

from qttrag.testing import FakeGenerator
from tests.server.running import application, events, running

TITLE = """### Task:
Generate a concise title for the chat.
### Output:
JSON format: { "title": "your concise title here" }
### Chat History:
<chat_history>
USER: Mikä on Suomen pääkaupunki?
ASSISTANT: Helsinki [1].
</chat_history>"""
REPLY = '{ "title": "Suomen pääkaupunki" }'


def chat(content: str, **more: Any) -> dict[str, Any]:
    return {"model": "qtt_rag", "messages": [{"role": "user", "content": content}], **more}


def test_a_title_is_the_generators_own() -> None:
    generator = FakeGenerator(lambda messages: REPLY)
    with running(application(generator)) as up:
        reply = up.client.post("/v1/chat/completions", json=chat(TITLE, max_tokens=50)).json()
    assert reply["choices"][0]["message"]["content"] == REPLY
    assert "qttrag" not in reply
    ((messages, decoding),) = generator.seen
    assert messages == [{"role": "user", "content": TITLE}]
    assert decoding.max_tokens == 50


def test_a_title_may_be_streamed() -> None:
    options = {"stream": True, "stream_options": {"include_usage": True}}
    with running(application(FakeGenerator(lambda messages: REPLY))) as up:
        reply = up.client.post("/v1/chat/completions", json=chat(TITLE, **options))
    *chunks, usage, done = [data for _, data in events(reply.text)]
    assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks) == REPLY
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    assert (usage["choices"], done) == ([], "[DONE]")


def test_a_prompt_that_is_too_long_is_refused() -> None:
    with running(application(max_text_chars=100)) as up:
        reply = up.client.post("/v1/chat/completions", json=chat(TITLE))
    assert (reply.status_code, reply.json()["error"]["code"]) == (422, "too_long")


@pytest.mark.parametrize(
    "question", ["Mitä tarkoittaa ### Task:?", "### Task: Mikä on pääkaupunki?", "<chat_history>?"]
)
def test_a_question_about_such_words_is_a_question(question: str) -> None:
    with running(application()) as up:
        reply = up.client.post("/v1/chat/completions", json=chat(question)).json()
    assert reply["qttrag"]["question"] == question
