"""The translator of another process: qttrag's own service, and a server with LibreTranslate's interface."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from qttrag.application.named_models import named_models
from qttrag.config.deployment import Deployment
from qttrag.errors import ConfigError, StageError, StageUnavailable
from qttrag.testing import FakeTranslator
from qttrag.trace import Trace
from qttrag.translators.served import ServedTranslator
from qttrag.types import UNSUPPORTED, Lang, Translation
from tests.server import running

EN, KO, FI, ZH_HANT, TH = map(Lang, ("en", "ko", "fi", "zh-Hant", "th"))
NOBODY = "http://127.0.0.1:9/v1"


def served(url: str | list[str], **settings: Any) -> ServedTranslator:
    return ServedTranslator(**{"model": "m", "base_url": url, "retries": 0, "patience": 0.0, **settings})


class LibreTranslate:
    """Translates "text" into Finnish as "fi(text)". `fail`: statuses of the first requests."""

    languages = ("en", "ko", "fi", "zt")

    def __init__(self, *fail: int, short: bool = False) -> None:
        self.requests: list[dict[str, Any]] = []
        self.fail = list(fail)
        self.short = short

    @contextmanager
    def listening(self) -> Iterator[str]:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                known = [{"code": code, "name": code, "targets": list(outer.languages)} for code in outer.languages]
                self._send(200, known if self.path == "/languages" else {"error": "no such path"})

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                outer.requests.append(body)
                if self.path != "/translate":
                    self._send(404, {"error": "no such path"})
                elif outer.fail:
                    self._send(outer.fail.pop(0), {"error": "the model is busy"})
                else:
                    texts = [f"{body['target']}({text})" for text in body["q"]]
                    self._send(200, {"translatedText": texts[: len(texts) - outer.short]})

            def _send(self, status: int, content: object) -> None:
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.end_headers()
                self.wfile.write(json.dumps(content).encode())

            def log_message(self, *args: object) -> None:
                """Keep the test's output free of requests."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            server.server_close()


# qttrag's own


async def test_texts_of_several_languages_come_back_in_their_order() -> None:
    fake = FakeTranslator()
    with running.running(running.application(translator=fake)) as service:
        translator = served(f"{service.url}/v1", batch=2)
        texts = ["a", "b", "c", "1917", "", " d "]
        translations = await translator.translate(texts, [EN, KO, EN, EN, KO, FI], FI)
        await translator.close()
    assert [t.text for t in translations] == ["fi<a>", "fi<b>", "fi<c>", "1917", "", " d "]
    assert sorted(fake.seen) == ["a", "b", "c"]


async def test_the_flags_of_the_service_are_kept() -> None:
    with running.running(running.application(translator=FakeTranslator(unsupported=["ko"]))) as service:
        translations = await served(f"{service.url}/v1").translate(["a", "b"], [KO, EN], FI)
    assert translations == [Translation("a", (UNSUPPORTED,)), Translation("fi<b>")]


async def test_a_language_that_no_service_can_know_makes_no_request() -> None:
    translations = await served(NOBODY).translate(["a", "1917"], [Lang("und"), Lang("xx")], FI)
    assert translations == [Translation("a", (UNSUPPORTED,)), Translation("1917")]


async def test_concurrent_calls_share_the_service() -> None:
    trace = Trace()
    with running.running(running.application(in_flight=64)) as service:
        translator = served(f"{service.url}/v1", in_flight=4)

        async def one(n: int) -> str:
            with trace.stage("t"):
                (translation,) = await translator.translate([f"text {n}"], [EN], FI)
            return translation.text

        assert await asyncio.gather(*map(one, range(20))) == [f"fi<text {n}>" for n in range(20)]
    assert trace.counts["t.requests"] == 20


async def test_another_server_takes_over() -> None:
    with running.running(running.application()) as service:
        translator = served([NOBODY, f"{service.url}/v1"], retries=2, patience=5.0)
        texts = [await translator.translate([text], [EN], FI) for text in "abcd"]
    assert [translation.text for (translation,) in texts] == [f"fi<{text}>" for text in "abcd"]


async def test_a_server_that_is_down_is_a_temporary_error_with_a_way_out() -> None:
    with pytest.raises(StageUnavailable, match=r"translator: http://127\.0\.0\.1:9/v1 .*cannot be reached.*start it"):
        await served(NOBODY).translate(["a"], [EN], FI)


async def test_a_failing_service_is_a_stage_error() -> None:
    down = running.application(translator=running.DownTranslator())
    with running.running(down) as service, pytest.raises(StageError, match="translator: "):
        await served(f"{service.url}/v1").translate(["a"], [EN], FI)


async def test_a_text_that_the_service_rejects_says_why() -> None:
    complaint = pytest.raises(StageError, match="exceeds the limit of 5 characters")
    with running.running(running.application(max_text_chars=5)) as service, complaint:
        await served(f"{service.url}/v1").translate(["far too long"], [EN], FI)


async def test_a_wrong_path_is_an_error_that_names_the_setting() -> None:
    with running.running(running.application()) as service, pytest.raises(StageError, match=r"correct `base_url:`"):
        await served(f"{service.url}/v2").translate(["a"], [EN], FI)


# LibreTranslate


async def test_libretranslate_gets_batches_in_its_own_codes() -> None:
    server = LibreTranslate()
    with server.listening() as url:
        translator = served(url, api="libretranslate", batch=2)
        translations = await translator.translate(["a", "b", "c"], [EN, EN, EN], ZH_HANT)
    assert [t.text for t in translations] == ["zt(a)", "zt(b)", "zt(c)"]
    assert sorted(request["q"] for request in server.requests) == [["a", "b"], ["c"]]
    first = server.requests[0]
    assert (first["source"], first["target"], first["format"], "api_key" in first) == ("en", "zt", "text", False)


async def test_libretranslates_translations_are_checked() -> None:
    text = "a text that comes back as it was, word for word"
    with LibreTranslate().listening() as url:
        (translation,) = await served(url, api="libretranslate").translate([text], [EN], FI)
    assert translation.flags == ("copied",)


async def test_a_language_that_libretranslate_does_not_list_is_flagged() -> None:
    with LibreTranslate().listening() as url:
        translations = await served(url, api="libretranslate").translate(["a", "b"], [TH, EN], FI)
    assert translations == [Translation("a", (UNSUPPORTED,)), Translation("fi(b)")]


async def test_the_key_of_libretranslate_is_in_the_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QTTRAG_TRANSLATOR_KEY", "k")
    server = LibreTranslate()
    with server.listening() as url:
        await served(url, api="libretranslate").translate(["a"], [EN], FI)
    assert server.requests[0]["api_key"] == "k"


async def test_a_temporary_failure_is_retried() -> None:
    server = LibreTranslate(500, 503)
    with server.listening() as url:
        translator = served(url, api="libretranslate", retries=3, patience=5.0)
        assert await translator.translate(["a"], [EN], FI) == [Translation("fi(a)")]
    assert len(server.requests) == 3


async def test_a_rejection_is_not_retried() -> None:
    server = LibreTranslate(400)
    with server.listening() as url, pytest.raises(StageError, match="the model is busy"):
        await served(url, api="libretranslate", retries=3).translate(["a"], [EN], FI)
    assert len(server.requests) == 1


async def test_a_reply_with_too_few_translations_is_an_error() -> None:
    with LibreTranslate(short=True).listening() as url, pytest.raises(StageError, match="1 translations for 2 texts"):
        await served(url, api="libretranslate").translate(["a", "b"], [EN, EN], FI)


# settings


def test_what_changes_translations_changes_the_identity() -> None:
    variants = [
        served("http://a"),
        served("http://b"),
        served("http://a", api="libretranslate"),
        served("http://a", model="n"),
    ]
    assert len({variant.identity for variant in variants}) == len(variants)
    assert served(["http://a", "http://b"]).identity == served(["http://b/", "http://a"], batch=1).identity


@pytest.mark.parametrize("settings", [{"batch": 0}, {"base_url": []}, {"base_url": "gpu1:8000"}, {"retries": -1}])
def test_unusable_settings_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="translator kind 'served'"):
        ServedTranslator(**{"model": "m", "base_url": "http://a", **settings})


@pytest.mark.parametrize(("api", "listing"), [("qttrag", "models"), ("libretranslate", "languages")])
def test_the_servers_are_named_with_what_they_list(api: str, listing: str) -> None:
    deployed = Deployment.model_validate(
        {
            "retriever": {"kind": "bm25", "collections": []},
            "reranker": {"kind": "none"},
            "generator": {"kind": "openai", "model": "m", "base_url": "http://127.0.0.1/v1"},
            "translator": {"kind": "served", "model": "nllb", "base_url": "http://gpu/v1", "api": api},
        }
    )
    (named,) = [each for each in named_models(Path("d.yaml"), deployed) if each.place == "translator"]
    assert (named.model, named.served, named.listing) == ("nllb", "http://gpu/v1", listing)
