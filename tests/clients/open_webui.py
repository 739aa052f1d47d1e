"""Open WebUI itself, by its own API: what its page does. It has no calls with tools of its own and no embeddings here.

WEBUI_URL: where it runs, with this service as its only connection and without accounts (WEBUI_AUTH=False)."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request

from checks import FOLLOW_UP, MODEL, QUESTION, REFUSAL, TOOL, expect, expect_stream, main

WEBUI = os.environ["WEBUI_URL"]
question = {"role": "user", "content": QUESTION}


def call(path: str, body: object = None, token: str = "") -> str:
    data = None if body is None else json.dumps(body).encode()
    headers = {"content-type": "application/json", "authorization": f"Bearer {token}"}
    with urllib.request.urlopen(urllib.request.Request(WEBUI + path, data, headers), timeout=120) as reply:
        return reply.read().decode()


TOKEN = json.loads(call("/api/v1/auths/signin", {"email": "", "password": ""}))["token"]


def ask(messages: list, **more: object) -> str:
    body = {"model": MODEL, "messages": messages, "stream": False, **more}
    return json.loads(call("/api/chat/completions", body, TOKEN))["choices"][0]["message"]["content"]


def plain() -> None:
    expect(ask([question]), "no answer")


def stream() -> None:
    reply = call("/api/chat/completions", {"model": MODEL, "messages": [question], "stream": True}, TOKEN)
    data = [line.removeprefix("data: ") for line in reply.splitlines() if line.startswith("data: {")]
    choices = [choice for line in data for choice in json.loads(line).get("choices", [])]
    expect_stream([choice["delta"].get("content") for choice in choices], ask([question]))


def follow_up() -> None:
    turns = [question, {"role": "assistant", "content": ask([question])}, {"role": "user", "content": FOLLOW_UP}]
    expect(ask(turns), "no answer")


def tools() -> None:
    try:
        answer = ask([question], tools=[TOOL])
    except urllib.error.HTTPError as error:
        text = error.read().decode()
        expect(REFUSAL in text, f"refused with other words: {text}")
        return
    raise AssertionError(f"answered: {answer!r}")


def models() -> None:
    listed = [model["id"] for model in json.loads(call("/api/models", token=TOKEN))["data"]]
    expect(MODEL in listed, f"the strategy is not listed: {listed}")


def title() -> None:
    body = {"model": MODEL, "messages": [question, {"role": "assistant", "content": "Helsinki"}], "chat_id": "1"}
    reply = json.loads(call("/api/v1/tasks/title/completions", body, TOKEN))
    expect("qttrag" not in reply, "the title was searched for in the collections")
    expect(reply["choices"][0]["message"]["content"], "no title")


main(plain=plain, stream=stream, follow_up=follow_up, tools=tools, models=models, title=title)
