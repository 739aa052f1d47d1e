"""The form of an answer, set by the deployment or by one question."""

from __future__ import annotations

from dataclasses import replace

import pytest

from qttrag.testing import FakeGenerator
from qttrag.types import ANSWER_TOKENS, AnswerStyle, AskLimits, AskRequest
from tests.server import running

QUESTION = "Mikä on pääkaupunki?"
SHORT, SENTENCES = "Vastaa mahdollisimman lyhyesti", "Vastaa 1–3 kokonaisella virkkeellä"


async def asked(request: AskRequest, **settings: object) -> tuple[str, int]:
    """Return the system prompt and the limit of tokens for a question to a deployment with `settings`."""
    generator = FakeGenerator()
    application = running.application(generator)
    deployment = application.deployment.model_copy(update=settings)
    stages = replace(application.stages, answer_style=deployment.answer_style)
    await replace(application, deployment=deployment, stages=stages).ask(request)
    messages, decoding = generator.seen[-1]
    return messages[0]["content"], decoding.max_tokens


async def test_answers_are_short_unless_something_else_is_set() -> None:
    system, tokens = await asked(AskRequest(QUESTION))
    assert SHORT in system
    assert tokens == 128


async def test_a_question_chooses_another_form_than_the_deployment() -> None:
    system, tokens = await asked(AskRequest(QUESTION, answer_style="short"), answer_style="sentences")
    assert SHORT in system
    assert SENTENCES not in system
    assert tokens == 128


@pytest.mark.parametrize("style", ["sentences", "report"])
async def test_a_longer_form_has_room_for_its_length(style: AnswerStyle) -> None:
    assert (await asked(AskRequest(QUESTION), answer_style=style))[1] == ANSWER_TOKENS[style]
    assert (await asked(AskRequest(QUESTION, answer_style=style)))[1] == ANSWER_TOKENS[style]


async def test_a_limit_of_the_deployment_or_of_the_question_is_kept_in_every_form() -> None:
    report = AskRequest(QUESTION, answer_style="report")
    assert (await asked(report, answer_tokens=64))[1] == 64
    assert (await asked(replace(report, limits=AskLimits(answer_tokens=32)), answer_tokens=64))[1] == 32
