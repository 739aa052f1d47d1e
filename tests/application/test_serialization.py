from __future__ import annotations

import json
from dataclasses import fields, replace

import pytest

from qttrag.application.serialization import (
    answer_as_dict,
    answer_from_dict,
    partial_as_dict,
    passage_as_dict,
    verdict_as_dict,
)
from qttrag.trace import Trace
from qttrag.types import (
    Answer,
    CriticalError,
    Event,
    Lang,
    PartialAnswer,
    Passage,
    Place,
    QualityScores,
    Query,
    TaggedPassage,
    Verdict,
)

TAGGED = TaggedPassage(
    Passage("en-1", "Seoul is the capital.", Lang("en"), "Seoul"), "서울은 수도이다.", QualityScores(4, 5, 3)
)
ANSWER = Answer(
    Query("수도는?", Lang("ko"), collections=("wiki-en",)), "서울", Lang("ko"), (TAGGED,), Trace(), strategy="base"
)


def test_a_passage_has_its_number_and_every_field_of_its_own() -> None:
    names = {field.name for kind in (Passage, TaggedPassage) for field in fields(kind)} - {"passage", "place"}
    assert set(passage_as_dict(TAGGED, 1)) == {"n", *names, "file", "page", "headings"}


@pytest.mark.parametrize("place", [None, Place("a.pdf", 3, ("Bridges", "Turku")), Place("a.md")])
def test_an_answer_is_read_from_its_json(place: Place | None) -> None:
    answer = replace(ANSWER, context=(replace(TAGGED, passage=replace(TAGGED.passage, place=place)),))
    assert answer_from_dict(json.loads(json.dumps(answer_as_dict(answer)))) == answer


def test_an_answer_survives_json() -> None:
    read = json.loads(json.dumps(answer_as_dict(ANSWER)))
    assert (read["answer"], read["strategy"], read["collections"]) == ("서울", "base", ["wiki-en"])
    assert read["passages"][0]["scores"] == {"semantic": 4, "grammar": 5, "fluency": 3}
    assert read["passages"][0]["flags"] == []


def test_a_score_that_was_not_measured_is_null() -> None:
    single = replace(TAGGED, scores=QualityScores(4.5))
    assert json.loads(json.dumps(passage_as_dict(single, 1)))["scores"] == {
        "semantic": 4.5, "grammar": None, "fluency": None,
    }  # fmt: skip


def test_critical_errors_are_in_the_json_of_a_passage_and_of_a_verdict() -> None:
    errors = (CriticalError("numbers", ("10,000",)), CriticalError("omission"))
    expected = [{"kind": "numbers", "original": ["10,000"]}, {"kind": "omission", "original": []}]
    assert passage_as_dict(replace(TAGGED, critical_errors=errors), 1)["critical_errors"] == expected
    assert verdict_as_dict(Verdict(None, "range", critical_errors=errors)) == {
        "scores": None, "unscored": "range", "critical_errors": expected,
    }  # fmt: skip


def test_a_partial_answer_has_the_latest_passages_and_the_text_since_the_last_restart() -> None:
    partial = PartialAnswer(Trace(), passages=(), text="")
    told = [Event("ranked", (TAGGED,)), Event("piece", text="Se"), Event("restarted"), Event("piece", text="서울")]
    for event in told:
        partial = partial.after(event)
    read = partial_as_dict(partial)
    assert (len(read["passages"]), read["answer"]) == (1, "서울")


def test_the_partial_result_of_single_stages_is_a_trace() -> None:
    assert set(partial_as_dict(PartialAnswer(Trace()))) == {"trace"}
