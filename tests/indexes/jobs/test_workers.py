"""Builds with several encoders: devices of this machine, or servers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray
from typer.testing import CliRunner

from qttrag.application.factory import Builder, stage_settings
from qttrag.cli import app
from qttrag.config.deployment import Deployment
from qttrag.errors import ConfigError, StageError, StageUnavailable
from qttrag.indexes.collection import open_index, verify
from qttrag.indexes.jobs.index_job import Progress
from qttrag.indexes.recipe import Recipe, load
from qttrag.indexes.storage.manifest import Manifest
from qttrag.prompts import Prompts
from qttrag.types import Lang, Query
from tests import deployment
from tests.indexes.embedding_server import EmbeddingServer
from tests.indexes.jobs.real_encoders import build

ROWS = 60
LONG = " ".join(["The oldest bridge of the city was opened in the year."] * 9)


@pytest.fixture
def path(tmp_path: Path, tiny: Path) -> Path:
    path = deployment.write_recipe(tmp_path, tiny, n=ROWS)
    with path.with_name("mixed.jsonl").open("a") as file:
        file.write(json.dumps({"id": "long", "text": LONG, "lang": "en"}) + "\n")
    return path


def recipe(path: Path, **encoder: Any) -> Recipe:
    data = yaml.safe_load(path.read_text())
    changed = {**data["encoder"], "max_tokens": 64, "batch_tokens": 512, **encoder}
    path.write_text(yaml.safe_dump({**data, "encoder": changed, "shard_rows": 25}))
    return load(path)


def built(path: Path, **encoder: Any) -> tuple[Manifest, NDArray[np.float32]]:
    manifest = build(recipe(path, **encoder), overwrite=True)
    return manifest, np.concatenate(list(open_index("mixed").vectors))


def served(*servers: EmbeddingServer, **more: Any) -> dict[str, Any]:
    return {"urls": [server.url for server in servers], "model": "acme/encoder", **more}


def test_several_devices_give_the_same_index_as_one(path: Path) -> None:
    one, vectors = built(path, device="cpu")
    two, others = built(path, device=["cpu", "cpu", "cpu"])
    assert (vectors == others).all()
    assert one.recipe_digest == two.recipe_digest


@pytest.mark.parametrize("as_numbers", [True, False])
def test_servers_give_the_same_index_as_an_encoder_in_process(path: Path, tiny: Path, as_numbers: bool) -> None:
    here, vectors = built(path)
    with EmbeddingServer(tiny / "encoder", as_numbers=as_numbers) as server, EmbeddingServer(tiny / "encoder") as other:
        there, others = built(path, servers=served(server, other))
        assert all(len(one.asked) > 1 for one in (server, other))
        tokens = server._encoder.lengths([text for one in (server, other) for batch in one.asked for text in batch])
    assert np.abs(vectors - others).max() < 2e-3
    assert (there.encoder_revision, there.truncated) == (here.encoder_revision, here.truncated)
    assert there.truncated == 1
    assert max(tokens) == 64


def test_a_request_has_at_most_as_many_texts_as_the_server_accepts(path: Path, tiny: Path) -> None:
    with EmbeddingServer(tiny / "encoder", largest=3) as server:
        built(path, servers=served(server, batch=3))
        assert max(map(len, server.asked)) == 3
        with pytest.raises(StageError, match=r"rejected .* \(HTTP 422\).*maximum allowed 3.*lower `servers: \{batch: "):
            built(path, servers=served(server, batch=4))


def test_a_batch_that_fails_on_one_server_is_sent_to_another(path: Path, tiny: Path) -> None:
    with EmbeddingServer(tiny / "encoder", falls=3) as server, EmbeddingServer(tiny / "encoder") as other:
        manifest, _ = built(path, servers=served(server, other))
    assert manifest.rows == ROWS + 1
    assert verify("mixed") == []


def test_a_build_without_a_working_server_stops_and_resumes_later(path: Path, tiny: Path) -> None:
    with EmbeddingServer(tiny / "encoder", falls=12) as server:
        settings = served(server, batch=4, in_flight=1, retries=1)
        with pytest.raises(
            StageUnavailable, match=r"127\.0\.0\.1.*acme/encoder\) failed \(HTTP 503\).* finished and kept; run the"
        ):
            built(path, servers=settings)
    progress: list[Progress] = []
    build(recipe(path, servers={}), progress=progress.append)
    assert progress[0].passages > 25


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model": "acme/other"}, r"does not have this model or path"),
        ({"urls": ["http://127.0.0.1:9/v1"]}, r"127\.0\.0\.1:9/v1 .*cannot be reached .*start it"),
    ],
)
def test_an_unusable_server_is_reported_before_reading(
    path: Path, tiny: Path, change: dict[str, Any], words: str
) -> None:
    with (
        EmbeddingServer(tiny / "encoder") as server,
        pytest.raises(StageError, match=words),
    ):
        built(path, servers=served(server) | change)


@pytest.mark.parametrize("seconds", [0.01, 0.03, 0.12])
def test_a_slow_server_encodes_hardly_a_text_twice(path: Path, tiny: Path, seconds: float) -> None:
    with EmbeddingServer(tiny / "encoder", seconds=seconds) as server:
        manifest, _ = built(path, servers=served(server, timeout=0.6))
        encoded = sum(map(len, server.asked)) - 1  # the first request asks for the size of the vectors
    assert manifest.rows == ROWS + 1
    assert encoded / manifest.rows < 1.2


def test_a_fast_server_gets_full_batches(path: Path, tiny: Path) -> None:
    with EmbeddingServer(tiny / "encoder") as server:
        built(path, servers=served(server, batch=8))
        assert max(map(len, server.asked)) == 8


def test_a_server_too_slow_for_one_text_is_named_with_the_reason(path: Path, tiny: Path) -> None:
    with (
        EmbeddingServer(tiny / "encoder", seconds=1.0) as server,
        pytest.raises(StageUnavailable, match=r"127\.0\.0\.1.*sent no data for 0\.3 s; raise `servers: \{timeout"),
    ):
        built(path, servers=served(server, timeout=0.3))


def test_a_missing_tokenizer_is_reported_with_what_to_give(path: Path, tmp_path: Path, tiny: Path) -> None:
    (tmp_path / "empty").mkdir()
    with (
        EmbeddingServer(tiny / "encoder") as server,
        pytest.raises(ConfigError, match=r"encoder '.*empty': its tokenizer is not available: .*no config\.json"),
    ):
        built(path, model=str(tmp_path / "empty"), servers=served(server))


def test_questions_are_encoded_by_the_servers_of_the_recipe(path: Path, tiny: Path) -> None:
    with EmbeddingServer(tiny / "encoder") as server:
        built(path, servers=served(server))
        server.asked.clear()
        found = CliRunner().invoke(app, ["index", "search", "mixed", "kirjasto", "--json"])
        assert found.exit_code == 0, found.output
        assert ["kirjasto"] in server.asked
    here = CliRunner().invoke(app, ["index", "search", "mixed", "kirjasto", "--json", "--in-process"])
    assert [hit["passage_id"] for hit in json.loads(here.stdout)] == [
        hit["passage_id"] for hit in json.loads(found.stdout)
    ]


async def test_a_deployment_takes_the_encoder_of_a_recipe_with_its_servers(path: Path, tiny: Path) -> None:
    with EmbeddingServer(tiny / "encoder") as server:
        built(path, servers=served(server))
        server.asked.clear()
        encoder = {"model": str(tiny / "encoder"), "max_tokens": 64, "servers": served(server)}
        settings = {"kind": "dense", "encoder": encoder, "collections": ["mixed"]}
        deployed = Deployment(retriever=settings, generator={"kind": "openai"})
        assert [one.spec["kind"] for one in stage_settings(deployed) if one.stage == "encoder"] == ["openai"]
        retriever = Builder(deployed, Prompts(), None).build("retriever", settings)
        hits = await retriever.retrieve(Query("kirjasto", Lang("fi")), 3)
        assert len(hits) == 3
        assert ["kirjasto"] in server.asked
