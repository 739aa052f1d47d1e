"""nDCG, reciprocal rank and recall by ir-measures (trec_eval -c): a judged question without a ranking, or without a
relevant passage, counts as zero."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from qttrag.errors import ConfigError, InputError, first_line
from qttrag.evaluation.metrics.base import AnswerCase, measure

NAMES = ("nDCG@10", "RR@10", "R@1", "R@5", "R@50")


@measure("nDCG@10", signature="nDCG@10|trec_eval")
def ndcg_10(case: AnswerCase) -> float | None:
    return _of(case, "nDCG@10")


@measure("RR@10", signature="RR@10|trec_eval")
def rr_10(case: AnswerCase) -> float | None:
    return _of(case, "RR@10")


@measure("R@1", signature="R@1|trec_eval")
def recall_1(case: AnswerCase) -> float | None:
    return _of(case, "R@1")


@measure("R@5", signature="R@5|trec_eval")
def recall_5(case: AnswerCase) -> float | None:
    return _of(case, "R@5")


@measure("R@50", signature="R@50|trec_eval")
def recall_50(case: AnswerCase) -> float | None:
    return _of(case, "R@50")


def _of(case: AnswerCase, name: str) -> float | None:
    return None if case.retrieval is None else case.retrieval[name]


def parse(names: Sequence[str]) -> list[str]:
    """Return names of ir-measures in its own spelling: "MRR@10" is "RR@10".

    Raises:
        ConfigError: ir-measures is not installed.
        InputError: it has no such measure."""
    library, measures = _library(), []
    for name in names:
        try:
            measure = library.parse_measure(name)
            library.evaluator([measure], {})  # refuses a measure that needs another package
        except (NameError, ValueError, TypeError) as error:
            raise InputError(
                f"unknown retrieval measure '{name}' ({first_line(error)}); use a name of ir-measures, e.g. nDCG@20, AP"
            ) from error
        measures.append(str(measure))
    return measures


def by_query(
    qrels: Mapping[str, Mapping[str, int]], rankings: Mapping[str, Sequence[str]], names: Sequence[str] = NAMES
) -> dict[str, dict[str, float]]:
    """Return the figures of `names`, measures of ir-measures, for each query of `qrels`.

    Rankings are used in the order given, best first.

    Raises:
        ConfigError: ir-measures is not installed."""
    library = _library()
    run = {query: _descending(rankings.get(query, ())) for query in qrels}
    figures = {query: dict.fromkeys(names, 0.0) for query in qrels}
    measures = [library.parse_measure(name) for name in names]
    for metric in library.iter_calc(measures, {q: dict(judged) for q, judged in qrels.items()}, run):
        figures[metric.query_id][str(metric.measure)] = float(metric.value)
    return figures


def _library() -> Any:
    try:
        import ir_measures
    except ModuleNotFoundError as error:
        raise ConfigError(f"retrieval measures need the package '{error.name}'; pip install 'qttrag[eval]'") from error
    return ir_measures


def _descending(ranking: Sequence[str]) -> dict[str, float]:
    return {passage_id: float(len(ranking) - rank) for rank, passage_id in enumerate(dict.fromkeys(ranking))}
