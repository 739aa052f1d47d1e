"""`qttrag tagger train` on a tiny encoder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from qttrag.cli import main
from qttrag.evaluation.stages.head_training import Rows, split
from qttrag.evaluation.stages.planted_damage import damaged
from qttrag.evaluation.stages.tagging import JudgedTranslation
from qttrag.taggers import quality_head
from tests import deployment


@pytest.fixture
def train(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, tiny: Path) -> Any:
    encoder = {"kind": "sentence_transformers", "model": str(tiny / "encoder")}
    config = deployment.write_deployment(tmp_path, tiny, tagger={"kind": "embedding", "encoder": encoder})

    def call(*words: str) -> tuple[int, str, str]:
        out = str(tmp_path / "head.safetensors")
        monkeypatch.setattr("sys.argv", ["qttrag", "tagger", "train", *words, "-o", out, "-c", str(config)])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        return code, *capsys.readouterr()

    return call


def scored_file(path: Path, rows: int = 80) -> Path:
    lines = ["src\tmt\tda_mean", *(f"Bridge {n} of {n * 3}.\t다리 {n} 의 {n * 3}.\t{n * 7 % 100}" for n in range(rows))]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_a_head_is_trained_on_scores_and_compared_on_held_out_rows(train: Any, tmp_path: Path) -> None:
    code, out, err = train(f"en-ko={scored_file(tmp_path / 'scored.tsv')}", "--json")
    assert code == 0, err
    cells = json.loads(out)["cells"]
    assert [cell["method"] for cell in cells] == ["raw", "centred", "trained"]
    assert {cell["figures"]["pearsonr"]["n"] for cell in cells} == {8}
    assert quality_head.read(tmp_path / "head.safetensors").trained_on == "en-ko: 72"


def test_a_head_is_trained_on_planted_damage_and_measured_on_scores(train: Any, tmp_path: Path) -> None:
    file = scored_file(tmp_path / "scored.tsv", 30)
    code, out, err = train(f"en-ko={file}", "--damage", "--held-out", f"ja-ko={file}", "--json")
    assert code == 0, err
    cells = json.loads(out)["cells"]
    assert [(cell["languages"], cell["method"]) for cell in cells] == [("ja-ko", "raw"), ("ja-ko", "trained")]
    assert quality_head.read(tmp_path / "head.safetensors").trained_on == "en-ko: 60"


def test_too_few_rows_are_refused(train: Any, tmp_path: Path) -> None:
    code, _, err = train(f"en-ko={scored_file(tmp_path / 'scored.tsv', 20)}")
    assert (code, "18 rows are too few to train a head" in err) == (2, True)


def test_a_file_without_its_languages_is_refused(train: Any) -> None:
    code, _, err = train("scored.tsv")
    assert (code, "write it as LANGUAGES=FILE" in err) == (2, True)


def test_rows_with_one_original_are_never_on_both_sides() -> None:
    rows = Rows("en-ko", [JudgedTranslation(f"{n % 20}", f"{n}", float(n)) for n in range(60)])
    training, held_out = split(rows)
    assert (len(training.judged), len(held_out.judged)) == (54, 6)
    assert not {each.original for each in training.judged} & {each.original for each in held_out.judged}


def test_damage_lowers_the_score_by_the_share_of_words_it_takes() -> None:
    good = [JudgedTranslation("x", "one two three four five", 0.0), JudgedTranslation("y", "a b c d", 0.0)] * 50
    judged = damaged(good)
    assert [each.score for each in judged[::2]] == [5.0] * 100
    assert [each.translation for each in judged[::2]] == [each.translation for each in good]
    for pair, bad in zip(good, judged[1::2], strict=True):
        assert 0 <= bad.score < 5
        assert bad.translation != pair.translation or len(bad.translation) == len(pair.translation)
        kept = round(bad.score / 5 * len(pair.translation.split()))
        assert len(bad.translation.split()) >= kept


def test_damage_is_planted_in_scripts_without_spaces() -> None:
    (_, bad) = damaged([JudgedTranslation("x", "그는 어제 학교에 갔다. 他昨天去了学校。", 0.0)])
    assert bad.translation != "그는 어제 학교에 갔다. 他昨天去了学校。"
