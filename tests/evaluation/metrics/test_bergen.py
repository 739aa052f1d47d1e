"""Against the scores that the research harness itself gave."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from qttrag.evaluation.metrics.bergen import score

ROOT = Path(__file__).parents[3]
AUTHORED = ROOT / "tests" / "golden" / "answers.jsonl"
REAL = ROOT.parent / "shared" / "golden" / "predictions.jsonl.gz"
FIELDS = {
    "match": "Match",
    "em": "EM",
    "f1": "F1",
    "precision": "Precision",
    "recall": "Recall",
    "char3": "Recall_char3gram",
}


def differences(lines: Iterable[str]) -> list[tuple[str, str]]:
    found = []
    for row in map(json.loads, lines):
        ours: dict[str, Any] = score(row["prediction"], row["references"])._asdict()
        found += [
            (row["prediction"], f) for f, theirs in FIELDS.items() if ours[f] != pytest.approx(row["bergen"][theirs])
        ]
    return found


def test_every_authored_pair_scores_as_the_research_harness_scores_it() -> None:
    assert differences(AUTHORED.read_text("utf-8").splitlines()) == []


@pytest.mark.skipif(not REAL.exists(), reason="the published predictions are not here")
def test_every_real_prediction_scores_as_the_research_harness_scores_it() -> None:
    with gzip.open(REAL, "rt", encoding="utf-8") as file:
        assert differences(file) == []


def test_a_reference_that_normalises_to_nothing_matches_everything() -> None:
    assert score("Euro", ["the"]).match == 1.0
    assert score("Euro", ["the"]).char3 == 0.0


def test_a_short_reference_inside_a_sentence_is_not_recalled() -> None:
    assert score("통화는 유로입니다", ["유로"]).char3 == 0.0
    assert score("유로", ["유로"]).char3 == 1.0
