"""BERGEN's measures against the scores of the research harness itself."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from typing import Any

import pytest

from qttrag.evaluation.metrics.bergen import score
from tests import golden, shared_data

HARNESS_NAMES = {
    "match": "Match",
    "em": "EM",
    "f1": "F1",
    "precision": "Precision",
    "recall": "Recall",
    "char3": "Recall_char3gram",
}


def differences(rows: Iterable[dict[str, Any]]) -> list[tuple[str, str]]:
    different = []
    for row in rows:
        ours: dict[str, Any] = score(row["prediction"], row["references"])._asdict()
        different += [
            (row["prediction"], name)
            for name, theirs in HARNESS_NAMES.items()
            if ours[name] != pytest.approx(row["bergen"][theirs])
        ]
    return different


def test_every_authored_pair_has_the_scores_of_the_research_harness() -> None:
    assert differences(golden.answers()) == []


@shared_data.needs(shared_data.PREDICTIONS)
def test_every_real_prediction_has_the_scores_of_the_research_harness() -> None:
    with gzip.open(shared_data.PREDICTIONS, "rt", encoding="utf-8") as file:
        assert differences(map(json.loads, file)) == []


def test_a_reference_that_normalises_to_nothing_matches_everything() -> None:
    assert score("Euro", ["the"]).match == 1.0
    assert score("Euro", ["the"]).char3 == 0.0


def test_a_short_reference_inside_a_sentence_is_not_recalled() -> None:
    assert score("통화는 유로입니다", ["유로"]).char3 == 0.0
    assert score("유로", ["유로"]).char3 == 1.0
