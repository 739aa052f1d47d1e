"""Runs and qrels in TREC's formats, and other systems' ids."""

from __future__ import annotations

from pathlib import Path

import pytest

from qttrag.errors import ConfigError, InputError
from qttrag.evaluation.datasets.trec import IdTable, RunEntry, read_qrels, read_run, write_run
from qttrag.evaluation.metrics.cross_lingual import foreign
from qttrag.types import Lang
from tests import shared_data

PUBLISHED_IDS = "kilt-100w_*\ten/*\ten\nwiki-100w-ko_*\tko/*\tko\n"


def test_a_run_written_is_the_run_read(tmp_path: Path) -> None:
    rankings = {"1": [RunEntry("b", 0.30000000000000004), RunEntry("a", -1e-17)], "2": [RunEntry("a", 5.0)]}
    write_run(tmp_path / "run", rankings)
    assert read_run(tmp_path / "run").rankings == rankings


def test_a_run_is_ordered_by_score_as_trec_eval_orders_it(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("1 Q0 a 1 2.0 x\n1 Q0 b 2 2.0 x\n1 Q0 c 3 9 x\n")
    assert [entry.passage_id for entry in read_run(tmp_path / "run").rankings["1"]] == ["c", "b", "a"]


def test_ids_are_mapped_one_by_one_or_by_prefix_and_the_rest_is_counted(tmp_path: Path) -> None:
    (tmp_path / "ids").write_text("x_*\tours/*\tko\nx_9\tspecial\n")
    (tmp_path / "run").write_text("1 Q0 x_1 1 3 t\n1 Q0 x_9 2 2 t\n1 Q0 y_1 3 1 t\n")
    run = read_run(tmp_path / "run", IdTable.read(tmp_path / "ids"))
    assert run.rankings["1"] == [RunEntry("ours/1", 3.0, Lang("ko")), RunEntry("special", 2.0)]
    assert run.unmapped == 1


@pytest.mark.parametrize("line", ["1 Q0 a 1 2.0", "1 Q0 a 1 high x", "1 Q0 a 1 nan x", "1 Q0 a 1 -inf x"])
def test_a_line_that_is_not_of_a_run_is_refused_with_its_place(tmp_path: Path, line: str) -> None:
    (tmp_path / "run").write_text(f"1 Q0 a 1 2.0 x\n{line}\n")
    with pytest.raises(InputError, match="run:2"):
        read_run(tmp_path / "run")


@pytest.mark.parametrize("line", ["only", "a*\tb", "a\tb\txx"])
def test_a_bad_id_table_is_refused(tmp_path: Path, line: str) -> None:
    (tmp_path / "ids").write_text(line)
    with pytest.raises(InputError, match="ids:1: "):
        IdTable.read(tmp_path / "ids")


def test_qrels_are_relevance_by_query_and_passage(tmp_path: Path) -> None:
    (tmp_path / "qrels").write_text("1 0 a 1\n1 0 b 0\n2 0 a 2\n")
    assert read_qrels(tmp_path / "qrels") == {"1": {"a": 1, "b": 0}, "2": {"a": 2}}
    with pytest.raises(ConfigError, match="no qrels at"):
        read_qrels(tmp_path / "nowhere")


@pytest.mark.parametrize("relevance", ["nan", "inf", "0.5", "high"])
def test_a_relevance_that_is_no_whole_number_is_refused_with_its_place(tmp_path: Path, relevance: str) -> None:
    (tmp_path / "qrels").write_text(f"1 0 a 1\n1 0 b {relevance}\n")
    with pytest.raises(InputError, match=f"qrels:2: .*'{relevance}' is not"):
        read_qrels(tmp_path / "qrels")


def test_two_relevances_of_one_passage_are_refused_and_a_repeated_line_is_read(tmp_path: Path) -> None:
    (tmp_path / "qrels").write_text("1 0 a 1\n1 0 a 1\n")
    assert read_qrels(tmp_path / "qrels") == {"1": {"a": 1}}
    (tmp_path / "qrels").write_text("1 0 a 1\n1 0 a 0\n")
    with pytest.raises(InputError, match="qrels:2: 'a' has another relevance"):
        read_qrels(tmp_path / "qrels")


def test_a_repeated_passage_counts_once_at_its_best_place(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("1 Q0 a 1 1 x\n1 Q0 b 2 2 x\n1 Q0 a 3 3 x\n2 Q0 a 1 1 x\n")
    run = read_run(tmp_path / "run")
    assert [(entry.passage_id, entry.score) for entry in run.rankings["1"]] == [("a", 3.0), ("b", 2.0)]
    assert run.skipped == ["1 of its lines repeat a passage of the same ranking, and its best place counts"]


def test_two_ids_that_an_id_table_maps_to_one_passage_are_one_passage(tmp_path: Path) -> None:
    (tmp_path / "ids").write_text("a\tours\nb\tours\n")
    (tmp_path / "run").write_text("1 Q0 a 1 1 x\n1 Q0 b 2 2 x\n")
    run = read_run(tmp_path / "run", IdTable.read(tmp_path / "ids"))
    assert (run.rankings["1"], run.repeated) == ([RunEntry("ours", 2.0)], 1)


def test_an_id_with_white_space_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="white space"):
        write_run(tmp_path / "run", {"1": [RunEntry("a b", 1.0)]})
    assert not (tmp_path / "run").exists()


def test_another_script_of_the_language_is_not_foreign() -> None:
    assert foreign(["zh", "zh-Hant", "en"], "zh", 4) == (1, 3)
    assert foreign(["zh", "en"], "zh", 1) == (0, 1)


def test_an_unknown_language_is_not_foreign() -> None:
    assert foreign(["en", None, "und"], "zh", 3) == (1, 1)
    assert foreign([None], "zh", 1) == (0, 0)


@shared_data.needs(shared_data.TREC_RUNS)
def test_the_published_reranked_run_has_the_reported_cross_lingual_share(tmp_path: Path) -> None:
    (tmp_path / "ids").write_text(PUBLISHED_IDS)
    (path,) = shared_data.TREC_RUNS.glob("run.rerank.*ko*")
    run = read_run(path, IdTable.read(tmp_path / "ids"))
    counts = [foreign([entry.lang for entry in ranking], "ko", 5) for ranking in run.rankings.values()]
    assert (sum(n for n, _ in counts), sum(all_ for _, all_ in counts)) == (430, 1855)  # 23.2 %
    assert run.unmapped == 0
