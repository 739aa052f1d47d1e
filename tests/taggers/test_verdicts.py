from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qttrag.taggers.verdicts import KEYS, parse
from qttrag.types import QualityScores, Verdict

NAMES = {"semantic": "의미 동등성", "grammar": "문법 정확성", "fluency": "자연스러움"}
GOOD = '{"semantic": 4.5, "grammar": 4.0, "fluency": 3}'


def test_the_three_scores_are_parsed() -> None:
    assert parse(GOOD) == Verdict(QualityScores(4.5, 4.0, 3.0))


@pytest.mark.parametrize("reply", [f"```json\n{GOOD}\n```", f"```\n{GOOD}\n```", f"\n  {GOOD}  \n"])
def test_a_code_fence_and_white_space_are_allowed(reply: str) -> None:
    assert parse(reply).scores == QualityScores(4.5, 4.0, 3.0)


@pytest.mark.parametrize(
    "reply", [f"Sure! {GOOD}", f"{GOOD} as asked", f"Here it is:\n```json\n{GOOD}\n```\nHope this helps."]
)
def test_text_around_the_only_object_is_allowed(reply: str) -> None:
    assert parse(reply).scores == QualityScores(4.5, 4.0, 3.0)


@pytest.mark.parametrize("other", ["{}", "[1]", '{"semantic": 1}', "{{"])
def test_no_choice_is_made_between_objects(other: str) -> None:
    assert parse(f"{GOOD} {other}") == Verdict(None, "unreadable")


def test_localised_names_are_parsed_if_all_three_are_used() -> None:
    reply = json.dumps(dict(zip(NAMES.values(), (1, 2, 3), strict=True)))
    assert parse(reply, NAMES).scores == QualityScores(1, 2, 3)
    assert parse(reply).cause == "unreadable"


def test_mixed_names_are_unreadable() -> None:
    assert parse('{"semantic": 1, "문법 정확성": 2, "자연스러움": 3}', NAMES).cause == "unreadable"


def test_zero_is_a_score() -> None:
    assert parse('{"semantic": 0, "grammar": 0.0, "fluency": 0}').scores == QualityScores(0, 0, 0)


@pytest.mark.parametrize("value", ["5.1", "-0.1", "1e999", "100", "1" * 400])
def test_out_of_range_is_not_clamped(value: str) -> None:
    assert parse(f'{{"semantic": {value}, "grammar": 1, "fluency": 1}}') == Verdict(None, "range")


@pytest.mark.parametrize(
    "reply",
    [
        "", "4.5", "null", "[4.5, 4.0, 3.0]", GOOD[:-1], GOOD + GOOD, f"Sure! {GOOD} or {GOOD}",
        '{"semantic": "4.5", "grammar": 4, "fluency": 3}', '{"semantic": true, "grammar": 4, "fluency": 3}',
        '{"semantic": null, "grammar": 4, "fluency": 3}', '{"semantic": 4, "grammar": 4}',
        '{"semantic": 4, "grammar": 4, "fluency": 3, "note": "x"}', '{"semantic": NaN, "grammar": 4, "fluency": 3}',
        '{"semantic": Infinity, "grammar": 4, "fluency": 3}',
        '{"fluency": 1, "semantic": 4, "grammar": 4, "fluency": 3}',
        '{"semantic": ４.５, "grammar": 4, "fluency": 3}', '{"semantic": 4,5, "grammar": 4, "fluency": 3}',
        '{"semantic": [4], "grammar": 4, "fluency": 3}', "{" * 100_000, "[" * 100_000, '{"a":' * 100_000,
    ],
)  # fmt: skip
def test_anything_else_is_unreadable(reply: str) -> None:
    assert parse(reply) == Verdict(None, "unreadable")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from([*KEYS, "other"]) | st.text(), inner),
    max_leaves=8,
)


@given(st.text() | json_values.map(json.dumps))
@example('{"semantic": 1e999, "grammar": -1e999, "fluency": 0}')
def test_no_reply_raises_an_error_or_gives_a_score_that_it_does_not_contain(reply: str) -> None:
    verdict = parse(reply, NAMES)
    assert (verdict.scores is None) == (verdict.cause is not None)
    if verdict.scores is not None:
        assert sorted(verdict.scores.values()) == sorted(map(float, json.loads(reply).values()))


@pytest.mark.parametrize("value", ["4.5678", "4.50", "0.05", "45e-1", "4.9999999999999999999"])
def test_more_than_one_decimal_is_unreadable(value: str) -> None:
    assert parse(f'{{"semantic": {value}, "grammar": 1, "fluency": 1}}') == Verdict(None, "unreadable")


@given(st.lists(st.integers(0, 50).map(lambda tenths: tenths / 10), min_size=3, max_size=3))
def test_every_score_in_range_is_unchanged(values: list[float]) -> None:
    verdict = parse(json.dumps(dict(zip(KEYS, values, strict=True))))
    assert verdict.scores is not None
    assert list(verdict.scores.values()) == values
