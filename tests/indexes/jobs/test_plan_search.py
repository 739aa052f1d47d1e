"""Which plans are measured, on an index whose recall and time are formulas."""

from __future__ import annotations

from collections.abc import Callable

from qttrag.indexes.ann.first_stage import AS_BUILT, Effort
from qttrag.indexes.collection import SPARE, Plan
from qttrag.indexes.jobs.measured_recall import Trial, fastest
from qttrag.indexes.jobs.plan_search import trials, undominated

LISTS = [Effort(nprobe=1 << power) for power in range(10)]
NODES = [Effort(ef_search=nodes) for nodes in (64, 128, 256)]


def _index(lists: int, candidates: int, *, per_candidate: float = 0.01) -> Callable[[Plan], Trial[Plan]]:
    """Return a measurement in which a recall of 0.98 needs so many lists or nodes and so many candidates."""

    def measure(plan: Plan) -> Trial[Plan]:
        visited = plan.effort.nprobe or plan.effort.ef_search or lists
        recall = min(1.0, 0.98 + 1e-3 * min(visited - lists, plan.depth - candidates))
        return Trial(plan, recall, 0.0, 0.05 * visited + per_candidate * plan.depth)

    return measure


def _tried(measure: Callable[[Plan], Trial[Plan]], efforts: list[Effort], rows: int = 10**7) -> list[Trial[Plan]]:
    return list(trials(measure, efforts, target=0.98, k=50, rows=rows))


def test_the_chosen_lists_are_within_an_eighth_of_the_least_that_suffice() -> None:
    for needed in (1, 2, 3, 65, 90, 100, 128, 200):
        chosen = fastest(_tried(_index(needed, 150), LISTS), 0.98).plan.effort.nprobe
        assert chosen is not None
        assert needed <= chosen <= needed + needed // 8 + 1, needed


def test_the_chosen_candidates_are_within_an_eighth_of_the_fewest_that_suffice() -> None:
    for needed in (90, 110, 150, 199, 350):
        chosen = fastest(_tried(_index(100, needed), LISTS), 0.98).plan.depth
        assert needed <= chosen <= needed + needed // 8 + 1, needed


def test_candidates_are_never_fewer_than_break_ties() -> None:
    assert fastest(_tried(_index(100, 1), LISTS), 0.98).plan.depth >= 50 + SPARE


def test_the_nodes_of_a_graph_are_narrowed_too() -> None:
    chosen = fastest(_tried(_index(70, 150), NODES), 0.98).plan
    assert chosen.effort.nprobe is None
    assert chosen.effort.ef_search == 72


def test_an_index_without_lists_or_nodes_has_its_candidates_narrowed() -> None:
    assert fastest(_tried(_index(1, 150), [AS_BUILT]), 0.98).plan == Plan(AS_BUILT, 150)


def test_no_plan_is_measured_twice() -> None:
    for rows in (60, 90, 500, 10**7):
        plans = [trial.plan for trial in _tried(_index(100, 150), LISTS, rows)]
        assert len(plans) == len(set(plans)), rows


def test_a_plan_with_more_lists_and_no_fewer_candidates_is_not_narrowed() -> None:
    measured = [trial.plan.effort.nprobe for trial in _tried(_index(100, 150), LISTS)]
    assert [lists for lists in measured if lists and lists > 128] == [256] * 3  # its greatest, least and second depth


def test_where_nothing_suffices_nothing_is_narrowed() -> None:
    efforts = [trial.plan.effort for trial in _tried(_index(10**4, 150), LISTS)]
    assert efforts == LISTS


def test_a_plan_that_does_more_than_another_is_out_even_if_it_seemed_faster() -> None:
    slow, seemed_fast = (Trial(Plan(Effort(nprobe=8), depth), 0.99, 0.0, ms) for depth, ms in ((200, 9.0), (400, 3.0)))
    other = Trial(Plan(Effort(nprobe=4), 300), 0.99, 0.0, 9.0)
    assert undominated([slow, seemed_fast, other]) == [slow, other]
