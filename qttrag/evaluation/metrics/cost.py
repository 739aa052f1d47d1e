"""What an answer cost: tokens, model calls, what the cache had, seconds. From the trace of its question."""

from __future__ import annotations

from collections.abc import Mapping

MEASURES = ("prompt_tokens", "completion_tokens", "calls", "translated", "kept", "seconds")


def cost(counts: Mapping[str, int], seconds: Mapping[str, float]) -> dict[str, float]:
    """Return, of one question over all its stages: tokens read and written, calls of language models, passages that
    the translator worked on, results that the cache had, and seconds (which overlap where questions run at once)."""
    return {
        "prompt_tokens": _sum(counts, "prompt_tokens"),
        "completion_tokens": _sum(counts, "completion_tokens"),
        "calls": _sum(counts, "calls"),
        "translated": float(counts.get("translate.computed", 0) + counts.get("translate_query.computed", 0)),
        "kept": _sum(counts, "cached"),
        "seconds": float(sum(seconds.values())),
    }


def _sum(counts: Mapping[str, int], what: str) -> float:
    return float(sum(n for name, n in counts.items() if name.rpartition(".")[2] == what))
