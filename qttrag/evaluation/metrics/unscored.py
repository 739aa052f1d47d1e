"""How many translations have no quality scores, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from qttrag.types import TaggedPassage


def unscored(context: Sequence[TaggedPassage]) -> tuple[Counter[str], int]:
    """Return the causes of missing scores, and how many translations were to be scored."""
    causes = Counter(passage.unscored for passage in context if passage.unscored is not None)
    return causes, causes.total() + sum(passage.scores is not None for passage in context)
