"""Two TREC runs compared on the same judged queries."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from qttrag.cli import app
from qttrag.errors import InputError
from qttrag.evaluation.stages import rankings

N = 12


def write_run(path: Path, places: list[int]) -> Path:
    """Write a run in which the relevant passage of query n is at place `places[n]` of three."""
    rows = []
    for query, place in enumerate(places):
        ids = ["x", "y"]
        ids.insert(place, "good")
        rows += [f"q{query} Q0 {passage} {n + 1} {3 - n} t" for n, passage in enumerate(ids)]
    path.write_text("\n".join(rows))
    return path


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path, Path]:
    qrels = tmp_path / "dev.qrels"
    qrels.write_text("\n".join(f"q{n} 0 good 1" for n in range(N)))
    return write_run(tmp_path / "worse.trec", [1] * N), write_run(tmp_path / "better.trec", [0] * N), qrels


def test_the_difference_is_of_the_second_run_to_the_first(files: tuple[Path, Path, Path]) -> None:
    (difference,), notes = rankings.compare(*files, ["RR@10"])
    assert (difference.difference.value, difference.values, difference.n, notes) == (0.5, (1.0, 0.5), N, [])
    assert difference.p < 0.01


def test_a_run_is_no_better_than_itself(files: tuple[Path, Path, Path]) -> None:
    worse, _, qrels = files
    (difference,), _ = rankings.compare(worse, worse, qrels, ["RR@10"])
    assert (difference.difference.value, difference.p) == (0.0, 1.0)


def test_a_query_that_a_run_does_not_rank_counts_as_zero_and_is_noted(files: tuple[Path, Path, Path]) -> None:
    worse, better, qrels = files
    write_run(better, [0] * (N - 3))
    (difference,), notes = rankings.compare(worse, better, qrels, ["RR@10"])
    assert difference.values == (0.75, 0.5)
    assert notes == [f"3 of {N} judged queries are missing from {better} and count as zero"]


def test_qrels_of_other_queries_are_refused(files: tuple[Path, Path, Path], tmp_path: Path) -> None:
    other = tmp_path / "other.qrels"
    other.write_text("z 0 good 1")
    with pytest.raises(InputError, match="judges none of the queries"):
        rankings.compare(*files[:2], other)


def test_the_command_prints_the_differences_and_their_document(files: tuple[Path, Path, Path]) -> None:
    worse, better, qrels = map(str, files)
    arguments = ["eval", "compare", worse, better, "--qrels", qrels, "--measures", "RR@10 AP"]
    shown = CliRunner().invoke(app, arguments)
    assert "+50.0" in shown.output
    document = json.loads(CliRunner().invoke(app, [*arguments, "--json"]).output)
    assert [(each["measure"], each["difference"]["value"]) for each in document["comparisons"]] == [
        ("RR@10", 0.5), ("AP", 0.5),
    ]  # fmt: skip


def test_measures_of_rankings_need_qrels() -> None:
    refused = CliRunner().invoke(app, ["eval", "compare", "a", "b", "--measures", "AP"])
    assert "need --qrels" in str(refused.exception)
