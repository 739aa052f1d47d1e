"""The beginning that the prompts of a batch share."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import torch

from qttrag.generators import shared_prefix
from qttrag.generators.beginnings import Beginnings
from qttrag.generators.transformers import TransformersGenerator
from qttrag.taggers.verdicts import SCHEMA
from qttrag.types import Completion, Decoding, Message
from tests.texts import LANGS, paragraph, sentences

TEXTS = [text for lang in LANGS for text in sentences(lang, 2, seed=5)]
INSTRUCTIONS = paragraph("en", 6)


@pytest.fixture(scope="module")
def generator(tiny: Path) -> TransformersGenerator:
    return TransformersGenerator(str(tiny / "llama"), device="cpu")


@pytest.fixture(scope="module")
def model(tiny: Path) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(tiny / "llama").eval()


def ask(text: str) -> list[Message]:
    return [{"role": "system", "content": INSTRUCTIONS}, {"role": "user", "content": text}]


@pytest.mark.parametrize("schema", [None, SCHEMA], ids=["free", "verdicts"])
async def test_completions_of_a_batch_are_those_of_single_calls(
    generator: TransformersGenerator, schema: dict[str, object] | None
) -> None:
    decoding = Decoding(max_tokens=48, schema=schema, alternatives=3)

    async def complete(text: str) -> Completion:
        return await generator.complete(ask(text), decoding)

    together = await asyncio.gather(*(complete(text) for text in TEXTS))
    alone = [await complete(text) for text in TEXTS]
    assert [completion.text for completion in together] == [completion.text for completion in alone]
    for one, other in zip(together[0].tokens, alone[0].tokens, strict=True):
        assert one.alternatives == pytest.approx(other.alternatives, abs=1e-4)


def test_the_prefix_is_what_all_prompts_begin_with(model: Any) -> None:
    prompts = [[*range(80), 7, 8], [*range(80), 9], [*range(80), 7, 8, 10]]
    prefix = shared_prefix.of_batch(model, prompts, Beginnings())
    assert prefix.length == 80
    assert prefix.cache.layers[0].keys.shape[0] == 3


def test_equal_prompts_keep_their_last_token(model: Any) -> None:
    assert shared_prefix.of_batch(model, [list(range(80))] * 2, Beginnings()).length == 79


@pytest.mark.parametrize("prompts", [[list(range(90))], [[*range(63), 1, 2], [*range(63), 3, 4]]])
def test_one_prompt_or_a_short_beginning_is_computed_as_it_is(model: Any, prompts: list[list[int]]) -> None:
    assert shared_prefix.of_batch(model, prompts, Beginnings()) == (0, None)


def test_instructions_are_computed_once_for_all_batches(model: Any) -> None:
    beginnings: Beginnings[Any] = Beginnings()
    first = shared_prefix.of_batch(model, [[*range(80), 90]], beginnings, instructions=70)
    kept = beginnings.get(range(70))
    second = shared_prefix.of_batch(model, [[*range(80), 91], [*range(80), 92]], beginnings, instructions=70)
    assert first.length == second.length == 70
    assert kept is beginnings.get(range(70))
    assert torch.equal(first.cache.layers[0].keys[0], second.cache.layers[0].keys[1])
    assert first.cache is not kept


async def test_what_earlier_prompts_left_changes_no_completion(tiny: Path, generator: TransformersGenerator) -> None:
    decoding = Decoding(max_tokens=24, schema=SCHEMA)
    asked = [ask(text) for text in TEXTS]
    one_after_another = [(await generator.complete(messages, decoding)).text for messages in asked]
    for messages, text in zip(asked[-2:], one_after_another[-2:], strict=True):
        fresh = TransformersGenerator(str(tiny / "llama"), device="cpu")
        assert (await fresh.complete(messages, decoding)).text == text


def test_layers_with_a_sliding_window_are_not_reused() -> None:
    from transformers import MistralConfig, MistralForCausalLM

    config = MistralConfig(
        vocab_size=100, hidden_size=32, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=2, head_dim=16, sliding_window=16,
    )  # fmt: skip
    prompts = [[*range(80), 1], [*range(80), 2]]
    with torch.inference_mode():
        assert shared_prefix.of_batch(MistralForCausalLM(config), prompts, Beginnings()) == (0, None)


def test_padding_stands_after_the_prefix() -> None:
    prefix = shared_prefix.SharedPrefix(2, object())
    assert prefix.padded([5, 6, 7], 5, pad=0) == ([5, 6, 0, 0, 7], [1, 1, 0, 0, 1])
