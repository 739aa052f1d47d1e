"""`qttrag doctor --ask`: what each server accepts, and what qttrag does about the rest."""

from __future__ import annotations

import pytest

from qttrag.generators.openai import OpenAIGenerator
from qttrag.generators.probe import Probe, probe
from tests.conformance.habits import HABITS, REFUSALS, OddServer


async def probed(habit: str) -> Probe:
    with OddServer({**HABITS, **REFUSALS}[habit], lambda body: '{"ok": true}') as server:
        generator = OpenAIGenerator("m", base_url=server.base_url, retries=0)
        (result,) = await probe(generator)
        await generator.close()
    return result


@pytest.mark.parametrize(
    ("habit", "sentence"),
    [
        ("think_block", "its model reasons, which is kept apart; reasoning counts towards `answer_tokens:`"),
        ("think_block", "JSON schema accepted"),
        ("finish_reason_null", "tokens not reported in streams"),
        ("system_role_refused", "does not accept system messages; they are put at the beginning of the user's"),
        ("max_tokens_refused", "does not accept `max_tokens`; `max_completion_tokens` is sent"),
        ("only_json_object", "does not support JSON schemas; it is asked for JSON"),
    ],
)
async def test_a_server_is_described_by_one_request(habit: str, sentence: str) -> None:
    assert sentence in list((await probed(habit)).sentences())


async def test_a_server_that_cannot_be_asked_says_why() -> None:
    generator = OpenAIGenerator("m", base_url="http://127.0.0.1:9/v1", retries=0)
    (result,) = await probe(generator)
    await generator.close()
    assert result.error is not None
    assert "cannot be reached" in result.error
