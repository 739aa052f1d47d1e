"""Which search plans are measured: efforts and depths are doubled first, then narrowed to the least that suffice."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from qttrag.indexes.ann.first_stage import Effort
from qttrag.indexes.collection import SPARE, Plan
from qttrag.indexes.jobs.measured_recall import MIN_GAIN, Trial

_DEPTHS = (2, 4, 8, 16, 32, 64)  # candidates per hit
_COMPARED = 3  # efforts that reach the recall, each with its least depth
_NARROWED = 2  # the fastest of these, of which cheaper forms are sought
_HALVINGS = 3  # of the distance between a number that fails and one that suffices

Measure = Callable[[Plan], Trial[Plan]]


def trials(measure: Measure, efforts: Sequence[Effort], *, target: float, k: int, rows: int) -> Iterator[Trial[Plan]]:
    """Yield the trials that lead to the cheapest plan with the recall `target` of the best `k` of `rows` passages.

    `efforts`: ascending, each about twice the one before. It is assumed that more lists, graph nodes or candidates do
    not lower the recall, so that what lies below a plan that fails is not measured."""
    fewest = min(k + SPARE, rows)
    depths = sorted({min(max(factor * k, fewest), rows) for factor in _DEPTHS})
    least: dict[Effort, Trial[Plan]] = {}  # the sufficient plan of each effort with the fewest candidates
    for trial in _doubled(measure, efforts, depths, target):
        yield trial
        if trial.reaches(target):
            least[trial.plan.effort] = trial
    for trial in sorted(undominated(list(least.values())), key=lambda t: t.ms)[:_NARROWED]:
        yield from _narrowed(measure, trial.plan, target, fewest)


def _doubled(
    measure: Measure, efforts: Sequence[Effort], depths: Sequence[int], target: float
) -> Iterator[Trial[Plan]]:
    """Yield the trial of each effort with the greatest depth and, where it suffices, those up to its least depth."""
    sufficient, previous = 0, -1.0
    for effort in efforts:
        deepest = measure(Plan(effort, depths[-1]))
        yield deepest
        if deepest.reaches(target):
            for depth in depths[:-1]:
                trial = measure(Plan(effort, depth))
                yield trial
                if trial.reaches(target):
                    break
            sufficient += 1
        if sufficient == _COMPARED or (previous > 0 and deepest.recall - previous < MIN_GAIN):
            return
        previous = deepest.recall


def undominated(sufficient: Sequence[Trial[Plan]]) -> list[Trial[Plan]]:
    """Return the trials of which no other visits no more lists or nodes and scores no more candidates.

    The others are slower, even where other work on the machine made them look faster."""
    costs = [(_visited(trial.plan.effort), trial.plan.depth) for trial in sufficient]
    return [
        trial
        for trial, (visited, depth) in zip(sufficient, costs, strict=True)
        if not any(v <= visited and d <= depth and (v, d) != (visited, depth) for v, d in costs)
    ]


def _narrowed(measure: Measure, plan: Plan, target: float, fewest: int) -> Iterator[Trial[Plan]]:
    """Yield trials with fewer lists or nodes than those of a sufficient plan, then with fewer candidates as well."""
    effort, depth = plan
    if visited := _visited(effort):
        of_visited = partial(_visiting, effort, depth)
        for trial in _bisected(measure, of_visited, visited // 2, visited, target):
            yield trial
            if trial.reaches(target):
                effort = trial.plan.effort
    yield from _bisected(measure, partial(Plan, effort), max(depth // 2, fewest - 1), depth, target)


def _bisected(
    measure: Measure, plan_of: Callable[[int], Plan], fails: int, suffices: int, target: float
) -> Iterator[Trial[Plan]]:
    for _ in range(_HALVINGS):
        middle = (fails + suffices) // 2
        if middle == fails:
            return
        trial = measure(plan_of(middle))
        yield trial
        fails, suffices = (fails, middle) if trial.reaches(target) else (middle, suffices)


def _visiting(effort: Effort, depth: int, number: int) -> Plan:
    return Plan(Effort(nprobe=number) if effort.nprobe else Effort(ef_search=number), depth)


def _visited(effort: Effort) -> int:
    return effort.nprobe or effort.ef_search or 0
