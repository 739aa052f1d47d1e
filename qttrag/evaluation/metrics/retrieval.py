"""nDCG, reciprocal rank and recall of gold passages by ir-measures (trec_eval)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from qttrag.errors import ConfigError
from qttrag.evaluation.metrics.base import AnswerCase, measure

NAMES = ("nDCG@10", "RR@10", "R@5", "R@50")


@measure("nDCG@10", signature="nDCG@10|trec_eval")
def ndcg_10(case: AnswerCase) -> float | None:
    return _of(case, "nDCG@10")


@measure("RR@10", signature="RR@10|trec_eval")
def rr_10(case: AnswerCase) -> float | None:
    return _of(case, "RR@10")


@measure("R@5", signature="R@5|trec_eval")
def recall_5(case: AnswerCase) -> float | None:
    return _of(case, "R@5")


@measure("R@50", signature="R@50|trec_eval")
def recall_50(case: AnswerCase) -> float | None:
    return _of(case, "R@50")


def _of(case: AnswerCase, name: str) -> float | None:
    return None if case.retrieval is None else case.retrieval[name]


def by_query(
    qrels: Mapping[str, Mapping[str, int]], rankings: Mapping[str, Sequence[str]]
) -> dict[str, dict[str, float]]:
    """Return all figures by query, for the queries of `qrels`; zeros for a query without a ranking.

    Rankings are used in the order given, best first.

    Raises:
        ConfigError: ir-measures is not installed."""
    try:
        import ir_measures
    except ModuleNotFoundError as error:
        raise ConfigError(f"retrieval measures need the package '{error.name}'; pip install 'qttrag[eval]'") from error
    run = {query: _descending(rankings.get(query, ())) for query in qrels}
    figures = {query: dict.fromkeys(NAMES, 0.0) for query in qrels}
    measures = [ir_measures.parse_measure(name) for name in NAMES]
    for metric in ir_measures.iter_calc(measures, {q: dict(judged) for q, judged in qrels.items()}, run):
        figures[metric.query_id][str(metric.measure)] = float(metric.value)
    return figures


def _descending(ranking: Sequence[str]) -> dict[str, float]:
    return {passage_id: float(len(ranking) - rank) for rank, passage_id in enumerate(dict.fromkeys(ranking))}
