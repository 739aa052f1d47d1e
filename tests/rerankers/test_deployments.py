"""What `doctor` and `models` know of each kind of reranker in a deployment."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from qttrag.cli import app
from tests import deployment, tiny_causal
from tests.openai_client.server import Server, text_reply


class _NotFound(BaseHTTPRequestHandler):
    """A server without /models, such as TEI."""

    def do_GET(self) -> None:
        self.send_error(404)

    def log_message(self, *args: object) -> None:
        """Log nothing."""


@pytest.fixture
def tei() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), _NotFound) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def run(command: str, file: Path) -> list[dict[str, Any]]:
    result = CliRunner().invoke(app, [*command.split(), str(file), "--json"])
    listed: list[dict[str, Any]] = json.loads(result.stdout)
    return listed


def doctor(folder: Path, tiny: Path, **reranker: Any) -> dict[str, dict[str, Any]]:
    file = deployment.write_deployment(folder, tiny, reranker=reranker)
    return {finding["what"]: finding for finding in run("doctor -c", file)}


def test_a_causal_model_is_checked_like_any_other(tmp_path: Path, tiny: Path) -> None:
    folder = tiny_causal.make_qwen3_reranker(tmp_path / "qwen3-reranker")
    assert doctor(tmp_path, tiny, kind="causal_lm", model=str(folder))["reranker model"]["ok"] is True
    assert doctor(tmp_path, tiny, kind="causal_lm", model="owner/absent")["reranker model"]["ok"] is False


def test_a_server_that_lists_its_models_shows_them(tmp_path: Path, tiny: Path) -> None:
    with Server(text_reply("x")) as server:
        found = doctor(tmp_path, tiny, kind="served", model="m", base_url=server.base_url)["reranker server"]
    assert found["ok"] is True
    assert "served-model" in found["detail"]


def test_a_reranking_server_need_not_list_its_models(tmp_path: Path, tiny: Path, tei: str) -> None:
    found = doctor(tmp_path, tiny, kind="served", model="m", base_url=tei, api="tei")["reranker server"]
    assert found["ok"] is True
    assert "running" in found["detail"]


def test_a_server_that_does_not_run_is_missing(tmp_path: Path, tiny: Path) -> None:
    found = doctor(tmp_path, tiny, kind="served", model="m", base_url="http://127.0.0.1:9/v1", tokenizer="o/absent")
    assert found["reranker server"]["ok"] is False
    assert found["reranker tokenizer"]["ok"] is False


@pytest.mark.parametrize("kind", ["listwise", "pairwise"])
def test_the_generator_of_a_reranker_is_checked(tmp_path: Path, tiny: Path, kind: str) -> None:
    generator = {"kind": "openai", "model": "m", "base_url": "http://127.0.0.1:9/v1"}
    assert doctor(tmp_path, tiny, kind=kind, generator=generator)["reranker.generator server"]["ok"] is False


def test_the_models_of_rerankers_are_listed(tmp_path: Path, tiny: Path) -> None:
    folder = tiny_causal.make_qwen3_reranker(tmp_path / "qwen3-reranker")
    file = deployment.write_deployment(tmp_path, tiny, reranker={"kind": "causal_lm", "model": str(folder)})
    assert str(folder) in json.dumps(run("models list", file))
