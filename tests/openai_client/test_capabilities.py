from __future__ import annotations

import pytest

from qttrag.openai_client.capabilities import RULES, Capabilities

REQUEST = {"model": "m", "response_format": {"type": "json_schema"}}


def test_a_request_stays_as_it_is_until_a_server_rejects_a_part_of_it() -> None:
    assert Capabilities().adapt(REQUEST) == REQUEST
    assert Capabilities(json_schema=False).adapt(REQUEST) == {"model": "m", "response_format": {"type": "json_object"}}
    assert Capabilities(json_schema=False, json_object=False).adapt(REQUEST) == {"model": "m"}


def test_a_rejection_is_learnt_with_a_note() -> None:
    learnt = Capabilities().learn(REQUEST, "response_format is not supported")
    assert learnt is not None
    assert learnt.capabilities == Capabilities(json_schema=False)
    assert "JSON schema" in learnt.note


@pytest.mark.parametrize(
    ("request_", "message"),
    [(REQUEST, "the prompt is too long"), ({"model": "m"}, "response_format is not supported")],
    ids=["another cause", "not in the request"],
)
def test_any_other_rejection_teaches_nothing(request_: dict[str, object], message: str) -> None:
    assert Capabilities().learn(request_, message) is None


def test_each_rule_is_about_a_capability() -> None:
    assert all(hasattr(Capabilities(), rule.capability) for rule in RULES)
