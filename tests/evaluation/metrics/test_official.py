"""The measures of XOR-TyDi and MKQA against the scores of their official scorers."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from typing import Any

import pytest

from qttrag.evaluation.metrics import mkqa, xor_tydi
from qttrag.text.languages import language
from tests import golden, shared_data


def authored(scorer: str) -> Iterable[dict[str, Any]]:
    return [{**row, "suite": scorer, "official": row[scorer]} for row in golden.answers()]


def differences(rows: Iterable[dict[str, Any]]) -> list[tuple[str, str]]:
    different = []
    for row in rows:
        score: Any = mkqa.score if row["suite"] == "mkqa" else xor_tydi.score
        ours = score(row["prediction"], row["references"], language(row["lang"]).code)._asdict()
        assert ours.keys() == row["official"].keys()
        different += [
            (row["prediction"], name)
            for name, theirs in row["official"].items()
            if ours[name] != pytest.approx(theirs, abs=1e-9)
        ]
    return different


@pytest.mark.parametrize("scorer", ["mkqa", "xor_tydi"])
def test_every_authored_pair_has_the_scores_of_the_official_scorer(scorer: str) -> None:
    assert differences(authored(scorer)) == []


@pytest.mark.parametrize("scorer", ["mkqa", "xor_tydi"])
def test_the_authored_pairs_have_right_wrong_and_partly_right_answers_in_every_language(scorer: str) -> None:
    for lang in {row["lang"] for row in golden.answers()}:
        scores = [row["official"]["f1"] for row in authored(scorer) if row["lang"] == lang]
        assert min(scores) == 0.0
        assert max(scores) == 1.0
        assert any(0.0 < score < 1.0 for score in scores)


@shared_data.needs(shared_data.PREDICTIONS)
def test_every_real_prediction_has_the_scores_of_its_official_scorer() -> None:
    with gzip.open(shared_data.PREDICTIONS, "rt", encoding="utf-8") as file:
        assert differences(map(json.loads, file)) == []


def test_xor_tydi_deletes_counters() -> None:
    assert xor_tydi.score("1950년", ["1950"], "ko")[:2] == (1.0, 1.0)


def test_an_empty_prediction_scores_nothing_in_bleu() -> None:
    assert xor_tydi.score("", ["서울"], "ko") == (0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("lang", "prediction", "reference"),
    [("de", "der Rhein", "Rhein"), ("fr", "le Rhin", "Rhin"), ("it", "una casa", "casa"), ("zh", "北 京", "北京")],
)
def test_mkqa_deletes_articles_and_compares_chinese_by_character(lang: str, prediction: str, reference: str) -> None:
    assert mkqa.score(prediction, [reference], lang) == (1.0, 1.0)


def test_mkqa_deletes_french_articles_at_the_beginning_of_longer_words() -> None:
    assert mkqa.normalise("Lepic", "fr") == "pic"


def test_mkqa_knows_no_articles_of_korean() -> None:
    assert mkqa.score("a 서울", ["서울"], "ko").em == 0.0
