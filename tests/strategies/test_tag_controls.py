"""Controls of the tags: the same prompt and passages, with scores that are not the measured ones."""

from __future__ import annotations

from dataclasses import replace

import pytest

from qttrag.application.factory import strategy_options
from qttrag.errors import ConfigError
from qttrag.pipeline import tag_controls
from qttrag.types import CriticalError, Lang, Passage, QualityScores, TaggedPassage


def translated(name: str, *scores: float, errors: tuple[CriticalError, ...] = ()) -> TaggedPassage:
    passage = Passage(name, "text", Lang("en"))
    return TaggedPassage(passage, "käännös", QualityScores(*scores) if scores else None, critical_errors=errors)


NUMBERS = (CriticalError("numbers", ("1950",)),)
PASSAGES = [translated("a", 4.5, 4.0, 3.5, errors=NUMBERS), translated("b"), translated("c", 1.0), translated("d", 2.0)]


def scores(control: tag_controls.WithoutReference, seed: str = "q") -> list[tuple[float, ...] | None]:
    return [each.scores.values() if each.scores else None for each in tag_controls.apply(control, PASSAGES, seed)]


def test_shuffled_scores_are_those_of_another_translation_with_its_critical_errors() -> None:
    assert scores("shuffled") == [(1.0,), None, (2.0,), (4.5, 4.0, 3.5)]
    assert [each.critical_errors for each in tag_controls.apply("shuffled", PASSAGES, "q")] == [(), (), (), NUMBERS]


def test_inverted_scores_call_the_worst_translation_the_best() -> None:
    assert scores("inverted") == [(0.5, 1.0, 1.5), None, (4.0,), (3.0,)]


def test_constant_scores_tell_nothing_and_no_critical_error_does() -> None:
    assert scores("constant") == [(5.0, 5.0, 5.0), None, (5.0,), (5.0,)]
    assert not any(each.critical_errors for each in tag_controls.apply("constant", PASSAGES, "q"))


def test_random_scores_are_the_same_each_time_and_others_for_another_question() -> None:
    assert scores("random") == scores("random")
    assert scores("random") != scores("random", "another question")


def test_texts_and_order_are_unchanged() -> None:
    for control in ("shuffled", "inverted", "constant", "random"):
        changed = tag_controls.apply(control, PASSAGES, "q")
        assert [replace(each, scores=None, critical_errors=()) for each in changed] == [
            replace(each, scores=None, critical_errors=()) for each in PASSAGES
        ]


def test_an_unknown_control_is_refused() -> None:
    with pytest.raises(ConfigError, match="tags"):
        strategy_options("qtt_rag", {"tags": "reversed"})
