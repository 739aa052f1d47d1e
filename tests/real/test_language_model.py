"""SmolLM2-135M-Instruct as generator, translator and tagger: in process, and behind the server of llama-cpp-python."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from qttrag.application.application import Application
from qttrag.config import deployment as config
from qttrag.types import AskRequest
from tests import shared_data
from tests.real.command import qttrag

MLQE_PE = shared_data.FOLDER / "data" / "mlqe_pe"
pytestmark = [pytest.mark.real, pytest.mark.timeout(3600)]
STRATEGIES = ("base", "cross_rag", "dkm_rag", "qtt_rag", "hard_filter", "query_translation")
TRANSLATING = {"cross_rag", "dkm_rag", "qtt_rag", "hard_filter"}
QUESTION = "In which city is the parliament of Finland?"
PASSAGES = [
    ("fi", "Eduskuntatalo on Suomen eduskunnan istuntorakennus Helsingissä, Mannerheimintien varrella."),
    ("de", "Das finnische Parlament hat seinen Sitz in Helsinki. Es hat zweihundert Abgeordnete."),
    ("en", "The parliament of Finland sits in Helsinki, the capital. It has two hundred members."),
    ("en", "The parliament of Sweden, the Riksdag, sits in Stockholm."),
    ("fr", "Le Parlement du Danemark siège à Copenhague, au château de Christiansborg."),
    ("es", "El Parlamento de Noruega se encuentra en Oslo y tiene 169 diputados."),
]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, encoder: Path) -> Path:
    """A home with an index in five languages, which is built once."""
    folder = tmp_path_factory.mktemp("parliaments")
    with (folder / "parliaments.jsonl").open("w", encoding="utf-8") as lines:
        for number, (lang, text) in enumerate(PASSAGES):
            lines.write(json.dumps({"id": f"{lang}-{number}", "text": text, "lang": lang}) + "\n")
    recipe = {
        "source": {"kind": "jsonl", "path": "./parliaments.jsonl"},
        "encoder": {"model": str(encoder), "query_prefix": "query: ", "passage_prefix": "passage: "},
    }
    (folder / "parliaments.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("QTTRAG_HOME", str(folder / "home"))
        qttrag("index", "build", folder / "parliaments.yaml")
    return folder / "home"


@pytest.fixture
def in_process(language_model: Path) -> dict[str, Any]:
    """The settings of a generator in this process."""
    return {"kind": "transformers", "model": str(language_model), "device": "cpu"}


@pytest.fixture(params=["in process", "llama-cpp-python"])
def generator(request: pytest.FixtureRequest, language_model: Path, in_process: dict[str, Any]) -> dict[str, Any]:
    """The settings of a generator."""
    if request.param == "in process":
        return in_process
    url = request.getfixturevalue("llama_server")
    return {"kind": "openai", "model": "smollm2", "base_url": url, "tokenizer": str(language_model), "context": 8192}


@pytest.fixture
def deployment(
    home: Path, tmp_path: Path, encoder: Path, generator: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A deployment file over the collection."""
    monkeypatch.setenv("QTTRAG_HOME", str(home))
    settings = {
        "retriever": {
            "kind": "dense",
            "encoder": {"kind": "sentence_transformers", "model": str(encoder), "device": "cpu"},
            "collections": ["parliaments"],
        },
        "reranker": {"kind": "none"},
        "translator": {"kind": "llm", "max_tokens": 64},  # so small a model repeats itself to the limit
        "tagger": {"kind": "llm"},
        "generator": generator,
        "answer_tokens": 32,
        "degrade": False,  # an unavailable stage is an error here
    }
    path = tmp_path / "deployment.yaml"
    path.write_text(yaml.safe_dump(settings), encoding="utf-8")
    return path


async def test_every_strategy_answers(deployment: Path) -> None:
    async with Application.open(config.load(deployment)) as application:
        answers = [await application.ask(AskRequest(QUESTION, lang="en", strategy=name)) for name in STRATEGIES]
    for answer in answers:
        print(f"\n{answer.strategy}: {answer.text!r} {answer.trace.notes}")
        assert answer.text.strip()
        for passage in answer.context:
            foreign = passage.passage.lang != "en"
            assert (passage.translation is not None) == (foreign and answer.strategy in TRANSLATING)
            if answer.strategy == "qtt_rag" and foreign:
                assert passage.scores or passage.unscored in {"unreadable", "range", "empty"}
    assert sum("Helsinki" in answer.text for answer in answers) >= 4


def test_doctor_reports_what_the_server_can_do(deployment: Path, generator: dict[str, Any]) -> None:
    findings = json.loads(qttrag("doctor", "--config", deployment, "--ask", "--json"))
    print("\n" + "\n".join(f"{f['what']}: {f['detail']}" for f in findings))
    assert all(finding["ok"] is not False for finding in findings)


@shared_data.needs(MLQE_PE)
@pytest.mark.parametrize("expected", ["false", "true"], ids=["as written", "as expectations"])
def test_scores_are_compared_with_human_ones(tmp_path: Path, in_process: dict[str, Any], expected: str) -> None:
    """In process: only under a schema does so small a model give scores, and the server takes none."""
    settings = {
        "retriever": {"kind": "bm25", "collections": ["never-opened"]},
        "tagger": {"kind": "llm"},
        "generator": in_process,
    }
    (tmp_path / "deployment.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    words: list[str | Path] = ["--from", "en", "--to", "zh", "--sample", "200", "--json"]
    words += ["-c", tmp_path / "deployment.yaml"]
    printed = qttrag("eval", "tagger", MLQE_PE / "en-zh.tsv.gz", *words, "--set", f"tagger.expected={expected}")
    document = json.loads(printed)
    print("\n" + "\n".join(document["notes"]))
    for cell in document["cells"]:
        figure = cell["figures"]["pearsonr"]
        print(f"{cell['criterion']}: n {figure['n']}, Pearson {figure['value']} [{figure['low']}, {figure['high']}]")
        assert cell["n"] + cell["unscored"] == 200
        assert figure["value"] is None or figure["low"] <= figure["value"] <= figure["high"]
