"""The `metricx` tagger on a tiny mT5 with random weights."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from qttrag.errors import ConfigError
from qttrag.taggers.metricx import MetricXTagger
from qttrag.trace import Trace
from qttrag.types import Lang
from tests import tiny_models

EN, KO = Lang("en"), Lang("ko")
ORIGINALS = ["The bridge opened in 1903.", "A lake.", "The town is old and has a large library by the river."]
TRANSLATIONS = ["다리는 1903년에 개통되었다.", "호수.", "그 도시는 오래되었다."]
TOKEN = 280  # the logits of the tiny model are between 0 and 25


@pytest.fixture(scope="module")
def mt5(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.make_mt5(tmp_path_factory.mktemp("tiny") / "mt5")


def reference(mt5: Path, original: str, translation: str) -> float:
    """Return the error as MetricX's own program computes it: one pair, without padding and without </s>."""
    import torch
    from transformers import AutoTokenizer, MT5ForConditionalGeneration

    tokenizer: Any = AutoTokenizer.from_pretrained(mt5)
    model: Any = MT5ForConditionalGeneration.from_pretrained(mt5).eval()
    ids = tokenizer(f"source: {original} candidate: {translation}", return_tensors="pt")["input_ids"]
    assert ids[0, -1] == tokenizer.eos_token_id
    with torch.inference_mode():
        logits = model(input_ids=ids[:, :-1], decoder_input_ids=torch.zeros((1, 1), dtype=torch.long)).logits
    return float(logits[0, 0, TOKEN].clamp(0, 25))


async def test_scores_are_those_of_the_model_alone_on_a_scale_of_five(mt5: Path) -> None:
    tagger = MetricXTagger(str(mt5), score_token=TOKEN)
    verdicts = await tagger.score(ORIGINALS, TRANSLATIONS, [EN] * 3, KO)
    expected = [5 - reference(mt5, *pair) / 5 for pair in zip(ORIGINALS, TRANSLATIONS, strict=True)]
    assert [v.scores.semantic for v in verdicts if v.scores] == pytest.approx(expected, abs=1e-4)
    assert all(v.scores and v.scores.grammar is None for v in verdicts)
    assert len(set(expected)) == 3  # or the test could not fail


async def test_an_empty_translation_is_unscored(mt5: Path) -> None:
    (verdict,) = await MetricXTagger(str(mt5), score_token=TOKEN).score(["A lake."], [""], [EN], KO)
    assert (verdict.scores, verdict.cause) == (None, "empty")


async def test_long_pairs_are_cut_and_counted(mt5: Path) -> None:
    trace = Trace()
    with trace.stage("tag"):
        (verdict,) = await MetricXTagger(str(mt5), score_token=TOKEN, max_tokens=8).score(
            ["A long text."], ["긴 글이다."], [EN], KO
        )
    assert verdict.scores is not None
    assert trace.counts["tag.truncated"] == 1


async def test_a_model_without_the_token_is_refused(mt5: Path) -> None:
    with pytest.raises(ConfigError, match="`score_token: 250089` is not in the vocabulary"):
        await MetricXTagger(str(mt5)).start()


async def test_a_model_of_another_architecture_is_refused(tiny: Path) -> None:
    with pytest.raises(ConfigError, match=re.escape("not mt5")):
        await MetricXTagger(str(tiny / "reranker")).start()


@pytest.mark.parametrize(("token", "score"), [(104, 0.0), (91, 5.0)])
async def test_errors_outside_the_scale_are_clipped(mt5: Path, token: int, score: float) -> None:
    (verdict,) = await MetricXTagger(str(mt5), score_token=token).score(ORIGINALS[:1], TRANSLATIONS[:1], [EN], KO)
    assert verdict.scores is not None
    assert verdict.scores.semantic == score
