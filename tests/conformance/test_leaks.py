"""Clients over HTTP learn the stage and the kind of a failure; no server, no file, no setting and no foreign word."""

from __future__ import annotations

import ast
import json
import logging
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import qttrag
from qttrag.errors import BrokenOff, CollectionError, ConfigError, InputError, StageError, StageUnavailable
from qttrag.generators.cached import CachedGenerator
from qttrag.generators.openai import OpenAIGenerator
from qttrag.generators.transformers import TransformersGenerator
from qttrag.prompts import Prompts
from qttrag.runtime.cache import Cache
from qttrag.taggers.llm import LLMTagger
from qttrag.testing import FakeGenerator
from qttrag.types import Completion, Decoding, Hit, Lang, Message, Query, Translation, Verdict
from tests.conformance.habits import FAILURES, HABITS, REFUSALS, WORDS, OddServer
from tests.server import running

ALL = {**HABITS, **REFUSALS, **FAILURES}
SECRET = "http://10.0.0.7:4711/v1 said `unicorn 7` in /srv/secret.yaml; set `context:` or --config"
PATHS = re.compile(r"(?<![\w:/])/(?!v1/|readyz|livez|metrics)[a-z]+/|https?:|127\.0\.0\.1|--[a-z]|unicorn|secret")
SETTINGS = re.compile(r"answer_tokens|thinking|base_url|`context|max_question_chars|question_timeout|deployment's")


def everything(up: running.Running) -> str:
    """Return what clients read of each route: statuses, headers and bodies, streamed and not."""
    chat = {
        "model": "dkm_rag",
        "messages": [{"role": "user", "content": "Mikä?"}, {"role": "user", "content": "Mikä raha?"}],
    }
    pairs = [{"original": "It is the euro.", "translation": "Se on euro."}]
    posts: list[tuple[str, dict[str, Any]]] = [
        *(("/v1/ask", {"question": "Mikä raha?", "strategy": name, "stream": stream})
          for name in ("qtt_rag", "dkm_rag", "query_translation") for stream in (False, True)),
        *(("/v1/chat/completions", {**chat, "stream": stream}) for stream in (False, True)),
        ("/v1/retrieve", {"question": "Mikä raha?"}),
        ("/v1/translate", {"texts": ["It is the euro."], "target": "fi"}),
        ("/v1/tag", {"pairs": pairs, "target": "fi"}),
        ("/v1/rerank", {"query": "raha", "documents": ["euro"]}),
    ]  # fmt: skip
    replies = [up.client.post(path, json=body) for path, body in posts]
    replies += [up.client.get(path) for path in ("/readyz", "/v1/models", "/v1/choices")]
    return "\n".join(f"{reply.status_code} {dict(reply.headers)} {reply.text}" for reply in replies)


def check(told: str, *forbidden: str) -> None:
    visible = re.sub(r'"(question|reasoning|answer|text|refined|translation)": ', "", told)
    assert "Traceback" not in visible
    for pattern in (PATHS, SETTINGS):
        assert not (found := pattern.search(visible)), visible[max(0, found.start() - 200) : found.end() + 200]
    for words in forbidden:
        assert words not in visible


@pytest.mark.parametrize("habit", sorted(ALL))
def test_no_reply_of_a_server_shows_through(habit: str) -> None:
    with OddServer(ALL[habit]) as server:
        generator = OpenAIGenerator("m", base_url=server.base_url, retries=0, timeout=5.0)
        served = running.application(generator)
        tagger = LLMTagger(generator=generator, prompts=Prompts())
        with running.running(replace(served, stages=replace(served.stages, tagger=tagger))) as up:
            told = everything(up)
    check(told, server.base_url, server.base_url.split(":")[2].split("/")[0], WORDS, *server.errors)
    if habit in FAILURES:
        assert '"stage": "generator"' in told


def test_a_server_that_cannot_be_reached_is_not_named() -> None:
    generator = OpenAIGenerator("m", base_url="http://127.0.0.1:9/v1", retries=0, connect_timeout=1.0)
    with running.running(running.application(generator)) as up:
        check(everything(up), "Errno", "refused")


class Failing:
    """Every stage at once, each with the same error."""

    identity, context = "failing", 8192

    def __init__(self, error: Exception) -> None:
        self.error = error

    async def count_tokens(self, messages: Sequence[Message]) -> int:
        return 1

    async def generate(self, messages: Sequence[Message], decoding: Decoding) -> AsyncIterator[str]:
        yield "half"
        raise self.error

    async def complete(self, messages: Sequence[Message], decoding: Decoding) -> Completion:
        raise self.error

    async def translate(self, texts: Sequence[str], source: Sequence[Lang], target: Lang) -> list[Translation]:
        raise self.error

    async def score(self, *args: Any) -> list[Verdict]:
        return [Verdict(None, "unavailable", self.error)]

    async def retrieve(self, query: Query, k: int) -> list[Hit]:
        raise self.error

    async def rerank(self, query: Query, hits: Sequence[Hit]) -> list[Hit]:
        raise self.error

    async def start(self) -> None:
        raise self.error


ERRORS = [
    ConfigError(SECRET), InputError(SECRET), CollectionError(SECRET), StageError("translator", SECRET),
    StageUnavailable("tagger", SECRET), BrokenOff("generator", SECRET), OSError(SECRET), RuntimeError(SECRET),
]  # fmt: skip


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("stage", ["generator", "translator", "tagger", "retriever", "reranker"])
def test_no_error_of_a_stage_shows_through(stage: str, error: Exception) -> None:
    served, failing = running.application(), dict[str, Any]({stage: Failing(error)})
    with running.running(replace(served, stages=replace(served.stages, **failing))) as up:
        check(everything(up))


@pytest.mark.parametrize("error", ERRORS[:6], ids=lambda error: type(error).__name__)
def test_no_error_of_the_start_shows_through(error: Exception) -> None:
    served = running.application()
    with running.running(replace(served, parts=[("generator", Failing(error))])) as up:
        told = everything(up)
    check(told)
    assert '"generator":"failed"' in told


def test_a_model_that_is_not_there_is_not_named(tmp_path: Path) -> None:
    generator = TransformersGenerator(str(tmp_path / "missing"))
    with running.running(running.application(generator)) as up:
        check(everything(up), str(tmp_path), "missing")


def test_the_file_of_a_cache_that_cannot_be_used_is_not_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    generator = CachedGenerator(FakeGenerator(), Cache(tmp_path / "file" / "cache.sqlite"))
    with running.running(running.application(generator)) as up:
        told = everything(up)
    check(told, str(tmp_path))
    assert "the cache cannot be read" in told


def test_the_log_has_the_whole_error_with_the_id_of_the_request(caplog: pytest.LogCaptureFixture) -> None:
    with (
        caplog.at_level(logging.INFO, "qttrag.server"),
        running.running(running.application(Failing(StageError("generator", SECRET)))) as up,
    ):
        reply = up.ask()
    (record,) = [record for record in caplog.records if record.message == "request failed"]
    fields = vars(record)
    assert fields["cause"] == f"generator: {SECRET}"
    assert fields["request_id"] == reply.json()["error"]["request_id"] == reply.headers["x-request-id"]
    assert reply.json()["error"]["message"] == "the generator failed"


def test_the_log_has_the_details_of_notes(caplog: pytest.LogCaptureFixture) -> None:
    translator: Any = Failing(StageError("translator", SECRET))
    served = running.application(translator=translator)
    with caplog.at_level(logging.INFO, "qttrag.server"), running.running(served) as up:
        reply = up.ask(strategy="qtt_rag").json()
    assert reply["degraded"] == ["passages are read untranslated: the translator failed"]
    (record,) = [record for record in caplog.records if record.message == "note"]
    assert SECRET in vars(record)["note"]


def _public_texts() -> Iterator[tuple[str, ast.expr]]:
    """Yield the public texts of all notes and errors in the package, with their places."""
    for path in Path(qttrag.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                texts = node.args[:1] if name in ("note", "note_error", "note_degraded", "Note") else []
                texts += [keyword.value for keyword in node.keywords if keyword.arg == "public"]
                yield from ((f"{path.name}:{node.lineno}", text) for text in texts)


def test_no_public_text_quotes_an_error_a_path_or_an_address() -> None:
    texts = list(_public_texts())
    assert len(texts) > 20
    private = re.compile(r"\{[^}]*\b(path|file|folder|url|base_url|cause)\b|raise `")
    assert [place for place, text in texts if private.search(ast.unparse(text))] == []


def test_the_command_line_tells_all(capsys: pytest.CaptureFixture[str]) -> None:
    from qttrag.cli import output

    output.fail(StageError("generator", SECRET), as_json=True)
    assert json.loads(capsys.readouterr().out)["error"]["message"] == f"generator: {SECRET}"
