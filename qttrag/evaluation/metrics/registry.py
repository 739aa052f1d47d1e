"""All measures by name, in the order of the tables, and their values for an answer."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from types import ModuleType

from qttrag.errors import ConfigError, renamed, unknown
from qttrag.evaluation import extensions, metrics
from qttrag.evaluation.metrics.base import AnswerCase, Measure

ORDER = (
    "char3_bergen", "char3_fair", "f1_bergen", "em_bergen", "match_bergen", "em_fair", "match_fair",
    "f1_official", "em_official", "bleu_official", "judged_right", "chrf", "rouge_l", "choice", "abstained",
    "answered_without_evidence", "abstained_with_evidence", "in_passages", "citation_precision", "citation_recall",
    "supported", "supported_native", "supported_foreign",
    "correct_language", "wrong_language",
    "answer_recall@1", "answer_recall@5", "answer_recall_native@5", "answer_recall_foreign@5",
    "answer_recall_found@50", "nDCG@10", "RR@10", "R@1", "R@5", "R@50", "r_lang", "unscored", "entities_added",
    "prompt_tokens", "completion_tokens", "calls", "translated", "cache_hits", "seconds",
)  # fmt: skip
"""The order in tables; measures that are not listed follow by name."""

RENAMED = {"kept": "cache_hits"}
"""Former names of measures."""

Values = dict[str, tuple[float, float]]
"""(over, under) by measure, see `qttrag.evaluation.statistics`. A measure that cannot tell is absent."""


@functools.cache
def measures() -> Mapping[str, Measure]:
    """Return the measures of this package and of installed packages, by name.

    Raises:
        ConfigError: two measures have the same name, or one of another package cannot be imported."""
    by_name: dict[str, Measure] = {}
    for measure in {id(measure): measure for measure in _all_measures()}.values():  # a module may import another's
        by_name[measure.name] = by_name[measure.name].merge(measure) if measure.name in by_name else measure
    place = {name: n for n, name in enumerate(ORDER)}
    return {name: by_name[name] for name in sorted(by_name, key=lambda name: (place.get(name, len(place)), name))}


def _all_measures() -> Iterator[Measure]:
    for info in pkgutil.iter_modules(metrics.__path__, f"{metrics.__name__}."):
        yield from _in_module(importlib.import_module(info.name))
    for name, value in extensions.declared("qttrag.measure").items():
        loaded = extensions.load(value, f"measure '{name}'")
        if isinstance(loaded, ModuleType):
            yield from _in_module(loaded)
        elif isinstance(loaded, Measure):
            yield loaded
        else:
            raise ConfigError(f"measure '{name}' ({value}) is neither a module nor a function with @measure")


def _in_module(module: ModuleType) -> Iterator[Measure]:
    return (value for value in vars(module).values() if isinstance(value, Measure))


def check(name: str) -> str:
    """Return the name of a measure.

    Raises:
        ConfigError: there is no measure of this name."""
    if name in RENAMED:
        raise ConfigError(f"measure {renamed(name, RENAMED[name])}")
    if name not in measures():
        raise ConfigError(unknown("measure", name, measures()))
    return name


def evaluate(case: AnswerCase) -> Values:
    """Return the values of all measures that can tell something about an answer that did not fail."""
    values: Values = {}
    for name, measure in measures().items():
        value = measure(case)
        if value is not None:
            values[name] = value if isinstance(value, tuple) else (float(value), 1.0)
    return values
