"""What the tour shows, and the rules by which it chooses its questions from the test set."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import NamedTuple

from demo.corpus import Question, questions, stated
from demo.facts import Sheet, sheets
from demo.grammar import genitive
from demo.outside import missing_facts
from qttrag.types import MAX_SCORE, Answer, TaggedPassage

_GAP = 0.5  # by how much a bad translation's mean score is lower than that of the passage the answer rests on


class Asked(NamedTuple):
    """A question with its answers by strategy."""

    question: Question
    answers: dict[str, Answer]

    def is_right(self, strategy: str = "qtt_rag") -> bool:
        """Return whether the answer is a gold answer, letter by letter but for capitals."""
        said = self.answers[strategy].text.casefold()
        return said in [gold.casefold() for gold in self.question.answers]

    def is_supported(self) -> bool:
        """Return whether the words of the answer are in a passage that is judged relevant."""
        answer = self.answers["qtt_rag"]
        cited = [answer.context[number - 1].passage.passage_id for number in answer.citations.passages]
        return any(passage_id.split("#")[0] in self.question.gold for passage_id in cited)


class Stop(NamedTuple):
    """A part of the tour. `rule`: completes "the first question of the test set, of those that no other part shows".

    `fits`: whether a question does. `strategies`: the answers that are shown."""

    title: str
    rule: str
    fits: Callable[[Asked], bool]
    strategies: tuple[str, ...] = ("qtt_rag",)


def lacks(passage: TaggedPassage, lang: str) -> list[str]:
    """Return the names and values of an English passage that its translation should have, and does not."""
    if passage.translation is None:
        return []
    _, code, section = passage.passage.passage_id.split("#")[0].split("-", 2)
    sheet = _sheets()[code]
    written = passage.translation.casefold()
    fields = stated(section, sheet.facts)
    names = [sheet.name[lang]] if (genitive(sheet.name[lang]) or "\0").casefold() not in written else []
    right = [*names, *(sheet.facts[field][lang] for field in fields)]
    return [text for text in right if text.casefold() not in written]


def mean_score(passage: TaggedPassage) -> float:
    """Return the mean of a translation's scores; the maximum for an original; 0 for an unscored translation."""
    if passage.translation is None:
        return MAX_SCORE
    return statistics.fmean(passage.scores.values()) if passage.scores else 0.0


def caught(asked: Asked) -> list[int]:
    """Return the numbers of the context's bad translations that the answer does not rest on and the scores tell.

    Bad: it lacks a name or value. Told: its mean score is lower by `_GAP` or more than that of each passage with the
    words of the answer."""
    answer = asked.answers["qtt_rag"]
    cited = [answer.context[number - 1] for number in answer.citations.passages]
    if not cited or any(lacks(passage, answer.lang) for passage in cited):
        return []
    limit = min(map(mean_score, cited)) - _GAP
    return [
        number
        for number, passage in enumerate(answer.context, 1)
        if passage.scores and mean_score(passage) <= limit and lacks(passage, answer.lang)
    ]


def _is_foreign(asked: Asked) -> bool:
    return asked.question.lang not in asked.question.sheet.covered


def _only_english(asked: Asked, lang: str) -> bool:
    return asked.question.lang == lang and _is_foreign(asked) and asked.is_right() and asked.is_supported()


STOPS: Sequence[Stop] = (
    Stop(
        "A bad translation, scored low and not trusted",
        "that is answered correctly while a translation with a wrong name or value is in the context, whose mean score "
        "is at least half a point below that of the passage with the answer",
        lambda asked: asked.is_right() and asked.is_supported() and bool(caught(asked)),
    ),
    Stop(
        "The same question without and with translation and scores",
        "whose evidence is in English only, and that `base` answers wrongly and `qtt_rag` correctly",
        lambda asked: _only_english(asked, asked.question.lang) and not asked.is_right("base"),
        ("base", "qtt_rag"),
    ),
    Stop(
        "Evidence that is missing",
        "about a fact that no passage states, and that is answered so",
        lambda asked: not asked.question.gold and asked.answers["qtt_rag"].abstained,
    ),
    *(
        Stop(
            f"A question in {name}",
            f"in {name} whose evidence is in English only, and that is answered correctly",
            lambda asked, lang=lang: _only_english(asked, lang),  # type: ignore[misc]
        )
        for lang, name in (("ko", "Korean"), ("fi", "Finnish"), ("zh", "Chinese"))
    ),
)


def candidates() -> Iterator[Question]:
    """Yield the test set's questions that are not English, in order; after each territory's, those about facts that
    CLDR does not have for it, without gold passages."""
    of_test = list(questions("test"))
    for sheet in (sheet for sheet in sheets() if sheet.split == "test"):
        yield from (question for question in of_test if question.sheet == sheet and question.lang != "en")
        yield from (question for question in missing_facts(sheet) if question.lang != "en")


@cache
def _sheets() -> dict[str, Sheet]:
    return {sheet.code: sheet for sheet in sheets()}
