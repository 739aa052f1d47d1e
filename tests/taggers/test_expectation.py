from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qttrag.generators.transformers import TransformersGenerator
from qttrag.prompts import Prompts
from qttrag.taggers.expectation import expected
from qttrag.taggers.llm import LLMTagger
from qttrag.testing import FakeGenerator
from qttrag.trace import Trace
from qttrag.types import Completion, Lang, QualityScores, Token

WRITTEN = QualityScores(4.5, 4.0, 3.0)


def sure(text: str) -> Token:
    return Token(text, {text: 0.0})


def torn(text: str, **weights: float) -> Token:
    return Token(text, {other.removeprefix("_"): math.log(weight) for other, weight in weights.items()})


def completion(*tokens: Token) -> Completion:
    return Completion("".join(token.text for token in tokens), tokens=tokens)


def test_a_score_is_the_mean_over_the_possible_replies() -> None:
    made = completion(
        sure('{"semantic": '), torn("4", _4=0.5, _3=0.25, _5=0.25), sure("."), sure("5"),
        sure(', "grammar": '), sure("4"), sure("."), torn("0", _0=0.5, _4=0.5),
        sure(', "fluency": '), sure("3"), sure("}"),
    )  # fmt: skip
    found = expected(WRITTEN, made)
    assert found is not None
    assert found.values() == pytest.approx((0.5 * 4.5 + 0.25 * 3.5 + 0.25 * 5, 4.2, 3.0))


def test_numbers_of_one_token_or_after_a_space_are_parsed() -> None:
    made = completion(
        sure('{"semantic":'), Token(" 4.5", {" 4.5": math.log(0.5), " 3.5": math.log(0.5)}), sure(', "grammar":'),
        Token(" 4", {" 4": math.log(0.8), " 2": math.log(0.2)}), sure(".0"), sure(', "fluency": 3}'),
    )  # fmt: skip
    found = expected(WRITTEN, made)
    assert found is not None
    assert found.values() == pytest.approx((4.0, 3.6, 3.0))


def test_tokens_that_are_no_digits_do_not_count() -> None:
    tokens = [
        sure('{"semantic": '), torn("4", _4=0.6, _2=0.2, x=0.2), sure(', "grammar": '), sure("4"),
        sure(', "fluency": '), sure("3"), sure("}"),
    ]  # fmt: skip
    found = expected(QualityScores(4, 4, 3), completion(*tokens))
    assert found is not None
    assert found.semantic == pytest.approx((0.6 * 4 + 0.2 * 2) / 0.8)


def test_there_is_no_expectation_with_few_digits_or_without_alternatives() -> None:
    rest = (sure(', "grammar": '), sure("4"), sure(', "fluency": '), sure("3"), sure("}"))
    unsure = completion(sure('{"semantic": '), torn("4", _4=0.1, x=0.9), *rest)
    assert expected(QualityScores(4, 4, 3), unsure) is None
    assert expected(QualityScores(4, 4, 3), Completion(unsure.text)) is None


def test_keys_in_another_order_keep_their_scores() -> None:
    made = completion(
        sure('{"fluency": '), sure("1"), sure(', "semantic": '), sure("2"), sure(', "grammar": '), sure("3"), sure("}")
    )
    assert expected(QualityScores(2, 3, 1), made) == QualityScores(2, 3, 1)


@given(st.lists(st.floats(0.01, 1), min_size=6, max_size=6))
def test_an_expectation_is_a_score(weights: list[float]) -> None:
    total = sum(weights)
    digits = Token("5", {str(n): math.log(weight / total) for n, weight in enumerate(weights)})
    made = completion(
        sure('{"semantic": '), digits, sure("."), sure("0"), sure(', "grammar": '), digits, sure(', "fluency": '),
        digits, sure("}"),
    )  # fmt: skip
    found = expected(QualityScores(5, 5, 5), made)
    assert found is not None
    assert all(0 <= value <= 5 for value in found.values())


async def test_a_model_in_process_gives_expectations(tiny: Path) -> None:
    generator = TransformersGenerator(str(tiny / "llama"), device="cpu")
    ways = [LLMTagger(generator=generator, prompts=Prompts(), expected=expected) for expected in (False, True)]
    written, finer = [
        (await tagger.score(["The bridge."], ["다리."], [Lang("en")], Lang("ko")))[0].scores for tagger in ways
    ]
    assert written is not None
    assert finer is not None
    assert finer != written


async def test_without_probabilities_the_written_scores_are_used() -> None:
    trace = Trace()
    generator = FakeGenerator(lambda messages: '{"semantic": 4.5, "grammar": 4.0, "fluency": 3}')
    with trace.stage("tag"):
        tagger = LLMTagger(generator=generator, prompts=Prompts(), expected=True)
        (verdict,) = await tagger.score(["a"], ["b"], [Lang("en")], Lang("ko"))
    assert verdict.scores == QualityScores(4.5, 4.0, 3.0)
    assert trace.counts["tag.as_written"] == 1
    assert any("as written" in note for note in trace.notes)
