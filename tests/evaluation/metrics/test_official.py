"""Against the scores that the official scorers of XOR-TyDi and MKQA themselves gave."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from qttrag.evaluation.metrics import mkqa, xor_tydi
from qttrag.text.languages import language

ROOT = Path(__file__).parents[3]
AUTHORED = ROOT / "tests" / "golden" / "answers.jsonl"
REAL = ROOT.parent / "shared" / "golden" / "predictions.jsonl.gz"


def authored(scorer: str) -> Iterable[dict[str, Any]]:
    rows = map(json.loads, AUTHORED.read_text("utf-8").splitlines())
    return [{**row, "suite": scorer, "official": row[scorer]} for row in rows]


def differences(rows: Iterable[dict[str, Any]]) -> list[tuple[str, str]]:
    found = []
    for row in rows:
        score: Any = mkqa.score if row["suite"] == "mkqa" else xor_tydi.score
        ours = score(row["prediction"], row["references"], language(row["lang"]).code)._asdict()
        found += [
            (row["prediction"], name)
            for name, theirs in row["official"].items()
            if ours[name] != pytest.approx(theirs, abs=1e-9)
        ]
    return found


@pytest.mark.parametrize("scorer", ["mkqa", "xor_tydi"])
def test_every_authored_pair_scores_as_the_official_scorer_scores_it(scorer: str) -> None:
    assert differences(authored(scorer)) == []


@pytest.mark.skipif(not REAL.exists(), reason="the published predictions are not here")
def test_every_real_prediction_scores_as_its_official_scorer_scores_it() -> None:
    with gzip.open(REAL, "rt", encoding="utf-8") as file:
        assert differences(map(json.loads, file)) == []


def test_xor_tydi_deletes_counters() -> None:
    assert xor_tydi.score("1950년", ["1950"], "ko")[:2] == (1.0, 1.0)


def test_an_empty_prediction_scores_nothing_in_bleu() -> None:
    assert xor_tydi.score("", ["서울"], "ko") == (0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("lang", "said", "expected"),
    [("de", "der Rhein", "Rhein"), ("fr", "le Rhin", "Rhin"), ("it", "una casa", "casa"), ("zh", "北 京", "北京")],
)
def test_mkqa_deletes_articles_and_compares_chinese_by_character(lang: str, said: str, expected: str) -> None:
    assert mkqa.score(said, [expected], lang) == (1.0, 1.0)


def test_mkqa_deletes_french_articles_at_the_beginning_of_longer_words() -> None:
    assert mkqa.normalise("Lepic", "fr") == "pic"


def test_mkqa_knows_no_articles_of_korean() -> None:
    assert mkqa.score("a 서울", ["서울"], "ko").em == 0.0
