"""Single stages: retrieval, the tagger against human scores, the detector."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from scipy import stats

from qttrag import resources
from qttrag.errors import InputError
from qttrag.evaluation.datasets.trec import read_run
from qttrag.evaluation.stages import tagging
from qttrag.types import QualityScores, Verdict
from tests import deployment, shared_data, suite


@shared_data.needs(shared_data.TREC_RUNS)
def test_the_published_run_has_the_reported_cross_lingual_share(run: Any, tmp_path: Path) -> None:
    (tmp_path / "ids.tsv").write_text("kilt-100w_*\ten/*\ten\nwiki-100w-ko_*\tko/*\tko\n")
    (path,) = shared_data.TREC_RUNS.glob("run.rerank.*ko*")
    code, out, _ = run("retrieval", "--run", path, "--run-ids", tmp_path / "ids.tsv", "--lang", "ko", "--json")
    assert code == 0
    (row,) = out[0]["rows"]
    assert row["r_lang@5 %"].startswith("23.2 [")
    assert row["r_lang@5 %"].endswith("(430 of 1855)")


def test_a_run_is_measured_against_qrels(run: Any, tmp_path: Path) -> None:
    (tmp_path / "run").write_text("1 Q0 a 1 2 t\n1 Q0 b 2 1 t\n2 Q0 a 1 1 t\n")
    (tmp_path / "qrels").write_text("1 0 b 1\n2 0 a 0\n3 0 a 1\n")
    _, out, _ = run("retrieval", "--run", tmp_path / "run", "--qrels", tmp_path / "qrels", "--lang", "ko", "--json")
    (row,) = out[0]["rows"]
    assert (row["n"], row["with gold"]) == ("3", "2")
    assert row["RR@10 %"].startswith("25.0 [")


def test_a_deployments_retrieval_is_measured_by_step_and_language_of_gold(run: Any, tmp_path: Path, tiny: Path) -> None:
    deployment.build(tmp_path, tiny)
    path = suite.write_suite(tmp_path, tiny, n=4)
    code, out, _ = run("retrieval", path, "--pivot", "en", "--write", tmp_path / "runs", "--json")
    assert code == 0
    rows = out[0]["rows"]
    assert {(r["query"], r["step"]) for r in rows} == {
        (query, step) for query in ("as asked", "en") for step in ("retrieved", "reranked")
    }
    counted = {r["gold"]: int(r["n"]) for r in rows if r["dataset"] == "mine ko"}
    assert counted["any"] == 4
    assert counted.get("own language", 0) + counted.get("other language", 0) <= 4
    written = read_run(tmp_path / "runs" / "mine-ko-as-asked-reranked.trec").rankings
    assert set(written) == {"ko0", "ko1", "ko2", "ko3"}
    assert {len(ranking) for ranking in written.values()} == {10}


@pytest.mark.parametrize("words", [[], ["x", "--run", "y"]])
def test_retrieval_needs_either_a_suite_or_a_run(run: Any, words: list[str]) -> None:
    code, _, err = run("retrieval", *words)
    assert (code, err) == (2, "error: give either a suite or a TREC run (--run FILE)\n")


def judged_file(path: Path, rows: int) -> Path:
    lines = ["src\tmt\tda_mean", *(f'The "bridge" {n}.\t다리 {n}.\t{n * 7 % 100}.5' for n in range(rows))]
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
    return path


def test_a_tagger_is_compared_with_human_scores(run: Any, tmp_path: Path, tiny: Path) -> None:
    file, config = judged_file(tmp_path / "j.tsv.gz", 12), deployment.write_deployment(tmp_path, tiny)
    words = ["tagger", file, "--from", "en", "--to", "ko", "--sample", "8", "-c", config, "--json"]
    code, (correlations, reliability), _ = run(*words)
    assert code == 0
    assert [row["score"] for row in correlations["rows"]] == ["semantic", "grammar", "fluency", "mean"]
    scored = {int(row["n"]) + int(row["unscored"]) for row in correlations["rows"]}
    assert scored == {8}
    assert sum(int(row["n"]) for row in reliability["rows"]) == int(correlations["rows"][0]["n"])


def test_correlations_are_scipys_and_lie_in_their_intervals() -> None:
    pairs = [(float(n % 5), float(n % 7)) for n in range(60)]
    for name in tagging.CORRELATIONS:
        interval = tagging.correlation(name, pairs)
        assert interval.value == pytest.approx(getattr(stats, name)(*zip(*pairs, strict=True))[0])
        assert interval.low < interval.value < interval.high
    assert tagging.correlation("pearsonr", [(1.0, 2.0)] * 9).value != tagging.correlation("pearsonr", pairs).value


def test_a_translation_without_scores_is_left_out_and_counted() -> None:
    judged = [tagging.JudgedTranslation("a", "b", float(n)) for n in range(5)]
    verdicts = [Verdict(QualityScores(n, 5 - n, 2)) for n in range(4)] + [Verdict(None, "range")]
    semantic, grammar, fluency, _ = tagging.correlations(judged, verdicts).rows
    assert semantic[1:4] == ["4", "1", "+1.000 [+1.000, +1.000]"]
    assert grammar[3].startswith("-1.000")
    assert fluency[3] == "–"


def test_a_tagger_with_one_score_is_compared_by_that_score_alone() -> None:
    judged = [tagging.JudgedTranslation("a", "b", float(n)) for n in range(5)]
    verdicts = [Verdict(QualityScores(n)) for n in range(4)] + [Verdict(None, "range")]
    (row,) = tagging.correlations(judged, verdicts).rows
    assert row[:4] == ["semantic", "4", "1", "+1.000 [+1.000, +1.000]"]
    assert [row[:2] for row in tagging.reliability(judged, verdicts).rows] == [[f"{n}.0", "1"] for n in range(4)]


def test_a_file_without_the_named_column_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no column 'z_mean' \(columns: src, mt, da_mean\)"):
        tagging.read(judged_file(tmp_path / "j.tsv.gz", 1), "src", "mt", "z_mean")


def test_flags_are_measured_on_good_and_damaged_translations(run: Any, tmp_path: Path) -> None:
    rows = [("It has 10 seats.", "좌석이 10개이다.", "좌석이 12개이다."), ("It has 7 seats.", "좌석이 8개이다.", "")]
    lines = ["src\tmt\tdamaged", *map("\t".join, rows)]
    (tmp_path / "d.tsv").write_text("\n".join(lines))
    words = ["flags", tmp_path / "d.tsv", "--from", "en", "--to", "ko", "--columns", "src,mt,damaged", "--json"]
    code, (table,), _ = run(*words)
    numbers = table["rows"][0]
    assert code == 0
    assert [numbers[name] for name in ("check", "good", "false alarms", "damaged", "found", "precision %")] == [
        "numbers", "2", "1", "1", "1", "50.0",
    ]  # fmt: skip


def test_flags_are_measured_on_two_files_of_lines(run: Any, tmp_path: Path) -> None:
    (tmp_path / "en.txt").write_text("It has 10 seats.\n")
    (tmp_path / "ko.txt").write_text("좌석이 10개이다.\n")
    code, (table,), _ = run("flags", tmp_path / "en.txt", tmp_path / "ko.txt", "--from", "en", "--to", "ko", "--json")
    assert (code, table["rows"][-1]["false alarms"], table["rows"][-1]["found %"]) == (0, "0", "–")
    (tmp_path / "ko.txt").write_text("좌석이 10개이다.\n좌석\n")
    code, _, err = run("flags", tmp_path / "en.txt", tmp_path / "ko.txt", "--from", "en", "--to", "ko")
    assert code == 2
    assert "has 1 lines" in err


def test_a_detector_is_measured_by_language(run: Any, tmp_path: Path) -> None:
    texts = [("서울은 언제 수도가 되었나요?", "ko"), ("Milloin silta avattiin?", "fi"), ("大桥何时通车？", "ko")]
    lines = [json.dumps({"question": text, "lang": lang}) for text, lang in texts]
    (tmp_path / "q.jsonl").write_text("\n".join(lines))
    _, (out,), _ = run("detector", tmp_path / "q.jsonl", "--json")
    assert [(r["lang"], r["n"], r["right %"].split()[0]) for r in out["rows"]] == [
        ("ko", "2", "50.0"), ("fi", "1", "100.0"), ("all", "3", "66.7"),
    ]  # fmt: skip
    assert out["rows"][2]["same again %"].startswith("100.0")
    assert "texts a second" in out["title"]


def test_run_answers_scores_and_writes_the_report(run: Any, tmp_path: Path, tiny: Path) -> None:
    deployment.build(tmp_path, tiny)
    path = suite.write_suite(tmp_path, tiny, n=2)
    code, data, err = run("run", path, "--limit", "1", "--set", "strategies.base=null", "--json")
    assert code == 0
    assert {(cell["dataset"], cell["strategy"], cell["answered"]) for cell in data["cells"]} == {
        (row, strategy, 1) for row in ("mine ko", "mine fi") for strategy in ("cross_rag", "qtt_rag")
    }
    assert "4 answered, 0 skipped, 0 failed" in err
    again = run("run", path, "--limit", "1", "--set", "strategies.base=null")
    assert "0 answered, 4 skipped, 0 failed" in again[2]
    assert "2 left out: in another language" in again[1]
    assert "<html" in (resources.results_folder() / "tiny" / "report.html").read_text("utf-8")


def test_an_unknown_setting_of_a_suite_is_named(run: Any, tmp_path: Path, tiny: Path) -> None:
    code, _, err = run("run", suite.write_suite(tmp_path, tiny, n=1), "--set", "datasets.mine.fil=x")
    assert code == 2
    assert "unknown key 'fil'; did you mean 'file'" in err
