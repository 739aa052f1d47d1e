"""The trained head of the `embedding` tagger: its regression, its file, its place in the tagger."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import save_file

from qttrag.encoders.language_means import centred
from qttrag.encoders.sentence_transformers import SentenceTransformersKind
from qttrag.errors import ConfigError
from qttrag.taggers import quality_head
from qttrag.taggers.embedding import EmbeddingTagger
from qttrag.taggers.quality_head import QualityHead
from qttrag.types import Lang

EN, KO = Lang("en"), Lang("ko")
ORIGINALS, TRANSLATIONS = ["The bridge opened in 1903.", "A lake."], ["다리는 1903년에 개통되었다.", "호수."]


@pytest.fixture
def encoder(tiny: Path) -> SentenceTransformersKind:
    return SentenceTransformersKind(str(tiny / "encoder"))


def head_of(encoder: SentenceTransformersKind, *, revision: str | None = None, weight: float = 5.0) -> QualityHead:
    info = encoder.load().info
    return QualityHead(np.full(info.dim, weight, np.float32), 0.0, revision or info.revision, "query: ", "en-ko: 9")


def unit_vectors(n: int, dim: int, seed: int) -> NDArray[np.float32]:
    return centred(np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32), None)


def test_the_regression_finds_the_weights_that_made_the_scores() -> None:
    one, other = unit_vectors(400, 16, 1), unit_vectors(400, 16, 2)
    truth = np.linspace(-3, 3, 16).astype(np.float32)
    weights, bias = quality_head.fit(one, other, ((one * other) @ truth + 2).astype(np.float64))
    assert weights == pytest.approx(truth, abs=0.1)
    assert bias == pytest.approx(2, abs=0.02)


def test_scores_without_a_pattern_get_small_weights() -> None:
    one, other = unit_vectors(400, 16, 1), unit_vectors(400, 16, 2)
    noise = np.random.default_rng(3).normal(size=400)
    weights, bias = quality_head.fit(one, other, noise)
    predicted = (one * other) @ weights + bias
    assert predicted.std() < 0.3 * noise.std()


async def test_a_head_of_equal_weights_is_the_cosine(encoder: SentenceTransformersKind, tmp_path: Path) -> None:
    head_of(encoder).write(tmp_path / "head.safetensors")
    raw = EmbeddingTagger(encoder=encoder, prefix="query: ")
    headed = EmbeddingTagger(encoder=encoder, prefix="query: ", head=str(tmp_path / "head.safetensors"))
    expected = await raw.score(ORIGINALS, TRANSLATIONS, [EN, EN], KO)
    verdicts = await headed.score(ORIGINALS, TRANSLATIONS, [EN, EN], KO)
    for verdict, other in zip(verdicts, expected, strict=True):
        assert verdict.scores is not None
        assert other.scores is not None
        assert verdict.scores.semantic == pytest.approx(other.scores.semantic, abs=1e-4)


async def test_scores_of_a_head_stay_between_0_and_5(encoder: SentenceTransformersKind, tmp_path: Path) -> None:
    head_of(encoder, weight=900.0).write(tmp_path / "head.safetensors")
    tagger = EmbeddingTagger(encoder=encoder, prefix="query: ", head=str(tmp_path / "head.safetensors"))
    (verdict,) = await tagger.score(ORIGINALS[:1], ORIGINALS[:1], [EN], KO)
    assert verdict.scores is not None
    assert verdict.scores.semantic == 5


def test_a_head_is_read_as_it_was_written(encoder: SentenceTransformersKind, tmp_path: Path) -> None:
    written = head_of(encoder)
    written.write(tmp_path / "head.safetensors")
    stored = quality_head.read(tmp_path / "head.safetensors")
    assert (stored.weights == written.weights).all()
    assert (stored.bias, stored.revision, stored.prefix) == (0.0, written.revision, "query: ")
    assert stored.trained_on == "en-ko: 9"


async def test_the_head_of_another_encoder_is_refused(encoder: SentenceTransformersKind, tmp_path: Path) -> None:
    head_of(encoder, revision="0123").write(tmp_path / "head.safetensors")
    tagger = EmbeddingTagger(encoder=encoder, prefix="query: ", head=str(tmp_path / "head.safetensors"))
    with pytest.raises(ConfigError, match=r"trained with another encoder \(0123\).*qttrag tagger train"):
        await tagger.start()


async def test_another_prefix_than_the_heads_is_refused(encoder: SentenceTransformersKind, tmp_path: Path) -> None:
    head_of(encoder).write(tmp_path / "head.safetensors")
    with pytest.raises(ConfigError, match='trained with `prefix: "query: "`; set that'):
        await EmbeddingTagger(encoder=encoder, head=str(tmp_path / "head.safetensors")).start()


def test_a_file_that_is_no_head_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no file .* train one: qttrag tagger train"):
        quality_head.read(tmp_path / "none")
    save_file({"weights": np.zeros((2, 2), np.float32), "bias": np.zeros(1, np.float32)}, tmp_path / "matrix")
    with pytest.raises(ConfigError, match=r"is no head of .*weights \(2, 2\)"):
        quality_head.read(tmp_path / "matrix")
    (tmp_path / "text").write_text("no tensors")
    with pytest.raises(ConfigError, match="is no head of"):
        quality_head.read(tmp_path / "text")


def test_a_head_leaves_no_place_for_other_scales(encoder: SentenceTransformersKind) -> None:
    with pytest.raises(ConfigError, match="`head:` gives the scores; remove `means:`"):
        EmbeddingTagger(encoder=encoder, head="x", low=0.5)
