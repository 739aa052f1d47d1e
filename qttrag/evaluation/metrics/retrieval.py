"""nDCG, reciprocal rank and recall of gold passages, by ir-measures (trec_eval)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from qttrag.errors import ConfigError

MEASURES = ("nDCG@10", "RR@10", "R@5", "R@50")


def by_query(
    qrels: Mapping[str, Mapping[str, int]], rankings: Mapping[str, Sequence[str]]
) -> dict[str, dict[str, float]]:
    """Return every measure by query, for the queries of `qrels`; one without a ranking has zeros.

    Rankings are taken as they stand, best first.

    Raises:
        ConfigError: ir-measures is not installed."""
    try:
        import ir_measures
    except ModuleNotFoundError as error:
        raise ConfigError(f"retrieval measures need the package '{error.name}'; pip install 'qttrag[eval]'") from error
    run = {query: _descending(rankings.get(query, ())) for query in qrels}
    found = {query: dict.fromkeys(MEASURES, 0.0) for query in qrels}
    measures = [ir_measures.parse_measure(name) for name in MEASURES]
    for each in ir_measures.iter_calc(measures, {q: dict(judged) for q, judged in qrels.items()}, run):
        found[each.query_id][str(each.measure)] = float(each.value)
    return found


def _descending(ranking: Sequence[str]) -> dict[str, float]:
    return {passage_id: float(len(ranking) - rank) for rank, passage_id in enumerate(dict.fromkeys(ranking))}
