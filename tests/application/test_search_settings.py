"""The settings of a retriever: its encoder and its collections."""

from __future__ import annotations

from pathlib import Path

import pytest

from qttrag.application import named_models
from qttrag.application.application import Application
from qttrag.config import deployment as config
from qttrag.errors import ConfigError
from qttrag.types import AskRequest
from tests import deployment

QUESTION = "서울 시에서 가장 오래된 다리는 언제 개통되었는가?"


def open_with(folder: Path, tiny: Path, **retriever: object) -> Application:
    settings = {"kind": "dense", "encoder": deployment.encoder(tiny), "collections": ["mixed"], **retriever}
    return Application.open(deployment.write_deployment(folder, tiny, retriever=settings))


@pytest.mark.parametrize("name", ["model", "revision", "device", "max_tokens", "batch_tokens"])
def test_a_setting_of_the_encoder_in_its_old_place_is_refused_with_the_new_one(
    tmp_path: Path, tiny: Path, name: str
) -> None:
    with pytest.raises(ConfigError, match=rf"`{name}:` has moved; write `retriever: {{encoder: {{{name}: \.\.\.}}}}`"):
        open_with(tmp_path, tiny, **{name: 1})


def test_a_retriever_without_an_encoder_asks_for_one(tmp_path: Path, tiny: Path) -> None:
    with pytest.raises(ConfigError, match=r"`encoder:` must hold an encoder's settings"):
        open_with(tmp_path, tiny, encoder=None)


def test_an_unknown_setting_of_the_encoder_is_named(tmp_path: Path, tiny: Path) -> None:
    with pytest.raises(ConfigError, match="unknown setting of encoder kind 'sentence_transformers': 'modle'"):
        open_with(tmp_path, tiny, encoder={"kind": "sentence_transformers", "modle": "x"})


async def test_a_collection_can_be_a_name_or_the_settings_of_a_store(tmp_path: Path, tiny: Path) -> None:
    deployment.build(tmp_path, tiny)
    deployment.build(tmp_path, tiny, n=12, name="few")
    collections = ["mixed", {"kind": "faiss_folder", "name": "few", "threads": 1}]
    async with open_with(tmp_path, tiny, collections=collections) as application:
        assert application.collections == ["mixed", "few"]
        assert named_models.collection_names(application.deployment) == ["mixed", "few"]
        answer = await application.ask(AskRequest(QUESTION, strategy="base", collections=["few"]))
    assert answer.context


@pytest.mark.parametrize(
    ("collections", "words"),
    [
        ("mixed", r"`collections: mixed`: give a list of names or of the settings of stores"),
        ([5], r"`collections: \[5\]`: give a list"),
        ([{"name": "mixed"}], "store: `kind:` is missing"),
        ([{"kind": "milvsu"}], "unknown store kind 'milvsu'"),
    ],
)
def test_collections_of_another_form_are_refused(tmp_path: Path, tiny: Path, collections: object, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        open_with(tmp_path, tiny, collections=collections)


def test_missing_collections_are_named(tmp_path: Path, tiny: Path) -> None:
    path = deployment.write_deployment(tmp_path, tiny, retriever={"kind": "dense", "encoder": deployment.encoder(tiny)})
    with pytest.raises(ConfigError, match=r"retriever kind 'dense': `collections:` is missing"):
        Application.open(path)


def test_the_environment_reaches_the_encoder(tmp_path: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QTTRAG_RETRIEVER__ENCODER__MODEL", "acme/other")
    deployed = config.load(deployment.write_deployment(tmp_path, tiny))
    named = {model.place: model.model for model in named_models.named_models(tmp_path, deployed)}
    assert named["retriever.encoder"] == "acme/other"


def test_an_encoder_behind_servers_is_served_and_needs_its_tokenizer_here(tmp_path: Path, tiny: Path) -> None:
    encoder = {"kind": "openai", "model": "acme/encoder", "base_url": ["http://one/v1", "http://two/v1"]}
    deployed = open_with(tmp_path, tiny, encoder=encoder).deployment
    served, tokenizer = [m for m in named_models.named_models(tmp_path, deployed) if m.place == "retriever.encoder"]
    assert served.served == "http://one/v1, http://two/v1"
    assert (tokenizer.kind, tokenizer.model, tokenizer.weights) == ("tokenizer", "acme/encoder", False)
