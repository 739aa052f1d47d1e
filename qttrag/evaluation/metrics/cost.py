"""The cost of an answer, summed over its stages, from the trace of its question."""

from __future__ import annotations

from qttrag.evaluation.metrics.base import AnswerCase, measure


@measure("prompt_tokens", signature="prompt-tokens|per:question", unit="", less=True)
def prompt_tokens(case: AnswerCase) -> float:
    return _over_stages(case, "prompt_tokens")


@measure("completion_tokens", signature="completion-tokens|per:question", unit="", less=True)
def completion_tokens(case: AnswerCase) -> float:
    return _over_stages(case, "completion_tokens")


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


@measure("seconds", signature="seconds|per:question|overlapping", unit="", less=True)
def seconds(case: AnswerCase) -> float:
    """Return the seconds of all stages; those of questions in parallel overlap."""
    return sum(case.answer.seconds.values())


def _over_stages(case: AnswerCase, count: str) -> float:
    return sum(n for name, n in case.answer.counts.items() if name.rpartition(".")[2] == count)
