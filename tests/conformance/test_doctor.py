"""`qttrag doctor --ask`: what each server accepts, and what qttrag does about the rest."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from qttrag.generators import reply_forms
from qttrag.generators.openai import OpenAIGenerator
from qttrag.generators.probe import Probe, probe
from qttrag.generators.reply_forms import Measured
from qttrag.prompts import Prompts
from tests.conformance.habits import DONE, HABITS, REFUSALS, SCORES, Body, Habit, OddServer, Wire, chunk, stream, usage


async def probed(habit: str | Habit, reply: Callable[[Body], str] = lambda body: '{"ok": true}') -> Probe:
    with OddServer({**HABITS, **REFUSALS}[habit] if isinstance(habit, str) else habit, reply) as server:
        generator = OpenAIGenerator("m", base_url=server.base_url, retries=0)
        (result,) = await probe(generator)
        await generator.close()
    return result


def seen(body: Body) -> str:
    """Return all that the model of a server sees which drops system messages."""
    return " ".join(message["content"] for message in body["messages"] if message["role"] != "system")


def counts_what_it_sees(body: Body, reply: str) -> Wire:
    return Wire([chunk({"content": reply}), chunk(None, "stop"), usage(len(seen(body).split())), DONE])


def counts_everything(body: Body, reply: str) -> Wire:
    words = sum(len(message["content"].split()) for message in body["messages"])
    return Wire([chunk({"content": reply}), chunk(None, "stop"), usage(words), DONE])


def counts_nothing(body: Body, reply: str) -> Wire:
    return Wire([chunk({"content": reply}), chunk(None, "stop"), DONE])


def repeats_the_word(body: Body) -> str:
    return "It is Marmalade." if "marmalade" in seen(body) else "I do not know one."


@pytest.mark.parametrize(
    ("habit", "reply", "arrives"),
    [
        (counts_what_it_sees, lambda body: "?", False),
        (counts_everything, lambda body: "?", True),
        (counts_nothing, repeats_the_word, False),
        (counts_nothing, lambda body: "marmalade", True),
        (counts_nothing, lambda body: "?", None),
    ],
)
async def test_a_dropped_system_message_shows_in_the_count_or_the_reply(
    habit: Habit, reply: Callable[[Body], str], arrives: bool | None
) -> None:
    assert (await probed(habit, reply)).system_arrives is arrives


async def test_a_server_that_drops_system_messages_is_described_with_the_remedy() -> None:
    sentences = list((await probed(counts_what_it_sees)).sentences())
    assert any("accepted and dropped" in each and "`accepts: {system_role: false}`" in each for each in sentences)


def form_of(body: Body) -> str:
    return str(body.get("response_format", {}).get("type"))


def slow_grammar(body: Body, reply: str) -> Wire:
    """Refuse schemas, and sample JSON objects slowly, as llama-cpp-python's server."""
    if form_of(body) == "json_schema":
        return REFUSALS["schema_refused_500"](body, reply)
    time.sleep(0.05 if form_of(body) == "json_object" else 0)
    return stream([reply])


async def measured(habit: Habit, reply: Callable[[Body], str], **settings: Any) -> list[Measured]:
    with OddServer(habit, reply) as server:
        generator = OpenAIGenerator("m", base_url=server.base_url, retries=0, **settings)
        await probe(generator)
        (only,) = generator.client().servers
        result = await reply_forms.measure(generator, only, Prompts())
        await generator.close()
    return result


async def test_the_setting_for_a_much_faster_form_can_be_copied_from_the_advice() -> None:
    found = await measured(slow_grammar, lambda body: SCORES)
    assert [each.form.name for each in found] == ["JSON object", "prompt alone"]
    assert not reply_forms.is_good(found)
    (setting,) = re.findall("`(accepts: .*?)`", reply_forms.advice(found))
    afterwards = await measured(slow_grammar, lambda body: SCORES, **yaml.safe_load(setting))
    assert [each.form.name for each in afterwards] == ["prompt alone"]
    assert reply_forms.is_good(afterwards)


async def test_a_fast_form_that_is_not_readable_is_not_advised() -> None:
    found = await measured(slow_grammar, lambda body: SCORES if form_of(body) == "json_object" else "Quite good!")
    assert [each.readable for each in found] == [4, 0]
    assert reply_forms.is_good(found)
    assert reply_forms.advice(found).endswith("JSON object is used")


async def test_a_readable_form_is_advised_in_place_of_one_that_is_not() -> None:
    found = await measured(slow_grammar, lambda body: "{}" if form_of(body) == "json_object" else SCORES)
    assert "prompt alone is better" in reply_forms.advice(found)


async def test_a_model_that_never_gives_scores_is_not_good_in_any_form() -> None:
    found = await measured(slow_grammar, lambda body: "Quite good!")
    assert not reply_forms.is_good(found)
    assert "translations stay unscored" in reply_forms.advice(found)


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
