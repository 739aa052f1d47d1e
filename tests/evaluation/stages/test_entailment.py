"""The agreement of a judge of support with labelled pairs, by hand and through the command."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from qttrag.errors import ConfigError, InputError
from qttrag.evaluation.stages import entailment
from qttrag.evaluation.statistics import kappa
from tests import tiny_models

BRIDGE, SILTA = "The bridge opened in 1905.", "Silta avattiin 1905."
KO_FROM_EN = {"premise": BRIDGE, "lang": "ko", "premise_lang": "en"}
ROWS: list[dict[str, Any]] = [
    {**KO_FROM_EN, "claim": "다리는 1905년에 개통되었다.", "label": "entailment"},
    {**KO_FROM_EN, "claim": "다리는 1950년에 개통되었다.", "label": "contradiction"},
    {"premise": SILTA, "claim": "Silta on pitkä.", "lang": "fi", "label": "neutral"},
    {"premise": SILTA, "claim": "Silta avattiin.", "lang": "fi", "label": True},
]


class Numbers:
    """Supports a claim whose digits are in the premise; undecided about a claim without digits."""

    identity = "numbers"

    async def supports(self, premise: str, claim: str, lang: str) -> bool | None:
        digits = "".join(filter(str.isdigit, claim))
        return digits in premise if digits else None


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.writelines(f"{json.dumps(row)}\n" for row in rows)
    return path


async def test_agreement_by_language_by_hand(tmp_path: Path) -> None:
    labelled = entailment.read(write(tmp_path / "x.jsonl.gz", ROWS))
    cells = entailment.agreement(labelled, await entailment.decide(Numbers(), labelled), "numbers")
    assert [(cell.langs, cell.n, cell.undecided) for cell in cells] == [
        ("ko from en", 2, 0),
        ("fi", 0, 2),
        ("all", 2, 2),
    ]
    ko = {name: figure.interval.value for name, figure in cells[0].figures.items()}
    assert ko == {"labelled": 0.5, "judged": 0.5, "accuracy": 1.0, "kappa": 1.0}


def test_kappa_has_an_interval_around_it() -> None:
    pairs = [(True, True)] * 4 + [(True, False)] * 2 + [(False, False)] * 4
    found = kappa(pairs)
    assert found.value == pytest.approx(0.6154, abs=1e-4)
    assert 0.0 < found.low < found.value < found.high <= 1.0
    narrow = kappa(pairs * 10)
    assert narrow.high - narrow.low < (found.high - found.low) / 2


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ({**ROWS[0], "label": 0}, r"x\.jsonl\.gz:1: unknown label '?0"),
        ({**ROWS[0], "label": "entailed"}, "did you mean 'entailment'"),
        ({"premise": "a", "claim": "b", "lang": "ko"}, "not a JSON object with premise, claim, lang, label"),
    ],
)
def test_a_line_without_a_known_label_is_refused(tmp_path: Path, row: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        entailment.read(write(tmp_path / "x.jsonl.gz", [row]))


def test_an_empty_or_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no lines"):
        entailment.read(write(tmp_path / "x.jsonl.gz", []))
    with pytest.raises(ConfigError, match="no file"):
        entailment.read(tmp_path / "y.jsonl")


def test_the_command_measures_a_model_of_inference(tmp_path: Path, run: Any) -> None:
    model = tiny_models.make_nli(tmp_path / "nli", ("entailment", "neutral", "contradiction"), always=0)
    settings = ["--judge", "nli", "--judge-set", f"model={model}", "--judge-set", "device=cpu"]
    code, found, _ = run("support-judge", write(tmp_path / "x.jsonl.gz", ROWS), *settings, "--json")
    assert code == 0
    by_langs = {cell["langs"]: cell for cell in found["cells"]}
    assert by_langs["all"]["figures"]["judged"]["value"] == 1.0  # this model always says entailment
    assert by_langs["all"]["figures"]["accuracy"]["value"] == 0.5
    assert by_langs["all"]["figures"]["kappa"]["value"] == 0.0
