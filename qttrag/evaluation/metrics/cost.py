"""The cost of an answer, summed over its stages, from the trace of its question."""

from __future__ import annotations

import math
from collections.abc import Sequence

from qttrag.evaluation.answers import AnswerRecord
from qttrag.evaluation.metrics.base import AnswerCase, measure
from qttrag.trace import usage_is_known


@measure("prompt_tokens", signature="prompt-tokens|per:question", unit="", less=True)
def prompt_tokens(case: AnswerCase) -> float | None:
    return _over_stages(case, "prompt_tokens") if usage_is_known(case.answer.counts) else None


@measure("completion_tokens", signature="completion-tokens|per:question", unit="", less=True)
def completion_tokens(case: AnswerCase) -> float | None:
    return _over_stages(case, "completion_tokens") if usage_is_known(case.answer.counts) else None


@measure("calls", signature="calls|llm|per:question", unit="", less=True)
def calls(case: AnswerCase) -> float:
    """Return the calls of language models."""
    return _over_stages(case, "calls")


@measure("translated", signature="passages-translated|per:question", unit="", less=True)
def translated(case: AnswerCase) -> float:
    """Return the texts that the translator translated; cached translations do not count."""
    counts = case.answer.counts
    return counts.get("translate.computed", 0) + counts.get("translate_query.computed", 0)


@measure("cache_hits", signature="cache-hits|per:question", unit="")
def cache_hits(case: AnswerCase) -> float:
    return _over_stages(case, "cached")


@measure("seconds", signature="seconds|per:question|overlapping|shared:charged", unit="", less=True)
def seconds(case: AnswerCase) -> float | None:
    """Return the seconds of all stages; those of questions in parallel overlap.

    What another strategy computed is charged to each strategy that uses it (`charged_seconds`). None: a stage used
    results of earlier runs, so its time is unknown."""
    if case.stage_seconds is None:
        return sum(case.answer.seconds.values())
    return None if None in case.stage_seconds.values() else math.fsum(filter(None, case.stage_seconds.values()))


SHARED = ("retrieve", "rerank", "translate", "translate_query", "tag", "refine")
"""Stages whose results strategies share."""


def charged_seconds(answers: Sequence[AnswerRecord]) -> list[dict[str, float | None]]:
    """Return the seconds by stage of the answers of several strategies to one question.

    A stage that used cached results costs what it cost the strategy that computed them: the most of these answers.
    None if none of them computed any, or if the answer itself was cached."""
    return [{stage: _charged(stage, answer, answers) for stage in answer.seconds} for answer in answers]


def _charged(stage: str, answer: AnswerRecord, answers: Sequence[AnswerRecord]) -> float | None:
    own = answer.seconds[stage]
    if not answer.counts.get(f"{stage}.cached"):
        return own
    computed = [each.seconds.get(stage, 0.0) for each in answers if each.counts.get(f"{stage}.computed")]
    return max([own, *computed]) if computed and stage in SHARED else None


def _over_stages(case: AnswerCase, count: str) -> float:
    return sum(n for name, n in case.answer.counts.items() if name.rpartition(".")[2] == count)
