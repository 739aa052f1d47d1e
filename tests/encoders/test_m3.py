"""BGE-M3's three outputs, against the definitions of its paper computed with plain transformers, text by text."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from qttrag.encoders import token_weights
from qttrag.encoders.m3_encoder import M3Encoder, require
from qttrag.encoders.sentence_transformers import SentenceTransformersKind
from qttrag.errors import ConfigError
from qttrag.types import TokenWeights
from tests import tiny_m3
from tests.texts import LANGS, sentences

TEXTS = [text for lang in LANGS for text in sentences(lang, 4)] + ["Turku Turku Turku", "x", ""]


class Reference(NamedTuple):
    vector: Any
    weights: dict[int, float]
    token_vectors: Any


def reference(folder: Path, text: str) -> Reference:
    """Return what BGE-M3 gives for a text: token by token, with no code of qttrag or sentence-transformers."""
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    inputs = tokenizer(text, return_tensors="pt")
    sparse, colbert = (load_file(folder / f"{name}.safetensors") for name in ("sparse_linear", "colbert_linear"))
    with torch.inference_mode():
        hidden = AutoModel.from_pretrained(folder).eval()(**inputs).last_hidden_state[0]
    weights: dict[int, float] = {}
    for number, state in zip(inputs["input_ids"][0].tolist(), hidden, strict=True):
        weight = max(0.0, float(state @ sparse["weight"][0] + sparse["bias"][0]))
        if number not in tokenizer.all_special_ids and weight > weights.get(number, 0.0):
            weights[number] = weight
    vectors = torch.nn.functional.normalize(hidden[1:] @ colbert["weight"].T + colbert["bias"], dim=-1)
    return Reference(torch.nn.functional.normalize(hidden[0], dim=0), weights, vectors)


def as_dict(weights: TokenWeights) -> dict[int, float]:
    return dict(zip(weights.tokens.tolist(), weights.weights.tolist(), strict=True))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_m3.make(tmp_path_factory.mktemp("models") / "m3")


@pytest.fixture(scope="module")
def references(folder: Path) -> list[Reference]:
    return [reference(folder, text) for text in TEXTS]


@pytest.fixture
def encoder(folder: Path) -> M3Encoder:
    loaded = SentenceTransformersKind(str(folder), device="cpu").load()
    assert isinstance(loaded, M3Encoder)
    return loaded


def test_weights_of_tokens_are_those_of_the_definition(encoder: M3Encoder, references: list[Reference]) -> None:
    for weights, expected in zip(encoder.weigh(TEXTS), references, strict=True):
        assert as_dict(weights) == pytest.approx(expected.weights, abs=1e-5)
    assert max(len(expected.weights) for expected in references) > 8


def test_vectors_of_tokens_are_those_of_the_definition(encoder: M3Encoder, references: list[Reference]) -> None:
    for of_text, expected in zip(encoder.question_token_vectors(TEXTS), references, strict=True):
        np.testing.assert_allclose(of_text, expected.token_vectors, atol=1e-5)
    for of_text, expected in zip(encoder.passage_token_vectors(TEXTS), references, strict=True):
        np.testing.assert_allclose(of_text, expected.token_vectors, atol=1e-5)


def test_vectors_of_texts_are_those_of_the_model(encoder: M3Encoder, references: list[Reference]) -> None:
    np.testing.assert_allclose(encoder.encode(TEXTS), np.stack([r.vector for r in references]), atol=1e-5)


def test_a_build_gets_vectors_and_weights_in_the_order_of_its_batch(
    encoder: M3Encoder, references: list[Reference]
) -> None:
    vectors, weights = encoder.encode_prepared_and_weigh(encoder.prepare(encoder.tokenise(TEXTS)))
    np.testing.assert_allclose(vectors, np.stack([r.vector for r in references]), atol=1e-5)
    for of_text, expected in zip(token_weights.rows(weights), references, strict=True):
        assert as_dict(of_text) == pytest.approx(expected.weights, abs=1e-5)


def test_all_outputs_of_a_question_take_one_pass(folder: Path) -> None:
    loaded: Any = SentenceTransformersKind(str(folder), device="cpu").load()
    passes: list[int] = []
    loaded._encoder._model._model.register_forward_hook(lambda *_: passes.append(1))
    loaded.encode(TEXTS[:3])
    loaded.weigh(TEXTS[:3])
    loaded.question_token_vectors(TEXTS[:3])
    assert len(passes) == 1
    loaded.weigh(TEXTS[2:4])
    assert len(passes) == 2


def test_an_encoder_without_the_layer_names_the_file_and_the_guide(tiny: Path) -> None:
    plain = SentenceTransformersKind(str(tiny / "encoder"), device="cpu").load()
    with pytest.raises(ConfigError, match=r"no weights of tokens.*sparse_linear\.safetensors.*pickle.*encoders\.md"):
        require(plain, "m", "sparse_linear")


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"weight": torch.zeros(1, 8), "bias": torch.zeros(1)}, r"of shape \(1, 8\), not 1 x 64"),
        ({"weight": torch.zeros(1, 64)}, "no linear layer"),
    ],
)
def test_a_layer_of_another_model_is_refused(tiny: Path, tmp_path: Path, tensors: Any, message: str) -> None:
    import shutil

    shutil.copytree(tiny / "encoder", tmp_path / "m3")
    save_file(tensors, tmp_path / "m3" / "sparse_linear.safetensors")
    with pytest.raises(ConfigError, match=message):
        SentenceTransformersKind(str(tmp_path / "m3"), device="cpu").load()


def test_a_pickle_beside_the_model_is_not_read(tiny: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(tiny / "encoder", tmp_path / "m3")
    torch.save({"weight": torch.zeros(1, 64), "bias": torch.zeros(1)}, tmp_path / "m3" / "sparse_linear.pt")
    loaded = SentenceTransformersKind(str(tmp_path / "m3"), device="cpu").load()
    with pytest.raises(ConfigError, match="not read"):
        require(loaded, "m", "sparse_linear")
