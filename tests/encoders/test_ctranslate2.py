"""Encoders on CTranslate2."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from transformers import AutoTokenizer

from qttrag.encoders.ctranslate2 import CTranslate2Encoder, unsupported
from qttrag.encoders.saved_tokenizer import SavedTokenizer
from qttrag.encoders.sentence_transformers import SentenceTransformersEncoder, SentenceTransformersKind
from qttrag.encoders.tokens import tokenised
from qttrag.errors import ConfigError
from qttrag.indexes.recipe import load
from qttrag.models.loading import locate
from qttrag.protocols import PassageEncoder
from qttrag.retrievers.dense import DenseRetriever
from qttrag.types import Lang, Query
from tests import deployment
from tests.indexes.jobs.real_encoders import build
from tests.texts import LANGS, paragraph, sentences

TEXTS = [text for lang in LANGS for text in sentences(lang, 4)] + [paragraph("en", 40)]


def with_pooling(mode: str, folder: Path, out: Path) -> Path:
    shutil.copytree(folder, out)
    config = json.loads((out / "1_Pooling" / "config.json").read_text())
    (out / "1_Pooling" / "config.json").write_text(json.dumps({**config, "pooling_mode": mode}))
    return out


def passages(encoder: PassageEncoder) -> NDArray[np.float32]:
    return encoder.encode_prepared(encoder.prepare(encoder.tokenise(TEXTS)))


def in_torch(folder: Path, *, truncate_dim: int | None = None) -> SentenceTransformersEncoder:
    return SentenceTransformersEncoder(
        str(folder), revision=None, device="cpu", max_tokens=64, truncate_dim=truncate_dim
    )


@pytest.mark.parametrize("pooling", ["cls", "mean"])
@pytest.mark.parametrize("dim", [None, 16])
def test_float32_gives_the_vectors_of_sentence_transformers(
    tiny: Path, tmp_path: Path, pooling: str, dim: int | None
) -> None:
    folder = tiny / "encoder" if pooling == "cls" else with_pooling(pooling, tiny / "encoder", tmp_path / "mean")
    located = locate("retriever", str(folder), revision=None, model_types=())
    own = CTranslate2Encoder(str(folder), located, max_tokens=64, compute_type="float32", truncate_dim=dim)
    library = in_torch(folder, truncate_dim=dim)
    np.testing.assert_allclose(own.encode(TEXTS), library.encode(TEXTS), atol=2e-6)
    assert own.info == library.info
    assert own.lengths(TEXTS) == library.lengths(TEXTS)


def test_auto_on_a_cpu_is_ctranslate2_in_float32(tiny: Path) -> None:
    encoder = SentenceTransformersKind(str(tiny / "encoder"), device="cpu", max_tokens=64).load()
    assert isinstance(encoder, CTranslate2Encoder)
    np.testing.assert_allclose(encoder.encode(TEXTS), in_torch(tiny / "encoder").encode(TEXTS), atol=2e-6)


def test_auto_on_a_cpu_is_torch_for_a_pooling_that_ctranslate2_lacks(tiny: Path, tmp_path: Path) -> None:
    folder = with_pooling("max", tiny / "encoder", tmp_path / "max")
    assert isinstance(SentenceTransformersKind(str(folder), device="cpu").load(), SentenceTransformersEncoder)


def test_float32_is_torch(tiny: Path) -> None:
    kind = SentenceTransformersKind(str(tiny / "encoder"), device="cpu", dtype="float32")
    assert isinstance(kind.load(), SentenceTransformersEncoder)


@pytest.mark.parametrize("side", ["right", "left"])
def test_the_saved_tokenizer_is_the_one_that_transformers_loads(tiny: Path, tmp_path: Path, side: str) -> None:
    folder = shutil.copytree(tiny / "encoder", tmp_path / "encoder")
    config = json.loads((folder / "tokenizer_config.json").read_text())
    config.pop("model_max_length", None)  # of some models
    (folder / "tokenizer_config.json").write_text(json.dumps({**config, "truncation_side": side}))
    located = locate("retriever", str(folder), revision=None, model_types=())
    texts = [*TEXTS, "", "<s> special </s>", "x" * 2000]
    for _ in ("saved", "loaded"):
        own = SavedTokenizer("retriever", located, max_tokens=16)
        expected = AutoTokenizer.from_pretrained(folder)
        assert own.tokenise(texts) == tokenised(expected, texts, 16)
        assert own.lengths(texts) == [len(ids) for ids in expected(texts, verbose=False)["input_ids"]]


def test_a_search_imports_neither_torch_nor_transformers_once_the_encoder_is_converted(
    tiny: Path, tmp_path: Path
) -> None:
    build(load(deployment.write_recipe(tmp_path, tiny, n=40)))
    program = (
        "import sys; from qttrag.cli import main\n"
        "try:\n    main()\nfinally:\n    print(sorted({'torch', 'transformers'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", program, "index", "search", "mixed", "Where is the bridge?", "--lang", "en"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_questions_and_passages_in_int8_have_the_same_vectors(tiny: Path) -> None:
    kind = SentenceTransformersKind(str(tiny / "encoder"), device="cpu", dtype="int8")
    (encoder,) = kind.load_for_passages()
    np.testing.assert_allclose(passages(encoder), kind.load().encode(TEXTS), atol=1e-6)


async def test_an_index_in_float32_is_searched_with_int8_questions(tiny: Path, tmp_path: Path) -> None:
    build(load(deployment.write_recipe(tmp_path, tiny, n=40)))
    query = Query("서울의 다리", Lang("ko"))
    scores = []
    for dtype in ("float32", "int8"):
        encoder = SentenceTransformersKind(str(tiny / "encoder"), device="cpu", dtype=dtype)
        hits = await DenseRetriever(encoder=encoder, collections=["mixed"]).retrieve(query, 5)
        scores.append([hit.score for hit in hits])
    assert scores[0] == pytest.approx(scores[1], abs=0.05)
    assert scores[0] != scores[1]


def test_int8_on_a_gpu_is_refused(tiny: Path) -> None:
    with pytest.raises(ConfigError, match=r"`dtype: int8` needs `device: cpu`, not 'cuda'; on a GPU use float16"):
        SentenceTransformersKind(str(tiny / "encoder"), device="cuda", dtype="int8").load()


@pytest.mark.parametrize(
    ("file", "content", "reason"),
    [
        ("1_Pooling/config.json", {"pooling_mode": "lasttoken"}, "its pooling is lasttoken, neither cls nor mean"),
        (
            "1_Pooling/config.json",
            {"pooling_mode_cls_token": True, "pooling_mode_max_tokens": True},
            "its pooling is cls, max, neither",
        ),
        ("sentence_bert_config.json", {"do_lower_case": True}, "the setting do_lower_case"),
        ("config_sentence_transformers.json", {"default_prompt_name": "query"}, "the default prompt query"),
        (
            "modules.json",
            [{"type": "a.Transformer", "path": ""}, {"type": "a.Dense", "path": "1"}],
            "its modules are Transformer, Dense",
        ),
    ],
)
def test_an_encoder_that_cannot_run_in_int8_is_refused_with_the_reason(
    tiny: Path, tmp_path: Path, file: str, content: object, reason: str
) -> None:
    folder = shutil.copytree(tiny / "encoder", tmp_path / "other")
    (folder / file).write_text(json.dumps(content))
    with pytest.raises(ConfigError, match=rf"cannot run in int8: .*{reason}.*set `dtype: float32`"):
        SentenceTransformersKind(str(folder), device="cpu", dtype="int8").load()


@pytest.mark.parametrize("flags", [{"pooling_mode_mean_tokens": True}, {"pooling_mode_cls_token": True}])
def test_the_poolings_of_older_files_are_read(tiny: Path, tmp_path: Path, flags: dict[str, bool]) -> None:
    folder = shutil.copytree(tiny / "encoder", tmp_path / "older")
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"word_embedding_dimension": 64, **flags}))
    assert unsupported(folder) is None
