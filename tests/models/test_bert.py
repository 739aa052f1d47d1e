"""BERT, RoBERTa and XLM-R on CTranslate2 against transformers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from transformers import (
    AutoModel,
    BertConfig,
    BertModel,
    RobertaConfig,
    RobertaModel,
    XLMRobertaConfig,
    XLMRobertaModel,
)

from qttrag.models.bert import Bert, unsupported
from qttrag.models.loading import LocatedModel, locate

ROWS = [[0, 17, 90, 33, 2], [0, 5, 2], [0, *range(10, 60), 2]]
TYPES = [[0, 0, 0, 1, 1], [0, 1, 1], [0] * 30 + [1] * 22]
MODELS: dict[str, tuple[Any, Any]] = {  # their settings are only partly typed
    "bert": (BertConfig, BertModel),
    "roberta": (RobertaConfig, RobertaModel),
    "xlm": (XLMRobertaConfig, XLMRobertaModel),
}
SIZE = {
    "vocab_size": 100, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64,
    "max_position_embeddings": 80, "initializer_range": 0.1, "pad_token_id": 1, "type_vocab_size": 2,
}  # fmt: skip


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("berts")
    for seed, (name, (config, model)) in enumerate(MODELS.items()):
        torch.manual_seed(seed)
        made = model(config(**SIZE))
        made.embeddings.LayerNorm.bias.data.normal_()  # or its values are those of any model
        made.save_pretrained(root / name)
    return {name: root / name for name in MODELS}


def located(folder: Path) -> LocatedModel:
    return locate("reranker", str(folder), revision=None, model_types=())


def expected(folder: Path, row: list[int], types: list[int] | None) -> NDArray[np.float32]:
    model: Any = AutoModel.from_pretrained(folder).eval()
    with torch.inference_mode():
        kinds = None if types is None else torch.tensor([types])
        states: NDArray[np.float32] = model(torch.tensor([row]), token_type_ids=kinds).last_hidden_state[0].numpy()
    return states


@pytest.mark.parametrize("name", MODELS)
def test_float32_gives_the_output_of_transformers(folders: dict[str, Path], name: str) -> None:
    states = Bert("reranker", located(folders[name]), "float32").hidden_states(ROWS)
    for state, row in zip(states, ROWS, strict=True):
        np.testing.assert_allclose(state[: len(row)], expected(folders[name], row, None), atol=1e-4)


def test_the_types_of_tokens_count(folders: dict[str, Path]) -> None:
    states = Bert("reranker", located(folders["bert"]), "float32").hidden_states(ROWS, TYPES)
    for state, row, types in zip(states, ROWS, TYPES, strict=True):
        np.testing.assert_allclose(state[: len(row)], expected(folders["bert"], row, types), atol=1e-4)


@pytest.mark.parametrize("name", MODELS)
def test_int8_stays_close_to_float32(folders: dict[str, Path], name: str) -> None:
    exact, rounded = (
        Bert("reranker", located(folders[name]), kind).hidden_states(ROWS) for kind in ("float32", "int8")
    )
    one, other = exact[:, 0], rounded[:, 0]
    cosines = (one * other).sum(1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)
    assert cosines.min() > 0.99
    assert np.abs(one - other).max() > 0  # it is int8


@pytest.mark.parametrize(
    ("setting", "value", "reason"),
    [
        ("model_type", "qwen3", "a 'qwen3' model is none of bert"),
        ("hidden_act", "swish", "the activation 'swish' is none of gelu"),
        ("position_embedding_type", "relative_key", "positions are 'relative_key', not absolute"),
        ("num_hidden_layers", 3, "its weights have no 'encoder.layer.2"),
    ],
)
def test_a_model_that_cannot_run_has_a_reason(
    folders: dict[str, Path], tmp_path: Path, setting: str, value: object, reason: str
) -> None:
    other = shutil.copytree(folders["bert"], tmp_path / "other")
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps({**config, setting: value}))
    assert unsupported(folders["bert"]) is None
    assert reason in (unsupported(other) or "")
