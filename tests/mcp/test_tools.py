"""The tools for agents, called by the SDK's own client: in process, over standard streams, over HTTP."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CallToolResult, TextContent
from typer.testing import CliRunner

from qttrag.application.application import Application
from qttrag.cli import app
from qttrag.mcp.server import create_http_app, create_server
from qttrag.server.service import Service
from tests.server.running import BrokenGenerator, DividedRetriever, application, running

QUESTION = "Mikä on Suomen pääkaupunki?"
NAMES = {"search", "ask", "translate", "tag"}


@asynccontextmanager
async def connected(served: Application) -> AsyncIterator[Client]:
    service = Service.of(served)
    async with service.running(), Client(create_server(service)) as client:
        yield client


async def call(name: str, served: Application | None = None, **arguments: Any) -> CallToolResult:
    async with connected(served or application()) as client:
        return await client.call_tool(name, arguments)


def error_of(result: CallToolResult) -> str:
    assert result.is_error
    (content,) = result.content
    assert isinstance(content, TextContent)
    return content.text


async def test_every_tool_and_argument_is_described() -> None:
    async with connected(application()) as client:
        tools = (await client.list_tools()).tools
    assert {tool.name for tool in tools} == NAMES
    for tool in tools:
        assert tool.description
        assert tool.output_schema
        assert tool.annotations is not None
        assert tool.annotations.read_only_hint
        assert all("description" in argument for argument in tool.input_schema["properties"].values())


async def test_a_deployment_without_a_tagger_offers_no_tag() -> None:
    served = application()
    async with connected(replace(served, stages=replace(served.stages, tagger=None))) as client:
        assert {tool.name for tool in (await client.list_tools()).tools} == NAMES - {"tag"}


async def test_an_answer_has_the_numbers_of_its_passages() -> None:
    result = (await call("ask", question=QUESTION, lang="ko")).structured_content
    assert result is not None
    assert (result["answer"], result["lang"], result["cited"]) == ("It is Helsinki [1].", "ko", [1])
    (helsinki,) = [passage for passage in result["passages"] if passage["passage_id"] == "fi-1"]
    assert helsinki["translation"] == "ko<Helsinki. Helsinki on Suomen pääkaupunki.>"
    assert helsinki["scores"]["semantic"] == 4.5


async def test_search_is_limited_to_the_collections_that_are_named() -> None:
    served = application(retriever=DividedRetriever)
    result = (await call("search", served, question=QUESTION, collections=["wiki-ko"])).structured_content
    assert result is not None
    assert [passage["passage_id"] for passage in result["passages"]] == ["ko-1"]


async def test_translate_and_tag_give_one_result_per_text() -> None:
    translated = (await call("translate", texts=["hei", "moi"], target="ko")).structured_content
    pairs = [{"original": "hei", "translation": "안녕"}]
    tagged = (await call("tag", pairs=pairs, target="ko")).structured_content
    assert translated is not None
    assert tagged is not None
    assert [each["text"] for each in translated["translations"]] == ["ko<hei>", "ko<moi>"]
    assert [each["scores"]["fluency"] for each in tagged["verdicts"]] == [3.5]


async def test_the_error_of_a_stage_does_not_name_its_server() -> None:
    message = error_of(await call("ask", application(BrokenGenerator(words=0)), question=QUESTION))
    assert "the generator failed" in message
    assert "127.0.0.1" not in message


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("ask", {"question": " "}, "`question`: is empty"),
        ("ask", {"question": QUESTION, "lang": "xx"}, "`lang`: unknown language 'xx'"),
        ("search", {"question": QUESTION, "top_k": 21}, "exceeds the limit of 20"),
        ("translate", {"texts": ["a"] * 65, "target": "ko"}, "65 texts exceed the limit of 64"),
        ("translate", {"texts": ["a"]}, "target"),
    ],
)
async def test_an_invalid_argument_is_named(name: str, arguments: dict[str, Any], words: str) -> None:
    assert words in error_of(await call(name, **arguments))


class SlowStart:
    """A stage that loads when `go` is set."""

    def __init__(self) -> None:
        self.go = asyncio.Event()

    async def start(self) -> None:
        await self.go.wait()


async def test_a_call_waits_for_the_models_and_reports_which_load() -> None:
    slow, messages = SlowStart(), list[str]()
    served = application()

    async def report(progress: float, total: float | None, message: str | None) -> None:
        messages.append(f"{progress:g}/{total:g} {message}")
        slow.go.set()

    async with connected(replace(served, parts=[*served.parts, ("generator", slow)])) as client:
        result = await client.call_tool("search", {"question": QUESTION}, progress_callback=report)
    assert not result.is_error
    assert messages == ["0/1 loading the models of: generator"]


async def test_over_the_standard_streams_of_a_process_the_tools_are_the_same(tmp_path: Path) -> None:
    code = (
        "import asyncio, logging.config; from qttrag.mcp.server import serve_stdio; "
        "from qttrag.server.running import LOGGING; from tests.server.running import application; "
        "logging.config.dictConfig(LOGGING); asyncio.run(serve_stdio(application()))"
    )
    root = str(Path(__file__).parents[2])
    server = StdioServerParameters(command=sys.executable, args=["-c", code], cwd=root, env={"PYTHONPATH": root})
    with (tmp_path / "log").open("w+", encoding="utf-8") as log:
        async with Client(stdio_client(server, errlog=log)) as client:
            result = await client.call_tool("ask", {"question": QUESTION})
            failed = await client.call_tool("ask", {"question": ""})
    assert result.structured_content is not None
    assert result.structured_content["answer"] == "It is Helsinki [1]."
    assert failed.is_error


async def test_over_http_the_tools_are_the_same() -> None:
    with running(application(), make=create_http_app) as up:
        async with Client(f"{up.url}/mcp") as client:
            names = {tool.name for tool in (await client.list_tools()).tools}
            result = await client.call_tool("ask", {"question": QUESTION})
        assert up.client.get("/readyz").status_code == 200
    assert names == NAMES
    assert result.structured_content is not None
    assert result.structured_content["answer"] == "It is Helsinki [1]."


async def test_over_http_a_key_is_needed_where_there_are_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QTTRAG_API_KEYS", "secret")
    with running(application(), make=create_http_app) as up:
        assert up.client.post("/mcp", json={}).status_code == 401
        async with (
            httpx2.AsyncClient(headers={"authorization": "Bearer secret"}) as http,
            Client(streamable_http_client(f"{up.url}/mcp", http_client=http)) as client,
        ):
            assert not (await client.call_tool("search", {"question": QUESTION})).is_error


def test_over_http_a_service_without_keys_answers_to_known_names_only() -> None:
    with running(application(), make=create_http_app) as up:
        reply = up.client.post("/mcp", json={}, headers={"host": "evil.example"})
        foreign = up.client.post("/mcp", json={}, headers={"origin": "https://evil.example"})
    assert (reply.status_code, foreign.status_code) == (421, 403)


@pytest.mark.parametrize(
    ("arguments", "words"), [(["--port", "8090"], "add --http"), (["--http", "--host", "0.0.0.0"], "QTTRAG_API_KEYS")]
)
def test_the_command_refuses_what_it_cannot_serve(arguments: list[str], words: str) -> None:
    assert words in str(CliRunner().invoke(app, ["mcp", "-c", "paper", *arguments]).exception)
