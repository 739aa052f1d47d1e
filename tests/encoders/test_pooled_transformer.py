"""Encoders and cross-encoders on transformers alone give what sentence-transformers gives, for every pooling mode."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from qttrag.encoders import pooled_transformer
from qttrag.encoders.pooled_transformer import Pooling, Unsupported, pooling_of
from qttrag.encoders.sentence_transformers import SentenceTransformersEncoder
from qttrag.rerankers import pair_classifier
from qttrag.rerankers.cross_encoder import CrossEncoderReranker
from qttrag.types import Hit, Lang, Passage, Query
from tests.texts import LANGS, paragraph, sentences
from tests.tiny_causal import tokenizer as left_padding_tokenizer
from tests.tiny_models import xlmr_tokenizer

TEXTS = [text for lang in LANGS for text in sentences(lang, 2)] + [paragraph("ko", 12)]
MODES = ["cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken", ("mean", "cls")]
_SHAPE: dict[str, Any] = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64,
    "max_position_embeddings": 514, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2, "initializer_range": 0.4,
}  # fmt: skip
_OTHER_NAMES: dict[str, dict[str, Any]] = {
    "distilbert": {"dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 64},
    "modernbert": {"cls_token_id": 0, "sep_token_id": 2, "reference_compile": False},
    "qwen3": {"num_key_value_heads": 1, "head_dim": 16},
}


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return xlmr_tokenizer()


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory, tokenizer: Any) -> Callable[..., Path]:
    """Return a function that saves a tiny encoder with the package, and that model's folder."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer import modules
    from transformers import AutoConfig, AutoModel

    def made(model_type: str = "xlm-roberta", mode: Any = "mean", *more: Any, left: bool = False) -> Path:
        folder = tmp_path_factory.mktemp(model_type)
        own = left_padding_tokenizer(ends=True) if left else tokenizer
        own.save_pretrained(folder / "base")
        torch.manual_seed(3)
        shape = {**_SHAPE, **_OTHER_NAMES.get(model_type, {}), "vocab_size": len(own)}
        AutoModel.from_config(AutoConfig.for_model(model_type, **shape)).save_pretrained(folder / "base")
        parts = [modules.Transformer(str(folder / "base")), modules.Pooling(32, pooling_mode=mode), *more]
        SentenceTransformer(modules=parts, device="cpu").save(str(folder / "encoder"))
        shutil.rmtree(folder / "base")
        return folder / "encoder"

    return made


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def loaded(path: Path, *, max_tokens: int = 64) -> SentenceTransformersEncoder:
    return SentenceTransformersEncoder(str(path), revision=None, device="cpu", max_tokens=max_tokens)


def assert_equal_to_the_package(path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    reference = SentenceTransformer(str(path), device="cpu", local_files_only=True)
    reference.max_seq_length = 64
    expected = reference.encode(TEXTS, normalize_embeddings=True, batch_size=len(TEXTS))
    encoder = loaded(path)
    np.testing.assert_allclose(encoder.encode(TEXTS), expected, atol=1e-6)
    prepared = encoder.prepare(encoder.tokenise(TEXTS))
    np.testing.assert_allclose(encoder.encode_prepared(prepared), expected, atol=1e-6)


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_vectors_equal_those_of_the_package_for_each_pooling(make: Callable[..., Path], mode: Any) -> None:
    path = make("xlm-roberta", mode)
    assert pooling_of(path) == Pooling((mode,) if isinstance(mode, str) else mode)
    assert_equal_to_the_package(path)


@pytest.mark.parametrize("mode", ["cls", "max", "mean", "weightedmean", "lasttoken"])
def test_texts_may_be_padded_on_the_left(make: Callable[..., Path], mode: str) -> None:
    assert_equal_to_the_package(make("qwen3", mode, left=True))


@pytest.mark.parametrize("model_type", sorted(pooled_transformer.MODEL_TYPES))
def test_vectors_equal_those_of_the_package_for_each_architecture(make: Callable[..., Path], model_type: str) -> None:
    path = make(model_type, "mean")
    assert isinstance(pooling_of(path), Pooling)
    assert_equal_to_the_package(path)


def test_pooling_is_read_from_the_files_of_older_versions(make: Callable[..., Path]) -> None:
    path = make()
    flags = {"word_embedding_dimension": 32, "pooling_mode_cls_token": False, "pooling_mode_max_tokens": True}
    (path / "1_Pooling/config.json").write_text(json.dumps(flags))
    (path / "sentence_bert_config.json").write_text('{"max_seq_length": 512, "do_lower_case": false}')
    assert pooling_of(path) == Pooling(("max",))
    assert_equal_to_the_package(path)


def test_half_precision_is_pooled_in_single_precision(make: Callable[..., Path]) -> None:
    hidden, mask = torch.full((1, 3000, 2), 30.0, dtype=torch.float16), torch.ones(1, 3000, dtype=torch.int64)
    vectors = pooled_transformer.pooled(["mean", "weightedmean"], hidden, mask)  # their sums exceed float16
    assert vectors.tolist() == [[30.0] * 4]


def test_another_module_needs_the_package(make: Callable[..., Path], caplog: pytest.LogCaptureFixture) -> None:
    from sentence_transformers.base.modules import Dense

    path = make("xlm-roberta", "mean", Dense(32, 16))
    assert pooling_of(path) == Unsupported("its modules are Transformer, Pooling, Dense")
    with caplog.at_level(logging.INFO, logger="qttrag"):
        assert loaded(path).dim == 16
    assert "needs sentence-transformers: its modules are Transformer, Pooling, Dense" in caplog.text
    assert_equal_to_the_package(path)


@pytest.mark.parametrize(
    ("file", "changes", "reason"),
    [
        ("config.json", {"model_type": "t5"}, "its architecture is t5"),
        ("config.json", {"auto_map": {"AutoModel": "own.Model"}}, "its architecture is xlm-roberta"),
        ("sentence_bert_config.json", {"do_lower_case": True}, "its transformer has the setting do_lower_case"),
        ("sentence_bert_config.json", {"query_expansion": {}}, "its transformer has the setting query_expansion"),
        ("config_sentence_transformers.json", {"default_prompt_name": "query"}, "it has the default prompt query"),
        ("1_Pooling/config.json", {"include_prompt": False}, "its pooling leaves out the prompt"),
        ("1_Pooling/config.json", {"pooling_mode": "median"}, "its pooling is median"),
    ],
)
def test_settings_that_are_not_followed_need_the_package(
    make: Callable[..., Path], file: str, changes: dict[str, Any], reason: str
) -> None:
    path = make()
    edit(path / file, **changes)
    assert pooling_of(path) == Unsupported(reason)


def test_a_default_prompt_is_read_by_the_package(make: Callable[..., Path]) -> None:
    path = make()
    edit(path / "config_sentence_transformers.json", prompts={"query": "find: "}, default_prompt_name="query")
    assert_equal_to_the_package(path)


@pytest.mark.parametrize("model_type", sorted(pair_classifier.MODEL_TYPES))
async def test_scores_equal_those_of_the_package_for_each_architecture(
    tmp_path: Path, tokenizer: Any, model_type: str
) -> None:
    from sentence_transformers import CrossEncoder
    from transformers import AutoConfig, AutoModelForSequenceClassification

    torch.manual_seed(4)
    shape = {**_SHAPE, **_OTHER_NAMES.get(model_type, {}), "vocab_size": len(tokenizer), "num_labels": 1}
    config = AutoConfig.for_model(model_type, **shape)
    AutoModelForSequenceClassification.from_config(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    assert pair_classifier.unsupported(tmp_path) is None
    reference = CrossEncoder(str(tmp_path), device="cpu", activation_fn=torch.nn.Identity(), max_length=64)
    expected = dict(zip(TEXTS, reference.predict([(TEXTS[0], text) for text in TEXTS]), strict=True))
    hits = [Hit(Passage(str(n), text, Lang("en")), 0.0) for n, text in enumerate(TEXTS)]
    ranked = await CrossEncoderReranker(str(tmp_path), device="cpu", dtype="float32", max_tokens=64).rerank(
        Query(TEXTS[0], Lang("en")), hits
    )
    assert [hit.score for hit in ranked] == pytest.approx([expected[hit.passage.text] for hit in ranked], abs=1e-5)


def test_a_cross_encoder_that_the_package_saved_needs_it_only_for_more_modules(tiny: Path, tmp_path: Path) -> None:
    from sentence_transformers import CrossEncoder

    CrossEncoder(str(tiny / "reranker"), device="cpu").save(str(tmp_path))
    assert pair_classifier.unsupported(tiny / "reranker") is None
    assert pair_classifier.unsupported(tmp_path) is None
    (tmp_path / "modules.json").write_text('[{"type": "x.Transformer"}, {"type": "x.Dense"}]')
    assert pair_classifier.unsupported(tmp_path) == "its modules are Transformer, Dense"
