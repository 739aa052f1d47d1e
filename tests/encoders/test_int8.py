"""Encoders on CTranslate2."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from qttrag.encoders.ctranslate2 import CTranslate2Encoder, unsupported
from qttrag.encoders.sentence_transformers import SentenceTransformersKind
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


def with_mean_pooling(folder: Path, out: Path) -> Path:
    shutil.copytree(folder, out)
    config = json.loads((out / "1_Pooling" / "config.json").read_text())
    (out / "1_Pooling" / "config.json").write_text(json.dumps({**config, "pooling_mode": "mean"}))
    return out


def passages(encoder: PassageEncoder) -> NDArray[np.float32]:
    return encoder.encode_prepared(encoder.prepare(encoder.tokenise(TEXTS)))


@pytest.mark.parametrize("pooling", ["cls", "mean"])
@pytest.mark.parametrize("dim", [None, 16])
def test_float32_gives_the_vectors_of_sentence_transformers(
    tiny: Path, tmp_path: Path, pooling: str, dim: int | None
) -> None:
    folder = tiny / "encoder" if pooling == "cls" else with_mean_pooling(tiny / "encoder", tmp_path / "mean")
    located = locate("retriever", str(folder), revision=None, model_types=())
    own = CTranslate2Encoder(str(folder), located, max_tokens=64, compute_type="float32", truncate_dim=dim)
    library = SentenceTransformersKind(str(folder), device="cpu", max_tokens=64, truncate_dim=dim).load()
    np.testing.assert_allclose(own.encode(TEXTS), library.encode(TEXTS), atol=1e-4)
    assert own.info == library.info
    assert own.lengths(TEXTS) == library.lengths(TEXTS)


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
        ("1_Pooling/config.json", {"pooling_mode": "lasttoken"}, "a pooling other than cls and mean"),
        ("1_Pooling/config.json", {"pooling_mode_cls_token": True, "pooling_mode_max_tokens": True}, "a pooling other"),
        ("sentence_bert_config.json", {"do_lower_case": True}, "lowers the case"),
        ("config_sentence_transformers.json", {"default_prompt_name": "query"}, "the default prompt 'query'"),
        ("modules.json", [{"type": "a.Transformer", "path": ""}, {"type": "a.Dense", "path": "1"}], "modules Transf"),
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
