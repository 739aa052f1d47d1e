"""The `embedding` tagger on a tiny encoder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qttrag.application.factory import Builder
from qttrag.config.deployment import Deployment
from qttrag.encoders.language_means import LanguageMeans
from qttrag.encoders.sentence_transformers import SentenceTransformersKind
from qttrag.errors import ConfigError
from qttrag.indexes.jobs.measure_means import measure_means
from qttrag.prompts import Prompts
from qttrag.taggers.embedding import EmbeddingTagger
from qttrag.trace import Trace
from qttrag.types import Lang, Verdict
from tests import deployment as deployments

EN, KO, FI = Lang("en"), Lang("ko"), Lang("fi")
ORIGINALS, TRANSLATIONS = ["The bridge opened in 1903.", "A lake."], ["다리는 1903년에 개통되었다.", "호수."]


@pytest.fixture
def encoder(tiny: Path) -> SentenceTransformersKind:
    return SentenceTransformersKind(str(tiny / "encoder"))


async def scores(tagger: EmbeddingTagger, **more: Any) -> list[Verdict]:
    return await tagger.score(ORIGINALS, TRANSLATIONS, [EN, EN], more.get("target", KO))


def semantic(verdicts: list[Verdict]) -> list[float]:
    assert all(v.scores is not None and v.scores.grammar is None and v.scores.fluency is None for v in verdicts)
    return [v.scores.semantic for v in verdicts if v.scores]


async def test_a_score_is_five_times_the_cosine_and_nothing_else(encoder: SentenceTransformersKind) -> None:
    loaded = encoder.load()
    expected = (loaded.encode(ORIGINALS) * loaded.encode(TRANSLATIONS)).sum(axis=1)
    assert semantic(await scores(EmbeddingTagger(encoder=encoder))) == pytest.approx(
        np.clip(5 * expected, 0, 5), abs=1e-4
    )


async def test_a_prefix_stands_before_both_texts(encoder: SentenceTransformersKind) -> None:
    loaded = encoder.load()
    expected = loaded.encode(["query: " + ORIGINALS[0]])[0] @ loaded.encode(["query: " + TRANSLATIONS[0]])[0]
    first, _ = semantic(await scores(EmbeddingTagger(encoder=encoder, prefix="query: ")))
    assert first == pytest.approx(float(np.clip(5 * expected, 0, 5)), abs=1e-4)


async def test_low_and_high_are_the_cosines_of_zero_and_five(encoder: SentenceTransformersKind) -> None:
    raw = [score / 5 for score in semantic(await scores(EmbeddingTagger(encoder=encoder, low=-1, high=1)))]
    cosines = [2 * score - 1 for score in raw]
    low, high = min(cosines), max(cosines)
    mapped = semantic(await scores(EmbeddingTagger(encoder=encoder, low=low, high=high)))
    assert sorted(mapped) == pytest.approx([0, 5], abs=1e-3)


async def test_centred_vectors_lack_the_mean_of_their_language(
    encoder: SentenceTransformersKind, tmp_path: Path
) -> None:
    loaded = encoder.load()
    one, other = loaded.encode(ORIGINALS[:1])[0], loaded.encode(TRANSLATIONS[:1])[0]
    means = np.stack([np.full_like(one, 0.01), np.full_like(one, -0.02)])
    file = LanguageMeans(loaded.info.revision, (EN, KO), (1, 1), means).write(tmp_path)
    left, right = one - means[0], other - means[1]
    expected = float(left @ right / np.linalg.norm(left) / np.linalg.norm(right))
    tagger = EmbeddingTagger(encoder=encoder, means=[str(file)], low=-1)
    first, _ = semantic(await scores(tagger))
    assert first == pytest.approx(5 * (expected + 1) / 2, abs=1e-4)


async def test_a_language_without_a_mean_is_unscored_and_noted(
    encoder: SentenceTransformersKind, tmp_path: Path
) -> None:
    zero = np.zeros((1, 64), np.float32)
    file = LanguageMeans(encoder.load().info.revision, (EN,), (1,), zero).write(tmp_path)
    trace = Trace()
    with trace.stage("tag"):
        verdicts = await scores(EmbeddingTagger(encoder=encoder, means=[str(file)]), target=FI)
    assert [verdict.cause for verdict in verdicts] == ["unavailable", "unavailable"]
    assert trace.counts["tag.unscored.unavailable"] == 2
    assert "no mean was measured of fi" in trace.notes[0]


async def test_an_empty_translation_is_unscored(encoder: SentenceTransformersKind) -> None:
    (verdict,) = await EmbeddingTagger(encoder=encoder).score(["A lake."], [" "], [EN], KO)
    assert (verdict.scores, verdict.cause) == (None, "empty")


async def test_long_texts_are_cut_and_counted(tiny: Path) -> None:
    short, trace = SentenceTransformersKind(str(tiny / "encoder"), max_tokens=8), Trace()
    with trace.stage("tag"):
        await EmbeddingTagger(encoder=short).score(["word " * 50], ["호수."], [EN], KO)
    assert trace.counts["tag.truncated"] == 1


async def test_the_means_of_another_encoder_are_refused(encoder: SentenceTransformersKind, tmp_path: Path) -> None:
    file = LanguageMeans("0123", (EN,), (1,), np.zeros((1, 64), np.float32)).write(tmp_path)
    with pytest.raises(ConfigError, match=r"of another encoder \(0123\)"):
        await EmbeddingTagger(encoder=encoder, means=[str(file)]).start()


def test_settings_that_contradict_each_other_are_refused(encoder: SentenceTransformersKind) -> None:
    with pytest.raises(ConfigError, match=r"`means: \[\]` names no index"):
        EmbeddingTagger(encoder=encoder, means=[])
    with pytest.raises(ConfigError, match="not cosines in order"):
        EmbeddingTagger(encoder=encoder, low=0.9, high=0.5)


async def test_the_retrievers_encoder_is_the_default_and_is_loaded_once(tiny: Path) -> None:
    spec = {"kind": "sentence_transformers", "model": str(tiny / "encoder")}
    config = Deployment(
        retriever={"kind": "dense", "encoder": spec, "collections": ["x"]}, generator={"kind": "openai"}
    )
    builder = Builder(config, Prompts(), None)
    tagger = builder.build("tagger", {"kind": "embedding"})
    shared = builder.build("encoder", spec)
    await tagger.start()
    assert (await tagger._lazy.get()).encoder.encoder is shared.load()


async def test_the_means_of_built_indexes_are_used_by_their_names(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoder: SentenceTransformersKind
) -> None:
    monkeypatch.setenv("QTTRAG_HOME", str(tmp_path))
    for name in ("one", "two"):
        deployments.build(tmp_path, tiny, n=20, name=name)
        measure_means(name)
    both = semantic(await scores(EmbeddingTagger(encoder=encoder, means=["one", "two"], low=-1)))
    alone = semantic(await scores(EmbeddingTagger(encoder=encoder, means=["one"], low=-1)))
    assert both == pytest.approx(alone, abs=1e-3)  # both have the same passages
    assert both != pytest.approx(semantic(await scores(EmbeddingTagger(encoder=encoder, low=-1))), abs=1e-2)
